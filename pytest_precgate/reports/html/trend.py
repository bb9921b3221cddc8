"""The picture of a gate over time: a small SVG, drawn here, so that the page needs no script.

Input: the trend of a gate, the revisions of its baseline. Output: SVG. Invariant: the size of a picture does not grow
with the number of runs: beyond DOTS a column is the span and the median of its runs."""

from __future__ import annotations

import statistics
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise

from pytest_precgate.analysis.accepted.trend import BaselineRevision, GateTrend
from pytest_precgate.analysis.gating.verdict import Verdict
from pytest_precgate.reports import layout
from pytest_precgate.reports.html.markup import Markup, element
from pytest_precgate.reports.sparkline import span

DOTS = 150
"""The most runs that are drawn one by one."""

_COLUMNS = 300
_WIDTH, _HEIGHT = 1000, 160
_LEFT, _RIGHT, _TOP, _BOTTOM = 4, 96, 16, 26
_MARGIN = 0.06  # of the scale, above and below
_FAILS = frozenset(str(verdict) for verdict in Verdict if not verdict.passes)
_MOST_REVISIONS = 100


class _Scale:
    """Where a run and a value are drawn."""

    def __init__(self, trend: GateTrend) -> None:
        values = [each.value for each in trend.readings]
        held = [each.baseline for each in trend.readings if each.baseline is not None]
        low, high = span([*values, *held])
        self.low, self.high = low - _MARGIN * (high - low), high + _MARGIN * (high - low)
        self.runs = len(values)

    def x(self, index: float) -> str:
        """The place of run number ``index``, or of a place between two."""
        return f"{_LEFT + (_WIDTH - _LEFT - _RIGHT) * (index + 0.5) / self.runs:.0f}"

    def y(self, value: float) -> str:
        """The place of a value."""
        return f"{_TOP + (_HEIGHT - _TOP - _BOTTOM) * (self.high - value) / (self.high - self.low):.0f}"


def picture(trend: GateTrend, revisions: Sequence[BaselineRevision]) -> Markup:
    """Return the picture of a gate."""
    scale = _Scale(trend)
    frame = f"M{_LEFT},{_TOP}H{_WIDTH - _RIGHT}V{_HEIGHT - _BOTTOM}H{_LEFT}Z"
    drawn = _dots(trend, scale) if scale.runs <= DOTS else _columns(trend, scale)
    parts = [element("path", d=frame, class_="frame"), *_revisions(trend, revisions, scale), *drawn]
    parts += [*_held(trend, scale), *_levels(trend, scale), *_words(trend, scale)]
    label = _said(trend)
    return element("svg", *parts, role="img", aria_label=label, class_="trend", viewBox=f"0 0 {_WIDTH} {_HEIGHT}")


def _dots(trend: GateTrend, scale: _Scale) -> Iterator[Markup]:
    values = [(number, each.value) for number, each in enumerate(trend.readings)]
    yield element("path", d=_path(values, scale), class_="middle")
    for number, each in enumerate(trend.readings):
        kind = "run red" if each.verdict in _FAILS else "run"
        text = f"{each.utc} commit {each.commit[:12]}: {layout.figure(trend.key.metric, each.value)} {each.verdict}"
        circle = element("circle", cx=scale.x(number), cy=scale.y(each.value), r=3, class_=kind)
        yield element("g", element("title", text), circle)


def _columns(trend: GateTrend, scale: _Scale) -> Iterator[Markup]:
    """The span of the runs of each column as an area, and their medians as a line."""
    every = [each.value for each in trend.readings]
    edges = [column * len(every) // min(_COLUMNS, len(every)) for column in range(min(_COLUMNS, len(every)) + 1)]
    several = [((low + high - 1) / 2, every[low:high]) for low, high in pairwise(edges)]
    above = [(place, max(values)) for place, values in several]
    below = [(place, min(values)) for place, values in reversed(several)]
    yield element("path", d=Markup(f"{_path([*above, *below], scale)}Z"), class_="spread")
    middle = [(place, statistics.median(values)) for place, values in several]
    yield element("path", d=_path(middle, scale), class_="middle")


def _path(points: Sequence[tuple[float, float]], scale: _Scale) -> Markup:
    """Numbers alone, so it is Markup already: a text of its length would be cut."""
    return Markup("M" + "L".join(f"{scale.x(place)},{scale.y(value)}" for place, value in points))


def _held(trend: GateTrend, scale: _Scale) -> Iterator[Markup]:
    """The baseline that runs were held against, as steps."""
    steps, before = [], None
    for number, each in enumerate(trend.readings):
        if each.baseline is None:
            before = None
        elif before is None or scale.y(each.baseline) != scale.y(before):
            joint = "" if before is None else f"H{scale.x(number - 0.5)}V{scale.y(each.baseline)}"
            steps.append(joint or f"M{scale.x(number - 0.5)},{scale.y(each.baseline)}")
            before = each.baseline
        if before is not None and (number + 1 == scale.runs or trend.readings[number + 1].baseline is None):
            steps.append(f"H{scale.x(number + 0.5)}")
    if steps:
        yield element("path", d=Markup("".join(steps)), class_="held")


def _levels(trend: GateTrend, scale: _Scale) -> Iterator[Markup]:
    """A line at each change point with its change, and the levels on both sides."""
    if not trend.changes:
        return
    edges = [0, *(change.index for change in trend.changes), scale.runs]
    levels = [trend.changes[0].before, *(change.after for change in trend.changes)]
    for (start, end), level in zip(pairwise(edges), levels, strict=True):
        yield element("path", d=f"M{scale.x(start - 0.5)},{scale.y(level)}H{scale.x(end - 0.5)}", class_="level")
    for change in trend.changes:
        kind = "worse" if trend.gain(change) < 0 else "better"
        place = scale.x(change.index - 0.5)
        yield element("path", d=f"M{place},{_TOP}V{_HEIGHT - _BOTTOM}", class_=kind)
        words = layout.change(change.after / change.before - 1)
        yield element("text", words, x=place, y=_TOP - 4, text_anchor="middle", class_=kind)


def _revisions(trend: GateTrend, revisions: Sequence[BaselineRevision], scale: _Scale) -> Iterator[Markup]:
    """A tick below for each of the newest revisions of the baseline that is between two runs."""
    if not trend.of_runs:
        return
    times = [each.utc for each in trend.readings]
    for each in revisions[-_MOST_REVISIONS:]:
        if times[0] <= each.utc <= times[-1]:
            place = scale.x(bisect_left(times, each.utc) - 0.5)
            yield element("path", d=f"M{place},{_HEIGHT - _BOTTOM}v6", class_="revision")


def _words(trend: GateTrend, scale: _Scale) -> Iterator[Markup]:
    right, bottom = _WIDTH - _RIGHT + 6, _HEIGHT - 5
    for value, place in ((scale.high, _TOP + 9), (scale.low, _HEIGHT - _BOTTOM)):
        yield element("text", layout.figure(trend.key.metric, value).replace(" tok/s/GPU", ""), x=right, y=place)
    yield element("text", trend.readings[0].utc[:10], x=_LEFT, y=bottom)
    yield element("text", trend.readings[-1].utc[:10], x=_WIDTH - _RIGHT, y=bottom, text_anchor="end")


def _said(trend: GateTrend) -> str:
    """The picture in words, for a screen reader."""
    what = "run" if trend.of_runs else "accepted state"
    first, last = (layout.figure(trend.key.metric, trend.readings[end].value) for end in (0, -1))
    words = [f"{trend.key}: {layout.counted(len(trend.readings), what)}, first {first}, last {last}"]
    for change in trend.changes:
        reading = trend.readings[change.index]
        words.append(f"{layout.change(change.after / change.before - 1)} on {reading.utc[:10]}")
    return "; ".join(words)
