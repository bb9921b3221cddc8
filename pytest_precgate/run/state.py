"""The state of a run, and its end: writes baselines, names what is not gated, and makes the report.

Input: what the gatekeeper adds, and the outcomes of the tests. Output: a RunReport. Invariants: a baseline is read
once, so that every check of a run is compared with the same file; a gate of a failed test is neither recorded nor
reported as unused; a baseline that cannot be written is a problem of the report."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime

from pytest_precgate.analysis import report as said
from pytest_precgate.analysis.accepted.addition import plan_addition
from pytest_precgate.analysis.accepted.anchor import ALLOWED_FALL
from pytest_precgate.analysis.accepted.baseline import Provenance, RecordedGate
from pytest_precgate.analysis.accepted.origin import utc_text
from pytest_precgate.analysis.accepted.remarks import remarks
from pytest_precgate.analysis.accepted.update import Measured, PlannedUpdate, plan_additions, plan_rewrite
from pytest_precgate.analysis.cost import SuiteCost
from pytest_precgate.analysis.curves.comparison import Comparison
from pytest_precgate.analysis.gating.gates import GateKey
from pytest_precgate.analysis.gating.waiver import WaiverBook
from pytest_precgate.analysis.report import BaselineUpdate, Compared, GateReport, Ran, RunReport
from pytest_precgate.baselines.store import BaselineStore, Stored
from pytest_precgate.errors import (
    BaselineError,
    BelowAnchorError,
    InvalidValueError,
    UnreadableCurveError,
)
from pytest_precgate.journal.checks import RunCheck
from pytest_precgate.run.launches import Launches
from pytest_precgate.run.verdict_cost import cost_of_verdicts
from pytest_precgate.settings import Policy, Suite


@dataclass
class PendingUpdate:
    """What a suite's baseline is to become: the suite and its gates by test; of these, ``recorded`` hold nothing."""

    suite: Suite
    comparison: Comparison
    checked: dict[str, list[GateKey]] = field(default_factory=dict)
    recorded: set[RecordedGate] = field(default_factory=set)


@dataclass
class RunState:
    """What a run has read, compared, checked and is about to record; see Gatekeeper for what it is given.

    By suite: the baseline as read, what is to be recorded, the gates that were held; ``asked`` are the suites of which
    a test wanted a sweep, ``judged`` those of which gates were judged, with the precisions that these read. Every
    report is kept by suite, test and precisions, every comparison by suite and precisions.
    """

    policy: Policy
    store: BaselineStore
    clock: Callable[[], datetime]
    commit: Callable[[], str]
    tool_version: str
    launches: Launches
    waivers: WaiverBook
    stored: dict[str, Stored] = field(default_factory=dict)
    pending: dict[str, PendingUpdate] = field(default_factory=dict)
    used: dict[str, set[RecordedGate]] = field(default_factory=dict)
    reports: dict[tuple[str, str, str], GateReport] = field(default_factory=dict)
    compared: list[Compared] = field(default_factory=list)
    pairs: dict[tuple[str, str, str], Comparison] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    judged: dict[str, tuple[Suite, tuple[str, ...]]] = field(default_factory=dict)
    noted: dict[str, list[RunCheck]] = field(default_factory=dict)

    def read(self, suite: str) -> Stored:
        """Return the suite's baseline as it was when it was first asked for. Raises BaselineError."""
        if suite not in self.stored:
            self.stored[suite] = self.store.read(suite)
        return self.stored[suite]

    def report(self, ran: Ran, configured: Collection[str], *, cut_short: bool, interrupted: bool) -> RunReport:
        """Write the baselines this run recorded and name what went unused.

        A run ``cut_short`` calls nothing unused and drops nothing; an ``interrupted`` one writes nothing. Suites of
        ``configured`` that nothing gates are named. A failed test's gates are neither recorded nor unused.
        """
        updates = [
            self._write(pending, ran, cut_short=cut_short, interrupted=interrupted) for pending in self.pending.values()
        ]
        problems = [f"{update.path}: not written: {update.reason}" for update in updates if update.outcome == "refused"]
        problems += self._hidden(ran.failed)
        warnings = list(self.launches.remarks())
        unused = "warn" if self.policy.unused == "ignore" and self.policy.in_ci else self.policy.unused
        whole = () if cut_short or self.policy.update else configured
        problems += self.waivers.problems(whole)
        if not cut_short and unused != "ignore":
            lines, left_out = self._unused(ran)
            lines += self._ungated_suites(configured, ran.failed)
            (problems if unused == "fail" else warnings).extend(lines)
            warnings += left_out
        return RunReport(
            checks=tuple(self.reports.values()),
            compared=self._ungated(ran.failed),
            updates=tuple(updates),
            problems=tuple(problems),
            warnings=tuple(warnings),
            costs=tuple(self._with_verdicts(cost) for cost in self.launches.costs()),
            hints=tuple(self._judged_again()),
        )

    def _with_verdicts(self, cost: SuiteCost) -> SuiteCost:
        """The cost of a suite with what its verdicts took of it."""
        if cost.suite not in self.judged:
            return cost
        suite, precisions = self.judged[cost.suite]
        side = self.policy.paired_with or suite.confirm_with
        policy = self.policy.launches(suite)
        return replace(cost, verdict=cost_of_verdicts(self.launches, suite, precisions, policy, side))

    def _ungated_suites(self, configured: Collection[str], failed: Collection[str]) -> list[str]:
        """Name every configured suite that has no baseline and that no test checked, or failed before it could."""
        known = {*self.store.suites(configured), *(report.suite for report in self.reports.values())}
        known |= self.asked if failed else set()
        return [
            f"suite {suite} is configured and nothing gates it: no test checks it and it has no baseline"
            for suite in configured
            if suite not in known
        ]

    def _hidden(self, failed: Collection[str]) -> list[str]:
        """Name every failed check whose test did not fail: an xfail or a swallowed failure is no waiver."""
        return [
            f"{report.test}: {len(report.failing)} gates of suite {report.suite} failed and the test did not (xfail, "
            "or a swallowed failure); a gate is not waived that way"
            for report in self.reports.values()
            if report.outcome == "failed" and report.test not in failed
        ]

    def _ungated(self, failed: Collection[str]) -> tuple[Compared, ...]:
        gated = {(report.suite, report.comparison) for report in self.reports.values()}
        seen: dict[tuple[str, Comparison], Compared] = {}
        for made in self.compared:
            if (made.suite, made.comparison) not in gated:
                seen.setdefault((made.suite, made.comparison), replace(made, failed=made.test in failed))
        return tuple(seen.values())

    def _write(self, pending: PendingUpdate, ran: Ran, *, cut_short: bool, interrupted: bool) -> BaselineUpdate:
        suite, stored = pending.suite.name, self.stored[pending.suite.name]
        path = self.store.shown(stored.path)
        old_tests = set() if stored.baseline is None else {gate.test for gate in stored.baseline.gates}
        unsound = sorted({*pending.checked, *old_tests} & {*ran.failed, *ran.xfailed})
        if interrupted or unsound:
            why = "the run was interrupted" if interrupted else f"tests that gate it failed: {', '.join(unsound)}"
            return BaselineUpdate(suite, path, "refused", reason=f"{why}{self._recordable_later(suite)}")
        try:
            stale = set() if cut_short else {test for test in old_tests if ran.holds(test)} - {*ran.seen}
            plan = self._plan(pending, stale)
            self._refuse_split_quartiles(pending, plan)
            if not plan.is_change:
                return BaselineUpdate(suite, path, "unchanged", plan.changes)
            self._refuse_lowered(plan)
            self._refuse_sunk(plan)
            self.store.write(plan.baseline, stored)
        except (BaselineError, InvalidValueError, UnreadableCurveError) as exc:
            return BaselineUpdate(suite, path, "refused", reason=str(exc))
        notes = (*plan.remarks, *remarks(plan.baseline))
        return BaselineUpdate(suite, path, "written", plan.changes, self.policy.reason, notes)

    def _refuse_split_quartiles(self, pending: PendingUpdate, plan: PlannedUpdate) -> None:
        """Quartiles move with the points: gates of tests that were not run would be left at the old ones."""
        points = {key.point for keys in pending.checked.values() for key in keys}
        left = sorted({gate.test for gate in plan.baseline.gates if gate.key.point not in points} - {*pending.checked})
        if pending.suite.points is None and left and self.policy.update:
            raise BaselineError(
                f"its quartile points moved, and {', '.join(left)} gates the old ones: update them together"
            )

    def _plan(self, pending: PendingUpdate, stale: set[str]) -> PlannedUpdate:
        checked = pending.checked
        precisions = {precision for keys in checked.values() for key in keys for precision in key.precisions}
        suite = pending.suite
        measured = Measured(
            suite=suite.name,
            launches={
                name: launches for name, launches in self.launches.measured(suite.name).items() if name in precisions
            },
            checked=checked,
            hardware=suite.hardware,
            cost=suite.cost,
            lower_anchor=self.policy.lower_anchor,
            adds=self.policy.update_add,
            recorded=frozenset(pending.recorded),
        )
        utc = utc_text(self.clock())
        recorded = Provenance(self.commit(), utc, self.tool_version, self.policy.reason)
        replayed = self.launches.origin(suite.name)
        if replayed is not None:  # a baseline says where its figures come from, not when they were looked at again
            recorded = replace(recorded, commit=replayed.commit, utc=replayed.utc, tool_version=replayed.tool_version)
        old = self.stored[suite.name].baseline
        if self.policy.update_add:
            return plan_addition(old, measured, recorded)
        if self.policy.update:
            return plan_rewrite(old, measured, recorded, stale)
        return plan_additions(old, measured, recorded)

    def version_of(self, suite: str) -> str:
        """Return the version of this tool that measured, or had measured the run that is replayed."""
        replayed = self.launches.origin(suite)
        return self.tool_version if replayed is None else replayed.tool_version

    def _refuse_lowered(self, plan: PlannedUpdate) -> None:
        why = plan.needs_reason
        if why and not self.policy.reason.strip():
            anchor = ", and give --precgate-lower-anchor" * bool(plan.sunk and self.policy.update)
            raise BaselineError(
                f"it would {why}; if that is meant, say why with --precgate-reason TEXT{anchor}. The baseline is left "
                "as it was"
                f"{self._recordable_later(plan.baseline.suite, sunk=bool(plan.sunk))}"
            )

    def _judged_again(self) -> list[str]:
        """How each suite with a failed check is judged again without measuring again, where it was measured."""
        failed = dict.fromkeys(report.suite for report in self.reports.values() if report.outcome == "failed")
        runs = {suite: self.launches.kept(suite) for suite in failed if self.launches.origin(suite) is None}
        how = "judge it again, with other tolerances or points and without an engine, with"
        return [
            f"suite {suite}: what was measured is kept: {how} --precgate-replay={run}"
            for suite, run in runs.items()
            if run is not None
        ]

    def _recordable_later(self, suite: str, *, sunk: bool = False) -> str:
        """How a refused update is repeated without measuring again; nothing where nothing was measured."""
        run = self.launches.kept(suite)
        if run is None:
            return ""
        flag = "--precgate-update-new-only" if self.policy.update_new_only else "--precgate-update"
        flag += "-add" * self.policy.update_add
        flag += " --precgate-lower-anchor" * sunk
        return (
            f". What was measured is kept: to record it without an engine: --precgate-replay={run} {flag} "
            '--precgate-reason "...", with the other flags of this run'
        )

    def _refuse_sunk(self, plan: PlannedUpdate) -> None:
        if plan.sunk and self.policy.update:  # additions of gates move no value
            raise BelowAnchorError(
                f"it would leave {plan.sunk_listed} (allowed are {ALLOWED_FALL:.0%}), by this loss and those that "
                "were accepted before it; if the new state is to stay, accept it for good with --precgate-lower-anchor "
                f"--precgate-reason TEXT. The baseline is left as it was"
                f"{self._recordable_later(plan.baseline.suite, sunk=True)}"
            )

    def _unused(self, ran: Ran) -> tuple[list[str], list[str]]:
        """Name the stored gates their tests should have held and did not; then those a narrowed run left out."""
        lines, left_out = [], []
        for suite in self.store.suites(self.stored):
            if self.policy.update and suite in self.pending:
                continue
            try:
                baseline = self.read(suite).baseline
            except BaselineError as exc:
                lines.append(str(exc))
                continue
            used = self.used.get(suite, set())
            idle = [] if baseline is None else [gate for gate in baseline.gates if gate not in used]
            reports = [report for report in self.reports.values() if report.suite == suite]
            unused, unheld = said.idle_gates(self.store.shown(self.store.path(suite)), idle, ran, reports)
            lines += unused
            left_out += unheld
        return lines, left_out
