"""``precgate doctor`` says what is missing and noisy here; the exit code says whether a configured suite lacks
something."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_precgate.analysis.machine.findings import Finding
from pytest_precgate.analysis.machine.needs import (
    LEAST_FREE,
    Directory,
    directory_findings,
    driver_finding,
    engine_finding,
    git_finding,
    programs_finding,
)
from pytest_precgate.cli import main
from pytest_precgate.cli.doctor import examined
from pytest_precgate.errors import ConnectFailedError, PrecgateError, SettingsError
from pytest_precgate.servers.gpu_locks import GpuLocks, holders
from tests.environment.test_host import SERVER, STAT, tree
from tests.plugin.conftest import site as _site
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


site = _site
HERE = {"PATH": "/nowhere"}
"""An environment without any program."""


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
    assert {each["state"] for each in found} <= {"missing", "noisy", "unknown", "fine"}


def test_a_server_s_machine_is_judged_from_its_files(machine: Path, tmp_path: Path) -> None:
    """Counters that stand still are an unknown load; the lock of clocks is never known."""
    found = by_subject(examined(tmp_path, None, machine, HERE))
    states = {name: each.state for name, each in found.items()}
    noisy = {"CPU governor", "CPU boost", "SMT siblings", "NUMA", "CPU quota", "swap", "huge pages", "GPU nodes"}
    unknown = {"other load", "GPU clocks", "settings", "programs", "git"}
    assert {name for name, state in states.items() if state == "missing"} == set()
    assert {name for name, state in states.items() if state == "noisy"} == {*noisy, "GPU processes"}
    assert {name for name, state in states.items() if state == "unknown"} == unknown
    assert {name for name, state in states.items() if state == "fine"} == {
        "virtual machine",
        "GPU persistence",
        "GPU throttling",
        *("NVIDIA driver", "ports", "run directory", "disk of the run directory", "baselines", "lock directory"),
        "GPU locks",
    }


def test_the_settings_of_the_suites_are_judged_with_it(machine: Path, tmp_path: Path) -> None:
    """Siblings 0 and 2: a server on node 1 with both halves of a core is none; follows its GPUs with numa."""
    configure(tmp_path, 'cpus = "0,2"', "client_cpus = [1]", 'lock_clocks = "max"')
    found = by_subject(examined(tmp_path, "kimi", machine, HERE))
    assert found["SMT siblings"].found == "kimi fp4: not all of 1,3, one physical core, is the same side's"
    assert "kimi int4 is not placed" in found["NUMA"].found
    configure(tmp_path, 'numa = "gpu"')
    assert "kimi int4 may run elsewhere" in by_subject(examined(tmp_path, None, machine, HERE))["GPU nodes"].found


def test_settings_this_machine_cannot_meet_are_a_finding(machine: Path, tmp_path: Path) -> None:
    """Named before a run is tried."""
    configure(tmp_path, 'cpus = "8"')
    found = by_subject(examined(tmp_path, None, machine, HERE))["settings of kimi fp4"]
    assert (found.state, found.found) == ("noisy", "cpus: cores 8 are not there or offline; online are 0-3")


def test_a_driver_that_fails_does_not_hide_the_rest(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is unknown, with its own words."""
    broken = {"gpus": 1, "answers": {"nvmlDeviceGetCount": {"": ["NVML_ERROR_LIB_RM_VERSION_MISMATCH"]}}}
    monkeypatch.setenv("STAND_IN_NVML", json.dumps(broken))
    load("pynvml", PYNVML, monkeypatch)
    found = by_subject(examined(tmp_path, None, machine, HERE))
    assert found["GPUs"].state == "unknown"
    assert "NVML_ERROR_LIB_RM_VERSION_MISMATCH" in found["GPUs"].found
    assert found["huge pages"].state == "noisy"


def test_a_machine_without_proc_and_sys_cannot_be_looked_at(tmp_path: Path) -> None:
    """That is the one thing that is no finding."""
    with pytest.raises(PrecgateError, match="doctor looks at /proc and /sys of Linux, and neither is there"):
        examined(tmp_path, None, tmp_path / "nowhere", HERE)


def test_a_doctor_that_cannot_look_exits_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the reason on stderr; so do settings that cannot be read."""
    (tmp_path / "pyproject.toml").write_text("[tool.precgate.suites.x]\n", encoding="utf-8")
    with pytest.raises(SettingsError):
        examined(tmp_path, None, Path("/"), HERE)
    assert main(["doctor"]) == 2
    monkeypatch.setattr("pytest_precgate.cli.doctor._ROOT", tmp_path / "nowhere")
    assert main(["doctor"]) == 2
    assert "neither is there" in capsys.readouterr().err


# --- what a suite lacks -----------------------------------------------------------------------------------------------


def test_all_that_a_suite_lacks_is_named_at_once(machine: Path, tmp_path: Path) -> None:
    """Program, GPUs and checkpoint of each precision, each with what to do."""
    configure(tmp_path)
    found = [each for each in examined(tmp_path, None, machine, HERE) if each.state == "missing"]
    said = [(each.subject, each.found.partition(":")[0].partition(";")[0], each.fix) for each in found]
    elsewhere = "Give the suite what this machine has, or run it on its own machine."
    install = 'Install the engine, or name it with program = "/path/to/it"'
    assert said == [
        ("kimi fp4", "trtllm-serve is not on PATH", install),
        ("kimi fp4", "fp4 asks for 4 GPUs, more than there are", elsewhere),
        ("kimi fp4", "nvidia/Kimi-K2.5-NVFP4 is not on this machine", "Run: hf download nvidia/Kimi-K2.5-NVFP4"),
        ("kimi int4", "vllm is not on PATH", install),
        ("kimi int4", "int4 asks for 8 GPUs, more than there are", elsewhere),
        ("kimi int4", "moonshotai/Kimi-K2.5 is not on this machine", "Run: hf download moonshotai/Kimi-K2.5"),
    ]


def test_a_suite_that_lacks_something_exits_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is missing comes first, and is counted."""
    monkeypatch.setenv("PATH", "/nowhere")
    configure(tmp_path)
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "missing  kimi fp4: trtllm-serve is not on PATH"
    assert lines[-1].startswith("6 missing, ")
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.usefixtures("site")
def test_a_machine_with_everything_lacks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """The stand-ins of programs, GPUs and checkpoints: exit 0."""
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "fine     kimi fp4: nothing is missing that can be seen without a start\n" in out
    assert out.splitlines()[-1].startswith("0 missing, ")


def test_an_endpoint_that_does_not_answer_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The preflight of a run, by the doctor."""
    precision = '\nengine = "endpoint"\nurl = "http://127.0.0.1:9"\nmodel = "m"\ngpus = 1\n'
    head = '[suites.kimi]\nhardware = "b200"\nworkload = { isl = 8, osl = 8 }\ninteractivity = [5]\n'
    text = f"{head}[suites.kimi.fp4]{precision}[suites.kimi.int4]{precision}"
    (tmp_path / "precgate.toml").write_text(text, encoding="utf-8")
    assert main(["doctor"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "missing kimi fp4: the endpoint does not answer: http://127.0.0.1:9: cannot connect" in out
    assert "fix: Start the server, or correct url" in out


def test_a_lock_that_is_held_is_named_with_its_holder(tmp_path: Path) -> None:
    """Its file says who; a free one is no finding, and stays free."""
    locks = GpuLocks(tmp_path, "the run in /here", lambda: 0.0, lambda _s: None)
    locks.take(["GPU-1", "GPU-2"], 0, print)
    assert holders(tmp_path) == {"GPU-1": "the run in /here", "GPU-2": "the run in /here"}
    locks.release()
    assert holders(tmp_path) == {}
    locks.take(["GPU-1"], 0, print)
    locks.release()
    (tmp_path / "pytest-precgate-gpu-3.lock").symlink_to(tmp_path / "elsewhere")
    assert list(holders(tmp_path)) == ["3"]


def test_what_a_run_writes_into_is_looked_at(machine: Path, tmp_path: Path) -> None:
    """A file in the place of a directory, a lock directory that is not there: missing with a suite, else unknown."""
    (tmp_path / ".precgate").touch()
    (tmp_path / "baselines").touch()
    environ = {**HERE, "PRECGATE_LOCK_DIR": str(tmp_path / "locks")}
    for state in ("unknown", "missing"):
        found = by_subject(examined(tmp_path, None, machine, environ))
        assert {found[name].state for name in ("run directory", "baselines", "lock directory")} == {state}
        assert found["lock directory"].found == f"{tmp_path / 'locks'}: is not there"
        configure(tmp_path)


@pytest.mark.parametrize("is_configured", [False, True])
def test_a_full_disk_is_a_finding(is_configured: bool) -> None:
    """Below a GiB."""
    place = Directory("run directory", "/x", "why", "remedy", free=LEAST_FREE - 1)
    _, disk = directory_findings(place, is_configured=is_configured)
    assert disk.state == ("missing" if is_configured else "unknown")
    assert disk.found == "1.0 GiB free at /x"
    _, disk = directory_findings(replace(place, free=LEAST_FREE), is_configured=is_configured)
    assert disk.state == "fine"


@pytest.mark.parametrize(
    ("problem", "found", "fix"),
    [
        ("no key; export it", "no key", "Export it"),
        ("no key", "no key", "Do what it says, or run the suite on its own machine."),
        (
            "too many; visible here: none",
            "too many; visible here: none",
            "Give the suite what this machine has, or run it on its own machine.",
        ),
    ],
)
def test_a_problem_s_last_clause_is_its_remedy(problem: str, found: str, fix: str) -> None:
    """As messages of preflights are built; no word is lost."""
    finding = engine_finding("kimi fp4", problem)
    assert (finding.state, finding.found, finding.fix) == ("missing", found, fix)


def test_no_port_is_a_finding(monkeypatch: pytest.MonkeyPatch, machine: Path, tmp_path: Path) -> None:
    """Without a loopback interface no server can be started."""

    def refuse(host: str) -> int:
        raise ConnectFailedError(f"{host}: no port can be opened there")

    monkeypatch.setattr("pytest_precgate.http.free_port", refuse)
    assert by_subject(examined(tmp_path, None, machine, HERE))["ports"].state == "unknown"
    configure(tmp_path)
    assert by_subject(examined(tmp_path, None, machine, HERE))["ports"].state == "missing"


def test_a_driver_that_hides_its_version_is_unknown() -> None:
    """And one that tells it is fine."""
    assert driver_finding("580.65", "13.0").found == "580.65, CUDA up to 13.0"
    assert driver_finding("580.65", None).state == "unknown"


def test_programs_count_only_without_a_suite() -> None:
    """What a suite lacks of them is said by its engine's finding."""
    found = {"vllm": "/bin/vllm", "nvidia-smi": None}
    assert programs_finding(found, is_configured=True).state == "fine"
    unknown = programs_finding(found, is_configured=False)
    assert (unknown.state, unknown.found) == ("unknown", "vllm (/bin/vllm); not on PATH: nvidia-smi")
    assert programs_finding({"vllm": "/bin/vllm"}, is_configured=False).found == "vllm (/bin/vllm)"


def test_a_commit_is_told_where_there_is_one() -> None:
    """Without git, or a repository, it is unknown."""
    assert (git_finding("unknown").state, git_finding("abc").found) == ("unknown", "commit abc")
