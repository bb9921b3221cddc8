"""``precgate doctor`` says what is noisy here, and exits 0 whatever it finds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_precgate.analysis.machine.findings import Finding
from pytest_precgate.cli import main
from pytest_precgate.cli.doctor import examined
from pytest_precgate.errors import PrecgateError, SettingsError
from tests.environment.test_host import SERVER, STAT, tree
from tests.plugin.sites import PYNVML, SETTINGS
from tests.stand_ins import load


@pytest.fixture(autouse=True)
def _somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tree of a server with two nodes, four cores and one GPU."""
    monkeypatch.setenv("STAND_IN_NVML", json.dumps({"gpus": 1}))
    load("pynvml", PYNVML, monkeypatch)
    monkeypatch.setattr("pytest_precgate.environment.host.allowed_cpus", lambda: (0, 1, 2, 3))
    gpu = {"sys/bus/pci/devices/0000:10:00.0/numa_node": "1"}
    return tree(tmp_path / "root", {**SERVER, **gpu, "proc/stat": STAT})


def by_subject(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    return {each.subject: each for each in findings}


def configure(directory: Path, *lines: str) -> None:
    text = SETTINGS.replace('engine = "trtllm"\n', 'engine = "trtllm"\n' + "".join(f"{line}\n" for line in lines))
    (directory / "pyproject.toml").write_text(text, encoding="utf-8")


def test_this_machine_is_judged_in_80_columns_with_exit_0(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever it is; without settings too."""
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert "noisy" in lines[-1]
    assert any("other load: " in line for line in lines)


def test_json_holds_the_same_findings(capsys: pytest.CaptureFixture[str]) -> None:
    """One object each."""
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"subject", "state", "found", "why", "fix", "setting"} == set(found[0])
    assert {each["state"] for each in found} <= {"noisy", "unknown", "fine"}


def test_a_server_s_machine_is_judged_from_its_files(machine: Path, tmp_path: Path) -> None:
    """Counters that stand still are an unknown load; the lock of clocks is never known."""
    found = by_subject(examined(tmp_path, None, machine))
    states = {name: each.state for name, each in found.items()}
    noisy = {"CPU governor", "CPU boost", "SMT siblings", "NUMA", "CPU quota", "swap", "huge pages", "GPU nodes"}
    assert {name for name, state in states.items() if state == "noisy"} == {*noisy, "GPU processes"}
    assert {name for name, state in states.items() if state == "unknown"} == {"other load", "GPU clocks"}
    assert {name for name, state in states.items() if state == "fine"} == {
        "virtual machine",
        "GPU persistence",
        "GPU throttling",
    }


def test_the_settings_of_the_suites_are_judged_with_it(machine: Path, tmp_path: Path) -> None:
    """Siblings 0 and 2: a server on node 1 with both halves of a core is none; follows its GPUs with numa."""
    configure(tmp_path, 'cpus = "0,2"', "client_cpus = [1]", 'lock_clocks = "max"')
    found = by_subject(examined(tmp_path, "kimi", machine))
    assert found["SMT siblings"].found == "kimi fp4: not all of 1,3, one physical core, is the same side's"
    assert "kimi int4 is not placed" in found["NUMA"].found
    configure(tmp_path, 'numa = "gpu"')
    assert "kimi int4 may run elsewhere" in by_subject(examined(tmp_path, None, machine))["GPU nodes"].found


def test_settings_this_machine_cannot_meet_are_a_finding(machine: Path, tmp_path: Path) -> None:
    """Named before a run is tried."""
    configure(tmp_path, 'cpus = "8"')
    found = by_subject(examined(tmp_path, None, machine))["settings of kimi fp4"]
    assert (found.state, found.found) == ("noisy", "cpus: cores 8 are not there or offline; online are 0-3")


def test_a_driver_that_fails_does_not_hide_the_rest(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is unknown, with its own words."""
    broken = {"gpus": 1, "answers": {"nvmlDeviceGetCount": {"": ["NVML_ERROR_LIB_RM_VERSION_MISMATCH"]}}}
    monkeypatch.setenv("STAND_IN_NVML", json.dumps(broken))
    load("pynvml", PYNVML, monkeypatch)
    found = by_subject(examined(tmp_path, None, machine))
    assert found["GPUs"].state == "unknown"
    assert "NVML_ERROR_LIB_RM_VERSION_MISMATCH" in found["GPUs"].found
    assert found["huge pages"].state == "noisy"


def test_a_machine_without_proc_and_sys_cannot_be_looked_at(tmp_path: Path) -> None:
    """That is the one thing that is no finding."""
    with pytest.raises(PrecgateError, match="doctor looks at /proc and /sys of Linux, and neither is there"):
        examined(tmp_path, None, tmp_path / "nowhere")


def test_a_doctor_that_cannot_look_exits_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the reason on stderr; so do settings that cannot be read."""
    (tmp_path / "pyproject.toml").write_text("[tool.precgate.suites.x]\n", encoding="utf-8")
    with pytest.raises(SettingsError):
        examined(tmp_path, None, Path("/"))
    assert main(["doctor"]) == 2
    monkeypatch.setattr("pytest_precgate.cli.doctor._ROOT", tmp_path / "nowhere")
    assert main(["doctor"]) == 2
    assert "neither is there" in capsys.readouterr().err
