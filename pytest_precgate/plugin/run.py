"""The hooks of one run, from the settings to the summary. Under pytest-xdist it exists in the controller only."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_precgate.errors import PrecgateError, SettingsError
from pytest_precgate.faults import Contained
from pytest_precgate.plugin.annotated import annotate
from pytest_precgate.plugin.failed_check import shown, write
from pytest_precgate.plugin.flags import history_path, refuse_contradictions, refuse_standing
from pytest_precgate.plugin.frames import AsUsageErrors, presentable
from pytest_precgate.plugin.gate_tests import GateTests
from pytest_precgate.plugin.last_lines import as_error
from pytest_precgate.plugin.ordering import in_order, rank
from pytest_precgate.plugin.report_files import KINDS, Reported, keep_report, write_reports
from pytest_precgate.plugin.runs import earlier_run, record_of, refuse_no_directory
from pytest_precgate.plugin.said import ProgressReporter
from pytest_precgate.plugin.selection import MARK, Selection, marked
from pytest_precgate.servers.process.stop_signals import StopSignals
from pytest_precgate.text import printable_lines

if TYPE_CHECKING:
    from pytest_precgate.analysis.accepted.baseline import Points
    from pytest_precgate.analysis.report import RunReport
    from pytest_precgate.journal.directory import RunDirectory
    from pytest_precgate.run.gatekeeper import Gatekeeper
    from pytest_precgate.run.journaling import Record
    from pytest_precgate.settings import Policy, Settings, Suite

SWEEP_FIXTURES = {"fp4_sweep": "fp4", "int4_sweep": "int4"}
ENGINE_FIXTURES = {"fp4_engine": "fp4", "int4_engine": "int4"}
XDIST_REFUSAL = (
    "precgate tests do not run under pytest-xdist: two workers would measure on the same GPUs at once, and no process "
    "would see every gate. Run them with -n 0"
)
_FIXTURES = (MARK, "precgate_engine", *SWEEP_FIXTURES, *ENGINE_FIXTURES)
_LINE_SHOWN = 10_000
_RUNS_NOTHING = ("collectonly", "setuponly", "setupplan", "precgate_plan")


class Run:
    """The state that the hooks of one run share."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._selection = Selection(config)
        self.gate_tests = GateTests()
        self._refused: list[str] = []
        self._uncollected = False
        self._reported: Reported | None = None
        self._gatekeeper: Gatekeeper | None = None
        self._settings: Settings | None = None
        self._earlier: RunDirectory | None = None
        self._sweeping: dict[str, list[Points]] = {}
        self._rehearsed: dict[str, Suite] = {}
        self._history: Path | None = None
        self._record: Record | None = None
        self._signals = StopSignals()

    def prepare(self) -> None:
        """Read the settings if there are any; a repository without them costs two file look-ups.

        Raises PrecgateError for invalid settings or policies, UsageError for flags that contradict."""
        option = self._config.getoption
        refuse_contradictions(option, self._option("missing"))
        from pytest_precgate.environment import in_ci  # noqa: PLC0415

        self._history = history_path(self._config, in_ci=in_ci(os.environ))
        if in_ci(os.environ):
            refuse_standing(option, self._selection.was_typed)
        self._earlier = earlier_run(self._config)
        root = self._config.rootpath
        project = root / "pyproject.toml"
        if (root / "precgate.toml").is_file() or (project.is_file() and b"precgate" in project.read_bytes()):
            self._settings = self.settings
            self._policy()
        if self._settings is not None or self._config.getoption("precgate_baselines") is not None:
            refuse_no_directory(self._config.rootpath / (self._option("baselines") or "baselines"))

    def pytest_report_header(self) -> str | None:
        """Report settings above the root directory, which this run does not read."""
        if self._settings is not None:
            return None
        for directory in self._config.rootpath.parents:
            project = directory / "pyproject.toml"
            if project.is_file() and b"[tool.precgate" in project.read_bytes():
                return (
                    f"precgate: not in use: {project} has settings, but the root directory is {self._config.rootpath}"
                )
            if (directory / ".git").exists():
                break
        return None

    @property
    def settings(self) -> Settings:
        """The settings, read once."""
        if self._settings is None:
            from pytest_precgate.environment import in_ci  # noqa: PLC0415
            from pytest_precgate.settings import load  # noqa: PLC0415

            self._settings = load(self._config.rootpath, in_ci=in_ci(os.environ))
        return self._settings

    def suite(self, item: pytest.Item) -> Suite:
        """Return the suite a test's mark selects."""
        where = f"{item.nodeid}: @pytest.mark.precgate"
        suite = self._played(self.settings.marked(marked(item, where), where))
        params = getattr(getattr(item, "callspec", None), "params", {})
        for fixture in (*SWEEP_FIXTURES, *ENGINE_FIXTURES):
            given = params.get(fixture)  # a user's own parametrization may hold any value
            if isinstance(given, str) and given != suite.name:
                raise SettingsError(where, "", f"{fixture} is of suite {params[fixture]!r}, the test of {suite.name!r}")
        return suite

    def suite_named(self, name: str | None, where: str) -> Suite:
        """Return a suite by name, or the only one."""
        return self._played(self.settings.suite(name, where))

    def _played(self, suite: Suite) -> Suite:
        """Return the suite on the engines of this run: its own, or in a rehearsal the simulated ones."""
        if not self._config.getoption("precgate_engine"):
            return suite
        if suite.name not in self._rehearsed:
            self._rehearsed[suite.name] = suite.rehearsed(self.settings.source, self._config.rootpath)
        played = self._rehearsed[suite.name]
        return replace(suite, engines=played.engines, paired=played.paired)

    @property
    def gatekeeper(self) -> Gatekeeper:
        """The run's gatekeeper, created when the first test or the end of the run needs it."""
        if self._gatekeeper is None:
            from pytest_precgate.analysis.gating.waiver import WaiverBook  # noqa: PLC0415
            from pytest_precgate.baselines.store import BaselineStore  # noqa: PLC0415
            from pytest_precgate.environment import git_commit, tool_version  # noqa: PLC0415
            from pytest_precgate.run.gatekeeper import Gatekeeper  # noqa: PLC0415
            from pytest_precgate.run.launches import Launches  # noqa: PLC0415

            root, said, version = self._config.rootpath, ProgressReporter(self._config), tool_version()
            policy = self._policy()

            def commit() -> str:
                return git_commit(root, self._baselines)

            def open_record() -> Record:
                self._signals.watch()
                self._record = record_of(self._config, self._earlier, _now, commit, version, said.line)
                return self._record

            self._gatekeeper = Gatekeeper(
                policy=policy,
                store=BaselineStore(self._baselines, root),
                clock=_now,
                commit=commit,
                tool_version=version,
                launches=Launches(root, open_record, os.environ, said.point, said.line, policy.update_launches),
                waivers=WaiverBook(self.settings.waivers, _now().date()),
                asked=self._sweeping,
                history=self._history,
            )
            self._gatekeeper.launches.expect(self._sweeping, self._gatekeeper.sweep_targets)
        return self._gatekeeper

    @property
    def _baselines(self) -> Path:
        directory = self._config.rootpath / (self._option("baselines") or "baselines")
        kind = self._config.getoption("precgate_engine")
        return directory / kind if kind else directory

    def _option(self, name: str) -> str:
        """Return a flag's value, else the ini key's."""
        given = self._config.getoption(f"precgate_{name}")
        return str(self._config.getini(f"precgate_{name}")) if given is None else str(given)

    def _policy(self) -> Policy:
        from pytest_precgate.environment import in_ci  # noqa: PLC0415
        from pytest_precgate.settings import Policy, policy_from  # noqa: PLC0415

        given = {
            name: self._config.getoption(f"precgate_{name}")
            for name in (
                *("update", "update_new_only", "update_add", "update_launches", "lower_anchor", "reason"),
                *("launch_rule", "max_launches", "paired_with"),
            )
        }
        given["update"] = given["update"] or given["update_add"]
        words = {name: self._option(name) for name in ("missing", "mismatch", "unused")}
        return policy_from(words, Policy(in_ci=in_ci(os.environ), **given))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Refuse an invalid mark as a usage error, before any engine starts; put tests in order."""
        with AsUsageErrors():
            self._arrange(items)

    def _arrange(self, items: list[pytest.Item]) -> None:
        ranks: dict[pytest.Item, tuple[int, float]] = {}
        suites: dict[str, int] = {}
        for item in items:
            asked = [name for name in _FIXTURES if name in _fixtures(item)]
            if item.get_closest_marker(MARK) is None and not asked:
                continue
            suite = self.suite(item)
            if MARK in asked:
                self._refuse_policy(suite)
            place = suites.setdefault(suite.name, len(suites))
            if MARK in asked or SWEEP_FIXTURES.keys() & {*asked}:
                self._sweeping.setdefault(suite.name, []).append(suite.points)
            self.gate_tests.suites[item.nodeid] = suite.name
            if suite.starts_servers:
                ranks[item] = (place, _rank(suite, asked))
        for (
            item
        ) in ranks:  # not before all are known: the later tests decide whether an engine is swept before it stops
            self.refuse_clash(item)
        items[:] = in_order(items, ranks)

    def _refuse_policy(self, suite: Suite) -> None:
        """Refuse flags with which this suite cannot be judged. Raises SettingsError, InvalidValueError."""
        policy = self._policy()
        policy.launches(suite)
        if policy.paired_with is not None:
            suite.beside(policy.paired_with)

    def refuse_clash(self, item: pytest.Item, *further: str) -> None:
        """Raise SettingsError for a test whose engines, by its fixtures and ``further`` ones, cannot be up together."""
        named = [precision for fixture, precision in ENGINE_FIXTURES.items() if fixture in _fixtures(item)]
        engines = list(dict.fromkeys([*named, *further]))
        if len(engines) < 2:
            return
        self.gatekeeper.launches.refuse_clash(self.suite(item), engines)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Show an error at the test's own line: frames inside the plugin do not help its user and hold secrets."""
        if call.excinfo is not None:
            call.excinfo = pytest.ExceptionInfo.from_exception(presentable(call.excinfo.value))
        report = yield
        failure = None if call.excinfo is None else shown(item, call.excinfo.value)
        if failure is not None:
            report.longrepr = failure  # type: ignore[assignment]  # it has what pytest reads of one
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Remove the plugin's frames from the traceback that --full-trace prints of an interrupted run."""
        excinfo.traceback = pytest.ExceptionInfo.from_exception(presentable(excinfo.value)).traceback
        if self._gatekeeper is not None and self._signals.received is not None:
            # Now: the sender of the signal may send SIGKILL before every engine is stopped and the summary is written.
            for line in (f"stopped by {self._signals.received}", *self._gatekeeper.launches.remarks()):
                ProgressReporter(self._config).line(line)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record which tests failed and which ran: this decides what is recorded, and what counts as unused."""
        self._selection.note(report)
        if report.failed and XDIST_REFUSAL in str(report.longrepr):
            self._refused.append(f"{report.nodeid}: {XDIST_REFUSAL}")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record that some tests could not be collected: then no test counts as removed."""
        self._uncollected = self._uncollected or report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int | pytest.ExitCode) -> None:
        """Stop every engine; then write baselines, find unused gates, fail the run for them, write the reports."""
        self._signals.forget()
        left = self._stop_engines()
        if exitstatus in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERNAL_ERROR):
            return
        runs_nothing = any(self._config.getoption(name) for name in _RUNS_NOTHING)
        if runs_nothing or not self._concerns_us():
            return
        interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
        selection = self._selection
        try:
            with Contained():
                found = self.gatekeeper.finish(
                    selection,
                    configured=self.settings.suites if selection.covers_root else (),
                    cut_short=interrupted or self._uncollected or bool(session.shouldfail or session.shouldstop),
                    interrupted=interrupted,
                )
            found = replace(found, problems=(*found.problems, *self._refused, *left))
        except PrecgateError as exc:
            from pytest_precgate.analysis.report import RunReport  # noqa: PLC0415

            found = RunReport(problems=(str(exc),))
        gates, record = self.gate_tests, self._record
        reported = Reported(
            found, gates.asked(), gates.failed(found), lambda: self.gatekeeper, self.suite_named, record, _now
        )
        lost = write_reports(self._config, os.environ, reported)
        warnings = (*found.warnings, *keep_report(reported))
        found = replace(found, problems=(*found.problems, *lost), warnings=warnings)
        self._reported = replace(reported, found=found)
        if found.problems and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _stop_engines(self) -> list[str]:
        """Stop every engine; return one line for each process that is left."""
        try:
            with Contained():
                if self._gatekeeper is not None:
                    self._gatekeeper.launches.close()
        except PrecgateError as exc:
            return [str(exc)]
        return []

    def pytest_unconfigure(self) -> None:
        """Stop every engine again, and report what is left: a session that ended in an error was not finished."""
        self._signals.forget()
        for line in self._stop_engines():
            sys.stderr.write(f"precgate: {line}\n")

    def _concerns_us(self) -> bool:
        """Whether suites are configured, a report was requested, or baselines exist that nothing gates any more."""
        if self._settings is not None and self._settings.suites:
            return True
        if any(self._config.getoption(f"precgate_{kind}") for kind in KINDS):
            return True
        if not self._baselines.is_dir():
            return False
        from pytest_precgate.baselines.store import holds_baselines  # noqa: PLC0415

        return holds_baselines(self._baselines)

    def _told(self, terminalreporter: pytest.TerminalReporter) -> set[str]:
        """The tests whose failure pytest has shown above the summary."""
        if self._config.getoption("tbstyle") in ("no", "line"):
            return set()
        return {report.nodeid for report in terminalreporter.stats.get("failed", ())}

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the comparison tables and the verdicts; in a GitHub job, its annotations."""
        if self._reported is None:
            return
        with AsUsageErrors():
            if not self._reported.found.is_empty:
                self._summarize(terminalreporter, self._reported.found)
            annotate(self._config.get_terminal_writer(), os.environ, self._config.rootpath, self._reported)

    def _summarize(self, terminalreporter: pytest.TerminalReporter, found: RunReport) -> None:
        from pytest_precgate.reports.terminal import summary  # noqa: PLC0415

        terminalreporter.section("precgate")
        writer = self._config.get_terminal_writer()
        verbose = self._config.get_verbosity() > 0
        for line in summary(found, writer.fullwidth, verbose=verbose, told=self._told(terminalreporter)):
            write(writer, line)
        # pytest counts tests, and each of them may have passed: its last lines would read as if nothing had failed.
        untold = [problem for problem in found.problems if problem not in self._refused]  # those are tests' errors
        errors = terminalreporter.stats.setdefault("error", []) if untold else []
        errors += [as_error(printable_lines(problem, _LINE_SHOWN)) for problem in untold]


def _fixtures(item: pytest.Item) -> Sequence[str]:
    return getattr(item, "fixturenames", ())


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _rank(suite: Suite, asked: Sequence[str]) -> float:
    engines = {precision for fixture, precision in {**SWEEP_FIXTURES, **ENGINE_FIXTURES}.items() if fixture in asked}
    return rank(list(suite.engines), sorted(engines), chooses="precgate_engine" in asked, compares=MARK in asked)
