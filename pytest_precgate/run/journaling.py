"""What a run stores of its measurements, and what it reuses of an earlier run.

A resumed run appends to the earlier journals, after every fact that affects a figure was found unchanged. A replay only
reads: a launch that its run does not hold is an error, never a measurement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

from pytest_precgate import files
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.origin import UNKNOWN, LaunchOrigin, utc_text
from pytest_precgate.analysis.cost import KindCost
from pytest_precgate.analysis.measure.point import MeasuredPoint
from pytest_precgate.engines.base import Engine
from pytest_precgate.errors import JournalWriteError, ReplayError, RunDiffersError
from pytest_precgate.journal.directory import RunDirectory
from pytest_precgate.journal.events import (
    LaunchFinished,
    LaunchKey,
    LaunchOpened,
    PointMeasured,
    PointTried,
    RunOpened,
    differences,
)
from pytest_precgate.journal.file import Journal, read
from pytest_precgate.journal.paid import paid
from pytest_precgate.journal.state import Recorded, RecordedLaunch
from pytest_precgate.run.believed import require_believed
from pytest_precgate.run.settings_snapshot import settings_of
from pytest_precgate.settings import Suite

Mode = Literal["measure", "resume", "replay"]


@dataclass(frozen=True)
class LaunchLog:
    """An open launch: the points it has from earlier runs, and where further ones go."""

    journal: Journal
    key: LaunchKey

    @property
    def launch(self) -> RecordedLaunch:
        """The launch as far as it came."""
        found = self.journal.launch(self.key)
        assert found is not None, "a log is of a launch that was opened"
        return found

    def seed(self, concurrency: int) -> str:
        """Return the seed of the next run of a point: no other run, launch, opening or try of anything has it."""
        launch, key = self.launch, self.key
        tries = sum(tried.concurrency == concurrency for tried in launch.tries)
        run = self.journal.run
        parts = (run.salt, run.suite, key.precision, key.configuration, key.launch, len(launch.points_per_opening))
        return "/".join(map(str, (*parts, concurrency, tries + 1)))

    def tried(self, configuration: str, concurrency: int, cause: str, gpu_seconds: float) -> None:
        """Keep that a point was run and gave nothing, and what that cost. Raises JournalWriteError."""
        self.journal.append(PointTried(self.key, configuration, concurrency, cause, gpu_seconds))

    def add(self, point: MeasuredPoint) -> None:
        """Keep a point: it is on the disk when this returns. Raises JournalWriteError."""
        self.journal.append(PointMeasured(self.key, point))

    def finish(self) -> RecordedLaunch:
        """Say that every point is there, and return the launch. Raises JournalWriteError."""
        self.journal.append(LaunchFinished(self.key))
        return self.launch


@dataclass
class Record:
    """The journals of one run, one per suite, each made with its first launch.

    ``directory`` is the run's own, or the earlier run's that is resumed or replayed; ``commit``, ``clock`` (UTC) and
    ``tool_version`` say what measures; ``say`` is told what is taken from an earlier run. ``salt`` was drawn for this
    run and goes into its prompts; a run that is continued keeps its own. ``resume_flag`` is the flag that continues an
    unfinished run, for messages.
    """

    directory: RunDirectory
    root: Path
    mode: Mode
    commit: Callable[[], str]
    clock: Callable[[], datetime]
    tool_version: str
    say: Callable[[str], None]
    salt: str
    resume_flag: str = "--precgate-resume"
    _journals: dict[str, Journal] = field(default_factory=dict)
    _replayed: dict[str, Recorded] = field(default_factory=dict)
    _before: dict[str, Mapping[LaunchKey, RecordedLaunch]] = field(default_factory=dict)
    _unlike: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _taken: dict[str, str] = field(default_factory=dict)
    _asked: dict[str, dict[LaunchKey, None]] = field(default_factory=dict)

    def finished(self, suite: Suite, key: LaunchKey, now: Callable[[], Fingerprint]) -> RecordedLaunch | None:
        """Return a launch an earlier run finished, None where it is to be measured.

        ``now`` gives the facts its engine has today. Raises RunDiffersError when one is another than it was,
        ReplayError when the replayed run did not finish the launch, JournalError for a journal that cannot be used.
        """
        self._asked.setdefault(suite.name, {})[key] = None
        if self.mode == "replay":
            return self._from_replay(suite, key)
        journal = self._reopened(suite)
        found = None if journal is None else journal.launch(key)
        if journal is None or found is None or not found.is_finished:
            return None
        facts, then = now(), found.opened.facts
        pairs = ((facts.hard, then.hard), (facts.soft, then.soft))
        unlike = [line for today, before in pairs for line in differences(today, _known(before, today))]
        self._refuse(journal, f"{suite.name} {key}", unlike)
        require_believed(suite, journal.run, found)
        return found

    def replayed(self, suite: Suite, precision: str) -> int | None:
        """Return how many finished launches of a precision the replayed run holds; None where nothing is replayed.

        Raises as ``finished`` does for a run that cannot be used.
        """
        if self.mode != "replay":
            return None
        launches, number = self._read_replay(suite).launches, 0
        numbers = range(len(suite.configurations(precision)))
        while all(
            (found := launches.get(LaunchKey(precision, each, number + 1))) is not None and found.is_finished
            for each in numbers
        ):
            number += 1
        return number

    def begin(
        self,
        suite: Suite,
        key: LaunchKey,
        engine: Engine,
        facts: Fingerprint,
        starting_gpu_s: float | None,
        where: LaunchOrigin = UNKNOWN,
    ) -> LaunchLog:
        """Open a launch of ``engine``, or go on with it. Raises as ``finished`` does.

        ``starting_gpu_s`` is what its start took, None where that is not known; ``where`` its node and GPUs.
        """
        began = replace(where, utc=utc_text(self.clock()))
        opened = LaunchOpened(key, engine.kind, facts, starting_gpu_s, engine.paid, began)
        journal = self._reopened(suite)
        if journal is None:
            self.directory.make(suite.name)
            journal = Journal.create(self.directory.journal(suite.name), self._opened(suite))
            self._journals[suite.name] = journal
        before = journal.launch(opened.key)
        if before is not None:
            self._refuse(journal, f"{suite.name} {opened.key}", opened.unlike(before.opened))
            require_believed(suite, journal.run, before)
        journal.append(opened)
        return LaunchLog(journal, opened.key)

    def costs(self, suite: str) -> list[KindCost]:
        """Return what the launches of this run cost, as far as its journal knows: starts that succeeded, points."""
        journal, before = self._journals.get(suite), self._before.get(suite, {})
        launches = {} if journal is None else journal.recorded.launches
        costs = [paid(launch, before.get(key)) for key, launch in launches.items()]
        return [cost for cost in costs if cost is not None and (cost.launches or cost.points)]

    def reused(self, suite: str) -> list[KindCost]:
        """Return what launches and points that were taken from an earlier run had cost it."""
        before = self._replayed[suite].launches if suite in self._replayed else self._before.get(suite, {})
        asked = self._asked.get(suite, ())
        costs = [paid(before[key]) for key in asked if key in before and before[key].points]
        return [cost for cost in costs if cost is not None]

    def origin(self, suite: str) -> RunOpened | None:
        """Return the run whose figures are judged instead of measuring; None when nothing is replayed."""
        return self._replayed[suite].run if suite in self._replayed else None

    def whole(self, suite: str) -> str | None:
        """Return the name of the run that holds every launch of ``suite`` that was asked for, finished, so that it can
        be replayed; None where there is none."""
        if suite in self._replayed:
            return self.directory.home(suite).name
        journal = self._journals.get(suite)
        if journal is None:
            return None
        each = (journal.launch(key) for key in self._asked.get(suite, ()))
        return journal.path.parent.name if all(launch is not None and launch.is_finished for launch in each) else None

    def note(self, suite: str, name: str, text: str) -> None:
        """Keep a text beside the suite's journal; nothing where there is no journal, or one is only read.

        Raises JournalWriteError."""
        home = self.directory.home(suite)
        if self.mode == "replay" or suite not in self._journals:
            return
        try:
            files.write(home / name, text)
        except OSError as exc:
            raise JournalWriteError(f"{home / name}: cannot be written: {exc.strerror}") from exc

    def remarks(self) -> Iterator[str]:
        """Yield what a reader of the verdicts must know, and how an unfinished run goes on."""
        for suite, recorded in self._replayed.items():
            run, name, unlike = recorded.run, self.directory.home(suite).name, self._unlike[suite]
            yield f"suite {suite}: nothing was measured: replays {name}, measured {run.utc} at commit {run.commit}"
            if unlike:
                yield f"suite {suite}: today's settings are not those of the replayed run: {_listed(unlike)}"
        yield from (f"suite {suite} {taken}" for suite, taken in self._taken.items())
        for suite, journal in self._journals.items():
            launches = journal.recorded.launches
            yield from (f"suite {suite}: {line}" for launch in launches.values() for line in _measured_again(launch))
            missing = [
                str(key) for key in self._asked.get(suite, ()) if not (key in launches and launches[key].is_finished)
            ]
            if missing and any(launch.points for launch in launches.values()):
                yield (
                    f"suite {suite}: {', '.join(missing)} not finished; what was measured is kept, go on with "
                    f"{self.resume_flag}={journal.path.parent.name}"
                )

    def close(self) -> None:
        """Let another run have the journals."""
        for journal in self._journals.values():
            journal.close()

    # --- one suite ------------------------------------------------------------------------------------------------

    @cached_property
    def _commit(self) -> str:
        return self.commit()

    def _opened(self, suite: Suite) -> RunOpened:
        return RunOpened(
            suite=suite.name,
            utc=utc_text(self.clock()),
            commit=self._commit,
            tool_version=self.tool_version,
            hardware=suite.hardware.name,
            workload=suite.workload,
            configurations={precision: len(specs) for precision, specs in suite.engines.items()},
            settings=settings_of(suite, self.root),
            salt=self.salt,
        )

    def _reopened(self, suite: Suite) -> Journal | None:
        """Return the suite's journal, opened again if an earlier run left one."""
        path = self.directory.journal(suite.name)
        if suite.name not in self._journals and self.mode == "resume" and path.exists():
            now = self._opened(suite)
            journal = Journal.reopen(path, now)
            try:
                self._refuse(journal, suite.name, now.unlike(journal.run))
            except RunDiffersError:
                journal.close()
                raise
            self._taken[suite.name] = f"goes on with {path.parent.name}: {_kept(journal.recorded)}"
            self.say(f"suite {suite.name} {self._taken[suite.name]}")
            self._journals[suite.name] = journal
            self._before[suite.name] = journal.recorded.launches
        return self._journals.get(suite.name)

    def _read_replay(self, suite: Suite) -> Recorded:
        path = self.directory.journal(suite.name)
        if suite.name not in self._replayed:
            found = read(path) if path.exists() else None
            if found is None:
                raise ReplayError(f"{self.directory.home(suite.name)}: holds nothing of suite {suite.name} to replay")
            now = self._opened(suite)
            unlike = now.unlike_in_kind(found.run)
            if unlike:
                raise RunDiffersError(f"{path}: the run measured something else than the suite asks: {_listed(unlike)}")
            self._replayed[suite.name] = found
            self._unlike[suite.name] = tuple(differences(now.settings, found.run.settings))
        return self._replayed[suite.name]

    def _from_replay(self, suite: Suite, key: LaunchKey) -> RecordedLaunch:
        path, recorded = self.directory.journal(suite.name), self._read_replay(suite)
        launch = recorded.launches.get(key)
        if launch is None or not launch.is_finished:
            what = "holds no launch of" if launch is None else f"has {len(launch.points)} points of the unfinished"
            raise ReplayError(
                f"{path}: {what} {key}; a replay measures nothing. Finish the run with "
                f"--precgate-resume={path.parent.name}, or replay another"
            )
        require_believed(suite, recorded.run, launch)
        return launch

    def _refuse(self, journal: Journal, what: str, unlike: Sequence[str]) -> None:
        if unlike:
            raise RunDiffersError(
                f"{journal.path}: the points of {what} are not reused: {_listed(unlike)}. Restore what differs, or "
                f"start a new run without {self.resume_flag}"
            )


def _measured_again(launch: RecordedLaunch) -> Iterator[str]:
    """Name the points of a launch that were run more than once, how often, and why."""
    finished = {point.point.concurrency for point in launch.points}
    for concurrency, number in Counter(tried.concurrency for tried in launch.tries).items():
        causes = dict.fromkeys(tried.cause for tried in launch.tries if tried.concurrency == concurrency)
        minutes = sum(tried.gpu_seconds for tried in launch.tries if tried.concurrency == concurrency) / 60
        times = number + (concurrency in finished)
        yield (
            f"{launch.opened.key} concurrency {concurrency} was run {times} times ({minutes:.1f} GPU-minutes gave no "
            f"point): {'; '.join(causes)}"
        )


def _known(before: Mapping[str, object], today: Mapping[str, object]) -> Mapping[str, object]:
    """Return the facts of ``before`` whose keys ``today`` has: before its start an engine knows fewer facts."""
    return {name: fact for name, fact in before.items() if name in today}


def _kept(state: Recorded) -> str:
    counts = [
        f"{key} {'finished' if launch.is_finished else 'unfinished'} with {len(launch.points)} points"
        for key, launch in state.launches.items()
    ]
    return ", ".join(counts) or "nothing was measured yet"


def _listed(lines: Sequence[str]) -> str:
    more = f"; and {len(lines) - 3} more" if len(lines) > 3 else ""
    return "; ".join(lines[:3]) + more
