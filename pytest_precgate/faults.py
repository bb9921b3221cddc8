"""Converts unexpected exceptions to one named error that states the type and the locations.

Input: an exception with its traceback. Output: an InternalFaultError. Invariant: its text holds no value, because the
message of a foreign exception may contain a secret, for example the value of an environment variable."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Literal

from pytest_precgate.errors import InternalFaultError, PrecgateError

_PACKAGE = Path(__file__).parent
_PLACES_SHOWN = 12


def entries(error: BaseException) -> list[TracebackType]:
    """Return the entries of an error's traceback, outermost first."""
    found, following = [], error.__traceback__
    while following is not None:
        found.append(following)
        following = following.tb_next
    return found


def is_ours(entry: TracebackType) -> bool:
    """Whether a frame is this package's own."""
    return _PACKAGE in Path(entry.tb_frame.f_code.co_filename).parents


def fault_of(error: BaseException) -> InternalFaultError:
    """Return the named error for an unexpected one: its type and where it was raised, without its message."""
    found = entries(error)
    first = next((number for number, entry in enumerate(found) if is_ours(entry)), 0)
    places = [
        f"{Path(entry.tb_frame.f_code.co_filename).name}:{entry.tb_lineno} {entry.tb_frame.f_code.co_name}"
        for entry in found[first:]
    ]
    return InternalFaultError(type(error).__name__, places[-_PLACES_SHOWN:])


class Contained:
    """A block that turns unexpected exceptions into InternalFaultError; errors of this package are not changed."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        if isinstance(error, Exception) and not isinstance(error, PrecgateError):
            raise fault_of(error) from None
        return False
