"""A server runs on its cores and takes its memory from its node, and the machine is set back however all of it ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pytest_precgate.analysis.machine.placement import ANYWHERE, Placement
from pytest_precgate.engines.server import ServerCommand
from pytest_precgate.errors import EngineStartError, EngineStopError, GpuSettingError
from pytest_precgate.servers.process import supervised
from pytest_precgate.servers.process.supervised import Process, start
from pytest_precgate.servers.process.surroundings import Surroundings
from tests.engines.marked import STAND_IN, Marked, eventually, free_port, marked
from tests.servers.process.test_process import guardians, patched_guardian
from tests.servers.process.test_pytest_killed import driven, says

ASK = "import os; print('cores', sorted(os.sched_getaffinity(0)), flush=True)"
POLICY = "print(open('/proc/self/numa_maps').readline().split()[1], flush=True)"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Marked]:
    with marked(tmp_path) as made:
        yield made


def undo(here: Marked) -> tuple[tuple[str, ...], Path]:
    """A command that sets the machine back, and the file that shows how often it ran."""
    path = here.directory / "undone"
    return (sys.executable, "-c", f"open({str(path)!r}, 'a').write('x')"), path


def started(here: Marked, surroundings: Surroundings, *argv: str) -> Process:
    words = argv or (sys.executable, "-S", str(STAND_IN), "--behave", "serves", "--port", str(free_port()))
    return start(ServerCommand(words, cwd=here.directory), here.log, here.environ, 1.0, surroundings=surroundings)


def ended(process: Process) -> bool:
    return eventually(lambda: not process.is_alive())


def test_a_server_and_what_it_starts_run_on_its_cores(here: Marked) -> None:
    """And this process, and the guardian, where they did."""
    core = max(os.sched_getaffinity(0))
    before = os.sched_getaffinity(0)
    ask = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ASK!r}])"
    process = started(here, Surroundings(Placement((core,))), sys.executable, "-c", ask)
    assert ended(process)
    assert process.log_text() == f"cores [{core}]\n"
    assert os.sched_getaffinity(0) == before
    process.stop()


def test_a_server_s_memory_is_bound_to_its_nodes(here: Marked) -> None:
    """The policy holds after exec, as the kernel itself tells."""
    if not Path("/proc/self/numa_maps").exists():
        pytest.skip("this kernel has no /proc/self/numa_maps")
    process = started(here, Surroundings(Placement(nodes=(0,))), sys.executable, "-c", POLICY)
    assert ended(process)
    assert process.log_text() == "bind:0\n"
    process.stop()


@pytest.mark.parametrize(
    ("placement", "why"),
    [
        (Placement((65_000,)), r"it cannot be run: .*cpus: cores \[65000\] cannot be set: Invalid argument"),
        (Placement(nodes=(1023,)), r"it cannot be run: .*numa: memory cannot be bound to nodes \[1023\]: "),
    ],
)
def test_cores_and_nodes_the_kernel_refuses_are_named(here: Marked, placement: Placement, why: str) -> None:
    """A server never starts on others instead."""
    with pytest.raises(EngineStartError, match=why):
        started(here, Surroundings(placement))
    assert here.running() == []


def stopped(process: Process) -> None:
    process.stop()


def crashed(process: Process) -> None:
    os.kill(process.pid, signal.SIGKILL)
    assert ended(process)
    process.stop()


def inner_killed(process: Process) -> None:
    guardians(process)[1].kill()
    assert ended(process)
    process.stop()


@pytest.mark.parametrize("end", [stopped, crashed, inner_killed])
def test_the_machine_is_set_back_once_nothing_is_left(here: Marked, end: Callable[[Process], None]) -> None:
    """After a stop, after a crash, and by the outer guardian where the inner one is killed."""
    command, path = undo(here)
    process = started(here, Surroundings(ANYWHERE, undo=command))
    assert not path.exists()
    end(process)
    assert path.read_text() == "x"
    assert here.running() == []


def test_the_machine_is_set_back_where_the_outer_guardian_is_killed(here: Marked) -> None:
    """The inner one does it, unheard: pytest says that it does not know."""
    command, path = undo(here)
    process = started(here, Surroundings(ANYWHERE, undo=command))
    guardians(process)[0].kill()
    assert eventually(path.exists)
    assert eventually(lambda: here.running() == [])
    process.stop()  # its pipe was the inner one's too: what that said is heard


def test_a_change_that_fails_starts_no_server_and_is_set_back(here: Marked) -> None:
    """The guardian is there before the change is made."""
    command, path = undo(here)
    seen: list[int] = []

    def change() -> None:
        seen.extend(process.pid for process in psutil.Process().children())
        raise GpuSettingError("the driver allows it to root only")

    with pytest.raises(GpuSettingError, match="root only"):
        started(here, Surroundings(ANYWHERE, change, command), "touch", "started")
    assert seen
    assert path.read_text() == "x"
    assert not (here.directory / "started").exists()


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import sys; sys.exit('GPU 0: \\x1b[2J the driver\\nis gone')", r"GPU 0: \\x1b\[2J the driver is gone"),
        ("import sys; sys.exit(3)", "exit code 3"),
    ],
)
def test_a_machine_that_cannot_be_set_back_is_told_with_what_to_do(here: Marked, code: str, why: str) -> None:
    """Every time it is asked to stop; the server itself is gone."""
    process = started(here, Surroundings(ANYWHERE, undo=(sys.executable, "-c", code)))
    for _ in range(2):
        with pytest.raises(EngineStopError, match=rf"is not set back: {why}. Do it by hand: sudo nvidia-smi -rgc"):
            process.stop()
    assert here.running() == []


def test_a_command_that_hangs_is_ended(here: Marked, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that does not answer does not keep pytest."""
    monkeypatch.setattr(supervised, "GUARDIAN", patched_guardian(here, "guardian.AFTERWARDS_S = 0.2"))
    process = started(here, Surroundings(ANYWHERE, undo=(sys.executable, "-c", "import time; time.sleep(600)")))
    with pytest.raises(EngineStopError, match=r"is not set back: .*timed out after 0.2 seconds"):
        process.stop()
    assert here.running() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_pytest_leaves_the_machine_as_it_was(here: Marked, number: signal.Signals) -> None:
    """No code of pytest runs any more."""
    command, path = undo(here)
    with driven(here, "leaves-workers", "undo", *command) as driver:
        assert says(driver, "ready")
        assert not path.exists()
        driver.send_signal(number)
        driver.wait()
        assert eventually(path.exists)
        assert eventually(lambda: here.running() == [])
    assert set(path.read_text()) == {"x"}  # a guardian that is told twice may leave it to the other one as well
