"""The measurement error of a point: the half-width of a 90% interval for each figure, or None when it cannot be
estimated.

Input: requests in the order in which they were sent. Requests that run concurrently slow down together, and a slow
phase lasts for seconds, so a hundred requests are far fewer independent samples. Therefore the error is estimated from
the slowest changes in the window, the power of its lowest cosines (U. K. Mueller 2004; E. Lazarus, D. J. Lewis, J. H.
Stock, M. W. Watson 2018, JBES 36, 541: equal-weighted cosines). Changes as long as the window are added from a model:
they decay within 5, 20 or 60 s and make up half or all of the power at frequency zero; each case is weighted by its
likelihood given the cosines. The two lowest cosines alone are a lower bound.

Invariant: no clock, no randomness; the same requests give the same interval."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pytest_precgate.analysis.measure.records import RequestRecord

LEVEL = 0.9
"""The share of points whose interval contains the long-run value of the figure."""
LEAST_REQUESTS = 9
# Lengths of the even sequence (analysis/measure/lengths.py) balance over 2 and over 3 requests: averages of 6 hardly
# vary with them.
_PER_BATCH = 6
_FEW_BATCHES = 4
_FEW_PER_BATCH = 3
_MOST_BATCHES = 48
_MOST_COSINES = 20
_LEAST_COSINES = 2
_CORRELATIONS_S = (5.0, 20.0, 60.0)
_SLOW_SHARES = (0.5, 1.0)
# The mean of n consecutive lengths of the even sequence is off by about this share of their range, divided by n
# (measured: a simulation without noise, concurrency 2 and 16, 11 to 149 requests: 0.7 to 0.9 of half the range in 90%
# of points).
_EVEN_SHARE = 0.6
_NORMAL = statistics.NormalDist().inv_cdf((1 + LEVEL) / 2)
# The variance that remains from rounding when nothing varied.
_NOTHING = 1e-24


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Relative half-widths of the 90% intervals of a point's figures: 0.005 is half a percent to either side."""

    throughput: float
    interactivity: float

    @property
    def worst(self) -> float:
        """The larger of the two."""
        return max(self.throughput, self.interactivity)


def uncertainty(served: Sequence[RequestRecord], even_lengths: bool = True) -> Uncertainty | None:
    """Return the error of throughput (tokens by latency) and of 1 / median tpot of ``served``.

    ``served`` are requests of a closed loop in order of sending. The client chose their lengths: their effect on the
    tokens of a request is not the server's, and decreases with their number when they follow the even sequence, with
    its square root when ``even_lengths`` is False. None when it cannot be estimated: fewer than nine requests, all sent
    within the duration of one, or tokens that all came at once."""
    widths = _by_server(served)
    return None if widths is None else Uncertainty(math.hypot(widths[0], _by_lengths(served, even_lengths)), widths[1])


def foreseen(served: Sequence[RequestRecord], growth: float, slots: int) -> Uncertainty | None:
    """Return the expected error once a window of ``slots`` slots is ``growth`` times as long.

    The server's part decreases with the square root; the part of even lengths with the number of requests, of which a
    window misses the last of each slot. None when ``served`` gives no estimate."""
    widths = _by_server(served)
    if widths is None:
        return None
    then = growth * len(served) + (growth - 1) * slots
    pace, tpot = (width / math.sqrt(growth) for width in widths)
    # More requests cover more of the range of lengths: a fifth more than the first nine.
    return Uncertainty(math.hypot(pace, 1.25 * _by_lengths(served, True) * len(served) / then), tpot)


def _by_server(served: Sequence[RequestRecord]) -> tuple[float, float] | None:
    """The half-widths due to the server, of latency per output token and of tpot."""
    if len(served) < LEAST_REQUESTS:
        return None
    latency_s = statistics.fmean(record.request_latency_s for record in served)
    span_s = (served[-1].sent_s - served[0].sent_s) * len(served) / (len(served) - 1)
    if span_s < latency_s:
        return None
    batches = _batches(served)
    tpots_s = [statistics.median(map(_tpot_s, batch)) for batch in batches]
    if min(tpots_s) == 0:
        return None
    # Latency by output tokens, not tokens by latency: prompt lengths change tokens, and hardly the time.
    paces_s = [sum(r.request_latency_s for r in batch) / sum(r.output_tokens for r in batch) for batch in batches]
    return _half_width(paces_s, span_s, latency_s), _half_width(tpots_s, span_s, latency_s)


def _tpot_s(record: RequestRecord) -> float:
    """The time per token after the first event, which scatters alike for any number of tokens in it; 0 if none
    follow."""
    first = 1 if record.first_tokens is None else record.first_tokens
    return record.tpot_after(first) if first < record.output_tokens else 0.0


def _batches(served: Sequence[RequestRecord]) -> list[Sequence[RequestRecord]]:
    number = min(_MOST_BATCHES, len(served) // _PER_BATCH)
    if number < _FEW_BATCHES:
        number = min(_FEW_BATCHES, len(served) // _FEW_PER_BATCH)
    cuts = [part * len(served) // number for part in range(number + 1)]
    return [served[start:end] for start, end in pairwise(cuts)]


def _by_lengths(served: Sequence[RequestRecord], even: bool) -> float:
    """The half-width due to the lengths alone, of tokens per output token and so of throughput."""
    tokens = [1 + record.input_tokens / record.output_tokens for record in served]
    if even:
        off = _EVEN_SHARE * (max(tokens) - min(tokens)) / len(tokens)
    else:
        off = _NORMAL * statistics.stdev(tokens) / math.sqrt(len(tokens))
    return off / statistics.fmean(tokens)


def _half_width(values: Sequence[float], span_s: float, latency_s: float) -> float:
    """The relative half-width for the mean of ``values``, evenly spaced over ``span_s``, each averaged over a request.

    A mixture of t distributions, one for each model of the changes; as many degrees of freedom as cosines."""
    # A request averages over its latency: cosines faster than one per request contain no slow change.
    cosines = max(_LEAST_COSINES, min(_MOST_COSINES, len(values) - 1, int(span_s / latency_s)))
    powers = _powers(values, cosines)
    if sum(powers) < _NOTHING:
        return 0.0
    models = [_Model(share, tau_s, span_s, latency_s) for share in _SLOW_SHARES for tau_s in _CORRELATIONS_S]
    fits = [model.fit(powers) for model in models]
    best = max(log_likelihood for log_likelihood, _ in fits)
    weights = [math.exp(log_likelihood - best) for log_likelihood, _ in fits]
    scales = [scale for _, scale in fits]
    total = sum(weights)
    inside, outside = 0.0, max(scales)
    while _share_within(outside, scales, weights, cosines) < LEVEL * total:
        inside, outside = outside, 2 * outside
    while outside - inside > 1e-4 * outside:
        middle = (inside + outside) / 2
        if _share_within(middle, scales, weights, cosines) < LEVEL * total:
            inside = middle
        else:
            outside = middle
    # A drift over the whole window is smoother than any of the models, which distribute it over all cosines.
    drift = _NORMAL * math.sqrt(statistics.fmean(powers[:_LEAST_COSINES]))
    return max(outside, drift)


def _share_within(width: float, scales: Sequence[float], weights: Sequence[float], freedom: int) -> float:
    return sum(weight * within_t(width / scale, freedom) for weight, scale in zip(weights, scales, strict=True))


def _powers(values: Sequence[float], number: int) -> list[float]:
    """Squared cosine coefficients 1 to ``number``; for white noise each is as large as the squared error of the
    mean."""
    mean = statistics.fmean(values)
    step = math.pi / len(values)
    return [
        2
        * (sum((value / mean - 1) * math.cos(step * j * (at + 0.5)) for at, value in enumerate(values)) / len(values))
        ** 2
        for j in range(1, number + 1)
    ]


@dataclass(frozen=True)
class _Model:
    """White noise and, with ``share`` of the power at frequency zero, a change that decays within ``tau_s``."""

    share: float
    tau_s: float
    span_s: float
    latency_s: float

    def fit(self, powers: Sequence[float]) -> tuple[float, float]:
        """Return the log likelihood of ``powers``, their common scale integrated out, and the scale of the mean."""
        variances = [self._variance(math.pi * j / self.span_s) for j in range(1, len(powers) + 1)]
        rest = sum(power / variance for power, variance in zip(powers, variances, strict=True))
        log_likelihood = -0.5 * sum(map(math.log, variances)) - 0.5 * len(powers) * math.log(rest)
        return log_likelihood, math.sqrt(self._variance_of_mean * rest / len(powers))

    def _variance(self, omega: float) -> float:
        """Relative to frequency zero: a Lorentzian, smoothed by requests that average over their latency."""
        angle = min(
            omega * self.latency_s / 2, math.pi / 2
        )  # beyond this it would fall to zero, which noise never does
        return 1 - self.share + self.share * (math.sin(angle) / angle) ** 2 / (1 + (omega * self.tau_s) ** 2)

    @property
    def _variance_of_mean(self) -> float:
        """The variance of the mean of an exponentially correlated process over the span, relative to its limit."""
        spans = self.span_s / self.tau_s
        return 1 - self.share + self.share * (1 - (1 - math.exp(-spans)) / spans)


def within_t(width: float, freedom: int) -> float:
    """Return the share of Student's t with ``freedom`` degrees of freedom between -width and width.

    M. Abramowitz, I. A. Stegun 1964, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    theta = math.atan2(width, math.sqrt(freedom))
    square = math.cos(theta) ** 2
    odd = freedom % 2
    total, term = 0.0, math.cos(theta) if odd else 1.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= square * k / (k + 1)
    if odd:
        return 2 / math.pi * (theta + math.sin(theta) * total)
    return math.sin(theta) * total
