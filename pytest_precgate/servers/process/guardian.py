"""The program between pytest and a server: however either of them ends, no process of the server is left.

As child subreaper it inherits every descendant whose parent ends, in any session or process group: no process is left
exactly when waitpid() reports no child. There are two of them: the outer one watches pytest, the inner one the server,
and each watches the other. Run by path, with -I -S: only the standard library, started in milliseconds, independent of
PYTHON* variables."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_LOOK_S = 0.25  # how often it looks whether its parent is still there; everything else wakes it
_ROUND_S = 0.02
# A server's output on the disk: its beginning, which says what was started, and at least so much of its end.
HEAD_BYTES, TAIL_BYTES = 8 << 20, 4 << 20
_BLOCK_BYTES, _BLOCKS_A_LOOK = 1 << 16, 64
# What is left of the stop timeout once pytest is gone, or the server is and others are not: a clean end is not
# waited for any more, and the next run on this machine needs the GPUs.
_LAST_GRACE_S = 5.0
# A process that SIGKILL has not ended by then sits in the kernel; it ends when the kernel lets go of it.
_KILL_S = 5.0


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _below() -> dict[int, int]:
    """Every process below this one with its process group, parents first."""
    children: dict[int, list[tuple[int, int]]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it has ended since
                # The name in brackets may hold spaces and brackets; state, parent and group follow the last of them.
                numbers = (entry / "stat").read_bytes().rpartition(b")")[2].split()
                children.setdefault(int(numbers[1]), []).append((int(entry.name), int(numbers[2])))
    found, unseen = {}, children.get(os.getpid(), [])
    for pid, group in unseen:
        found[pid] = group
        unseen += children.get(pid, [])
    return found


def _signal(number: int) -> None:
    """Send a signal to every process below this one, and to all of the groups they are in.

    A group gets it in one step. A chain of processes, each of which forks and exits, outruns a walk through /proc, but
    what it has left there tells its group.
    """
    for target in {pid if group == os.getpgrp() else -group for pid, group in _below().items()}:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(target, number)


def _tell(*words: object) -> None:
    """Say a line to pytest, if it is still there."""
    with suppress(BrokenPipeError):
        os.write(1, " ".join(map(str, words)).encode() + b"\n")


def _append(descriptor: int, data: bytes) -> None:
    """Write everything, or what a full disk takes: a server does not end for want of its log."""
    with suppress(OSError):
        while data:
            data = data[os.write(descriptor, data) :]


class Output:
    """What a server writes, taken from its pipe block by block into ``path``; the middle of too much is left out.

    The end is kept in two files beside it that take turns, and is put behind the beginning when all is over.
    """

    def __init__(self, path: str, read_end: int) -> None:
        self.source: int | None = read_end
        self._path = path
        self._room = HEAD_BYTES
        self._head = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._tail: int | None = None
        self._tail_room = 0
        self._beyond = 0
        os.set_blocking(read_end, False)

    def pump(self) -> None:
        """Take in what there is, without waiting, and no more than so many blocks of it."""
        for _ in range(_BLOCKS_A_LOOK):
            try:
                block = b"" if self.source is None else os.read(self.source, _BLOCK_BYTES)
            except BlockingIOError:
                return
            if not block:
                self._close_source()
                return
            _append(self._head, block[: self._room])
            self._keep(block[self._room :])
            self._room = max(0, self._room - len(block))

    def finish(self) -> None:
        """Take in what is left, which is no more than a pipe holds, and put the end behind the beginning."""
        self.pump()
        self._close_source()
        if self._tail is not None:
            os.close(self._tail)
            self._join()
        os.close(self._head)

    def _close_source(self) -> None:
        if self.source is not None:
            os.close(self.source)
            self.source = None

    def _keep(self, data: bytes) -> None:
        """Append to the newer of the two files of the end; once it is full it is the older one."""
        if not data:
            return
        self._beyond += len(data)
        if self._tail_room < len(data):
            with suppress(OSError):
                if self._tail is not None:
                    os.close(self._tail)
                    Path(f"{self._path}.tail").replace(f"{self._path}.tail-before")
                self._tail = os.open(f"{self._path}.tail", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            self._tail_room = TAIL_BYTES
        if self._tail is not None:
            _append(self._tail, data)
        self._tail_room -= len(data)

    def _join(self) -> None:
        parts = [Path(f"{self._path}.tail-before"), Path(f"{self._path}.tail")]
        kept = [part for part in parts if part.exists()]
        left_out = self._beyond - sum(part.stat().st_size for part in kept)
        if left_out:
            _append(self._head, f"\n[precgate: {left_out} bytes of output are left out here]\n".encode())
        for part in kept:
            _append(self._head, part.read_bytes())
            part.unlink()


class Guard:
    """One process with everything below it. ``control`` is the pipe to pytest, None where it is not read.

    What pytest says there is ``heard``: a line that describes the server, and one byte more when the server is to end.
    """

    def __init__(self, parent: int, control: int | None = None) -> None:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self.heard = b""
        self.output: Output | None = None
        self._parent = parent
        self._control = control
        self._is_abandoned = False
        self._wake, write_end = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(write_end, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.signal(signal.SIGTERM, self._on_sigterm)

    def _on_sigterm(self, _number: int, _frame: FrameType | None) -> None:
        self._is_abandoned = True

    @property
    def is_told(self) -> bool:
        """Whether pytest has asked for the end."""
        return self.heard.partition(b"\n")[2] != b""

    @property
    def is_orphan(self) -> bool:
        """Whether pytest is gone, or SIGTERM was received.

        The pipe alone would not tell: a process the tests forked may hold its other end open.
        """
        return self._is_abandoned or os.getppid() != self._parent

    def wait(self, timeout_s: float) -> None:
        """Wait for the end of a child, a word of pytest, output of the server, SIGTERM, or for the timeout."""
        output = None if self.output is None else self.output.source
        sources = [source for source in (self._wake, self._control, output) if source is not None]
        ready, _, _ = select.select(sources, [], [], timeout_s)
        if self._wake in ready:
            os.read(self._wake, 4096)
        if self.output is not None and output in ready:
            self.output.pump()
        if self._control is not None and self._control in ready:
            said = os.read(self._control, 65536)
            self.heard += said
            if not said:
                self._control, self._is_abandoned = None, True

    def reap(self, on_end: Callable[[int, int], None] = lambda _pid, _code: None) -> bool:
        """Take in every child that has ended, with its exit code; return whether a process is left."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return True
                on_end(pid, os.waitstatus_to_exitcode(status))
        return False

    def kill_everybody(self, on_end: Callable[[int, int], None] = lambda _pid, _code: None) -> list[int]:
        """SIGKILL until no process is left; return those that are left nevertheless."""
        deadline_s = time.monotonic() + _KILL_S
        while self.reap(on_end):
            _signal(signal.SIGKILL)
            if time.monotonic() > deadline_s:
                return list(_below())
            self.wait(_ROUND_S)
        return []


class Service:
    """The server of the inner guardian."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._pid = 0
        self._is_up = False

    def run(self, order: dict[str, Any]) -> None:
        """Start the server, watch it, and end it and all of its children."""
        read_end, write_end = os.pipe()
        self._guard.output = Output(sys.argv[2], read_end)
        self._pid = _spawn(order, write_end)
        os.close(write_end)
        self._is_up = self._pid != 0
        while self._is_up and not (self._guard.is_told or self._guard.is_orphan):
            self._guard.wait(_LOOK_S)
            self._guard.reap(self._on_end)
        if self._is_up:
            os.kill(self._pid, signal.SIGTERM)
        self._wait_for_all(order["stop_timeout_s"])
        left = self._guard.kill_everybody(self._on_end)
        self._guard.output.finish()
        _tell("left", *left)

    def _on_end(self, pid: int, code: int) -> None:
        if pid == self._pid and self._is_up:
            self._is_up = False
            if self._guard.output is not None:
                self._guard.output.pump()  # the reason is in the log when the end is told
            _tell("exit", code)

    def _wait_for_all(self, grace_s: float) -> None:
        """Wait until no process is left, or the time is over. What the server leaves behind is told to end as it
        was."""
        deadline_s = time.monotonic() + grace_s
        are_told = False
        while self._guard.reap(self._on_end):
            now_s = time.monotonic()
            if self._guard.is_orphan or not self._is_up:
                deadline_s = min(deadline_s, now_s + _LAST_GRACE_S)
            if not (self._is_up or are_told):
                _signal(signal.SIGTERM)
                are_told = True
            if now_s >= deadline_s:
                return
            self._guard.wait(min(_LOOK_S, deadline_s - now_s))


def _spawn(order: dict[str, Any], output: int) -> int:
    """Start the server, its output into a pipe, and tell its pid, or why it does not start; then return 0."""
    read_end, write_end = os.pipe()
    me = os.getpid()
    # A signal for the child between fork and exec would run the handlers of the guardian.
    held = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    pid = os.fork()
    if pid == 0:
        _become_server(order, me, write_end, output)
    signal.pthread_sigmask(signal.SIG_SETMASK, held)
    os.close(write_end)
    refusal = os.read(read_end, 4096)  # exec closes the other end
    os.close(read_end)
    if refusal:
        os.waitpid(pid, 0)
        _tell("failed", refusal.decode(errors="replace"))
        return 0
    _tell("pid", pid)
    return pid


def _become_server(order: dict[str, Any], guardian: int, complaints: int, output: int) -> NoReturn:
    try:
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guardian:
            os._exit(1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.chdir(order["cwd"])
        os.execve(order["program"], order["argv"], order["environ"])
    except (OSError, ValueError) as exc:
        os.write(complaints, str(exc).replace("\n", " ").encode(errors="replace"))
    finally:
        os._exit(127)


def _mind_pytest(inner: int, pytest: int) -> None:
    """What the outer guardian does: pass the end of pytest on, and clean up behind the inner one, killed or not."""
    os.close(0)
    guard = Guard(pytest)
    ended: list[int] = []
    while inner not in ended:
        if guard.is_orphan:
            os.kill(inner, signal.SIGTERM)
        guard.wait(_LOOK_S)
        guard.reap(lambda pid, _code: ended.append(pid))
    _tell("left", *guard.kill_everybody())


def _mind_server(outer: int) -> None:
    guard = Guard(outer, control=0)
    while b"\n" not in guard.heard and not guard.is_orphan:
        guard.wait(_LOOK_S)
    order, is_whole, _ = guard.heard.partition(b"\n")
    if is_whole:
        Service(guard).run(json.loads(order))


def main() -> None:
    """Mind the server the first line on stdin describes, until pytest says so, closes the pipe, or ends."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    for descriptor in sys.argv[3:]:  # held here as long as the server has a process, and by none of its children
        os.set_inheritable(int(descriptor), False)
    outer = os.getpid()
    inner = os.fork()
    if inner == 0:
        _mind_server(outer)
    else:
        _mind_pytest(inner, int(sys.argv[1]))


if __name__ == "__main__":
    main()
