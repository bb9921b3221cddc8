"""A plan: which precisions tests would measure, how often, and sums that leave out what is not known and say so."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.cost import LaunchCost
from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.analysis.plan import (
    Asked,
    Candidate,
    Expected,
    PlannedLaunch,
    SuitePlan,
    from_baseline,
    plan,
    total,
    uses,
)
from pytest_precgate.errors import InvalidValueError
from tests.builders.baselines import TEST, kimi_baseline
from tests.published import WORKLOAD

B200 = HARDWARE["b200"]
KNOWN = Expected("baseline of abc", 7, 3600.0, 900.0)
FP4 = Candidate("fp4", 0, "default", "trtllm", "started", KNOWN)
INT4 = replace(FP4, precision="int4", engine="vllm", expected=Expected("baseline of abc", 6, 7200.0, 1800.0))
BOTH = [FP4, INT4]
COMPARES = Asked("t.py::t", compares=True)
ONCE = {"fp4": (1, 1), "int4": (1, 1)}
amounts = st.none() | st.floats(0.1, 1e5)
paid = st.sampled_from(["started", "endpoint", "simulated", None])


def planned(*asked: Asked, launches: dict[str, tuple[int, int]] | None = None) -> dict[str, tuple[str, int, int]]:
    found = plan("kimi", B200, asked, BOTH, ONCE if launches is None else launches, None)
    return {each.candidate.precision: (each.use, each.least, each.most) for each in found.launches}


def test_a_test_that_compares_measures_every_precision() -> None:
    """Where no baseline says which; each as often as a verdict takes."""
    assert planned(COMPARES) == {"fp4": ("measured", 1, 1), "int4": ("measured", 1, 1)}
    assert planned(COMPARES, launches={"fp4": (1, 3), "int4": (5, 5)}) == {
        "fp4": ("measured", 1, 3),
        "int4": ("measured", 5, 5),
    }


def test_the_baseline_says_which_precisions_a_test_compares() -> None:
    """By the gates it has there; another test's gates say nothing of it."""
    asked = [Asked(TEST, compares=True)]
    assert uses(asked, ["fp4", "fp8", "int4"], kimi_baseline()) == {"fp4": "measured", "int4": "measured"}
    assert set(uses([COMPARES], ["fp4", "fp8", "int4"], kimi_baseline())) == {"fp4", "fp8", "int4"}


def test_fixtures_say_what_else_is_wanted() -> None:
    """A sweep; an engine alone, started once without points; one that is chosen as the test runs, perhaps."""
    often = {"fp4": (1, 3), "int4": (1, 3)}
    assert planned(Asked("t", sweeps=("fp4",)), launches=often) == {"fp4": ("measured", 1, 3)}
    assert planned(Asked("t", engines=("int4",)), launches=often) == {"int4": ("up", 1, 1)}
    assert planned(Asked("t", chooses=True)) == {"fp4": ("perhaps up", 0, 1), "int4": ("perhaps up", 0, 1)}
    everything = (Asked("a", engines=("fp4",)), Asked("b", chooses=True), Asked("c", sweeps=("fp4",)))
    assert planned(*everything) == {"fp4": ("measured", 1, 1), "int4": ("perhaps up", 0, 1)}
    assert planned(Asked("t")) == {}


def test_what_launches_nothing_is_planned_as_nothing() -> None:
    """A file that is read, and a simulation that is only talked to."""
    recorded = replace(FP4, engine="recorded", paid=None, expected=Expected("takes no GPU"))
    simulated = replace(INT4, engine="simulated", paid="simulated")
    found = plan("kimi", B200, [COMPARES, Asked("t", engines=("int4",))], [recorded], ONCE, None)
    assert [(each.least, each.most, each.is_known) for each in found.launches] == [(0, 0, True)]
    found = plan("kimi", B200, [Asked("t", engines=("int4",))], [simulated], ONCE, None)
    assert [(each.least, each.most) for each in found.launches] == [(0, 0)]
    assert total([found], simulated=False) is None


def test_a_total_is_the_range_at_each_suite_s_price() -> None:
    """Least and most, real ones apart from virtual ones."""
    found = plan("kimi", B200, [COMPARES], BOTH, {"fp4": (1, 3), "int4": (1, 1)}, None)
    other = plan("o", HARDWARE["h100"], [COMPARES], [replace(FP4, paid="simulated")], ONCE, None)
    real = total([found, other], simulated=False)
    assert real is not None
    assert (real.launches, real.gpu_s, real.is_known) == ((2, 4), (13500.0, 22500.0), True)
    assert real.dollars == pytest.approx((13500 / 3600 * 1.95, 22500 / 3600 * 1.95))
    virtual = total([found, other], simulated=True)
    assert virtual is not None
    assert (virtual.launches, virtual.gpu_s) == ((1, 1), (4500.0, 4500.0))
    assert virtual.dollars[0] == pytest.approx(4500 / 3600 * 1.30)


@given(st.lists(st.tuples(paid, amounts, amounts, st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=5))
def test_a_sum_never_takes_an_unknown_for_nothing(
    each: list[tuple[str | None, float | None, float | None, int, int]],
) -> None:
    """It is known exactly when every part that would be paid for is."""
    launches = [
        PlannedLaunch(
            Candidate("fp4", 0, "default", "x", kind, Expected("s", 1, start, measuring)),  # type: ignore[arg-type]
            "measured",
            least,
            least + more,
        )
        for kind, start, measuring, least, more in each
    ]
    plans = [SuitePlan("kimi", B200, 1, launches)]
    for simulated in (True, False):
        ours = [row for row in each if row[0] is not None and (row[0] == "simulated") == simulated]
        found = total(plans, simulated=simulated)
        if not ours:
            assert found is None
            continue
        assert found is not None
        assert found.gpu_s[0] <= found.gpu_s[1]
        assert found.is_known == all(
            least + more == 0 or (measuring is not None and (kind == "endpoint" or start is not None))
            for kind, start, measuring, least, more in ours
        )
        if found.is_known:
            whole = sum(
                (least + more) * ((0.0 if kind == "endpoint" else start or 0.0) + (measuring or 0.0))
                for kind, start, measuring, least, more in ours
            )
            assert found.gpu_s[1] == pytest.approx(whole)


def priced(*costs: LaunchCost) -> Expected | None:
    baseline = kimi_baseline()
    launches = [
        replace(launch, costs=costs) if launch.sweep.precision == "fp4" else launch for launch in baseline.launches
    ]
    configuration = baseline.launches_of("fp4")[0].sweep.points[0].configuration
    candidate = replace(FP4, configuration=configuration)
    return from_baseline(replace(baseline, launches=launches), WORKLOAD, "b200", candidate, ("recorded",), None)


def test_a_baseline_tells_what_its_launches_took() -> None:
    """Whose figures they are, too; without costs the points alone."""
    configuration = kimi_baseline().launches_of("fp4")[0].sweep.points[0].configuration
    source = f"baseline of {kimi_baseline().recorded.commit}, {kimi_baseline().recorded.utc}"
    assert priced(LaunchCost(configuration, 7, 900.0, 3600.0)) == Expected(source, 7, 3600.0, 900.0)
    assert priced(LaunchCost(configuration, 7, 900.0, None)) == Expected(source, 7, None, 900.0)
    for costs in ((), (LaunchCost("other", 7, 900.0, 3600.0),)):
        found = priced(*costs)
        assert found is not None
        assert found.source == f"points: {source}"
        assert (found.points is not None, found.starting_gpu_s, found.measuring_gpu_s) == (True, None, None)


def test_several_launches_tell_their_mean() -> None:
    """One of them was slow to start."""
    first, *others = kimi_baseline().launches_of("fp4")
    assert others == []
    configuration = first.sweep.points[0].configuration
    twice = [
        replace(first, costs=(LaunchCost(configuration, 7, measuring, start),))
        for measuring, start in ((900.0, 3600.0), (1000.0, None), (1100.0, 5400.0))
    ]
    baseline = replace(kimi_baseline(), launches=[*twice, *kimi_baseline().launches_of("int4")])
    candidate = replace(FP4, configuration=configuration)
    found = from_baseline(baseline, WORKLOAD, "b200", candidate, ("recorded",), None)
    assert found is not None
    assert (found.points, found.starting_gpu_s, found.measuring_gpu_s) == (7, 4500.0, 1000.0)


def test_a_baseline_of_something_else_tells_nothing() -> None:
    """Another workload, hardware, engine, configuration or set of concurrencies is another cost."""
    baseline = kimi_baseline()
    point, *_ = baseline.launches_of("fp4")[0].sweep.points
    candidate = replace(FP4, configuration=point.configuration)
    levels = [
        p.concurrency for p in baseline.launches_of("fp4")[0].sweep.points if p.configuration == point.configuration
    ]
    assert from_baseline(baseline, WORKLOAD, "b200", candidate, ("recorded",), levels) is not None
    assert from_baseline(baseline, replace(WORKLOAD, isl=8192), "b200", candidate, ("recorded",), None) is None
    assert from_baseline(baseline, WORKLOAD, "h200", candidate, ("recorded",), None) is None
    assert from_baseline(baseline, WORKLOAD, "b200", candidate, ("trtllm",), None) is None
    assert from_baseline(baseline, WORKLOAD, "b200", FP4, ("recorded",), None) is None
    assert from_baseline(baseline, WORKLOAD, "b200", candidate, ("recorded",), [*levels, 4096]) is None


def test_a_range_that_cannot_be_is_refused() -> None:
    """Fewer than no launches, at most less than at least."""
    for least, most in ((-1, 1), (2, 1)):
        with pytest.raises(InvalidValueError, match="wanted a range from 0"):
            PlannedLaunch(FP4, "measured", least, most)
