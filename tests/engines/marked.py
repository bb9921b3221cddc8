"""Processes that carry a mark, so that what is left of them is counted on the whole machine, not in our own books."""

from __future__ import annotations

import os
import socket
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from pytest_precgate.engines.server import ServerCommand
from pytest_precgate.servers.process.supervised import Process, start

STAND_IN = Path(__file__).with_name("stand_in_server.py")
PATIENCE_S = 60.0  # for a machine with other things to do; nothing is measured


def eventually(condition: Callable[[], bool]) -> bool:
    """Wait until the condition holds; False when it does not within ``PATIENCE_S``."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.02)
    return True


def free_port() -> int:
    """Return a port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port


def answers_200(port: int) -> bool:
    """Whether /health on that port of loopback says 200."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as exc:
        exc.close()
        return False
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


class Marked:
    """What one test starts. Its mark is in the environment of every server and in the path of its log."""

    def __init__(self, directory: Path) -> None:
        self.mark = f"marked-{uuid.uuid4().hex}"
        self.directory = directory
        self.log = directory / f"{self.mark}.log"
        self.environ = {**os.environ, "PRECGATE_TEST_MARK": self.mark}

    def running(self) -> list[psutil.Process]:
        """Return every process of this machine that carries the mark, guardians included."""
        found = []
        for process in psutil.process_iter(["cmdline", "environ", "status"]):
            known = process.info
            words = " ".join(known["cmdline"] or ())
            in_environ = self.mark in (known["environ"] or {}).values()
            if (in_environ or self.mark in words) and known["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
        return found

    def servers(self) -> list[psutil.Process]:
        """Return those that are no guardians."""
        return [process for process in self.running() if "guardian.py" not in " ".join(words(process))]

    def start(self, *argv: str, stop_timeout_s: float = 1.0, variables: Mapping[str, str] | None = None) -> Process:
        """Start any command."""
        command = ServerCommand(argv, variables or {}, cwd=self.directory)
        return start(command, self.log, self.environ, stop_timeout_s)

    def stand_in(self, behave: str, *options: str, port: int | None = None, stop_timeout_s: float = 1.0) -> Process:
        """Start the stand-in server on loopback."""
        words = ("--behave", behave, "--host", "127.0.0.1", "--port", str(port or free_port()), *options, "org/model")
        return self.start(sys.executable, "-S", str(STAND_IN), *words, stop_timeout_s=stop_timeout_s)


def words(process: psutil.Process) -> list[str]:
    """Return the words of a process's command line, none of one that is gone or a zombie."""
    with suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []


@contextmanager
def marked(directory: Path) -> Iterator[Marked]:
    """Give a mark, and fail when a process that carries it is left at the end; it is killed then."""
    made = Marked(directory)
    try:
        yield made
    finally:
        left = made.running()
        described = [f"{process.pid} {' '.join(words(process))}" for process in left]
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
    assert not described, described
