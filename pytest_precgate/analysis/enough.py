"""When a point has been measured long enough: when the standard errors of its figures, estimated from the point itself,
are as small as asked for, and not at a fixed number of requests.

Requests that run side by side slow down together, so they are no independent samples. Means of batches of consecutive
requests nearly are (R. W. Conway 1963, Management Science 10, 47: batch means)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from pytest_precgate.analysis.quantity import count, positive
from pytest_precgate.analysis.records import RequestRecord
from pytest_precgate.analysis.window import end_of_ramp
from pytest_precgate.errors import InvalidValueError

BATCHES = 10
_LEAST_PER_BATCH = 3
# Requests that all began before the first of them ended have seen one moment of the server.
_LEAST_PER_SLOT = 2
# The estimate is noisy, and who looks often stops at its luckiest moment: with looks 10% apart the error of a point was
# 1.4 times what it was asked to be, with these 1.0 to 1.2 times (independent requests; see docs/schedule.md).
_BETWEEN_LOOKS = 1.25
_MOST_PER_SLOT = 20
_MOST_AT_LEAST = 60

IsEnough = Callable[[Sequence[RequestRecord]], bool]
"""Asked with the requests that have completed so far, in any order: whether the point may end."""


@dataclass(frozen=True)
class StandardError:
    """Relative standard errors of a point's figures: 0.005 is half a percent."""

    throughput: float
    interactivity: float

    @property
    def worst(self) -> float:
        """The larger of the two."""
        return max(self.throughput, self.interactivity)


def standard_error(served: Sequence[RequestRecord]) -> StandardError | None:
    """Estimate the errors of throughput (tokens by latency) and of 1 / median tpot from requests in order of sending.

    None where there is nothing to tell it from: fewer than three requests a batch, or tokens that came all at once.
    """
    if len(served) < BATCHES * _LEAST_PER_BATCH:
        return None
    throughput, interactivity = [], []
    for number in range(BATCHES):
        batch = served[number * len(served) // BATCHES : (number + 1) * len(served) // BATCHES]
        tokens = sum(record.input_tokens + record.output_tokens for record in batch)
        throughput.append(tokens / sum(record.request_latency_s for record in batch))
        tpot_s = statistics.median(record.tpot_s for record in batch)
        if tpot_s == 0:
            return None
        interactivity.append(1 / tpot_s)
    return StandardError(_of_mean(throughput), _of_mean(interactivity))


def _of_mean(values: Sequence[float]) -> float:
    return statistics.stdev(values) / statistics.fmean(values) / math.sqrt(len(values))


def never(_: Sequence[RequestRecord]) -> bool:
    """The number of requests decides, not what they say."""
    return False


def known_to(point_error: float, concurrency: int) -> IsEnough:
    """Return what says that a point of the steady window is known to a relative standard error of ``point_error``.

    Asking costs a comparison; once in a quarter more requests it looks at all of them.
    """
    next_look = concurrency + max(BATCHES * _LEAST_PER_BATCH, _LEAST_PER_SLOT * concurrency)

    def is_enough(records: Sequence[RequestRecord]) -> bool:
        nonlocal next_look
        if len(records) < next_look:
            return False
        next_look = max(len(records) + 1, int(_BETWEEN_LOOKS * len(records)))
        start_s = end_of_ramp(records, concurrency)
        error = standard_error(sorted((r for r in records if r.sent_s >= start_s), key=lambda r: r.sent_s))
        return error is not None and error.worst <= point_error

    return is_enough


@dataclass(frozen=True)
class Extent:
    """How long a point is: ``requests_per_slot``, or until its figures are known to ``point_error``; one of the two.

    Raises InvalidValueError for both, neither, or a value no point could have.
    """

    requests_per_slot: int | None = None
    point_error: float | None = None

    def __post_init__(self) -> None:
        if (self.requests_per_slot is None) == (self.point_error is None):
            raise InvalidValueError(f"{self}: wanted either a number of requests or an error, and not both")
        if self.requests_per_slot is not None:
            count("Extent", "requests_per_slot", self.requests_per_slot, "requests")
        elif positive("Extent", "point_error", self.point_error, "relative standard error") >= 1:
            raise InvalidValueError(f"Extent.point_error: got {self.point_error}, wanted a share below 1")

    def requests(self, concurrency: int) -> int:
        """Return how many requests the point has, or at most may have."""
        if self.requests_per_slot is None:
            return max(_MOST_PER_SLOT * concurrency, _MOST_AT_LEAST)
        return self.requests_per_slot * concurrency

    def is_enough(self, concurrency: int) -> IsEnough:
        """Return what to ask while the point runs."""
        return never if self.point_error is None else known_to(self.point_error, concurrency)

    @property
    def facts(self) -> Mapping[str, float]:
        """What a fingerprint tells of it."""
        return {name: value for name, value in asdict(self).items() if value is not None}


PUBLISHED = Extent(requests_per_slot=10)
"""InferenceX's, with the whole window."""
DEFAULT = Extent(point_error=0.005)
