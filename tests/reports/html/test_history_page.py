"""The page of a history: one file without a script, whose size does not grow with the runs; foreign text is text."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from pytest_precgate.analysis.accepted.trend import BaselineRevision, Reading, SuiteTrend, suite_trend
from pytest_precgate.reports.html.history import render
from pytest_precgate.reports.html.trend import DOTS
from tests.builders.pages import MADE
from tests.builders.trends import KEYS, revisions, trend
from tests.reports.html.test_markup import Seen
from tests.reports.html.test_page import HOSTILE


def drawn(page: str, kind: str) -> int:
    return len(re.findall(rf'class="{kind}"', page))


def test_the_page_has_no_script_and_asks_nothing() -> None:
    """Its policy allows its own style alone."""
    page = render(trend(60, 0.92), MADE)
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'; script-src 'none'" in page
    assert " style=" not in page


def test_every_run_is_a_dot_with_its_commit_and_red_where_it_did_not_pass() -> None:
    """Levels, change points and the baseline are drawn beside them."""
    red = Reading("2026-10-01", "abc", 100.0, 101.0, "REGRESSED")
    page = render(trend(60, 0.92), MADE)
    assert drawn(page, "run") == 2 * 60
    assert drawn(page, "level") == drawn(page, "worse") == 2 * 2  # a line and its words
    assert drawn(page, "held") == 2
    assert "<title>2026-09-01T06:00:00Z commit 000000000000: 1090.9 tok/s/GPU PASS</title>" in page
    assert drawn(render(suite_trend("kimi", [{KEYS[0]: red}] * 2, []), MADE), "run red") == 2


def test_a_long_history_is_drawn_by_columns() -> None:
    """Ten times the runs: the page is not a tenth larger."""
    few, many = (render(trend(runs, 0.92), MADE) for runs in (1000, 10_000))
    assert drawn(many, "run") == 0
    assert drawn(many, "spread") == drawn(many, "middle") == len(KEYS)
    assert len(many) < 1.1 * len(few)
    assert drawn(render(trend(DOTS, 1.0), MADE), "spread") == 0
    paths = re.findall(r' d="([^"]*)"', many)
    assert max(map(len, paths)) > 2000
    assert all(re.fullmatch(r"(?:[ML]\d+,\d+|[HVv]\d+|Z)+", path) for path in paths)


def test_changes_and_revisions_are_tables() -> None:
    """With levels, direction, authors, reasons and the values that a revision changed."""
    made = trend(60, 0.92)
    page = render(made, MADE)
    change = made.gates[0].changes[0]
    levels = f"<td>{change.before:.1f} tok/s/GPU<td>{change.after:.1f} tok/s/GPU"
    assert f"<td>fp4 throughput_per_gpu<td>55<td>41{levels}<td>-8.0%<td>worse" in page
    assert "<td>Grace<td>reason 2<td>fp4 throughput_per_gpu at 55 +0.1%" in page
    assert "No gate changed its level." in render(trend(60, 1.0), MADE)
    assert "No commit of the baseline file can be read." in render(SuiteTrend("kimi", (), (), 0), MADE)


@pytest.mark.parametrize("hostile", [HOSTILE, "&amp;<b>"])
def test_foreign_text_is_text(hostile: str) -> None:
    """Authors, subjects, reasons, commits, verdicts, remarks."""
    readings = [{KEYS[0]: Reading(f"{hostile}{day}", hostile, 100.0, 101.0, hostile)} for day in range(3)]
    made = [BaselineRevision(hostile, hostile, hostile, hostile, hostile), *revisions(2, hostile)]
    made += [BaselineRevision("c", "Ada", "2026", "", unread=hostile)]
    page = render(suite_trend(hostile, readings, made, [hostile]), MADE)
    seen = Seen(page)
    assert "\u202e" not in page
    assert not {"img", "b", "script"} & {*seen.tags}
