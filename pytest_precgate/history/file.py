"""The file of the history: appending a line, and reading all.

Input: a path and entries. Output: a file, or an error that names it. Invariant: a line is appended under the file's
lock, whole or not at all; what a killed run began to write is cut off before the next line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pytest_precgate import files
from pytest_precgate.errors import HistoryError
from pytest_precgate.history.entry import HistoryEntry, line, read_line


def append(path: Path, entries: Sequence[HistoryEntry]) -> None:
    """Append one line per entry; the file and its folders are made where they are not there. Raises HistoryError."""
    text = "".join(line(entry) for entry in entries)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.append_lines(path, text.encode("ascii"), _is_whole)
    except OSError as exc:
        raise HistoryError(f"{path}: the history cannot be written: {exc.strerror}; nothing was appended") from exc


def read(path: Path) -> list[HistoryEntry]:
    """Return every entry of a history, none of a file that is not there; an unfinished last line is left out.

    Raises HistoryError, HistoryCorruptError with file and line, HistorySchemaError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise HistoryError(f"{path}: the history cannot be read: {exc.strerror}") from exc
    whole = data if _is_whole(data.rpartition(b"\n")[2]) else data[: data.rfind(b"\n") + 1]
    lines = whole.decode("utf-8", "backslashreplace").split("\n")
    return [read_line(each, number, str(path)) for number, each in enumerate(lines, 1) if each.strip()]


def _is_whole(last: bytes) -> bool:
    """Whether a last line without its end is a whole one all the same: an editor may have removed the end."""
    try:
        return isinstance(json.loads(last), dict)
    except (ValueError, RecursionError):
        return False
