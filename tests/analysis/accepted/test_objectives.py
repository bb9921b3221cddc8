"""A goodput of another objective is another measurement: not compared with it, anchored at it, or added to it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_precgate.analysis.accepted.addition import plan_addition
from pytest_precgate.analysis.accepted.baseline import Baseline, Launch, Provenance
from pytest_precgate.analysis.accepted.update import Measured, plan_rewrite
from pytest_precgate.analysis.curves.details import PointDetails, Slo
from pytest_precgate.analysis.gating.gates import GateKey, Metric
from pytest_precgate.analysis.gating.verdict import Absent, Verdict
from pytest_precgate.errors import UnlikeBaselineError
from tests.builders.baselines import B200, FP4, TEST, launch, scaled
from tests.published import kimi

GOODPUT = GateKey(Metric.GOODPUT, ("fp4",), 55)
LATER = Provenance("def456", "2026-12-01T06:00:00Z", "0.1.0", "later")
STRICT, LAX = Slo(0.5, 0.02), Slo(1.0, 0.02)


def counted(slo: Slo, goodput: float, factor: float = 1.0) -> Launch:
    details = PointDetails(goodput=goodput, slo_ttft_s=slo.ttft_s, slo_tpot_s=slo.tpot_s)
    sweep = scaled(kimi("fp4"), factor)
    return launch(replace(sweep, points=[replace(point, details=details) for point in sweep.points]), "endpoint")


def measured(slo: Slo, goodput: float, factor: float = 1.0, *, adds: bool = False) -> Measured:
    launches = {"fp4": [counted(slo, goodput, factor)]}
    return Measured("kimi", launches, {TEST: [FP4, GOODPUT]}, B200, "derived", adds=adds)


@pytest.fixture
def strict() -> Baseline:
    return plan_rewrite(None, measured(STRICT, 2.0), LATER, ()).baseline


def test_a_goodput_of_another_objective_is_not_compared(strict: Baseline) -> None:
    """It was measured, so nothing is to be measured again; under the same objective it has a value."""
    served = strict.at(B200, "derived").served(GOODPUT)
    other = served.read({"fp4": counted(LAX, 3.0).curve(B200, "derived")})
    assert isinstance(other, Absent)
    assert other.verdict is Verdict.INCONCLUSIVE
    assert other.reason == (
        "goodput of fp4 was counted under a ttft of 1000 ms and a tpot of 20 ms, the baseline's under a ttft of 500 ms "
        "and a tpot of 20 ms"
    )
    same = served.read({"fp4": counted(STRICT, 1.0).curve(B200, "derived")})
    assert not isinstance(same, Absent)
    assert same.value == pytest.approx(1.0)


def test_a_goodput_of_another_objective_is_anchored_anew_and_nothing_else_is(strict: Baseline) -> None:
    """With a reason: the anchor of the old objective says nothing of the new one, in either direction."""
    plan = plan_rewrite(strict, measured(LAX, 3.0), LATER, ())
    assert set(plan.renewed) == {GOODPUT}
    assert "fp4: slo is a ttft of 1000 ms and a tpot of 20 ms, the baseline's is a ttft of 500 ms" in plan.needs_reason
    assert plan_rewrite(strict, measured(STRICT, 3.0), LATER, ()).renewed == {}


def test_launches_of_another_objective_are_not_added(strict: Baseline) -> None:
    """The goodput of one state would scatter for the objective alone."""
    assert len(plan_addition(strict, measured(STRICT, 2.1, 1.001, adds=True), LATER).baseline.launches) == 2
    with pytest.raises(UnlikeBaselineError, match="fp4: slo is a ttft of 1000 ms"):
        plan_addition(strict, measured(LAX, 2.1, 1.001, adds=True), LATER)
