"""The text of a history: fitted to the width, change points under their runs, everybody who changed the baseline."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.accepted.trend import BaselineRevision, SuiteTrend
from pytest_precgate.reports.history import lines
from pytest_precgate.reports.sparkline import BLOCKS, PLAIN, column_of, sparkline
from tests.builders.trends import revisions, trend

figures = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=60)


def text(of: SuiteTrend, width: int = 80, marks: str = BLOCKS) -> list[str]:
    return [line.text for line in lines(of, width, marks)]


@given(figures, st.integers(1, 80))
def test_a_sparkline_has_a_character_a_column(values: list[float], columns: int) -> None:
    """At most one a value; every value has the column that it is drawn in."""
    drawn = sparkline(values, columns)
    assert len(drawn) == min(columns, len(values))
    assert {*drawn} <= {*BLOCKS}
    places = [column_of(index, len(values), columns) for index in range(len(values))]
    assert places == sorted(places)
    assert {*places} == {*range(len(drawn))}


def test_a_sparkline_shows_a_step_and_no_noise() -> None:
    """One of 8% from the lowest to the highest; 0.3% stays in the middle."""
    assert sparkline([100.0] * 3 + [92.0] * 2, 10) == "███▁▁"
    assert {*sparkline([100, 100.3, 99.7, 100.2], 10)} <= {"▄", "▅"}
    assert sparkline([100.0] * 3 + [92.0] * 2, 10, PLAIN) == "###__"
    assert sparkline([], 10) == ""


@pytest.mark.parametrize("width", [80, 120])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    """Whatever the number of runs, with long reasons as well."""
    of = trend(500, 0.92)
    of = SuiteTrend(of.suite, of.gates, revisions(30, reason="a reason of many words, " * 12), of.runs)
    assert max(len(line) for line in text(of, width)) <= width


def test_a_fall_is_told_first_and_marked_under_its_run() -> None:
    """By quantity, with the commit that it begins at."""
    told = text(trend(60, 0.92))
    assert told[0] == "kimi: 60 runs, 2026-09-01 to 2026-10-30; 3 revisions of its baseline in git"
    assert told[1] == "fp4 throughput_per_gpu -8.0% at 55, 73 tok/s/user (worse) since 2026-10-11,"
    assert told[2] == "  commit 000000000000"
    head = next(number for number, line in enumerate(told) if line.startswith("gate "))
    assert told[head + 1].endswith("-8.0%")
    assert "█▁" in told[head + 1]
    assert told[head + 2].index("^") == told[head + 1].index("█▁") + 1
    assert "change points, oldest first" in told


def test_colours_follow_the_direction() -> None:
    """Red where it is worse, green where it is better."""
    colours = {line.colour for line in lines(trend(60, 0.92), 80) if "-8.0%" in line.text}
    assert colours == {"bold", "red"}
    assert {line.colour for line in lines(trend(60, 1.08), 80) if "+8.0%" in line.text} == {"green"}


def test_no_change_is_said() -> None:
    """Also where there are too few runs to say so."""
    assert "no gate changed its level" in text(trend(60, 1.0))
    assert "no gate is worse since its last change point" in text(trend(60, 1.08))
    few = text(trend(7, 1.0))
    assert "2 gates with fewer than 8 runs: change points are not looked for" in few
    assert "no gate changed its level" not in few


def test_everybody_who_changed_the_baseline_is_named() -> None:
    """The newest ten; those that cannot be read in any case, with the reason."""
    damaged = BaselineRevision("d" * 40, "Mallory", "2026-01-01", "oops", unread="kimi.json of dddd: is not whole JSON")
    removed = BaselineRevision("e" * 40, "Eve", "2026-12-01", "clean up", removed=True)
    silent = BaselineRevision("f" * 40, "Ada", "2026-12-02", "Accept the kernel")
    of = SuiteTrend("kimi", (), [damaged, *revisions(12), removed, silent], 0, remarks=["this clone lacks commits"])
    told = text(of, 120)
    start = told.index("who changed the baseline, newest first")
    assert told[start + 1] == "  2026-12-02  ffffffffffff  Ada: no reason given (Accept the kernel)"
    assert told[start + 2] == "  2026-12-01  eeeeeeeeeeee  Eve: removed the file (clean up)"
    assert told[start + 3].endswith("Grace: reason 11")
    assert (
        "  2026-01-01  dddddddddddd  Mallory: skipped, it cannot be read: kimi.json of dddd: is not whole JSON" in told
    )
    assert "  and 4 earlier: -o PATH writes a page with all" in told
    assert told[-1] == "note: this clone lacks commits"


def test_a_simulation_says_so() -> None:
    """In the first line."""
    simulated = [BaselineRevision("a", "Ada", "2026", "", values={trend(1, 1).gates[0].key: 1}, simulated=True)]
    assert "SIMULATED, measured on no machine" in text(SuiteTrend("kimi", (), simulated, 0))[0]
