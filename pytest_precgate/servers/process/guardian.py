"""The program between pytest and a server: however either of them ends, no process of the server is left.

As child subreaper it inherits every descendant whose parent ends, in any session or process group: no process is left
exactly when waitpid() reports no child. There are two of them: the outer one watches pytest, the inner one the server,
and each watches the other. When all is over the inner one runs the command that sets back what was changed of the
machine for the server, and the outer one does where the inner one was killed. Run by path, with -I -S: only the
standard library and output.py, started in milliseconds, independent of PYTHON* variables."""

from __future__ import annotations

import ctypes
import errno
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

if not __package__:  # run by path: the package is found without the path of a user's Python
    sys.path.insert(0, str(Path(__file__).parents[3]))

from pytest_precgate.servers.process.output import Output

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_LOOK_S = 0.25  # how often it looks whether its parent is still there; everything else wakes it
_ROUND_S = 0.02
# What is left of the stop timeout once pytest is gone, or the server is and others are not: a clean end is not
# waited for any more, and the next run on this machine needs the GPUs.
_LAST_GRACE_S = 5.0
# A process that SIGKILL has not ended by then sits in the kernel; it ends when the kernel lets go of it.
_KILL_S = 5.0
# A driver that does not answer must not keep pytest; the command is ended then, and that is told.
AFTERWARDS_S = 20.0
_MPOL_BIND = 2  # linux/mempolicy.h
_SET_MEMPOLICY = {"x86_64": 238, "aarch64": 237}  # the number of the system call; the C library has no function for it


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _bind_memory(nodes: list[int]) -> None:
    """Have this process, and what it becomes and starts, take its memory from these nodes, as numactl --membind."""
    call = _SET_MEMPOLICY.get(os.uname().machine)
    if call is None:
        raise OSError(errno.ENOSYS, f"numa: set_mempolicy is not known on {os.uname().machine}")
    bits = ctypes.c_ulong * (max(nodes) // 64 + 1)
    mask = bits()
    for node in nodes:
        mask[node // 64] |= 1 << node % 64
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    # The kernel reads one bit less than it is told.
    if libc.syscall(ctypes.c_long(call), ctypes.c_int(_MPOL_BIND), mask, ctypes.c_ulong(len(mask) * 64 + 1)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"numa: memory cannot be bound to nodes {nodes}: {os.strerror(number)} (set_mempolicy)")


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


def _run_on(cpus: list[int]) -> None:
    try:
        os.sched_setaffinity(0, cpus)
    except OSError as exc:
        raise OSError(exc.errno, f"cpus: cores {cpus} cannot be set: {exc.strerror} (sched_setaffinity)") from exc


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
        if order.get("cpus"):
            _run_on(order["cpus"])
        if order.get("nodes"):
            _bind_memory(order["nodes"])
        os.execve(order["program"], order["argv"], order["environ"])
    except (OSError, ValueError) as exc:
        os.write(complaints, str(exc).replace("\n", " ").encode(errors="replace"))
    finally:
        os._exit(127)


def _afterwards(command: list[str]) -> None:
    """Run what sets the machine back, and tell where it cannot; no process of the server is there any more."""
    if not command:
        return
    import subprocess  # noqa: PLC0415  # 20 ms that most servers do not need

    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=AFTERWARDS_S,
            text=True,
            errors="replace",
        )
        why = "" if done.returncode == 0 else done.stderr.strip() or f"exit code {done.returncode}"
    except (OSError, subprocess.SubprocessError) as exc:
        why = str(exc)
    _tell(*(["unrestored", " ".join(why.split())] if why else ["restored"]))


def _mind_pytest(inner: int, pytest: int, afterwards: list[str]) -> None:
    """What the outer guardian does: pass the end of pytest on, and clean up behind the inner one, killed or not."""
    os.close(0)
    guard = Guard(pytest)
    ended: dict[int, int] = {}
    while inner not in ended:
        if guard.is_orphan:
            os.kill(inner, signal.SIGTERM)
        guard.wait(_LOOK_S)
        guard.reap(ended.__setitem__)
    _tell("left", *guard.kill_everybody())
    if ended[inner] != 0:
        _afterwards(afterwards)


def _mind_server(outer: int, afterwards: list[str]) -> None:
    guard = Guard(outer, control=0)
    while b"\n" not in guard.heard and not guard.is_orphan:
        guard.wait(_LOOK_S)
    order, is_whole, _ = guard.heard.partition(b"\n")
    try:
        if is_whole:
            Service(guard).run(json.loads(order))
    finally:
        _afterwards(afterwards)


def main() -> None:
    """Mind the server the first line on stdin describes, until pytest says so, closes the pipe, or ends.

    Arguments: pytest's process id, the log, the command that sets the machine back as a JSON list, and descriptors."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    afterwards = json.loads(sys.argv[3])
    for descriptor in sys.argv[4:]:  # held here as long as the server has a process, and by none of its children
        os.set_inheritable(int(descriptor), False)
    outer = os.getpid()
    inner = os.fork()
    if inner == 0:
        _mind_server(outer, afterwards)
    else:
        _mind_pytest(inner, int(sys.argv[1]), afterwards)


if __name__ == "__main__":
    main()
