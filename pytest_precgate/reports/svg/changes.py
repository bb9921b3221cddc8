"""The lower part of the picture: a row for each gate with its change against its tolerance.

Input: judged gates. Output: SVG elements and their height. Invariant: worse lies on the left for every metric; a change
beyond the scale is drawn at its end with a broken line, and its figure stands beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_precgate.analysis.gating.verdict import JudgedGate
from pytest_precgate.reports import layout, lines
from pytest_precgate.reports.causes import gravity
from pytest_precgate.reports.html.markup import Markup, element
from pytest_precgate.reports.svg.parts import EDGE, MUTED, RULE, TEXT, WIDTH, Axis, colour_of, line, pixel, sign, text

MOST_ROWS = 12
_ROW, _HEAD = 22, 42
_START, _END = EDGE + 256, WIDTH - EDGE - 250
_LEAST_REACH, _MOST_REACH = 0.03, 0.6


def shown(judged: Sequence[JudgedGate]) -> tuple[list[JudgedGate], list[JudgedGate]]:
    """Return the gates that have a row, and the others: the gravest come first where not all have one."""
    if len(judged) <= MOST_ROWS:
        return list(judged), []
    ordered = sorted(
        judged, key=lambda each: (each.verdict.passes, 0 if each.verdict.passes else gravity(each.verdict))
    )
    return ordered[:MOST_ROWS], ordered[MOST_ROWS:]


def height(judged: Sequence[JudgedGate]) -> int:
    """Return the height of all rows, with their head and the line that says how many gates have none."""
    if not judged:
        return 0
    rows, rest = shown(judged)
    return _HEAD + _ROW * (len(rows) + bool(rest))


def draw(judged: Sequence[JudgedGate]) -> Iterator[Markup]:
    """Yield the rows, the first at 0."""
    if not judged:
        return
    rows, rest = shown(judged)
    axis = _axis(rows)
    bottom = _HEAD + _ROW * len(rows)
    yield text(EDGE, 14, "gate", fill=MUTED)
    yield text(_START, 14, "\u2190 worse", fill=MUTED)
    yield text(_END, 14, "better \u2192", fill=MUTED, text_anchor="end")
    yield text((_START + _END) / 2, 14, "change from baseline", fill=MUTED, text_anchor="middle")
    yield text(_END + 14, 14, "grey: tolerance; dashes: noise floor", fill=MUTED, font_size=11)
    for value in axis.ticks(6):
        yield line(axis.at(value), _HEAD - 6, axis.at(value), bottom, stroke=MUTED if value == 0 else RULE)
        label = f"{value * 100:+.3g}%" if value else "0"
        yield text(axis.at(value), _HEAD - 11, label, fill=MUTED, text_anchor="middle", font_size=11)
    for number, each in enumerate(rows):
        yield from _row(each, axis, _HEAD + number * _ROW)
    if rest:
        failed = sum(not each.verdict.passes for each in rest)
        words = f"and {layout.counted(len(rest), 'more gate')}, {f'{failed} did not pass' if failed else 'all pass'}"
        yield text(EDGE, bottom + 15, words, fill=MUTED)


def _axis(rows: Sequence[JudgedGate]) -> Axis:
    shares = [_LEAST_REACH]
    for each in rows:
        gain, found = _gain(each), each.evidence
        shares += [] if gain is None else [abs(gain)]
        shares += [] if each.gate.record_only else [each.gate.tolerance]
        shares += [] if found is None or found.noise_floor is None else [found.noise_floor]
    reach = min(max(shares) * 1.12, _MOST_REACH)
    return Axis(-reach, reach, _START, _END)


def _gain(judged: JudgedGate) -> float | None:
    if judged.value is None or judged.baseline is None:
        return None
    return judged.gate.gain(judged.value, judged.baseline)


def _row(judged: JudgedGate, axis: Axis, top: float) -> Iterator[Markup]:
    key, middle = judged.gate.key, top + _ROW / 2
    colour = colour_of(lines.colour_of(judged.verdict))
    yield text(EDGE, middle + 4, f"{key.quantity} at {key.point:g}", fill=TEXT)
    gain = _gain(judged)
    if gain is not None and not judged.gate.record_only:
        left = axis.at(max(-judged.gate.tolerance, axis.low))
        size = {"width": pixel(axis.at(0) - left), "height": _ROW - 8}
        yield element("rect", x=pixel(left), y=pixel(top + 4), fill=MUTED, fill_opacity="0.2", **size)
    floor = None if judged.evidence is None else judged.evidence.noise_floor
    if floor is not None:
        place = axis.at(max(-floor, axis.low))
        yield line(place, top + 2, place, top + _ROW - 2, stroke=TEXT, stroke_width="1.5", stroke_dasharray="3 2")
    if gain is None:
        yield text(
            (_START + _END) / 2, middle + 4, "no number to compare", fill=colour, text_anchor="middle", class_="on"
        )
    else:
        place = axis.at(min(max(gain, axis.low), axis.high))
        beyond = {} if axis.low <= gain <= axis.high else {"stroke_dasharray": "6 4"}
        yield line(axis.at(0), middle, place, middle, stroke=colour, stroke_width="2", **beyond)
        yield sign(place, middle, judged.verdict, colour)
        yield text(_END + 74, middle + 4, layout.change(judged.change), fill=colour, text_anchor="end", font_weight=600)
    yield text(_END + 86, middle + 4, str(judged.verdict), fill=colour, font_weight=600)
