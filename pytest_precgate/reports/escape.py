"""Text from outside in Markdown and in the commands of a GitHub runner.

Input: any text. Output: the same text for a reader, with nothing that the format reads as markup. Invariants: a text
stays on one line; a name inside it notifies no person and links nothing; no text ends a
command or begins one."""

from __future__ import annotations

import html
import re

from pytest_precgate.text import printable, printable_lines

_LONGEST = 10_000
_MARKUP = re.compile(r"[\\|<>*`_\[\]~$]")
_BLOCK = re.compile(r"^(?:[-+=#]|\d+(?=[.)]))")
_JOINER = "&#8288;"  # no width, no break: @name and #12 are names no longer
_IN_A_PATH = re.compile(r"[A-Za-z0-9._~/-]")


def markdown(text: str) -> str:
    """Return ``text`` for a paragraph, a list or a cell of a table."""
    said = printable(" ".join(text.split("\n")), _LONGEST).replace("&", "&amp;")
    said = _MARKUP.sub(r"\\\g<0>", said)
    return _unlinked(said)


def summary(text: str) -> str:
    """Return ``text`` for a ``<summary>``, which is HTML: no Markdown is read in it."""
    return _unlinked(html.escape(printable(" ".join(text.split("\n")), _LONGEST)).replace("&#x27;", "&apos;"))


def _unlinked(said: str) -> str:
    said = re.sub(r"(?<!&)([@#])(?=\w)", rf"\1{_JOINER}", said)
    return re.sub(r"(?i)\b(https?|www)(?=[:.])", rf"\1{_JOINER}", said)


def markdown_line(text: str) -> str:
    """Return ``text`` for the beginning of a line, where a dash, a hash or a number begins a list or a title."""
    said = markdown(text)
    if begin := _BLOCK.match(said):
        cut = begin.end() if begin[0][0].isdigit() else 0
        return f"{said[:cut]}\\{said[cut:]}"
    return said


def code(text: str) -> str:
    """Return ``text`` as code inside a line; the fence is longer than any inside it."""
    said = printable(text, _LONGEST)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", said)), default=0))
    space = " " if said[:1] in ("`", "") or said.endswith("`") else ""
    return f"{fence}{space}{said}{space}{fence}"


def path(text: str) -> str:
    """Return a relative path as the target of a link."""
    return "".join(
        each if _IN_A_PATH.fullmatch(each) else "".join(f"%{byte:02X}" for byte in each.encode("utf-8", "replace"))
        for each in text
    )


def command_message(text: str) -> str:
    """Return ``text`` as the message of a command of a GitHub runner: its lines stay, as ``escapeData`` of GitHub's
    toolkit writes them (actions/toolkit, packages/core/src/command.ts)."""
    said = printable_lines(text, _LONGEST)
    return said.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def command_property(text: str) -> str:
    """Return ``text`` as a property of such a command, as ``escapeProperty`` of GitHub's toolkit does."""
    return command_message(text).replace(":", "%3A").replace(",", "%2C")
