"""Run directories: ``.precgate/runs/<utc>-<suite>-<pid>``, one per suite and run, named and created only here.

Creating one removes older directories of its suite: all but the newest ``KEPT_RUNS``, unless younger than
``KEPT_DAYS``."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path

from pytest_precgate.errors import JournalWriteError, RunNotFoundError
from pytest_precgate.journal.file import is_in_use
from pytest_precgate.text import printable

KEPT_RUNS = 20
KEPT_DAYS = 14
JOURNAL = "journal.jsonl"
REPORT = "report.json"
"""What a run found of a suite, as the HTML report shows it; written when the run ends."""
LATEST = "latest"
_HOME = ".precgate"
_NAME = re.compile(r"(\d{8}T\d{6}\.\d{3}Z)-([A-Za-z0-9][A-Za-z0-9._@-]*)-(\d+)")


@dataclass(frozen=True)
class RunDirectory:
    """The directories of one run below ``runs``: it is told from any other by its start in UTC and its process id."""

    runs: Path
    utc: str
    pid: int

    @staticmethod
    def new(root: Path, started: datetime, pid: int) -> RunDirectory:
        """Return the directories of a run that starts now in the repository at ``root``; none is made yet."""
        return RunDirectory(_runs(root), _stamp(started.astimezone(timezone.utc)), pid)

    @staticmethod
    def find(root: Path, here: Path, named: str) -> RunDirectory:
        """Return a recorded run: ``latest``, a directory's name below ``root``, or a path from ``here``.

        Any of the run's directories stands for all of them. Raises RunNotFoundError naming the newest there are.
        """
        recorded = sorted(_recorded(_runs(root)), key=lambda path: path.name, reverse=True)
        if named == LATEST:
            found = recorded[0] if recorded else None
        else:
            found = next((path for path in (here / named, _runs(root) / named) if _is_dir(path)), None)
        if found is None:
            known = f"the newest: {', '.join(path.name for path in recorded[:3])}" if recorded else "there is none"
            raise RunNotFoundError(f"{printable(named)}: no such run in {_runs(root)}; {known}")
        match = _NAME.fullmatch(found.resolve().name)
        if match is None or not (found / JOURNAL).is_file():
            raise RunNotFoundError(
                f"{found}: holds no {JOURNAL} of a run, or is not called as a run is; nothing to use"
            )
        return RunDirectory(found.resolve().parent, match[1], int(match[3]))

    def home(self, suite: str) -> Path:
        """Return the suite's directory, whether or not it exists."""
        return self.runs / f"{self.utc}-{suite}-{self.pid}"

    def journal(self, suite: str) -> Path:
        """Return the suite's journal, whether or not it exists."""
        return self.home(suite) / JOURNAL

    def suites(self) -> tuple[str, ...]:
        """Return the suites that the run has a directory of, in order of name."""
        homes = (path for path in _named(self.runs) if self.home(_suite_of(path)) == path)
        return tuple(sorted(_suite_of(path) for path in homes))

    def make(self, suite: str) -> Path:
        """Return the suite's directory, made where it was not there, older ones pruned. Raises JournalWriteError."""
        home = self.home(suite)
        if home.is_dir():
            return home
        try:
            home.mkdir(parents=True)
            ignore = self.runs.parent / ".gitignore"
            if self.runs.parent.name == _HOME and not ignore.exists():
                ignore.write_text("*\n", encoding="utf-8")
        except OSError as exc:
            raise JournalWriteError(
                f"{home}: the directory of a run cannot be made: {exc.strerror}; without it no point would be kept"
            ) from exc
        for path in prunable({home, *self._found.get(suite, ())}, self.utc):
            shutil.rmtree(path, ignore_errors=True)  # what cannot be removed stays; no measurement fails for it
        return home

    @cached_property
    def _found(self) -> Mapping[str, Sequence[Path]]:
        """Every run's directories by suite, looked for once: there are as many as suites, twenty times over."""
        found: dict[str, list[Path]] = {}
        for path in _named(self.runs):
            found.setdefault(_suite_of(path), []).append(path)
        return found

    def of(self, suite: str, part: str) -> Path:
        """Make and return the directory of one engine of ``suite``; a second start gets one of its own."""
        home = self.make(suite)
        for attempt in range(1, 1000):
            path = home / (part if attempt == 1 else f"{part}-{attempt}")
            try:
                path.mkdir()
            except FileExistsError:
                continue
            except OSError as exc:
                raise JournalWriteError(f"{path}: the directory of an engine cannot be made: {exc.strerror}") from exc
            return path
        raise JournalWriteError(f"{home / part}: a thousand starts in one run")


def prunable(homes: Collection[Path], now: str) -> list[Path]:
    """Return which ``homes``, the directories of one suite, may go when one called after ``now`` is made, newest first.

    One whose journal is in use stays.
    """
    limit = _stamp(datetime.strptime(now, "%Y%m%dT%H%M%S.%fZ") - timedelta(days=KEPT_DAYS))  # noqa: DTZ007  # UTC
    ours = sorted(homes, key=lambda path: path.name, reverse=True)
    return [path for path in ours[KEPT_RUNS:] if path.name < limit and not is_in_use(path / JOURNAL)]


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name no file system could hold
        return False


def _stamp(utc: datetime) -> str:
    """Text that sorts as time does."""
    return f"{utc:%Y%m%dT%H%M%S}.{utc.microsecond // 1000:03}Z"


def _runs(root: Path) -> Path:
    return root / _HOME / "runs"


def _named(runs: Path) -> Iterator[Path]:
    """Directories that are called as ours are, and are no links."""
    if runs.is_dir():
        for path in runs.iterdir():
            if _NAME.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                yield path


def _recorded(runs: Path) -> Iterator[Path]:
    return (path for path in _named(runs) if (path / JOURNAL).is_file())


def _suite_of(path: Path) -> str:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return match[2]
