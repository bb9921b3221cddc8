"""The document of a page holds what the other reports hold, and what they do not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pytest_precgate.analysis.gating.verdict import Verdict
from pytest_precgate.analysis.report import Compared, RunReport, SuiteBackground
from pytest_precgate.reports import layout
from pytest_precgate.reports.html.model import document, merged, of_suite
from pytest_precgate.reports.html.page import render
from pytest_precgate.reports.html.points import CORE, DETAILS
from tests.builders.pages import MADE, POINTS, background, checked, paced, page


def suite_of(found: Any) -> Any:
    (only,) = found["suites"]
    return only


def picture_of(found: Any) -> Any:
    (only,) = suite_of(found)["pictures"]
    return only


def test_a_document_is_plain_json_and_survives_a_file() -> None:
    """No NaN, no tuple, no object: what a run's folder keeps is what is shown later."""
    found = page(1.08, 1.09)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_picture_holds_every_launch_of_the_run_and_of_the_baseline() -> None:
    """First launches first, and the baseline's launches that gates are read on are marked."""
    series = picture_of(page(1.0, 1.01))["series"]
    names = [(each["precision"], each["state"], each["launch"]) for each in series]
    assert names[:2] == [("fp4", "run", 1), ("fp4", "run", 2)]
    assert [name for name in names if name[1] == "baseline" and name[0] == "int4"] == [
        ("int4", "baseline", number) for number in range(1, 6)
    ]
    served = [each for each in series if each.get("served")]
    assert {each["precision"] for each in served} == {"fp4", "int4"}


def test_points_hold_every_detail_that_was_measured_and_no_other_column() -> None:
    """A quantity without a value has no column; the baseline keeps what a picture can show."""
    found = picture_of(page())
    now = next(each for each in found["series"] if each["state"] == "run")
    assert {*CORE, *DETAILS} <= {*now["columns"]}
    old = next(each for each in found["series"] if each["state"] == "baseline")
    assert tuple(old["columns"]) == CORE
    first = dict(zip(now["columns"], now["points"][0], strict=True))
    assert first["ttft_p50_s"] == pytest.approx((1 + 2 / 7) / 100, rel=1e-4)


def test_the_rows_are_those_of_the_other_reports() -> None:
    """The published table, cell by cell."""
    behind = background({"fp4": [1.0], "int4": [1.0]})
    check = checked(behind)
    rows = picture_of(document(RunReport(checks=(check,)), [behind], MADE))["rows"]
    assert [tuple(row["cells"]) for row in rows] == [
        layout.comparison_cells(check.comparison.at(point)) for point in POINTS
    ]


def test_the_headlines_are_those_of_the_failed_test() -> None:
    """The words of the terminal, then the count."""
    assert suite_of(page(1.08))["headlines"] == [
        "FP4 throughput_per_gpu fell 16.1 to 18.1% at 55, 73 and 91 tok/s/user",
        "against baselines/kimi.json (tolerance 2.5%, catches 3.5%)",
        "1 launch, noise floor 1.6%: find the cause",
        "with it: FP4/INT4 throughput_ratio -16.5% to -18.6%; passing: INT4 throughput_per_gpu +0.5% to +0.6%",
        "9 gates: 6 REGRESSED, 3 PASS",
    ]
    assert suite_of(page())["headlines"] == ["9 gates: 9 PASS"]


def test_a_gate_that_is_only_recorded_has_no_mark_and_no_limit() -> None:
    """It holds nothing; its launches are shown all the same."""
    behind = background({"fp4": [1.0], "int4": [1.0]})
    check = checked(behind)
    first = check.judged[0]
    recorded = replace(first, gate=replace(first.gate, record_only=True), verdict=Verdict.RECORDED)
    found = document(RunReport(checks=(replace(check, judged=(recorded, *check.judged[1:])),)), [behind], MADE)
    assert len(picture_of(found)["gates"]) == len(check.judged) - 1
    shown = suite_of(found)["checks"][0]["gates"][0]
    assert (shown["verdict"], shown["tolerance"], shown["strip"]["tolerance"]) == ("RECORDED", "-", None)
    assert "only recorded" in render(found)


def test_differences_come_first_and_what_agrees_is_counted() -> None:
    """A version that changed is shown with both values; a hard fact before a soft one."""
    found = suite_of(page())["differences"]
    assert found["rows"] == [[name, "version", "1.1.0", "1.2.0", "soft"] for name in ("fp4", "int4")]
    assert found["agree"] == 2 * 7


def test_each_gate_has_its_launches_as_gains_and_pairs_are_shares_already() -> None:
    """Better is positive, whatever the metric; values of pairs are held against 1."""
    gate = suite_of(page(1.08))["checks"][0]["gates"][0]
    assert gate["strip"]["run"][0] == pytest.approx(-0.1653, abs=1e-4)
    assert len(gate["strip"]["baseline"]) == 5
    behind = background({"fp4": [1.0], "int4": [1.0]})
    check = checked(behind)
    first = check.judged[0]
    assert first.evidence is not None
    halved = replace(first, evidence=replace(first.evidence, values=(0.5,)))
    pairs = replace(behind, side="old", baseline=None, beside=behind.launches)
    found = document(RunReport(checks=(replace(check, judged=(halved,)),)), [pairs], MADE)
    assert suite_of(found)["checks"][0]["gates"][0]["strip"]["run"] == [-0.5]
    assert picture_of(found)["behind"] == "old"
    assert suite_of(found)["differences"]["side"] == "old"


def test_a_gate_without_a_number_has_none_in_the_picture() -> None:
    """Nothing missing is drawn as a figure."""
    behind = background({"fp4": [1.0], "int4": [1.0]})
    check = checked(behind)
    absent = replace(check.judged[0], verdict=Verdict.MISSING, value=None, baseline=None, reason="x", evidence=None)
    found = document(RunReport(checks=(replace(check, judged=(absent,), outcome="failed"),)), [behind], MADE)
    (gate,) = picture_of(found)["gates"]
    assert (gate["value"], gate["baseline"], gate["limit"]) == (None, None, None)
    assert suite_of(found)["checks"][0]["gates"][0]["strip"] is None


def test_a_target_outside_the_band_is_a_row_that_says_so() -> None:
    """As in the other reports, and not a gap."""
    behind = background({"fp4": [1.0], "int4": [1.0]})
    made = Compared("kimi", "t", checked(behind).comparison, (55.0, 500.0))
    rows = picture_of(document(RunReport(compared=(made,)), [], MADE))["rows"]
    assert rows[1]["cells"] == ["500"]
    assert "500" in rows[1]["wording"]


def test_many_launches_are_counted_where_they_are_not_drawn() -> None:
    """Nine of each state, and those that gates are read on."""
    behind = background({"fp4": [1.0] * 12, "int4": [1.0]})
    found = picture_of(document(RunReport(checks=(checked(behind),)), [behind], MADE))
    assert found["left_out"] == ["fp4: the picture draws 9 of the 12 launches of this run"]


def test_the_parts_of_a_run_make_the_whole_again() -> None:
    """Each suite's folder keeps its part; what is said of the whole run is said once."""
    whole = page(suites=("kimi", "deepseek"))
    parts = [of_suite(whole, name) for name in ("kimi", "deepseek")]
    assert [len(suite_list(part)) for part in parts] == [1, 1]
    assert merged(parts) == whole


def suite_list(found: Any) -> list[Any]:
    return list(found["suites"])


def test_simulated_figures_are_marked_by_precision() -> None:
    """A page of one simulated precision says which."""
    behind = background({"fp4": [1.0], "int4": [1.0]})
    launches = {**behind.launches, "fp4": [replace(behind.launches["fp4"][0], sweep=paced("fp4", 1, simulated=True))]}
    mixed = SuiteBackground("kimi", launches, behind.baseline)
    found = picture_of(document(RunReport(checks=(checked(mixed),)), [mixed], MADE))
    assert found["simulated"] == ["FP4"]
