"""Curves of a baseline's launches at one price, and the gate values read from them.

Input: a baseline, hardware prices and the cost method. Output: curves and values per launch. Invariant: each launch is
interpolated once and each gate is read once, on first use, so the cost grows linearly with the tests of a suite."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.gating.gate_launches import GateLaunches, SuiteNoise
from pytest_precgate.analysis.gating.gates import GateKey, Metric
from pytest_precgate.analysis.gating.serving import ServedGate
from pytest_precgate.errors import UnreadableCurveError


@dataclass(frozen=True, eq=False)
class LaunchCurves:
    """``curves`` by precision, one per launch; ``read_once`` are the precisions with a single launch from a file.

    ``keys`` are the baseline's gates; a gate of several tests is listed once. ``groups`` tells launches of one day and
    node from those of others, by precision; None where that is not known."""

    curves: Mapping[str, Sequence[Curve]]
    read_once: Collection[str]
    keys: Sequence[GateKey]
    groups: Mapping[str, Sequence[str | None]] = field(default_factory=dict)
    _gate_launches: dict[GateKey, GateLaunches] = field(default_factory=dict, init=False, repr=False)
    _noise_without: dict[frozenset[Metric], SuiteNoise] = field(default_factory=dict, init=False, repr=False)
    _served: dict[GateKey, ServedGate] = field(default_factory=dict, init=False, repr=False)

    def gate_launches(self, key: GateKey) -> GateLaunches:
        """Return the gate's value in every launch.

        The first launch of one precision is compared with the first of the other, and so on; launches without a partner
        are left out. Raises UnreadableCurveError when a launch does not reach the gate's target, or lacks its figure.
        """
        if key not in self._gate_launches:
            self._gate_launches[key] = self._read(key)
        return self._gate_launches[key]

    def served(self, key: GateKey) -> ServedGate:
        """Return the serving points of the gate; raise UnreadableCurveError when a launch does not reach its target, or
        lacks its figure."""
        if key not in self._served:
            self._served[key] = ServedGate.of(key, [self.curves[precision] for precision in key.precisions])
        return self._served[key]

    @cached_property
    def all_gate_launches(self) -> tuple[GateLaunches, ...]:
        """The values of every gate that each launch reaches."""
        found = []
        for key in self.keys:
            with contextlib.suppress(UnreadableCurveError):
                found.append(self.gate_launches(key))
        return tuple(found)

    @cached_property
    def noise(self) -> SuiteNoise:
        """The noise of every gate with enough launches for an estimate."""
        return SuiteNoise.of(self.all_gate_launches)

    def noise_without(self, recorded: frozenset[Metric]) -> SuiteNoise:
        """Return the noise where the gates of ``recorded`` metrics hold nothing."""
        if recorded not in self._noise_without:
            self._noise_without[recorded] = self.noise.without(recorded) if recorded else self.noise
        return self._noise_without[recorded]

    def values(self, keys: Iterable[GateKey]) -> Mapping[GateKey, float]:
        """Return the baseline values of the gates.

        With enough launches these are the centres of their noise, otherwise their medians. Raises UnreadableCurveError
        when a launch does not reach a gate's target."""
        known = self.noise.gates
        return {
            key: known[key].centre if key in known else statistics.median(self.gate_launches(key).values)
            for key in dict.fromkeys(keys)
        }

    def _read(self, key: GateKey) -> GateLaunches:
        most = max(len(self.curves[precision]) for precision in key.precisions)
        sides = [
            [*self.curves[precision]] * most if precision in self.read_once else self.curves[precision]
            for precision in key.precisions
        ]
        launches = list(zip(*sides, strict=False))
        return GateLaunches.read(key, launches, self._groups_of(key, len(launches)))

    def _groups_of(self, key: GateKey, launches: int) -> tuple[str, ...] | None:
        """The group of each launch: that of every precision it is read from, but of those read once from a file.

        Launches of unknown origin are a group of their own, beside known ones: to forget a day lowers no sigma."""
        named = [self.groups.get(name, ()) for name in key.precisions if name not in self.read_once]
        rows = list(zip(*named, strict=False))[:launches]
        if len(rows) < launches or all(label is None for row in rows for label in row):
            return None
        return tuple(" ".join(map(str, row)) for row in rows)
