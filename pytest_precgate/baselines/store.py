"""Baselines on disk. A file is either whole and readable, or it is left as it was and named in an error."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_precgate.analysis.baseline import Baseline
from pytest_precgate.baselines.schema import dump, parse
from pytest_precgate.errors import BaselineBusyError, BaselineCorruptError, BaselineError, BaselineWriteError


@dataclass(frozen=True)
class Stored:
    """A baseline as it stood on disk: its path, its bytes' digest ("" where there is no file), and its value."""

    path: Path
    digest: str
    baseline: Baseline | None


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

    def suites(self) -> tuple[str, ...]:
        """Return the suites that have a file here, sorted."""
        return tuple(sorted(path.stem for path in self.directory.glob("*.json")))

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
        path = self.path(suite)
        if not path.exists():
            return Stored(path, "", None)
        text = self.text(suite)
        baseline = parse(text, self.shown(path))
        if baseline.suite != suite:
            raise BaselineCorruptError(
                self.shown(path), "$.suite", f"belongs to suite {baseline.suite!r}; a file is called as its suite"
            )
        return Stored(path, _digest(text), baseline)

    def write(self, baseline: Baseline, seen: Stored) -> None:
        """Replace the suite's file, atomically and under a lock, if it is still the one that was ``seen``.

        Raises BaselineBusyError when another run has rewritten it since, BaselineWriteError when the directory cannot
        be written. The old file stays whole in every case.
        """
        path = self.path(baseline.suite)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with _locked(self.directory / f".{baseline.suite}.lock"):
                if (_digest(self.text(baseline.suite)) if path.exists() else "") != seen.digest:
                    raise BaselineBusyError(
                        f"{self.shown(path)}: was rewritten by another run while this one measured; it is left as it "
                        "is. Look at it, then run the update again"
                    )
                _replace(path, dump(baseline))
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

    def delete(self, suite: str) -> None:
        """Remove the suite's file."""
        path = self.path(suite)
        try:
            path.unlink()
        except OSError as exc:
            raise BaselineWriteError(f"{self.shown(path)}: cannot be removed: {exc.strerror}") from exc


def holds_baselines(directory: Path) -> bool:
    """Whether a directory that no settings speak of holds files of ours, told by what each of them begins with."""
    return any(_begins_like_ours(path) for path in directory.glob("*.json"))


def _begins_like_ours(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            start = file.read(200)
    except (OSError, UnicodeDecodeError):
        return False
    return start.startswith('{\n  "cost": "') and '"gates": [' in start


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _replace(path: Path, text: str) -> None:
    """Write beside the file, flush to disk, rename over it; a reader sees the old file or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextlib.contextmanager
def _locked(lock: Path) -> Iterator[None]:
    """Hold an advisory lock that the kernel drops when the holder dies; the lock file goes away with it.

    Waiting has no limit: a holder needs milliseconds, and giving up would throw away what this run measured.
    """
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # The holder before us removed its file: a lock on a file nobody can open any more protects nothing.
        if _is_same_file(descriptor, lock):
            break
        os.close(descriptor)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
