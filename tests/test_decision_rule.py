"""The benchmark of the decision rule compares honestly: the other rules are the textbook's, ours is the package's."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

from tests.published import ROOT


@pytest.fixture(scope="module")
def benchmark_module() -> ModuleType:
    """benchmarks/decision_rule.py, which is a script and no package."""
    spec = importlib.util.spec_from_file_location("decision_rule", ROOT / "benchmarks" / "decision_rule.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["decision_rule"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("drop", [0.0, 0.03, 0.06])
def test_welch_and_mann_whitney_are_those_of_scipy(benchmark_module: ModuleType, drop: float) -> None:
    """The drop beyond which a gate fails, written out there, agrees with p < 5% / 6 of scipy's tests on every gate."""
    run = benchmark_module.draw(3, 60, 0.01, "independent")
    before, after = np.log(run.baseline), np.log(run.candidate * (1 - drop))
    shift = -np.log(1 - drop)
    welch = stats.ttest_ind(after, before, axis=1, equal_var=False, alternative="less").pvalue < 0.05 / 6
    ranks = stats.mannwhitneyu(after, before, axis=1, alternative="less", method="exact").pvalue < 0.05 / 6
    assert (welch == (benchmark_module.welch(run) < shift)).all()
    assert (ranks == (benchmark_module.mann_whitney(run) < shift)).all()


def test_the_fixed_tolerance_compares_medians(benchmark_module: ModuleType) -> None:
    """One launch or five: the gate fails when the candidate's median is more than 5% below the baseline's."""
    run = benchmark_module.draw(4, 200, 0.03, "shared")
    for count in (1, 5):
        below = np.median(run.candidate[:, :count], axis=1) < 0.95 * np.median(run.baseline[:, :count], axis=1)
        assert (below == (benchmark_module.fixed(run, count) < 0)).all()


def test_launches_scatter_as_the_table_says(benchmark_module: ModuleType) -> None:
    """Sigma, the share of outliers, and the correlation of the gates of a launch."""
    random = np.random.default_rng(5)
    for noise, common, together in (("independent", 0.0, True), ("shared", 0.7, True), ("apart", 0.0, False)):
        logs = np.log(benchmark_module.launches(random, (8000, 3, 6), 0.01, noise) / benchmark_module.UNIT)
        strays = logs < -0.06
        gate_launches = logs[~strays.any(axis=2)]
        assert gate_launches.std() == pytest.approx(0.01, rel=0.03)
        assert np.corrcoef(gate_launches.T)[0, 1] == pytest.approx(common, abs=0.03)
        assert strays.mean() == pytest.approx(0.05, abs=0.006)
        assert (strays.any(axis=2) == strays.all(axis=2)).all() == together


def test_the_smallest_drop_is_where_the_gate_starts_to_fail(benchmark_module: ModuleType) -> None:
    """By bisection to 0.05%: it fails there, and passes a tenth of a percent before."""
    module = benchmark_module
    run = module.draw(6, 30, 0.01, "shared")
    for index, values in enumerate(run.candidate):
        ruling = module.rulings(run, index, 0.05, module.FIRST_GOOD, (1.0,) * 6)
        smallest = module.smallest_failing(ruling, values)
        assert module.fails(ruling(module.dropped(values, smallest)), 0)
        assert smallest < 0.001 or not module.fails(ruling(module.dropped(values, smallest - 0.001)), 0)


def test_the_table_at_one_setting_is_what_the_docs_say(benchmark_module: ModuleType) -> None:
    """Sigma 1%, shared noise, 400 runs: within four standard errors of docs/noise.md; better than a fixed tolerance."""
    module = benchmark_module
    run = module.draw(7, 400, 0.01, "shared")
    seen = module.package(run, 0.05)
    assert seen.alarms <= 0.01
    assert seen.power[1] == pytest.approx(0.956, abs=0.041)
    assert seen.launches == pytest.approx(1.08, abs=0.06)
    assert seen.minimum_detectable_drop == pytest.approx(0.041, abs=0.003)
    single = module.conventional(module.fixed(run, 1), 1)
    assert single.alarms > seen.alarms
    assert single.power[1] == pytest.approx(0.5, abs=0.1)
