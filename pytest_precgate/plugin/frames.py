"""What pytest shows of an exception that passed through this package: a message, and no frame of the package.

Input: exceptions with their tracebacks. Output: exceptions that may be printed with every local variable of their
frames (``-l --full-trace``) without showing a secret."""

from __future__ import annotations

from types import TracebackType
from typing import Literal

import pytest

from pytest_precgate.errors import PrecgateError
from pytest_precgate.faults import entries, fault_of, is_ours

_EXPECTED = (PrecgateError, pytest.UsageError, pytest.fail.Exception, pytest.skip.Exception, pytest.exit.Exception)


def presentable(error: BaseException) -> BaseException:
    """Return what may be shown in place of ``error``: itself, or a fault; no frame of this package is left in it.

    The same applies to its cause and its context."""
    return _presentable(error, {})


def _presentable(error: BaseException, seen: dict[int, BaseException]) -> BaseException:
    if id(error) in seen:
        return seen[id(error)]
    found = entries(error)
    before = next((number for number, entry in enumerate(found) if is_ours(entry)), None)
    shown = error if before is None or isinstance(error, (*_EXPECTED, KeyboardInterrupt)) else fault_of(error)
    seen[id(error)] = shown
    if before is not None:
        shown.__cause__, shown.__suppress_context__ = None, True
        return shown.with_traceback(_linked(found[:before]))
    if error.__cause__ is not None:
        error.__cause__ = _presentable(error.__cause__, seen)
    elif error.__context__ is not None and not error.__suppress_context__:
        error.__context__ = _presentable(error.__context__, seen)
    return shown


def _linked(found: list[TracebackType]) -> TracebackType | None:
    linked: TracebackType | None = None
    for entry in reversed(found):
        linked = TracebackType(linked, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return linked


class AsUsageErrors:
    """A block of a hook: an exception in it is a usage error of one message, never pytest's INTERNALERROR."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        if isinstance(error, Exception) and not isinstance(error, pytest.UsageError):
            raise pytest.UsageError(
                f"precgate: {error if isinstance(error, PrecgateError) else fault_of(error)}"
            ) from None
        return False
