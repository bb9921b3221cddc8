"""A measured configuration with its facts; the configurations of one precision form one launch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_precgate.analysis.accepted.baseline import Launch
from pytest_precgate.analysis.accepted.fingerprint import Fact, Fingerprint
from pytest_precgate.analysis.accepted.origin import UNKNOWN, LaunchOrigin
from pytest_precgate.analysis.cost import LaunchCost
from pytest_precgate.analysis.curves.search import SweepTargets
from pytest_precgate.analysis.curves.sweep import Sweep
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.tokens import TokenFacts
from pytest_precgate.engines.base import Engine
from pytest_precgate.journal.paid import launch_cost
from pytest_precgate.settings import Suite

if TYPE_CHECKING:
    from pytest_precgate.journal.state import Recorded, RecordedLaunch


@dataclass(frozen=True)
class Swept:
    """One configuration measured, with what is known of it."""

    sweep: Sweep
    kind: str
    identity: Mapping[str, Fact]
    facts: Mapping[str, Fact]
    cost: LaunchCost | None = None
    origin: LaunchOrigin = UNKNOWN
    is_repeatable: bool = True

    @staticmethod
    def recorded(suite: Suite, launch: RecordedLaunch) -> Swept:
        """What a journal holds. Points of several starts of a server stand in one launch, and a fact says so."""
        return Swept.of(launch, suite.workload, suite.hardware.name)

    @staticmethod
    def of(launch: RecordedLaunch, workload: Workload, hardware: str) -> Swept:
        """What a journal holds of a launch under this workload on this hardware."""
        opened, facts = launch.opened, launch.opened.facts
        is_simulated = opened.paid == "simulated"  # whose launch draws the same pace again from its seed
        points = [finished.point for finished in launch.points]
        axis = launch.points[0].measurement.axis if launch.points else "tpot"
        sweep = Sweep(opened.key.precision, workload, hardware, points, is_simulated, axis)
        seen: dict[str, Fact] = {}
        if not is_simulated:
            seen = {"resumed": launch.times_resumed} if launch.times_resumed else {}
            seen |= _token_facts([tokens for each in launch.points if (tokens := each.measurement.tokens) is not None])
        soft = {**facts.soft, **seen}
        return Swept(sweep, opened.engine, facts.hard, soft, launch_cost(launch), launch.origin)


def _token_facts(points: Sequence[TokenFacts]) -> dict[str, Fact]:
    """What the points of a launch say of its tokens, from the least to the most; nothing where they say nothing."""
    each: dict[str, list[float | None]] = {
        "tokens_per_event": [tokens.tokens_per_event for tokens in points],
        "first_event_tokens": [tokens.first_event_tokens for tokens in points],
        "acceptance_length_seen": [tokens.acceptance_length for tokens in points],
    }
    facts: dict[str, Fact] = {}
    for name, values in each.items():
        known = [value for value in values if value is not None]
        if known:
            low, high = (f"{value:.2g}" for value in (min(known), max(known)))
            facts[name] = low if low == high else f"{low} to {high}"
    if points:
        told = all(tokens.cached_share is not None for tokens in points)
        facts["cached_tokens"] = "reported" if told else "not reported by the server"
    return facts


def merged(swept: Sequence[Swept]) -> Launch:
    """Return one launch: several configurations of one precision are one cloud, their facts told apart by number."""
    points = [point for each in swept for point in each.sweep.points]
    cloud = replace(swept[0].sweep, points=points, simulated=any(each.sweep.simulated for each in swept))
    identity = _numbered([each.identity for each in swept])
    costs = tuple(each.cost for each in swept if each.cost is not None)
    fingerprint = Fingerprint.of(
        cloud, tuple(each.kind for each in swept), _numbered([each.facts for each in swept]), identity
    )
    is_repeatable = all(each.is_repeatable for each in swept)
    origin = LaunchOrigin.joint([each.origin for each in swept])
    known_costs = costs if len(costs) == len(swept) else ()
    return Launch(cloud, fingerprint, known_costs, origin, is_repeatable=is_repeatable)


def launches_of(recorded: Recorded) -> dict[str, list[Launch]]:
    """Return the launches that a journal holds with any point, finished or not, by precision, the first one first."""
    groups: dict[tuple[int, str], list[Swept]] = {}
    for key, launch in sorted(recorded.launches.items()):
        if launch.points:
            swept = Swept.of(launch, recorded.run.workload, recorded.run.hardware)
            groups.setdefault((key.launch, key.precision), []).append(swept)
    found: dict[str, list[Launch]] = {name: [] for name in recorded.run.configurations}
    for (_, precision), each in sorted(groups.items(), key=lambda group: group[0]):
        found[precision].append(merged(each).rounded())
    return found


def said_by(engine: Engine) -> Fingerprint:
    """Return what an engine says of itself before anything is started."""
    return Fingerprint(engine.identity(), engine.facts())


def _numbered(each: Sequence[Mapping[str, Fact]]) -> Mapping[str, Fact]:
    if len(each) == 1:
        return each[0]
    return {f"{key}.{number}": fact for number, facts in enumerate(each, 1) for key, fact in facts.items()}


def missed(engine: Engine, sweep_targets: SweepTargets, sweep: Sweep) -> Sequence[float]:
    """Return what of ``sweep_targets`` the engine's points in ``sweep`` were not searched for; nothing where they are a
    grid."""
    own = [point for point in sweep.points if point.configuration == engine.configuration]
    return () if engine.load is None else engine.load.concurrency.schedule(sweep_targets).missed(own)


def not_searched(launch: str, targets: Sequence[float]) -> str:
    """Return what to say of ``targets`` that a ``launch`` was not searched for."""
    return (
        f"{launch} was not searched for {', '.join(f'{target:g}' for target in targets)} tok/s/user: its run has no "
        "neighbouring concurrencies there, and what is read between others is less exact"
    )
