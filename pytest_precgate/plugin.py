"""The pytest side: options, fixtures and hooks. Thin on purpose: it carries values to the gatekeeper and text back.

Nothing heavy is imported until a test asks for a sweep: a run without gates pays next to nothing for the plugin."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, cast

import pytest

from pytest_precgate.errors import PrecgateError, SettingsError

if TYPE_CHECKING:
    from pytest_precgate.analysis.comparison import Comparison
    from pytest_precgate.analysis.report import GateReport, RunReport
    from pytest_precgate.analysis.sweep import Sweep
    from pytest_precgate.gatekeeper import Gatekeeper
    from pytest_precgate.settings import Policy, Settings, Suite

MARK = "precgate"
_SWEEP_FIXTURES = {"fp4_sweep": "fp4", "int4_sweep": "int4"}
_FIXTURES = (MARK, *_SWEEP_FIXTURES)
_PACKAGE = Path(__file__).parent
_XDIST = (
    "precgate tests do not run under pytest-xdist: two workers would measure on the same GPUs at once, and no process "
    "would see every gate. Run them with -n 0"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the flags, each with its prefix, and the ini keys that give some of them a default."""
    group = parser.getgroup("precgate", "gates on serving performance at low precision")
    policies = {
        "missing": ("fail", "skip", "create"),
        "mismatch": ("fail", "skip", "warn"),
        "unused": ("fail", "warn", "ignore"),
    }
    about = {
        "missing": "what a gate without baseline does (skip and create are not heeded under CI)",
        "mismatch": "what a baseline of other hardware, workload or engine does (skip is not heeded under CI)",
        "unused": "what a stored gate that no selected test used does",
    }
    for name, choices in policies.items():
        group.addoption(f"--precgate-{name}", choices=choices, help=f"{about[name]}; default fail")
        parser.addini(f"precgate_{name}", f"default of --precgate-{name}", default="fail")
    group.addoption("--precgate-baselines", metavar="DIR", help="directory of the baselines; default baselines/")
    parser.addini("precgate_baselines", "default of --precgate-baselines, from the root directory", default="baselines")
    group.addoption(
        "--precgate-update", action="store_true", help="measure and rewrite the baselines of the selected tests"
    )
    group.addoption(
        "--precgate-update-new-only",
        action="store_true",
        help="record the gates that have no baseline, judge the others",
    )
    group.addoption("--precgate-reason", metavar="TEXT", default="", help="why a baseline changes; kept in its history")
    group.addoption("--precgate-json", metavar="PATH", help="write what was found as JSON")
    group.addoption("--precgate-markdown", metavar="PATH", help="write what was found as Markdown")


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, and refuse settings that cannot be used before anything is collected."""
    config.addinivalue_line(
        "markers",
        "precgate(suite=..., points=..., tolerance=..., metrics=...): what a precgate test measures and gates; names "
        "a suite of [tool.precgate] and overrides its points, tolerances and metrics",
    )
    if _is_xdist_worker(config):
        return
    if config.getoption("precgate_update") and config.getoption("precgate_update_new_only"):
        raise pytest.UsageError("--precgate-update and --precgate-update-new-only: give one of them")
    run = _Run(config)
    try:
        run.prepare()
    except PrecgateError as exc:
        raise pytest.UsageError(f"precgate: {exc}") from exc
    config.pluginmanager.register(run, "precgate-run")


def _is_xdist_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


class _Run:
    """The hooks of one run, and what they share. Under xdist it lives in the controller only."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._failed: set[str] = set()
        self._narrowed = False
        self._found: RunReport | None = None
        self._gatekeeper: Gatekeeper | None = None
        self._settings: Settings | None = None

    def prepare(self) -> None:
        """Read the settings if there are any; a repository without them pays for two file look-ups."""
        root = self._config.rootpath
        project = root / "pyproject.toml"
        if (root / "precgate.toml").is_file() or (project.is_file() and b"precgate" in project.read_bytes()):
            self._settings = self.settings
            self._policy()

    @property
    def settings(self) -> Settings:
        """The settings, read once."""
        if self._settings is None:
            from pytest_precgate.settings import load  # noqa: PLC0415

            self._settings = load(self._config.rootpath)
        return self._settings

    def suite(self, item: pytest.Item) -> Suite:
        """Return the suite a test's mark selects."""
        mark = item.get_closest_marker(MARK)
        where = f"{item.nodeid}: @pytest.mark.precgate"
        if mark is not None and mark.args:
            raise SettingsError(where, "", f"takes keywords only (suite=...), got {mark.args[0]!r}")
        return self.settings.marked({} if mark is None else mark.kwargs, where)

    @property
    def gatekeeper(self) -> Gatekeeper:
        """The run's gatekeeper, made when the first test or the end of the run needs it."""
        if self._gatekeeper is None:
            from pytest_precgate.baselines.store import BaselineStore  # noqa: PLC0415
            from pytest_precgate.environment import git_commit, tool_version  # noqa: PLC0415
            from pytest_precgate.gatekeeper import Gatekeeper  # noqa: PLC0415

            root = self._config.rootpath
            directory = root / (_option(self._config, "baselines") or "baselines")
            self._gatekeeper = Gatekeeper(
                policy=self._policy(),
                store=BaselineStore(directory, root),
                clock=lambda: datetime.now(timezone.utc),
                commit=lambda: git_commit(root),
                tool_version=tool_version(),
            )
        return self._gatekeeper

    def _policy(self) -> Policy:
        from pytest_precgate.environment import in_ci  # noqa: PLC0415
        from pytest_precgate.settings import policy_from  # noqa: PLC0415

        options = {name: _option(self._config, name) for name in ("missing", "mismatch", "unused")}
        return policy_from(
            options,
            update=self._config.getoption("precgate_update"),
            update_new_only=self._config.getoption("precgate_update_new_only"),
            reason=self._config.getoption("precgate_reason"),
            in_ci=in_ci(os.environ),
        )

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Refuse a mark that cannot be used as a usage error, before any engine starts."""
        for item in items:
            if item.get_closest_marker(MARK) is None and not _asks_for_precgate(item):
                continue
            try:
                self.suite(item)
            except PrecgateError as exc:
                raise pytest.UsageError(f"precgate: {exc}") from exc

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Remember that the run was narrowed: then no gate counts as unused."""
        self._narrowed = self._narrowed or bool(items)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Show one of our errors at the test's own line: the frames inside the plugin tell its user nothing."""
        if call.excinfo is not None and isinstance(call.excinfo.value, PrecgateError):
            error = call.excinfo.value
            call.excinfo = pytest.ExceptionInfo.from_exc_info(
                (type(error), error, _without_our_frames(call.excinfo.tb))
            )
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember which tests failed: their gates are neither recorded nor unused."""
        if report.failed:
            self._failed.add(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int | pytest.ExitCode) -> None:
        """Write baselines, judge what went unused, fail the run for it, write the reports."""
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
            return
        asked = self._config.getoption("precgate_json") or self._config.getoption("precgate_markdown")
        if not (self.settings_exist or asked) or self._config.getoption("collectonly"):
            return
        cut_short = bool(session.shouldfail or session.shouldstop)
        whole = not (cut_short or self._narrowed or _narrowed_by_option(self._config))
        try:
            self._found = self.gatekeeper.finish(self._is_selected, self._failed, whole=whole)
            self._write_reports(self._found)
        except (PrecgateError, OSError) as exc:
            self._found = _with_problem(self._found, str(exc))
        if self._found.problems and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @property
    def settings_exist(self) -> bool:
        """Whether this run has anything to do with us."""
        return self._settings is not None and bool(self._settings.suites)

    def _is_selected(self, nodeid: str) -> bool:
        """Whether a test, existing or not, lies inside the paths this run was given."""
        path = (self._config.rootpath / nodeid.split("::", maxsplit=1)[0]).resolve()
        here = self._config.invocation_params.dir
        family = {path, *path.parents}
        if family & {(here / ignored).resolve() for ignored in self._config.getoption("ignore") or ()}:
            return False
        return bool(family & {(here / arg).resolve() for arg in self._config.args})

    def _write_reports(self, found: RunReport) -> None:
        wanted = {
            "json": self._config.getoption("precgate_json"),
            "markdown": self._config.getoption("precgate_markdown"),
        }
        for kind, path in wanted.items():
            if path is not None:
                target = self._config.invocation_params.dir / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(_rendered(kind, found), encoding="utf-8")
        step_summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if step_summary and not found.is_empty:
            with Path(step_summary).open("a", encoding="utf-8") as file:
                file.write(_rendered("markdown", found))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the comparison tables and the verdicts."""
        if self._found is None or self._found.is_empty:
            return
        from pytest_precgate.reports.terminal import summary  # noqa: PLC0415

        terminalreporter.section("precgate")
        for line, good in summary(self._found):
            terminalreporter.write_line(line, green=good is True, red=good is False)


def _rendered(kind: str, found: RunReport) -> str:
    from pytest_precgate.reports import json, markdown  # noqa: PLC0415

    return json.render(found) if kind == "json" else markdown.render(found)


def _with_problem(found: RunReport | None, problem: str) -> RunReport:
    from dataclasses import replace  # noqa: PLC0415

    from pytest_precgate.analysis.report import RunReport  # noqa: PLC0415

    known = RunReport() if found is None else found
    return replace(known, problems=(*known.problems, problem))


def _without_our_frames(traceback: TracebackType) -> TracebackType:
    """Return the traceback up to the last frame before this package's own; whole when it begins in there."""
    frames: list[TracebackType] = []
    following: TracebackType | None = traceback
    while following is not None and _PACKAGE not in Path(following.tb_frame.f_code.co_filename).parents:
        frames.append(following)
        following = following.tb_next
    cut: TracebackType | None = None
    for frame in reversed(frames):
        cut = TracebackType(cut, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return traceback if cut is None else cut


def _option(config: pytest.Config, name: str) -> str:
    """Return a flag's value, else the ini key's."""
    given = config.getoption(f"precgate_{name}")
    return str(config.getini(f"precgate_{name}")) if given is None else str(given)


def _narrowed_by_option(config: pytest.Config) -> bool:
    """Whether options leave tests out without pytest calling them deselected."""
    by_node = any("::" in arg for arg in config.args)
    return by_node or any(config.getoption(name, None) for name in ("ignore_glob", "lf", "pyargs"))


def _asks_for_precgate(item: pytest.Item) -> bool:
    return any(name in getattr(item, "fixturenames", ()) for name in _FIXTURES)


def _run_of(config: pytest.Config) -> _Run:
    run = config.pluginmanager.get_plugin("precgate-run")
    if run is None:
        pytest.fail(_XDIST, pytrace=False)
    return cast(_Run, run)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give the session's sweep fixtures the suite of the test that asks for them, without touching its id."""
    mark = metafunc.definition.get_closest_marker(MARK)
    for fixture in _SWEEP_FIXTURES:
        if fixture in metafunc.fixturenames:
            suite = None if mark is None else mark.kwargs.get("suite")
            metafunc.parametrize(fixture, [suite], ids=[pytest.HIDDEN_PARAM], indirect=True, scope="session")


class Precgate:
    """What the ``precgate`` fixture offers a test: measure, compare, check against the committed baselines."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._item = cast(pytest.Item, request.node)
        self._run = _run_of(request.config)
        self._suite = self._run.suite(self._item)

    def sweep(self, precision: str) -> Sweep:
        """Return the suite's sweep of one precision, measured once per run."""
        return self._run.gatekeeper.launch(self._suite, precision).sweep

    def compare(self, candidate: str, reference: str) -> Comparison:
        """Measure two precisions of the suite and compare them, candidate first."""
        return self._run.gatekeeper.compare(self._suite, candidate, reference, self._item.nodeid)

    def check(self, comparison: Comparison) -> GateReport:
        """Hold ``comparison`` against the suite's baseline: fail the test when a gate fails, skip it when told to."""
        __tracebackhide__ = True
        from pytest_precgate.reports import terminal  # noqa: PLC0415

        report = self._run.gatekeeper.check(self._suite, comparison, self._item.nodeid)
        self._item.user_properties += terminal.properties(report)
        if report.outcome == "failed":
            pytest.fail(terminal.failure(report), pytrace=False)
        if report.outcome == "skipped":
            pytest.skip(terminal.skip(report))
        return report


@pytest.fixture
def precgate(request: pytest.FixtureRequest) -> Precgate:
    """Compare precisions and hold them against ``baselines/``; the suite is the mark's, or the only one there is."""
    with _failing_plainly():
        return Precgate(request)


@contextmanager
def _failing_plainly() -> Generator[None]:
    """Turn an error of ours into a failure without traceback: in a fixture there is no line of the user's to show."""
    try:
        yield
    except PrecgateError as exc:
        pytest.fail(f"precgate: {exc}", pytrace=False)


def _session_sweep(request: pytest.FixtureRequest, precision: str) -> Sweep:
    run = _run_of(request.config)
    with _failing_plainly():
        suite = run.settings.suite(cast("str | None", getattr(request, "param", None)), f"fixture {precision}_sweep")
        return run.gatekeeper.launch(suite, precision).sweep


@pytest.fixture(scope="session")
def fp4_sweep(request: pytest.FixtureRequest) -> Sweep:
    """The FP4 sweep of the suite, measured once per run."""
    return _session_sweep(request, "fp4")


@pytest.fixture(scope="session")
def int4_sweep(request: pytest.FixtureRequest) -> Sweep:
    """The INT4 sweep of the suite, measured once per run."""
    return _session_sweep(request, "int4")
