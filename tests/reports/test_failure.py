"""The text of a failed check: its first lines, its length, its fit, each cause once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.accepted.latencies import MovedLatency
from pytest_precgate.analysis.accepted.matching import AFTER_A_RENAME
from pytest_precgate.analysis.curves.comparison import Comparison, Curve
from pytest_precgate.analysis.curves.economics import hardware_named
from pytest_precgate.analysis.gating.gates import Gate, GateKey, Metric
from pytest_precgate.analysis.gating.proposed_waivers import proposed
from pytest_precgate.analysis.gating.verdict import Absent, Evidence, JudgedGate, Verdict, absent, judge
from pytest_precgate.analysis.report import GateReport
from pytest_precgate.reports import failure
from pytest_precgate.reports.causes import causes
from tests.published import kimi

B200 = hardware_named("b200")
PAIR = Comparison(Curve(kimi("fp4"), B200), Curve(kimi("int4"), B200))
POINTS = (55.0, 73.0, 91.0)
NAMES = {
    **{"FP4": (Metric.THROUGHPUT_PER_GPU, ("fp4",)), "INT4": (Metric.THROUGHPUT_PER_GPU, ("int4",))},
    **{"cost": (Metric.COST, ("fp4",)), "ratio": (Metric.THROUGHPUT_RATIO, ("fp4", "int4"))},
}
QUIET = Evidence(0.004, 0.035, 3, 0.041, 0.013)


def gate(name: str, point: float) -> Gate:
    metric, precisions = NAMES[name]
    return Gate(GateKey(metric, precisions, point), 0.025)


def moved(name: str, change: float, evidence: Evidence | None = QUIET) -> list[JudgedGate]:
    """Gates of one quantity at every point, judged after their values changed by a share."""
    judged = [judge(gate(name, point), 1000 * (1 + change), 1000.0) for point in POINTS]
    return [
        JudgedGate(each.gate, each.verdict, each.value, each.baseline, each.reason, evidence, each.remedy)
        for each in judged
    ]


def lacking(missing: Absent) -> list[JudgedGate]:
    """Gates of which there is no baseline."""
    return [absent(gate(name, point), missing, 1000.0, None) for name in ("ratio", "FP4", "INT4") for point in POINTS]


def text(
    judged: Sequence[JudgedGate],
    width: int = 80,
    baseline: str = "baselines/kimi-k2-b200.json",
    latencies: tuple[MovedLatency, ...] = (),
) -> list[str]:
    import datetime  # noqa: PLC0415

    waivers = proposed("kimi", judged, datetime.date(2026, 11, 28))
    report = GateReport(
        *("kimi", "test_kimi.py::test_fp4", PAIR, POINTS, judged, "failed", (), baseline),
        *("first good of 3 launches", waivers, "20261128T063532.166Z-kimi-13958", latencies),
    )
    return [line.text for line in failure.lines(report, width)]


def test_the_first_three_lines_say_what_where_against_what_how_sure_and_what_to_do() -> None:
    """At 80 columns, for a loss of FP4 that its ratio to INT4 shares; then what moved with it and what did not."""
    lines = text([*moved("ratio", -0.08), *moved("FP4", -0.08), *moved("INT4", 0.0)])
    assert lines[:4] == [
        "FP4 throughput_per_gpu fell 8.0% at 55, 73 and 91 tok/s/user",
        "against baselines/kimi-k2-b200.json (tolerance 2.5%, catches 3.5%)",
        "3 of 3 launches agree, noise floor 1.3%: find the cause, or waive it (details)",
        "with it: FP4/INT4 throughput_ratio -8.0%; passing: INT4 throughput_per_gpu",
    ]
    assert lines[-1] == "details: precgate show 20261128T063532.166Z-kimi-13958"


def test_latencies_that_moved_beside_it_are_told_unless_they_are_gated() -> None:
    """Read where the first gate failed: the slowest steps grew with the loss, the first token did not."""
    watched = [(Metric.TTFT_P50, 0.004), (Metric.TPOT_P99, 0.083)]
    found = tuple(MovedLatency(GateKey(metric, ("fp4",), 55), change) for metric, change in watched)
    lines = " ".join(text([*moved("ratio", -0.08), *moved("FP4", -0.08)], latencies=found))
    assert "not gated, FP4 at 55: ttft_p50 +0.4%, tpot_p99 +8.3%" in re.sub(r"\s+", " ", lines)
    assert "not gated" not in " ".join(text(moved("FP4", -0.08)))


def test_one_cause_takes_at_most_twenty_lines_and_eighty_columns() -> None:
    """Nine gates of one cause, each in its row of the table, with their figures."""
    lines = text([*moved("ratio", -0.08), *moved("FP4", -0.08), *moved("cost", 0.087)])
    assert len(lines) <= 20
    assert max(map(len, lines)) <= 80
    assert sum(bool(re.search(r"(-8.0|\+8.7)% .*REGRESSED$", line)) for line in lines) == 9


def test_the_direction_of_a_metric_decides_its_words() -> None:
    """A cost that fails rose."""
    assert text(moved("cost", 0.087))[0] == "FP4 cost rose 8.7% at 55, 73 and 91 tok/s/user"


def test_both_precisions_at_once_share_the_lines_that_follow() -> None:
    """A line each, and one for the baseline and for what to do."""
    lines = text([*moved("FP4", -0.08), *moved("INT4", -0.05)])
    assert [line.partition(" at ")[0] for line in lines[:2]] == [
        "FP4 throughput_per_gpu fell 8.0%",
        "INT4 throughput_per_gpu fell 5.0%",
    ]
    assert sum("against baselines" in line for line in lines) == 1


def test_a_ratio_that_fell_because_its_reference_improved_is_its_own_cause() -> None:
    """No precision lost anything."""
    found = causes([*moved("ratio", -0.08), *moved("FP4", 0.0), *moved("INT4", 0.087)])
    assert [(cause.owner, len(cause.every)) for cause in found] == [("FP4/INT4", 3)]


def test_no_graver_verdict_stands_behind_a_milder_one() -> None:
    """A ratio that regressed is no part of a precision whose own loss noise does not let tell."""
    noisy = [replace(each, verdict=Verdict.INCONCLUSIVE) for each in moved("FP4", -0.05)]
    lines = text([*noisy, *moved("ratio", -0.08)])
    assert lines[0] == "FP4/INT4 throughput_ratio fell 8.0% at 55, 73 and 91 tok/s/user"
    assert "FP4 throughput_per_gpu fell 5.0% at 55, 73 and 91 tok/s/user" in lines


def test_a_loss_beside_the_old_state_is_told_against_that_state() -> None:
    """Not against the baseline, whose value is another one."""
    beside = moved("FP4", -0.08, replace(QUIET, old_values=(1000.0,), beside_loss=0.08))
    assert text(beside)[1] == "against the old state, measured now (tolerance 2.5%, catches 3.5%)"
    mixed = text([*beside[:1], *moved("FP4", -0.08)[1:]])
    assert mixed[1].startswith("against baselines/kimi-k2-b200.json, or the old state, measured now")


@pytest.mark.parametrize(
    ("missing", "lines"),
    [
        (
            Absent(Verdict.MISSING, "this suite has no baseline", "record one with pytest --precgate-update"),
            ["9 gates MISSING: this suite has no baseline", "record one with pytest --precgate-update"],
        ),
        (
            Absent(Verdict.MISSING, "the baseline has the same gate of a.py::t, none of this test", AFTER_A_RENAME),
            ["9 gates MISSING: the baseline has the same gate of a.py::t, none of this test", AFTER_A_RENAME],
        ),
    ],
)
def test_a_missing_baseline_and_a_renamed_test_are_a_line_and_a_command(missing: Absent, lines: list[str]) -> None:
    """No table of gates that differ in nothing."""
    assert text(lacking(missing), 120) == lines


def test_gates_that_noise_refuses_are_told_by_the_noisiest_and_what_helps_all() -> None:
    """The figure to set is that of the gate that catches least."""
    judged = [
        JudgedGate(gate(name, 55.0), Verdict.INCONCLUSIVE, None, 100.0, f"{why}; {remedy}", evidence, remedy)
        for name, why, remedy, evidence in (
            ("FP4", "scatters by 3%", "set must_detect = 0.11", Evidence(0.03, 0.11, 3, 0.2, 0.1, "too noisy")),
            ("INT4", "scatters by 9%", "set must_detect = 0.31", Evidence(0.09, 0.31, 3, 0.4, 0.3, "too noisy")),
        )
    ]
    assert text(judged, 200)[:2] == [
        "2 gates INCONCLUSIVE; the worst, int4 throughput_per_gpu at 55 tok/s/user: scatters by 9%",
        "To do: set must_detect = 0.31",
    ]


changes = st.sampled_from([-0.5, -0.08, -0.026, -0.01, 0.0, 0.03, 0.4])


@given(
    st.lists(st.tuples(st.sampled_from(sorted(NAMES)), changes), min_size=1, max_size=4, unique_by=itemgetter(0)),
    st.sampled_from([80, 100, 120]),
)
def test_every_gate_that_did_not_pass_is_of_one_cause_and_no_line_is_too_long(
    what: list[tuple[str, float]], width: int
) -> None:
    """Whatever moved; a path breaks no line."""
    judged = [each for name, change in what for each in moved(name, change)]
    failing = [each for each in judged if not each.verdict.passes]
    told = [each for cause in causes(judged) for each in cause.every]
    assert sorted(map(id, told)) == sorted(map(id, failing))
    assert all(len(line) <= width for line in text(judged, width))
