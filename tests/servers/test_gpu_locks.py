"""One run at a time on a GPU: real lock files, taken by real processes, waited for in virtual time."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_precgate.errors import GpuBusyError
from pytest_precgate.servers.gpu_locks import GpuLocks

HOLDER = """\
import sys, time
from pathlib import Path
from pytest_precgate.servers.gpu_locks import GpuLocks
locks = GpuLocks(Path(sys.argv[1]), "another run", time.monotonic, time.sleep)
locks.take(sys.argv[2:], 0, print)
print("held", flush=True)
sys.stdin.read()
"""


class Clock:
    """Virtual time; each pause is told to ``on_pause`` first."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.on_pause: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        return self.now_s

    def pause(self, seconds: float) -> None:
        self.on_pause()
        self.now_s += seconds


@contextmanager
def held(directory: Path, *devices: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the locks of ``devices``."""
    command = [sys.executable, "-c", HOLDER, str(directory), *devices]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def locks(directory: Path, clock: Clock) -> GpuLocks:
    return GpuLocks(directory, "the run in test", clock, clock.pause)


def test_a_gpu_held_by_another_run_is_refused_by_its_holder(tmp_path: Path) -> None:
    """Who waits is told for whom, at once and when the time is over; nothing stays locked."""
    clock = Clock()
    said: list[str] = []
    mine = locks(tmp_path, clock)
    with held(tmp_path, "1"), pytest.raises(GpuBusyError, match=r"GPU 1 is held by another run .* after 30 s"):
        mine.take(["0", "1"], 30, said.append)
    assert said == ["waiting for GPU 1, held by another run"]
    assert not mine.held
    locks(tmp_path, clock).take(["0", "1"], 0, said.append)


@pytest.mark.parametrize("name", ["other\n::error::x\x1b[2J", "other \udcff"])
def test_a_holder_is_named_in_printable_words(tmp_path: Path, name: str) -> None:
    """The file is another user's to write, and a directory's name may be no Unicode."""
    other, clock = Clock(), Clock()
    GpuLocks(tmp_path, f"the run in {name}", other, other.pause).take(["0"], 0, lambda _: None)
    (lock,) = tmp_path.glob("*.lock")
    lock.write_bytes(lock.read_bytes() + f"{name}\n".encode(errors="surrogateescape"))
    said: list[str] = []
    with pytest.raises(GpuBusyError, match="GPU 0 is held by the run in other") as refused:
        locks(tmp_path, clock).take(["0"], 1, said.append)
    assert all(text.isprintable() for text in (*said, str(refused.value)))


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    """SIGKILL frees a GPU: the operating system gives the lock back."""
    clock = Clock()
    with held(tmp_path, "0") as process:

        def kill() -> None:
            process.kill()
            process.wait()

        clock.on_pause = kill
        locks(tmp_path, clock).take(["0"], 30, lambda _: None)


def test_runs_that_want_the_same_gpus_in_other_orders_do_not_block_each_other(tmp_path: Path) -> None:
    """All of a suite's GPUs are taken in one order, whichever was asked first."""
    clock = Clock()
    first, second = locks(tmp_path, clock), locks(tmp_path, clock)
    first.take(["0", "1"], 0, lambda _: None)
    with pytest.raises(GpuBusyError, match="GPU 0 is held by the run in test"):
        second.take(["1", "0"], 0, lambda _: None)
    first.release()
    second.take(["1", "0"], 0, lambda _: None)
    assert second.held == {"0", "1"}


def test_other_gpus_are_free_meanwhile(tmp_path: Path) -> None:
    """A lock is one GPU's."""
    with held(tmp_path, "0"):
        locks(tmp_path, Clock()).take(["1"], 0, lambda _: None)


def test_a_lock_can_be_taken_by_the_next_user(tmp_path: Path) -> None:
    """Every user can use its file, with any umask, and a UUID or a MIG slice is not a path."""
    locks(tmp_path, Clock()).take(["MIG-GPU/../x"], 0, lambda _: None)
    (path,) = tmp_path.iterdir()
    assert path.name == "pytest-precgate-gpu-MIG-GPU____x.lock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o666


def test_a_directory_that_cannot_hold_locks_is_said_with_the_variable_that_moves_it(tmp_path: Path) -> None:
    """No lock is no silent go-ahead."""
    with pytest.raises(GpuBusyError, match=r"gone/.*cannot be opened: No such file.*PRECGATE_LOCK_DIR"):
        locks(tmp_path / "gone", Clock()).take(["0"], 0, lambda _: None)


def test_a_server_that_outlives_its_run_keeps_the_lock(tmp_path: Path) -> None:
    """Its guardian holds the file, too: the next run waits until the GPU is really free."""
    clock = Clock()
    mine = locks(tmp_path, clock)
    mine.take(["0"], 0, lambda _: None)
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=mine.descriptors) as guardian:
        mine.release()
        with pytest.raises(GpuBusyError, match="GPU 0 is held by the run in test"):
            locks(tmp_path, clock).take(["0"], 0, lambda _: None)
        guardian.communicate()
    locks(tmp_path, clock).take(["0"], 0, lambda _: None)
