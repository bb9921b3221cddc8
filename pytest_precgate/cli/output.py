"""What the commands print: lines, fitted to the terminal.

Input: lines. Output: text on standard output. Invariant: a reader that goes away (``precgate ... | head``) ends the
command quietly."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable

from pytest_precgate.reports.lines import FILE_WIDTH, Line
from pytest_precgate.text import printable_lines

_LINE_SHOWN = 10_000


def width() -> int:
    """Return the columns of the terminal (of COLUMNS, where it is set), else those of a file."""
    return shutil.get_terminal_size((FILE_WIDTH, 24)).columns


def leave_unread() -> None:
    """Let Python exit without an error when the reader of standard output has gone: buffered output is discarded."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def print_lines(lines: Iterable[Line]) -> None:
    """Print lines without their colours; what the encoding of standard output lacks is written as ``\\xfc``."""
    encoding = sys.stdout.encoding or "utf-8"
    for line in lines:
        text = printable_lines(line.text, _LINE_SHOWN)
        print(text.encode(encoding, "backslashreplace").decode(encoding))
