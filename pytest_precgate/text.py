"""Makes foreign text printable: text of a server, a log, a driver or a file, before it enters an error, a fact or a
report.

Input: text or bytes. Output: text of printable characters and spaces only (``str.isprintable``): no control character,
terminal escape, bidirectional control or lone surrogate, so it encodes to UTF-8 and cannot move a cursor. Other
characters are written as in a Python string literal: ``\\x1b``, ``\\u202e``. No line can be a command of a CI runner:
GitHub reads ``::command::`` at the beginning of a line and ``##[command]`` anywhere, Azure ``##vso[``, TeamCity
``##teamcity[``. Invariant: both functions are idempotent."""

from __future__ import annotations

import re

LINE_LIMIT = 200
LOG_LINE_LIMIT = 500
_ELLIPSIS = "..."
_UNPRINTABLE = re.compile(r"[^ -~]")  # candidates; str.isprintable decides
_COMMAND = re.compile(r"^( *):(?=:)")
_ANYWHERE = re.compile(r"#(?=#[A-Za-z]*\[)")


def printable(text: str | bytes, limit: int = LINE_LIMIT) -> str:
    """Return ``text`` as one printable line of at most ``limit`` characters, cut with an ellipsis.

    Bytes are decoded as UTF-8, invalid ones shown as ``\\x80``. White space at both ends is dropped.
    """
    return _cut(_harmless(_decoded(text).strip(), limit), limit)


def printable_lines(text: str | bytes, limit: int = LOG_LINE_LIMIT) -> str:
    """Return ``text`` line by line, each printable and of at most ``limit`` characters; indentation is kept.

    States of a progress bar, which end in a carriage return, become separate lines; empty lines at the end are dropped.
    """
    lines = (_cut(_harmless(line.expandtabs().rstrip(), limit), limit) for line in _decoded(text).splitlines())
    return "\n".join(lines).rstrip("\n")


def _decoded(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("utf-8", "backslashreplace")


def _harmless(line: str, limit: int) -> str:
    line = _UNPRINTABLE.sub(_escaped, line[: limit + 1])
    return _ANYWHERE.sub(r"\\x23", _COMMAND.sub(r"\1\\x3a", line))


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _cut(line: str, limit: int) -> str:
    return line if len(line) <= limit else f"{line[: limit - len(_ELLIPSIS)].rstrip()}{_ELLIPSIS}"
