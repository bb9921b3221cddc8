"""The picture made without a browser: its curves, its marks, its words, and that it is XML whatever it is given."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_precgate.analysis.gating.gates import Metric
from pytest_precgate.analysis.gating.verdict import Absent, Verdict, absent
from pytest_precgate.analysis.report import Compared, GateReport, RunReport, SuiteBackground
from pytest_precgate.reports import failure
from pytest_precgate.reports.svg import changes
from pytest_precgate.reports.svg.curves import axes, draw, plot_of
from pytest_precgate.reports.svg.parts import WIDTH, Axis
from pytest_precgate.reports.svg.picture import render
from tests.builders.pages import POINTS, background, checked

SVG = "{http://www.w3.org/2000/svg}"


@cache
def made(pace: float = 1.0, *, simulated: bool = False) -> tuple[GateReport, SuiteBackground]:
    """The check of an FP4 whose every step takes ``pace`` times as long, and what stands behind it."""
    behind = background({"fp4": (pace,), "int4": (1.0,)}, simulated=simulated)
    return checked(behind), behind


def texts(svg: str) -> list[str]:
    return [each.text or "" for each in ET.fromstring(svg).iter(f"{SVG}text")]


def test_its_first_lines_are_those_of_the_failed_test() -> None:
    """What, against what, how sure: in the picture, and in its title for who does not see it."""
    report, behind = made(1.09)
    svg = render(RunReport(checks=(report,)), [behind])
    told = [line.text.strip() for line in failure.headline(report, 108)][:3]
    assert texts(svg)[1:4] == told
    title = ET.fromstring(svg).findtext(f"{SVG}title")
    assert title is not None
    assert told[0] in title


def test_a_drawn_curve_is_the_curve_that_gates_are_read_on() -> None:
    """At the middle of each drawn Bezier, in pixels turned back into figures, for both precisions."""
    report, behind = made()
    plot = plot_of(report.comparison, POINTS, report.judged, behind, "0")
    paths = re.findall(r'<path d="(M[^"]*C[^"]*)" fill="none" stroke="[^"]*" stroke-width="2.5"', draw(plot))
    x, y = axes(plot)
    assert len(paths) == 2
    for path, curve in zip(paths, report.comparison.curves.values(), strict=True):
        places = [tuple(map(float, pair)) for pair in re.findall(r"(-?[\d.]+),(-?[\d.]+)", path)]
        assert len(places) == 3 * len(curve.frontier) - 2
        for start in range(0, len(places) - 1, 3):
            right, up = (
                sum(weight * each for weight, each in zip((0.125, 0.375, 0.375, 0.125), side, strict=True))
                for side in zip(*places[start : start + 4], strict=True)
            )
            interactivity = x.low + (right - x.start) / (x.end - x.start) * (x.high - x.low)
            assert y.at(curve.throughput(interactivity)) == pytest.approx(up, abs=0.1)


@given(st.floats(-1e5, 1e5), st.floats(1e-3, 1e6), st.integers(2, 12))
def test_ticks_are_round_lie_on_the_axis_and_are_not_too_many(low: float, span: float, most: int) -> None:
    """Whatever the figure."""
    axis = Axis(low, low + span, 0, 100)
    ticks = axis.ticks(most)
    assert 1 <= len(ticks) <= most
    assert all(-1e-3 <= axis.at(tick) <= 100 + 1e-3 for tick in ticks)


def test_every_gate_has_a_row_with_its_change_and_its_verdict() -> None:
    """Up to the number of rows; of more gates those that did not pass come first, and the rest is counted."""
    report, behind = made(1.09)
    said = texts(render(RunReport(checks=(report,)), [behind]))
    for each in report.judged:
        assert f"{each.gate.key.quantity} at {each.gate.key.point:g}" in said
    assert said.count("REGRESSED") == 6 + len(POINTS)
    many = replace(report, judged=tuple(report.judged) * 3)
    rows, _ = changes.shown(many.judged)
    assert len(rows) == changes.MOST_ROWS
    assert not any(each.verdict.passes for each in rows)
    assert "and 15 more gates, 6 did not pass" in texts(render(RunReport(checks=(many,)), [behind]))


def test_the_loss_that_the_tolerance_allows_and_the_baseline_are_drawn_behind() -> None:
    """A dashed curve and a band for each precision; without a baseline neither, and no legend of them."""
    report, behind = made()
    svg = render(RunReport(checks=(report,)), [behind])
    assert len(re.findall(r'stroke-dasharray="5 3" stroke-opacity', svg)) >= 2
    assert svg.count('fill-opacity="0.18"') == 2
    bare = render(RunReport(checks=(report,)), [replace(behind, baseline=None)])
    assert 'fill-opacity="0.18"' not in bare
    assert "baseline" not in texts(bare)


def test_a_gate_without_a_number_is_drawn_as_such() -> None:
    """No mark that looks like a change of nothing."""
    report, behind = made()
    missing = Absent(Verdict.MISSING, "this suite has no baseline", "record one")
    lacking = tuple(absent(each.gate, missing, each.value, None) for each in report.judged)
    svg = render(RunReport(checks=(replace(report, judged=lacking, outcome="failed"),)), [behind])
    assert texts(svg).count("no number to compare") == 9
    assert "PASS" not in texts(svg)


def test_a_simulation_is_stamped() -> None:
    """Across the plot and in the title."""
    report, behind = made(simulated=True)
    svg = render(RunReport(checks=(report,)), [behind])
    assert "SIMULATED" in texts(svg)
    report, behind = made()
    assert "SIMULATED" not in render(RunReport(checks=(report,)), [behind])


def test_what_was_compared_without_a_check_says_so_and_nothing_found_says_so() -> None:
    """Never an empty picture that looks like a pass."""
    report, behind = made()
    compared = RunReport(compared=(Compared("kimi", "t.py::t", report.comparison, ()),))
    assert "compared without a check: nothing is gated here" in texts(render(compared, [behind]))
    assert texts(render(RunReport(), [])) == ["precgate: nothing was compared in this run"]


@settings(max_examples=30)  # two pictures for each
@given(st.text(max_size=60))
def test_no_text_from_outside_becomes_markup(text: str) -> None:
    """Names of tests and reasons of gates: the picture stays XML of the same elements."""
    report, behind = made()
    plain = ET.fromstring(render(RunReport(checks=(replace(report, test="t"),)), [behind]))
    found = ET.fromstring(render(RunReport(checks=(replace(report, test=f"<{text}&'\"]]>"),)), [behind]))
    kinds = {each.tag for each in found.iter()}
    assert kinds == {each.tag for each in plain.iter()}


def test_it_asks_for_nothing_and_runs_nothing() -> None:
    """No script, no image, no address but the name of SVG itself."""
    report, behind = made(1.09)
    svg = render(RunReport(checks=(report,)), [behind])
    assert not re.search(r"<script|<image|<foreignObject|href|@import|url\((?!#)", svg)
    assert set(re.findall(r"https?://[^\"' ]+", svg)) == {"http://www.w3.org/2000/svg"}
    assert len(svg) < 40_000


def test_several_comparisons_stand_below_each_other() -> None:
    """The document is as high as all of them, and no identifier is used twice."""
    report, behind = made()
    one = ET.fromstring(render(RunReport(checks=(report,)), [behind]))
    other = replace(report, suite="other"), replace(behind, suite="other")
    both = ET.fromstring(render(RunReport(checks=(report, other[0])), [behind, other[1]]))
    assert float(both.get("height", 0)) > 1.9 * float(one.get("height", 0))
    assert both.get("width") == str(WIDTH)
    identifiers = [each.get("id") for each in both.iter() if each.get("id")]
    assert len(identifiers) == len(set(identifiers))


def test_a_gate_of_no_throughput_is_not_marked_on_the_throughput_curve() -> None:
    """A ratio has a row alone."""
    report, behind = made()
    ratios = tuple(each for each in report.judged if each.gate.key.metric is Metric.THROUGHPUT_RATIO)
    svg = render(RunReport(checks=(replace(report, judged=ratios),)), [behind])
    assert not [words for words in texts(svg) if re.fullmatch(r"[\d,]+ \(.*%\)", words)]
