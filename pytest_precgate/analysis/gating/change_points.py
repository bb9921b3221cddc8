"""Where the level of a series changed: of a gate's values over runs, oldest first.

Input: positive figures. Output: change points, with the level on either side. Invariant: fewer than LEAST values have
none; the order of the values alone counts, not their dates.

The split of a series is where the cumulative sum of deviations from the mean is largest, divided by what noise makes of
it at that place, sqrt(i (m - i) / m) (Sen and Srivastava 1975, Annals of Statistics 3, 98). It is kept while Welch's
test (Biometrika 34, 28, 1947) of both sides has a probability below ALPHA after multiplication by the length, because
any place could have been chosen (Bonferroni). Then both sides are split in the same way (binary segmentation: Scott and
Knott 1974, Biometrics 30, 507). benchmarks/change_points.py has its false alarms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from pytest_precgate.analysis.quantity import count, positive
from pytest_precgate.errors import InvalidValueError

ALPHA = 0.01
"""The probability of any change point in a series that has none, for independent values of normal noise."""

LEAST = 8
"""Fewer values are not split."""

SIDE = 3
"""The least number of values on either side of a change point."""

_NO_NOISE = 1e-9  # of the logarithm: values that are equal in every digit of a file differ by less


@dataclass(frozen=True)
class ChangePoint:
    """The value number ``index`` is the first of a new level. ``before`` and ``after`` are the geometric means of the
    values up to the change points beside it; ``probability`` is that of such a split by chance, over all places."""

    index: int
    before: float
    after: float
    probability: float

    def __post_init__(self) -> None:
        count("ChangePoint", "index", self.index, "values before it")
        for name in ("before", "after"):
            positive("ChangePoint", name, getattr(self, name), "the gate's unit")
        if not 0 <= self.probability < 1:
            raise InvalidValueError(f"ChangePoint.probability: got {self.probability!r}, wanted 0 to below 1")


def change_points(values: Sequence[float]) -> tuple[ChangePoint, ...]:
    """Return the change points of a series, in its order. Raises InvalidValueError for a value that is not positive."""
    logs = [math.log(positive("change_points", "values", value, "the gate's unit")) for value in values]
    found: dict[int, float] = {}
    segments = [(0, len(logs))]
    while segments:
        start, end = segments.pop()
        split = _split(logs[start:end])
        if split is not None:
            index, probability = split
            found[start + index] = probability
            segments += [(start, start + index), (start + index, end)]
    edges = [0, *sorted(found), len(logs)]
    levels = [math.exp(math.fsum(logs[low:high]) / (high - low)) for low, high in pairwise(edges) if high > low]
    return tuple(
        ChangePoint(index, before, after, found[index])
        for index, (before, after) in zip(edges[1:-1], pairwise(levels), strict=True)
    )


def _split(logs: Sequence[float]) -> tuple[int, float] | None:
    """Return where a segment splits, and with which probability by chance; None where it does not."""
    length = len(logs)
    if length < LEAST:
        return None
    mean = math.fsum(logs) / length
    sums = [*accumulate(log - mean for log in logs)]
    index = max(
        range(SIDE, length - SIDE + 1), key=lambda i: sums[i - 1] * sums[i - 1] / (i * (length - i))
    )  # the square of the statistic, without the length, which is the same everywhere
    probability = _welch(logs[:index], logs[index:]) * length
    return (index, probability) if probability < ALPHA else None


def _welch(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the two-sided probability of Welch's test, that both have one mean."""
    from scipy.special import stdtr  # noqa: PLC0415  # loading the plugin imports no scipy

    means = [math.fsum(each) / len(each) for each in (first, second)]
    errors = [
        max(math.fsum((log - mean) ** 2 for log in each) / (len(each) - 1), _NO_NOISE**2) / len(each)
        for each, mean in zip((first, second), means, strict=True)
    ]
    total = sum(errors)
    freedom = total**2 / sum(error**2 / (len(each) - 1) for error, each in zip(errors, (first, second), strict=True))
    return 2 * float(stdtr(freedom, -abs(means[1] - means[0]) / math.sqrt(total)))
