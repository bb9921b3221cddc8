"""`precgate noise`: an unchanged suite launched again and again, simulated and on servers that are really started."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_precgate.cli import main
from tests.engines.marked import eventually
from tests.plugin.sites import Site
from tests.repository import Repository

SIMULATED = """\
[tool.precgate.suites.kimi]
hardware = "b200"
workload = { isl = 256, osl = 256 }
interactivity = [70, 95]
metrics = ["throughput_ratio", "throughput_per_gpu"]
must_detect = 0.09

[tool.precgate.suites.kimi.fp4]
engine = "simulated"
calibration = "kimi-k2.5-b200-fp4-tp4"
concurrency = [4, 8, 16, 32, 64]
requests_per_slot = 3
noise = { launch_sigma = 0.01 }

[tool.precgate.suites.kimi.int4]
engine = "simulated"
calibration = "kimi-k2.5-b200-int4-tp8"
concurrency = [4, 8, 16, 32]
requests_per_slot = 3
noise = { launch_sigma = 0.01 }
"""

# The command as installed, without limits on the client's own load: a busy test machine must not decide.
COMMAND = """\
import math, sys
from pytest_precgate.analysis.measure import metrics
metrics.MAX_LAG_OF_ITL = metrics.MAX_CPU_SHARE = metrics.MAX_EVENTS_PER_READ = math.inf
metrics.MIN_ACHIEVED_SHARE = 0.0
from pytest_precgate.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def simulated(repository: Repository) -> Repository:
    """A suite on the simulated engine whose launches scatter by 1% of their step time; the test runs beside it."""
    repository.write_settings(SIMULATED)
    repository.pytester.chdir()
    return repository


def journals(root: Path) -> list[Path]:
    """Every journal, the oldest run first."""
    return sorted(root.glob(".precgate/runs/*/journal.jsonl"))


def started(told: str) -> dict[str, int]:
    """How often each precision's server was started, by what was said."""
    lines = [line for line in told.splitlines() if line.startswith("precgate: starting ")]
    return {name: sum(line.split()[2] == name for line in lines) for name in ("fp4", "int4")}


# --- simulated --------------------------------------------------------------------------------------------------------


def test_the_noise_put_in_is_the_noise_found(simulated: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    """Each gate scatters by 1% of the step time, stretched by its curve; SIMULATED is said, nothing is recorded."""
    assert main(["noise", "kimi", "--launches", "40", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["simulated"] == ["fp4", "int4"]
    assert found["launches_of_each"] == 40
    assert found["points_measured"] == 40 * (5 + 4)
    assert found["step_sigma"] == pytest.approx(0.01, rel=0.15)
    assert len(found["gates"]) == 6
    for gate in found["gates"]:
        assert gate["sigma"] == pytest.approx(0.01 * gate["step_time_elasticity"], rel=0.25)
        assert gate["step_time_elasticity"] > 1
    assert not (simulated.path / "baselines").exists()


def test_a_table_a_person_reads(simulated: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    """The only suite, five launches; progress goes to stderr, launches in turn."""
    assert main(["noise"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("noise of kimi: FP4 and INT4 on b200, ")
    assert "SIMULATED (FP4 and INT4)" in captured.out
    assert "measured: 10 launches (5 of fp4, 5 of int4), 45 points" in captured.out
    said = [f"precgate: launch {n} of 5: {name}" for n in range(1, 6) for name in ("fp4", "int4")]
    assert captured.err.splitlines() == said
    assert len(journals(simulated.path)) == 1


def test_the_settings_it_advises_are_kept_by_the_same_launches(
    simulated: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line it prints, pasted; the launches come from the journal, since must_detect judges and does not measure."""
    assert main(["noise"]) == 0
    out = capsys.readouterr().out
    assert "gates will be INCONCLUSIVE for any launch: " in out
    advice = "for all of them, in the settings of the suite: "
    (line,) = (line.removeprefix(advice) for line in out.splitlines() if line.startswith(advice))
    simulated.change_settings("must_detect = 0.09", line)
    before = journals(simulated.path)[0].read_bytes()
    assert main(["noise", f"--resume={journals(simulated.path)[-1].parent.name}"]) == 0
    captured = capsys.readouterr()
    assert "INCONCLUSIVE" not in captured.out
    assert captured.err.count("suite kimi goes on with ") == 1
    assert journals(simulated.path)[0].read_bytes() == before


def test_the_launches_become_the_baseline_by_replaying_them(
    simulated: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """No GPU is used a second time: the flags it prints write a baseline of the same launches, with the same sigma."""
    assert main(["noise", "--json"]) == 0
    noise = json.loads(capsys.readouterr().out)
    assert simulated.run(f"--precgate-replay={noise['run']}", "--precgate-update").ret == 0
    baseline = json.loads(simulated.baseline.read_text(encoding="utf-8"))
    assert len(baseline["launches"]) == 10
    simulated.run(f"--precgate-replay={noise['run']}", "--precgate-json=again.json")
    judged = json.loads((simulated.path / "again.json").read_text(encoding="utf-8"))["checks"][0]["gates"]
    assert [gate["sigma"] for gate in judged] == pytest.approx([gate["sigma"] for gate in noise["gates"]])
    inconclusive = [gate["verdict"] == "INCONCLUSIVE" for gate in judged]
    assert inconclusive == [gate["refusal"] is not None for gate in noise["gates"]]
    assert {True, False} == {*inconclusive}


def test_the_command_it_prints_is_of_this_suite_s_tests_alone(
    simulated: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a second suite the run holds nothing of it: its tests would fail, or its baseline be written again."""
    other = SIMULATED.replace("suites.kimi", "suites.other")
    simulated.write_settings(SIMULATED + other)
    simulated.write_test(
        "import pytest\n"
        "@pytest.mark.precgate(suite='kimi')\ndef test_kimi(precgate):\n"
        "    precgate.check(precgate.compare('fp4', 'int4'))\n"
        "@pytest.mark.precgate(suite='other')\ndef test_other(precgate):\n"
        "    precgate.check(precgate.compare('fp4', 'int4'))\n"
    )
    assert main(["noise", "kimi"]) == 0
    assert "pytest TESTS --precgate-replay=" in capsys.readouterr().out
    assert simulated.run("--precgate-update", "-k", "not other").ret == 0
    assert main(["noise", "kimi"]) == 0
    (line,) = (each for each in capsys.readouterr().out.splitlines() if each.startswith("to make these launches"))
    command = line.partition(": pytest ")[2].split()
    assert command[0] == "test_kimi.py::test_kimi"
    assert simulated.run(*command, "--precgate-reason=noise").ret == 0
    assert not (simulated.path / "baselines" / "other.json").exists()


def test_a_gate_no_launch_reaches_is_named_and_exits_1(
    simulated: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is not measured is not quiet."""
    simulated.change_settings("[70, 95]", "[70, 900]")
    assert main(["noise", "--launches=3"]) == 1
    out = capsys.readouterr().out
    assert "NOT READ  fp4 throughput_per_gpu at 900 tok/s/user: fp4: 900 tok/s/user lies outside" in out


def test_quartiles_are_those_of_the_first_launches(simulated: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    """A suite without points of its own has three all the same."""
    simulated.change_settings("[70, 95]", '"quartiles"')
    assert main(["noise", "--launches=3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len({gate["point"] for gate in found["gates"]}) == 3


def test_a_recorded_suite_is_refused_and_rehearsed(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    """One file has no noise to measure; played by the simulated engine it is as quiet as its settings."""
    repository.pytester.chdir()
    assert main(["noise"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert 'suite kimi: engine = "recorded" cannot be launched again, so it has no noise to measure' in captured.err
    assert not (repository.path / ".precgate").exists()
    repository.change_settings("isl = 1024, osl = 1024", "isl = 64, osl = 64")
    repository.change_settings("[55, 73, 91]", '"quartiles"')
    assert main(["noise", "--launches=3", "--engine=simulated"]) == 0
    out = capsys.readouterr().out
    assert "SIMULATED" in out
    assert "--precgate-engine=simulated --precgate-update" in out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--launches=2"], "got 2, wanted 3 to 1000: fewer give no estimate of sigma @ --launches"),
        (["llama"], "unknown suite 'llama'; known: kimi, other"),
        ([], "which suite? known: kimi, other"),
        (["kimi", "--resume=gone"], "gone: no such run in "),
        (["kimi", "--resume=latest"], "name the run: the latest may be a gate run"),
    ],
)
def test_what_cannot_be_launched_exits_2(
    simulated: Repository, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    """One line on stderr, before anything is measured."""
    simulated.write_settings(SIMULATED + SIMULATED.replace("suites.kimi", "suites.other"))
    assert main(["noise", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert why in captured.err
    assert journals(simulated.path) == []


def test_a_run_under_other_settings_is_not_gone_on_with(
    simulated: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """What differs is named, and the flag to leave out is this command's."""
    assert main(["noise", "--launches=3"]) == 0
    simulated.change_settings('fp4-tp4"\n', 'fp4-tp4"\nseed = 3\n')
    assert main(["noise", "--launches=3", f"--resume={journals(simulated.path)[-1].parent.name}"]) == 2
    err = capsys.readouterr().err
    assert "fp4.seed is 3, the run's was 0" in err
    assert "start a new run without --resume" in err


# --- servers ----------------------------------------------------------------------------------------------------------


def test_servers_are_started_afresh_for_every_launch(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """Three of each precision, in turn; each stopped before the other needs its GPUs, and none left."""
    site.repository.pytester.chdir()
    assert main(["noise", "kimi", "--launches=3"]) == 0
    captured = capsys.readouterr()
    assert started(captured.err) == {"fp4": 3, "int4": 3}
    assert site.running() == []
    assert "measured: 6 launches (3 of fp4, 3 of int4), 12 points" in captured.out
    assert "SIMULATED" not in captured.out
    order = [line.rsplit(" ", 1)[1] for line in captured.err.splitlines() if line.startswith("precgate: launch ")]
    assert order == ["fp4", "int4"] * 3
    assert captured.err.count("precgate: fp4 concurrency 8: ") >= 3
    assert captured.err.count("precgate: stopping fp4 (trtllm) to make room for int4 (vllm)") == 3
    assert not site.repository.baseline.exists()


def test_an_engine_that_fails_exits_2_with_its_cause(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing more is launched, nothing is left."""
    site.repository.pytester.chdir()
    site.behave("trtllm-serve", "--behave fails --failure executor-memory")
    assert main(["noise", "--launches=3"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "precgate: fp4 (trtllm): " in captured.err
    assert "out of GPU memory" in captured.err
    assert started(captured.err) == {"fp4": 1, "int4": 0}
    assert site.running() == []


def test_what_is_left_of_an_engine_does_not_hide_why_it_ended(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It died while it was in use, and its memory did not come back: both are said."""
    monkeypatch.setattr("pytest_precgate.servers.pool._MEMORY_RETURNS_S", 0.0)
    site.gpus(nvmlDeviceGetMemoryInfo={"0": [[192 * 2**30, 0]] * 3 + [[192 * 2**30, 150 * 2**30]]})
    site.behave("trtllm-serve", "--behave is-killed-serving --after 10")
    site.repository.pytester.chdir()
    assert main(["noise", "--launches=3"]) == 2
    err = capsys.readouterr().err
    assert "was killed by SIGKILL" in err
    assert "memory of GPU 0" in err
    assert site.running() == []


def read_until(process: subprocess.Popen[str], found: str) -> str:
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if found in line:
            return "".join(lines)
    pytest.fail("".join(lines))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_signal_in_the_second_launch_leaves_nothing_and_the_first_is_kept(
    site: Site, capsys: pytest.CaptureFixture[str], number: signal.Signals, code: int
) -> None:
    """Ctrl-C says how to go on; gone on with, the finished launches are not started again."""
    command = [sys.executable, "-c", COMMAND, "noise", "kimi", "--launches=3"]
    with subprocess.Popen(command, cwd=site.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            read_until(process, "precgate: launch 2 of 3: int4")
            read_until(process, "precgate: int4 concurrency 1: ")
            process.send_signal(number)
            _, told = process.communicate()
        finally:
            process.kill()
    assert process.returncode == code
    assert eventually(lambda: site.running() == [])
    (journal,) = journals(site.path)
    if number is signal.SIGINT:
        assert "precgate: interrupted; every engine is stopped" in told
    if number is signal.SIGTERM:
        assert "precgate: stopped by SIGTERM; every engine is stopped" in told
        assert (
            f"int4 launch 2 not finished; what was measured is kept, go on with --resume={journal.parent.name}" in told
        )
    site.repository.pytester.chdir()
    assert main(["noise", "--launches=3", f"--resume={journal.parent.name}"]) == 0
    captured = capsys.readouterr()
    assert started(captured.err) == {"fp4": 1, "int4": 2}
    assert "measured: 6 launches (3 of fp4, 3 of int4), 12 points" in captured.out
    assert journals(site.path) == [journal]
    assert site.running() == []
