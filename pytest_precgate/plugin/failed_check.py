"""The failure of a test whose check failed, laid out for the terminal that shows it.

Input: a report of a check. Output: an exception for the test, and what pytest shows of it. Invariant: files (JUnit) get
plain text, a terminal its own width and colours; both say the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, Protocol

import pytest

from pytest_precgate.text import printable_lines

if TYPE_CHECKING:
    from pytest_precgate.analysis.report import GateReport
    from pytest_precgate.reports.lines import Line

_LINE_SHOWN = 10_000
_HEADLINE = 3


class Writer(Protocol):
    """What is used of pytest's terminal writer, whose class has no public name."""

    @property
    def fullwidth(self) -> int:
        """The columns of a line."""

    def line(self, s: str = "", **markup: bool) -> None:
        """Write one line."""


@dataclass(frozen=True)
class _Headline:
    """What pytest takes the line of its short summary from, and JUnit its message."""

    message: str

    def __str__(self) -> str:
        return self.message


class ShownFailure:
    """What stands for the failure in a report of pytest: it writes itself, as pytest's own representations do."""

    def __init__(self, gates: GateReport, *, verbose: bool) -> None:
        self._gates = gates
        self._verbose = verbose
        self.reprcrash = _Headline("\n".join(text_of(gates).split("\n")[:_HEADLINE]))

    def __str__(self) -> str:
        return text_of(self._gates)

    def toterminal(self, writer: Writer) -> None:
        """Write the text with the colours and the width of pytest's ``writer``."""
        for line in _lines(self._gates, writer.fullwidth, verbose=self._verbose):
            write(writer, line)


_FAILED: pytest.StashKey[tuple[BaseException, GateReport]] = pytest.StashKey()


def fail(item: pytest.Item, gates: GateReport) -> NoReturn:
    """Fail the test for its check."""
    error = pytest.fail.Exception(text_of(gates), pytrace=False)
    item.stash[_FAILED] = error, gates
    raise error


def shown(item: pytest.Item, error: BaseException) -> ShownFailure | None:
    """Return what pytest is to show of ``error``; None where it is no failed check's."""
    found = item.stash.get(_FAILED, None)
    if found is None or found[0] is not error:
        return None
    return ShownFailure(found[1], verbose=item.config.get_verbosity() > 0)


def write(writer: Writer, line: Line) -> None:
    """Write one line in its colour to pytest's terminal ``writer``."""
    writer.line(printable_lines(line.text, _LINE_SHOWN), **({line.colour: True} if line.colour else {}))


def text_of(gates: GateReport) -> str:
    """Return the failure's text for a file, or for who catches the exception."""
    from pytest_precgate.reports.lines import FILE_WIDTH  # noqa: PLC0415  # not before a check failed

    return "\n".join(printable_lines(line.text, _LINE_SHOWN) for line in _lines(gates, FILE_WIDTH))


def _lines(gates: GateReport, width: int, *, verbose: bool = False) -> Sequence[Line]:
    from pytest_precgate.reports import terminal  # noqa: PLC0415  # not before a check failed

    return terminal.failure(gates, width, verbose=verbose)
