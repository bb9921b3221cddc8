"""The trend of a suite: one source a gate, levels, directions."""

from __future__ import annotations

import pytest

from pytest_precgate.analysis.accepted.trend import BaselineRevision, GateTrend, Reading, suite_trend
from pytest_precgate.analysis.gating.gates import GateKey, Metric
from pytest_precgate.errors import InvalidValueError

FP4 = GateKey(Metric.THROUGHPUT_PER_GPU, ("fp4",), 55)
INT4 = GateKey(Metric.THROUGHPUT_PER_GPU, ("int4",), 55)
TTFT = GateKey(Metric.TTFT_P99, ("fp4",), 55)


def runs(key: GateKey, values: list[float]) -> list[dict[GateKey, Reading]]:
    return [{key: Reading(f"2026-11-{day:02}", f"c{day}", value)} for day, value in enumerate(values, 1)]


def revision(number: int, **values: float) -> BaselineRevision:
    keys = {"fp4": FP4, "int4": INT4}
    known = {keys[name]: value for name, value in values.items()}
    return BaselineRevision(f"r{number}", "Ada", f"2026-10-{number:02}", "subject", "reason", known)


def test_a_gate_is_of_runs_where_there_are_any() -> None:
    """The others are of accepted states; ratios come first, as in every report."""
    trend = suite_trend("kimi", runs(FP4, [100, 101]), [revision(1, fp4=99, int4=30), revision(2, int4=31)])
    assert [(gate.key, gate.of_runs) for gate in trend.gates] == [(FP4, True), (INT4, False)]
    assert [each.value for each in trend.gates[1].readings] == [30, 31]
    assert [each.commit for each in trend.gates[1].readings] == ["r1", "r2"]
    assert (trend.runs, trend.first, trend.last) == (2, "2026-11-01", "2026-11-02")


def test_nothing_at_all_is_a_trend_without_gates() -> None:
    """A revision that cannot be read has no values."""
    trend = suite_trend("kimi", [], [BaselineRevision("r", "Ada", "2026", "s", unread="damaged")], ["a remark"])
    assert (trend.gates, trend.runs, trend.first, trend.simulated) == ([], 0, "", False)
    assert len(trend.revisions) == len(trend.remarks) == 1


@pytest.mark.parametrize(("key", "is_worse"), [(FP4, True), (TTFT, False)])
def test_a_fall_is_worse_where_more_is_better(key: GateKey, is_worse: bool) -> None:
    """And better of a latency; the shift has the sign of the figure."""
    (gate,) = suite_trend("kimi", runs(key, [100.0] * 6 + [90.0] * 6), []).gates
    assert gate.is_worse is is_worse
    assert gate.shift == pytest.approx(-0.1)
    assert (gate.gain(gate.changes[0]) < 0) is is_worse


def test_a_gate_that_came_back_has_no_shift() -> None:
    """Its change points stay. That of a short fall may not be found: the whole series scatters by it."""
    (gate,) = suite_trend("kimi", runs(FP4, [100.0] * 20 + [90.0] * 20 + [100.0] * 20), []).gates
    assert len(gate.changes) == 2
    assert gate.shift == pytest.approx(0)


def test_the_newest_baseline_that_can_be_read_says_what_is_simulated() -> None:
    """One that cannot be read says nothing."""
    measured, simulated = revision(1, fp4=1), BaselineRevision("r2", "Ada", "2026", "", values={FP4: 1}, simulated=True)
    unread = BaselineRevision("r3", "Ada", "2026", "", unread="damaged")
    assert suite_trend("kimi", [], [measured, simulated, unread]).simulated
    assert not suite_trend("kimi", [], [simulated, measured, unread]).simulated


def test_nonsense_is_refused() -> None:
    """A figure that is none, a gate without a reading, a revision with values that cannot be read."""
    with pytest.raises(InvalidValueError, match=r"Reading\.value"):
        Reading("2026", "c", 0.0)
    with pytest.raises(InvalidValueError, match="has no reading"):
        GateTrend(FP4, (), (), of_runs=True)
    with pytest.raises(InvalidValueError, match="could not be read"):
        BaselineRevision("c", "Ada", "2026", "", values={FP4: 1}, unread="damaged")
    with pytest.raises(InvalidValueError, match="non-empty text"):
        BaselineRevision("", "Ada", "2026", "")
