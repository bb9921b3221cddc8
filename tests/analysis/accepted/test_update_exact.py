"""What an update asks and says, at its edges and to the letter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist

import pytest
from scipy import stats

from pytest_precgate.analysis.accepted.addition import plan_addition
from pytest_precgate.analysis.accepted.baseline import AnchorState, Baseline, Launch, Provenance, RecordedGate
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.update import (
    GateChange,
    Measured,
    PlannedUpdate,
    plan_additions,
    plan_rewrite,
    standard_errors,
)
from pytest_precgate.analysis.curves.economics import Hardware
from pytest_precgate.analysis.gating.gates import GateKey, Metric
from tests.builders.baselines import B200, FP4, RECORDED, TEST, kimi_baseline, scaled
from tests.published import kimi

LATER = Provenance("def456", "2026-12-01T06:00:00Z", "0.1.0", "faster kernels")
INT4 = replace(FP4, precisions=("int4",))
COST = replace(FP4, metric=Metric.COST)
QUIET = (1.0, 1.003, 0.997, 1.002, 0.998)
OTHER = (1.0, 0.998, 1.002, 1.004, 0.996)


def change(key: GateKey = FP4, **more: object) -> GateChange:
    """A gate of value 1 before and after, but for what is given."""
    return replace(GateChange(RecordedGate(TEST, key), 1.0, 1.0), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "after", "explained", "is_easier"),
    [
        (FP4, math.exp(-0.0101), 0.01, True),
        (FP4, math.exp(-0.0099), 0.01, False),
        (FP4, math.exp(0.5), 0.01, False),
        (COST, math.exp(0.0101), 0.01, True),
        (COST, math.exp(0.0099), 0.01, False),
        (COST, math.exp(-0.5), 0.01, False),
        (FP4, math.exp(-1.1e-5), 0.0, True),  # six digits
        (FP4, math.exp(-0.9e-5), 0.0, False),
        (FP4, None, 0.0, True),
    ],
)
def test_a_gate_is_easier_by_a_fall_beyond_what_noise_and_rounding_explain(
    key: GateKey, after: float | None, explained: float, is_easier: bool
) -> None:
    """Of the logarithm. A gate that is gone is; one that is new is not."""
    assert change(key, after=after, explained=explained).is_easier is is_easier
    assert not change(key, before=None, after=after).is_easier
    assert (change(key).explained, change(key).sigmas, change(key).anchor) == (0.0, (None, None), None)
    assert change(key, after=1.25).change == 0.25
    assert change(key, after=None).change is None
    assert change(key, before=None).change is None


@pytest.mark.parametrize(
    ("sigmas", "is_louder"),
    [
        ((0.01, 0.02501), True),
        ((0.01, 0.02499), False),
        ((0.01, None), True),
        ((None, 0.5), False),
        ((None, None), False),
        ((0.0, 0.9e-9), False),  # rounding
        ((0.0, 1.1e-9), True),
    ],
)
def test_a_gate_is_louder_by_two_and_a_half_times_its_sigma(
    sigmas: tuple[float | None, float | None], is_louder: bool
) -> None:
    """Of a gate that was there and is there."""
    assert change(sigmas=sigmas).is_louder is is_louder
    assert not change(sigmas=sigmas, before=None).is_louder
    assert not change(sigmas=sigmas, after=None).is_louder
    assert change(sigmas=sigmas).sigma == sigmas[1]


@pytest.mark.parametrize(("key", "sign"), [(FP4, -1), (COST, 1)])
def test_a_gate_is_sunk_beyond_three_percent_from_its_anchor(key: GateKey, sign: int) -> None:
    """But for the last bits; what is not known is not sunk."""
    for share, is_sunk in ((0.03, False), (0.03 + 5e-10, False), (0.03 + 2e-9, True), (0.2, True), (-0.2, False)):
        found = change(key, after=1 + sign * share, anchor=1.0)
        assert found.below_anchor == pytest.approx(share)
        assert found.is_sunk is is_sunk
    for unknown in (change(key, after=0.5), change(key, after=None, anchor=1.0)):
        assert (unknown.below_anchor, unknown.is_sunk) == (None, False)


def planned(*changes: GateChange, renewed: dict[GateKey, str] | None = None, **more: object) -> PlannedUpdate:
    return replace(
        PlannedUpdate(kimi_baseline(), changes, is_change=True, renewed=renewed or {}),
        **more,  # type: ignore[arg-type]
    )


def points(*targets: float) -> list[GateKey]:
    return [replace(FP4, point=target) for target in targets]


def named(*targets: float) -> str:
    return ", ".join(f"fp4 throughput_per_gpu at {target:g} tok/s/user" for target in targets)


def test_what_a_reason_is_asked_for_is_one_sentence() -> None:
    """Easier gates, louder ones that are not easier, and those anchored anew: each once, three by name."""
    easier = [change(key, after=0.5, sigmas=(0.01, 0.5)) for key in points(1, 2, 3, 4, 5)]
    twice = replace(easier[0], gate=RecordedGate("other", easier[0].gate.key))
    louder = [change(key, sigmas=(0.01, 0.0302)) for key in points(6)] + [change(points(7)[0], sigmas=(0.01, None))]
    assert planned().needs_reason == ""
    assert planned(*easier[:3], twice).needs_reason == f"make {named(1, 2, 3)} easier to pass"
    assert planned(*easier).needs_reason == f"make {named(1, 2, 3)} and 2 more easier to pass"
    assert planned(*easier[:1], *louder, change(), renewed=dict.fromkeys(points(8), "isl is 8")).needs_reason == (
        f"make {named(1)} easier to pass, and raise the noise of {named(6)} (sigma 1.00% to sigma 3.02%), "
        f"{named(7)} (sigma 1.00% to not known), which widens its limits, and anchor {named(8)} (isl is 8) anew"
    )
    assert planned(*easier[:1], *louder, change()).lowered == (easier[0], *louder)


def test_what_becomes_of_anchors_is_remarked() -> None:
    """Those lowered, and those anew; gates that would sink are listed with what they are worse than."""
    assert planned().remarks == ()
    lowered = planned(lowered_anchors=tuple(points(1, 2, 3, 4)), renewed=dict.fromkeys(points(5), "isl is 8"))
    assert lowered.remarks == (
        f"anchor lowered to this state: {named(1, 2, 3)} and 1 more",
        f"anchored anew: {named(5)} (isl is 8)",
    )
    sunk = [change(key, after=0.9, anchor=1.0, since="2026-11-24 (commit abc)") for key in points(1, 2)]
    found = planned(*sunk, sunk[0], change(anchor=1.0))
    told = "10.0% worse than its anchor, the state accepted 2026-11-24 (commit abc)"
    assert found.sunk == (*sunk, sunk[0])
    assert found.sunk_listed == f"{named(1)} {told}, {named(2)} {told}"


@pytest.mark.parametrize("gates", [1, 2, 6, 18])
def test_the_standard_errors_asked_for_are_student_s_of_sixteen_degrees(gates: int) -> None:
    """Abramowitz and Stegun 26.7.5, its first term, of a level shared by the gates (Sidak): within 2% of the quantile
    itself. At least two."""
    share = 0.95 ** (1 / gates)
    normal = NormalDist().inv_cdf(share)
    assert standard_errors(gates) == pytest.approx(max(2.0, normal + (normal**3 + normal) / 64))
    assert standard_errors(gates) == pytest.approx(max(2.0, float(stats.t.ppf(share, 16))), rel=0.02)


def launches(name: str, factors: Sequence[float], *, hardware: str = "b200", engine: str = "vllm") -> list[Launch]:
    sweeps = [replace(scaled(kimi(name), factor), hardware=hardware) for factor in factors]
    return [Launch(sweep, Fingerprint.of(sweep, (engine,), {})) for sweep in sweeps]


def measured(
    factors: Sequence[float] = QUIET, keys: Sequence[GateKey] = (FP4, INT4), test: str = TEST, **more: object
) -> Measured:
    """Launches of both precisions that scatter by themselves."""
    each = {"fp4": launches("fp4", factors), "int4": launches("int4", OTHER[: len(factors)])}
    found = Measured("kimi", each, {test: list(keys)}, B200, "derived")
    return replace(found, **more)  # type: ignore[arg-type]


def first(*keys: GateKey) -> Baseline:
    return plan_rewrite(None, measured(keys=keys or (FP4, INT4)), RECORDED, ()).baseline


def explained(plan: PlannedUpdate, key: GateKey) -> float:
    [found] = {each.explained for each in plan.changes if each.gate.key == key}
    return found


def test_noise_explains_the_standard_errors_of_both_states() -> None:
    """Each the sigma of a launch over the root of its launches; the level is shared by two gates."""
    old = first()
    plan = plan_rewrite(old, measured([0.99 * factor for factor in QUIET]), LATER, ())
    before, after = (state.noises(B200, "derived")[FP4].sigma for state in (old, plan.baseline))
    assert explained(plan, FP4) == pytest.approx(standard_errors(2) * math.hypot(before, after) / math.sqrt(5))
    assert {each.sigmas for each in plan.changes if each.gate.key == FP4} == {(before, after)}
    alone = plan_rewrite(first(FP4), measured([0.99 * factor for factor in QUIET], [FP4]), LATER, ())
    sigma = alone.baseline.noises(B200, "derived")[FP4].sigma
    assert explained(alone, FP4) == pytest.approx(2 * sigma * math.sqrt(2 / 5), rel=1e-3)


def test_a_state_of_too_few_launches_is_as_noisy_as_the_other() -> None:
    """Two launches against five, either way round; two against two are known no better than rounding."""
    old, few = first(FP4), measured(QUIET[:2], [FP4])
    plan = plan_rewrite(old, few, LATER, ())
    sigma = old.noises(B200, "derived")[FP4].sigma
    assert explained(plan, FP4) == pytest.approx(2 * sigma * math.sqrt(1 / 5 + 1 / 2))
    back = plan_rewrite(plan.baseline, measured(keys=[FP4]), LATER, ())
    assert explained(back, FP4) == pytest.approx(2 * sigma * math.sqrt(1 / 5 + 1 / 2))
    before, after = back.changes[0].sigmas
    assert before is None
    assert after == pytest.approx(sigma)
    assert explained(plan_rewrite(plan.baseline, few, LATER, ()), FP4) == 0.0


def test_of_launches_that_join_the_others_only_the_new_ones_scatter() -> None:
    """The centre of fifteen moves from that of five among them by sigma times the root of 1 / 5 - 1 / 15."""
    old = first(FP4, INT4)
    joined = measured([1.0005 * factor for factor in (*QUIET, *(f * 1.0001 for f in QUIET))], adds=True)
    joined = replace(
        joined,
        launches={
            **joined.launches,
            "int4": launches("int4", [1.0001 * f for f in (*OTHER, 1.01, 1.011, 0.99, 0.991, 1.002)]),
        },
    )
    plan = plan_addition(old, joined, LATER)
    sigma = old.noises(B200, "derived")[FP4].sigma
    gates = plan.baseline.at(B200, "derived").noise.independent
    expected = standard_errors(gates) * sigma * math.sqrt(1 / 5) * math.sqrt(1 - 5 / 15)
    assert explained(plan, FP4) == pytest.approx(expected)


def test_a_gate_that_moves_to_another_test_is_not_dropped() -> None:
    """It is told of both tests, with its value now; one that no test checks any more has none."""
    plan = plan_rewrite(first(), measured([0.9 * factor for factor in QUIET], [FP4], "t::new"), LATER, [TEST])
    told = {(each.gate.test, each.gate.key): each for each in plan.changes}
    assert set(told) == {(TEST, FP4), (TEST, INT4), ("t::new", FP4)}
    assert told[TEST, FP4].after == told["t::new", FP4].after == plan.baseline.value(FP4, B200, "derived")
    assert told[TEST, FP4].before == first().value(FP4, B200, "derived")
    assert told["t::new", FP4].before is None
    assert told[TEST, INT4].after is None
    assert [each.gate for each in plan.changes if each.is_easier] == [RecordedGate(TEST, FP4), RecordedGate(TEST, INT4)]
    assert [each.sweep.precision for each in plan.baseline.launches] == ["fp4"] * 5


def test_what_was_not_measured_stays_while_a_gate_reads_it() -> None:
    """Launches and gates of other tests."""
    only = replace(
        measured([0.999 * factor for factor in QUIET], [FP4], "t::new"), launches={"fp4": launches("fp4", OTHER)}
    )
    plan = plan_rewrite(first(), only, LATER, ())
    assert sorted(each.test for each in plan.baseline.gates) == sorted(["t::new", TEST, TEST])
    assert plan.baseline.launches_of("int4") == first().launches_of("int4")
    assert [each.sweep for each in plan.baseline.launches_of("fp4")] == [
        each.rounded().sweep for each in only.launches["fp4"]
    ]
    stale = plan_rewrite(first(), only, LATER, [TEST])
    assert stale.baseline.precisions == ("fp4",)


def test_additions_take_launches_of_new_precisions_alone() -> None:
    """Those of the others are kept; a gate twice is one."""
    old = first(FP4)
    new = measured([0.5 * factor for factor in QUIET], [FP4, INT4])
    plan = plan_additions(old, new, LATER)
    assert plan.baseline.launches_of("fp4") == old.launches
    assert plan.baseline.launches_of("int4") == tuple(each.rounded() for each in new.launches["int4"])
    assert [each.key for each in plan.baseline.gates] == [FP4, INT4]
    assert plan.baseline.history == (RECORDED,)
    assert plan.is_change
    again = replace(measured(keys=[FP4]), launches={"fp4": launches("fp4", OTHER)})
    assert not plan_additions(old, again, LATER).is_change


def test_a_price_and_an_anchor_are_part_of_a_state() -> None:
    """A change of either is one, without any other."""
    dear = Hardware("b200", 3.90, 2.17, "twice the price")
    assert plan_rewrite(first(), measured(hardware=dear), LATER, ()).is_change
    assert plan_rewrite(first(), measured(cost="interpolated"), LATER, ()).is_change
    assert not plan_rewrite(first(), measured(), LATER, ()).is_change
    anchors = [AnchorState(RECORDED, launches("fp4", [2.0]), [FP4])]
    lowered = plan_rewrite(replace(first(), anchors=anchors), measured(lower_anchor=True), LATER, ())
    assert lowered.is_change
    assert lowered.lowered_anchors == (FP4,)
    assert [each.below_anchor for each in lowered.changes] == [0.0, 0.0]
    kept = plan_rewrite(replace(first(), anchors=anchors), measured(), LATER, ())
    assert (kept.is_change, kept.lowered_anchors) == (False, ())
    assert [each.gate.key for each in kept.sunk] == [FP4]


def test_another_hardware_is_read_under_its_own_name_at_today_s_price() -> None:
    """The old state's value stands beside the new one, and the gate is anchored anew with what differs."""
    h200 = Hardware("h200", 1.95, 2.17, "the same price")
    each = {"fp4": launches("fp4", [0.9 * factor for factor in QUIET], hardware="h200")}
    plan = plan_rewrite(first(FP4), Measured("kimi", each, {TEST: [FP4]}, h200, "derived"), LATER, ())
    [found] = plan.changes
    assert found.change == pytest.approx(-0.1, abs=1e-6)
    assert found.sigmas[0] == pytest.approx(found.sigmas[1], rel=1e-3)
    assert found.explained > 0
    assert found.since == "2026-12-01T06:00:00Z (commit def456)"
    assert plan.renewed == {FP4: "fp4: hardware is h200, the baseline's is b200"}
