"""The page in a browser without a network: its numbers are Python's, it asks nothing, and everyone can use it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_precgate.analysis.curves.comparison import Comparison, Curve, Row, compare
from pytest_precgate.analysis.curves.economics import Hardware
from pytest_precgate.analysis.gating.verdict import Verdict
from pytest_precgate.analysis.report import Compared, RunReport, SuiteBackground
from pytest_precgate.reports.html.model import Document, document
from tests.browser.conftest import Open, Opened
from tests.builders.pages import B200, MADE, background, detailed, paced, page
from tests.published import ROOT, kimi

pytestmark = pytest.mark.browser

ID = "kimi-fp4-int4"
AXE = ROOT / "tools" / "report" / "node_modules" / "axe-core" / "axe.min.js"
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}


def pair_of(pace: float = 1.0, hardware: Hardware = B200) -> Comparison:
    """What the page of `page(pace)` compares."""
    return compare(detailed(paced("fp4", pace)), paced("int4", 1.0), hardware=hardware)


def figures(row: Row) -> list[list[float]]:
    a, b = row.candidate, row.reference
    names = ("throughput_per_gpu", "cost", "tokens_per_second_per_megawatt", "concurrency")
    return [*([getattr(a, name), getattr(b, name)] for name in names), [row.throughput_ratio], [row.cost_ratio]]


def assert_same(found: list[list[float]], row: Row) -> None:
    """To the last bits: the same formula, in the same order of magnitude of rounding."""
    for ours, theirs in zip(figures(row), found, strict=True):
        assert theirs == pytest.approx(ours, rel=1e-12)


def test_the_table_holds_python_s_numbers(show: Open) -> None:
    """Throughput, cost, tok/s/MW, concurrency and ratios at every target, all digits, and the same words."""
    opened, pair = show(page()), pair_of()
    for number, target in enumerate((55, 73, 91)):
        assert_same(opened.values(number), pair.at(target))
    words = opened.page.locator(".words li").all_inner_texts()
    assert words == [f"at {target} tok/s/user: {pair.at(target).wording}" for target in (55, 73, 91)]


def test_an_edited_target_changes_the_numbers_to_python_s(show: Open) -> None:
    """Over the whole shared band, knots and both ends included; outside of it there is no number."""
    opened, pair = show(page()), pair_of()
    field = opened.page.get_by_label("target 1, tok/s/user")
    low, high = pair.band
    knots = [point.interactivity for curve in pair.curves.values() for point in curve.frontier]
    inside = [knot for knot in knots if low <= knot <= high]
    for target in (*inside, low, high, *(low + (high - low) * share / 37 for share in range(1, 37))):
        field.fill(repr(target))
        assert_same(opened.values(0), pair.at(target))
    field.fill(repr(high * 1.01))
    assert opened.values(0) == [[]] * 6
    assert "outside the shared band" in opened.page.locator(".published tbody tr").first.inner_text()


def test_edited_prices_change_the_numbers_to_python_s(show: Open) -> None:
    """Price and power; the throughput stays."""
    opened = show(page())
    opened.page.get_by_label("$ per GPU-hour").fill("3.5")
    opened.page.get_by_label("kW per GPU").fill("1.4")
    assert_same(opened.values(1), pair_of(hardware=Hardware("b200", 3.5, 1.4, "the reader")).at(73))


def test_cost_that_is_interpolated_is_so_in_the_page(show: Open) -> None:
    """As the published page did until August 2026, and in its words."""
    pair = compare(kimi("fp4"), kimi("int4"), hardware=B200, cost="interpolated", wording="published")
    found = document(RunReport(compared=(Compared("kimi", "t", pair, (55.0, 73.0)),)), [], MADE)
    opened = show(found)
    for number, target in enumerate((55, 73)):
        assert_same(opened.values(number), pair.at(target))
    assert opened.page.locator(".words li").first.inner_text() == f"at 55 tok/s/user: {pair.at(55).wording}"


def test_filtered_configurations_give_the_numbers_of_the_others(show: Open) -> None:
    """Frontier and curve are those of the points that are shown; the gates' marks go, and a line says so."""
    opened = show(page())
    opened.page.get_by_label("vllm-tp4-ep1", exact=True).uncheck()
    sweeps = [kimi(name) for name in ("fp4", "int4")]
    first, second = (
        Curve(replace(sweep, points=[point for point in sweep.points if point.configuration != "vllm-tp4-ep1"]), B200)
        for sweep in sweeps
    )
    assert_same(opened.values(0), Comparison(first, second).at(55))
    assert opened.page.locator(".marks .mark").count() == 0
    assert "Filtered" in opened.page.locator("figure .note").inner_text()


def scale_of(ticks: list[list[float]]) -> Callable[[float], float]:
    """What a place on an axis means, from its first and its last tick: value, place."""
    (first, start), (last, end) = ticks[0], ticks[-1]
    return lambda place: first + (place - start) * (last - first) / (end - start)


def test_the_drawn_curve_is_the_one_that_is_read(show: Open) -> None:
    """d3's path of the first precision passes where the curve is read, within half a pixel: a path has three digits.

    On a screen of two dots a pixel, where d3 shifts no tick by half a pixel."""
    opened, pair = show(page(), device_scale_factor=2), pair_of()
    script = """() => {
      const path = document.querySelector('.lines .curve.now.c0');
      const ticks = (axis, end) => [...document.querySelectorAll(`.axes > g:nth-of-type(${axis}) .tick`)].map(tick => [
        Number(tick.textContent), Number(/translate\\(([^,]+),([^)]+)/.exec(tick.getAttribute('transform'))[end])]);
      const length = path.getTotalLength();
      const points = Array.from({length: 400}, (_, i) => path.getPointAtLength(length * i / 399));
      return [ticks(1, 1), ticks(2, 2), points.map(point => [point.x, point.y])];
    }"""
    xs, ys, points = opened.page.evaluate(script)
    x, y = (scale_of(ticks) for ticks in (xs, ys))
    curve = pair.candidate
    inside = [(x(px), y(py)) for px, py in points if curve.span[0] <= x(px) <= curve.span[1]]
    assert len(inside) > 390
    per_pixel = abs(y(1) - y(0))
    assert all(abs(curve.throughput(at) - value) < 0.5 * per_pixel for at, value in inside)


def test_a_link_opens_the_page_as_it_was(show: Open) -> None:
    """Axes, scales, filters, targets, prices and words are in the fragment; a fragment of nonsense changes nothing."""
    opened = show(page())
    opened.page.get_by_label("Vertical", exact=True).select_option("cost")
    opened.page.get_by_label("log vertical").check()
    opened.page.get_by_label("INT4", exact=True).uncheck()
    opened.page.get_by_label("target 2, tok/s/user").fill("60")
    opened.page.get_by_label("$ per GPU-hour").fill("2.5")
    opened.page.get_by_label("Words", exact=True).select_option("published")
    fragment = opened.page.evaluate("location.hash.slice(1)")
    again = show(page(), fragment)
    for read in (
        "location.hash",
        "document.querySelector('.picture svg').outerHTML",
        "document.querySelector('.published').innerText",
    ):
        assert again.page.evaluate(read) == opened.page.evaluate(read)
    assert again.page.get_by_label("target 2, tok/s/user").input_value() == "60"
    nonsense = show(page(), f"{ID}.y=nothing&{ID}.at=x~-1&{ID}.price=-1&{ID}.precisions=fp9&other.y=cost")
    assert nonsense.page.get_by_label("Vertical", exact=True).input_value() == "throughput"
    assert nonsense.page.get_by_label("$ per GPU-hour").input_value() == "1.95"


def test_the_reset_button_brings_everything_back(show: Open) -> None:
    """And the address loses its fragment."""
    opened = show(page())
    before = opened.values(0)
    opened.page.get_by_label("target 1, tok/s/user").fill("60")
    opened.page.get_by_role("button", name="Add a target").click()
    assert opened.page.locator(".published tbody tr").count() == 4
    opened.page.get_by_role("button", name="remove target 4").click()
    opened.page.get_by_role("button", name="Reset").click()
    assert opened.values(0) == before
    assert opened.page.evaluate("location.hash") == ""


def items(opened: Opened) -> list[str]:
    found: list[str] = opened.page.locator(".picture [role=listitem]").evaluate_all("all => all.map(e => e.ariaLabel)")
    return found


def test_the_keyboard_reaches_every_point(show: Open) -> None:
    """One stop of Tab a list; arrows go through it, and to the next list; what is focused is told beside it."""
    opened = show(page())
    focused = "document.activeElement.getAttribute('aria-label')"
    lists = opened.page.locator(".picture [role=list]").count()
    assert opened.page.locator(".picture [tabindex='0']").count() == lists == 5
    seen = set()
    for number in range(lists):
        stop = opened.page.locator(".picture [role=list]").nth(number)
        stop.locator("[tabindex='0']").focus()
        for _ in range(stop.locator("[role=listitem]").count()):
            seen.add(opened.page.evaluate(focused))
            assert opened.page.locator(".tip").is_visible()
            opened.page.keyboard.press("ArrowRight")
    assert seen == {*items(opened)}
    opened.page.keyboard.press("Home")
    before = opened.page.evaluate(focused)
    opened.page.keyboard.press("ArrowUp")
    assert opened.page.evaluate(focused) != before
    opened.page.keyboard.press("Escape")
    assert not opened.page.locator(".tip").is_visible()


def test_a_point_tells_its_concurrency_configuration_and_latencies(show: Open) -> None:
    """The same words on hover and to a screen reader."""
    opened = show(page())
    point = opened.page.locator(".points.run.c0 .point").first
    label = str(point.get_attribute("aria-label"))
    for words in (
        "FP4 vllm-tp4-ep1, concurrency 128, 4 GPUs",
        "ms tpot p50",
        "ms ttft p50",
        "ms ttft p99",
        "on the frontier",
    ):
        assert words in label
    box = point.bounding_box()
    opened.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert opened.page.locator(".tip").inner_text().split("\n") == label.split("; ")


def test_an_axis_without_data_is_disabled_and_says_why(show: Open) -> None:
    """These recorded points hold interactivity and throughput alone; measured ones hold the rest."""
    recorded = document(
        RunReport(compared=(Compared("kimi", "t", compare(kimi("fp4"), kimi("int4"), hardware=B200), ()),)),
        [SuiteBackground("kimi", {})],
        MADE,
    )
    options = show(recorded).page.locator("select").first.locator("option[disabled]").all_inner_texts()
    assert options == [f"{name}: not measured" for name in ("output tok/s/GPU", "J/token", "ttft p50, ms")]
    measured = show(page()).page
    assert measured.locator("option[disabled]").count() == 0
    for axis in ("ratio", "output", "joules", "ttft", "megawatt"):
        measured.get_by_label("Vertical", exact=True).select_option(axis)
        assert measured.locator(".lines .curve.now").count() == (1 if axis == "ratio" else 2)
        assert not re.search("NaN|undefined", measured.locator(".picture").first.inner_html())
    measured.get_by_label("Horizontal", exact=True).select_option("e2e")
    assert measured.locator(".lines .curve.now").count() == 2


def test_two_points_on_a_frontier_are_a_line_and_one_is_a_point(show: Open) -> None:
    """The least that can be drawn draws, on every axis."""
    sweep = kimi("fp4")
    two = type(sweep)("fp4", sweep.workload, sweep.hardware, [sweep.points[0], sweep.points[5]])
    pair = compare(two, kimi("int4"), hardware=B200)
    opened = show(document(RunReport(compared=(Compared("kimi", "t", pair, ()),)), [], MADE))
    for axis in ("throughput", "ratio", "cost"):
        opened.page.get_by_label("Vertical", exact=True).select_option(axis)
        assert "NaN" not in opened.page.locator(".picture").first.inner_html()
    for box in opened.page.locator("fieldset input").all():
        box.uncheck()
    assert "No point is shown" in str(opened.page.locator(".picture").text_content())


@pytest.mark.parametrize("kind", ["passed", "failed", "inconclusive"])
def test_the_verdict_is_marked_at_every_target(show: Open, kind: str) -> None:
    """A tick, a cross, a question mark: a shape beside the colour."""
    options: dict[str, Any] = {"passed": {}, "failed": {}, "inconclusive": {"verdict": Verdict.INCONCLUSIVE}}[kind]
    opened = show(page(1.0 if kind == "passed" else 1.03, **options))
    mark = {"passed": "good", "failed": "bad", "inconclusive": "unsure"}[kind]
    assert opened.page.locator(f".target.{mark}").count() == 3
    label = opened.page.locator(".target").first.get_attribute("aria-label")
    assert {"passed": "PASS", "failed": "REGRESSED", "inconclusive": "INCONCLUSIVE"}[kind] in label
    assert (opened.page.locator(".target .mark text").count() > 0) == (kind == "inconclusive")


def test_simulated_is_written_across_the_picture(show: Open) -> None:
    """In light, dark and on paper; never over measured figures."""
    opened = show(page(simulated=True))
    width = "document.querySelector('.picture').getBoundingClientRect().width"
    mark = "document.querySelector('.watermark')"
    script = f"[{mark}.textContent, {mark}.getBoundingClientRect().width / {width}]"
    for media in ({"media": "print"}, {"media": "screen", "color_scheme": "dark"}):
        opened.page.emulate_media(**media)
        text, share = opened.page.evaluate(script)  # in one step: the picture is drawn again for another medium
        assert text == "SIMULATED"
        assert share > 0.5
    assert show(page()).page.locator(".watermark").count() == 0


@pytest.mark.parametrize("options", [{}, PHONE, {"color_scheme": "dark"}], ids=["desktop", "phone", "dark"])
def test_axe_finds_nothing_serious(show: Open, options: dict[str, Any]) -> None:
    """Names, roles, contrast and order of a page with every part; axe-core 4 of the lock file."""
    if not AXE.is_file():
        pytest.skip("no axe-core here: npm ci --ignore-scripts in tools/report")
    opened = show(page(1.03, simulated=True, suites=("kimi", "qwen")), bypass_csp=True, **options)
    opened.page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    opened.page.add_script_tag(content=AXE.read_text(encoding="utf-8"))
    found = opened.page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    told = [f"{each['id']}: {each['help']}: {each['nodes'][0]['html']}" for each in found]
    assert [line for line, each in zip(told, found, strict=True) if each["impact"] in ("serious", "critical")] == []


def test_a_phone_scrolls_in_one_direction(show: Open) -> None:
    """Wide tables scroll by themselves; what is touched is as large as a fingertip's rule asks (24 px)."""
    opened = show(page(1.03, suites=("kimi", "a-suite-with-a-very-long-name-that-does-not-break")), **PHONE)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390
    small = opened.page.locator("button, select, label.tick, input[type=number]").evaluate_all(
        "all => all.filter(e => e.offsetHeight < 24).map(e => e.outerHTML)"
    )
    assert small == []


def test_dark_and_paper_have_their_own_colours(show: Open) -> None:
    """Dark follows the reader; paper is white, shows every fold and no controls."""
    opened = show(page(1.03), color_scheme="dark")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    assert opened.page.evaluate(ground) == "rgb(18, 22, 27)"
    opened.page.emulate_media(media="print")
    assert opened.page.evaluate(ground) == "rgb(255, 255, 255)"
    assert not opened.page.locator(".panel").first.is_visible()
    opened.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert opened.page.locator("details:not([open])").count() == 0
    opened.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert opened.page.locator("details[open]").count() == 0


def test_hostile_texts_run_nothing(show: Open) -> None:
    """A script in every text of the document: none runs, and each is shown as it is."""
    from tests.reports.html.test_page import HOSTILE, mutated  # noqa: PLC0415

    opened = show(mutated(page(1.03), lambda text: text + HOSTILE))
    assert opened.page.evaluate("document.images.length") == 0
    assert "<script>alert(1)</script>" in opened.page.locator("h2").first.inner_text()


def test_the_page_reads_without_javascript(chromium: Any, tmp_path: Path) -> None:
    """A CI that forbids scripts shows verdicts, the published table and everything below."""
    path = tmp_path / "page.html"
    from pytest_precgate.reports.html.page import render  # noqa: PLC0415

    path.write_text(render(page(1.03)), encoding="utf-8")
    context = chromium.new_context(java_script_enabled=False, offline=True)
    opened = context.new_page()
    opened.goto(path.as_uri())
    assert opened.locator("h1").inner_text() == "Failed: kimi"
    assert opened.locator(".published tbody tr").count() == 3
    assert "REGRESSED" in opened.locator(".part").first.inner_text()
    assert opened.locator("noscript").first.is_visible()
    context.close()


def test_every_number_stays_a_number(show: Open) -> None:
    """No NaN and no undefined anywhere, on any axis, linear and logarithmic."""
    opened = show(page(1.03, 1.02))
    for axis in ("throughput", "ratio", "output", "cost", "megawatt", "joules", "ttft"):
        for scale in ("log vertical", "log horizontal"):
            opened.page.get_by_label("Vertical", exact=True).select_option(axis)
            opened.page.get_by_label(scale).check()
            assert not re.search("NaN|undefined|Infinity", opened.page.locator("figure").first.inner_html()), axis
    assert math.isfinite(opened.values(0)[0][0])


def test_launches_and_the_baseline_can_be_hidden(show: Open) -> None:
    """What is not ticked is not drawn, and the legend follows."""
    opened = show(page(1.03, 1.02))
    assert opened.page.locator(".lines .curve.again").count() == 1
    opened.page.get_by_label("later launches").uncheck()
    assert opened.page.locator(".lines .curve.again").count() == 0
    opened.page.get_by_label("baseline", exact=True).uncheck()
    assert opened.page.locator(".lines .curve.served, .lines .curve.faint, .lines .band").count() == 0
    assert "tolerated loss" not in opened.page.locator(".legend").inner_text()


def test_a_document_of_another_pair_is_another_picture(show: Open) -> None:
    """Two suites, two pictures; a link changes the one it names."""
    found: Document = page(suites=("kimi", "qwen"))
    opened = show(found, "qwen-fp4-int4.y=cost")
    chosen = opened.page.get_by_label("Vertical", exact=True)
    assert [chosen.nth(number).input_value() for number in (0, 1)] == ["throughput", "cost"]
    assert background({"fp4": [1.0], "int4": [1.0]}).suite == "kimi"
