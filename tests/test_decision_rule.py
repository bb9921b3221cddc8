"""The benchmark of the decision rule compares honestly: the other rules are the textbook's, ours is the package's, and
the worlds scatter as they say."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks.decision import counted, others, remedies, rules, worlds
from pytest_precgate.analysis.gating.limits import LaunchPolicy
from pytest_precgate.analysis.gating.power import Design, detectable_drop
from pytest_precgate.analysis.gating.verdict import Verdict


@pytest.mark.parametrize("drop", [0.0, 0.03, 0.06])
def test_welch_and_mann_whitney_are_those_of_scipy(drop: float) -> None:
    """What is written out there agrees with p < 5% / 6 of scipy's tests on every gate."""
    draw = worlds.APART.draw(3, 60, 0.01)
    changed = replace(draw, candidate=draw.candidate * (1 - drop))
    before, after = np.log(draw.baseline), np.log(changed.candidate)
    welch = stats.ttest_ind(after, before, axis=1, equal_var=False, alternative="less").pvalue < 0.05 / 6
    ranks = stats.mannwhitneyu(after, before, axis=1, alternative="less", method="exact").pvalue < 0.05 / 6
    assert (welch == (others.welch(changed) < 0)).all()
    assert (ranks == (others.mann_whitney(changed) < 0)).all()


def test_the_fixed_tolerance_compares_medians() -> None:
    """One launch or five: a gate fails when the candidate's median is more than 5% below the baseline's."""
    draw = worlds.PLAIN.draw(4, 200, 0.03)
    for count in (1, 5):
        below = np.median(draw.candidate[:, :count], axis=1) < 0.95 * np.median(draw.baseline[:, :count], axis=1)
        assert (below == (others.fixed(draw, count, 0.05) < 0)).all()


def test_the_rule_before_has_the_limits_that_it_had() -> None:
    """Six gates, five baseline launches: later limit 1.66 sigma, and 3.4 sigma seen in 80% (3.3% and 6.6% at 2%)."""
    line, seen = others._hidden_lines(5, 6, 0.80)
    assert line == pytest.approx(1.66, abs=0.02)
    assert seen == pytest.approx(3.41, abs=0.02)


def test_ending_at_two_clear_losses_changes_only_runs_with_a_third_inside() -> None:
    """The variant that never ends early differs from the package in launches, and in those runs alone."""
    draw = worlds.PLAIN.draw(8, 150, 0.01)
    built, variant = rules.Package()(draw, 0.05), others.always_three(draw, 0.05)
    assert (variant.launches >= built.launches).all()
    assert (built.launches[(built.regressed != variant.regressed).any(axis=1)] == 2).all()
    assert (built.refused == variant.refused).all()


@pytest.mark.parametrize("world", worlds.WORLDS[:5], ids=lambda world: world.name)
def test_launches_scatter_as_the_world_says(world: worlds.World) -> None:
    """Sigma, the share of outliers, and the correlation of the gates of a launch."""
    draw = world.draw(5, 8000, 0.01)
    logs = np.log(draw.candidate / worlds.UNIT)
    far = logs < -0.06 if world.outliers else np.zeros(logs.shape, dtype=bool)
    near = logs[~far.any(axis=2)]
    assert near.std() == pytest.approx(0.01, rel=0.15 if world.tail == "t3" else 0.03)
    assert np.corrcoef(near.T)[0, 1] == pytest.approx(world.share, abs=0.1 if world.tail == "t3" else 0.03)
    assert far.mean() == pytest.approx(world.outliers, abs=0.006)
    assert (far.any(axis=2) == far.all(axis=2)).all()
    assert world.tail != "slow" or near.max() <= 0


def test_a_day_is_common_to_what_is_measured_on_it() -> None:
    """The candidate and the old state share their day; the baseline has one, or five, of its own."""

    def correlation(first: worlds.Numbers, second: worlds.Numbers) -> float:
        return float(np.corrcoef(np.log(first), np.log(second))[0, 1])

    for world in (worlds.DAY, replace(worlds.DAY, days=True)):
        draw = replace(world, outliers=0.0).draw(6, 6000, 0.01)
        assert correlation(draw.candidate[:, 0, 0], draw.old[:, 0, 0]) == pytest.approx(0.5, abs=0.04)
        assert correlation(draw.candidate[:, 0, 0], draw.baseline[:, 0, 0]) == pytest.approx(0, abs=0.04)
        held = correlation(draw.baseline[:, 0, 0], draw.baseline[:, 1, 0])
        assert held == pytest.approx(0 if world.days else 0.5, abs=0.04)


def test_chains_spreads_and_low_launches_are_those_of_their_worlds() -> None:
    """AR(1) 0.8; gates 1 to 10 times as noisy; one launch of the baseline 3% lower."""
    chain = np.log(worlds.World("", chain=0.8, outliers=0.0).draw(7, 4000, 0.01).candidate[:, :, 0])
    assert np.corrcoef(chain[:, 0], chain[:, 1])[0, 1] == pytest.approx(0.8, abs=0.03)
    spread = np.log(worlds.World("", spread=10.0, outliers=0.0).draw(7, 4000, 0.01).candidate).std(axis=(0, 1))
    assert spread.max() / spread.min() == pytest.approx(10, rel=0.05)
    assert np.sqrt(np.mean(spread**2)) == pytest.approx(0.01, rel=0.03)
    low = worlds.World("", low=0.03, outliers=0.0).draw(7, 2000, 0.001).baseline
    assert np.median(low[:, 0] / low[:, 1]) == pytest.approx(0.97, abs=0.001)


def test_published_nights_are_resampled(tmp_path: Path) -> None:
    """Each launch is a night of the file; nights that lack a gate are left out, and a file with too few is refused."""
    path = tmp_path / "nights.csv"
    rows = [f"kimi,{gate},{night},{100 + night}" for night in range(11) for gate in ("a", "b")]
    path.write_text("\n".join(["suite,gate,night,value", *rows, "kimi,a,99,500"]) + "\n", encoding="utf-8")
    world = worlds.Nightlies.read(path)
    draw = world.draw(1, 50, 0.01)
    assert draw.baseline.shape == (50, 5, worlds.GATES)
    assert set(np.round(draw.baseline / worlds.UNIT * 105, 6).ravel()) <= {100.0 + night for night in range(11)}
    assert np.ptp(draw.baseline, axis=2).max() < 1e-9  # both gates have the same nights
    path.write_text("\n".join(["suite,gate,night,value", *rows[:8]]) + "\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="no suite has ten nights with a value of every gate"):
        worlds.Nightlies.read(path)


@pytest.mark.parametrize(
    "design", [Design(3, 1, 5, 6), Design(5, 3, 5, 6), Design(5, 3, 5, 18, paired=True), Design(1, 1, 3, 1)], ids=str
)
def test_the_drops_that_are_looked_up_are_those_of_the_package(design: Design) -> None:
    """To 2e-4 sigma, at limits from the noise floor to far beyond it."""
    for line in (1.5, 2.2, 3.0, 7.0, 25.0):
        assert rules.drop_of(design, line) == pytest.approx(detectable_drop(design, line), abs=2e-4)


def test_true_power_counts_what_the_rule_fails() -> None:
    """The share of one gate's candidates that fail with a drop, against the rule asked one by one."""
    draw = worlds.PLAIN.draw(9, 60, 0.01)
    package = rules.Package()
    rule, limits = package.rules(draw)[0], package.limits(draw)[0][0]
    for drop in (0.0, 0.03, 0.05):
        counted_one_by_one = [
            rule.judge(rules.dropped(values[:3], drop).tolist()).gates[0].judged for values in draw.candidate
        ]
        fails = np.mean([each is not None and each.verdict is Verdict.REGRESSED for each in counted_one_by_one])
        assert rules.true_power(limits, draw.candidate[:, :3, 0], drop) == fails


def test_the_true_drop_is_where_80_percent_fail() -> None:
    """By bisection to 0.05%: the drop fails in 80% of the same runs, and a tenth of a percent less in fewer."""
    draw = worlds.PLAIN.draw(10, 400, 0.01)
    package = rules.Package()
    found = counted.true_drop(package, draw)
    part = draw.first(100)
    taken = ~package(part, 0.0).refused[:, 0]
    assert package(part, found).regressed[taken, 0].mean() >= 0.8
    assert package(part, found - 0.001).regressed[taken, 0].mean() < 0.8


def test_confirmation_only_turns_regressed_into_changed() -> None:
    """The what-if adds launches, and every gate that it does not confirm is one that the environment changed."""
    draw = worlds.DAY_APART.draw(11, 200, 0.01)
    plain, confirmed = rules.Package()(draw, 0.0), rules.Confirmed()(draw, 0.0)
    assert confirmed.changed is not None
    assert ((confirmed.regressed | confirmed.changed) == plain.regressed).all()
    assert not (confirmed.regressed & confirmed.changed).any()
    more = confirmed.launches - plain.launches
    assert ((more >= 1) == plain.regressed.any(axis=1)).all()
    assert more.max() <= 3


def test_every_remedy_is_read_from_the_sentence_that_the_product_prints() -> None:
    """Suites of a sigma of 2% are told must_detect, a median or a tolerance; nothing told is left unread."""
    draw = worlds.PLAIN.draw(12, 80, 0.03)
    reasons = [
        each.judged.reason
        for run, rule in enumerate(rules.Package().rules(draw))
        for each in rule.judge(draw.candidate[run, :3].tolist()).gates
        if each.judged is not None and each.judged.verdict is Verdict.INCONCLUSIVE
    ]
    assert reasons
    for reason in reasons:
        assert re.search(r"set must_detect = 0\.\d+|set a tolerance of [\d.]+%|the median of \d+ launches", reason)
    with rules.fast():
        found = remedies.follow(worlds.PLAIN, 0.03, 80, 12)
    assert set(found) >= {"must_detect", "must_detect, then tolerance", "median of n, baseline as long"}
    assert found["must_detect"].refused == 0
    assert found["must_detect, then tolerance"].still <= found["must_detect"].still


def test_the_table_at_one_setting_is_what_the_docs_say() -> None:
    """Sigma 1%, 400 runs: within four standard errors of docs/noise_derivation.md; better than a fixed tolerance."""
    draw = worlds.PLAIN.draw(7, 400, 0.01)
    with rules.fast():
        seen = counted.count(rules.Package(), draw)
        printed = counted.Printed.by(rules.Package(), draw)
    assert seen.alarms <= 0.01
    assert seen.power[1] == pytest.approx(0.948, abs=0.044)
    assert seen.launches == pytest.approx(1.09, abs=0.06)
    assert printed is not None
    assert printed.drop == pytest.approx(0.039, abs=0.002)
    single = counted.count(others.conventional(lambda given: others.fixed(given, 1, 0.05), 1), draw)
    assert single.alarms > seen.alarms
    assert single.power[1] == pytest.approx(0.5, abs=0.1)


def test_pairs_take_both_sides_of_every_pair() -> None:
    """Five pairs are ten launches, whatever they find; what both sides suffer cancels."""
    draw = worlds.DAY.draw(13, 40, 0.01)
    found = rules.Package(rules.PAIRS)(draw, 0.05)
    assert (found.launches == 10).all()
    slower = replace(draw, candidate=draw.candidate * 0.8, old=draw.old * 0.8)
    assert (rules.Package(rules.PAIRS)(slower, 0.05).regressed == found.regressed).all()
    assert rules.Package(LaunchPolicy()).policy.launches == 3
