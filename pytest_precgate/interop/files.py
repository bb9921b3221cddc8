"""Finds and reads result files.

Input: patterns. Output: rows. Invariant: every failure of the file system or of an encoding is a RecordedPointsError
that names the file. A CSV or YAML whose last line has no line end may have been cut: it is refused under CI and warned
about elsewhere. A file is read once, up to ``SIZE_LIMIT``."""

from __future__ import annotations

import glob
import re
import stat
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_precgate.errors import PrecgateWarning, RecordedPointsError
from pytest_precgate.text import printable

if TYPE_CHECKING:
    from pytest_precgate.interop.importers import Imported
    from pytest_precgate.interop.rows import RecordedRow

SIZE_LIMIT = 128 * 1024 * 1024
"""Maximum bytes of one file: the JSON of a thousand benchmarks; a larger file holds single requests."""
_OTHER_BEGINNINGS = {
    b"\xff\xfe": "is not UTF-8 text: it begins as UTF-16 does; save it as UTF-8",
    b"\xfe\xff": "is not UTF-8 text: it begins as UTF-16 does; save it as UTF-8",
    b"\x1f\x8b": "is compressed (gzip); unpack it, the points are read from the text",
    b"\x28\xb5\x2f\xfd": "is compressed (zstd); unpack it, the points are read from the text",
    b"PK\x03\x04": "is a zip archive or a spreadsheet; unpack it, or save the sheet as CSV (UTF-8)",
}


def find_files(patterns: Sequence[str], base: Path) -> list[Path]:
    """Return the files of paths and glob patterns, relative ones below ``base``, in a fixed order, each once.

    Raises RecordedPointsError for a pattern that matches none.
    """
    found: list[Path] = []
    for pattern in patterns:
        path = base / pattern
        if not is_pattern(pattern) or _is_there(path):
            found.append(path)
            continue
        whole = pattern if Path(pattern).is_absolute() else str(Path(glob.escape(str(base))) / pattern)
        paths = map(Path, sorted(glob.glob(whole, recursive=True)))  # noqa: PTH207  # Path.glob takes no absolute one
        matches = [path for path in paths if not path.is_dir()]
        if not matches:
            raise RecordedPointsError(printable(pattern), "", f"matches no file below {base}")
        found += matches
    return list(dict.fromkeys(found))


def is_pattern(path: str) -> bool:
    """Whether a path contains a glob's special characters."""
    return re.search(r"[*?\[]", path) is not None


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def warn_user(message: str) -> None:
    """Warn as Python does, which pytest shows in its summary."""
    warnings.warn(message, PrecgateWarning, stacklevel=3)


def read_file(path: Path, *, in_ci: bool = False, warn: Callable[[str], None] = warn_user) -> Imported:
    """Return the contents of one file. ``in_ci`` refuses CSV and YAML that may have been cut; otherwise ``warn`` is
    called.

    Raises RecordedPointsError naming file, location, what was found and wanted."""
    from pytest_precgate.interop.importers import imported  # noqa: PLC0415  # for runs that read files alone

    source = printable(str(path), limit=500)
    found = imported(_text(file_bytes(path), source), source)
    if found.is_cut:
        why = "the last line has no line end, so the file may have been cut; if it is whole, end its last line"
        if in_ci:
            raise RecordedPointsError(source, "", f"{why} (refused under CI)")
        warn(f"{source}: {why}")
    return found


def read_rows(path: Path, *, in_ci: bool = False, warn: Callable[[str], None] = warn_user) -> list[RecordedRow]:
    """Return every point of one file, as ``read_file`` does."""
    return list(read_file(path, in_ci=in_ci, warn=warn).rows)


def file_bytes(path: Path) -> bytes:
    """Return the bytes of one file. Raises RecordedPointsError if it is not a file, cannot be read, or is too large."""
    source = printable(str(path), limit=500)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise RecordedPointsError(source, "", f"is a directory, wanted a file; name its files: {source}/*.json")
        if not stat.S_ISREG(mode):
            raise RecordedPointsError(source, "", "is a device or a pipe, wanted a file")
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT + 1)
    except OSError as exc:
        raise RecordedPointsError(source, "", f"cannot be read: {exc.strerror}") from exc
    except ValueError as exc:  # a NUL in the path
        raise RecordedPointsError(source, "", f"cannot be read: {exc}") from exc
    if len(data) > SIZE_LIMIT:
        raise RecordedPointsError(
            source, "", f"is larger than {SIZE_LIMIT >> 20} MiB; wanted results of points, not of single requests"
        )
    return data


def _text(data: bytes, source: str) -> str:
    for beginning, why in _OTHER_BEGINNINGS.items():
        if data.startswith(beginning):
            raise RecordedPointsError(source, "", why)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise RecordedPointsError(source, f"line {line}", "is not UTF-8 text") from exc
