"""A plan in words: every launch with its points, minutes and dollars, the source of these figures, and a total."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_precgate.analysis.plan import PlannedLaunch, SuitePlan, Total, total
from pytest_precgate.reports import layout
from pytest_precgate.reports.cost import UNKNOWN, amount, counted, gpu_minutes, money

_HEAD = ("launch", "launches", "points", "starting", "measuring", "GPU-minutes", "dollars")


def lines(plans: Sequence[SuitePlan]) -> Iterator[str]:
    """Yield the whole plan."""
    yield "nothing is run, started or written; points, starting and measuring GPU-minutes are those of one launch"
    if not plans:
        yield "no selected test measures anything"
    for plan in plans:
        yield ""
        yield (
            f"{plan.suite}: {counted(plan.tests, 'test')} on {plan.hardware.name} at "
            f"${plan.hardware.price_per_gpu_hour:g} per GPU-hour"
        )
        rows = layout.columns([_HEAD, *(_cells(planned, plan) for planned in plan.launches)])
        sources = ("from", *(planned.candidate.expected.source for planned in plan.launches))
        width = max(len(row) for row in rows)
        yield from (f"{row.ljust(width)}  {source}" for row, source in zip(rows, sources, strict=True))
    yield ""
    for simulated in (False, True):
        found = total(plans, simulated=simulated)
        if found is not None:
            yield _total(found, simulated=simulated)


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
