"""Two precisions at matched interactivity: published figures first, then properties."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.curves.comparison import (
    COST_MODES,
    WORDINGS,
    Curve,
    Reading,
    Row,
    compare,
    percent_more,
)
from pytest_precgate.analysis.curves.economics import (
    HARDWARE,
    Hardware,
    cost_per_million_tokens,
    tokens_per_second_per_megawatt,
)
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.errors import InvalidValueError, OutsideSweepError, SweepMismatchError
from tests import clouds
from tests.published import PUBLISHED, PUBLISHED_BAND, WORKLOAD, PublishedRow, kimi

# What the published method gives on the published points (all FP4 rows as one cloud), at 55, 73 and 91 tok/s/user.
THROUGHPUT = {"fp4": (1028.1, 697.4, 500.2), "int4": (361.2, 232.5, 159.8)}
INTERPOLATED_COST = {"fp4": (0.523, 0.775, 1.059), "int4": (1.502, 2.319, 3.384)}
CONCURRENCY = {"fp4": (39, 20, 11), "int4": (27, 13, 7)}


@pytest.mark.parametrize("precision", ["fp4", "int4"])
def test_recorded_points_give_the_published_method_s_figures(precision: str) -> None:
    """Throughput, interpolated cost and concurrency at 55, 73 and 91 tok/s/user, to the last digit."""
    curve = Curve(kimi(precision), HARDWARE["b200"], "interpolated")
    read = [curve.at(point) for point in (55, 73, 91)]
    assert tuple(round(reading.throughput_per_gpu, 1) for reading in read) == THROUGHPUT[precision]
    assert tuple(round(reading.cost, 3) for reading in read) == INTERPOLATED_COST[precision]
    assert tuple(reading.concurrency for reading in read) == CONCURRENCY[precision]


def test_recorded_points_are_within_five_percent_of_the_published_table() -> None:
    """The table was computed from other, unpublished runs; the medians of all runs differ from it by under 5%."""
    pair = compare(kimi("fp4"), kimi("int4"))
    for published in PUBLISHED:
        row = pair.at(published.interactivity)
        for reading, throughput in zip((row.candidate, row.reference), published.throughput, strict=True):
            assert reading.throughput_per_gpu == pytest.approx(throughput, rel=0.05)


def published_row(published: PublishedRow) -> Row:
    """The published table's own figures as a row."""
    candidate, reference = (
        Reading(precision, throughput, cost, megawatt, concurrency)
        for precision, throughput, cost, megawatt, concurrency in zip(
            ("fp4", "int4"),
            published.throughput,
            published.cost,
            published.tokens_per_megawatt,
            published.concurrency,
            strict=True,
        )
    )
    return Row(published.interactivity, candidate, reference, "published")


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda row: f"{row.interactivity:g}")
def test_the_published_wording_follows_from_the_published_figures(published: PublishedRow) -> None:
    """208% and 207%, 213% and 215%, 226% and 221%, from the table's own numbers."""
    assert published_row(published).wording == (
        f"FP4 is {published.cheaper}% cheaper per token; FP4 delivers {published.more}% more tok/s/GPU"
    )


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda row: f"{row.interactivity:g}")
def test_the_published_tokens_per_megawatt_follow_from_throughput_and_power(published: PublishedRow) -> None:
    """Within the rounding of the throughput to a tenth of a token."""
    power = HARDWARE["b200"].power_kw_per_gpu
    rounding = tokens_per_second_per_megawatt(0.05, power) + 0.5
    for throughput, shown in zip(published.throughput, published.tokens_per_megawatt, strict=True):
        assert tokens_per_second_per_megawatt(throughput, power) == pytest.approx(shown, abs=rounding)


def test_the_published_points_are_the_quartiles_of_the_published_band() -> None:
    """A band of 37 to 109 tok/s/user has its quartiles at 55, 73 and 91."""
    low, high = PUBLISHED_BAND
    points = [SweepPoint(1, 4, high, 100.0), SweepPoint(2, 4, low, 500.0)]
    pair = compare(*(Sweep(name, WORKLOAD, "b200", points) for name in ("fp4", "int4")))
    assert pair.band == PUBLISHED_BAND
    assert pair.quartile_points() == (55, 73, 91)


def test_wording_names_the_better_precision_whichever_it_is() -> None:
    """When the reference wins, the sentence says so."""
    row = published_row(PUBLISHED[0])
    turned = Row(row.interactivity, row.reference, row.candidate, "published")
    assert turned.wording == row.wording
    assert (row.cost_ratio, row.throughput_ratio) == pytest.approx((0.509 / 1.569, 1057.2 / 344.4))


def test_our_own_wording_never_makes_anything_more_than_100_percent_cheaper() -> None:
    """0.509 $ against 1.569 $ is 68% less, and the other way round it is 208% more."""
    row = replace(published_row(PUBLISHED[0]), says="ratios")
    assert row.wording == "FP4 costs 0.324x of INT4 per token (68% less) and delivers 3.07x its tok/s/GPU"
    turned = Row(row.interactivity, row.reference, row.candidate)
    assert turned.wording == "INT4 costs 3.083x of FP4 per token (208% more) and delivers 0.33x its tok/s/GPU"
    same = Row(row.interactivity, row.candidate, replace(row.candidate, precision="int4"))
    assert same.wording == "FP4 costs 1.000x of INT4 per token (the same) and delivers 1.00x its tok/s/GPU"


def test_a_comparison_is_put_into_words_as_it_was_asked_for() -> None:
    """Nothing else of it depends on that; an unknown wording is refused."""
    fp4, int4 = sweep("fp4", (50, 9), (90, 5)), sweep("int4", (50, 4), (90, 2))
    ours, published = (compare(fp4, int4, wording=each).at(60) for each in WORDINGS)
    assert ours.wording.startswith("FP4 costs 0.4")
    assert "% cheaper per token" in published.wording
    assert replace(ours, says="published") == published
    with pytest.raises(InvalidValueError, match=r"Comparison\.wording: got 'loud', wanted one of ratios, published"):
        compare(fp4, int4, wording="loud")  # type: ignore[arg-type]


def test_percent_more_rounds_as_published() -> None:
    """round((dearer / cheaper - 1) * 100)."""
    assert percent_more(1.569, 0.509) == 208
    assert percent_more(1.0, 1.0) == 0


@given(clouds.sweeps("fp4"), clouds.sweeps("int4"), st.floats(40.0, 90.0))
def test_swapping_the_precisions_inverts_the_ratios(fp4: Sweep, int4: Sweep, point: float) -> None:
    """Which one is called candidate changes the sign of the news and nothing else."""
    row, turned = compare(fp4, int4).at(point), compare(int4, fp4).at(point)
    assert turned.throughput_ratio == pytest.approx(1 / row.throughput_ratio)
    assert turned.cost_ratio == pytest.approx(1 / row.cost_ratio)
    published, swapped = (replace(each, says="published") for each in (row, turned))
    assert swapped.wording == published.wording or row.throughput_ratio == pytest.approx(1)


@given(clouds.sweeps("fp4"), clouds.sweeps("int4"), st.floats(0.1, 50.0), st.sampled_from(["derived", "interpolated"]))
def test_scaling_the_price_scales_the_cost_and_leaves_the_ratio(
    fp4: Sweep, int4: Sweep, factor: float, cost: str
) -> None:
    """A dearer GPU makes both precisions dearer alike, in either cost mode."""
    b200 = HARDWARE["b200"]
    dear = Hardware("b200", b200.price_per_gpu_hour * factor, b200.power_kw_per_gpu, "a test")
    row = compare(fp4, int4, cost=cost).at(60.0)  # type: ignore[arg-type]
    scaled = compare(fp4, int4, hardware=dear, cost=cost).at(60.0)  # type: ignore[arg-type]
    assert scaled.candidate.cost == pytest.approx(row.candidate.cost * factor)
    assert scaled.cost_ratio == pytest.approx(row.cost_ratio)
    assert scaled.candidate.throughput_per_gpu == row.candidate.throughput_per_gpu


@given(clouds.sweeps("fp4"), clouds.sweeps("int4"), st.floats(40.0, 90.0))
def test_derived_cost_times_throughput_is_the_price(fp4: Sweep, int4: Sweep, point: float) -> None:
    """$ per million tokens * million tokens per hour = $ per hour."""
    for reading in (compare(fp4, int4).at(point).candidate, compare(fp4, int4).at(point).reference):
        assert reading.cost * reading.throughput_per_gpu * 3600 / 1e6 == pytest.approx(1.95)


def test_both_cost_modes_agree_at_a_measured_point() -> None:
    """Between points the two differ by a few percent; on a point both are its cost."""
    point = kimi("int4").points[1]
    for cost in COST_MODES:
        read = Curve(kimi("int4"), HARDWARE["b200"], cost).at(point.interactivity)
        assert read.cost == pytest.approx(cost_per_million_tokens(1.95, point.throughput_per_gpu))


def test_off_the_band_there_is_no_row() -> None:
    """FP4 was measured at 120 tok/s/user, INT4 was not: the refusal names INT4 and its range."""
    pair = compare(kimi("fp4"), kimi("int4"))
    with pytest.raises(OutsideSweepError, match=r"int4: 120 tok/s/user lies outside the measured range 36\.41 to 112"):
        pair.at(120)
    low, high = pair.band
    assert pair.at(low).interactivity == low
    assert pair.at(high).interactivity == high


def sweep(precision: str, *pairs: tuple[float, float], hardware: str = "b200", workload: Workload = WORKLOAD) -> Sweep:
    return Sweep(precision, workload, hardware, [SweepPoint(n, 4, x, y) for n, (x, y) in enumerate(pairs, 1)])


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (sweep("int4", (50, 9), (90, 5), workload=Workload(8192, 1024)), "workload differs: fp4 has isl 1024"),
        (
            sweep("int4", (50, 9), (90, 5), hardware="h200"),
            "different hardware, cannot be compared: fp4 ran on b200, int4 on h200",
        ),
        (sweep("fp4", (50, 9), (90, 5)), "both sweeps are called 'fp4'"),
        (
            sweep("int4", (150, 9), (190, 5)),
            "share no interactivity: fp4 was measured from 50 to 90 tok/s/user and int4",
        ),
    ],
)
def test_sweeps_that_do_not_belong_together_are_refused(other: Sweep, why: str) -> None:
    """Another workload, another hardware, the same name, no shared band."""
    with pytest.raises(SweepMismatchError, match=why):
        compare(sweep("fp4", (50, 9), (90, 5)), other)


def test_a_sweep_with_one_point_on_its_frontier_is_refused_when_compared() -> None:
    """A dominated second point does not help."""
    with pytest.raises(InvalidValueError, match="int4: a curve needs at least two points on its frontier, got 1"):
        compare(sweep("fp4", (50, 9), (90, 5)), sweep("int4", (60, 9), (50, 5)))


def test_hardware_without_a_price_is_refused_when_compared() -> None:
    """There is no default price."""
    with pytest.raises(InvalidValueError, match="no price and power known for 'tpu'"):
        compare(*(sweep(name, (50, 9), (90, 5), hardware="tpu") for name in ("fp4", "int4")))


def test_an_unknown_cost_mode_is_refused() -> None:
    """Two modes exist and the message names them."""
    with pytest.raises(InvalidValueError, match="wanted one of derived, interpolated"):
        Curve(kimi("fp4"), HARDWARE["b200"], "guessed")  # type: ignore[arg-type]


def test_a_band_too_narrow_for_quartiles_is_refused() -> None:
    """Three different whole numbers must fit."""
    pair = compare(sweep("fp4", (50, 9), (51.5, 5)), sweep("int4", (50, 9), (51.5, 5)))
    with pytest.raises(SweepMismatchError, match="too narrow for quartile points"):
        pair.quartile_points()


@pytest.mark.parametrize(
    ("low", "high", "points"),
    [
        (10.0, 12.0, (10, 11, 12)),
        (36.4, 112.6, (55, 74, 94)),
        (10.1, 12.0, None),  # 11, 11, 12
        (1e-20, 2.0, None),  # a quarter of the way rounds to 0, below the band
    ],
)
def test_quartile_points_are_three_whole_numbers_inside_the_band(
    low: float, high: float, points: tuple[int, int, int] | None
) -> None:
    """The ends of the band count as inside, and rounding leads nowhere else."""
    pair = compare(sweep("fp4", (low, 9), (high, 5)), sweep("int4", (low, 9), (high, 5)))
    if points is None:
        with pytest.raises(SweepMismatchError, match="too narrow for quartile points"):
            pair.quartile_points()
    else:
        assert pair.quartile_points() == points


def test_curves_that_share_one_interactivity_are_compared_there() -> None:
    """One ends where the other begins."""
    pair = compare(sweep("fp4", (50, 9), (90, 5)), sweep("int4", (90, 4), (120, 2)))
    low, high = pair.band
    assert low == high == 90
    assert pair.at(90).throughput_ratio == pytest.approx(5 / 4)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("precision", "two\nlines"),
        ("throughput_per_gpu", 0.0),
        ("cost", math.inf),
        ("tokens_per_second_per_megawatt", math.nan),
        ("concurrency", 0),
    ],
)
def test_a_reading_that_no_curve_gives_is_refused(field: str, value: object) -> None:
    """By its field, before a report shows it."""
    sound = Curve(kimi("fp4"), HARDWARE["b200"]).at(55)
    with pytest.raises(InvalidValueError, match=rf"Reading\.{field}: got"):
        replace(sound, **{field: value})  # type: ignore[arg-type]
