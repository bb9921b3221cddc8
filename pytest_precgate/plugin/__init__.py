"""The pytest plugin: options, fixtures and hooks. It passes values to the gatekeeper and returns text.

Invariant: no heavy module is imported until a test asks for a sweep, so a run without gates costs almost nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

import pytest

from pytest_precgate.errors import PrecgateError
from pytest_precgate.faults import Contained
from pytest_precgate.plugin.failed_check import fail
from pytest_precgate.plugin.frames import AsUsageErrors
from pytest_precgate.plugin.run import ENGINE_FIXTURES, SWEEP_FIXTURES, XDIST_REFUSAL, Run
from pytest_precgate.plugin.selection import MARK

if TYPE_CHECKING:
    from pytest_precgate.analysis.curves.comparison import Comparison
    from pytest_precgate.analysis.curves.sweep import Sweep
    from pytest_precgate.analysis.report import GateReport
    from pytest_precgate.run.running_engine import RunningEngine
    from pytest_precgate.settings import Suite

_T = TypeVar("_T")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the flags, each with its prefix, and the ini keys that give some of them a default."""
    group = parser.getgroup("precgate", "gates on serving performance at low precision")
    policies = {
        "missing": ("fail", "skip", "create"),
        "mismatch": ("fail", "skip", "warn"),
        "unused": ("fail", "warn", "ignore"),
    }
    about = {
        "missing": "what becomes of a gate without a baseline (skip and create have no effect under CI)",
        "mismatch": "what becomes of a baseline of other hardware, workload or engine (skip has no effect under CI)",
        "unused": "what becomes of a gate of a baseline that no selected test checked (ignore is warn under CI)",
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
    group.addoption(
        "--precgate-update-add",
        action="store_true",
        help="measure and add the launches to those of the baselines, of the same state on another day",
    )
    group.addoption(
        "--precgate-update-launches",
        type=int,
        metavar="N",
        help="how many launches of each precision an update takes, in place of every suite's baseline_launches",
    )
    group.addoption(
        "--precgate-lower-anchor",
        action="store_true",
        help="accept for good gates that an update leaves more than 3%% below their anchor; needs a reason",
    )
    group.addoption(
        "--precgate-engine",
        choices=("simulated",),
        help="run the same tests on this kind of engine, without a GPU; its baselines have a directory of their own "
        "inside that of the baselines: simulated/",
    )
    group.addoption(
        "--precgate-resume",
        metavar="RUN",
        help="go on with a run that was killed or failed, its finished points not measured again; RUN is a directory "
        "of .precgate/runs, its name, or latest",
    )
    group.addoption(
        "--precgate-replay",
        metavar="RUN",
        help="judge a finished run again, with today's tolerances, points, prices and baselines; nothing is measured",
    )
    group.addoption(
        "--precgate-launch-rule",
        choices=("first-good", "median"),
        help="which launches decide, in place of every suite's rule: the first good one, or the median (nightly runs)",
    )
    group.addoption(
        "--precgate-max-launches",
        type=int,
        metavar="N",
        help="how many fresh launches a verdict may take, in place of every suite's max_launches",
    )
    group.addoption(
        "--precgate-paired-with",
        metavar="SIDE",
        help="judge by fresh launches of this other side of each suite (paired.SIDE in its settings), launched in turn "
        "with its own, and not by the baseline",
    )
    group.addoption(
        "--precgate-plan",
        action="store_true",
        help="print what the selected tests would launch, and the GPU-minutes and dollars expected; run nothing",
    )
    group.addoption("--precgate-reason", metavar="TEXT", default="", help="why a baseline changes; kept in its history")
    group.addoption(
        "--precgate-history",
        metavar="PATH",
        help="append one line per judged suite to this file, and warn when accepted states sink",
    )
    parser.addini("precgate_history", "default of --precgate-history, from the root directory", default="")
    group.addoption("--precgate-json", metavar="PATH", help="write what was found as JSON")
    group.addoption("--precgate-markdown", metavar="PATH", help="write what was found as Markdown")
    group.addoption("--precgate-html", metavar="PATH", help="write what was found as a page with the picture")
    group.addoption("--precgate-svg", metavar="PATH", help="write the picture alone, for a pull request")
    group.addoption("--precgate-junit", metavar="PATH", help="write JUnit XML with one case for each gate")


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, and refuse invalid settings before anything is collected."""
    config.addinivalue_line(
        "markers",
        "precgate(suite=..., points=..., tolerance=..., metrics=..., max_launches=...): what a precgate test measures "
        "and gates; names a suite of [tool.precgate] and overrides its points, tolerances, metrics and max_launches",
    )
    if hasattr(config, "workerinput"):  # an xdist worker: the controller has refused invalid settings already
        return
    run = Run(config)
    with AsUsageErrors():
        run.prepare()
    config.pluginmanager.register(run, "precgate-run")
    config.pluginmanager.register(run.gate_tests, "precgate-gate-tests")
    if config.getoption("precgate_plan"):
        from pytest_precgate.plugin.plan import Plan  # noqa: PLC0415

        config.pluginmanager.register(Plan(config, run), "precgate-plan")


def _run_of(config: pytest.Config) -> Run:
    run = config.pluginmanager.get_plugin("precgate-run")
    if run is None:
        pytest.fail(XDIST_REFUSAL, pytrace=False)
    return cast(Run, run)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give the session's fixtures the suite of the requesting test, without changing its id."""
    for fixture in (*SWEEP_FIXTURES, *ENGINE_FIXTURES):
        if fixture in metafunc.fixturenames and not _is_parametrized(metafunc, fixture):
            keywords: dict[str, object] = {}
            for mark in reversed(list(metafunc.definition.iter_markers(MARK))):
                keywords |= mark.kwargs
            suite = keywords.get("suite")
            metafunc.parametrize(fixture, [suite], ids=[pytest.HIDDEN_PARAM], indirect=True, scope="session")


def _is_parametrized(metafunc: pytest.Metafunc, fixture: str) -> bool:
    """Whether the user's own parametrization gives the fixture's values."""
    for mark in metafunc.definition.iter_markers("parametrize"):
        names = mark.args[0] if mark.args else mark.kwargs.get("argnames", ())
        if fixture in ([name.strip() for name in names.split(",")] if isinstance(names, str) else names):
            return True
    return False


class Precgate:
    """The ``precgate`` fixture: measure, compare, check against the committed baselines."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._item = cast(pytest.Item, request.node)
        self._run = _run_of(request.config)
        self._suite = self._run.suite(self._item)

    def sweep(self, precision: str) -> Sweep:
        """Return the suite's sweep of one precision, measured once per run."""
        with Contained():
            return self._run.gatekeeper.launch(self._suite, precision).sweep

    def compare(self, candidate: str, reference: str) -> Comparison:
        """Measure two precisions of the suite and compare them, candidate first."""
        with Contained():
            return self._run.gatekeeper.compare(self._suite, candidate, reference, self._item.nodeid)

    def check(self, comparison: Comparison) -> GateReport:
        """Compare ``comparison`` with the suite's baseline: fail the test when a gate fails, skip it by policy."""
        from pytest_precgate.reports import terminal  # noqa: PLC0415

        with Contained():
            report = self._run.gatekeeper.check(self._suite, comparison, self._item.nodeid)
            known = {name for name, _ in self._item.user_properties}
            self._item.user_properties += [entry for entry in terminal.properties(report) if entry[0] not in known]
            if report.outcome == "failed":
                fail(self._item, report)
            if report.outcome == "skipped":
                pytest.skip(terminal.skip(report))
            return report


@pytest.fixture
def precgate(request: pytest.FixtureRequest) -> Precgate:
    """Compare precisions and check them against ``baselines/``; the suite is the mark's, or the only one."""
    return _or_fail(lambda: Precgate(request))


def _or_fail(act: Callable[[], _T]) -> _T:
    """Turn an error of this package into a failure without traceback: a fixture has no line of the user's to show."""
    try:
        with Contained():
            return act()
    except PrecgateError as exc:
        message = f"precgate: {exc}"
    pytest.fail(message, pytrace=False)


def _session_suite(request: pytest.FixtureRequest) -> Suite:
    name = cast("str | None", getattr(request, "param", None))
    return _run_of(request.config).suite_named(name, f"{request.fixturename}, asked for as an argument of a test")


def _session_sweep(request: pytest.FixtureRequest, precision: str) -> Sweep:
    run = _run_of(request.config)
    return _or_fail(lambda: run.gatekeeper.launch(_session_suite(request), precision).sweep)


def _session_engine(request: pytest.FixtureRequest, precision: str) -> RunningEngine:
    run = _run_of(request.config)
    return _or_fail(lambda: run.gatekeeper.launches.running(_session_suite(request), precision, None))


@pytest.fixture(scope="session")
def fp4_sweep(request: pytest.FixtureRequest) -> Sweep:
    """The FP4 sweep of the suite, measured once per run."""
    return _session_sweep(request, "fp4")


@pytest.fixture(scope="session")
def int4_sweep(request: pytest.FixtureRequest) -> Sweep:
    """The INT4 sweep of the suite, measured once per run."""
    return _session_sweep(request, "int4")


@pytest.fixture(scope="session")
def fp4_engine(request: pytest.FixtureRequest) -> RunningEngine:
    """The running FP4 engine of the suite: ``url`` and ``model`` are for requests. It starts once per run."""
    return _session_engine(request, "fp4")


@pytest.fixture(scope="session")
def int4_engine(request: pytest.FixtureRequest) -> RunningEngine:
    """The running INT4 engine of the suite: ``url`` and ``model`` are for requests. It starts once per run."""
    return _session_engine(request, "int4")


@pytest.fixture
def precgate_engine(request: pytest.FixtureRequest) -> Callable[..., RunningEngine]:
    """Return a running engine by precision, and by configuration if there are several; it is started when needed."""
    run = _run_of(request.config)
    item = cast(pytest.Item, request.node)
    asked: list[str] = []

    def running(precision: str, configuration: str | None = None) -> RunningEngine:
        with Contained():
            run.refuse_clash(item, *asked, precision)
            asked.append(precision)
            return run.gatekeeper.launches.running(run.suite(item), precision, configuration)

    return running
