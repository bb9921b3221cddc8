"""A plan in words: every launch with its points, minutes and dollars, the source of these figures, and a total."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_precgate.analysis.plan import PlannedLaunch, SuitePlan, Total, total
from pytest_precgate.reports import layout
from pytest_precgate.reports.cost import UNKNOWN, amount, gpu_minutes, money
from pytest_precgate.reports.layout import counted
from pytest_precgate.reports.lines import Line, table, wrapped

_SHORT = {"GPU-minutes": "GPU-min", "starting": "start", "measuring": "measure", "launches": "number"}
_HEAD = ("launch", "launches", "points", "starting", "measuring", "GPU-minutes", "dollars")


def lines(plans: Sequence[SuitePlan], width: int) -> Iterator[Line]:
    """Yield the whole plan: what it takes in all, then every suite."""
    if not plans:
        yield Line("no selected test measures anything")
    for simulated in (False, True):
        found = total(plans, simulated=simulated)
        if found is not None:
            yield from wrapped(_total(found, simulated=simulated), width, colour="bold")
    yield from wrapped(
        "nothing is run, started or written; points, starting and measuring GPU-minutes are those of one launch", width
    )
    for plan in plans:
        yield Line("")
        title = (
            f"{plan.suite}: {counted(plan.tests, 'test')} on {plan.hardware.name} at "
            f"${plan.hardware.price_per_gpu_hour:g} per GPU-hour"
        )
        yield from wrapped(title, width)
        sources = ("from", *(planned.candidate.expected.source for planned in plan.launches))
        rows = [_HEAD, *(_cells(planned, plan) for planned in plan.launches)]
        aligned = layout.columns(rows)
        widest = max(len(row) for row in aligned)
        whole = [f"{row.ljust(widest)}  {source}" for row, source in zip(aligned, sources, strict=True)]
        if max(map(len, whole)) <= width:
            yield from map(Line, whole)
            continue
        short = [tuple(_SHORT.get(cell, cell) for cell in rows[0]), *rows[1:]]
        yield from map(Line, table([rows, short, *([row[:number] for row in short] for number in (6, 5))], width))
        yield from _outlined(plan, rows, width)


def _outlined(plan: SuitePlan, rows: Sequence[tuple[str, ...]], width: int) -> Iterator[Line]:
    """Where the figures of each launch are from, which no narrow table has room for, once for all that share it."""
    each: dict[str, list[str]] = {}
    for planned, row in zip(plan.launches, rows[1:], strict=True):
        each.setdefault(planned.candidate.expected.source, []).append(row[0])
    for source, names in each.items():
        yield from wrapped(f"{', '.join(names)} from: {source}", width)


def _cells(planned: PlannedLaunch, plan: SuitePlan) -> tuple[str, ...]:
    candidate, expected = planned.candidate, planned.candidate.expected
    name = "" if candidate.configuration == "default" else f" {candidate.configuration}"
    what = f"{candidate.precision}{name} ({candidate.engine})"
    if planned.most == 0:
        return (what, "0", *(layout.ABSENT for _ in _HEAD[2:]))
    measured = planned.use == "measured"
    points = UNKNOWN if expected.points is None else str(expected.points)
    return (
        what,
        _range([str(planned.least), str(planned.most)]),
        points if measured else "0",
        layout.ABSENT if candidate.paid == "endpoint" else gpu_minutes(expected.starting_gpu_s),
        gpu_minutes(expected.measuring_gpu_s) if measured else layout.ABSENT,
        _at_least(planned, [gpu_minutes(number * planned.known_gpu_s) for number in (planned.least, planned.most)]),
        _at_least(
            planned, [money(number * planned.known_gpu_s, plan.hardware) for number in (planned.least, planned.most)]
        ),
    )


def _at_least(planned: PlannedLaunch, ends: Sequence[str]) -> str:
    """Return the range of the known figures; unknown when no figure of a launch is known."""
    if planned.is_known:
        return _range(ends)
    return UNKNOWN if planned.known_gpu_s == 0 else f"at least {ends[0]}"


def _range(ends: Sequence[str]) -> str:
    return " to ".join(dict.fromkeys(ends))


def _total(found: Total, *, simulated: bool) -> str:
    least, most = found.launches
    launches = counted(least, "launch") if least == most else f"{least} to {most} launches"
    unit = "virtual GPU-minutes, SIMULATED" if simulated else "GPU-minutes"
    minutes = _range([gpu_minutes(end) for end in found.gpu_s])
    dollars = _range([amount(end) for end in found.dollars])
    if found.is_known:
        return f"total: {launches}, {minutes} {unit}, {dollars}"
    if found.gpu_s[1] == 0:
        return f"total: {launches}, what they take is {UNKNOWN}"
    return (
        f"total: {launches}, at least {gpu_minutes(found.gpu_s[0])} {unit}, {amount(found.dollars[0])}, and what is "
        f"{UNKNOWN}"
    )
