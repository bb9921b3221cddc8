"""Which launches may join a baseline, and what is said of those that may not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from pytest_precgate.analysis.accepted.addition import plan_addition
from pytest_precgate.analysis.accepted.baseline import Baseline, Launch, Provenance
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.origin import LaunchOrigin
from pytest_precgate.analysis.accepted.remarks import days_told, remarks
from pytest_precgate.analysis.accepted.update import Measured, PlannedUpdate, plan_rewrite
from pytest_precgate.analysis.gating.gates import GateKey
from pytest_precgate.analysis.gating.verdict import Evidence, JudgedGate, Verdict
from pytest_precgate.errors import UnlikeBaselineError
from tests.builders.baselines import B200, FP4, RATIO, TEST, scaled
from tests.builders.gates import gate
from tests.published import kimi

LATER = Provenance("def456", "2026-12-01T06:00:00Z", "0.1.0", "")
SOFT = {"engine_version": "1.2.0", "commit": "abc"}


def fresh(precision: str, factor: float, day: int = 24, soft: Mapping[str, str] = SOFT, engine: str = "vllm") -> Launch:
    sweep = scaled(kimi(precision), factor)
    origin = LaunchOrigin(f"2026-11-{day}T06:00:00Z", f"node{day}")
    return Launch(sweep, Fingerprint.of(sweep, (engine,), soft), (), origin, is_repeatable=engine != "recorded")


def two(day: int, factor: float = 1.0, **more: object) -> dict[str, list[Launch]]:
    """Two launches of each precision, of one day."""
    return {
        name: [fresh(name, factor * each, day, **more) for each in (1.0, 1.002)]  # type: ignore[arg-type]
        for name in ("fp4", "int4")
    }


def measured(launches: Mapping[str, Sequence[Launch]], keys: Sequence[GateKey] = (RATIO, FP4)) -> Measured:
    return Measured("kimi", launches, {TEST: list(keys)}, B200, "derived", adds=True)


def old() -> Baseline:
    return plan_rewrite(None, replace(measured(two(24)), adds=False), LATER, ()).baseline


def added(launches: Mapping[str, Sequence[Launch]], keys: Sequence[GateKey] = (RATIO, FP4)) -> PlannedUpdate:
    return plan_addition(old(), measured(launches, keys), replace(LATER, utc="2026-12-02T06:00:00Z"))


def test_launches_of_another_day_and_commit_join_the_others() -> None:
    """In order, so that the new ones of one precision are compared with the new ones of the other."""
    plan = added(two(25, 1.001, soft={**SOFT, "commit": "def"}))
    times = [(launch.sweep.precision, launch.origin.utc) for launch in plan.baseline.launches]
    assert times == [(name, f"2026-11-{day}T06:00:00Z") for name in ("fp4", "int4") for day in (24, 24, 25, 25)]
    assert plan.remarks == ()
    assert plan.baseline.gates == old().gates
    assert plan.baseline.history == (old().recorded,)
    assert len(plan.baseline.noises(B200, "derived")) == 2
    assert plan.is_change


@pytest.mark.parametrize(
    ("launches", "keys", "why"),
    [
        (
            two(25, 1.001, engine="trtllm"),
            (RATIO, FP4),
            "another state: fp4: engine is trtllm, the baseline's is vllm; ",
        ),
        (
            two(25, 1.001, soft={"engine_version": "1.3.0"}),
            (RATIO, FP4),
            "of another state: fp4: engine_version is 1.3.0, the baseline's is 1.2.0; int4: engine_version is 1.3.0",
        ),
        (
            two(25, 1.001),
            (RATIO, FP4, replace(FP4, point=73.0)),
            "gates are others: the baseline has no gate fp4 thr",
        ),
        (two(25, 1.001), (RATIO,), "its gates are others: .*test_fp4_pays_off no longer checks fp4 throughput_per_gpu"),
        (two(24), (RATIO, FP4), "launch 1 of fp4 is in the baseline already: measure again"),
        ({"fp4": two(25, 1.001)["fp4"]}, (RATIO, FP4), "int4 was not measured: run every test of the suite"),
        (
            {**two(25, 1.001), "int4": two(25, 1.001)["int4"][:1]},
            (RATIO, FP4),
            "this run holds 2 of fp4, 1 of int4: they could not be compared in turn; record the suite anew",
        ),
    ],
)
def test_launches_of_another_state_are_refused_by_name(
    launches: Mapping[str, Sequence[Launch]], keys: Sequence[GateKey], why: str
) -> None:
    """Mixed, they would be the noise of neither."""
    with pytest.raises(UnlikeBaselineError, match=why):
        added(launches, keys)


def test_another_version_of_this_tool_and_no_baseline_are_refused() -> None:
    """It may measure otherwise; and there must be something to add to."""
    with pytest.raises(
        UnlikeBaselineError, match=r"pytest-precgate is 0\.2\.0, the baseline's is 0\.1\.0; record the suite"
    ):
        plan_addition(old(), measured(two(25, 1.001)), replace(LATER, tool_version="0.2.0"))
    with pytest.raises(UnlikeBaselineError, match="there is no baseline to add launches to; record one with"):
        plan_addition(None, measured(two(25, 1.001)), LATER)


def test_recorded_points_stand_beside_the_launches_of_the_other_precision() -> None:
    """They are one launch, and stay that; others than the baseline's are refused, and nothing but them adds nothing."""
    read = {"int4": [fresh("int4", 1.0, engine="recorded")]}
    first = {"fp4": two(24)["fp4"], **read}
    base = plan_rewrite(None, replace(measured(first), adds=False), LATER, ()).baseline
    plan = plan_addition(base, measured({"fp4": two(25, 1.001)["fp4"], **read}), LATER)
    assert [launch.sweep.precision for launch in plan.baseline.launches] == ["fp4"] * 4 + ["int4"]
    other = {"fp4": two(25, 1.001)["fp4"], "int4": [fresh("int4", 0.9, engine="recorded")]}
    with pytest.raises(UnlikeBaselineError, match="the recorded points of int4 are not the baseline's"):
        plan_addition(base, measured(other), LATER)
    both = {name: [fresh(name, 1.0, engine="recorded")] for name in ("fp4", "int4")}
    only = plan_rewrite(None, replace(measured(both), adds=False), LATER, ()).baseline
    with pytest.raises(UnlikeBaselineError, match="recorded ones, which are one launch: there is nothing to add"):
        plan_addition(only, measured(both), LATER)


def test_a_baseline_says_how_few_launches_and_days_it_has() -> None:
    """Until there are three launches, and of more than one day; recorded points say neither."""
    few, one = remarks(old())
    assert few.startswith("holds 2 of fp4, 2 of int4 launches: sigma is not known before it holds 3 of each; add ")
    assert one.startswith(
        "all launches are of one day (2026-11-24): sigma holds nothing of what differs between days; "
    )
    assert remarks(added(two(25, 1.001)).baseline) == ()
    assert len(remarks(added(two(24, 1.001)).baseline)) == 1
    told = JudgedGate(gate(), Verdict.PASS, 1.0, 1.0, "", Evidence(0.01, 0.03, 1))
    assert days_told(old(), [told]) == (f"baseline: {one}",)
    assert days_told(old(), [replace(told, evidence=Evidence(None, None, 1))]) == ()
    assert days_told(added(two(25, 1.001)).baseline, [told]) == ()
    unknown = [replace(launch, origin=LaunchOrigin()) for launch in old().launches]
    assert replace(old(), launches=unknown).only_day is None


def test_launches_of_an_engine_that_tells_no_version_are_added_and_that_is_said() -> None:
    """Of an endpoint nobody knows whether it is the same one; an unknown version is refused."""
    silent = {
        name: [replace(each, fingerprint=Fingerprint(each.fingerprint.hard, {})) for each in launches]
        for name, launches in two(24).items()
    }
    base = plan_rewrite(None, replace(measured(silent), adds=False), LATER, ()).baseline
    later = {
        name: [replace(each, fingerprint=Fingerprint(each.fingerprint.hard, {})) for each in launches]
        for name, launches in two(25, 1.001).items()
    }
    plan = plan_addition(base, measured(later), LATER)
    assert plan.remarks == (
        "the engine of fp4, int4 tells no version: that its launches are of one version is not checked",
    )
    unknown = two(24, soft={"engine_version": "unknown"})
    base = plan_rewrite(None, replace(measured(unknown), adds=False), LATER, ()).baseline
    with pytest.raises(UnlikeBaselineError, match="fp4: engine_version is unknown, the baseline's is unknown"):
        plan_addition(base, measured(two(25, 1.001, soft={"engine_version": "unknown"})), LATER)


def test_launches_read_once_leave_the_days_of_the_others() -> None:
    """A ratio to recorded points has the days of the precision that is launched."""
    read = {"int4": [fresh("int4", 1.0, engine="recorded")]}
    base = plan_rewrite(None, replace(measured({"fp4": two(24)["fp4"], **read}), adds=False), LATER, ()).baseline
    plan = plan_addition(base, measured({"fp4": two(25, 1.001)["fp4"], **read}), LATER)
    found = plan.baseline.at(B200, "derived").gate_launches(RATIO)
    assert found.groups == ("2026-11-24 node24",) * 2 + ("2026-11-25 node25",) * 2
