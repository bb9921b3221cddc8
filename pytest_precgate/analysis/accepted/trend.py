"""The trend of a suite: each gate over runs or over accepted states, where its level changed, who changed the baseline.

Input: readings of gates, oldest first, and the revisions of the baseline file. Output: frozen values. Invariant: a gate
is read from one source alone, runs where there are any: an accepted state is the centre of several launches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_precgate.analysis.gating.change_points import ChangePoint, change_points
from pytest_precgate.analysis.gating.gates import GateKey
from pytest_precgate.analysis.quantity import one_line, positive
from pytest_precgate.errors import InvalidValueError


@dataclass(frozen=True)
class Reading:
    """A gate's value in one run, or in one accepted state, with its time and commit.

    ``baseline`` is what a run held it against, ``verdict`` its word; of an accepted state there is neither."""

    utc: str
    commit: str
    value: float
    baseline: float | None = None
    verdict: str = ""

    def __post_init__(self) -> None:
        positive("Reading", "value", self.value, "the gate's unit")


@dataclass(frozen=True)
class BaselineRevision:
    """A change of a baseline file: its commit, author and time in version control, and what was recorded.

    ``values`` are those of the gates, as the file says them. ``unread`` says why a file could not be read; its reason
    and values are then not known. ``removed`` is a commit that removed the file."""

    commit: str
    author: str
    utc: str
    subject: str
    reason: str = ""
    values: Mapping[GateKey, float] = field(default_factory=dict)
    unread: str = ""
    removed: bool = False
    simulated: bool = False

    def __post_init__(self) -> None:
        one_line("BaselineRevision", "commit", self.commit)
        if self.values and (self.unread or self.removed):
            raise InvalidValueError(f"BaselineRevision of {self.commit}: has values and could not be read")


@dataclass(frozen=True)
class GateTrend:
    """A gate's readings, oldest first, and where their level changed. ``of_runs`` is false for accepted states."""

    key: GateKey
    readings: Sequence[Reading]
    changes: Sequence[ChangePoint]
    of_runs: bool

    def __post_init__(self) -> None:
        if not self.readings or any(change.index >= len(self.readings) for change in self.changes):
            raise InvalidValueError(f"GateTrend of {self.key}: has no reading, or a change point beyond the last one")

    @property
    def shift(self) -> float | None:
        """The relative change of the level from the first run to now; None where no change point was found."""
        return self.changes[-1].after / self.changes[0].before - 1 if self.changes else None

    @property
    def is_worse(self) -> bool:
        """Whether the present level is worse than the first one."""
        return bool(self.changes) and self.key.gain(self.changes[-1].after, self.changes[0].before) < 0

    def gain(self, change: ChangePoint) -> float:
        """Return by which share the level after a change point is better than the one before; negative when worse."""
        return self.key.gain(change.after, change.before)


@dataclass(frozen=True)
class SuiteTrend:
    """The gates of a suite over time, the revisions of its baseline, and what could not be read of either.

    ``runs`` is the number of judged runs; ``first`` and ``last`` the time of the oldest and the newest, "" for none."""

    suite: str
    gates: Sequence[GateTrend]
    revisions: Sequence[BaselineRevision]
    runs: int
    first: str = ""
    last: str = ""
    remarks: Sequence[str] = ()

    @property
    def simulated(self) -> bool:
        """Whether the newest baseline that could be read is of a simulation; its runs then are, too."""
        known = [each for each in self.revisions if each.values]
        return bool(known) and known[-1].simulated


def suite_trend(
    suite: str,
    runs: Sequence[Mapping[GateKey, Reading]],
    revisions: Sequence[BaselineRevision],
    remarks: Sequence[str] = (),
) -> SuiteTrend:
    """Return the trend of a suite from its ``runs``, oldest first, and the ``revisions`` of its baseline."""
    judged: dict[GateKey, list[Reading]] = {}
    for run in runs:
        for key, reading in run.items():
            judged.setdefault(key, []).append(reading)
    accepted: dict[GateKey, list[Reading]] = {}
    for each in revisions:
        for key, value in each.values.items():
            accepted.setdefault(key, []).append(Reading(each.utc, each.commit, value))
    times = [reading.utc for run in runs for reading in [*run.values()][:1]]
    return SuiteTrend(
        suite=suite,
        gates=[
            _gate(key, judged.get(key) or accepted[key], of_runs=key in judged)
            for key in sorted({*judged, *accepted}, key=lambda key: key.order)
        ],
        revisions=tuple(revisions),
        runs=len(runs),
        first=times[0] if times else "",
        last=times[-1] if times else "",
        remarks=tuple(remarks),
    )


def _gate(key: GateKey, readings: Sequence[Reading], *, of_runs: bool) -> GateTrend:
    return GateTrend(key, tuple(readings), change_points([each.value for each in readings]), of_runs)
