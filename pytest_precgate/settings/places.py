"""Where in a settings file a suite's table begins, for what points at it.

Input: the text of the file, and a suite's name. Output: the number of a line. Invariant: every suite has a line, at
worst the first one."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_HEADER = re.compile(r"\s*\[[^\[].*\]\s*(#.*)?")


def line_of(text: str, suite: str, *, in_project: bool) -> int:
    """Return the line of the header that is nearest to the suite's table: its own, that of a table inside it, or the
    table that holds it inline; ``in_project`` says that the file is a pyproject.toml."""
    wanted = (*(("tool", "precgate") if in_project else ()), "suites", suite)
    best, found = 0, 1
    for number, header in _headers(text):
        shared = next((i for i, (a, b) in enumerate(zip(header, wanted, strict=False)) if a != b), len(wanted))
        shared = min(shared, len(header))
        if shared > best:
            best, found = shared, number
    return found


def _headers(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Every line that is the header of a table, and the names in it."""
    for number, line in enumerate(text.splitlines(), 1):
        if not _HEADER.fullmatch(line):
            continue
        try:
            table = tomllib.loads(line)
        except tomllib.TOMLDecodeError:  # a list over several lines
            continue
        names = []
        while table:
            ((name, table),) = table.items()
            names.append(name)
        yield number, tuple(names)
