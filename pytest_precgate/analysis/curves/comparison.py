"""Compares two precisions at the same interactivity.

Input: two sweeps and prices. Output: a curve per sweep (through its frontier), and rows that hold both curves read at
one target. Invariant: outside the band that both curves share there is no row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from pytest_precgate.analysis.curves.economics import (
    Hardware,
    cost_per_million_tokens,
    hardware_named,
    tokens_per_second_per_megawatt,
)
from pytest_precgate.analysis.curves.frontier import frontier
from pytest_precgate.analysis.curves.interpolation import MonotoneCubic
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.quantity import count, one_line, positive
from pytest_precgate.errors import InvalidValueError, NotMeasuredError, SweepMismatchError

CostMode = Literal["derived", "interpolated"]
COST_MODES: tuple[CostMode, ...] = ("derived", "interpolated")
Wording = Literal["ratios", "published"]
"""How a row is put into words: by its ratios, or in the sentences of the published page."""
WORDINGS: tuple[Wording, ...] = ("ratios", "published")


@dataclass(frozen=True)
class Reading:
    """One precision read at one interactivity (tok/s/user).

    throughput_per_gpu in tok/s/GPU, cost in $ per million tokens, concurrency rounded to whole requests."""

    precision: str
    throughput_per_gpu: float
    cost: float
    tokens_per_second_per_megawatt: float
    concurrency: int

    def __post_init__(self) -> None:
        one_line("Reading", "precision", self.precision)
        positive("Reading", "throughput_per_gpu", self.throughput_per_gpu, "tok/s/GPU")
        positive("Reading", "cost", self.cost, "$ per million tokens")
        positive("Reading", "tokens_per_second_per_megawatt", self.tokens_per_second_per_megawatt, "tok/s/MW")
        count("Reading", "concurrency", self.concurrency, "requests")


@dataclass(frozen=True)
class Curve:
    """The frontier of one sweep as a function of interactivity, at one price.

    ``cost="derived"`` computes the cost from the interpolated throughput, so that cost * throughput = price;
    ``"interpolated"`` runs the curve through the cost values themselves, as the published page did until
    August 2026. Raises InvalidValueError when the frontier holds fewer than two points.
    """

    sweep: Sweep
    hardware: Hardware
    cost: CostMode = "derived"

    def __post_init__(self) -> None:
        if self.cost not in COST_MODES:
            raise InvalidValueError(f"Curve.cost: got {self.cost!r}, wanted one of {', '.join(COST_MODES)}")
        if self.sweep.hardware != self.hardware.name:
            raise SweepMismatchError(
                f"the {self.sweep.precision} sweep ran on {self.sweep.hardware}, the price is for {self.hardware.name}"
            )
        self._throughput  # noqa: B018  # a curve that cannot be drawn is refused when built, not when read

    @cached_property
    def frontier(self) -> tuple[SweepPoint, ...]:
        """The points the curve runs through, by rising interactivity."""
        return frontier(self.sweep.points)

    @property
    def span(self) -> tuple[float, float]:
        """The measured range of interactivity, tok/s/user."""
        return self.frontier[0].interactivity, self.frontier[-1].interactivity

    def _through(self, values: list[float]) -> MonotoneCubic:
        return MonotoneCubic([point.interactivity for point in self.frontier], values, self.sweep.precision)

    @cached_property
    def _throughput(self) -> MonotoneCubic:
        return self._through([point.throughput_per_gpu for point in self.frontier])

    @cached_property
    def _concurrency(self) -> MonotoneCubic:
        return self._through([float(point.concurrency) for point in self.frontier])

    @cached_property
    def _cost(self) -> MonotoneCubic:
        price = self.hardware.price_per_gpu_hour
        return self._through([cost_per_million_tokens(price, point.throughput_per_gpu) for point in self.frontier])

    def figure(self, name: str, interactivity: float) -> float:
        """Return a figure of the points' details at ``interactivity``, interpolated along the frontier like the rest.

        Raises OutsideSweepError off the measured range, NotMeasuredError where a point of the frontier lacks it or the
        curve has no value above zero there."""
        value = self._figure(name).at(interactivity)
        if not value > 0:
            raise NotMeasuredError(self.sweep.precision, f"a {name} above 0", f"{interactivity:g} tok/s/user")
        return value

    def _figure(self, name: str) -> MonotoneCubic:
        if name not in self._figures:
            values = [point.figure(name) for point in self.frontier]
            known = [value for value in values if value is not None]
            if len(known) < len(values):
                lacking = self.frontier[values.index(None)]
                where = f"{lacking.configuration} concurrency {lacking.concurrency}"
                raise NotMeasuredError(self.sweep.precision, name, where)
            self._figures[name] = self._through(known)
        return self._figures[name]

    @cached_property
    def _figures(self) -> dict[str, MonotoneCubic]:
        return {}

    def throughput(self, interactivity: float) -> float:
        """Return the throughput at ``interactivity``, tok/s/GPU; raise OutsideSweepError off the measured range."""
        return self._throughput.at(interactivity)

    def at(self, interactivity: float) -> Reading:
        """Read the curve at ``interactivity`` tok/s/user; raise OutsideSweepError off the measured range."""
        throughput = self._throughput.at(interactivity)
        if self.cost == "derived":
            cost = cost_per_million_tokens(self.hardware.price_per_gpu_hour, throughput)
        else:
            cost = self._cost.at(interactivity)
        return Reading(
            precision=self.sweep.precision,
            throughput_per_gpu=throughput,
            cost=cost,
            tokens_per_second_per_megawatt=tokens_per_second_per_megawatt(throughput, self.hardware.power_kw_per_gpu),
            concurrency=round(self._concurrency.at(interactivity)),
        )


def percent_more(larger: float, smaller: float) -> int:
    """Return by how many whole percent ``larger`` exceeds ``smaller``, rounded as in the published wording."""
    return round((larger / smaller - 1) * 100)


@dataclass(frozen=True)
class Row:
    """Both precisions read at one interactivity; ratios are candidate / reference, ``says`` is how ``wording`` puts
    them."""

    interactivity: float
    candidate: Reading
    reference: Reading
    says: Wording = "ratios"

    @property
    def throughput_ratio(self) -> float:
        """Candidate tok/s/GPU per reference tok/s/GPU; above 1 the candidate delivers more."""
        return self.candidate.throughput_per_gpu / self.reference.throughput_per_gpu

    @property
    def cost_ratio(self) -> float:
        """Candidate $ per reference $; below 1 the candidate is cheaper."""
        return self.candidate.cost / self.reference.cost

    @property
    def wording(self) -> str:
        """The row in words, as ``says`` asks."""
        if self.says == "published":
            return self._published_wording
        first, second = (reading.precision.upper() for reading in (self.candidate, self.reference))
        percent = round((self.cost_ratio - 1) * 100)
        share = f"{abs(percent)}% {'more' if percent > 0 else 'less'}" if percent else "the same"
        return (
            f"{first} costs {self.cost_ratio:.3f}x of {second} per token ({share}) and delivers "
            f"{self.throughput_ratio:.2f}x its tok/s/GPU"
        )

    @property
    def _published_wording(self) -> str:
        """The two sentences of the published page; each names the precision that is better.

        By how many percent the dearer one is dearer stands there as how much cheaper the other one is, so that it may
        exceed 100%."""
        cheap, dear = sorted((self.candidate, self.reference), key=lambda reading: reading.cost)
        more, less = sorted((self.candidate, self.reference), key=lambda reading: -reading.throughput_per_gpu)
        return (
            f"{cheap.precision.upper()} is {percent_more(dear.cost, cheap.cost)}% cheaper per token; "
            f"{more.precision.upper()} delivers {percent_more(more.throughput_per_gpu, less.throughput_per_gpu)}% "
            "more tok/s/GPU"
        )


@dataclass(frozen=True)
class Comparison:
    """Two curves of one workload on one hardware, and how its rows are put into words. Build it with :func:`compare`.

    Raises SweepMismatchError when they cannot be compared, or share no interactivity."""

    candidate: Curve
    reference: Curve
    wording: Wording = "ratios"

    def __post_init__(self) -> None:
        if self.wording not in WORDINGS:
            raise InvalidValueError(f"Comparison.wording: got {self.wording!r}, wanted one of {', '.join(WORDINGS)}")
        ours, theirs = self.candidate.sweep, self.reference.sweep
        if ours.precision == theirs.precision:
            raise SweepMismatchError(
                f"both sweeps are called {ours.precision!r}; a comparison needs two different names"
            )
        for what, got, wanted in (
            ("workload", ours.workload, theirs.workload),
            ("hardware", ours.hardware, theirs.hardware),
            ("axis", ours.axis, theirs.axis),
            ("price", self.candidate.hardware, self.reference.hardware),
            ("cost", self.candidate.cost, self.reference.cost),
        ):
            if got != wanted:
                raise SweepMismatchError(f"{what} differs: {ours.precision} has {got}, {theirs.precision} has {wanted}")
        low, high = self.band
        if low > high:
            raise SweepMismatchError(
                "the curves share no interactivity: "
                + " and ".join(
                    f"{curve.sweep.precision} was measured from {curve.span[0]:.4g} to {curve.span[1]:.4g} tok/s/user"
                    for curve in (self.candidate, self.reference)
                )
                + "; measure concurrencies that overlap"
            )

    @property
    def hardware(self) -> Hardware:
        """The hardware, price and power of both curves."""
        return self.candidate.hardware

    @property
    def curves(self) -> dict[str, Curve]:
        """Both curves by precision, candidate first."""
        return {curve.sweep.precision: curve for curve in (self.candidate, self.reference)}

    @property
    def band(self) -> tuple[float, float]:
        """The interactivity range that both curves cover, tok/s/user, unrounded."""
        return max(self.candidate.span[0], self.reference.span[0]), min(self.candidate.span[1], self.reference.span[1])

    def quartile_points(self) -> tuple[int, int, int]:
        """Return the band's quartiles, rounded to whole tok/s/user as published.

        Raises SweepMismatchError when the band is too narrow for three different whole numbers."""
        low, high = self.band
        first, second, third = (round(low + (high - low) * share) for share in (0.25, 0.5, 0.75))
        if not math.ceil(low) <= first < second < third <= math.floor(high):
            raise SweepMismatchError(
                f"the shared band {low:.4g} to {high:.4g} tok/s/user is too narrow for quartile points; name the points"
            )
        return first, second, third

    def at(self, interactivity: float) -> Row:
        """Read both curves at ``interactivity`` tok/s/user; raise OutsideSweepError off either's range."""
        return Row(interactivity, self.candidate.at(interactivity), self.reference.at(interactivity), self.wording)


def compare(
    candidate: Sweep,
    reference: Sweep,
    *,
    hardware: Hardware | None = None,
    cost: CostMode = "derived",
    wording: Wording = "ratios",
) -> Comparison:
    """Compare two sweeps of one workload on one hardware, candidate first.

    ``hardware`` gives price and power; by default the built-in row for the sweep's hardware is used. Raises
    SweepMismatchError when the sweeps cannot be compared, InvalidValueError for a hardware without price."""
    if candidate.hardware != reference.hardware:
        raise SweepMismatchError(
            f"different hardware, cannot be compared: {candidate.precision} ran on {candidate.hardware}, "
            f"{reference.precision} on {reference.hardware}"
        )
    priced = hardware_named(candidate.hardware) if hardware is None else hardware
    return Comparison(Curve(candidate, priced, cost), Curve(reference, priced, cost), wording)
