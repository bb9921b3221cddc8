"""Stands for pytest in a process of its own: starts the stand-in server and waits until it is ended.

    driver.py LOG PORT BEHAVE [fork | undo COMMAND...]

Says "started" and, where it gets so far, "ready". With ``fork`` a child of it, whose pid is said first, holds every
descriptor it has. With ``undo`` the guardian runs the command when all is over. Nothing here stops a ready server on
the way out: that is what is tested."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from pytest_precgate.engines.server import ServerCommand
from pytest_precgate.servers.process.readiness import wait_until_ready
from pytest_precgate.servers.process.supervised import start
from pytest_precgate.servers.process.surroundings import Surroundings
from tests.engines.marked import STAND_IN, answers_200


def say(word: str) -> None:
    os.write(1, f"{word}\n".encode())


def main() -> None:
    """Start, wait, be ended."""
    log, port, behave, *options = sys.argv[1:]
    words = ("--behave", behave, "--host", "127.0.0.1", "--port", port, "--workers", "3")
    command = ServerCommand((sys.executable, "-S", str(STAND_IN), *words))
    # Longer than a test waits: the guardian must not take all of it once its pytest is gone.
    undo = tuple(options[1:]) if options[:1] == ["undo"] else ()
    process = start(command, Path(log), os.environ, 3600.0, surroundings=Surroundings(undo=undo))
    if options == ["fork"]:
        holder = os.fork()
        if holder == 0:
            signal.pause()
        say(str(holder))
    say("started")
    wait_until_ready(
        process,
        "stand-in",
        lambda: answers_200(int(port)),
        lambda _log: None,
        start_timeout_s=3600.0,
        stall_timeout_s=3600.0,
        clock=time.monotonic,
        pause=time.sleep,
    )
    say("ready")
    signal.pause()


if __name__ == "__main__":
    main()
