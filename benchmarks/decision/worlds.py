"""Worlds: how launches scatter while nothing changes.

Input: a seed, the number of runs, sigma. Output: launches of a baseline, of a candidate, and of the old state on the
candidate's day. Nothing here differs between baseline and candidate but chance and the day; a rule applies the drop."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

GATES = 6
BASELINE = 5
CANDIDATE = 5
"""Launches drawn of a candidate, and of the old state beside it; most rules use three."""

OUTLIER_RATE, OUTLIER_DROP = 0.05, 0.10
UNIT = 1000.0  # tok/s/GPU; no rule depends on it
# The ratio of the 90th percentile of a log-normal variable to its median is exp(this * s).
_P90 = 1.2816


@dataclass(frozen=True)
class Draw:
    """Values of launches, shape (runs, launches, gates); ``old`` is the old state, measured on the candidate's day."""

    baseline: Numbers
    candidate: Numbers
    old: Numbers

    def first(self, runs: int) -> Draw:
        """Return the first ``runs`` runs."""
        return Draw(self.baseline[:runs], self.candidate[:runs], self.old[:runs])


@dataclass(frozen=True)
class World:
    """How the launches of a suite scatter.

    ``tail``: normal; Student's t with 3 degrees of freedom, the whole launch at once; or only to the slow side.
    ``share``: of the variance, what all gates of a launch have in common. ``outliers``: the share of launches that are
    10% low. ``chain``: correlation of one launch with the next. ``day``: the standard deviation of a day's effect, in
    sigma, common to the gates if ``day_shared``; ``days``: every launch of the baseline has a day of its own.
    ``spread``: how many times as noisy as the quietest gate the loudest is (root mean square 1; the affected gate is in
    the middle). ``low``: one launch of the baseline is lower by this share. ``published``: sigma differs from suite to
    suite, log-normally, with this median and this 90th percentile."""

    name: str
    tail: Literal["normal", "t3", "slow"] = "normal"
    share: float = 0.7
    outliers: float = OUTLIER_RATE
    chain: float = 0.0
    day: float = 0.0
    day_shared: bool = True
    days: bool = False
    spread: float = 1.0
    low: float = 0.0
    published: tuple[float, float] | None = None

    @property
    def is_measured(self) -> bool:
        """Whether the data say how large sigma is."""
        return self.published is not None

    def draw(self, seed: int, runs: int, sigma: float, baseline: int = BASELINE, gates: int = GATES) -> Draw:
        """Return seeded runs; every rule is shown the same ones."""
        random = np.random.default_rng(seed)
        scale = sigma * self._gate_scales(gates) * np.ones((runs, 1, 1))
        if self.published is not None:
            median, high = self.published
            scale = median * np.exp(math.log(high / median) / _P90 * random.standard_normal((runs, 1, 1)))
        today = self._day(random, (runs, 1, gates))
        held = self._day(random, (runs, baseline if self.days else 1, gates))
        sides = []
        for launches, day in ((baseline, held), (CANDIDATE, today), (CANDIDATE, today)):
            noise = self._chained(self._unit(random, (runs, launches, gates)))
            far = random.random((runs, launches, 1)) < self.outliers
            sides.append(UNIT * np.exp(scale * (noise + day)) * np.where(far, 1 - OUTLIER_DROP, 1.0))
        sides[0][:, 0] *= 1 - self.low
        return Draw(*sides)

    def _unit(self, random: np.random.Generator, shape: tuple[int, int, int]) -> Numbers:
        """Launches with a standard deviation of 1."""
        each = (*shape[:2], 1)
        common, own = random.standard_normal(each), random.standard_normal(shape)
        if self.tail == "slow":
            common, own = (-np.abs(part) / math.sqrt(1 - 2 / math.pi) for part in (common, own))
        noise = math.sqrt(self.share) * common + math.sqrt(1 - self.share) * own
        return noise / np.sqrt(random.chisquare(3, each)) if self.tail == "t3" else noise

    def _chained(self, noise: Numbers) -> Numbers:
        for launch in range(1, noise.shape[1] if self.chain else 0):
            noise[:, launch] = self.chain * noise[:, launch - 1] + math.sqrt(1 - self.chain**2) * noise[:, launch]
        return noise

    def _day(self, random: np.random.Generator, shape: tuple[int, int, int]) -> Numbers:
        return self.day * random.standard_normal((*shape[:2], 1) if self.day_shared else shape)

    def _gate_scales(self, gates: int) -> Numbers:
        factors = np.geomspace(1.0, self.spread, gates)
        return np.asarray(np.roll(factors, -(gates // 2)) / np.sqrt(np.mean(factors**2)))


@dataclass(frozen=True)
class Nightlies(World):
    """Published nights of suites, resampled: every launch is a night, drawn with replacement.

    ``logs`` holds for each suite the logarithms of its gates, shape (nights, gates)."""

    logs: tuple[Numbers, ...] = field(default=(), repr=False)

    @property
    def is_measured(self) -> bool:
        """As published."""
        return True

    @staticmethod
    def read(path: Path) -> Nightlies:
        """Read a CSV with the columns suite, gate, night, value; suites with fewer than ten whole nights are left
        out."""
        values: dict[str, dict[str, dict[str, float]]] = {}
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                values.setdefault(line["suite"], {}).setdefault(line["night"], {})[line["gate"]] = float(line["value"])
        suites = [_whole(nights) for nights in values.values()]
        logs = tuple(each for each in suites if len(each) >= 10)
        if not logs:
            raise SystemExit(f"{path}: no suite has ten nights with a value of every gate")
        return Nightlies(f"published nights of {len(logs)} suites", logs=logs)

    def draw(self, seed: int, runs: int, sigma: float, baseline: int = BASELINE, gates: int = GATES) -> Draw:
        """Return runs of a suite drawn at random, ``gates`` of its gates; ``sigma`` does not matter."""
        del sigma
        random = np.random.default_rng(seed)
        sides = [np.empty((runs, launches, gates)) for launches in (baseline, CANDIDATE, CANDIDATE)]
        for run in range(runs):
            logs = self.logs[random.integers(len(self.logs))]
            chosen = random.choice(logs.shape[1], gates, replace=logs.shape[1] < gates)
            for side in sides:
                side[run] = UNIT * np.exp(logs[random.integers(len(logs), size=side.shape[1])][:, chosen])
        return Draw(*sides)


def _whole(nights: Mapping[str, Mapping[str, float]]) -> Numbers:
    """The logarithms of the nights that have every gate, around their medians."""
    gates = sorted({gate for night in nights.values() for gate in night})
    rows = [[math.log(night[gate]) for gate in gates] for night in nights.values() if len(night) == len(gates)]
    return np.array(rows) - np.median(rows, axis=0) if rows else np.empty((0, len(gates)))


QUIET = World("normal, no outliers", outliers=0.0)
PLAIN = World("normal, 5% outliers of -10%")
APART = World("the same, gates independent", share=0.0)
DAY = World("day effect of 1 sigma", day=1.0)
DAY_APART = World("day effect of 1, not shared", day=1.0, day_shared=False)
WORLDS = (
    QUIET,
    PLAIN,
    APART,
    World("t, 3 degrees of freedom", tail="t3", outliers=0.0),
    World("slow side only", tail="slow", outliers=0.0),
    World("AR(1) 0.8 from launch to launch", chain=0.8),
    World("day effect of 0.5 sigma", day=0.5),
    DAY,
    DAY_APART,
    World("day effect of 1, baseline of 5 days", day=1.0, days=True),
    World("day effect of 2 sigma", day=2.0),
    World("day effect of 2, not shared", day=2.0, day_shared=False),
    World("gates 1 to 10 times as noisy", spread=10.0),
    World("a launch of -3% in the baseline", low=0.03),
    World("a launch of -10% in the baseline", low=0.10),
)
PUBLISHED = World("sigma as on published nights", published=(0.015, 0.052))
"""The standard deviation of a gate over InferenceX's public B200 nights of December 2025: 1.5% in the median, 5.2% at
the 90th percentile."""
