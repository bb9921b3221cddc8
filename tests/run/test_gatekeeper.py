"""One gate run without pytest, engines or a clock: recorded points, a directory of baselines, tests that are names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from pytest_precgate.analysis.curves.comparison import compare
from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.analysis.curves.sweep import SweepPoint
from pytest_precgate.analysis.gating.gates import Metric
from pytest_precgate.analysis.gating.verdict import Verdict
from pytest_precgate.analysis.gating.waiver import Waiver, WaiverBook
from pytest_precgate.analysis.report import RunReport
from pytest_precgate.baselines.store import BaselineStore
from pytest_precgate.engines.recorded import RecordedEngine
from pytest_precgate.errors import PrecgateError, SweepMismatchError
from pytest_precgate.interop.export import points_csv
from pytest_precgate.run.gatekeeper import Gatekeeper
from pytest_precgate.run.launches import Launches
from pytest_precgate.settings import Policy, Suite
from tests.published import WORKLOAD, kimi

TEST = "test_kimi.py::test_fp4"
UPDATE = Policy(update=True, reason="a test")
LOWER = Policy(update=True, lower_anchor=True, reason="a test")


@dataclass
class Ran:
    """How the tests of a run went. Of the others those below ``pointed_at`` should have run."""

    seen: Collection[str] = (TEST,)
    failed: Collection[str] = ()
    xfailed: Collection[str] = ()
    narrowed: bool = False

    def holds(self, nodeid: str) -> bool:
        return nodeid in self.seen or not self.narrowed

    def includes(self, nodeid: str) -> bool:
        del nodeid
        return True


@dataclass
class Home:
    """A directory with recorded points and baselines, in which runs are made."""

    root: Path
    suite: Suite
    waivers: Sequence[Waiver] = field(default_factory=tuple)

    def keeper(self, policy: Policy = Policy()) -> Gatekeeper:  # noqa: B008  # it is frozen
        """A run of its own."""

        def nothing(*_: object) -> Any:
            raise AssertionError("recorded points are measured and kept by nobody")

        launches = Launches(self.root, nothing, {}, nothing, nothing)
        return Gatekeeper(
            policy,
            BaselineStore(self.root / "baselines", self.root),
            lambda: datetime(2026, 11, 24, 6, tzinfo=timezone.utc),
            lambda: "abc",
            "0.1.0",
            launches,
            WaiverBook(self.waivers, date(2026, 11, 24)),
        )

    def run(
        self,
        policy: Policy = Policy(),  # noqa: B008  # it is frozen
        ran: Ran | None = None,
        test: str = TEST,
        *,
        interrupted: bool = False,
    ) -> RunReport:
        """Compare and check in one test, and finish."""
        keeper = self.keeper(policy)
        keeper.check(self.suite, keeper.compare(self.suite, "fp4", "int4", test), test)
        return keeper.finish(ran or Ran(), interrupted=interrupted)

    def write(self, change: Callable[[SweepPoint], SweepPoint] = lambda point: point) -> None:
        """Write the points, those of FP4 changed."""
        for name in ("fp4", "int4"):
            sweep = kimi(name)
            points = [change(point) if name == "fp4" else point for point in sweep.points]
            (self.root / f"{name}.csv").write_text(points_csv([replace(sweep, points=points)], ()), encoding="utf-8")


def slower(point: SweepPoint) -> SweepPoint:
    """8% less throughput at the same interactivity."""
    return replace(point, throughput_per_gpu=0.92 * point.throughput_per_gpu)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Recorded points without a baseline."""
    engines = {name: (RecordedEngine((f"{name}.csv",), tmp_path),) for name in ("fp4", "int4")}
    made = Home(tmp_path, Suite("kimi", HARDWARE["b200"], WORKLOAD, (55.0, 73.0), engines))
    made.write()
    return made


@pytest.fixture
def accepted(home: Home) -> Home:
    """The same with their baseline."""
    home.run(UPDATE)
    return home


def verdicts(report: RunReport) -> set[Verdict]:
    return {gate.verdict for check in report.checks for gate in check.judged}


def test_what_was_recorded_passes(home: Home) -> None:
    """The file is written once, and the same points are then no change."""
    [update] = home.run(UPDATE).updates
    assert (update.outcome, update.path) == ("written", "baselines/kimi.json")
    report = home.run()
    assert ([check.outcome for check in report.checks], verdicts(report)) == (["passed"], {Verdict.PASS})
    assert report.problems == ()
    assert [each.outcome for each in home.run(UPDATE).updates] == ["unchanged"]


def test_without_a_baseline_a_check_fails(home: Home) -> None:
    """Missing is no pass, and nothing is written."""
    report = home.run()
    assert ([check.outcome for check in report.checks], verdicts(report)) == (["failed"], {Verdict.MISSING})
    assert report.updates == ()


def test_a_slower_precision_fails(accepted: Home) -> None:
    """Its ratio and its own figures, not those of the other."""
    accepted.write(slower)
    [check] = accepted.run(ran=Ran(failed=(TEST,))).checks
    failed = {gate.gate.key.quantity.split()[0] for gate in check.failing}
    assert (check.outcome, failed) == ("failed", {"fp4/int4", "fp4"})


def test_a_comparison_is_checked_by_its_sweeps(accepted: Home) -> None:
    """``pytest_precgate.compare`` of the sweeps of this run is as good as ``precgate.compare``, either way round."""
    keeper = accepted.keeper()
    pair = keeper.compare(accepted.suite, "fp4", "int4", TEST)
    made = compare(pair.candidate.sweep, pair.reference.sweep)
    assert made is not pair
    assert keeper.check(accepted.suite, made, TEST).outcome == "passed"
    turned = keeper.check(accepted.suite, compare(pair.reference.sweep, pair.candidate.sweep), TEST)
    assert {gate.verdict for gate in turned.judged} == {Verdict.PASS, Verdict.MISSING}


def test_a_comparison_of_what_this_run_did_not_measure_is_refused(accepted: Home) -> None:
    """Equal sweeps of an earlier run, other points, another price: each with its cause."""
    keeper = accepted.keeper()
    made = compare(kimi("fp4"), kimi("int4"))
    with pytest.raises(PrecgateError, match=r"holds another sweep\. Pass what precgate\.compare\(\) returned"):
        keeper.check(accepted.suite, made, TEST)
    pair = keeper.compare(accepted.suite, "fp4", "int4", TEST)
    fewer = replace(pair.candidate.sweep, points=pair.candidate.sweep.points[1:])
    with pytest.raises(PrecgateError, match="holds another sweep"):
        keeper.check(accepted.suite, compare(fewer, pair.reference.sweep), TEST)
    dear = replace(HARDWARE["b200"], price_per_gpu_hour=19.5)
    with pytest.raises(PrecgateError, match="this comparison has another hardware or cost"):
        keeper.check(accepted.suite, compare(pair.candidate.sweep, pair.reference.sweep, hardware=dear), TEST)


def test_one_file_for_two_precisions_is_refused(home: Home) -> None:
    """Their ratio would be one everywhere."""
    engine = RecordedEngine(("fp4.csv",), home.root)
    text = (home.root / "fp4.csv").read_text(encoding="utf-8")
    (home.root / "fp4.csv").write_text(text + "".join(_as_int4(text)), encoding="utf-8")
    home.suite = replace(home.suite, engines={"fp4": (engine,), "int4": (engine,)})
    with pytest.raises(SweepMismatchError, match="hold the very same points"):
        home.run()


def _as_int4(text: str) -> list[str]:
    return [line.replace("fp4,", "int4,", 1) for line in text.splitlines(keepends=True) if line.startswith("fp4,")]


def test_a_waiver_lets_a_regression_pass_and_changes_no_recording(accepted: Home) -> None:
    """A gate whose baseline is being rewritten is not held, so nothing of it is waived."""
    accepted.write(slower)
    metrics = (Metric.THROUGHPUT_RATIO, Metric.COST_RATIO, Metric.THROUGHPUT_PER_GPU, Metric.COST)
    accepted.waivers = [
        Waiver("kimi", metric, (point,), 0.1, "known", date(2026, 12, 1))
        for metric in metrics
        for point in (55.0, 73.0)
    ]
    report = accepted.run()
    assert ([check.outcome for check in report.checks], Verdict.WAIVED in verdicts(report)) == (["passed"], True)
    again = accepted.run(LOWER)
    assert Verdict.WAIVED not in verdicts(again)
    assert [each.outcome for each in again.updates] == ["written"]


def test_a_gate_its_test_did_not_hold_is_a_problem(accepted: Home) -> None:
    """Unless the run was narrowed by a person, which is told and fails nothing."""
    keeper = accepted.keeper()
    [unused] = keeper.finish(Ran(seen=()), configured=["kimi"]).problems
    assert TEST in unused
    report = accepted.keeper().finish(Ran(seen=(), narrowed=True), configured=["kimi"])
    assert (report.problems, len(report.warnings)) == ((), 1)
    assert accepted.keeper().finish(Ran(seen=()), configured=["kimi"], cut_short=True).problems == ()


@pytest.mark.parametrize(
    ("ran", "interrupted", "why"),
    [
        (Ran(failed=(TEST,)), False, f"tests that gate it failed: {TEST}"),
        (Ran(xfailed=(TEST,)), False, f"tests that gate it failed: {TEST}"),
        (Ran(), True, "the run was interrupted"),
    ],
    ids=["failed", "xfailed", "interrupted"],
)
def test_a_run_that_did_not_end_well_records_nothing(home: Home, ran: Ran, interrupted: bool, why: str) -> None:
    """And says so as a problem."""
    report = home.run(UPDATE, ran, interrupted=interrupted)
    assert [(each.outcome, each.reason) for each in report.updates] == [("refused", why)]
    assert any(why in line for line in report.problems)
    assert not (home.root / "baselines").exists()


def test_a_worse_baseline_wants_a_reason(accepted: Home) -> None:
    """Without one the old file stays, byte for byte; far below the anchor also without the flag for that."""
    accepted.write(slower)
    before = (accepted.root / "baselines" / "kimi.json").read_bytes()
    [refused] = accepted.run(Policy(update=True)).updates
    assert refused.outcome == "refused"
    assert "easier to pass" in refused.reason
    assert (accepted.root / "baselines" / "kimi.json").read_bytes() == before
    [sunk] = accepted.run(UPDATE).updates
    assert (sunk.outcome, "worse than its anchor" in sunk.reason) == ("refused", True)
    assert (accepted.root / "baselines" / "kimi.json").read_bytes() == before
    [written] = accepted.run(LOWER).updates
    assert written.outcome == "written"


def test_gates_of_a_new_test_are_added_and_the_others_held(accepted: Home) -> None:
    """With --precgate-update-new-only, on the points that are there."""
    policy, other = Policy(update_new_only=True), "test_kimi.py::test_other"
    [check] = accepted.run(policy, Ran(seen=(TEST, other)), other).checks
    assert check.outcome == "added"
    held = accepted.run(ran=Ran(seen=(TEST, other)), test=other)
    assert [each.outcome for each in held.checks] == ["passed"]


def test_a_failed_check_whose_test_passes_is_a_problem(accepted: Home) -> None:
    """A swallowed failure is no waiver."""
    accepted.write(slower)
    [problem] = accepted.run(ran=Ran()).problems
    assert "failed and the test did not" in problem
    assert accepted.run(ran=Ran(failed=(TEST,))).problems == ()
