"""Decides when a point has been measured long enough: its 90% intervals are as narrow as asked, or its time limit is
reached.

Input: the records so far. Output: how long the window shall be. A rule that stops when the figures look steady is
biased towards such moments. Therefore the records only determine the length of the window, and it then runs for the
same time again without another evaluation: at least half of the window did not influence its length (after C. Stein
1945, Annals of Mathematical Statistics 16, 243: two stages). Evaluations are few, because each adds to this bias."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from pytest_precgate.analysis.measure.records import RequestRecord
from pytest_precgate.analysis.measure.uncertainty import foreseen
from pytest_precgate.analysis.measure.window import end_of_ramp
from pytest_precgate.analysis.quantity import count, positive
from pytest_precgate.errors import InvalidValueError

DEFAULT_LIMIT_S = 120.0
LEAST_S = 10.0
"""The shortest window of a point that ends by its error. Changes within seconds occur several times in it."""
# From the evaluation that decides to the end: as long again.
_GROWTH = 2.0
# From an evaluation that does not decide to the next. More evaluations add bias; fewer make a point longer.
_BETWEEN_LOOKS = math.sqrt(2)
# When requests are too few or too long for an estimate, the next evaluation is due after this part of the window.
_RETRY = 1 / 16
# With fewer the steady window may be empty.
_LEAST_PER_SLOT = 2

IsEnough = Callable[[Sequence[RequestRecord]], bool]
"""Called with the requests completed so far, the last of them among the latest: whether the point may end."""


def never(_: Sequence[RequestRecord]) -> bool:
    """The number of requests decides, not their records."""
    return False


@dataclass
class _Stopping:
    """The state of one point. All times on the clock of its records, s."""

    point_error: float
    window_limit_s: float
    concurrency: int
    began_s: float | None = None
    look_s: float = 0.0
    end_s: float = 0.0

    def is_enough(self, records: Sequence[RequestRecord]) -> bool:
        """Whether the point may end. Costs some comparisons between evaluations; after it returned true nothing is
        sent."""
        if len(records) < _LEAST_PER_SLOT * self.concurrency:
            return False
        now_s = records[-1].last_token_s
        if self.began_s is None:
            self.began_s = end_of_ramp(records, self.concurrency)
            self.look_s = self.began_s + LEAST_S / _GROWTH
            self.end_s = self.began_s + self.window_limit_s
        if self.look_s <= now_s < self.end_s:
            self._look(records, self.began_s, now_s)
        return now_s >= self.end_s

    def _look(self, records: Sequence[RequestRecord], began_s: float, now_s: float) -> None:
        window_s = now_s - began_s
        served = sorted((r for r in records if r.sent_s >= began_s), key=lambda record: record.sent_s)
        known = foreseen(served, _GROWTH, self.concurrency) if len(served) >= self.concurrency else None
        self.look_s = now_s + window_s * (_RETRY if known is None else _BETWEEN_LOOKS - 1)
        if known is not None and known.worst <= self.point_error:
            self.end_s = min(self.end_s, began_s + _GROWTH * window_s)
            self.look_s = math.inf


def known_to(point_error: float, window_limit_s: float, concurrency: int) -> IsEnough:
    """Return the stopping function of a point of the steady window.

    The first evaluation needs at least 5 s and a request of each slot. When the figures will be known to
    ``point_error`` (relative half-width of the 90% interval) in a window twice as long, the point ends after that time;
    otherwise ``window_limit_s`` after the end of the ramp."""
    return _Stopping(point_error, window_limit_s, concurrency).is_enough


@dataclass(frozen=True)
class StopRule:
    """The length of a point: ``requests_per_slot``, or until its figures are known to ``point_error``; one of the two.

    With ``point_error`` the steady window takes ``window_limit_s`` at most, 120 s by default. Raises InvalidValueError
    for both, neither, or an impossible value."""

    requests_per_slot: int | None = None
    point_error: float | None = None
    window_limit_s: float | None = None

    def __post_init__(self) -> None:
        if (self.requests_per_slot is None) == (self.point_error is None):
            raise InvalidValueError(f"{self}: wanted either a number of requests or an error, and not both")
        if self.requests_per_slot is not None:
            count("StopRule", "requests_per_slot", self.requests_per_slot, "requests")
            if self.window_limit_s is not None:
                raise InvalidValueError(
                    f"{self}: a number of requests takes the time it takes; wanted no window_limit_s"
                )
            return
        if positive("StopRule", "point_error", self.point_error, "half-width of a 90% interval") >= 1:
            raise InvalidValueError(f"StopRule.point_error: got {self.point_error}, wanted a share below 1")
        if self.window_limit_s is None:
            object.__setattr__(self, "window_limit_s", DEFAULT_LIMIT_S)
        positive("StopRule", "window_limit_s", self.window_limit_s, "s")

    def requests(self, concurrency: int) -> int | None:
        """Return the number of requests of the point; None when time and error decide."""
        return None if self.requests_per_slot is None else self.requests_per_slot * concurrency

    def is_enough(self, concurrency: int) -> IsEnough:
        """Return the function to call while the point runs."""
        if self.point_error is None or self.window_limit_s is None:
            return never
        return known_to(self.point_error, self.window_limit_s, concurrency)

    @property
    def facts(self) -> Mapping[str, float]:
        """The value for a fingerprint."""
        return {name: value for name, value in asdict(self).items() if value is not None}


PUBLISHED_PER_SLOT = 10
"""InferenceX's requests per slot, with the whole window."""
PUBLISHED = StopRule(requests_per_slot=PUBLISHED_PER_SLOT)
DEFAULT = StopRule(point_error=0.005)
