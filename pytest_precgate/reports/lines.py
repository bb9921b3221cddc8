"""Lines of a terminal: text with its colour, wrapped and tabulated to a width.

Input: text, rows and a width in columns. Output: lines. Invariant: text breaks at spaces alone, so no word, path or
command is broken; one that is longer than a line stands on a line of its own."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_precgate.analysis.gating.verdict import Verdict
from pytest_precgate.reports import layout

Colour = Literal["red", "yellow", "green", "bold", ""]
DEFAULT_WIDTH = 80
FILE_WIDTH = 120
"""The width of text that goes to a file, where no terminal says one."""


@dataclass(frozen=True)
class Line:
    """One line and its colour, a keyword of pytest's terminal writer; empty for none."""

    text: str
    colour: Colour = ""


def wrapped(text: str, width: int, indent: int = 2, colour: Colour = "") -> Iterator[Line]:
    """Yield a text as lines of at most ``width`` columns, all but the first indented further; a line break stays."""
    for part in text.split("\n"):
        before = " " * (len(part) - len(part.lstrip()))
        lines = textwrap.wrap(
            part.strip(),
            max(width, 20),
            initial_indent=before,
            subsequent_indent=before + " " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        yield from (Line(line, colour) for line in lines or [""])


def table(choices: Sequence[Sequence[Sequence[str]]], width: int, *, left: int = 1) -> list[str]:
    """Return the first of several tables that fits into ``width``, the last one where none does.

    Each is a list of rows, the head first; the richest comes first."""
    for rows in choices:
        lines = layout.columns(rows, left=left)
        if max(len(line) for line in lines) <= width:
            return lines
    return lines


def colour_of(verdict: Verdict) -> Colour:
    """Return the colour of a verdict: red for what the engine did, yellow for what noise, the machine or a missing
    number blocks and for what is waived, green for the rest."""
    if verdict in (Verdict.REGRESSED, Verdict.DRIFTED, Verdict.IMPLAUSIBLE):
        return "red"
    return "green" if verdict.passes and verdict is not Verdict.WAIVED else "yellow"
