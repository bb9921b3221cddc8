"""A recorded run, judged again without its tests and without measuring, for a person to look at.

Input: the run, settings, a clock. Output: for each suite of the run the reports of its checks, with the launches and
facts behind them. Invariant: nothing is measured, started or written; a launch the run lacks leaves its gates without a
verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import cast

from pytest_precgate.analysis.accepted.baseline import Baseline, Launch
from pytest_precgate.analysis.cost import SuiteCost
from pytest_precgate.analysis.gating.gates import GateKey, Metric, Tolerance
from pytest_precgate.analysis.gating.waiver import WaiverBook
from pytest_precgate.analysis.report import GateReport
from pytest_precgate.baselines.store import BaselineStore
from pytest_precgate.errors import ReplayError
from pytest_precgate.journal.checks import NAME, RunCheck, RunChecks, parse
from pytest_precgate.journal.directory import RunDirectory
from pytest_precgate.journal.events import RunOpened
from pytest_precgate.journal.file import read
from pytest_precgate.journal.state import Recorded
from pytest_precgate.run.gatekeeper import Gatekeeper
from pytest_precgate.run.journaling import Record
from pytest_precgate.run.launches import Launches
from pytest_precgate.settings import Policy, Settings, Suite
from pytest_precgate.settings.policy import Mismatch
from pytest_precgate.settings.suite import LaunchRule
from pytest_precgate.settings.tolerances import unsaid

_BASELINES = "baselines"
UNKNOWN_TEST = "(no check of this run is known)"
"""Stands for the test where a run was killed before its first check, or an older version kept it."""


@dataclass(frozen=True)
class ShownRun:
    """One suite of a recorded run: the run, its checks judged again, and what they rest on."""

    name: str
    suite: str
    opened: RunOpened
    reports: tuple[GateReport, ...]
    launches: Mapping[str, Sequence[Launch]]
    baseline: Baseline | None
    costs: tuple[SuiteCost, ...]
    remarks: tuple[str, ...]


def shown_runs(
    directory: RunDirectory,
    settings: Settings,
    root: Path,
    clock: Callable[[], datetime],
    tool_version: str,
    environ: Mapping[str, str],
) -> Iterator[ShownRun]:
    """Yield each suite of the run that is configured.

    Raises ReplayError where none is, or a launch was not finished, JournalError, BaselineError, SettingsError."""
    held = [name for name in settings.suites if directory.journal(name).exists()]
    if not held:
        raise ReplayError(f"{directory.home('*')}: holds no suite that is configured in {settings.source}")
    for name in held:
        recorded = read(directory.journal(name))
        if recorded is None:
            raise ReplayError(f"{directory.journal(name)}: holds nothing: the run ended before its first launch")
        suite = _as_played(settings.suites[name], recorded, settings.source, root)
        yield _shown(directory, settings, suite, recorded, _Tools(root, clock, tool_version, environ))


@dataclass(frozen=True)
class _Tools:
    root: Path
    clock: Callable[[], datetime]
    tool_version: str
    environ: Mapping[str, str]


def _as_played(suite: Suite, recorded: Recorded, source: str, root: Path) -> Suite:
    """The suite on the engines of the run: the simulated ones where it was a rehearsal."""
    simulated = {launch.opened.engine for launch in recorded.launches.values()} == {"simulated"}
    own = {engine.kind for engines in suite.engines.values() for engine in engines}
    return suite.rehearsed(source, root) if simulated and own != {"simulated"} else suite


def _shown(directory: RunDirectory, settings: Settings, suite: Suite, recorded: Recorded, tools: _Tools) -> ShownRun:
    checks = _checks(directory, suite, tools.root)
    run = recorded.run
    version = tools.tool_version
    record = Record(directory, tools.root, "replay", lambda: run.commit, tools.clock, version, _say, run.salt)
    launches = Launches(tools.root, lambda: record, tools.environ, on_point=_on_point, say=_say)
    asked = [_marked(suite, check) for check in checks.checks]
    policy = Policy(
        mismatch=cast(Mismatch, checks.mismatch),
        launch_rule=cast("LaunchRule | None", checks.launch_rule),
        max_launches=checks.max_launches,
        paired_with=checks.paired_with,
    )
    gatekeeper = Gatekeeper(
        policy=policy,
        store=BaselineStore(tools.root / checks.baselines, tools.root),
        clock=tools.clock,
        commit=lambda: run.commit,
        tool_version=version,
        launches=launches,
        waivers=WaiverBook(settings.waivers, tools.clock().date()),
        asked={suite.name: [each.points for each in asked]},
    )
    launches.expect([suite.name], gatekeeper.sweep_targets)
    reports = []
    for each, check in zip(asked, checks.checks, strict=True):
        pair = gatekeeper.compare(each, check.candidate, check.reference, check.test)
        reports.append(gatekeeper.check(each, pair, check.test))
    return ShownRun(
        name=directory.home(suite.name).name,
        suite=suite.name,
        opened=run,
        reports=tuple(reports),
        launches=launches.measured(suite.name),
        baseline=gatekeeper.state.read(suite.name).baseline,
        costs=launches.costs(),
        remarks=tuple(launches.remarks()),
    )


def _checks(directory: RunDirectory, suite: Suite, root: Path) -> RunChecks:
    """What the run checked.

    Where it does not say (it was killed before, or ``precgate noise`` made it), what the baseline holds of each test,
    or the suite's own gates without one."""
    path = directory.home(suite.name) / NAME
    if path.is_file():
        return parse(path.read_text(encoding="utf-8"), str(path))
    candidate, reference, *_ = suite.engines
    baseline = BaselineStore(root / _BASELINES, root).read(suite.name).baseline
    keys: dict[str, list[GateKey]] = {}
    for gate in () if baseline is None else baseline.gates:
        keys.setdefault(gate.test, []).append(gate.key)
    checks = [
        RunCheck(
            test,
            candidate,
            reference,
            points=tuple(sorted({key.point for key in each})),
            tolerances={key.metric: _tolerance(suite, key.metric) for key in each},
            max_launches=suite.max_launches,
        )
        for test, each in keys.items()
    ]
    alone = RunCheck(UNKNOWN_TEST, candidate, reference, suite.points, suite.tolerances, suite.max_launches)
    return RunChecks(_BASELINES, checks or [alone])


def _tolerance(suite: Suite, metric: Metric) -> Tolerance:
    return suite.tolerances.get(metric, unsaid(metric, suite.tolerance_for_all))


def _marked(suite: Suite, check: RunCheck) -> Suite:
    """The suite with the values of the test's mark, as the run had them."""
    return replace(suite, points=check.points, tolerances=check.tolerances, max_launches=check.max_launches)


def _say(_text: str) -> None:
    """Nothing is told while a run is read."""


def _on_point(*_: object) -> None:
    """No point is measured."""
