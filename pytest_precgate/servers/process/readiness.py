"""Waits for a server until it is ready, has died, or is given up and stopped.

A refused connection means loading or dead, so the process and its log are watched as well. A failure text in the log of
a live process does not end the wait: code that recovers prints the same words (an autotuner that runs out of memory
chooses another tactic), and giving up a launch costs half an hour. A server that hangs stops writing, and the stall
timeout ends the wait."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from pytest_precgate.engines.failures import PORT_IN_USE
from pytest_precgate.errors import EngineDiedError, EngineNotReadyError, EngineStartError, PortInUseError

TAIL_LINES = 20
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0

Cause = Callable[[str], str | None]


class Watched(Protocol):
    """What is asked of a process here."""

    @property
    def log(self) -> Path: ...

    def is_alive(self) -> bool: ...

    def exit_text(self) -> str: ...

    def log_size(self) -> int: ...

    def log_text(self) -> str: ...

    def tail(self, lines: int) -> str: ...

    def stop(self) -> None: ...


def wait_until_ready(
    process: Watched,
    what: str,
    is_ready: Callable[[], bool],
    cause: Cause,
    *,
    start_timeout_s: float,
    stall_timeout_s: float,
    clock: Callable[[], float],
    pause: Callable[[float], None],
) -> None:
    """Return when ``is_ready`` says True of a process that lives; stop the process and raise otherwise.

    ``what`` names the server in messages, ``cause`` reads a reason out of the whole log. Raises EngineStartError
    when it ended (PortInUseError when that is why), EngineNotReadyError when the log has not grown for
    ``stall_timeout_s`` or ``start_timeout_s`` is over. Anything else that is raised meanwhile stops the process, too.
    """
    try:
        given_up = _given_up(process, is_ready, start_timeout_s, stall_timeout_s, clock, pause)
        if given_up is None and process.is_alive():
            return
    except BaseException:
        process.stop()
        raise
    process.stop()
    recognised = cause(process.log_text())
    if given_up is not None:
        why = given_up if recognised is None else f"{given_up}. Its output names a cause: {recognised}"
        raise EngineNotReadyError(what, why, str(process.log), process.tail(TAIL_LINES))
    is_port = recognised is not None and recognised.startswith(PORT_IN_USE)
    kind = PortInUseError if is_port else EngineStartError
    why = recognised or f"it {process.exit_text()} before it was ready, and its output has none of the known causes"
    raise kind(what, why, str(process.log), process.tail(TAIL_LINES))


def require_alive(process: Watched, what: str, cause: Cause) -> None:
    """Raise EngineDiedError when a server that had been ready has ended; the processes it left are stopped first."""
    if process.is_alive():
        return
    process.stop()
    recognised = cause(process.log_text())
    why = f"it {process.exit_text()} while it was in use" + ("" if recognised is None else f": {recognised}")
    raise EngineDiedError(what, why, str(process.log), process.tail(TAIL_LINES))


def _given_up(
    process: Watched,
    is_ready: Callable[[], bool],
    start_timeout_s: float,
    stall_timeout_s: float,
    clock: Callable[[], float],
    pause: Callable[[float], None],
) -> str | None:
    """Return why it is given up, None when it is ready or has ended."""
    started_s = grown_s = clock()
    size, next_pause_s = process.log_size(), _FIRST_PAUSE_S
    while True:
        if is_ready() or not process.is_alive():
            return None
        now_s = clock()
        if process.log_size() != size:
            size, grown_s = process.log_size(), now_s
        if now_s - grown_s >= stall_timeout_s:
            return f"not ready, and its log has stood still for {stall_timeout_s:g} s (stall_timeout_s)"
        if now_s - started_s >= start_timeout_s:
            return f"not ready after {start_timeout_s:g} s (start_timeout_s)"
        pause(next_pause_s)
        next_pause_s = min(2 * next_pause_s, _LONGEST_PAUSE_S)
