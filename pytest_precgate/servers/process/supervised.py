"""A server as pytest sees it: a process, its log, and a stop that leaves no process behind.

guardian.py watches the server, and an open pipe keeps the server up. Invariant: when pytest ends in any way, the kernel
closes the pipe and the server is stopped; no atexit and no handler is needed."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import psutil

from pytest_precgate.engines.server import ServerCommand
from pytest_precgate.errors import EngineStartError, EngineStopError, PreflightError
from pytest_precgate.hidden import secrets_of, without
from pytest_precgate.servers.process.guardian import AFTERWARDS_S
from pytest_precgate.servers.process.output import HEAD_BYTES, TAIL_BYTES
from pytest_precgate.servers.process.surroundings import PLAIN, Surroundings
from pytest_precgate.servers.process.variables import inherited
from pytest_precgate.text import printable, printable_lines

GUARDIAN = Path(__file__).with_name("guardian.py")
_START_S = 60.0
# Beyond the server's own time: SIGKILL by both guardians, five seconds each, and a busy machine.
_GUARDIAN_S = 30.0
_TAIL_BYTES = 65536
_TAILS = (".tail-before", ".tail")
_ARGUMENTS_SHOWN = 200


def start(
    command: ServerCommand,
    log: Path,
    environ: Mapping[str, str],
    stop_timeout_s: float,
    *,
    keep_scheduler: bool = False,
    keep_open: Collection[int] = (),
    surroundings: Surroundings = PLAIN,
) -> Process:
    """Write the command's files and start it, in a session of its own, with its output in ``log``, written anew.

    ``environ`` is what it inherits, less what ``inherited`` takes away. ``stop_timeout_s`` is how long it may take to
    end after SIGTERM. ``keep_open`` are descriptors its guardian holds until all of it is gone: the locks of its GPUs.
    ``surroundings`` are its cores and what of the machine is changed for it. Raises PreflightError when there is no
    such program, EngineStartError when it does not start, and what the change of the machine raises.
    """
    if sys.platform != "linux":
        raise PreflightError(
            f"servers are started on Linux only, and this is {sys.platform}; "
            'start it elsewhere and attach to it with engine = "endpoint"'
        )
    variables = {**inherited(environ, keep_scheduler=keep_scheduler), **command.variables}
    cwd = Path.cwd() if command.cwd is None else command.cwd
    order = {
        "program": _program(command.argv[0], variables, cwd),
        "argv": command.argv,
        "environ": variables,
        "cwd": str(cwd),
        "stop_timeout_s": stop_timeout_s,
        "cpus": list(surroundings.placement.cpus),
        "nodes": list(surroundings.placement.nodes),
    }
    for path, text in command.files.items():
        _write(path, text)
    _write(log, "")
    for ending in _TAILS:
        log.with_name(f"{log.name}{ending}").unlink(missing_ok=True)
    secrets = secrets_of(environ, command.variables)
    process = Process(command, log, stop_timeout_s, keep_open, secrets, surroundings.undo)
    try:
        with process.changing():  # its guardian runs: the change is undone however the run ends
            surroundings.change()
        process.begin(order)
    except BaseException:
        process.stop()
        raise
    return process


class Process:
    """A server that was started; for use by one thread. ``pid`` is the server's, ``log`` the file of its output."""

    def __init__(
        self,
        command: ServerCommand,
        log: Path,
        stop_timeout_s: float,
        keep_open: Collection[int] = (),
        secrets: Mapping[str, str] = MappingProxyType({}),
        undo: tuple[str, ...] = (),
    ) -> None:
        self.pid = 0
        self.log = log
        self._command = command
        self._secrets = secrets
        self._stop_timeout_s = stop_timeout_s
        self._exit_code: int | None = None
        self._refusal: str | None = None
        self._left: list[psutil.Process] | None = None
        self._are_left = False
        self._undo = undo
        self._unrestored: str | None = "its guardians were killed"
        self._unread = b""
        self._is_silent = False
        # The log's path is for a person who looks at the list of processes.
        words = [sys.executable, "-I", "-S", str(GUARDIAN), str(os.getpid()), str(log)]
        words += [json.dumps(undo), *map(str, keep_open)]
        pipe = subprocess.PIPE
        try:
            with log.open("ab") as output:
                self._guardian = subprocess.Popen(
                    words,
                    stdin=pipe,
                    stdout=pipe,
                    stderr=output,
                    start_new_session=True,
                    bufsize=0,
                    pass_fds=tuple(keep_open),
                )
        except OSError as exc:
            raise EngineStartError(
                command.argv[0], f"its guardian cannot be started: {exc.strerror}", str(log)
            ) from exc
        assert self._guardian.stdin is not None
        assert self._guardian.stdout is not None
        self._to_guardian, self._from_guardian = self._guardian.stdin, self._guardian.stdout
        self._poll = select.poll()
        self._poll.register(self._from_guardian, select.POLLIN)

    def begin(self, order: Mapping[str, object]) -> None:
        """Have the guardian start the server. Raises EngineStartError when it cannot."""
        self._say(json.dumps(order).encode() + b"\n")
        while not self.pid and self._refusal is None and self._hear(_START_S):
            pass
        if self._refusal is not None:
            raise EngineStartError(self._command.argv[0], f"it cannot be run: {self._refusal}", str(self.log))
        if not self.pid:
            raise EngineStartError(self._command.argv[0], "its guardian did not come up", str(self.log), self.tail(20))

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Change the machine. A change that fails is its maker's to undo and to tell; the guardian tries as well, and
        may be refused what was refused before."""
        try:
            yield
        except BaseException:
            self._undo = ()
            raise

    def is_alive(self) -> bool:
        """Whether the server runs, and is minded; costs one system call."""
        self._hear(0.0)
        return self._exit_code is None and not self._is_silent

    def exit_text(self) -> str:
        """How it ended, as the end of a sentence; "still runs" while it does."""
        if self.is_alive():
            return "still runs"
        if self._exit_code is None:
            return "was ended because its guardian was killed"
        if self._exit_code >= 0:
            return f"ended with exit code {self._exit_code}"
        try:
            name = signal.Signals(-self._exit_code).name
        except ValueError:  # a real-time signal
            name = f"signal {-self._exit_code}"
        hint = ", as the kernel does when memory runs out" if name == "SIGKILL" else ""
        return f"was killed by {name}{hint}"

    def log_size(self) -> int:
        """Bytes of output on the disk, which change whenever something is written."""
        return sum(_size(path) for path in self._parts())

    def log_text(self) -> str:
        """Return what is kept of the output so far: all of it up to 8 MiB, the beginning and the end of more."""
        texts = [_read(path) for path in self._parts()]
        return without(self._secrets, b"".join(texts)).decode("utf-8", "replace")

    def tail(self, lines: int) -> str:
        """Return the last lines of the output, each printable. A progress bar's states are lines of their own."""
        end = b""
        for path in reversed(self._parts()):
            end = _read(path, _TAIL_BYTES - len(end)) + end
        return "\n".join(printable_lines(without(self._secrets, end)).split("\n")[-lines:])

    def _parts(self) -> tuple[Path, ...]:
        """Where the guardian keeps the output, the oldest first; the last two only where there is too much of it."""
        return tuple(self.log.with_name(f"{self.log.name}{end}") for end in ("", *_TAILS))

    def listens_on(self, port: int) -> bool:
        """Whether the server, or a process below it, is who listens on that TCP port of this machine.

        Another program's answer on the port is then not taken for the server's.
        """
        pids = {process.pid for process in self._below()}
        return any(
            connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid in pids
            for connection in psutil.net_connections("tcp")
        )

    def pids(self) -> frozenset[int]:
        """Return the server's process id and those below it; it looks at every process of the machine."""
        return frozenset(process.pid for process in self._below())

    def survivors(self) -> tuple[str, ...]:
        """Return what of the server runs although it was stopped: pid, state and command line of each."""
        return tuple(_describe(process) for process in self._left or () if _runs(process))

    def stop(self) -> None:
        """End the server with everything below it, in any session or process group; at once when it has ended.

        SIGTERM for the server, its stop timeout for all of them, SIGKILL until no process is left. May be called again.
        Raises EngineStopError naming what is left, and what of the machine could not be set back.
        """
        is_first = self._guardian.returncode is None
        if is_first:
            self._say(b"s")
            self._await_guardian()
            self._to_guardian.close()
            self._from_guardian.close()
            self._is_silent = True
        if self.pid and self._left is None:
            raise EngineStopError(
                f"{self._command.argv[0]}: both its guardians were killed, so it is not known whether a process of "
                "it is left. Look for its processes, and end them"
            )
        left = self.survivors()
        if left or (is_first and self._are_left):
            raise EngineStopError(
                f"{self._command.argv[0]}: told to stop, then killed, and still there: "
                f"{'; '.join(left) or 'processes that were gone when they were looked at'}. A process in "
                "disk-sleep waits for the kernel or a driver; another user's must be ended by that user"
            )
        if self._undo and self._unrestored is not None:
            raise EngineStopError(
                f"{self._command.argv[0]}: it ended, and what was set of its GPUs for it is not set back: "
                f"{self._unrestored}. Do it by hand: sudo nvidia-smi -rgc, and -pm 0 where persistence mode was off"
            )

    def _say(self, words: bytes) -> None:
        """A guardian that is gone says more by its silence."""
        with suppress(BrokenPipeError):
            while words:
                words = words[os.write(self._to_guardian.fileno(), words) :]

    def _hear(self, timeout_s: float) -> bool:
        """Take in what the guardian says, waiting for its first word; return whether there was one."""
        heard = False
        while not self._is_silent and self._poll.poll(0 if heard else timeout_s * 1000):
            heard = True
            words = os.read(self._from_guardian.fileno(), 4096)
            *lines, self._unread = (self._unread + words).split(b"\n")
            self._is_silent = not words
            for line in lines:
                self._take(line.decode())
        return heard

    def _take(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "pid":
            self.pid = int(rest)
        elif word == "failed":
            self._refusal = printable(rest)
        elif word == "restored":
            self._unrestored = None
        elif word == "unrestored":
            self._unrestored = printable(rest)
        elif word == "exit":
            self._exit_code = int(rest)
        elif word == "left":
            self._left, self._are_left = [], rest != ""
            for pid in rest.split():
                with suppress(psutil.NoSuchProcess):
                    self._left.append(psutil.Process(int(pid)))

    def _await_guardian(self) -> None:
        """Wait until both guardians have ended. Each in turn is killed when they do not: the other one cleans up."""
        patience_s = self._stop_timeout_s + _GUARDIAN_S + (AFTERWARDS_S if self._undo else 0.0)
        for remedy in (self._kill_inner_guardian, self._guardian.kill):
            while self._hear(patience_s):
                pass
            if self._is_silent:
                break
            remedy()
            patience_s = _GUARDIAN_S
        self._guardian.wait()

    def _kill_inner_guardian(self) -> None:
        for process in psutil.Process(self._guardian.pid).children():
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _below(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self._guardian.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []


def _size(path: Path) -> int:
    """The size of a file, nothing where there is none (any more)."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _read(path: Path, most: int = HEAD_BYTES + 3 * TAIL_BYTES) -> bytes:
    """The last ``most`` bytes of a file, nothing where there is none (any more)."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, _size(path) - most))
            return file.read(most)
    except FileNotFoundError:
        return b""


def _program(name: str, variables: Mapping[str, str], cwd: Path) -> str:
    """Return the path of the program, looked for as a shell in ``cwd`` would."""
    if not cwd.is_dir():
        raise PreflightError(f"{name}: the directory to start it in does not exist: {cwd}")
    if os.sep in name:
        path = cwd / name
        if not path.is_file():
            raise PreflightError(f"{name}: no such program; looked for {path}")
        if not os.access(path, os.X_OK):
            raise PreflightError(f"{name}: not executable: {path}; chmod +x it, or name its interpreter first")
        return str(path)
    search = variables.get("PATH", os.defpath)
    found = shutil.which(name, path=search)
    if found is None:
        raise PreflightError(f"{name}: no such program on PATH ({search}); install it, or name it with its path")
    return found


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise PreflightError(f"{path}: a file of the server's start cannot be written: {exc.strerror}") from exc


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _describe(process: psutil.Process) -> str:
    try:
        with process.oneshot():
            words = " ".join(process.cmdline()) or process.name()
            return f"pid {process.pid} ({process.status()}): {printable(words, _ARGUMENTS_SHOWN)}"
    except psutil.NoSuchProcess:
        return f"pid {process.pid} (ended meanwhile)"
