"""Parses the text of a result file as objects or as a table: JSON, JSON lines, YAML or CSV. Pure.

Input: text; its content decides the format, its name does not. Output: nodes with their locations, or rows of cells.
Invariant: every exception of a parser becomes a RecordedPointsError that names file and line."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NoReturn

from pytest_precgate.documents import Node, strict_json
from pytest_precgate.errors import RecordedPointsError
from pytest_precgate.text import printable

YAML_LIMIT = 4 * 1024 * 1024
"""Maximum characters of YAML: its parser takes a minute for ten times as many."""
MOST_LINES = 100_000
"""Maximum lines of a table or of JSON lines, or members of a list: all results of InferenceX are fewer points."""
_YAML_HEAD = re.compile(r"(---|[A-Za-z_][\w.-]*:)(\s|$)")


@dataclass(frozen=True)
class Objects:
    """The objects of a JSON or YAML file: one, the members of a list, or one per line.

    ``is_cut`` says that the last line of YAML has no line end; a cut JSON is not valid JSON."""

    nodes: tuple[Node, ...]
    is_cut: bool = False


@dataclass(frozen=True)
class Table:
    """The lines of a CSV file as cells, each with its number; comments are separate, blank lines are removed.

    ``is_cut`` says that the last line has no line end."""

    source: str
    lines: tuple[tuple[int, tuple[str, ...]], ...]
    is_cut: bool
    comments: tuple[str, ...] = ()

    @property
    def head(self) -> tuple[str, ...]:
        """The first line's cells, none in a file without lines."""
        return tuple(cell.strip() for cell in self.lines[0][1]) if self.lines else ()

    def rows(self) -> Iterator[Node]:
        """Yield each line below the header as a table of its cells by column, empty cells left out.

        Raises RecordedPointsError for a repeated column and for a line of another number of cells."""
        head = self.head
        if len(set(head)) != len(head):
            self.node(0).fail("a column is repeated in the header")
        for index in range(1, len(self.lines)):
            row = self.node(index)
            cells = self.lines[index][1]
            if len(cells) != len(head):
                row.fail(f"got {len(cells)} cells, wanted {len(head)} as in the header")
            named = zip(head, (cell.strip() for cell in cells), strict=True)
            yield replace(row, value={column: cell for column, cell in named if cell})

    def node(self, index: int) -> Node:
        """Return a line as a node."""
        number, cells = self.lines[index]
        return Node(list(cells), self.source, f"line {number}", RecordedPointsError)


def content_of(text: str, source: str) -> Objects | Table:
    """Return the contents of the text of file ``source``. Raises RecordedPointsError naming file and line."""

    def refuse(why: str) -> NoReturn:
        raise RecordedPointsError(source, "", why)

    if "\0" in text:
        refuse("holds a NUL character, so it is not text; was it written by another program, or damaged?")
    body = text.lstrip()
    if body.startswith(("{", "[")):
        return _json(text, source)
    if _YAML_HEAD.match(_first_line(body)):
        return _yaml(text, source)
    return _csv(text, source)


def _first_line(body: str) -> str:
    return next((line for line in body.splitlines() if line.strip() and not line.startswith("#")), "")


def _json(text: str, source: str) -> Objects:
    first, _, rest = text.lstrip().partition("\n")
    if rest.lstrip().startswith("{") and _is_json(first):
        _refuse_many(text.count("\n"), "lines", source)
        return Objects(tuple(_json_lines(text, source)))
    return Objects(_listed(Node(_parsed(text, source, None), source, "$", RecordedPointsError)))


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _json_lines(text: str, source: str) -> Iterator[Node]:
    """One object per line, as benchmarks append them."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield Node(_parsed(line, source, number), source, f"line {number}", RecordedPointsError)


def _parsed(text: str, source: str, line: int | None) -> object:
    spot = "" if line is None else f"line {line}"

    def refuse(why: str) -> NoReturn:
        raise RecordedPointsError(source, spot, why)

    try:
        # Other tools write Infinity for an unlimited rate. A figure that is read must still be finite.
        return strict_json(text, refuse, allow_constants=True)
    except json.JSONDecodeError as exc:
        spot = f"line {exc.lineno if line is None else line}"
        refuse(f"is not JSON: {exc.msg}; is the file complete?")


def _listed(root: Node) -> tuple[Node, ...]:
    if not isinstance(root.value, list):
        return (root,)
    _refuse_many(len(root.value), "members", root.source)
    return tuple(root.items())


def _refuse_many(number: int, what: str, source: str) -> None:
    if number > MOST_LINES:
        why = f"holds {number} {what}, wanted at most {MOST_LINES}: results of points, not of single requests"
        raise RecordedPointsError(source, "", why)


def _is_cut(text: str) -> bool:
    """Whether the last line has no line end: a file that was cut usually ends within a line."""
    return bool(text) and not text.endswith(("\n", "\r"))


def _yaml(text: str, source: str) -> Objects:
    import yaml  # noqa: PLC0415  # one format in fifteen: every run with settings would pay for it

    def refuse(why: str, spot: str = "") -> NoReturn:
        raise RecordedPointsError(source, spot, why)

    if len(text) > YAML_LIMIT:
        refuse(f"holds {len(text)} characters of YAML, wanted at most {YAML_LIMIT}")
    try:
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark
        refuse(f"is not YAML: {printable(str(exc.problem))}", "" if mark is None else f"line {mark.line + 1}")
    except RecursionError:
        refuse("is nested deeper than a result file is")
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, OverflowError) as exc:
        # The constructors of numbers and dates may raise any exception for a malformed one.
        refuse(f"is not YAML: {printable(str(exc))}")
    return Objects(_listed(Node(document, source, "$", RecordedPointsError)), is_cut=_is_cut(text))


def _csv(text: str, source: str) -> Table:
    _refuse_many(max(text.count("\n"), text.count("\r")), "lines", source)
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip() and line[0] != "#"]
    reader = csv.reader((line for _, line in lines), strict=True)
    found = []
    try:
        for cells in reader:
            found.append((lines[reader.line_num - 1][0], tuple(cells)))
    except csv.Error as exc:
        number = lines[reader.line_num - 1][0]
        raise RecordedPointsError(source, f"line {number}", f"is not CSV: {exc}") from exc
    comments = tuple(line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#"))
    return Table(source, tuple(found), _is_cut(text), comments)
