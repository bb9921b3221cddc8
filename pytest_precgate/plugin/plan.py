"""``--precgate-plan``: prints what the selected tests would launch instead of running them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from pytest_precgate.plugin.failed_check import write
from pytest_precgate.plugin.frames import AsUsageErrors
from pytest_precgate.plugin.run import ENGINE_FIXTURES, SWEEP_FIXTURES, Run
from pytest_precgate.plugin.selection import MARK

if TYPE_CHECKING:
    from pytest_precgate.analysis.plan import Asked, SuitePlan
    from pytest_precgate.settings import Suite


class Plan:
    """The hooks that replace the run. Raises UsageError for flags that cannot be planned for."""

    def __init__(self, config: pytest.Config, run: Run) -> None:
        for flag, why in (
            ("replay", "a replay launches nothing"),
            ("resume", "what a resumed run still lacks is in its journal; a plan is of a whole run"),
        ):
            if config.getoption(f"precgate_{flag}") is not None:
                raise pytest.UsageError(f"--precgate-plan and --precgate-{flag}: give one of them; {why}")
        if config.getoption("dist", "no") != "no":
            raise pytest.UsageError(
                "--precgate-plan: under pytest-xdist only its workers know the tests; plan with -n 0"
            )
        self._config = config
        self._run = run
        self._plans: list[SuitePlan] | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Plan and run no test. Tests that could not be collected end the session as they would end a run."""
        if session.testsfailed and not self._config.getoption("continue_on_collection_errors"):
            return None
        with AsUsageErrors():
            self._plans = self._planned(session.items)
        return True

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the plan."""
        if self._plans is None:
            return
        from pytest_precgate.reports.plan import lines  # noqa: PLC0415

        terminalreporter.section("precgate plan")
        writer = self._config.get_terminal_writer()
        for line in lines(self._plans, writer.fullwidth):
            write(writer, line)

    def _planned(self, items: Sequence[pytest.Item]) -> list[SuitePlan]:
        tests: dict[str, list[tuple[Suite, Asked]]] = {}
        for item in items:
            wanted = _asked(item)
            if wanted is not None:
                suite = self._run.suite(item)
                tests.setdefault(suite.name, []).append((suite, wanted))
        return [plan for each in tests.values() for plan in self._run.gatekeeper.plan(each)]


def _asked(item: pytest.Item) -> Asked | None:
    """What a test requests by its fixtures; None for one that measures and starts nothing."""
    from pytest_precgate.analysis.plan import Asked  # noqa: PLC0415

    names: Sequence[str] = getattr(item, "fixturenames", ())
    sweeps = tuple(precision for fixture, precision in SWEEP_FIXTURES.items() if fixture in names)
    engines = tuple(precision for fixture, precision in ENGINE_FIXTURES.items() if fixture in names)
    compares, chooses = MARK in names, "precgate_engine" in names
    if not (sweeps or engines or compares or chooses):
        return None
    return Asked(item.nodeid, sweeps, engines, compares, chooses)
