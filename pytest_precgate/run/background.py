"""What stands behind the checks of a run: launches, baseline, settings, the last lines of logs.

Input: the state of a run, its suites and its folder. Output: values for a report. Invariant: secrets of a server do not
leave its log, and a log that cannot be read is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pytest_precgate.analysis.report import LogTail, RunReport, SuiteBackground
from pytest_precgate.hidden import secrets_of, without
from pytest_precgate.journal.directory import RunDirectory
from pytest_precgate.run.settings_snapshot import settings_of, variables_of
from pytest_precgate.run.state import RunState
from pytest_precgate.settings import Suite
from pytest_precgate.text import printable_lines

_TAIL_BYTES = 32_768
_TAIL_LINES = 40
_MOST_LOGS = 8


def backgrounds(
    report: RunReport, state: RunState, suite_named: Callable[[str], Suite], directory: RunDirectory | None
) -> tuple[SuiteBackground, ...]:
    """Return what stands behind every suite that ``report`` checked or compared; ``directory`` is the run's."""
    names = dict.fromkeys([*(each.suite for each in report.checks), *(each.suite for each in report.compared)])
    return tuple(_behind(suite_named(name), state, directory) for name in names)


def _behind(suite: Suite, state: RunState, directory: RunDirectory | None) -> SuiteBackground:
    home = None if directory is None else directory.home(suite.name)
    is_kept = home is not None and home.is_dir()
    environ = state.launches.environ
    stored, side = state.stored.get(suite.name), state.policy.paired_with
    return SuiteBackground(
        suite=suite.name,
        launches=state.launches.measured(suite.name),
        baseline=None if stored is None or side is not None else stored.baseline,
        settings=settings_of(suite, state.launches.root),
        logs=tuple(log_tails(home, secrets_of(environ, variables_of(suite)))) if home is not None and is_kept else (),
        run=home.name if home is not None and is_kept else "",
        side=side or "",
        beside={} if side is None else state.launches.measured(suite.beside(side).name),
    )


def log_tails(home: Path, secrets: Mapping[str, str]) -> Iterator[LogTail]:
    """Yield the last lines of the servers' logs below ``home``, the newest logs first, without ``secrets``."""
    for path in sorted(home.glob("*/server.log"), reverse=True)[:_MOST_LOGS]:
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - _TAIL_BYTES))
                data = file.read(_TAIL_BYTES)
        except OSError:
            continue
        if size > _TAIL_BYTES:  # the first line is cut, and with it maybe a secret
            data = data.partition(b"\n")[2]
        lines = printable_lines(without(secrets, data)).split("\n")[-_TAIL_LINES:]
        yield LogTail(str(path.relative_to(home)), "\n".join(lines))
