"""Reads and writes baseline files.

Input: a directory and baselines. Output: files, or an error that names the file. Invariant: a file is written whole
under a lock; a file that cannot be read is left as it is and named in an error."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pytest_precgate import files
from pytest_precgate.analysis.accepted.baseline import SIGNIFICANT_DIGITS, Baseline
from pytest_precgate.baselines.schema import WrittenValues, dump, parse, recorded_values
from pytest_precgate.errors import (
    BaselineBusyError,
    BaselineCorruptError,
    BaselineError,
    BaselineWriteError,
    UnreadableCurveError,
)


@dataclass(frozen=True)
class Stored:
    """A baseline as it stood on disk: its path, its bytes' digest ("" where there is no file), and its value."""

    path: Path
    digest: str
    baseline: Baseline | None
    written: WrittenValues = field(default_factory=WrittenValues)

    def refuse_edited(self) -> None:
        """Raise BaselineCorruptError when a gate's written value does not follow from the points: a hand or a merge.

        Not done while reading: it draws the curves, which a run without gates should not pay for. It is about the file
        that was read, so its values are computed once, however many tests ask.
        """
        for line in self.edited:
            raise BaselineCorruptError(
                self.path.name,
                "",
                f"{line}; edited by hand or merged badly? Restore it from version control, or record "
                "again with --precgate-update after deleting it",
            )

    @cached_property
    def edited(self) -> tuple[str, ...]:
        """One line per gate whose written value does not follow from its points."""
        if self.baseline is None:
            return ()
        price = self.baseline.hardware, self.baseline.cost
        values = self.baseline.values([gate.key for gate in self.written.gates], *price)
        lines = [
            f"{gate.key} says {written:g}, its points give {values[gate.key]:.6g}"
            for gate, written in self.written.gates.items()
            if _differs(written, values[gate.key])
        ]
        for key, written in (pair for each in self.written.anchors for pair in each.items()):
            if not self.baseline.tests_of(key):  # schemas before 4 do not refuse an anchor of nothing
                continue
            try:
                value = self.baseline.anchor_of(key).at(*price).values([key])[key]
            except UnreadableCurveError as exc:
                lines.append(f"the anchor of {key} says {written:g}, its points give none: {exc}")
                continue
            if _differs(written, value):
                lines.append(f"the anchor of {key} says {written:g}, its points give {value:.6g}")
        return tuple(lines)


def _differs(written: float, value: float) -> bool:
    """Whether they differ by more than the digits a file keeps."""
    return abs(written / value - 1) > 10.0 ** (1 - SIGNIFICANT_DIGITS)


@dataclass(frozen=True)
class BaselineStore:
    """The directory of committed baselines, one file per suite. ``shown_from`` shortens paths in messages."""

    directory: Path
    shown_from: Path

    def path(self, suite: str) -> Path:
        """Return where the suite's baseline lies, whether or not it exists."""
        return self.directory / f"{suite}.json"

    def shown(self, path: Path) -> str:
        """Return the path as messages show it."""
        return str(path.relative_to(self.shown_from) if path.is_relative_to(self.shown_from) else path)

    def suites(self, configured: Collection[str] = ()) -> tuple[str, ...]:
        """Return the suites that have a file here: those ``configured``, and every file that begins like one of ours.

        Raises BaselineError where the directory is none.
        """
        return tuple(name for name in self.names() if name in configured or _begins_like_ours(self.path(name)))

    def names(self) -> tuple[str, ...]:
        """Return what the files here are called, damaged ones included, without .json. Raises as ``suites`` does."""
        self.refuse_file()
        return tuple(sorted(path.stem for path in self.directory.glob("*.json")))

    def refuse_file(self) -> None:
        """Raise BaselineError where something that is no directory stands in its place, or nothing can be asked."""
        why = files.why_no_directory(self.directory)
        if why is not None:
            raise BaselineError(f"{self.shown(self.directory)}: {why}; name the directory that holds the baselines")

    def text(self, suite: str) -> str:
        """Return the file's text; raise BaselineCorruptError when it cannot be read as text."""
        path = self.path(suite)
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError as exc:
            raise BaselineCorruptError(self.shown(path), "", "is not UTF-8 text; it is left as it is") from exc
        except OSError as exc:
            raise BaselineError(f"{self.shown(path)}: cannot be read: {exc.strerror}") from exc

    def read(self, suite: str) -> Stored:
        """Return what is stored for a suite; a file that is not there is no error, a bad one is."""
        self.refuse_file()
        path = self.path(suite)
        if not os.path.lexists(path):
            return Stored(path, "", None)
        if not path.exists():
            raise BaselineError(
                f"{self.shown(path)}: is a link to {path.readlink()}, which is not there; restore that file, or "
                "remove the link to begin anew"
            )
        text = self.text(suite)
        baseline = parse(text, self.shown(path))
        if baseline.suite != suite:
            raise BaselineCorruptError(
                self.shown(path), "$.suite", f"belongs to suite {baseline.suite!r}; a file is called as its suite"
            )
        return Stored(path, _digest(text), baseline, recorded_values(text, self.shown(path)))

    def write(self, baseline: Baseline, seen: Stored) -> None:
        """Replace the suite's file, atomically and under a lock, if it is still the one that was ``seen``.

        Raises BaselineBusyError when another run has rewritten it since, BaselineWriteError when the directory cannot
        be written. The old file stays whole in every case.
        """
        path = self.path(baseline.suite)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            if path.exists() and not os.access(path, os.W_OK):
                raise BaselineWriteError(f"{self.shown(path)}: is read-only; the baseline is left as it was")
            with files.locked(self.directory / f".{baseline.suite}.lock"):
                if (_digest(self.text(baseline.suite)) if path.exists() else "") != seen.digest:
                    raise BaselineBusyError(
                        f"{self.shown(path)}: was rewritten by another run while this one measured; it is left as it "
                        "is. Look at it, then run the update again"
                    )
                files.replace(path, dump(baseline))
        except OSError as exc:
            raise BaselineWriteError(
                f"{self.shown(path)}: cannot be written: {exc.strerror}; the baseline is left as it was"
            ) from exc

    def refuse_unwritable(self) -> None:
        """Raise BaselineWriteError when nothing could be written here, before a measurement is spent on it."""
        nearest = next(path for path in (self.directory, *self.directory.absolute().parents) if path.exists())
        if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
            raise BaselineWriteError(
                f"{self.shown(self.directory)}: cannot be written: {nearest} is "
                f"{'read-only' if nearest.is_dir() else 'not a directory'}; nothing was measured"
            )

    def delete(self, seen: Stored) -> None:
        """Remove the suite's file if it is still the one that was ``seen``. Raises as ``write`` does."""
        suite = seen.path.stem
        try:
            with files.locked(self.directory / f".{suite}.lock"):
                if _digest(self.text(suite)) != seen.digest:
                    raise BaselineBusyError(
                        f"{self.shown(seen.path)}: was rewritten by another run; it is left as it is"
                    )
                seen.path.unlink()
        except OSError as exc:
            raise BaselineWriteError(f"{self.shown(seen.path)}: cannot be removed: {exc.strerror}") from exc


def holds_baselines(directory: Path) -> bool:
    """Whether a directory that no settings speak of holds files of ours, told by what each of them begins with."""
    return directory.is_dir() and any(_begins_like_ours(path) for path in directory.glob("*.json"))


def _begins_like_ours(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            start = file.read(200)
    except (OSError, UnicodeDecodeError):
        return False
    return start.startswith('{\n  "cost": "') and '"gates": [' in start


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
