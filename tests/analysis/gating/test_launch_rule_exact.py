"""What a ruling holds and says: of one launch and of several, of medians, of pairs, and of a study of noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.gating.gates import Gate, Metric
from pytest_precgate.analysis.gating.launch_rule import GateBaseline, GateRuling, SuiteRule
from pytest_precgate.analysis.gating.limits import LaunchPolicy
from pytest_precgate.analysis.gating.noise_study import NoiseStudy, study
from pytest_precgate.analysis.gating.paired_rule import PairedRule
from pytest_precgate.analysis.gating.power import Design
from pytest_precgate.analysis.gating.verdict import Absent, Evidence, Verdict
from pytest_precgate.errors import InvalidValueError
from tests.builders.gates import gate
from tests.builders.launches import POLICY, gates, paced

STILL = (1000.0,) * 5  # no noise: every limit is the tolerance
QUIET = (1000.0, 1008.0, 991.0, 1003.0, 996.0)
THREE, MEDIAN = LaunchPolicy(), LaunchPolicy("median", 5)
NONE = Absent(Verdict.MISSING, "no baseline")
UNREADABLE = Absent(Verdict.INCONCLUSIVE, "off the curve")


def ruled(
    values: Sequence[float | Absent],
    baseline: Sequence[float] | Absent = STILL,
    policy: LaunchPolicy = THREE,
    held: Gate | None = None,
) -> GateRuling:
    launches = [[value] for value in values]
    return SuiteRule([GateBaseline(held or gate(), baseline)], policy).judge(launches).gates[0]


def told(ruling: GateRuling) -> tuple[Verdict, float | None, str, int]:
    assert ruling.judged is not None
    return ruling.judged.verdict, ruling.judged.value, ruling.judged.reason, ruling.launches


TOO_GOOD = "better by more than 25%: check the measurement; if it is real, update the baseline"


def test_what_first_good_says_depends_on_how_many_launches_it_took() -> None:
    """Of one launch its own reason; of several that none was good, and the best; an implausible one comes first."""
    one = LaunchPolicy("first-good", 1)
    assert told(ruled([900.0], policy=one)) == (
        Verdict.REGRESSED,
        900.0,
        "10.0% worse than its baseline, beyond the tolerance (5%)",
        1,
    )
    assert told(ruled([1300.0], policy=one)) == (Verdict.IMPLAUSIBLE, 1300.0, TOO_GOOD, 1)
    two = LaunchPolicy("first-good", 2)
    assert told(ruled([910.0, 900.0], policy=two)) == (
        Verdict.REGRESSED,
        910.0,
        "worse in all 2 launches; the best is 9.0% worse than its baseline, beyond the tolerance (5%)",
        2,
    )
    assert told(ruled([900.0, 1300.0], policy=two)) == (
        Verdict.IMPLAUSIBLE,
        1300.0,
        f"no good one among 2 launches; {TOO_GOOD}",
        2,
    )


@pytest.mark.parametrize(
    ("values", "taken"),
    [
        ((900.0,), None),  # one launch confirms nothing
        ((949.9, 949.9), 2),  # without noise every loss is clear
        ((949.9, 951.0), 2),
        ((900.0, 1300.0), None),
    ],
)
def test_two_losses_that_are_clear_need_no_third_launch(values: Sequence[float], taken: int | None) -> None:
    """Both of them, beyond the limit and six sigma."""
    ruling = ruled(values)
    assert (None if ruling.judged is None else ruling.launches) == taken


def test_a_loss_is_clear_beyond_its_bound_alone() -> None:
    """Of launches that scatter: just beyond six sigma from the limit, not just before."""
    limits = ruled([], QUIET).limits
    assert limits is not None
    assert limits.clear_beyond is not None
    before, beyond = (limits.centre * (1 - limits.clear_beyond + shift) for shift in (1e-6, -1e-6))
    assert ruled([beyond, beyond], QUIET).judged is not None
    for pair in ([before, before], [beyond, before], [before, beyond]):
        assert ruled(pair, QUIET).judged is None
    unknown = ruled([500.0, 500.0], [1000.0])
    assert (unknown.judged, unknown.launches) == (None, 2)


@pytest.mark.parametrize(
    ("values", "value", "taken"),
    [
        ((900.0, 880.0, 890.0), 880.0, 3),  # two more may be worse than all of them
        ((900.0, 1000.0, 890.0, 880.0), 890.0, 4),
        ((900.0, 1000.0, 890.0, 1010.0, 880.0), 900.0, 5),
        ((1000.0, 1010.0, 990.0), 990.0, 3),
        ((1000.0, 900.0, 1010.0, 990.0), 990.0, 4),
        ((1000.0, 900.0, 1010.0, 890.0, 990.0), 990.0, 5),
        ((1300.0, 1400.0, 1310.0), 1310.0, 3),
        ((1000.0, 1300.0, 1400.0, 1310.0), 1305.0, 4),
    ],
)
def test_a_median_that_ends_early_shows_the_worst_that_is_still_possible(
    values: Sequence[float], value: float, taken: int
) -> None:
    """Of five launches three decide. Of implausible launches the median of those taken is shown."""
    ruling = ruled(values, policy=MEDIAN)
    assert ruling.judged is not None
    assert (ruling.judged.value, ruling.launches) == (value, taken)
    if len(values) > 1:
        assert ruled(values[:-1], policy=MEDIAN).judged is None


def test_a_median_between_its_limits_needs_every_launch_that_could_decide() -> None:
    """A tolerance of 2% and a noise floor beyond: losses between the two are neither good nor a failure."""
    noisy, held = (1000.0, 1034.0, 969.0, 1021.0, 978.0), gate(0.02)
    limits = ruled([], noisy, MEDIAN, held).limits
    assert limits is not None
    assert limits.fails_beyond > 0.028
    good, between, bad = (limits.centre * share for share in (1.0, 0.975, 0.9))
    for values, verdict in (
        ((bad, bad, between, good), None),
        ((bad, between, good, good), None),
        ((bad, between, good, good, between), Verdict.INCONCLUSIVE),
        ((between, good, good, good), Verdict.PASS),
        ((between, between, between, bad, bad), Verdict.INCONCLUSIVE),
    ):
        ruling = ruled(values, noisy, MEDIAN, held)
        assert (None if ruling.judged is None else ruling.judged.verdict) is verdict
    settled = ruled((between,) * 5, noisy, MEDIAN, held).judged
    assert settled is not None
    assert f"; to settle it, {limits.remedies}" in settled.reason


def test_a_ruling_has_the_evidence_of_its_limits() -> None:
    """Every figure; without noise or baseline only how many launches there were."""
    ruling = ruled([1000.0], QUIET)
    limits = ruling.limits
    assert limits is not None
    assert limits.noise is not None
    assert ruling.evidence == Evidence(
        limits.noise.sigma,
        limits.minimum_detectable_drop,
        1,
        limits.largest_detectable_drop,
        limits.noise_floor,
        None,
        limits.noise.set_aside,
    )
    assert ruling.verdict is not None
    assert ruling.verdict.evidence == ruling.evidence
    assert ruled([900.0]).verdict is None
    assert ruled([900.0, 1000.0], [1000.0]).evidence == Evidence(None, None, 2)
    assert [ruled([1.0] * taken, NONE).evidence.launches for taken in (0, 1, 3)] == [0, 1, 1]
    stray = ruled([1000.0], (*QUIET[:4], 500.0))
    assert stray.evidence.set_aside == 1


def test_a_refused_gate_shows_its_centre_and_no_launch() -> None:
    """Whatever was launched."""
    loud = (1000.0, 1068.0, 938.0, 1042.0, 956.0)
    ruling = ruled([1000.0, 1000.0], loud)
    assert ruling.limits is not None
    assert told(ruling) == (Verdict.INCONCLUSIVE, None, ruling.limits.refusal, 0)
    assert ruling.judged is not None
    assert ruling.judged.baseline == ruling.limits.centre
    assert ruling.evidence.refusal == ruling.limits.refusal


def test_launches_that_do_not_fit_are_counted() -> None:
    """Launches, and values of a launch; as many as the policy takes fit."""
    rule = SuiteRule([GateBaseline(gate(), STILL)], THREE)
    assert not rule.judge([[1000.0]] * 3).wants_launch
    with pytest.raises(InvalidValueError, match=r"^judge: got 4 launches, the policy takes at most 3$"):
        rule.judge([[1000.0]] * 4)
    with pytest.raises(InvalidValueError, match=r"^judge: launch 2 has 0 values, wanted one for each of 1 gates$"):
        rule.judge([[1000.0], []])


def test_a_baseline_of_a_gate_is_numbers_of_its_own() -> None:
    """Above zero; it is not known to scatter more than others, nor to be badly read."""
    given = [1000]
    held = GateBaseline(gate(), given)
    given.append(5)
    assert (held.baseline, held.elasticity, held.reading, held.served) == ((1000.0,), 1.0, 0.0, None)
    with pytest.raises(InvalidValueError, match=r"GateBaseline\.baseline: got 0"):
        GateBaseline(gate(), [0])


FIVE = LaunchPolicy("pairs", 5)


def paired(
    pairs: Sequence[tuple[float | Absent, float | Absent]], policy: LaunchPolicy = FIVE, elasticity: float = 1.0
) -> GateRuling:
    return PairedRule([(gate(), elasticity)], policy).judge([[pair] for pair in pairs]).gates[0]


def scattered(ratios: Sequence[float], bases: Sequence[float]) -> list[tuple[float, float]]:
    """Pairs with these logarithms, in thousandths, of the ratio and of the baseline side."""
    return [
        (1000 * math.exp(base / 1000), 1000 * math.exp((base + ratio) / 1000))
        for ratio, base in zip(ratios, bases, strict=True)
    ]


@pytest.mark.parametrize("elasticity", [1.0, 2.0])
def test_the_noise_of_a_pair_is_that_of_its_ratio_or_of_its_sides_if_less(elasticity: float) -> None:
    """Logs -2 to 2, in thousandths: a variance of 2.5 and a factor of 1.04 for what is trimmed. Sides that scatter by
    three and four times that have five times it between them, pooled with each other."""
    steps = (-2, -1, 0, 1, 2)
    sigma = 1.04 * math.sqrt(2.5) / 1000
    cancels = paired(scattered(steps, [10 * step for step in steps]), elasticity=elasticity)
    assert cancels.evidence.sigma == pytest.approx(sigma)
    apart = (0, 2, -2, 1, -1)  # the candidate side is base + ratio, which is still
    sides = paired(scattered([-3 * step for step in apart], [3 * step for step in apart]), elasticity=elasticity)
    # Pooled over both sides, one of which is still: (12 * 9 / 2 + 4 * 9) / 16 and 12 * 9 / 2 / 16 of 2.5.
    both = sigma * math.sqrt((12 * 4.5 + 4 * 9) / 16 + 12 * 4.5 / 16)
    assert sides.evidence.sigma == pytest.approx(min(3 * sigma, both))
    limits = cancels.limits
    assert limits is not None
    assert limits.centre == pytest.approx(1000)
    assert limits.design == Design(5, 3, 5, 1, paired=True)


def test_an_outlier_of_either_side_is_told() -> None:
    """The larger number of the two."""
    quiet = [(1000.0 + n, 1000.0 - n) for n in range(4)]
    assert paired([*quiet, (1001.0, 900.0)]).evidence.set_aside == 1
    assert paired([*quiet, (900.0, 1001.0)]).evidence.set_aside == 1
    assert paired([*quiet, (900.0, 900.0)]).evidence.set_aside == 1
    assert paired([*quiet, (1000.0, 1000.0)]).evidence.set_aside == 0


def test_the_middle_pair_is_the_third_of_five_by_its_own_change() -> None:
    """Not the median of either side."""
    pairs = [(1000.0, 990.0), (1010.0, 1010.0), (1005.0, 1010.0), (1002.0, 1004.0), (1003.0, 1001.0)]
    ruling = paired(pairs)
    assert ruling.judged is not None
    assert (ruling.judged.baseline, ruling.judged.value) == (1010.0, 1010.0)
    assert ruling.launches == 5


def test_pairs_that_are_too_noisy_show_the_middle_one() -> None:
    """And that nothing passes."""
    pairs = [(1000.0, value) for value in (800.0, 1200.0, 1000.0, 900.0, 1100.0)]
    ruling = paired(pairs)
    assert ruling.limits is not None
    assert told(ruling) == (Verdict.INCONCLUSIVE, 1000.0, ruling.limits.refusal, 5)


def test_two_gates_of_pairs_share_the_false_alarms_of_their_suite() -> None:
    """Where they scatter by themselves; a gate whose value is missing does not count."""
    one = scattered((0, 1, -1, 2, -2), (0, 0, 0, 0, 0))
    other = scattered((1, 2, -2, -1, 0), (0, 0, 0, 0, 0))
    rule = PairedRule([(gate(), 1.0), (gate(point=73), 1.0)], FIVE)
    for second, number in ((other, 2), (one, 1)):
        for ruling in rule.judge(list(zip(one, second, strict=True))).gates:
            assert ruling.limits is not None
            assert ruling.limits.design.gates == number
    broken: list[tuple[float | Absent, float | Absent]] = [*other[:2], (1.0, UNREADABLE), *other[3:]]
    gone = rule.judge([[whole, second] for whole, second in zip(one, broken, strict=True)])
    assert [ruling.launches for ruling in gone.gates] == [5, 3]
    assert gone.gates[0].limits is not None
    assert gone.gates[0].limits.design.gates == 1
    assert gone.gates[1].limits is None
    every = rule.judge([[(UNREADABLE, 1.0)] * 2] * 5)
    assert [ruling.launches for ruling in every.gates] == [1, 1]


def test_each_of_three_gates_of_pairs_has_the_centre_of_its_own_baseline_side() -> None:
    """In the order of the gates."""
    pairs = [(base, 0.99 * base) for base in (100.0, 200.0, 300.0)]
    rule = PairedRule([(gate(point=point), 1.0) for point in (55, 73, 91)], FIVE)
    found = rule.judge([pairs] * 5).gates
    assert [each.limits and round(each.limits.centre, 6) for each in found] == [100.0, 200.0, 300.0]


def test_fewer_than_three_pairs_have_the_median_of_their_baseline_side() -> None:
    """And no noise."""
    given = [(gate(point=point), 1.0) for point in (55, 73, 91)]
    rule = PairedRule(given, LaunchPolicy("pairs", 1))
    given.clear()
    found = rule.judge([[(1000.0, 970.0), (500.0, 510.0), (200.0, 205.0)]]).gates
    assert [each.limits is not None and each.limits.centre for each in found] == [1000.0, 500.0, 200.0]
    assert {each.evidence for each in found} == {Evidence(None, None, 1)}


def curves(*paces: float, reached: int | None = None) -> dict[str, list[Curve]]:
    found = {name: [paced(name, pace) for pace in paces] for name in ("fp4", "int4")}
    return found if reached is None else {**found, "int4": found["int4"][:reached]}


def test_a_study_counts_its_launches_and_takes_three() -> None:
    """As many of each precision; what it got is said."""
    found = study(gates(), curves(1.0, 1.01, 0.99), POLICY)
    assert (found.launches, found.policy, found.unread) == (3, POLICY, ())
    with pytest.raises(
        InvalidValueError,
        match=r"^study: got launches 4 of fp4, 3 of int4; wanted 3 or more, as many of each$",
    ):
        study(gates(), curves(1.0, 1.0, 1.0, 1.0, reached=3), POLICY)
    with pytest.raises(InvalidValueError, match=r"^study: got launches 2 of fp4, 2 of int4; wanted 3 or more"):
        study(gates(), curves(1.0, 1.0), POLICY)
    with pytest.raises(InvalidValueError, match=r"^study: got launches none; wanted 3 or more"):
        study(gates(), {}, POLICY)


def test_a_study_of_paces_finds_each_gate_as_noisy_as_its_elasticity_says() -> None:
    """Both precisions slow down together here, so a ratio hardly moves; a gate's changes are its values over its
    centre. The scatter of a step is the root mean square of sigma over elasticity."""
    found = study(gates({Metric.THROUGHPUT_PER_GPU: None}), curves(1.0, 1.01, 0.99, 1.005, 0.995), POLICY)
    assert len(found.gates) == 4
    assert found.independent_gates == 4
    squares = [(each.noise.sigma / each.launches.elasticity) ** 2 for each in found.gates]
    assert found.step_sigma == pytest.approx(math.sqrt(sum(squares) / 4))
    assert found.step_sigma == pytest.approx(0.0082, rel=0.05)
    for each in found.gates:
        assert each.changes == pytest.approx([value / each.noise.centre - 1 for value in each.launches.values])
        assert each.launches.values[1] < each.launches.values[0] < each.launches.values[2]


def test_the_must_detect_advised_is_the_largest_drop_of_any_gate() -> None:
    """Rounded up; none where every gate can be judged, or where no share does."""
    noisy = study(gates({Metric.THROUGHPUT_PER_GPU: 0.025}), curves(1.0, 1.02, 0.98, 1.01, 0.99), POLICY)
    drops = [each.limits.minimum_detectable_drop or 0.0 for each in noisy.gates]
    assert [each.gate for each in noisy.refused] == [
        each.gate for each, drop in zip(noisy.gates, drops, strict=True) if drop > 0.1
    ]
    assert noisy.refused
    assert noisy.must_detect == math.ceil(1000 * max(drops)) / 1000
    quiet = study(gates({Metric.THROUGHPUT_PER_GPU: 0.025}), curves(1.0, 1.001, 0.999), POLICY)
    assert (quiet.refused, quiet.must_detect) == ((), None)
    wild = study(gates({Metric.COST: 0.025}, [55.0]), curves(1.0, 1.3, 0.9), POLICY)
    assert wild.refused
    assert wild.must_detect is None
    assert replace(wild, gates=()).must_detect is None
    assert NoiseStudy(3, POLICY, ()).step_sigma is None
