"""One gate run: launches become sweeps, sweeps a comparison, a comparison verdicts; at the end baselines are written.

Invariant: each precision of a suite is measured once per run, for any number of tests. This module does not use pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pytest_precgate.analysis.accepted.addition import require_addable, require_baseline
from pytest_precgate.analysis.accepted.anchor import held_to_anchors
from pytest_precgate.analysis.accepted.baseline import Launch, Points, RecordedGate, priced_for, targets_at
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.latencies import MovedLatency, moved_latencies
from pytest_precgate.analysis.accepted.matching import JudgingContext, how_old, match_baseline
from pytest_precgate.analysis.accepted.remarks import days_told
from pytest_precgate.analysis.curves.comparison import Comparison
from pytest_precgate.analysis.curves.search import SweepTargets
from pytest_precgate.analysis.gating.gates import Gate
from pytest_precgate.analysis.gating.limits import LaunchPolicy
from pytest_precgate.analysis.gating.proposed_waivers import proposed
from pytest_precgate.analysis.gating.verdict import JudgedGate, Verdict
from pytest_precgate.analysis.gating.waiver import WaiverBook
from pytest_precgate.analysis.plan import Asked, SuitePlan
from pytest_precgate.analysis.report import Compared, GateReport, Outcome, Ran, RunReport
from pytest_precgate.baselines.store import BaselineStore, Stored
from pytest_precgate.errors import (
    PrecgateError,
    SweepMismatchError,
)
from pytest_precgate.journal.checks import NAME as CHECKS
from pytest_precgate.journal.checks import RunCheck, RunChecks, dump
from pytest_precgate.run.checked_gates import CheckedGates
from pytest_precgate.run.confirmation import Confirmation, not_confirmed
from pytest_precgate.run.evaluation import AgainstBaseline, GateEvaluation, InPairs, Recording
from pytest_precgate.run.launches import Launches
from pytest_precgate.run.planning import launch_side, plans_of, targets_of
from pytest_precgate.run.recording import is_newly_recorded, joins, launch_for_baseline, unmeasured
from pytest_precgate.run.state import PendingUpdate, RunState
from pytest_precgate.run.trends import with_history
from pytest_precgate.settings import Policy, Suite


@dataclass
class Gatekeeper:
    """The state of one run.

    ``clock`` gives UTC; ``commit`` and ``tool_version`` say what is being measured, ``launches`` measures it.
    ``waivers`` are the accepted regressions, ``asked`` the points of all tests, by suite; ``history`` is the
    file that takes a line per judged suite, None for none.
    """

    policy: Policy
    store: BaselineStore
    clock: Callable[[], datetime]
    commit: Callable[[], str]
    tool_version: str
    launches: Launches
    waivers: WaiverBook
    asked: Mapping[str, Sequence[Points]] = field(default_factory=dict)
    history: Path | None = None

    def __post_init__(self) -> None:
        self.state = RunState(
            self.policy,
            self.store,
            self.clock,
            self.commit,
            self.tool_version,
            self.launches,
            self.waivers,
        )

    # --- before tests run -----------------------------------------------------------------------------------------

    def plan(self, tests: Sequence[tuple[Suite, Asked]]) -> list[SuitePlan]:
        """Return what the tests of a suite would launch and cost. Nothing is run. Raises BaselineError."""
        baseline = self._sound(tests[0][0].name).baseline
        return plans_of(self.policy, tests, baseline, self.launches.root, self.sweep_targets)

    # --- while tests run ------------------------------------------------------------------------------------------

    def launch(self, suite: Suite, precision: str) -> Launch:
        """Return the launch of one precision, measuring it the first time it is asked for.

        Raises BaselineError, before anything is launched, for a baseline that nothing could be held against."""
        self.state.asked.add(suite.name)
        self._sound(suite.name)
        if self.policy.update or self.policy.update_new_only:
            self.store.refuse_unwritable()
        if self.policy.update_add:  # before anything is measured for nothing
            require_baseline(self.state.read(suite.base_name).baseline)
        if self.policy.paired_with is not None:
            launch_side(self.launches, suite, self.policy.paired_with, precision)
        elif suite.confirm_with is not None and not self.policy.update:
            self.launches.preflight(suite.beside(suite.confirm_with))  # found before hours of launches, not after
        return self.launches.of(suite, precision)

    def sweep_targets(self, suite: Suite, precision: str) -> SweepTargets:
        """Return what a launch is for: every point of ``suite``, or of the one it is a side of, that a test reads."""
        points, baseline = (
            (suite.points, *self.asked.get(suite.base_name, ())),
            self.state.read(suite.base_name).baseline,
        )
        return targets_of(
            self.launches, suite, precision, self.policy.paired_with, targets_at(points, baseline, precision)
        )

    def compare(self, suite: Suite, candidate: str, reference: str, test: str) -> Comparison:
        """Measure both precisions and compare them, candidate first."""
        first, second = (self.launch(suite, precision) for precision in (candidate, reference))
        pair = self.state.pairs.get(names := (suite.name, candidate, reference))
        if pair is None:
            if first.sweep.points == second.sweep.points:
                raise SweepMismatchError(
                    f"suite {suite.name}: {candidate} and {reference} hold the very same points; one file without a "
                    "precision column serves one precision"
                )
            price = suite.hardware, suite.cost
            pair = Comparison(first.curve(*price), second.curve(*price), suite.wording)
            self.state.pairs[names] = pair
        self.state.compared.append(Compared(suite.name, test, pair, suite.points or ()))
        return pair

    def check(self, suite: Suite, pair: Comparison, test: str) -> GateReport:
        """Hold every gate of ``pair`` against the suite's baseline and say what becomes of the test.

        Raises BaselineError for a baseline that cannot be read, PrecgateError for a comparison of other sweeps.
        """
        if not isinstance(pair, Comparison):
            raise PrecgateError(f"check() takes what precgate.compare() returned, got {type(pair).__name__}")
        launches = self._launches_behind(suite, pair)
        stored, side = self._sound(suite.name), self.policy.paired_with
        points = self._points(suite, pair, stored)
        candidate, reference = pair.curves
        gates = suite.gates_for(candidate, reference, points)
        now = {precision: launch.fingerprint for precision, launch in launches.items()}
        if self.policy.update_add:  # before further launches are measured for nothing
            joining = [gate.key for gate in gates if joins(gate, stored.baseline, test)]
            require_addable(stored.baseline, test, joining, now, self.state.version_of(suite.name))
        judged = self._judged(suite, gates, now, test)
        if not self.policy.update:
            _, known = self.state.judged.get(suite.name, (suite, ()))
            self.state.judged[suite.name] = suite, tuple(dict.fromkeys((*known, *now)))
        self.state.used.setdefault(suite.name, set()).update(RecordedGate(test, gate.key) for gate in gates)
        outcome = self._outcome(suite, pair, test, judged)
        notes = (*self._notes(suite, stored, now, judged), *unmeasured(judged))
        if outcome == "failed":
            notes += self.policy.unheeded({gate.verdict for gate in judged})
        against = self.store.shown(stored.path) if side is None else f"fresh launches of {side}"
        repeats = any(self.launches.can_repeat(suite, precision) for precision in pair.curves)
        rule = str(self.policy.launches(suite)) if repeats else ""
        waivers = proposed(suite.name, judged, self.waivers.day) if outcome == "failed" else ()
        kept = self.launches.kept(suite.name) or ""
        latencies = self._latencies(suite, pair, stored, judged) if outcome == "failed" and side is None else ()
        report = GateReport(
            *(suite.name, test, pair, points, tuple(judged), outcome, notes, against, rule, waivers, kept, latencies)
        )
        self.state.reports[(suite.name, test, "/".join(pair.curves))] = report
        self._note_check(suite, pair, test)
        return report

    def _note_check(self, suite: Suite, pair: Comparison, test: str) -> None:
        """Keep beside the journal how the check was judged, for ``precgate show``."""
        candidate, reference = pair.curves
        checks = self.state.noted.setdefault(suite.name, [])
        checks.append(RunCheck(test, candidate, reference, suite.points, suite.tolerances, suite.max_launches))
        policy = self.policy
        found = RunChecks(
            baselines=self.store.shown(self.store.directory),
            checks=checks,
            mismatch=policy.mismatch,
            launch_rule=policy.launch_rule,
            max_launches=policy.max_launches,
            paired_with=policy.paired_with,
        )
        self.launches.note(suite.name, CHECKS, dump(found))

    def _latencies(
        self, suite: Suite, pair: Comparison, stored: Stored, judged: Sequence[JudgedGate]
    ) -> tuple[MovedLatency, ...]:
        """The latencies of the precision whose gates failed, at the first point where one did."""
        lost = [each.gate.key for each in judged if not each.verdict.passes and each.change is not None]
        key = next((each for each in lost if not each.metric.is_ratio), lost[0] if lost else None)
        if key is None or stored.baseline is None:
            return ()
        curves = stored.baseline.at(priced_for(stored.baseline.launches, suite.hardware), suite.cost)
        return tuple(moved_latencies(curves, pair.curves, key.precisions[0], key.point))

    def _sound(self, suite: str) -> Stored:
        """Return the suite's baseline. Raises BaselineError when its values were edited, unless pairs are judged."""
        stored = self.state.read(suite)
        if self.policy.paired_with is None:
            stored.refuse_edited()
        return stored

    def _judged(
        self, suite: Suite, gates: Sequence[Gate], now: Mapping[str, Fingerprint], test: str
    ) -> list[JudgedGate]:
        """Judge the gates, launching what that takes.

        A gate whose baseline is being rewritten is not held against it, so nothing of it is waived.
        """
        judged: Sequence[JudgedGate] = self._evaluation(suite, gates, now, test).judge()
        paired = self.policy.paired_with is not None
        if self.policy.update and not paired:
            return list(judged)
        if not paired:
            judged = held_to_anchors(judged, self.state.read(suite.name).baseline, suite.hardware, suite.cost)
        waived = [self.waivers.apply(suite.name, each, of_baseline=not paired) for each in judged]
        return waived if paired else self._confirmed(suite, gates, now, test, waived)

    def _confirmed(
        self, suite: Suite, gates: Sequence[Gate], now: Mapping[str, Fingerprint], test: str, judged: list[JudgedGate]
    ) -> list[JudgedGate]:
        """Measure what regressed, or nearly did, beside the old state, where the suite says how to start it."""
        checked, baseline = CheckedGates(self.launches, suite, tuple(now), gates), self.state.read(suite.name).baseline
        if baseline is None or not checked.is_repeatable:
            return judged
        if suite.confirm_with is None:
            return not_confirmed(judged)
        matched = match_baseline(baseline, test, gates, self._today(suite, now))
        side, policy = suite.beside(suite.confirm_with), self.policy.launches(suite)
        confirmation = Confirmation(
            *(checked, side, baseline, matched, policy),
            screens=_screens(suite, policy),
            is_exempt=lambda gate: self.waivers.exempts(suite.name, gate),
            is_candidate=suite.is_confirmed_by_itself,
        )
        return list(confirmation.confirm(judged))

    def _evaluation(
        self, suite: Suite, gates: Sequence[Gate], now: Mapping[str, Fingerprint], test: str
    ) -> GateEvaluation:
        """How the gates are judged: in pairs, as they are recorded, or against the baseline."""
        checked, policy = CheckedGates(self.launches, suite, tuple(now), gates), self.policy.launches(suite)
        if self.policy.paired_with is not None:
            return InPairs(checked, suite.beside(self.policy.paired_with), policy)
        matched = match_baseline(self.state.read(suite.name).baseline, test, gates, self._today(suite, now))
        if self.policy.update:
            return Recording(checked, matched, policy)
        return AgainstBaseline(checked, matched, policy, _screens(suite, policy))

    def _today(self, suite: Suite, now: Mapping[str, Fingerprint]) -> JudgingContext:
        baseline = self.state.read(suite.name).baseline
        age_days = None if baseline is None else baseline.recorded.age_days(self.clock())
        warned = self.policy.mismatch == "warn"
        limits = suite.max_baseline_age_days, age_days, warned
        return JudgingContext(now, suite.hardware, suite.cost, *limits, suite.recorded)

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
            notes += () if self.policy.update else days_told(stored.baseline, judged)
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

    def _launches_behind(self, suite: Suite, pair: Comparison) -> Mapping[str, Launch]:
        """Return the launches whose sweeps a comparison holds."""
        measured = self.launches.measured(suite.name)
        behind = {precision: measured[precision][0] for precision in pair.curves if precision in measured}
        if any(
            precision not in behind or behind[precision].sweep != curve.sweep
            for precision, curve in pair.curves.items()
        ):
            raise PrecgateError(
                f"check() holds the sweeps measured for suite {suite.name!r} against its baseline; this comparison "
                "holds another sweep. Pass what precgate.compare() returned"
            )
        if any((curve.hardware, curve.cost) != (suite.hardware, suite.cost) for curve in pair.curves.values()):
            raise PrecgateError(
                f"check() holds suite {suite.name!r} at the price of its settings; this comparison has another "
                "hardware or cost. Pass what precgate.compare() returned"
            )
        return behind

    def _points(self, suite: Suite, pair: Comparison, stored: Stored) -> tuple[float, ...]:
        """The points to gate. Quartiles are the baseline's: a moving band would move every gate off its baseline."""
        baseline = stored.baseline
        known = () if baseline is None else baseline.precisions
        is_anew = self.policy.update and not self.policy.update_add
        if suite.points is None and baseline is not None and not is_anew and set(pair.curves) <= set(known):
            first, second = (baseline.launches_of(precision)[0] for precision in pair.curves)
            price = priced_for((first,), pair.hardware), pair.candidate.cost
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
        if may_record and verdicts <= {Verdict.MISSING}:
            baseline = self.state.read(suite.name).baseline
            new = [*failing, *(gate for gate in judged if is_newly_recorded(gate, baseline))]
            if new:
                self._record(suite, pair, test, new)
                return "added"
        if not failing and judged:
            return "passed"
        if not self.policy.in_ci and verdicts <= self.policy.skippable:
            return "skipped"
        return "failed"

    def _record(self, suite: Suite, pair: Comparison, test: str, judged: Sequence[JudgedGate]) -> None:
        baseline = None if self.policy.update else self.state.read(suite.name).baseline
        if self.policy.update_add:
            judged = [gate for gate in judged if joins(gate.gate, self.state.read(suite.name).baseline, test)]
        else:
            judged = [gate for gate in judged if not (gate.gate.record_only and gate.value is None)]
        keys, wanted = [gate.gate.key for gate in judged], self.policy.recorded_launches(suite)
        launch_for_baseline(self.launches, suite, baseline, keys, wanted)
        pending = self.state.pending.setdefault(suite.name, PendingUpdate(suite, pair))
        keys = pending.checked.setdefault(test, [])
        keys += [gate.gate.key for gate in judged if gate.gate.key not in keys]
        # By gate and not by metric: a mark has one test record what another test holds.
        pending.recorded |= {RecordedGate(test, gate.gate.key) for gate in judged if gate.gate.record_only}

    def finish(
        self, ran: Ran, *, configured: Collection[str] = (), cut_short: bool = False, interrupted: bool = False
    ) -> RunReport:
        """Write the baselines this run recorded and name what went unused.

        A run ``cut_short`` calls nothing unused and drops nothing; an ``interrupted`` one writes nothing. Suites of
        ``configured`` that nothing gates are named. A failed test's gates are neither recorded nor unused.
        """
        report = self.state.report(ran, configured, cut_short=cut_short, interrupted=interrupted)
        return report if self.history is None or interrupted else with_history(report, self.history, self.state)


def _screens(suite: Suite, policy: LaunchPolicy) -> bool:
    """Whether gates are screened: the old state can be started, and the best launch decides. A median would be held
    against the best launch of the old state."""
    return suite.confirm_with is not None and policy.takes_the_best
