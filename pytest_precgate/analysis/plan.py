"""What the selected tests would launch and what that would cost.

Input: expected launches and their costs, from a baseline, a simulation, or unknown. Output: a plan with sums.
Invariant: an unknown figure is None, is left out of sums, and the sums are marked as lower bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from pytest_precgate.analysis.accepted.baseline import Baseline, Launch
from pytest_precgate.analysis.cost import Kind, dollars
from pytest_precgate.analysis.curves.economics import Hardware
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.quantity import count, one_line
from pytest_precgate.errors import InvalidValueError

NOT_KNOWN = "not known"
Use = Literal["measured", "up", "perhaps up"]
"""What tests need of a precision: its sweep, only its engine, or possibly its engine, if they name one as they run. The
first that applies counts."""
_USES: tuple[Use, ...] = ("measured", "up", "perhaps up")


@dataclass(frozen=True)
class Asked:
    """What one test asks for, by its fixtures: sweeps and engines by precision.

    ``compares`` says that it may measure any precision, ``chooses`` that it names engines as it runs."""

    test: str
    sweeps: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    compares: bool = False
    chooses: bool = False


@dataclass(frozen=True)
class Expected:
    """The cost of one launch of a configuration, in GPU-seconds, and the source of the figures."""

    source: str
    points: int | None = None
    starting_gpu_s: float | None = None
    measuring_gpu_s: float | None = None


@dataclass(frozen=True)
class Candidate:
    """A configuration that tests may launch: its number from 0, the kind of its engine, how it is paid for.

    ``paid`` is None for points that take no GPU: nothing is launched."""

    precision: str
    number: int
    configuration: str
    engine: str
    paid: Kind | None
    expected: Expected


@dataclass(frozen=True)
class PlannedLaunch:
    """A configuration that would be launched ``least`` to ``most`` times; ``use`` says for which purpose."""

    candidate: Candidate
    use: Use
    least: int
    most: int

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most:
            raise InvalidValueError(f"PlannedLaunch: got {self.least} to {self.most} launches, wanted a range from 0")

    @property
    def parts_gpu_s(self) -> tuple[float | None, ...]:
        """The parts of one launch this run would pay for: its start, if this tool starts it, and its points."""
        candidate, expected = self.candidate, self.candidate.expected
        start = () if candidate.paid in (None, "endpoint") else (expected.starting_gpu_s,)
        measuring = (expected.measuring_gpu_s,) if candidate.paid is not None and self.use == "measured" else ()
        return (*start, *measuring)

    @property
    def known_gpu_s(self) -> float:
        """The known cost of one launch."""
        return math.fsum(part for part in self.parts_gpu_s if part is not None)

    @property
    def is_known(self) -> bool:
        """Whether all parts are known."""
        return None not in self.parts_gpu_s or self.most == 0


@dataclass(frozen=True)
class SuitePlan:
    """What the selected tests of one suite would launch, at the price of its hardware."""

    suite: str
    hardware: Hardware
    tests: int
    launches: Sequence[PlannedLaunch]

    def __post_init__(self) -> None:
        one_line("SuitePlan", "suite", self.suite)
        count("SuitePlan", "tests", self.tests, "tests")
        object.__setattr__(self, "launches", tuple(self.launches))


@dataclass(frozen=True)
class Total:
    """Launches, GPU-seconds and dollars, at least and at most; ``is_known`` is false where a part is left out."""

    launches: tuple[int, int]
    gpu_s: tuple[float, float]
    dollars: tuple[float, float]
    is_known: bool


def total(plans: Sequence[SuitePlan], *, simulated: bool) -> Total | None:
    """Return the sum over every suite, of virtual launches or of all others; None when there are none."""
    each = [
        (planned, plan.hardware)
        for plan in plans
        for planned in plan.launches
        if planned.candidate.paid is not None and (planned.candidate.paid == "simulated") == simulated
    ]
    if not each:
        return None
    started = [planned for planned, _ in each if planned.candidate.paid != "endpoint"]
    held = [(planned.least * planned.known_gpu_s, planned.most * planned.known_gpu_s) for planned, _ in each]
    paid = [(dollars(low, on), dollars(high, on)) for (low, high), (_, on) in zip(held, each, strict=True)]
    return Total(
        (sum(planned.least for planned in started), sum(planned.most for planned in started)),
        (math.fsum(low for low, _ in held), math.fsum(high for _, high in held)),
        (math.fsum(low for low, _ in paid), math.fsum(high for _, high in paid)),
        all(planned.is_known for planned, _ in each),
    )


def plan(
    suite: str,
    hardware: Hardware,
    asked: Sequence[Asked],
    candidates: Sequence[Candidate],
    launches: Mapping[str, tuple[int, int]],
    baseline: Baseline | None,
) -> SuitePlan:
    """Return the suite's launches for the tests ``asked``, from its ``candidates``.

    ``launches`` says for each precision how many launches its sweep takes, at least and at most. An engine that tests
    only talk to is launched once."""
    precisions = list(dict.fromkeys(candidate.precision for candidate in candidates))
    wanted = uses(asked, precisions, baseline)
    planned = []
    for candidate in candidates:
        use = wanted.get(candidate.precision)
        if use is None:
            continue
        least, most = launches[candidate.precision] if use == "measured" else (int(use == "up"), 1)
        if candidate.paid is None or (candidate.paid == "simulated" and use != "measured"):
            least, most = 0, 0  # it takes no GPU; a simulation that tests only talk to holds no GPU
        planned.append(PlannedLaunch(candidate, use, least, most))
    return SuitePlan(suite, hardware, len(asked), planned)


def uses(asked: Sequence[Asked], precisions: Sequence[str], baseline: Baseline | None) -> Mapping[str, Use]:
    """Return what the tests need of each precision, without those that no test needs.

    A test that compares is expected to measure the precisions of its gates in the baseline, or all of them when it has
    none."""
    found: dict[str, set[Use]] = {}
    for test in asked:
        gated = {
            precision
            for gate in (() if baseline is None else baseline.gates)
            if gate.test == test.test
            for precision in gate.key.precisions
        }
        compared = (gated & {*precisions} or precisions) if test.compares else ()
        for use, names in zip(
            _USES, ((*test.sweeps, *compared), test.engines, precisions if test.chooses else ()), strict=True
        ):
            for name in names:
                found.setdefault(name, set()).add(use)
    return {name: next(use for use in _USES if use in found[name]) for name in precisions if name in found}


def from_baseline(
    baseline: Baseline,
    workload: Workload,
    hardware: str,
    candidate: Candidate,
    engines: tuple[str, ...],
    grid: Sequence[int] | None,
) -> Expected | None:
    """Return the mean cost of launches like the ``candidate``'s when the baseline was recorded.

    None when the baseline's were of another workload, hardware or engine (``engines``, the kinds), or measured other
    concurrencies than the ``grid`` (None: no grid is set). Launches without cost give only points.
    """
    alike = [
        launch
        for launch in baseline.launches_of(candidate.precision)
        if (launch.sweep.workload, launch.sweep.hardware) == (workload, hardware)
        and launch.fingerprint.engines == engines
        and (levels := _levels(launch, candidate.configuration))
        and (grid is None or levels == sorted(grid))
    ]
    if not alike:
        return None
    source = f"baseline of {baseline.recorded.commit[:12]}, {baseline.recorded.utc}"
    costs = [
        launch.costs[candidate.number]
        for launch in alike
        if len(launch.costs) > candidate.number
        and launch.costs[candidate.number].configuration == candidate.configuration
    ]
    if not costs:
        return Expected(f"points: {source}", len(_levels(alike[-1], candidate.configuration)))
    starts = [cost.starting_gpu_s for cost in costs if cost.starting_gpu_s is not None]
    return Expected(
        source,
        round(fmean(cost.points for cost in costs)),
        fmean(starts) if starts else None,
        fmean(cost.measuring_gpu_s for cost in costs),
    )


def _levels(launch: Launch, configuration: str) -> list[int]:
    return sorted(point.concurrency for point in launch.sweep.points if point.configuration == configuration)
