"""The terminal summary at the end of a pytest run, and the text of a failed test.

Input: a run's report, the terminal's width, and whether pytest is verbose. Output: lines. Invariant: what the text of a
failed test has told is not told again; everything left out is told with ``-v``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from pytest_precgate.analysis.accepted.update import GateChange
from pytest_precgate.analysis.curves.comparison import Comparison
from pytest_precgate.analysis.gating.noise import LEAST_LAUNCHES
from pytest_precgate.analysis.gating.power import TARGET_POWER
from pytest_precgate.analysis.gating.verdict import JudgedGate, Verdict
from pytest_precgate.analysis.report import BaselineUpdate, GateReport, RunReport
from pytest_precgate.reports import cost, full, layout, waivers
from pytest_precgate.reports import failure as of_failure
from pytest_precgate.reports.lines import FILE_WIDTH, Colour, Line, wrapped

_MOST_NOTES = 2
_MOST_MOVED = 9


def failure(report: GateReport, width: int = FILE_WIDTH, *, verbose: bool = False) -> list[Line]:
    """Return the text of a failed check: what, against what, what to do, and the gates that did not pass.

    A ``verbose`` one has each gate's reason and the waivers to paste as well."""
    text = list(of_failure.lines(report, width))
    return [*text, Line(""), *full.reasons(report, width)] if verbose else text


def skip(report: GateReport) -> str:
    """Return one line saying why a check was skipped."""
    first = report.failing[0]
    return f"precgate: {len(report.failing)} of {len(report.judged)} gates {first.verdict}: {first.reason}"


def summary(run: RunReport, width: int, *, verbose: bool = False, told: Collection[str] = ()) -> Iterator[Line]:
    """Yield the lines of the terminal summary section; ``told`` are the tests whose failure is shown above it."""
    shown = set()
    for report in run.checks:
        first = (key := (report.suite, report.comparison, report.points)) not in shown
        shown.add(key)
        if first and (verbose or report.outcome != "failed"):
            yield from _compared(report.suite, report.comparison, report.points, width, verbose=verbose)
        yield from _check(report, width, verbose=verbose, is_told=report.test in told)
    for made in run.compared:
        yield from _compared(made.suite, made.comparison, made.points, width, verbose=verbose)
        yield from wrapped(f"compared by {made.test}; {made.remark}", width)
    for update in run.updates:
        yield from _update(update, width, verbose=verbose)
    yield from _ending(run, width, verbose=verbose)


def _ending(run: RunReport, width: int, *, verbose: bool) -> Iterator[Line]:
    """What the run cost, and what concerns no single check."""
    for costs in run.costs:
        for text in (*cost.lines(costs), *cost.of_verdicts(costs)) if verbose else cost.brief(costs):
            yield from wrapped(f"{costs.suite}: {text}", width)
    for hint in run.hints if verbose else ():
        yield from wrapped(hint, width)
    for warning in run.warnings:
        yield from wrapped(f"warning: {warning}", width, colour="yellow")
    for problem in run.problems:
        yield from wrapped(f"FAIL: {problem}", width, colour="red")


def _compared(suite: str, pair: Comparison, points: Sequence[float], width: int, *, verbose: bool) -> Iterator[Line]:
    """The published picture, or what of it takes two lines: the ratios at the points."""
    if verbose:
        yield from full.comparison(suite, pair, points, width)
        return
    rows, outside = layout.readable_rows(pair, points)
    yield from wrapped(layout.title(suite, pair), width, colour="bold")
    if rows:
        at = ", ".join(f"{row.interactivity:g}" for row in rows)
        ratios = ", ".join(f"{row.throughput_ratio:.3f}x" for row in rows)
        costs = ", ".join(f"{row.cost_ratio:.3f}x" for row in rows)
        names = "/".join(name.upper() for name in pair.curves)
        yield from wrapped(f"{names} at {at} tok/s/user: tok/s/GPU {ratios}; $/M tokens {costs}", width)
    for text in outside:
        yield from wrapped(text, width)


def _check(report: GateReport, width: int, *, verbose: bool, is_told: bool) -> Iterator[Line]:
    """The outcome of one check, and what of it no text above has told."""
    if report.outcome == "failed" and not is_told:
        yield from failure(report, width, verbose=verbose)
    if verbose and report.outcome == "recorded":
        yield from full.evidence(report, width)
    elif verbose:
        yield from full.check(report, width)
    yield from wrapped(outcome(report), width, colour=_colour(report))
    if not verbose:
        yield from briefly(report, width)
    notes = [*layout.told_once(report.notes), *layout.set_aside(report)]
    if report.outcome == "failed" and not verbose:
        notes = []  # the failure's text has the first of them
    most = len(notes) if verbose else _MOST_NOTES
    for note in notes[:most]:
        yield from wrapped(f"note: {note}", width)
    if len(notes) > most:
        yield Line(f"note: and {len(notes) - most} more notes: pytest -v")
    for text in layout.too_noisy(report):
        yield from wrapped(f"warning: {text}", width, colour="red")


def outcome(report: GateReport) -> str:
    """Return the outcome of a check in one sentence."""
    if report.outcome == "recorded":
        wild = sum(judged.verdict is Verdict.IMPLAUSIBLE for judged in report.judged)
        doubt = f"; {wild} implausibly better than before: check the measurement" if wild else ""
        return f"{report.test}: {len(report.judged)} gates measured for {report.baseline}{doubt}"
    improved = sum(judged.verdict is Verdict.IMPROVED for judged in report.judged)
    stale = f"; {improved} better than a stale baseline: consider --precgate-update" if improved else ""
    return f"{report.test}: {report.outcome}, {layout.counts(report)} {layout.against(report)}{stale}"


def _colour(report: GateReport) -> Colour:
    if report.outcome == "recorded":
        return ""
    return "green" if report.passed else "red" if report.outcome == "failed" else "yellow"


def briefly(report: GateReport, width: int) -> Iterator[Line]:
    """Yield the largest loss of a check that did not fail, what it would have caught, and what was waived."""
    for text in waivers.waived(report):
        yield from wrapped(text, width, colour="yellow")
    if report.outcome not in ("passed", "added"):
        return
    judged = [each for each in report.judged if each.change is not None]
    if judged:
        worst = max(judged, key=_loss)
        lost = _loss(worst) > 0 and layout.change(_loss(worst)) != "0.0%"
        moved = f"largest loss {_loss(worst):.1%}, {worst.gate.key}" if lost else "no gate lost anything"
        tolerance = layout.tolerances([each.gate for each in judged])
        yield from wrapped(f"  {moved} (tolerance {tolerance}); {_reach(judged)}", width)


def _loss(judged: JudgedGate) -> float:
    assert judged.value is not None
    assert judged.baseline is not None
    return -judged.gate.gain(judged.value, judged.baseline)


def _reach(judged: Sequence[JudgedGate]) -> str:
    """The drop that every gate catches, which is the largest of theirs."""
    drops = [each.evidence.minimum_detectable_drop for each in judged if each.evidence is not None]
    known = [drop for drop in drops if drop is not None]
    if not known:
        return f"noise unknown: fewer than {LEAST_LAUNCHES} launches in the baseline"
    return f"a drop of {max(known):.1%} fails {TARGET_POWER:.0%} of runs"


def _update(update: BaselineUpdate, width: int, *, verbose: bool) -> Iterator[Line]:
    if update.outcome == "refused":
        return  # a problem of the run, which tells it
    reason = f", reason: {update.reason}" if update.reason else ""
    yield from wrapped(f"{update.path}: {update.outcome}{reason}", width, colour="green")
    for note in update.notes:
        yield from wrapped(f"  {note}", width)
    moved = [change for change in update.changes if change.before != change.after]
    shown = moved if verbose else moved[:_MOST_MOVED]
    for test in dict.fromkeys(change.gate.test for change in shown):
        yield from wrapped(f"  {test}", width)
        for change in shown:
            if change.gate.test == test:
                yield from wrapped(f"    {moved_gate(change)}", width)
    if len(shown) < len(moved):
        yield Line(f"  {len(moved) - len(shown)} more gates moved: pytest -v")
    if len(moved) < len(update.changes):
        yield Line(f"  {len(update.changes) - len(moved)} gates did not move")


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
