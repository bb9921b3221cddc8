"""Evaluates launches of an unchanged suite: the noise of each gate, and the smallest drop it catches.

Input: launches and the suite's gates. Output: sigma and limits per gate. The same launches serve as
baseline and as candidate."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.gating.gate_launches import GateLaunches, independent_gates
from pytest_precgate.analysis.gating.gates import Gate, GateKey
from pytest_precgate.analysis.gating.limits import GateLimits, LaunchPolicy, rounded_up, suite_limits
from pytest_precgate.analysis.gating.noise import LEAST_LAUNCHES, GateNoise
from pytest_precgate.errors import InvalidValueError, UnreadableCurveError


@dataclass(frozen=True)
class StudiedGate:
    """A gate as the suite asks for it, its value in every launch, and its limits.

    Raises InvalidValueError for fewer launches than an estimate of sigma needs, or the limits of another gate."""

    gate: Gate
    launches: GateLaunches
    limits: GateLimits

    def __post_init__(self) -> None:
        if self.limits.noise is None:
            raise InvalidValueError(
                f"StudiedGate: {self.gate.key} has {len(self.launches.values)} launches, wanted {LEAST_LAUNCHES}"
            )
        if len({self.gate.key, self.launches.key, self.limits.gate.key}) > 1:
            raise InvalidValueError(f"StudiedGate: {self.gate.key} beside launches or limits of another gate")

    @property
    def noise(self) -> GateNoise:
        """Centre, sigma, and the number of outliers."""
        assert self.limits.noise is not None
        return self.limits.noise

    @property
    def changes(self) -> tuple[float, ...]:
        """Each launch's value as a change from the centre, as a share; outliers included."""
        return tuple(value / self.noise.centre - 1 for value in self.launches.values)


@dataclass(frozen=True)
class UnreadGate:
    """A gate that some launch does not reach, and why: sigma is not estimated from an incomplete row."""

    key: GateKey
    reason: str


@dataclass(frozen=True)
class NoiseStudy:
    """The gates of one suite after ``launches`` launches of each precision, under the policy that will judge them."""

    launches: int
    policy: LaunchPolicy
    gates: tuple[StudiedGate, ...]
    unread: tuple[UnreadGate, ...] = ()

    @property
    def independent_gates(self) -> int:
        """How many gates scatter independently and share the suite's false alarm rate."""
        return independent_gates([each.launches for each in self.gates])

    @property
    def step_sigma(self) -> float | None:
        """The scatter of a step's duration from launch to launch: every gate's sigma divided by its elasticity.

        The root of their mean square; None without a gate."""
        if not self.gates:
            return None
        return math.sqrt(statistics.fmean((each.noise.sigma / each.launches.elasticity) ** 2 for each in self.gates))

    @property
    def refused(self) -> tuple[StudiedGate, ...]:
        """The gates whose noise hides what they must detect: no launch of them passes."""
        return tuple(each for each in self.gates if each.limits.too_noisy)

    @property
    def must_detect(self) -> float | None:
        """The must_detect with which every gate can be judged, a share rounded up to 0.1%; None where each can be
        already, or no share does."""
        if not self.refused:
            return None
        drops = [each.limits.minimum_detectable_drop for each in self.gates]
        wanted = rounded_up(max(drop for drop in drops if drop is not None))
        return wanted if wanted < 1 else None


def study(gates: Sequence[Gate], curves: Mapping[str, Sequence[Curve]], policy: LaunchPolicy) -> NoiseStudy:
    """Return the evaluation of ``gates`` over the launches; ``curves[precision]`` holds one curve per launch.

    Launch i of one precision is compared with launch i of the other. Raises InvalidValueError for fewer launches than
    an estimate of sigma needs, or more of one precision than of another."""
    numbers = {len(launches) for launches in curves.values()}
    if len(numbers) != 1 or min(numbers) < LEAST_LAUNCHES:
        counted = ", ".join(f"{len(launches)} of {name}" for name, launches in curves.items()) or "none"
        raise InvalidValueError(f"study: got launches {counted}; wanted {LEAST_LAUNCHES} or more, as many of each")
    read: list[tuple[Gate, GateLaunches]] = []
    unread: list[UnreadGate] = []
    for gate in gates:
        try:
            rows = list(zip(*(curves[name] for name in gate.key.precisions), strict=True))
            read.append((gate, GateLaunches.read(gate.key, rows)))
        except UnreadableCurveError as exc:
            unread.append(UnreadGate(gate.key, str(exc)))
    gate_limits = suite_limits(read, policy)
    studied = tuple(
        StudiedGate(gate, launches, limits) for (gate, launches), limits in zip(read, gate_limits, strict=True)
    )
    return NoiseStudy(numbers.pop(), policy, studied, tuple(unread))
