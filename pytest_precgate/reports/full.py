"""Everything of a comparison and a check as text: for ``-v``, ``precgate compare`` and ``precgate show``.

Input: comparisons, reports of checks, a width. Output: lines. Invariant: a table that does not fit is told in two, or
with shorter cells; no row is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_precgate.analysis.curves.comparison import Comparison
from pytest_precgate.analysis.gating.noise import LEAST_LAUNCHES
from pytest_precgate.analysis.gating.power import INTERVAL, TARGET_POWER
from pytest_precgate.analysis.gating.verdict import JudgedGate
from pytest_precgate.analysis.report import GateReport
from pytest_precgate.reports import layout, waivers
from pytest_precgate.reports.lines import Line, colour_of, table, wrapped

_BESIDE = (3, 4)
"""The columns of the published table that stand in a second one where the terminal is narrow: power, concurrency."""


def comparison(suite: str, pair: Comparison, points: Sequence[float], width: int) -> Iterator[Line]:
    """Yield the published picture of one comparison: title, terms, table, wording at each point."""
    rows, outside = layout.readable_rows(pair, points)
    both = " / ".join(name.upper() for name in pair.curves)
    whole = [
        ("", *layout.COMPARISON_HEAD[1:]),
        (layout.COMPARISON_HEAD[0], both, both, both, both, "ratio", "ratio"),
        *(layout.comparison_cells(row) for row in rows),
    ]
    yield from wrapped(layout.title(suite, pair), width, colour="bold")
    for term in layout.terms(pair):
        yield from wrapped(term, width)
    lines = layout.columns(whole, left=0)
    if max(len(line) for line in lines) > width:
        kept = [index for index in range(len(whole[0])) if index not in _BESIDE]
        parts = [[[row[index] for index in chosen] for row in whole] for chosen in (kept, [0, *_BESIDE])]
        first, second = (layout.columns(part, left=0) for part in parts)
        lines = [*first, "", *second]
    yield from (Line(line) for line in lines)
    for text in (layout.COUNTED, *(f"at {row.interactivity:g} tok/s/user: {row.wording}" for row in rows), *outside):
        yield from wrapped(text, width)


def check(report: GateReport, width: int) -> Iterator[Line]:
    """Yield every gate of a check, its waiver, and what it catches."""
    yield from gates(report, width)
    for text in waivers.waived(report):
        yield from wrapped(text, width, colour="yellow")
    yield from evidence(report, width)


def reasons(report: GateReport, width: int) -> Iterator[Line]:
    """Yield every gate that did not pass with its reason, and the waivers to paste."""
    for judged in report.failing:
        yield from wrapped(f"{judged.verdict}  {sentence(judged)}", width, colour=colour_of(judged.verdict))
    if pasted := waivers.to_paste(report):
        yield Line("")
        yield from wrapped(pasted[0], width)
        yield from (Line(text) for text in pasted[1:])


def sentence(judged: JudgedGate) -> str:
    """Return one gate in words: value, baseline, change, tolerance, reason."""
    key = judged.gate.key
    return (
        f"{key}: value {layout.figure(key.metric, judged.value)}, "
        f"baseline {layout.figure(key.metric, judged.baseline)}, change {layout.change(judged.change)}, "
        f"tolerance {layout.tolerance(judged.gate)}; {judged.reason}"
    )


def gates(report: GateReport, width: int) -> Iterator[Line]:
    """Yield the change and the verdict of every gate: a column for each point, or a row where they do not fit."""
    points, quantities, cells = _grid(report.judged)
    head = ("gate", "tolerance", *(f"at {point:g}" for point in points))
    rows = [
        (
            quantity,
            layout.tolerances([cells[quantity, p].gate for p in points if (quantity, p) in cells]),
            *(_verdict(cells.get((quantity, p))) for p in points),
        )
        for quantity in quantities
    ]
    long = [("gate", "at", "tolerance", "change", "verdict"), *(_long_row(judged) for judged in report.judged)]
    yield from (Line(line) for line in table([[head, *rows], long], width))


def _verdict(judged: JudgedGate | None) -> str:
    return layout.ABSENT if judged is None else f"{layout.change(judged.change)} {judged.verdict}"


def _long_row(judged: JudgedGate) -> tuple[str, ...]:
    key = judged.gate.key
    return (
        key.quantity,
        f"{key.point:g}",
        layout.tolerance(judged.gate),
        layout.change(judged.change),
        str(judged.verdict),
    )


def _grid(
    judged: Sequence[JudgedGate],
) -> tuple[list[float], list[str], dict[tuple[str, float], JudgedGate]]:
    points = sorted({each.gate.key.point for each in judged})
    quantities = list(dict.fromkeys(each.gate.key.quantity for each in judged))
    return points, quantities, {(each.gate.key.quantity, each.gate.key.point): each for each in judged}


def evidence(report: GateReport, width: int) -> Iterator[Line]:
    """Yield the drop that each gate catches, and how many launches it took."""
    judged = report.judged
    if all(each.evidence is None or each.evidence.sigma is None for each in judged):
        used = max((each.evidence.launches for each in judged if each.evidence is not None), default=1)
        yield from wrapped(
            f"noise unknown: the baseline has fewer than {LEAST_LAUNCHES} launches, so a gate passes or "
            f"fails by its tolerance alone, and noise may do either; launches used: {used}",
            width,
        )
        return
    points, quantities, cells = _grid(judged)
    head = ("catches, launches", *(f"at {point:g}" for point in points))
    rows = [
        (quantity, *(", ".join(layout.evidence(cells[quantity, p])) if (quantity, p) in cells else "-" for p in points))
        for quantity in quantities
    ]
    long = [("gate", "at", "catches", "launches"), *(_long_evidence(each) for each in judged)]
    yield from (Line(line) for line in table([[head, *rows], long], width))
    yield from wrapped(
        f"catches: the minimum detectable drop, which fails in {TARGET_POWER:.0%} of runs (upper end of its "
        f"{INTERVAL:.0%} interval)",
        width,
    )


def _long_evidence(judged: JudgedGate) -> tuple[str, ...]:
    return (judged.gate.key.quantity, f"{judged.gate.key.point:g}", *layout.evidence(judged))
