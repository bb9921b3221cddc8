"""The terminal summary at the end of a pytest run, and the text of a failed test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_precgate.analysis.accepted.update import GateChange
from pytest_precgate.analysis.curves.comparison import Comparison
from pytest_precgate.analysis.gating.noise import LEAST_LAUNCHES
from pytest_precgate.analysis.gating.power import INTERVAL, TARGET_POWER
from pytest_precgate.analysis.gating.verdict import JudgedGate, Verdict
from pytest_precgate.analysis.report import BaselineUpdate, GateReport, RunReport
from pytest_precgate.reports import cost, layout, waivers

Line = tuple[str, bool | None]
"""A line and its mood: True good, False bad, None neither."""


def failure(report: GateReport) -> str:
    """Return the text of a failed check: each failing gate in full, then the table of all gates."""
    lines = [
        f"precgate: {len(report.failing)} of {len(report.judged)} gates fail in suite {report.suite} "
        f"({layout.against(report)}){layout.simulated(report.comparison)}",
        "",
        *(f"{judged.verdict}  {_sentence(judged)}" for judged in report.failing),
        "",
        *layout.columns([layout.GATE_HEAD, *(layout.gate_cells(judged) for judged in report.judged)]),
    ]
    if report.notes:
        lines += ["", *(f"note: {note}" for note in report.notes)]
    if pasted := waivers.to_paste(report):
        lines += ["", *pasted]
    return "\n".join(lines)


def _sentence(judged: JudgedGate) -> str:
    key = judged.gate.key
    return (
        f"{key}: value {layout.figure(key.metric, judged.value)}, "
        f"baseline {layout.figure(key.metric, judged.baseline)}, change {layout.change(judged.change)}, "
        f"tolerance {layout.tolerance(judged.gate)}; {judged.reason}"
    )


def skip(report: GateReport) -> str:
    """Return one line saying why a check was skipped."""
    first = report.failing[0]
    return f"precgate: {len(report.failing)} of {len(report.judged)} gates {first.verdict}: {first.reason}"


def comparison(suite: str, pair: Comparison, points: Sequence[float]) -> list[str]:
    """Return the published picture of one comparison: title, table, wording at each point."""
    rows, outside = layout.readable_rows(pair, points)
    first, second = (name.upper() for name in pair.curves)
    both = f"{first} / {second}"
    head = [
        ("", *layout.COMPARISON_HEAD[1:]),
        (layout.COMPARISON_HEAD[0], both, both, both, both, "ratio", "ratio"),
    ]
    return [
        layout.title(suite, pair),
        *layout.terms(pair),
        *layout.columns([*head, *(layout.comparison_cells(row) for row in rows)], left=0),
        layout.COUNTED,
        *(f"at {row.interactivity:g} tok/s/user: {row.wording}" for row in rows),
        *outside,
    ]


def summary(run: RunReport, *, verbose: bool = False) -> Iterator[Line]:
    """Yield the lines of the terminal summary section; ``verbose``: with what the verdicts took."""
    shown = set()
    for report in run.checks:
        if (key := (report.suite, report.comparison, report.points)) not in shown:
            shown.add(key)
            yield from ((line, None) for line in comparison(report.suite, report.comparison, report.points))
            yield "", None
        yield from _check(report)
        yield "", None
    for made in run.compared:
        yield from ((line, None) for line in comparison(made.suite, made.comparison, made.points))
        yield f"compared by {made.test}; {made.remark}", None
        yield "", None
    for update in run.updates:
        yield from _update(update)
        yield "", None
    for costs in run.costs:
        lines = [*cost.lines(costs), *(cost.of_verdicts(costs) if verbose else ())]
        yield from ((f"{costs.suite}: {line}", None) for line in lines)
    yield from ((f"warning: {warning}", None) for warning in run.warnings)
    yield from ((f"FAIL: {problem}", False) for problem in run.problems)


def _check(report: GateReport) -> Iterator[Line]:
    if report.outcome == "recorded":
        wild = sum(judged.verdict is Verdict.IMPLAUSIBLE for judged in report.judged)
        doubt = f"; {wild} implausibly better than before: check the measurement" if wild else ""
        yield from _evidence(report)
        yield f"{report.test}: {len(report.judged)} gates measured for {report.baseline}{doubt}", None
        yield from ((f"note: {note}", None) for note in (*report.notes, *layout.set_aside(report)))
        yield from ((f"warning: {line}", False) for line in layout.too_noisy(report))
        return
    points = sorted({judged.gate.key.point for judged in report.judged})
    cells = {(judged.gate.key.quantity, judged.gate.key.point): judged for judged in report.judged}
    quantities = list(dict.fromkeys(judged.gate.key.quantity for judged in report.judged))
    head = ("gate", "tolerance", *(f"at {point:g}" for point in points))
    rows = [
        (
            quantity,
            layout.tolerances([cells[quantity, p].gate for p in points]),
            *(f"{layout.change(cells[quantity, p].change)} {cells[quantity, p].verdict}" for p in points),
        )
        for quantity in quantities
    ]
    yield from ((line, None) for line in layout.columns([head, *rows]))
    yield from ((line, None) for line in waivers.waived(report))
    yield from _evidence(report)
    improved = sum(judged.verdict is Verdict.IMPROVED for judged in report.judged)
    stale = f"; {improved} better than a stale baseline: consider --precgate-update" if improved else ""
    yield f"{report.test}: {report.outcome}, {layout.counts(report)} {layout.against(report)}{stale}", report.passed
    yield from ((f"note: {note}", None) for note in report.notes)
    yield from ((f"warning: {line}", False) for line in layout.too_noisy(report))


def _evidence(report: GateReport) -> Iterator[Line]:
    """The drop that each gate catches, and how many launches it took."""
    judged = report.judged
    if all(each.evidence is None or each.evidence.sigma is None for each in judged):
        used = max((each.evidence.launches for each in judged if each.evidence is not None), default=1)
        yield (
            f"noise unknown: the baseline has fewer than {LEAST_LAUNCHES} launches, so a gate passes or "
            f"fails by its tolerance alone, and noise may do either; launches used: {used}",
            None,
        )
        return
    points = sorted({each.gate.key.point for each in judged})
    cells = {(each.gate.key.quantity, each.gate.key.point): each for each in judged}
    head = ("catches, launches", *(f"at {point:g}" for point in points))
    rows = [
        (quantity, *(", ".join(layout.evidence(cell)) for cell in row))
        for quantity in dict.fromkeys(each.gate.key.quantity for each in judged)
        for row in [[cells[quantity, point] for point in points]]
    ]
    yield from ((line, None) for line in layout.columns([head, *rows]))
    yield (
        f"catches: the minimum detectable drop, which fails in {TARGET_POWER:.0%} of runs (upper end of its "
        f"{INTERVAL:.0%} interval)",
        None,
    )


def _update(update: BaselineUpdate) -> Iterator[Line]:
    if update.outcome == "refused":
        yield f"{update.path}: NOT written: {update.reason}", False
        return
    reason = f", reason: {update.reason}" if update.reason else ""
    yield f"{update.path}: {update.outcome}{reason}", True
    yield from ((f"  {note}", None) for note in update.notes)
    moved = [change for change in update.changes if change.before != change.after]
    for test in dict.fromkeys(change.gate.test for change in moved):
        yield f"  {test}", None
        yield from ((f"    {moved_gate(change)}", None) for change in moved if change.gate.test == test)
    if len(moved) < len(update.changes):
        yield f"  {len(update.changes) - len(moved)} gates did not move", None


def moved_gate(change: GateChange) -> str:
    """Return the effect of an update on one gate: old value, new value, change."""
    key = change.gate.key
    if change.before is None:
        return f"{key}: new, {layout.figure(key.metric, change.after)}"
    if change.after is None:
        return f"{key}: removed, was {layout.figure(key.metric, change.before)}"
    lower = (", easier to pass" if change.is_easier else "") + (", louder" if change.is_louder else "")
    before, after = (layout.figure(key.metric, value) for value in (change.before, change.after))
    return f"{key}: {before} -> {after} ({layout.change(change.change)}{lower})"


def properties(report: GateReport) -> list[tuple[str, str]]:
    """Return one JUnit property per gate: its value and its verdict."""
    word = "SIMULATED " if layout.simulated(report.comparison) else ""
    return [
        (
            f"precgate {report.suite} {judged.gate.key}",
            f"{word}{judged.verdict}: {layout.figure(judged.gate.key.metric, judged.value)}, baseline "
            f"{layout.figure(judged.gate.key.metric, judged.baseline)}, change {layout.change(judged.change)}, "
            f"tolerance {layout.tolerance(judged.gate)}{_rests_on(judged)}{_waived(judged)}",
        )
        for judged in report.judged
    ]


def _waived(judged: JudgedGate) -> str:
    return f", {judged.reason}" if judged.verdict is Verdict.WAIVED else ""


def _rests_on(judged: JudgedGate) -> str:
    drop, launches = layout.evidence(judged)
    return f", catches {drop}, launches {launches}"
