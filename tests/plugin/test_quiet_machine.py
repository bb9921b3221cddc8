"""Cores, nodes, clocks and a limit on other load, through a suite that starts its servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_precgate.analysis.machine.load import BusyProcess, HostLoad
from pytest_precgate.servers.machine import Machine
from tests.engines.marked import eventually
from tests.plugin.sites import PYNVML, Site
from tests.repository import QUIET
from tests.stand_ins import load

FP4 = 'engine = "trtllm"\n'
PERSISTENCE_OFF = {"nvmlDeviceGetPersistenceMode": {"": [0]}}


def set_fp4(site: Site, *lines: str) -> None:
    site.repository.change_settings(FP4, FP4 + "".join(f"{line}\n" for line in lines))


def recorded(site: Site, **answers: object) -> Path:
    """Have the driver write down what is changed of its GPUs, four of them."""
    path = site.path / "gpu-calls"
    nobody: dict[str, object] = {"nvmlDeviceGetComputeRunningProcesses_v3": {"": [[]]}}
    script = {"gpus": 8, "record": str(path), "answers": {**nobody, **answers}}
    site.patch.setenv("STAND_IN_NVML", json.dumps(script))
    load("pynvml", PYNVML, site.patch)
    return path


def made(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def busy(site: Site) -> None:
    found = HostLoad((0, 1), 0.42, 0.0, 3, (BusyProcess(4711, "cc1plus", 0.8),))
    site.patch.setattr(Machine, "load", lambda _machine, _cores: found)


def cores() -> list[int]:
    found = sorted(os.sched_getaffinity(0))
    if len(found) < 2:
        pytest.skip("needs two cores")
    return found


def test_server_and_client_get_cores_of_their_own(site: Site) -> None:
    """The server's processes run on its core, the client on the rest; both are facts of the launch and the baseline."""
    first, *rest = cores()
    site.repository.write_test(
        "import os\n\n\n"
        "def test_it(precgate, fp4_engine):\n"
        "    import psutil\n"
        "    serving = [p for p in psutil.process_iter(['cmdline'])\n"
        "               if fp4_engine.url.rpartition(':')[2] in (p.info['cmdline'] or ())]\n"
        f"    assert serving and all(p.cpu_affinity() == [{first}] for p in serving)\n"
        "    precgate.check(precgate.compare('fp4', 'int4'))\n"
        f"    assert sorted(os.sched_getaffinity(0)) == {[first, *rest]}\n"
    )
    set_fp4(site, f'cpus = "{first}"', f"client_cpus = {rest}")
    assert site.repository.run("--precgate-update").ret == 0
    facts = json.loads(site.repository.baseline.read_text(encoding="utf-8"))
    text = json.dumps(facts)
    assert f'"server.cpus": "{first}"' in text
    assert '"host.load": "quiet"' in text
    assert site.running() == []


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (
            ['cpus = "0-1"', "client_cpus = [1]"],
            "shares the cores 1 with client_cpus; give each side its own @ *fp4.cpus",
        ),
        (['cpus = "0-"'], "got '0-', wanted cores like 0-15,32 as taskset writes them @ *fp4.cpus"),
        (["cpus = []"], "got no core, wanted at least one @ *fp4.cpus"),
        (['client_cpus = "x"'], "got 'x', wanted cores like*@ *fp4.client_cpus"),
        (['numa = "cpu"'], "unknown value 'cpu'; *known: gpu @ *fp4.numa"),
        (["numa = -1"], 'got -1, wanted the number of a node, 0 to 4095, or "gpu" @ *fp4.numa'),
        (["lock_clocks = 0"], "got 0, wanted at least 1 @ *fp4.lock_clocks"),
        (['lock_clocks = "base"'], "unknown value 'base'; *known: max @ *fp4.lock_clocks"),
        (["persistence = 1"], "got 1, wanted true or false @ *fp4.persistence"),
        (["load_limit = 0"], "load_limit: got 0, wanted a share above 0 and at most 1 (0.1 is 10%) @ *fp4.load_limit"),
    ],
)
def test_a_setting_that_cannot_be_meant_exits_4(site: Site, lines: list[str], why: str) -> None:
    """File and key; nothing was asked of the machine."""
    set_fp4(site, *lines)
    result = site.repository.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: precgate: *pyproject.toml: {why.replace('[', '[[]')}"])


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (['cpus = "60000"'], "fp4 (trtllm): cpus: cores 60000 are *"),
        (["client_cpus = [60000]"], "fp4 (trtllm): client_cpus: cores 60000 are *"),
        (["numa = 4000"], "fp4 (trtllm): numa: got node 4000, wanted one of this machine's: *"),
        (["lock_clocks = 9999"], "fp4 (trtllm): GPU 0 *: lock_clocks = 9999: its highest SM clock is 1965 MHz*"),
    ],
)
def test_what_the_machine_does_not_have_is_refused_before_a_start(site: Site, lines: list[str], why: str) -> None:
    """Also before the other precision is started."""
    set_fp4(site, *lines)
    result = site.repository.run("--precgate-update")
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"E *{why}"])
    assert site.starts(result) == {"fp4": 0, "int4": 0}


def test_all_cores_for_the_server_leave_none_for_the_client(site: Site) -> None:
    """Refused, and not shared."""
    set_fp4(site, f"cpus = {cores()}")
    result = site.repository.run("--precgate-update")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["E *no core is left for the load client beside the server's *; leave some out with cpus*"]
    )


def test_the_node_of_the_gpus_is_asked_of_the_kernel(site: Site) -> None:
    """A GPU whose device the kernel does not know here is on the only node, or refused where there are several."""
    nodes = sorted(Path("/sys/devices/system/node").glob("node[0-9]*"))
    if len(nodes) != 1:
        pytest.skip("needs a machine with one node")
    set_fp4(site, 'numa = "gpu"', f"client_cpus = [{cores()[-1]}]")
    assert site.repository.run("--precgate-update").ret == 0
    assert f'"server.numa": "{nodes[0].name[4:]}"' in site.repository.baseline.read_text(encoding="utf-8")


def test_clocks_are_locked_while_the_server_is_up_and_let_go(site: Site) -> None:
    """Of its four GPUs, once per launch; what was in force is a fact."""
    calls = recorded(site, **PERSISTENCE_OFF)
    set_fp4(site, "lock_clocks = 1500", "persistence = true")
    assert site.repository.run("--precgate-update").ret == 0
    assert made(calls) == [
        *(
            line
            for gpu in range(4)
            for line in (f"nvmlDeviceSetPersistenceMode {gpu} 1", f"nvmlDeviceSetGpuLockedClocks {gpu} 1500 1500")
        ),
        *(
            line
            for gpu in range(4)
            for line in (f"nvmlDeviceResetGpuLockedClocks {gpu}", f"nvmlDeviceSetPersistenceMode {gpu} 0")
        ),
    ]
    assert '"gpu.locked_clocks": "1500 MHz"' in site.repository.baseline.read_text(encoding="utf-8")


def test_without_permission_the_run_fails_and_says_what_to_do(site: Site) -> None:
    """No server is started; that what was never set cannot be set back either is no second error."""
    denied = {"": ["NVML_ERROR_NO_PERMISSION"]}
    calls = recorded(site, nvmlDeviceSetGpuLockedClocks=denied, nvmlDeviceResetGpuLockedClocks=denied)
    set_fp4(site, 'lock_clocks = "max"')
    result = site.repository.run("--precgate-update")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "E *GPU 0 *: lock_clocks = 1965: the driver allows it to root only. Set it by hand, once: "
            "sudo nvidia-smi -i 0 -lgc 1965,1965*"
        ]
    )
    assert made(calls)[-1].startswith("nvmlDeviceResetGpuLockedClocks")
    assert not list((site.path / ".precgate").rglob("launch.json"))
    assert site.running() == []


def test_clocks_that_cannot_be_let_go_fail_the_run(site: Site) -> None:
    """The figures are there; the machine is not as it was, and that is said."""
    recorded(site, nvmlDeviceResetGpuLockedClocks={"": ["NVML_ERROR_UNKNOWN"]})
    set_fp4(site, "lock_clocks = 1500")
    result = site.repository.run("--precgate-update")
    assert result.ret != 0
    assert "is not set back: " in result.stdout.str() + result.stderr.str()
    assert "sudo nvidia-smi -rgc" in result.stdout.str() + result.stderr.str()
    assert site.running() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_pytest_that_is_ended_leaves_no_clock_locked(site: Site, number: signal.Signals) -> None:
    """While the server is up; the guardian lets them go."""
    calls = recorded(site)
    set_fp4(site, "lock_clocks = 1500")
    site.repository.write_test(
        "import signal\n\n\ndef test_it(fp4_engine):\n    print('up', flush=True)\n    signal.pause()\n"
    )
    command = [sys.executable, "-m", "pytest", *QUIET, "-s"]
    with subprocess.Popen(command, cwd=site.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        assert run.stdout is not None
        assert any("up" in line.split() for line in run.stdout)
        assert len(made(calls)) == 4
        run.send_signal(number)
        run.communicate()
    # Once by each guardian at most: to let a clock go that is not locked changes nothing.
    let_go = {f"nvmlDeviceResetGpuLockedClocks {gpu}" for gpu in range(4)}
    assert eventually(lambda: set(made(calls)[4:]) == let_go)
    assert eventually(lambda: site.running() == [])


def test_a_busy_machine_is_told_and_is_a_fact(site: Site) -> None:
    """A shared machine still measures; the exact load is kept beside the server's output."""
    busy(site)
    result = site.repository.run("--precgate-update")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "*fp4 (trtllm): before its start 42% of the cores 0-1 are busy with other work (cc1plus (4711) 80% of a "
            "core); its figures may scatter*"
        ]
    )
    assert '"host.load": "busy"' in site.repository.baseline.read_text(encoding="utf-8")
    (record, *_) = (site.path / ".precgate").rglob("launch.json")
    assert json.loads(record.read_text(encoding="utf-8"))["other_load"]["share"] == 0.42


def test_a_busier_machine_than_the_baseline_s_is_a_note(site: Site) -> None:
    """Soft: the verdict stays, and its reader is told."""
    assert site.repository.run("--precgate-update").ret == 0
    busy(site)
    result = site.repository.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*fp4, int4: host.load is busy, the baseline's is quiet*"])


@pytest.mark.parametrize(("limit", "ret"), [(0.4, 1), (0.5, 0)])
def test_a_limit_refuses_a_busy_machine(site: Site, limit: float, ret: int) -> None:
    """Before the server starts, with what it is busy with; it is no regression."""
    busy(site)
    set_fp4(site, f"load_limit = {limit}")
    result = site.repository.run("--precgate-update")
    assert result.ret == ret
    if ret:
        result.stdout.fnmatch_lines(
            [
                "E *HostBusyError: fp4 (trtllm): not started: 42% of the cores 0-1 are busy with other work (cc1plus*"
                "load_limit is 40%. This is no regression*"
            ]
        )
        assert site.running() == []


def test_a_limit_refuses_a_load_that_cannot_be_told(site: Site) -> None:
    """It is not taken for none; without a limit the fact is left out."""
    site.patch.setattr(Machine, "load", lambda _machine, _cores: None)
    assert site.repository.run("--precgate-update").ret == 0
    assert "host.load" not in site.repository.baseline.read_text(encoding="utf-8")
    set_fp4(site, "load_limit = 0.5")
    result = site.repository.run("--precgate-update")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *load_limit = 0.5, and the load of its cores cannot be told: */proc/stat*"])


def test_an_endpoint_s_client_gets_its_cores_or_is_refused(site: Site) -> None:
    """Its server runs elsewhere, so cores of this machine are the client's alone."""
    text = (site.path / "pyproject.toml").read_text(encoding="utf-8")
    head = text[: text.index("[tool.precgate.suites.kimi.fp4]")]
    tables = "".join(
        f'[tool.precgate.suites.kimi.{precision}]\nengine = "endpoint"\nurl = "http://127.0.0.1:9"\nmodel = "m"\n'
        "gpus = 1\nclient_cpus = [60000]\n\n"
        for precision in ("fp4", "int4")
    )
    site.repository.write_settings(head + tables)
    result = site.repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *PreflightError: suite kimi: client_cpus: cores 60000 are *"])
