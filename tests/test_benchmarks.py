"""The benchmarks whose figures the docs speak of still run; what they print is theirs, and nothing here is timed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.published import ROOT

pytestmark = pytest.mark.benchmarks


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("report_page.py", "--runs", "1"), "HTML report of 3 suites x 2 precisions x 20 points"),
        (("startup.py", "--pairs", "1"), "suites configured, no gate in the run"),
        (("simulation.py", "--differences"), "SIMULATED throughput at matched interactivity"),
        (("sweep_cost.py", "--seeds", "1", "--truth-requests", "200"), "default, baseline"),
        (
            ("stopping.py", "--points", "2", "--truth-s", "200", "--server", "kimi-k2.5"),
            "wanders by 5% within 20 s | now",
        ),
        (("padded_steps.py", "--cases", "1"), "50%  fp4       now"),
        (("realtime.py", "--help"), "--speed"),
        (("quiet_machine.py", "--help"), "--quiet-cgroup"),
        (("boiling_frog.py", "--runs", "2"), "updates that ask a reason"),
        (("change_points.py", "--series", "20"), "with a false alarm"),
        (("days.py", "--runs", "20"), "sigmas in percent, true | found"),
        (("decision_rule.py", "--runs", "8"), "one H200, vLLM 0.26.0"),
        (("end_to_end.py", "--suites", "1"), "predicted from 20 suites"),
        (("loadgen_capacity.py", "--help"), "--peers"),
        (("scaling.py", "--only", "tests", "launches", "--most", "10"), "### journal lines, twelve points a launch"),
        (("history.py", "--runs", "200", "--commits", "2"), "find the change points"),
        (("prefix_cache.py", "--speed", "20", "--concurrency", "2"), "came from the server's prefix cache"),
        (
            ("peers.py", "--concurrency", "2", "--requests", "2", "--peers", "nowhere"),
            "| aiperf | not measured: no nowhere",
        ),
        (("kill_resume.py", "--runs", "1"), " in 1 runs: 0 finished points lost, 0 corrupt files, 0 other verdicts"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_benchmark_runs_and_prints_its_table(command: tuple[str, ...], said: str) -> None:
    """Exit 0, the table's words on the screen."""
    script, *options = command
    run = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / script), *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert run.returncode == 0, run.stderr
    assert said in run.stdout
