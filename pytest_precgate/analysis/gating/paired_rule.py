"""The launch rule without a stored baseline: baseline side and candidate are launched in turn, and the median of the
pairs decides.

Input: the values of both sides per pair. Output: a ruling per gate. It is for a baseline that is old or was measured on
another machine: what both sides of a pair share cancels."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_precgate.analysis.gating.gate_launches import GateLaunches, independent_gates, noise_of
from pytest_precgate.analysis.gating.gates import Gate
from pytest_precgate.analysis.gating.launch_rule import (
    GateRuling,
    SuiteRuling,
    refuse_misshapen,
    refused,
    with_remedies,
)
from pytest_precgate.analysis.gating.limits import GateLimits, LaunchPolicy
from pytest_precgate.analysis.gating.noise import LEAST_LAUNCHES, GateNoise
from pytest_precgate.analysis.gating.verdict import Absent, judge
from pytest_precgate.analysis.quantity import positive
from pytest_precgate.errors import InvalidValueError


@dataclass(frozen=True)
class PairedRule:
    """The gates of one suite, each with its elasticity (see noise.step_time_elasticity), judged by pairs of
    launches."""

    gates: Sequence[tuple[Gate, float]]
    policy: LaunchPolicy

    def __post_init__(self) -> None:
        object.__setattr__(self, "gates", tuple(self.gates))
        if not self.gates:
            raise InvalidValueError("PairedRule: no gate, so nothing would be judged")
        if self.policy.kind != "pairs":
            raise InvalidValueError(f"PairedRule: got the {self.policy.kind} policy, wanted pairs")

    def judge(self, pairs: Sequence[Sequence[tuple[float | Absent, float | Absent]]]) -> SuiteRuling:
        """Return the ruling after ``pairs``: pairs[i][g] is (baseline value, candidate value) of gate g in pair i.

        Sigma is estimated from these launches, so every pair is needed; only an absent value decides earlier. Raises
        InvalidValueError as SuiteRule.judge does."""
        refuse_misshapen(pairs, len(self.gates), self.policy)
        rulings: list[GateRuling] = []
        whole: dict[int, list[tuple[float, float]]] = {}
        for index, (gate, _) in enumerate(self.gates):
            rulings.append(GateRuling(None, None, len(pairs)))
            whole[index] = []
            for number, (base, value) in enumerate((pair[index] for pair in pairs), 1):
                if gate.record_only or isinstance(base, Absent) or isinstance(value, Absent):
                    rulings[index] = GateRuling(judge(gate, value, base), None, number)
                    del whole[index]
                    break
                whole[index].append((_number(gate, value), _number(gate, base)))
        if len(pairs) == self.policy.launches:
            for index, limits in self._gate_limits(whole).items():
                rulings[index] = _median_pair(limits, whole[index])
        return SuiteRuling(tuple(rulings))

    def _gate_limits(self, whole: Mapping[int, Sequence[tuple[float, float]]]) -> dict[int, GateLimits]:
        """The limits of the gates that have every value.

        The noise of a pair is that of its ratio, or of its two sides taken apart, if that is less: what both sides of a
        pair suffer cancels in the ratio, and with few pairs either may be too large by chance."""
        ratios, sides = [], []
        for index, pairs in whole.items():
            gate, elasticity = self.gates[index]
            ratios.append(GateLaunches(gate.key, [value / base for value, base in pairs], elasticity))
            sides += [GateLaunches(gate.key, side, elasticity) for side in zip(*pairs, strict=True)]
        design = self.policy.design(self.policy.launches, max(1, independent_gates(ratios)))
        if self.policy.launches < LEAST_LAUNCHES:
            centres = [statistics.median(side.values) for side in sides[1::2]]
            return {
                i: self.policy.limits(self.gates[i][0], centre, design, None)
                for i, centre in zip(whole, centres, strict=True)
            }
        of_sides = noise_of(sides)
        each = zip(whole, noise_of(ratios), of_sides[::2], of_sides[1::2], strict=True)
        return {
            i: self.policy.limits(self.gates[i][0], base.centre, design, _of_pair(ratio, candidate, base))
            for i, ratio, candidate, base in each
        }


def _number(gate: Gate, value: float) -> float:
    return positive("PairedRule", "value", value, str(gate.key))


def _of_pair(ratio: GateNoise, candidate: GateNoise, base: GateNoise) -> GateNoise:
    """The noise of a pair's ratio, around the baseline side's centre."""
    sigma = min(ratio.sigma, math.hypot(candidate.sigma, base.sigma))
    return GateNoise(base.centre, sigma, base.launches, max(candidate.set_aside, base.set_aside))


def _median_pair(limits: GateLimits, pairs: Sequence[tuple[float, float]]) -> GateRuling:
    """The median pair decides, its candidate value against its own baseline value."""
    value, base = sorted(pairs, key=lambda pair: limits.gate.gain(*pair))[len(pairs) // 2]
    if limits.refusal is not None:
        return refused(limits, value, len(pairs))
    judged = judge(limits.gate, value, base, limits.fails_beyond)
    return GateRuling(with_remedies(limits, judged), limits, len(pairs))
