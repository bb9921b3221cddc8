"""The cost of measuring, in GPU-seconds: number of GPUs times seconds.

Input: times of starts, points and servers. Output: costs and their sums. Invariant: a GPU is paid for from the start of
its server's process to its end, loading and idle time included; an unknown cost is None, never zero."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pytest_precgate.analysis.curves.economics import Hardware
from pytest_precgate.analysis.quantity import one_line, positive
from pytest_precgate.errors import InvalidValueError

SIGNIFICANT_DIGITS = 6
Kind = Literal["started", "endpoint", "simulated"]
"""Kinds: servers that a run starts, servers that were running before, and engines in virtual time."""
KINDS: tuple[Kind, ...] = ("started", "endpoint", "simulated")
_OVERLAP = 1e-6  # relative; rounding may make the parts longer than the whole by this


@dataclass(frozen=True)
class LaunchCost:
    """The cost of one launch of one configuration: its start, None when unknown, and its points, warm-up included."""

    configuration: str
    points: int
    measuring_gpu_s: float
    starting_gpu_s: float | None

    def __post_init__(self) -> None:
        one_line("LaunchCost", "configuration", self.configuration)
        _whole("LaunchCost", "points", self.points)
        if self.points < 1:
            raise InvalidValueError("LaunchCost.points: got 0, wanted at least one point")
        positive("LaunchCost", "measuring_gpu_s", self.measuring_gpu_s, "GPU seconds")
        if self.starting_gpu_s is not None:
            positive("LaunchCost", "starting_gpu_s", self.starting_gpu_s, "GPU seconds")

    def rounded(self) -> LaunchCost:
        """Return it rounded to the digits that a baseline keeps."""
        start = self.starting_gpu_s
        return replace(
            self,
            measuring_gpu_s=_rounded(self.measuring_gpu_s),
            starting_gpu_s=None if start is None else _rounded(start),
        )


@dataclass(frozen=True)
class KindCost:
    """The cost of all launches of one kind.

    ``launches`` counts every start, failed ones included, and ``points`` those that were kept. ``starting_gpu_s`` is
    None when the tool did not start the server. ``held_gpu_s``, the whole time GPUs were in use, idle and loading
    included, is None when only its parts are known. Raises InvalidValueError when the parts are more than the whole.
    """

    kind: Kind
    launches: int
    points: int
    measuring_gpu_s: float
    starting_gpu_s: float | None
    held_gpu_s: float | None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidValueError(f"KindCost.kind: got {self.kind!r}, wanted one of {', '.join(KINDS)}")
        _whole("KindCost", "launches", self.launches)
        _whole("KindCost", "points", self.points)
        for field in ("measuring_gpu_s", "starting_gpu_s", "held_gpu_s"):
            value = getattr(self, field)
            if value is not None or field == "measuring_gpu_s":
                _not_negative("KindCost", field, value)
        if self.held_gpu_s is not None and self._parts_gpu_s > self.held_gpu_s * (1 + _OVERLAP):
            raise InvalidValueError(
                f"KindCost.held_gpu_s: got {self.held_gpu_s:g}, and its parts alone are {self._parts_gpu_s:g} GPU s"
            )

    @property
    def gpu_s(self) -> float:
        """The paid time, as far as it is known: the time held, else the sum of the known parts."""
        return self._parts_gpu_s if self.held_gpu_s is None else self.held_gpu_s

    @property
    def idle_gpu_s(self) -> float | None:
        """Time that was held and neither started a server nor gave a point: waits, failed points, stops. None:
        unknown."""
        return None if self.held_gpu_s is None else max(self.held_gpu_s - self._parts_gpu_s, 0.0)

    def dollars(self, hardware: Hardware) -> float:
        """Return the cost in dollars at the price of ``hardware``."""
        return dollars(self.gpu_s, hardware)

    @property
    def _parts_gpu_s(self) -> float:
        start = self.starting_gpu_s
        return self.measuring_gpu_s if start is None else self.measuring_gpu_s + start


@dataclass(frozen=True)
class VerdictCost:
    """What the verdicts of a suite took, and what its full rule takes: every launch that ``rule`` allows of each
    precision, and of the old state where that can be started.

    ``gpu_s`` are those of starting and measuring the launches that gave the verdicts. ``is_whole`` is false where the
    start of one is not known and therefore not counted; ``simulated`` says that these are virtual seconds. The full
    rule is estimated at the mean of the launches that were taken."""

    rule: str
    launches: int
    gpu_s: float
    full_launches: int
    full_gpu_s: float
    is_whole: bool = True
    simulated: bool = False

    def __post_init__(self) -> None:
        one_line("VerdictCost", "rule", self.rule)
        for name in ("launches", "full_launches"):
            _whole("VerdictCost", name, getattr(self, name))
        for name in ("gpu_s", "full_gpu_s"):
            _not_negative("VerdictCost", name, getattr(self, name))
        if self.full_launches < self.launches:
            raise InvalidValueError(
                f"VerdictCost.full_launches: got {self.full_launches}, and {self.launches} were taken: a verdict takes "
                "no more than its rule allows"
            )


def verdict_cost(
    taken: Sequence[tuple[int, Sequence[LaunchCost]]], most: int, rule: str, *, simulated: bool
) -> VerdictCost:
    """Return what the verdicts of a suite took.

    ``taken`` holds, for each precision of each state that the rule may launch, how many launches were taken of it, and
    the costs of one after the other, configuration by configuration; at ``most`` so many are allowed of each. What was
    not launched is estimated at the mean of all."""
    costs = [_gpu_s(each) for _, state in taken for each in state]
    launches = sum(number for number, _ in taken)
    mean = math.fsum(costs) / launches if launches else 0.0
    full = math.fsum(most * (math.fsum(map(_gpu_s, state)) / number if number else mean) for number, state in taken)
    is_whole = all(each.starting_gpu_s is not None for _, state in taken for each in state)
    return VerdictCost(rule, launches, math.fsum(costs), most * len(taken), full, is_whole, simulated)


def _gpu_s(cost: LaunchCost) -> float:
    """Return the GPU-seconds of a launch that are known: ``is_whole`` says whether its start is among them."""
    start_s = cost.starting_gpu_s
    return cost.measuring_gpu_s if start_s is None else cost.measuring_gpu_s + start_s


@dataclass(frozen=True)
class SuiteCost:
    """The cost of one suite, by kind: ``costs`` of this run, and the cost of ``reused`` launches in earlier runs.

    ``is_without_gpu`` says that points were read or computed without a GPU; ``replayed`` that nothing was measured.
    ``verdict`` is what its verdicts took, None where nothing was judged, or by recorded points alone."""

    suite: str
    hardware: Hardware
    costs: Sequence[KindCost] = ()
    reused: Sequence[KindCost] = ()
    is_without_gpu: bool = False
    replayed: bool = False
    verdict: VerdictCost | None = None

    def __post_init__(self) -> None:
        one_line("SuiteCost", "suite", self.suite)
        object.__setattr__(self, "costs", tuple(self.costs))
        object.__setattr__(self, "reused", tuple(self.reused))
        if self.replayed and self.costs:
            raise InvalidValueError(f"SuiteCost {self.suite}: a replay measures nothing, and got a cost of this run")


def by_kind(each: Iterable[KindCost]) -> tuple[KindCost, ...]:
    """Return one sum per kind, in the order of KINDS; a part that is unknown for one of them is unknown in the sum."""
    found = list(each)
    return tuple(
        KindCost(
            kind,
            sum(costs.launches for costs in ours),
            sum(costs.points for costs in ours),
            math.fsum(costs.measuring_gpu_s for costs in ours),
            known_sum(costs.starting_gpu_s for costs in ours),
            known_sum(costs.held_gpu_s for costs in ours),
        )
        for kind in KINDS
        if (ours := [costs for costs in found if costs.kind == kind])
    )


def known_sum(values: Iterable[float | None]) -> float | None:
    """Return the sum, None when one of them is unknown."""
    known: list[float] = []
    for value in values:
        if value is None:
            return None
        known.append(value)
    return math.fsum(known)


def dollars(gpu_s: float, hardware: Hardware) -> float:
    """Return the dollars for GPU-seconds: price per GPU-hour * seconds / 3600."""
    return hardware.price_per_gpu_hour * gpu_s / 3600


def _rounded(value: float) -> float:
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def _whole(owner: str, name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidValueError(f"{owner}.{name}: got {value!r}, wanted a whole number from 0")


def _not_negative(owner: str, name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not (math.isfinite(value) and value >= 0):
        raise InvalidValueError(f"{owner}.{name}: got {value!r}, wanted finite GPU seconds from 0")
