"""The decision rule as a user meets it: pytest on simulated engines, counted beside what the noise model predicts.

    python benchmarks/end_to_end.py [--suites 200] [--seed 0] [--sigma 0.004]

Every suite is a repository of its own: FP4 and INT4 on the simulated engine, whose launches differ in pace by `sigma`;
one in twenty is an outlier. Its baseline is recorded with --precgate-update. Then the gate runs with another seed of
the engine, unchanged and with FP4's steps made longer. All of it is pytest with the plugin: settings, journal, baseline
file, exit status and JSON report.

The prediction runs no pytest, no scheduler and no file. It draws paces, turns each into the value of every gate by a
table measured once without noise, adds the scatter that a short launch has by itself, and asks the package's rule."""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest

from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.gating.gates import TOLERANCE, Gate
from pytest_precgate.analysis.gating.launch_rule import GateBaseline, SuiteRule
from pytest_precgate.analysis.gating.limits import LaunchPolicy
from pytest_precgate.analysis.gating.noise import step_time_elasticity
from pytest_precgate.analysis.gating.verdict import Verdict
from pytest_precgate.engines.simulated import SimulatedEngine
from pytest_precgate.engines.simulated.model import Noise
from pytest_precgate.settings import load

Numbers = NDArray[np.float64]

PRECISIONS = ("fp4", "int4")
OUTLIER_RATE, OUTLIER_DROP = 0.05, 0.04  # 4% of the pace is 10% of the throughput at an interactivity
STEP_SIGMA = 0.01
BASELINE, ATTEMPTS = 5, 3  # the settings' defaults, spelt out for the prediction
SLOWDOWN, DROPS = 0.08, (0.03, 0.05)
PREDICTED_PER_SUITE = 20
COUNTED = (Verdict.REGRESSED, Verdict.INCONCLUSIVE)
SETTINGS = """\
[tool.precgate.suites.kimi]
hardware = "b200"
workload = {{ isl = 256, osl = 256, range_ratio = 0.8 }}
interactivity = [65, 85]

[tool.precgate.suites.kimi.fp4]
engine = "simulated"
calibration = "kimi-k2.5-b200-fp4-tp4"
concurrency = [4, 8, 16, 32]
requests_per_slot = 40
seed = {seed}
slowdown = {slowdown!r}
noise = {noise}

[tool.precgate.suites.kimi.int4]
engine = "simulated"
calibration = "kimi-k2.5-b200-int4-tp8"
concurrency = [4, 8, 16, 32]
requests_per_slot = 40
seed = {seed}
noise = {noise}
"""
NOISE = "{{ launch_sigma = {sigma!r}, step_sigma = {step!r}, outlier_rate = {rate!r}, outlier_drop = {drop!r} }}"
TEST = "def test_fp4_pays_off(precgate):\n    precgate.check(precgate.compare('fp4', 'int4'))\n"
# Several sessions share a process, so nothing of pytest's own may be kept from one to the next.
QUIET = ("--assert=plain", "--import-mode=importlib", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly")


def settings(seed: int, sigma: float, slowdown: float) -> str:
    """Return a repository's pyproject.toml."""
    noise = NOISE.format(sigma=sigma, step=STEP_SIGMA, rate=OUTLIER_RATE, drop=OUTLIER_DROP)
    return SETTINGS.format(seed=seed, slowdown=slowdown, noise=noise)


# --- what pytest finds ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """A suite after one run: the verdict it counts under, and the launches that took."""

    verdict: Verdict
    launches: int


@dataclass(frozen=True)
class Report:
    """What a report states of every gate, as shares: sigma, noise floor, smallest drop caught and its upper end."""

    sigma: Sequence[float]
    floor: Sequence[float]
    catches: Sequence[float]
    upper: Sequence[float]


@dataclass(frozen=True)
class Found:
    """One run of pytest."""

    outcome: Outcome
    report: Report


def session(directory: Path, *arguments: str) -> tuple[int, Mapping[str, Any]]:
    """Run pytest in ``directory`` as its user would; return its exit status and the JSON report."""
    said, report = directory / "said.txt", directory / "found.json"
    os.chdir(directory)
    with said.open("w", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        status = pytest.main([*QUIET, f"--rootdir={directory}", f"--precgate-json={report}", *arguments])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RuntimeError(f"pytest ended with {status!r}:\n{said.read_text(encoding='utf-8')}")
    return int(status), json.loads(report.read_text(encoding="utf-8"))


def found_in(status: int, report: Mapping[str, Any]) -> Found:
    """Return what one run found; its exit status and its verdicts must tell the same."""
    (check,) = report["checks"]
    gates = check["gates"]
    verdict = worst([Verdict[gate["verdict"]] for gate in gates])
    if (status == 0) is not verdict.passes or report["problems"]:
        raise RuntimeError(f"exit status {status} with {verdict}, problems {report['problems']}")
    stated = (
        [gate[key] for gate in gates]
        for key in ("sigma", "noise_floor", "minimum_detectable_drop", "largest_detectable_drop")
    )
    return Found(Outcome(verdict, max(1, *(gate["launches"] for gate in gates))), Report(*stated))


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict a suite counts under: REGRESSED, else what else blocks it, else PASS."""
    if Verdict.REGRESSED in verdicts:
        return Verdict.REGRESSED
    return next((verdict for verdict in verdicts if not verdict.passes), Verdict.PASS)


def one_suite(seed: int, sigma: float, slowdowns: Sequence[float]) -> list[Found]:
    """Record one baseline and hold a candidate against it at every slowdown; the candidates share their seed."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary).resolve()
        (directory / "test_gate.py").write_text(TEST, encoding="utf-8")
        project = directory / "pyproject.toml"
        project.write_text(settings(2 * seed, sigma, 0.0), encoding="utf-8")
        status, _ = session(directory, "--precgate-update")
        if status != 0:
            raise RuntimeError((directory / "said.txt").read_text(encoding="utf-8"))
        found = []
        for slowdown in slowdowns:
            project.write_text(settings(2 * seed + 1, sigma, slowdown), encoding="utf-8")
            found.append(found_in(*session(directory)))
        os.chdir("/")
    return found


# --- what the model predicts ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Model:
    """The suite in numbers, points in the settings' order.

    ``logs[precision][i, p]`` is the logarithm of the throughput at point p when every step takes exp(``paces[i]``)
    times as long; ``short[precision]`` the covariance of the points from launch to launch at one pace."""

    gates: Sequence[Gate]
    points: Sequence[float]
    elasticities: Sequence[float]
    paces: Numbers
    logs: Mapping[str, Numbers]
    short: Mapping[str, Numbers]
    sigma: float
    outlier_rate: float = OUTLIER_RATE

    def launches(self, random: np.random.Generator, count: int, slowdown: float = 0.0) -> Numbers:
        """Return the value of every gate in ``count`` fresh launches, shape (launches, gates)."""
        read = {}
        for precision in PRECISIONS:
            strays = random.random(count) < self.outlier_rate
            paces = self.sigma * random.standard_normal(count) - np.where(strays, math.log1p(-OUTLIER_DROP), 0.0)
            own = random.multivariate_normal(np.zeros(len(self.points)), self.short[precision], count)
            read[precision] = own + self._at(precision, paces + math.log1p(slowdown if precision == "fp4" else 0.0))
        return self._values(read)

    def true_drops(self, slowdown: float) -> Numbers:
        """Return by which share every gate falls when FP4 is slower."""
        paces = {"fp4": np.log1p([0.0, slowdown]), "int4": np.zeros(2)}
        before, after = self._values({precision: self._at(precision, each) for precision, each in paces.items()})
        return np.asarray(1 - after / before)

    def slowdown(self, drop: float) -> float:
        """Return the slowdown at which FP4's throughput falls by ``drop``, averaged over the points."""
        lost = 1 - np.exp(self.logs["fp4"] - self._at("fp4", np.zeros(1))).mean(axis=1)
        return round(math.expm1(float(np.interp(drop, lost, self.paces))), 4)

    def rule(self, baseline: Numbers) -> SuiteRule:
        """Return the package's rule for these gates and one baseline."""
        held = zip(self.gates, baseline.T.tolist(), self.elasticities, strict=True)
        return SuiteRule([GateBaseline(*each) for each in held], LaunchPolicy("first-good", ATTEMPTS))

    def _at(self, precision: str, paces: Numbers) -> Numbers:
        return np.stack([np.interp(paces, self.paces, column) for column in self.logs[precision].T], axis=1)

    def _values(self, read: Mapping[str, Numbers]) -> Numbers:
        columns = []
        for gate in self.gates:
            first, *second = (
                read[precision][:, self.points.index(gate.key.point)] for precision in gate.key.precisions
            )
            columns.append(first - sum(second))
        return np.exp(np.stack(columns, axis=1))


def model_of(sigma: float, short_launches: int) -> Model:
    """Measure on the engine what the prediction needs: a table without noise, and some launches at one pace."""
    with tempfile.TemporaryDirectory() as temporary:
        (Path(temporary) / "pyproject.toml").write_text(settings(0, sigma, 0.0), encoding="utf-8")
        suite = load(Path(temporary)).suites["kimi"]
    points = suite.points
    assert points is not None
    slowest = 4 * sigma + math.log1p(SLOWDOWN) - math.log1p(-OUTLIER_DROP)
    paces = np.linspace(-4 * sigma, slowest, 8).astype(np.float64)

    def curve(precision: str, noise: Noise, seed: int = 0) -> Curve:
        (spec,) = suite.configurations(precision)
        assert isinstance(spec, SimulatedEngine)
        engine = replace(spec, noise=noise, seed=seed)
        return Curve(engine.sweep(precision, suite.workload, suite.hardware.name), suite.hardware)

    def logs(curves: Iterable[Curve]) -> Numbers:
        return np.log([[curve.at(point).throughput_per_gpu for point in points] for curve in curves])

    def gate_launches(launches: Numbers) -> Numbers:
        return np.cov(launches.T).astype(np.float64)

    plain = {precision: curve(precision, Noise()) for precision in PRECISIONS}
    gates = suite.gates_for(*PRECISIONS, points)
    return Model(
        gates=gates,
        points=points,
        elasticities=[
            step_time_elasticity([[plain[name] for name in gate.key.precisions]], gate.key.point) for gate in gates
        ],
        paces=paces,
        logs={name: logs(curve(name, Noise(slowdown=math.expm1(pace))) for pace in paces) for name in PRECISIONS},
        short={
            name: gate_launches(logs(curve(name, Noise(step_sigma=STEP_SIGMA), seed) for seed in range(short_launches)))
            for name in PRECISIONS
        },
        sigma=sigma,
    )


def predicted(model: Model, slowdowns: Sequence[float], runs: int, random: np.random.Generator) -> list[list[Outcome]]:
    """Return what the rule makes of ``runs`` suites drawn from the model, by slowdown."""
    found: list[list[Outcome]] = [[] for _ in slowdowns]
    for _ in range(runs):
        rule = model.rule(model.launches(random, BASELINE))
        for outcomes, slowdown in zip(found, slowdowns, strict=True):
            gates = rule.judge(model.launches(random, ATTEMPTS, slowdown).tolist()).gates
            verdict = worst([gate.judged.verdict for gate in gates if gate.judged is not None])
            outcomes.append(Outcome(verdict, max(1, *(gate.launches for gate in gates))))
    return found


# --- tables ---------------------------------------------------------------------------------------------------------


def gates_table(
    model: Model, reports: Sequence[Report], slowdowns: Sequence[float], random: np.random.Generator
) -> None:
    """Print how much every gate scatters, what the runs made of that, and what slower steps cost it."""
    normal = replace(model, outlier_rate=0.0)
    sigmas, short = (
        np.std(np.log(each.launches(random, 4000)), axis=0) for each in (normal, replace(normal, sigma=0.0))
    )
    drops = [model.true_drops(slowdown) for slowdown in slowdowns]
    print("gates, percent; sigma: of a launch that is no outlier; short: what its shortness alone makes of that;")
    print("stated, floor, catches: means of sigma, noise floor, smallest drop and its upper end in the reports")
    slower = "".join(f"{f'{100 * slowdown:g}% slower':>14}" for slowdown in slowdowns)
    print(f"{'gate':<44}{'sigma':>7}{'short':>7}{'stated':>8}{'floor':>7}{'catches':>13}{slower}")
    for index, gate in enumerate(model.gates):
        stated, floor, catches, upper = (
            100 * fmean(getattr(each, name)[index] for each in reports)
            for name in ("sigma", "floor", "catches", "upper")
        )
        lost = "".join(f"{100 * each[index]:>14.1f}" for each in drops)
        print(
            f"{gate.key!s:<44}{100 * sigmas[index]:>7.2f}{100 * short[index]:>7.2f}{stated:>8.2f}{floor:>7.1f}"
            f"{f'{catches:.1f} to {upper:.1f}':>13}{lost}"
        )
    print()


def suites_table(names: Sequence[str], found: Sequence[Sequence[Outcome]], model: Sequence[Sequence[Outcome]]) -> None:
    """Print how many suites came to which verdict, with the exact 95% interval, beside the prediction."""
    print(
        f"suites through pytest, with the exact 95% interval; predicted from {len(model[0])} suites; mean launches used"
    )
    print(f"{'FP4':<14}{'verdict':<14}{'suites':>11}{'percent':>22}{'predicted':>11}{'launches':>10}{'predicted':>11}")
    for name, ours, theirs in zip(names, found, model, strict=True):
        launches = "".join(f"{fmean(each.launches for each in side):>{w}.2f}" for side, w in ((ours, 10), (theirs, 11)))
        seen = {each.verdict for each in (*ours, *theirs)} - {*COUNTED, Verdict.PASS}
        for verdict in (*COUNTED, *sorted(seen, key=str)):
            count, expected = (sum(each.verdict is verdict for each in side) for side in (ours, theirs))
            low, high = binomtest(count, len(ours)).proportion_ci()
            shown = f"{100 * count / len(ours):.1f} ({100 * low:.1f} to {100 * high:.1f})"
            line = f"{f'{count} of {len(ours)}':>11}{shown:>22}{100 * expected / len(theirs):>11.1f}"
            print(f"{name:<14}{verdict!s:<14}{line}{launches}")
            name = launches = ""  # noqa: PLW2901  # once a group


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the first suite")
    parser.add_argument("--sigma", type=float, default=0.004, help="of the pace from launch to launch")
    options = parser.parse_args()
    model = model_of(options.sigma, max(4, options.suites // 4))
    slowdowns = [0.0, *(model.slowdown(drop) for drop in DROPS), SLOWDOWN]
    seeds = range(options.seed, options.seed + options.suites)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        measured = list(pool.map(partial(one_suite, sigma=options.sigma, slowdowns=slowdowns), seeds))
    random = np.random.default_rng(options.seed)
    print(
        f"SIMULATED: {options.suites} suites from seed {options.seed} on, {len(model.gates)} gates each;\n"
        f"launches differ in pace by {100 * options.sigma:g}% (sigma), {100 * OUTLIER_RATE:g}% are outliers, "
        f"{100 * OUTLIER_DROP:g}% slower; {BASELINE} baseline launches,\nup to {ATTEMPTS} of the candidate, "
        f"tolerance {100 * TOLERANCE:g}% (the default)\n"
    )
    gates_table(model, [suite[0].report for suite in measured], slowdowns[1:], random)
    names = ["unchanged", *(f"{100 * slowdown:g}% slower" for slowdown in slowdowns[1:])]
    found = [[suite[index].outcome for suite in measured] for index in range(len(slowdowns))]
    suites_table(names, found, predicted(model, slowdowns, PREDICTED_PER_SUITE * options.suites, random))


if __name__ == "__main__":
    main()
