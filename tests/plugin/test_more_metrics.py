"""Latencies, goodput and energy through pytest, on the simulated engine."""

from __future__ import annotations

import json

import pytest

from pytest_precgate.cli import main
from pytest_precgate.journal.checks import NAME
from tests.repository import Repository

METRICS = 'metrics = ["throughput_per_gpu", "ttft_p99", "tpot_p99", "goodput", "joules_per_token"]'
SETTINGS = f"""\
[tool.precgate.suites.kimi]
hardware = "b200"
workload = {{ isl = 1024, osl = 1024, range_ratio = 0.8 }}
interactivity = [55, 73]
baseline_launches = 1
slo = {{ ttft_ms = 2000, tpot_ms = 25 }}
{METRICS}
tolerance = {{ ttft_p99 = 0.1 }}
fp4 = {{ engine = "simulated", calibration = "kimi-k2.5-b200-fp4-tp4", requests_per_slot = 10 }}
int4 = {{ engine = "simulated", calibration = "kimi-k2.5-b200-int4-tp8", requests_per_slot = 10 }}
"""


@pytest.fixture
def suite(repository: Repository) -> Repository:
    repository.write_settings(SETTINGS)
    assert repository.run("--precgate-update").ret == 0
    return repository


def gates(repository: Repository, *arguments: str) -> dict[tuple[str, str], str]:
    repository.run("--precgate-json=g.json", *arguments)
    (check,) = json.loads((repository.path / "g.json").read_text(encoding="utf-8"))["checks"]
    return {(gate["metric"], gate["precision"]): gate["verdict"] for gate in check["gates"] if gate["point"] == 55}


def test_what_has_no_tolerance_is_recorded_and_what_has_one_holds(suite: Repository) -> None:
    """No GPU, no energy: that is said and blocks nothing. A ttft 16% longer than its 10% fails."""
    recorded = {(gate["metric"], gate["precision"]) for gate in json.loads(suite.baseline.read_text())["gates"]}
    assert ("goodput", "fp4") in recorded
    assert not any(metric == "joules_per_token" for metric, _ in recorded)
    found = gates(suite)
    assert found["throughput_per_gpu", "fp4"] == found["ttft_p99", "fp4"] == "PASS"
    assert found["goodput", "fp4"] == found["tpot_p99", "int4"] == found["joules_per_token", "fp4"] == "RECORDED"
    suite.change_settings("throughput_per_gpu", "output_throughput_per_gpu")
    suite.change_settings('fp4-tp4", ', 'fp4-tp4", slowdown = 0.5, ')
    slow = gates(suite)
    assert slow["ttft_p99", "fp4"] == "REGRESSED"
    assert slow["tpot_p99", "fp4"] == "RECORDED"
    assert slow["output_throughput_per_gpu", "fp4"] == "MISSING"


def test_a_shown_run_holds_nothing_to_what_was_only_recorded(
    suite: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As its checks were kept; and where they were not, as a metric without a tolerance of its own."""
    suite.change_settings('fp4-tp4", ', 'fp4-tp4", slowdown = 0.5, ')
    suite.run()
    monkeypatch.chdir(suite.path)
    for is_kept in (True, False):
        if not is_kept:
            (max((suite.path / ".precgate" / "runs").iterdir()) / NAME).unlink()
            suite.change_settings('"tpot_p99", ', "")
        capsys.readouterr()
        assert main(["show", "latest"]) == 0
        text = " ".join(capsys.readouterr().out.split())
        assert "fp4 tpot_p99 at 55 tok/s/user: RECORDED" in text
        assert "fp4 ttft_p99 at 55 tok/s/user: REGRESSED" in text


def test_launches_are_added_where_a_recorded_metric_has_no_value(suite: Repository) -> None:
    """No launch of the baseline had its energy, and none that is added has."""
    suite.change_settings("requests_per_slot = 10", "seed = 7, requests_per_slot = 10")
    assert suite.run("--precgate-update-add", "--precgate-reason=another day").ret == 0
    document = json.loads(suite.baseline.read_text(encoding="utf-8"))
    assert len(document["launches"]) == 4
    assert {gate["metric"] for gate in document["gates"]} == {"throughput_per_gpu", "ttft_p99", "tpot_p99", "goodput"}
    suite.change_settings('"goodput"', '"goodput", "ttft_p50"')
    suite.change_settings("seed = 7", "seed = 8")
    assert suite.run("--precgate-update-add", "--precgate-reason=a third").ret == 0
    assert not any(gate["metric"] == "ttft_p50" for gate in json.loads(suite.baseline.read_text())["gates"])


def test_a_recorded_metric_without_a_value_is_named(suite: Repository) -> None:
    """It blocks nothing, and a green run says that it is neither gated nor measured."""
    result = suite.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*fp4 joules_per_token: not gated and not measured; only recorded; *"])


def test_a_held_metric_without_a_value_says_what_to_do(suite: Repository) -> None:
    """An update cannot record it: the way out is not another update."""
    suite.change_settings("ttft_p99 = 0.1", "ttft_p99 = 0.1, joules_per_token = 0.1")
    result = suite.run("--precgate-update", "--precgate-reason=energy")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*take its metric out of metrics, or measure it*"])


def test_a_baseline_of_before_the_figure_is_recorded_again(suite: Repository) -> None:
    """Its points lack it: adding the gate alone cannot read them, and the message says which flag can."""
    document = json.loads(suite.baseline.read_text(encoding="utf-8"))
    document["gates"] = [gate for gate in document["gates"] if gate["metric"] == "throughput_per_gpu"]
    for state in document["oldest_accepted"]:
        state["gates"] = [gate for gate in state["gates"] if gate["metric"] == "throughput_per_gpu"]
    for launch in document["launches"]:
        for point in launch["points"]:
            del point["details"]
    suite.baseline.write_text(json.dumps(document), encoding="utf-8")
    result = suite.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*its points have no ttft_p99_s*"])
    assert suite.run("--precgate-update").ret == 0
    assert suite.run().ret == 0


def test_the_end_to_end_axis_is_another_measurement(suite: Repository) -> None:
    """A baseline of 1 / median tpot does not match; one of its own does."""
    suite.change_settings("baseline_launches", 'axis = "e2e"\nbaseline_launches')
    result = suite.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*axis is e2e, the baseline's is not known*"])
    assert suite.run("--precgate-update", "--precgate-reason=axis").ret == 0
    assert suite.run().ret == 0
    assert '"axis": "e2e"' in suite.baseline.read_text(encoding="utf-8")
