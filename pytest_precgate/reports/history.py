"""The text of ``precgate history``: what changed, each gate over its runs, change points, who changed the baseline.

Input: the trend of a suite and a width. Output: lines. Invariant: a change point is told with its commit, in the order
of time, the newest last; of a baseline's revisions the newest comes first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_precgate.analysis.accepted.trend import BaselineRevision, GateTrend, SuiteTrend
from pytest_precgate.analysis.gating.change_points import LEAST, ChangePoint
from pytest_precgate.reports import layout
from pytest_precgate.reports.lines import Colour, Line, wrapped
from pytest_precgate.reports.sparkline import BLOCKS, column_of, sparkline

COMMIT_SHOWN = 12
_REVISIONS_SHOWN = 10
_LEAST_COLUMNS = 8


@dataclass(frozen=True)
class ChangeGroup:
    """The gates of one quantity whose level changed at one commit."""

    quantity: str
    utc: str
    commit: str
    gates: Sequence[tuple[GateTrend, ChangePoint]]

    @property
    def gains(self) -> tuple[float, float]:
        """The smallest and the largest gain."""
        gains = [trend.gain(change) for trend, change in self.gates]
        return min(gains), max(gains)

    @property
    def is_worse(self) -> bool:
        """Whether any gate is worse since."""
        return self.gains[0] < 0

    @property
    def text(self) -> str:
        """The change in words."""
        points = ", ".join(f"{trend.key.point:g}" for trend, _ in self.gates)
        changes = [layout.change(change.after / change.before - 1) for _, change in self.gates]
        span = " to ".join(dict.fromkeys((changes[0], changes[-1])))
        word = "worse" if self.is_worse else "better"
        return f"{self.quantity} {span} at {points} tok/s/user ({word})"


def change_groups(trend: SuiteTrend) -> list[ChangeGroup]:
    """Return the change points of a suite by commit and quantity, oldest first."""
    groups: dict[tuple[str, str, str], list[tuple[GateTrend, ChangePoint]]] = {}
    for gate in trend.gates:
        for change in gate.changes:
            reading = gate.readings[change.index]
            groups.setdefault((reading.utc, reading.commit, gate.key.quantity), []).append((gate, change))
    return [
        ChangeGroup(quantity, utc, commit, gates)
        for (utc, commit, quantity), gates in sorted(groups.items(), key=lambda pair: pair[0][0])
    ]


def lines(trend: SuiteTrend, width: int, marks: str = BLOCKS) -> Iterator[Line]:
    """Yield the history of a suite; ``marks`` are the characters of a sparkline, the lowest first."""
    yield from wrapped(title(trend), width)
    groups = change_groups(trend)
    for sentence in headlines(trend, groups):
        yield from wrapped(sentence, width, colour="bold")
    yield Line("")
    if trend.gates:
        yield from _table(trend.gates, width, marks)
        yield Line("")
    if groups:
        yield Line("change points, oldest first")
        for group in groups:
            where = f"{group.utc}  {group.commit[:COMMIT_SHOWN]}  {group.text}"
            yield from wrapped(f"  {where}", width, 4, "red" if group.is_worse else "green")
        yield Line("")
    yield from _revisions(trend, width)
    for remark in trend.remarks:
        yield from wrapped(f"note: {remark}", width, colour="yellow")


def title(trend: SuiteTrend) -> str:
    """Return what the history is made of."""
    changed = f"{layout.counted(len(trend.revisions), 'revision')} of its baseline in git"
    word = " SIMULATED, measured on no machine:" if trend.simulated else ""
    runs = f"{layout.counted(trend.runs, 'run')}, {trend.first[:10]} to {trend.last[:10]}; " if trend.runs else ""
    return f"{trend.suite}:{word} {runs}{changed}"


def headlines(trend: SuiteTrend, groups: Sequence[ChangeGroup]) -> Iterator[str]:
    """Yield what a reader wants to know first: the gates that are worse since their newest change point."""
    newest = [gate for gate in trend.gates if gate.changes]
    worse = [gate for gate in newest if gate.gain(gate.changes[-1]) < 0]
    for group in groups:
        if any(gate in worse and change is gate.changes[-1] for gate, change in group.gates) and group.is_worse:
            yield f"{group.text} since {group.utc[:10]}, commit {group.commit[:COMMIT_SHOWN]}"
    short = [gate for gate in trend.gates if len(gate.readings) < LEAST]
    if short:
        what = "run" if short[0].of_runs else "accepted state"
        yield (
            f"{layout.counted(len(short), 'gate')} with fewer than {LEAST} {what}s: change points are not looked for"
        )
    if len(short) < len(trend.gates) and not worse:
        yield "no gate is worse since its last change point" if newest else "no gate changed its level"


def _table(gates: Sequence[GateTrend], width: int, marks: str) -> Iterator[Line]:
    """Each gate on a line, with a mark under the first run after each of its change points."""
    now = [layout.figure(gate.key.metric, gate.readings[-1].value).partition(" ")[0] for gate in gates]
    names = [(gate.key.quantity, f"{gate.key.point:g}") for gate in gates]
    left = [max(map(len, column)) for column in zip(*names, ("gate", "at"), strict=True)]
    last = max(map(len, now)), max(len("change"), *(len(layout.change(gate.shift)) for gate in gates))
    longest = max(len(gate.readings) for gate in gates)
    columns = min(longest, max(_LEAST_COLUMNS, width - sum(left) - sum(last) - 8))
    sources = {gate.of_runs for gate in gates}
    head = "runs or states" if len(sources) > 1 else "runs" if True in sources else "states"
    columns = max(columns, len(head))
    yield Line(f"{'gate':<{left[0]}}  {'at':<{left[1]}}  {head:<{columns}}  {'last':>{last[0]}}  {'change':>{last[1]}}")
    for gate, (quantity, point), value in zip(gates, names, now, strict=True):
        drawn = sparkline([each.value for each in gate.readings], columns, marks)
        change = layout.change(gate.shift)
        colour: Colour = "" if gate.shift is None else "red" if gate.is_worse else "green"
        start = f"{quantity:<{left[0]}}  {point:<{left[1]}}  "
        yield Line(f"{start}{drawn:<{columns}}  {value:>{last[0]}}  {change:>{last[1]}}", colour)
        if gate.changes:
            places = {column_of(each.index, len(gate.readings), columns) for each in gate.changes}
            ticks = "".join("^" if column in places else " " for column in range(max(places) + 1))
            yield Line(f"{' ' * len(start)}{ticks}")


def _revisions(trend: SuiteTrend, width: int) -> Iterator[Line]:
    if not trend.revisions:
        return
    yield Line("who changed the baseline, newest first")
    newest_first = [*enumerate(reversed(trend.revisions))]
    shown = [each for number, each in newest_first if number < _REVISIONS_SHOWN or each.unread]
    for each in shown:
        told = f"  {each.utc}  {each.commit[:COMMIT_SHOWN]}  {each.author}: {why(each)}"
        yield from wrapped(told, width, 4, "yellow" if each.unread else "")
    if len(shown) < len(newest_first):
        yield Line(f"  and {len(newest_first) - len(shown)} earlier: -o PATH writes a page with all")


def why(revision: BaselineRevision) -> str:
    """Return the reason of a revision: that of the record, else the subject of its commit."""
    if revision.unread:
        return f"skipped, it cannot be read: {revision.unread}"
    if revision.removed:
        return f"removed the file ({revision.subject})"
    if revision.reason:
        return revision.reason
    return f"no reason given ({revision.subject})" if revision.subject else "no reason given"
