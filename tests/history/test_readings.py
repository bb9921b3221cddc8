"""The runs of a suite in a history: in the order of time, each measurement once."""

from __future__ import annotations

from dataclasses import replace

from pytest_precgate.analysis.accepted.trend import Reading
from pytest_precgate.history.readings import runs_of
from tests.history.test_history import ENTRY, GATE, KEY


def test_the_runs_of_one_suite_are_in_the_order_of_time() -> None:
    """Entries of other suites, and a gate without a value, are none; two runs of one time keep the file's order."""
    later = replace(ENTRY, utc="2026-11-25T00:00:00Z", commit="late")
    other, absent = replace(ENTRY, suite="llama"), replace(ENTRY, gates=[replace(GATE, value=None)])
    again = replace(ENTRY, commit="again")
    found = runs_of("kimi", [later, other, absent, ENTRY, again])
    assert [run[KEY].commit for run in found] == ["abc", "again", "late"]
    assert found[0] == {KEY: Reading(ENTRY.utc, "abc", 100.0, 101.0, "PASS")}


def test_a_gate_of_two_tests_is_read_once() -> None:
    """Both have the same value."""
    (run,) = runs_of("kimi", [replace(ENTRY, gates=[GATE, replace(GATE, test="t.py::other")])])
    assert [*run] == [KEY]


def test_a_replay_of_launches_that_are_there_adds_nothing() -> None:
    """It is of an earlier time than the run itself; a second replay adds nothing either."""
    replay = replace(ENTRY, utc="2026-11-24T05:00:00Z", replayed=True)
    assert [run[KEY].utc for run in runs_of("kimi", [ENTRY, replay, replay])] == [ENTRY.utc]
    assert [run[KEY].utc for run in runs_of("kimi", [replay, replay])] == [replay.utc]
    assert len(runs_of("kimi", [ENTRY, replace(replay, gates=[replace(GATE, values=(98.0,))])])) == 2
    assert len(runs_of("kimi", [ENTRY, ENTRY])) == 2
