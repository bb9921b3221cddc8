"""One gate run: launches become sweeps, sweeps a comparison, a comparison verdicts; at the end baselines are written.

Each precision of a suite is measured once per run, however many tests use it. Nothing here knows pytest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from pytest_precgate.analysis import report as said
from pytest_precgate.analysis.accepted.baseline import UTC_FORMAT, Launch, Points, Provenance, RecordedGate, targets_at
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.matching import JudgingContext, how_old, match_baseline
from pytest_precgate.analysis.accepted.update import Measured, PlannedUpdate, plan_additions, plan_rewrite
from pytest_precgate.analysis.curves.comparison import Comparison
from pytest_precgate.analysis.curves.search import SweepTargets
from pytest_precgate.analysis.gating.gates import Gate, GateKey
from pytest_precgate.analysis.gating.verdict import JudgedGate, Verdict
from pytest_precgate.analysis.gating.waiver import WaiverBook
from pytest_precgate.analysis.plan import Asked, SuitePlan
from pytest_precgate.analysis.report import BaselineUpdate, Compared, GateReport, Outcome, Ran, RunReport
from pytest_precgate.baselines.store import BaselineStore, Stored
from pytest_precgate.errors import (
    BaselineError,
    EasierGateError,
    InvalidValueError,
    OutsideSweepError,
    PrecgateError,
    SweepMismatchError,
)
from pytest_precgate.run.evaluation import GateEvaluation
from pytest_precgate.run.launches import Launches
from pytest_precgate.run.planning import launch_side, plans_of, targets_of
from pytest_precgate.run.recording import launch_for_baseline
from pytest_precgate.settings import Policy, Suite


@dataclass
class _Pending:
    """What a suite's baseline is to become: the suite and its gates by test."""

    suite: Suite
    comparison: Comparison
    checked: dict[str, list[GateKey]] = field(default_factory=dict)


@dataclass
class Gatekeeper:
    """The state of one run.

    ``clock`` gives UTC; ``commit`` and ``tool_version`` say what is being measured, ``launches`` measures it.
    ``waivers`` are the regressions somebody agreed to, ``asked`` the points of all tests, by suite.
    """

    policy: Policy
    store: BaselineStore
    clock: Callable[[], datetime]
    commit: Callable[[], str]
    tool_version: str
    launches: Launches
    waivers: WaiverBook
    asked: Mapping[str, Sequence[Points]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._stored: dict[str, Stored] = {}
        self._compared: list[Compared] = []
        self._reports: dict[tuple[str, str, str], GateReport] = {}
        self._pending: dict[str, _Pending] = {}
        self._used: dict[str, set[RecordedGate]] = {}
        self._pairs: dict[tuple[str, str, str], Comparison] = {}

    # --- before tests run -----------------------------------------------------------------------------------------

    def plan(self, tests: Sequence[tuple[Suite, Asked]]) -> list[SuitePlan]:
        """Return what the tests of a suite would launch and cost. Nothing is run. Raises BaselineError."""
        baseline = self._read(tests[0][0].name).baseline
        return plans_of(self.policy, tests, baseline, self.launches.root, self.sweep_targets)

    # --- while tests run ------------------------------------------------------------------------------------------

    def launch(self, suite: Suite, precision: str) -> Launch:
        """Return the launch of one precision, measuring it the first time it is asked for."""
        if self.policy.update or self.policy.update_new_only:
            self.store.refuse_unwritable()
        if self.policy.paired_with is not None:
            launch_side(self.launches, suite, self.policy.paired_with, precision)
        return self.launches.of(suite, precision)

    def sweep_targets(self, suite: Suite, precision: str) -> SweepTargets:
        """Return what a launch is for: every point of ``suite``, or of the one it is a side of, that a test reads."""
        points, baseline = (suite.points, *self.asked.get(suite.base_name, ())), self._read(suite.base_name).baseline
        return targets_of(
            self.launches, suite, precision, self.policy.paired_with, targets_at(points, baseline, precision)
        )

    def compare(self, suite: Suite, candidate: str, reference: str, test: str) -> Comparison:
        """Measure both precisions and compare them, candidate first."""
        first, second = (self.launch(suite, precision) for precision in (candidate, reference))
        pair = self._pairs.get(names := (suite.name, candidate, reference))
        if pair is None:
            if first.sweep.points == second.sweep.points:
                raise SweepMismatchError(
                    f"suite {suite.name}: {candidate} and {reference} hold the very same points; one file without a "
                    "precision column serves one precision"
                )
            price = suite.hardware, suite.cost
            pair = self._pairs[names] = Comparison(first.curve(*price), second.curve(*price))
        self._compared.append(Compared(suite.name, test, pair, suite.points or ()))
        return pair

    def check(self, suite: Suite, pair: Comparison, test: str) -> GateReport:
        """Hold every gate of ``pair`` against the suite's baseline and say what becomes of the test.

        Raises BaselineError for a baseline that cannot be read, PrecgateError for a comparison of other sweeps.
        """
        if not isinstance(pair, Comparison):
            raise PrecgateError(f"check() takes what precgate.compare() returned, got {type(pair).__name__}")
        launches = {precision: self._launch_behind(suite, curve.sweep) for precision, curve in pair.curves.items()}
        stored = self._read(suite.name)
        side = self.policy.paired_with
        if side is None:
            stored.refuse_edited()
        points = self._points(suite, pair, stored)
        candidate, reference = pair.curves
        gates = suite.gates_for(candidate, reference, points)
        now = {precision: launch.fingerprint for precision, launch in launches.items()}
        judged = self._judged(suite, gates, now, test)
        self._used.setdefault(suite.name, set()).update(RecordedGate(test, gate.key) for gate in gates)
        outcome = self._outcome(suite, pair, test, judged)
        notes = self._notes(suite, stored, now, judged)
        if outcome == "failed":
            notes += self.policy.unheeded({gate.verdict for gate in judged})
        against = self.store.shown(stored.path) if side is None else f"fresh launches of {side}"
        repeats = any(self.launches.can_repeat(suite, precision) for precision in pair.curves)
        rule = str(self.policy.launches(suite)) if repeats else ""
        report = GateReport(suite.name, test, pair, points, tuple(judged), outcome, notes, against, rule)
        self._reports[(suite.name, test, "/".join(pair.curves))] = report
        return report

    def _judged(
        self, suite: Suite, gates: Sequence[Gate], now: Mapping[str, Fingerprint], test: str
    ) -> list[JudgedGate]:
        """Judge the gates, launching what that takes.

        A gate whose baseline is being rewritten is not held against it, so nothing of it is waived.
        """
        trial = GateEvaluation(self.launches, suite, tuple(now), gates)
        policy = self.policy.launches(suite)
        baseline = self._read(suite.name).baseline
        today = self._today(suite, now)
        if self.policy.paired_with is not None:
            judged = trial.beside(suite.beside(self.policy.paired_with), policy)
        elif self.policy.update:
            return list(trial.recorded(match_baseline(baseline, test, gates, today), policy))
        else:
            judged = trial.against(match_baseline(baseline, test, gates, today), policy)
        paired = self.policy.paired_with is not None
        return [self.waivers.apply(suite.name, each, of_baseline=not paired) for each in judged]

    def _today(self, suite: Suite, now: Mapping[str, Fingerprint]) -> JudgingContext:
        baseline = self._read(suite.name).baseline
        age_days = None if baseline is None else baseline.recorded.age_days(self.clock())
        warned = self.policy.mismatch == "warn"
        return JudgingContext(now, suite.hardware, suite.cost, suite.max_baseline_age_days, age_days, warned)

    def _notes(
        self, suite: Suite, stored: Stored, now: Mapping[str, Fingerprint], judged: Sequence[JudgedGate]
    ) -> tuple[str, ...]:
        notes: tuple[str, ...] = ()
        if stored.baseline is not None and self.policy.paired_with is None:
            if self.policy.mismatch == "warn":
                today = self._today(suite, now)
                doubts = [*stored.baseline.mismatches(now, list(now))]
                doubts += [how_old(stored.baseline, today)] if today.is_too_old else []
                notes = tuple(f"judged all the same: {line}" for line in doubts)
            notes += stored.baseline.drifts(now)
            notes += stored.baseline.repeated({name: self.launches.measured(suite.name)[name][0] for name in now})
        if self.policy.paired_with is not None:
            beside = self.launches.measured(suite.beside(self.policy.paired_with).name)
            whose = f"{self.policy.paired_with}'s"
            notes = tuple(
                f"{precision}: {line}"
                for precision, (first, *_) in beside.items()
                if precision in now  # another test's check may have launched a third
                for line in now[precision].unlike(first.fingerprint, whose)
            )
        elif suite.paired and any(each.verdict is Verdict.MISMATCH for each in judged):
            sides = "|".join(suite.paired)
            notes += (f"to judge all the same, launch the old state as well: --precgate-paired-with={sides}",)
        used = max((each.evidence.launches for each in judged if each.evidence is not None), default=1)
        return (*notes, f"the comparison shows the first of {used} launches") if used > 1 else notes

    def _launch_behind(self, suite: Suite, sweep: object) -> Launch:
        for launch, *_ in self.launches.measured(suite.name).values():
            if launch.sweep == sweep:
                return launch
        raise PrecgateError(
            f"check() holds the sweeps measured for suite {suite.name!r} against its baseline; this comparison holds "
            "another sweep. Pass what precgate.compare() returned"
        )

    def _read(self, suite: str) -> Stored:
        if suite not in self._stored:
            self._stored[suite] = self.store.read(suite)
        return self._stored[suite]

    def _points(self, suite: Suite, pair: Comparison, stored: Stored) -> tuple[float, ...]:
        """The points to gate. Quartiles are the baseline's: a moving band would move every gate off its baseline."""
        baseline = stored.baseline
        known = () if baseline is None else baseline.precisions
        if suite.points is None and baseline is not None and not self.policy.update and set(pair.curves) <= set(known):
            first, second = (baseline.launches_of(precision)[0] for precision in pair.curves)
            price = replace(pair.hardware, name=first.sweep.hardware), pair.candidate.cost
            return suite.points_for(Comparison(first.curve(*price), second.curve(*price)))
        return suite.points_for(pair)

    def _outcome(self, suite: Suite, pair: Comparison, test: str, judged: Sequence[JudgedGate]) -> Outcome:
        """What becomes of a check. A gate that could not be measured fails it under every policy."""
        failing = [gate for gate in judged if not gate.verdict.passes]
        verdicts = {gate.verdict for gate in failing}
        if self.policy.update:
            if Verdict.INCONCLUSIVE in verdicts:
                return "failed"
            self._record(suite, pair, test, judged)
            return "recorded"
        may_record = self.policy.update_new_only or (self.policy.missing == "create" and not self.policy.in_ci)
        if may_record and verdicts == {Verdict.MISSING}:
            self._record(suite, pair, test, failing)
            return "added"
        if not failing and judged:
            return "passed"
        if not self.policy.in_ci and verdicts <= self.policy.skippable:
            return "skipped"
        return "failed"

    def _record(self, suite: Suite, pair: Comparison, test: str, judged: Sequence[JudgedGate]) -> None:
        baseline = None if self.policy.update else self._read(suite.name).baseline
        launch_for_baseline(self.launches, suite, baseline, [gate.gate.key for gate in judged])
        pending = self._pending.setdefault(suite.name, _Pending(suite, pair))
        keys = pending.checked.setdefault(test, [])
        keys += [gate.gate.key for gate in judged if gate.gate.key not in keys]

    # --- when the tests are done ----------------------------------------------------------------------------------

    def finish(
        self, ran: Ran, *, configured: Collection[str] = (), cut_short: bool = False, interrupted: bool = False
    ) -> RunReport:
        """Write the baselines this run recorded and name what went unused.

        A run ``cut_short`` calls nothing unused and drops nothing; an ``interrupted`` one writes nothing. Suites of
        ``configured`` that nothing gates are named. A failed test's gates are neither recorded nor unused.
        """
        updates = [
            self._write(pending, ran, cut_short=cut_short, interrupted=interrupted)
            for pending in self._pending.values()
        ]
        problems = [f"{update.path}: not written: {update.reason}" for update in updates if update.outcome == "refused"]
        problems += self._hidden(ran.failed)
        warnings = list(self.launches.remarks())
        unused = "warn" if self.policy.unused == "ignore" and self.policy.in_ci else self.policy.unused
        whole = () if cut_short or self.policy.update else configured
        problems += self.waivers.problems(whole)
        if not cut_short and unused != "ignore":
            lines, left_out = self._unused(ran)
            lines += self._ungated_suites(configured)
            (problems if unused == "fail" else warnings).extend(lines)
            warnings += left_out
        return RunReport(
            checks=tuple(self._reports.values()),
            compared=self._ungated(ran.failed),
            updates=tuple(updates),
            problems=tuple(problems),
            warnings=tuple(warnings),
            costs=self.launches.costs(),
        )

    def _ungated_suites(self, configured: Collection[str]) -> list[str]:
        """Name every configured suite that has no baseline and that no test checked."""
        known = {*self.store.suites(configured), *(report.suite for report in self._reports.values())}
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
            for report in self._reports.values()
            if report.outcome == "failed" and report.test not in failed
        ]

    def _ungated(self, failed: Collection[str]) -> tuple[Compared, ...]:
        gated = {(report.suite, report.comparison) for report in self._reports.values()}
        seen: dict[tuple[str, Comparison], Compared] = {}
        for made in self._compared:
            if (made.suite, made.comparison) not in gated:
                seen.setdefault((made.suite, made.comparison), replace(made, failed=made.test in failed))
        return tuple(seen.values())

    def _write(self, pending: _Pending, ran: Ran, *, cut_short: bool, interrupted: bool) -> BaselineUpdate:
        suite, stored = pending.suite.name, self._stored[pending.suite.name]
        path = self.store.shown(stored.path)
        old_tests = set() if stored.baseline is None else {gate.test for gate in stored.baseline.gates}
        unsound = sorted({*pending.checked, *old_tests} & {*ran.failed, *ran.xfailed})
        if interrupted or unsound:
            why = "the run was interrupted" if interrupted else f"tests that gate it failed: {', '.join(unsound)}"
            return BaselineUpdate(suite, path, "refused", reason=why)
        try:
            stale = set() if cut_short else {test for test in old_tests if ran.holds(test)} - {*ran.seen}
            plan = self._plan(pending, stale)
            self._refuse_split_quartiles(pending, plan)
            if not plan.is_change:
                return BaselineUpdate(suite, path, "unchanged", plan.changes)
            self._refuse_lowered(plan)
            self.store.write(plan.baseline, stored)
        except (BaselineError, InvalidValueError, OutsideSweepError) as exc:
            return BaselineUpdate(suite, path, "refused", reason=str(exc))
        return BaselineUpdate(suite, path, "written", plan.changes, self.policy.reason)

    def _refuse_split_quartiles(self, pending: _Pending, plan: PlannedUpdate) -> None:
        """Quartiles move with the points: gates of tests that were not run would be left at the old ones."""
        points = {key.point for keys in pending.checked.values() for key in keys}
        left = sorted({gate.test for gate in plan.baseline.gates if gate.key.point not in points} - {*pending.checked})
        if pending.suite.points is None and left and self.policy.update:
            raise BaselineError(
                f"its quartile points moved, and {', '.join(left)} gates the old ones: update them together"
            )

    def _plan(self, pending: _Pending, stale: set[str]) -> PlannedUpdate:
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
        )
        utc = self.clock().astimezone(timezone.utc).strftime(UTC_FORMAT)
        recorded = Provenance(self.commit(), utc, self.tool_version, self.policy.reason)
        replayed = self.launches.origin(suite.name)
        if replayed is not None:  # a baseline says where its figures come from, not when they were looked at again
            recorded = replace(recorded, commit=replayed.commit, utc=replayed.utc, tool_version=replayed.tool_version)
        old = self._stored[suite.name].baseline
        if self.policy.update:
            return plan_rewrite(old, measured, recorded, stale)
        return plan_additions(old, measured, recorded)

    def _refuse_lowered(self, plan: PlannedUpdate) -> None:
        if not plan.lowered or self.policy.reason.strip():
            return
        lowered = ", ".join(str(change.gate.key) for change in plan.lowered[:3])
        more = f" and {len(plan.lowered) - 3} more" if len(plan.lowered) > 3 else ""
        raise EasierGateError(
            f"it would make {lowered}{more} easier to pass; if that is meant, say why with --precgate-reason TEXT. The "
            "baseline is left as it was"
        )

    def _unused(self, ran: Ran) -> tuple[list[str], list[str]]:
        """Name the stored gates their tests should have held and did not; then those a narrowed run left out."""
        lines, left_out = [], []
        for suite in self.store.suites(self._stored):
            if self.policy.update and suite in self._pending:
                continue
            try:
                baseline = self._read(suite).baseline
            except BaselineError as exc:
                lines.append(str(exc))
                continue
            used = self._used.get(suite, set())
            idle = [] if baseline is None else [gate for gate in baseline.gates if gate not in used]
            unused, unheld = said.idle_gates(self.store.shown(self.store.path(suite)), idle, ran)
            lines += unused
            left_out += unheld
        return lines, left_out
