"""The upper part of the picture: throughput per GPU against interactivity, with the baseline behind and the targets.

Input: a comparison, its targets, its gates, and what stands behind it. Output: SVG elements. Invariant: a curve is the
one that gates are read on, Steffen's cubic as Bezier curves, which are the same cubics where both axes are linear."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from pytest_precgate.analysis.curves.comparison import Comparison, Curve
from pytest_precgate.analysis.curves.interpolation import bezier_segments
from pytest_precgate.analysis.gating.gates import Metric
from pytest_precgate.analysis.gating.verdict import JudgedGate, Verdict
from pytest_precgate.analysis.report import SuiteBackground
from pytest_precgate.reports import layout, lines
from pytest_precgate.reports.causes import gravity
from pytest_precgate.reports.html.markup import Markup, element, joined
from pytest_precgate.reports.html.picture import served_launches
from pytest_precgate.reports.svg.parts import (
    EDGE,
    MUTED,
    PRECISION_COLOURS,
    RULE,
    TEXT,
    WIDTH,
    Axis,
    colour_of,
    line,
    pixel,
    sign,
    text,
)

HEIGHT = 386
_LEFT, _RIGHT, _TOP, _BOTTOM = EDGE + 58, WIDTH - EDGE, 78, HEIGHT - 42
_BEYOND_BAND = 0.25
"""How far the horizontal axis goes beyond the shared band, as a share of it, where there are points."""
_WORD_WIDTH, _FIGURE_WIDTH = 8.5, 118
_PASSING = {Verdict.WAIVED: 0, Verdict.IMPROVED: 1, Verdict.RECORDED: 3}
"""The order in which gates that pass are told at one target; a plain pass stands between."""


@dataclass(frozen=True)
class Plot:
    """One comparison as it is drawn: ``old`` are the curves behind those of the run, by precision."""

    pair: Comparison
    targets: tuple[float, ...]
    judged: tuple[JudgedGate, ...]
    old: dict[str, list[Curve]]
    state: str
    name: str

    @property
    def is_simulated(self) -> bool:
        """Whether any of the run's figures is simulated."""
        return bool(layout.simulated(self.pair))


def plot_of(
    pair: Comparison, targets: Sequence[float], judged: Sequence[JudgedGate], behind: SuiteBackground, name: str
) -> Plot:
    """Return a comparison with what stands behind it; ``name`` tells it from the others of the picture."""
    old = {precision: list(_old(precision, curve, targets, behind)) for precision, curve in pair.curves.items()}
    return Plot(pair, tuple(targets), tuple(judged), old, behind.side or "baseline", name)


def _old(precision: str, curve: Curve, targets: Sequence[float], behind: SuiteBackground) -> Iterator[Curve]:
    launches = list(behind.beside.get(precision, ()))[:1]
    if behind.baseline is not None:
        kept = behind.baseline.launches_of(precision)
        launches += [kept[number] for number in sorted(served_launches(behind.baseline, precision, curve, targets))]
    for launch in launches:
        yield launch.curve(replace(curve.hardware, name=launch.sweep.hardware), curve.cost)


def draw(plot: Plot) -> Markup:
    """Return the plot in a frame of WIDTH by HEIGHT."""
    x, y = axes(plot)
    frame = element("rect", x=_LEFT, y=_TOP, width=_RIGHT - _LEFT, height=_BOTTOM - _TOP)
    inside: list[Markup] = []
    for precision, colour in zip(plot.pair.curves, PRECISION_COLOURS, strict=True):
        inside += _behind(plot, precision, colour, x, y)
    for curve, colour in zip(plot.pair.curves.values(), PRECISION_COLOURS, strict=True):
        inside += _current(curve, colour, x, y)
    clip = f"clip-{plot.name}"
    return joined(
        [
            element("clipPath", frame, id=clip),
            *_legend(plot),
            *_grid(x, y),
            *_targets(plot, x),
            element("g", *inside, clip_path=f"url(#{clip})"),
            *_marks(plot, x, y),
            *(_stamp() if plot.is_simulated else ()),
        ]
    )


def axes(plot: Plot) -> tuple[Axis, Axis]:
    """Return the axes: across the shared band, the targets and some way beyond; up from zero to the highest value."""
    spans = [curve.span for curve in plot.pair.curves.values()]
    low, high = plot.pair.band
    low, high = min([low, *plot.targets]), max([high, *plot.targets])
    beyond = max((high - low) * _BEYOND_BAND, high * 0.02)
    first = max(low - beyond, min(low, *(span[0] for span in spans)) - beyond / 8)
    last = min(high + beyond, max(high, *(span[1] for span in spans)) + beyond / 8)
    curves = [*plot.pair.curves.values(), *(curve for each in plot.old.values() for curve in each)]
    seen = [curve.throughput(min(max(first, curve.span[0]), curve.span[1])) for curve in curves]
    values = [each.value for each in plot.judged if _is_throughput(each) and each.value is not None]
    return Axis(max(first, 0.0), last, _LEFT, _RIGHT), Axis(0.0, max([*seen, *values]) * 1.06, _BOTTOM, _TOP)


def _is_throughput(judged: JudgedGate) -> bool:
    return judged.gate.key.metric is Metric.THROUGHPUT_PER_GPU


def _legend(plot: Plot) -> Iterator[Markup]:
    x, y = float(_LEFT), 14.0
    for precision, colour in zip(plot.pair.curves, PRECISION_COLOURS, strict=True):
        yield line(x, y - 4, x + 24, y - 4, stroke=colour, stroke_width="2.5")
        yield element("circle", cx=pixel(x + 12), cy=pixel(y - 4), r=3.2, fill=colour)
        yield text(x + 30, y, precision.upper(), font_weight=600, fill=colour)
        x += 30 + len(precision) * _WORD_WIDTH + 22
    if any(plot.old.values()):
        yield line(x, y - 4, x + 24, y - 4, stroke=MUTED, stroke_width="1.5", stroke_dasharray="5 3")
        yield text(x + 30, y, plot.state, fill=MUTED)
        x += 30 + len(plot.state) * _WORD_WIDTH + 18
        yield element("rect", x=pixel(x), y=pixel(y - 10), width=24, height=11, fill=MUTED, fill_opacity="0.2")
        yield text(x + 30, y, "loss that the tolerance allows", fill=MUTED)


def _grid(x: Axis, y: Axis) -> Iterator[Markup]:
    for value in y.ticks(6):
        yield line(_LEFT, y.at(value), _RIGHT, y.at(value), stroke=RULE)
        yield text(_LEFT - 8, y.at(value) + 4, f"{value:,.10g}", text_anchor="end", fill=MUTED)
    for value in x.ticks(10):
        yield line(x.at(value), _BOTTOM, x.at(value), _BOTTOM + 5, stroke=MUTED)
        yield text(x.at(value), _BOTTOM + 18, f"{value:,.10g}", text_anchor="middle", fill=MUTED)
    yield line(_LEFT, _BOTTOM, _RIGHT, _BOTTOM, stroke=MUTED)
    yield text((_LEFT + _RIGHT) / 2, _BOTTOM + 36, "interactivity, tok/s/user", text_anchor="middle", fill=MUTED)
    middle = (_TOP + _BOTTOM) / 2
    yield text(
        EDGE,
        middle,
        "tok/s/GPU, input + output",
        text_anchor="middle",
        fill=MUTED,
        transform=f"rotate(-90 {EDGE} {pixel(middle)})",
        dy="0.3em",
    )


def _path(curve: Curve, x: Axis, y: Axis, scale: float = 1.0) -> list[tuple[str, ...]]:
    """The curve's knots and handles in pixels: a start, then three points for each segment."""
    knots = [point.interactivity for point in curve.frontier]
    segments = bezier_segments(knots, [point.throughput_per_gpu * scale for point in curve.frontier])

    def at(point: tuple[float, float]) -> str:
        return f"{pixel(x.at(point[0]))},{pixel(y.at(point[1]))}"

    return [(at(segments[0].start),), *((at(each.first), at(each.second), at(each.end)) for each in segments)]


def _forward(path: Sequence[tuple[str, ...]]) -> str:
    return "".join(f"C{' '.join(points)}" for points in path[1:])


def _backward(path: Sequence[tuple[str, ...]]) -> str:
    """The same curve from its end to its start."""
    ends = [points[-1] for points in path]
    return "".join(
        f"C{' '.join((points[1], points[0], before))}"
        for before, points in reversed(list(zip(ends, path[1:], strict=False)))
    )


def _behind(plot: Plot, precision: str, colour: str, x: Axis, y: Axis) -> Iterator[Markup]:
    """The state a gate is held against, dashed, and the loss that its tolerance allows, where all targets share one."""
    tolerances = {
        each.gate.tolerance
        for each in plot.judged
        if _is_throughput(each) and each.gate.key.precisions == (precision,) and not each.gate.record_only
    }
    for number, curve in enumerate(plot.old[precision]):
        upper = _path(curve, x, y)
        if number == 0 and len(tolerances) == 1:
            lower = _path(curve, x, y, 1 - next(iter(tolerances)))
            band = f"M{upper[0][0]}{_forward(upper)}L{lower[-1][-1]}{_backward(lower)}Z"
            yield element("path", d=band, fill=colour, fill_opacity="0.18")
        yield element(
            "path",
            d=f"M{upper[0][0]}{_forward(upper)}",
            fill="none",
            stroke=colour,
            stroke_width="1.5",
            stroke_dasharray="5 3",
            stroke_opacity="0.75",
        )


def _current(curve: Curve, colour: str, x: Axis, y: Axis) -> Iterator[Markup]:
    """The curve of the run through its frontier; every point, those behind the frontier hollow."""
    path = _path(curve, x, y)
    yield element("path", d=f"M{path[0][0]}{_forward(path)}", fill="none", stroke=colour, stroke_width="2.5")
    best = {id(point) for point in curve.frontier}
    for point in curve.sweep.points:
        said = (
            f"{curve.sweep.precision.upper()} {point.configuration}, concurrency {point.concurrency}: "
            f"{point.throughput_per_gpu:.1f} tok/s/GPU at {point.interactivity:.1f} tok/s/user"
        )
        yield element(
            "g",
            element("title", said),
            element(
                "circle",
                cx=pixel(x.at(point.interactivity)),
                cy=pixel(y.at(point.throughput_per_gpu)),
                r=3.2,
                fill=colour if id(point) in best else "#fff",
                stroke=colour,
            ),
        )


def worst(judged: Sequence[JudgedGate]) -> JudgedGate:
    """Return the gate of the gravest verdict."""
    failing = [each for each in judged if not each.verdict.passes]
    if failing:
        return min(failing, key=lambda each: gravity(each.verdict))
    return min(judged, key=lambda each: _PASSING.get(each.verdict, 2))


def _targets(plot: Plot, x: Axis) -> Iterator[Markup]:
    """A line at each target, and above it the gravest verdict of its gates."""
    gaps = _gaps(plot, x)
    for target in plot.targets:
        place = x.at(target)
        yield line(place, _TOP - 12, place, _BOTTOM, stroke=MUTED, stroke_opacity="0.45")
        gates = [each for each in plot.judged if each.gate.key.point == target]
        if not gates:
            yield text(place, _TOP - 17, f"{target:g}", text_anchor="middle", fill=MUTED)
            continue
        verdict = worst(gates).verdict
        colour = colour_of(lines.colour_of(verdict))
        start = place - (len(f"{target:g}") * _WORD_WIDTH + 18) / 2
        yield sign(start + 7, _TOP - 38, verdict, colour)
        yield text(start + 18, _TOP - 33.5, f"{target:g}", font_weight=600, fill=colour)
        if all(gap > len(str(verdict)) * _WORD_WIDTH for gap in gaps):
            yield text(
                *(place, _TOP - 17, str(verdict)), font_weight=600, font_size=11, fill=colour, text_anchor="middle"
            )


def _gaps(plot: Plot, x: Axis) -> list[float]:
    """The pixels between neighbouring targets."""
    return [x.at(after) - x.at(before) for before, after in pairwise(sorted(plot.targets))]


def _marks(plot: Plot, x: Axis, y: Axis) -> Iterator[Markup]:
    """At each target of a throughput gate: the value that was judged, how it was judged, and where there is room for
    it, its change."""
    has_room = all(gap > _FIGURE_WIDTH for gap in _gaps(plot, x))
    for each in plot.judged:
        if not _is_throughput(each) or each.value is None:
            continue
        place, height = x.at(each.gate.key.point), y.at(each.value)
        colour = colour_of(lines.colour_of(each.verdict))
        if each.baseline is not None:
            yield line(place, y.at(each.baseline), place, height, stroke=colour, stroke_width="2.5")
        yield sign(place, height, each.verdict, colour)
        if not has_room:
            continue
        words = f"{each.value:,.0f}" if each.change is None else f"{each.value:,.0f} ({layout.change(each.change)})"
        yield text(
            *(place + 11, height - 9, words),
            font_weight=600,
            fill=TEXT if each.verdict.passes else colour,
            class_="on",
        )


def _stamp() -> Iterator[Markup]:
    middle = (_LEFT + _RIGHT) / 2, (_TOP + _BOTTOM) / 2
    yield text(
        *middle,
        "SIMULATED",
        text_anchor="middle",
        fill=MUTED,
        fill_opacity="0.16",
        font_size=84,
        font_weight=700,
        transform=f"rotate(-14 {pixel(middle[0])} {pixel(middle[1])})",
        dy="0.35em",
    )
