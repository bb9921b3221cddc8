"""The text of a failed check: what got worse, by how much, where, against what, how sure, and what to do.

Input: a report of a check, and a width. Output: lines. Invariant: the first three lines answer all of that for the
gravest cause, each cause is told once, and the table holds only gates that did not pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_precgate.analysis.gating.verdict import JudgedGate, Verdict
from pytest_precgate.analysis.gating.waiver import loss_of
from pytest_precgate.analysis.report import GateReport
from pytest_precgate.reports import layout
from pytest_precgate.reports.causes import Cause, causes, listed, points_of
from pytest_precgate.reports.lines import Line, colour_of, table, wrapped

_MOST_ROWS = 9
_MOST_CAUSES = 3
_UNTABLED = (Verdict.MISSING, Verdict.MISMATCH)
"""Their gates differ in nothing but their name."""


def lines(report: GateReport, width: int) -> Iterator[Line]:
    """Yield the whole text."""
    yield from headline(report, width)
    shown, left_out = tabled(report)
    if shown:
        yield Line("")
        yield from _table(shown, left_out, width)
        yield Line("")
        yield from _ending(report, width)


def headline(report: GateReport, width: int) -> Iterator[Line]:
    """Yield what happened, against what, how sure and what to do, by cause; then what moved beside it."""
    found = causes(report.judged)
    groups: dict[tuple[bool, Verdict, int], list[Cause]] = {}
    for number, cause in enumerate(found):
        groups.setdefault((cause.is_change, cause.verdict, 0 if cause.is_change else number), []).append(cause)
    for group in list(groups.values())[:_MOST_CAUSES]:
        yield from _told(group, report, width)
    if rest := list(groups.values())[_MOST_CAUSES:]:
        gates = sum(len(cause.every) for group in rest for cause in group)
        yield from wrapped(f"and {layout.counted(gates, 'gate')} for {layout.counted(len(rest), 'more cause')}", width)
    if any(cause.is_change for cause in found):
        yield from wrapped(_beside(report, found), width)


def _told(group: Sequence[Cause], report: GateReport, width: int) -> Iterator[Line]:
    """What happened, a line for each precision; against what; how sure, and what to do."""
    first = group[0]
    colour = colour_of(first.verdict)
    simulated = "SIMULATED " * bool(layout.simulated(report.comparison))
    if not first.is_change:
        yield from wrapped(f"{simulated}{_absence(first)}", width, colour=colour)
        if remedy := _worst_refused(first).remedy:
            yield from wrapped(remedy if first.verdict is Verdict.MISSING else f"To do: {remedy}", width)
        return
    for cause in group:
        yield from wrapped(f"{simulated}{_what(cause)}", width, colour=colour)
    gates = [each for cause in group for each in cause.gates]
    tolerance = layout.tolerances([each.gate for each in gates])
    passes = ", which it passes," if first.verdict is Verdict.DRIFTED else ""
    seen = [each.evidence.minimum_detectable_drop for each in gates if each.evidence is not None]
    drops = [drop for drop in seen if drop is not None]
    catches = f", catches {max(drops):.1%}" if drops else ""
    yield from wrapped(f"against {_other(gates, report)}{passes} (tolerance {tolerance}{catches})", width)
    yield from wrapped(f"{_sureness(first.verdict, gates, report)}: {_remedy(first, report)}", width)


def _other(gates: Sequence[JudgedGate], report: GateReport) -> str:
    """What the changes are against: the baseline, or the old state where that made a gate fail."""
    beside = [each.evidence is not None and each.evidence.beside_loss is not None for each in gates]
    if not any(beside):
        return report.baseline
    return "the old state, measured now" if all(beside) else f"{report.baseline}, or the old state, measured now"


def _what(cause: Cause) -> str:
    """What changed, by how much, and where: ``FP4 throughput_per_gpu fell 8.0% at 55 and 73 tok/s/user``."""
    name, where = f"{cause.owner} {cause.gates[0].gate.key.metric.value}", points_of(cause.gates)
    if cause.verdict is Verdict.DRIFTED:
        return f"{name} is {_shares([_drift(each) for each in cause.gates])} worse than its anchor at {where}"
    losses = [-_gain(each) for each in cause.gates]
    if cause.verdict is Verdict.REGRESSED and all(
        loss <= each.gate.tolerance for loss, each in zip(losses, cause.gates, strict=True)
    ):
        # The value between its points hides a point that collapsed.
        points = _shares([loss_of(each) or 0.0 for each in cause.gates])
        return f"{name} lost {points} at a serving point of {where}"
    fell = cause.gates[0].gate.key.metric.higher_is_better == (losses[0] > 0)
    gain = " better than is plausible" if cause.verdict is Verdict.IMPLAUSIBLE else ""
    change = _shares([abs(each.change or 0.0) for each in cause.gates])
    return f"{name} {'fell' if fell else 'rose'} {change}{gain} at {where}"


def _gain(judged: JudgedGate) -> float:
    assert judged.value is not None
    assert judged.baseline is not None
    return judged.gate.gain(judged.value, judged.baseline)


def _drift(judged: JudgedGate) -> float:
    found = None if judged.evidence is None else judged.evidence.anchor_loss
    return 0.0 if found is None else found


def _shares(shares: Sequence[float]) -> str:
    least, most = (f"{choose(shares) * 100:.1f}" for choose in (min, max))
    return f"{least}%" if least == most else f"{least} to {most}%"


def _sureness(verdict: Verdict, gates: Sequence[JudgedGate], report: GateReport) -> str:
    """How many launches agree, those of the old state included, and the noise floor."""
    evidence = [each.evidence for each in gates if each.evidence is not None]
    launches = max((each.launches for each in evidence), default=1)
    old = max((len(each.old_values) for each in evidence), default=0)
    floors = [each.noise_floor for each in evidence if each.noise_floor is not None]
    noise = f"noise floor {max(floors):.1%}" if floors else "noise unknown"
    if verdict is Verdict.ENVIRONMENT_CHANGED:
        return f"the old state lost as much in {layout.counted(old, 'launch')}"
    if report.rule.startswith("median"):
        agree = report.rule
    else:
        agree = f"{launches} of {launches} launches agree" if launches > 1 else "1 launch"
    return f"{agree}, {f'{old} of the old state better' if old else noise}"


def _absence(cause: Cause) -> str:
    """Why gates have no verdict, and which they are."""
    first, number = _worst_refused(cause), layout.counted(len(cause.gates), "gate")
    if first.refusal is not None:
        worst = f"; the worst, {first.gate.key}" if len(cause.gates) > 1 else f", {first.gate.key}"
        return f"{number} {cause.verdict}{worst}: {first.cause}"
    if cause.verdict is Verdict.INCONCLUSIVE:
        return f"{listed(list(dict.fromkeys(_short(each) for each in cause.gates)))} {cause.verdict}: {first.cause}"
    return f"{number} {cause.verdict}: {first.cause}"


def _worst_refused(cause: Cause) -> JudgedGate:
    """The gate whose remedy is enough for all: of those that noise refuses, the one that catches least."""
    if cause.gates[0].refusal is None:
        return cause.gates[0]
    return max(cause.gates, key=lambda each: (each.evidence and each.evidence.minimum_detectable_drop) or 0.0)


def _short(judged: JudgedGate) -> str:
    key = judged.gate.key
    return f"{'/'.join(key.precisions).upper()} {key.metric.value} at {key.point:g}"


def _remedy(cause: Cause, report: GateReport) -> str:
    """What to do about a change: the gate's own remedy, or that of its verdict."""
    if cause.verdict is Verdict.DRIFTED:
        return "find the small losses (precgate baseline show), or --precgate-lower-anchor"
    if cause.verdict is Verdict.ENVIRONMENT_CHANGED:
        return "record it again here, then judge"
    if cause.verdict is Verdict.IMPLAUSIBLE:
        return "check the measurement; if it is real, --precgate-update"
    if cause.verdict is Verdict.REGRESSED:
        return f"find the cause{', or waive it (details)' * bool(report.waivers)}"
    return cause.gates[0].remedy or "measure again"


def _beside(report: GateReport, found: Sequence[Cause]) -> str:
    """What moved with the causes, and what did not move."""
    moved = [_moved(gates) for cause in found if cause.is_change for gates in _by_quantity(cause.others)]
    passed = [each for each in report.judged if each.verdict.passes and each.change is not None]
    still = [_moved(gates) for gates in _by_quantity(passed)]
    parts = [f"with it: {listed(moved)}"] if moved else []
    parts += [f"passing: {listed(still)}"] if still else []
    gated = {each.gate.key.metric for each in report.judged}
    free = [each for each in report.latencies if each.key.metric not in gated]
    if free:
        first = free[0].key
        told = ", ".join(f"{each.key.metric.value} {layout.change(each.change)}" for each in free)
        parts.append(f"not gated, {first.precisions[0].upper()} at {first.point:g}: {told}")
    return "; ".join(parts)


def _by_quantity(gates: Sequence[JudgedGate]) -> list[list[JudgedGate]]:
    each: dict[str, list[JudgedGate]] = {}
    for gate in gates:
        each.setdefault(gate.gate.key.quantity, []).append(gate)
    return list(each.values())


def _moved(gates: Sequence[JudgedGate]) -> str:
    """One quantity and the least and largest of its changes: ``INT4 throughput_per_gpu unchanged``."""
    key = gates[0].gate.key
    changes = sorted((each.change for each in gates if each.change is not None), key=abs)
    ends = dict.fromkeys(layout.change(change) for change in (changes[:1] + changes[-1:]))
    said = "unchanged" if list(ends) == ["0.0%"] else " to ".join(ends)
    return f"{'/'.join(key.precisions).upper()} {key.metric.value} {said}".rstrip()


def tabled(report: GateReport) -> tuple[list[JudgedGate], int]:
    """Return the gates that did not pass, and how many are left out: of many, the worst of each quantity and verdict.

    Gates that differ in nothing but their name are in no table."""
    gates = [each for each in report.judged if not each.verdict.passes and each.verdict not in _UNTABLED]
    shown = gates if len(gates) <= _MOST_ROWS else _worst(gates)
    return shown, len(gates) - len(shown)


HEAD = ("gate", "tok/s/user", "baseline", "value", "change", "tolerance", "launches", "verdict")


def _table(shown: Sequence[JudgedGate], left_out: int, width: int) -> Iterator[Line]:
    """The gates that did not pass, one per row."""
    full = [HEAD, *(cells(each) for each in shown)]
    bare = [(HEAD[0], "at", *HEAD[2:]), *(_without_units(row) for row in full[1:])]
    choices = [full, bare, *(_without(bare, *names) for names in (("launches",), ("launches", "tolerance")))]
    head, *body = table([*choices, _without(bare, "launches", "tolerance", "baseline")], width)
    yield Line(head, "bold")
    yield from (Line(text, colour_of(each.verdict)) for text, each in zip(body, shown, strict=True))
    if left_out:
        yield from wrapped(f"the worst of each quantity; {left_out} more did not pass", width)


def _worst(gates: Sequence[JudgedGate]) -> list[JudgedGate]:
    each: dict[tuple[str, Verdict], list[JudgedGate]] = {}
    for gate in gates:
        each.setdefault((gate.gate.key.quantity, gate.verdict), []).append(gate)
    return [max(group, key=lambda gate: loss_of(gate) or 0.0) for group in each.values()]


def cells(judged: JudgedGate) -> tuple[str, ...]:
    """Return a row of the table of gates that did not pass, under HEAD."""
    key = judged.gate.key
    return (
        key.quantity,
        f"{key.point:g}",
        layout.figure(key.metric, judged.baseline),
        layout.figure(key.metric, judged.value),
        layout.change(judged.change),
        layout.tolerance(judged.gate),
        layout.evidence(judged)[1],
        str(judged.verdict),
    )


def _without_units(row: Sequence[str]) -> tuple[str, ...]:
    """The row with its figures bare: the metric's name says their unit."""
    return (*row[:2], *(figure.partition(" ")[0] for figure in row[2:4]), *row[4:])


def _without(rows: Sequence[Sequence[str]], *names: str) -> list[tuple[str, ...]]:
    kept = [index for index, name in enumerate(rows[0]) if name not in names]
    return [tuple(row[index] for index in kept) for row in rows]


def _ending(report: GateReport, width: int) -> Iterator[Line]:
    """What differs from the baseline, and where everything else is."""
    named = [note for note in layout.told_once(report.notes) if note.partition(": ")[0] in _names(report)]
    if named:
        more = f" (and {layout.counted(len(named) - 1, 'more note')})" * (len(named) > 1)
        yield from wrapped(f"note: {named[0]}{more}", width)
    where = f"precgate show {report.run}" if report.run else "pytest -v"
    yield from wrapped(f"details: {where}", width)


def _names(report: GateReport) -> set[str]:
    """What a note of one precision, or of both, begins with."""
    names = list(report.comparison.curves)
    return {*names, ", ".join(names)}
