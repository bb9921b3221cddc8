"""Request records: what the client observed of each request, and the token counts that the server reported.

Input: times and counts. Output: frozen values. Invariant: times are seconds on one monotonic clock with an arbitrary
origin; a request either completed or failed with a cause."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_precgate.analysis.quantity import count, one_line
from pytest_precgate.errors import InvalidValueError


@dataclass(frozen=True)
class RequestRecord:
    """One completed request: sent, first token event, last one (s on one clock); tokens as ``usage`` counts them.

    ``events`` is the number of events that brought tokens, ``first_tokens`` the number of tokens in the first of them,
    None when unknown. ``listed_tokens`` is the number of tokens that all events listed, ``cached_tokens`` the number of
    cached prompt tokens, ``text_tokens`` the number of tokens from which a text prompt was made, ``acceptance`` the
    acceptance length that the server states for the request; None when not stated. ``told`` says that the server
    reported the tokens of each event. ``guessed_step_s`` is the time per token of the first or the last tokens when
    events without text were taken for them, else None. Without ``events`` each token came in its own event, as in
    virtual time.

    Raises InvalidValueError when the times are not finite and in order, or a count is impossible."""

    sent_s: float
    first_token_s: float
    last_token_s: float
    input_tokens: int
    output_tokens: int
    events: int | None = None
    first_tokens: int | None = 1
    listed_tokens: int | None = None
    cached_tokens: int | None = None
    text_tokens: int | None = None
    acceptance: float | None = None
    told: bool = False
    guessed_step_s: float | None = None

    def __post_init__(self) -> None:
        times = (self.sent_s, self.first_token_s, self.last_token_s)
        if not all(math.isfinite(time) for time in times) or not times[0] < times[1] <= times[2]:
            raise InvalidValueError(
                f"RequestRecord: got sent {times[0]!r} s, first token {times[1]!r} s, last token {times[2]!r} s, "
                "wanted finite times in that order"
            )
        count("RequestRecord", "input_tokens", self.input_tokens, "tokens")
        count("RequestRecord", "output_tokens", self.output_tokens, "tokens")
        for name in ("events", "first_tokens"):
            value = getattr(self, name)
            if value is not None and count("RequestRecord", name, value, "at most output_tokens") > self.output_tokens:
                raise InvalidValueError(f"RequestRecord.{name}: got {value}, wanted at most {self.output_tokens}")

    @property
    def ttft_s(self) -> float:
        """Request sent to first token event, s."""
        return self.first_token_s - self.sent_s

    @property
    def request_latency_s(self) -> float:
        """Request sent to last token, s."""
        return self.last_token_s - self.sent_s

    @property
    def shared_tokens(self) -> int:
        """The number of tokens beyond one per event: they shared an event, or came in none."""
        return 0 if self.events is None else self.output_tokens - self.events

    @property
    def tpot_s(self) -> float:
        """(last token event - first) / (output tokens - those of the first event), s.

        Raises InvalidValueError when the number of tokens in the first event is unknown, or no token follows it."""
        return self.tpot_after(self.first_tokens)

    def tpot_after(self, first_tokens: float | None) -> float:
        """Return tpot, s, if the first event held ``first_tokens``. Raises InvalidValueError as ``tpot_s`` does."""
        if first_tokens is None:
            raise InvalidValueError("RequestRecord.tpot_s: nothing tells how many tokens the first event held")
        if self.output_tokens <= first_tokens:
            raise InvalidValueError(
                f"RequestRecord.tpot_s: the first event held all {self.output_tokens} output tokens, so there is no "
                "time per further token"
            )
        return (self.last_token_s - self.first_token_s) / (self.output_tokens - first_tokens)


@dataclass(frozen=True)
class RequestFailure:
    """One request that did not complete: sent, given up, and why on one line."""

    sent_s: float
    failed_s: float
    cause: str
    is_reset: bool = False
    """The connection broke before or during the answer, which a network may cause as well as a server."""

    def __post_init__(self) -> None:
        one_line("RequestFailure", "cause", self.cause)


# Gaps between chunks fall into buckets 2% wide from a microsecond on: the gaps of a billion tokens need a few hundred
# counters, and a percentile read from them is within 1% of the exact one.
_SMALLEST_S = 1e-6
_GROWTH = math.log(1.02)


@dataclass(frozen=True)
class Gaps:
    """The number of gaps between streamed chunks (itl) in each bucket of a fixed logarithmic grid."""

    counts: Mapping[int, int] = field(default_factory=dict)

    @staticmethod
    def bucket(gap_s: float) -> int:
        """Return the bucket of a gap; anything below a microsecond shares the first."""
        return 0 if gap_s <= _SMALLEST_S else 1 + int(math.log(gap_s / _SMALLEST_S) / _GROWTH)

    @staticmethod
    def of(gaps_s: Iterable[float]) -> Gaps:
        """Count gaps."""
        counts: dict[int, int] = {}
        for gap in gaps_s:
            bucket = Gaps.bucket(gap)
            counts[bucket] = counts.get(bucket, 0) + 1
        return Gaps(counts)

    @staticmethod
    def merged(parts: Iterable[Gaps]) -> Gaps:
        """Return the counts of several clients together."""
        counts: dict[int, int] = {}
        for part in parts:
            for bucket, number in part.counts.items():
                counts[bucket] = counts.get(bucket, 0) + number
        return Gaps(counts)

    @property
    def total(self) -> int:
        """The number of gaps counted."""
        return sum(self.counts.values())

    @property
    def mean_s(self) -> float:
        """The mean gap, s, from the middle of each bucket; raises InvalidValueError when none was counted."""
        if not self.counts:
            raise InvalidValueError("Gaps.mean_s: no gap was counted")
        return math.fsum(_middle_s(bucket) * number for bucket, number in self.counts.items()) / self.total

    def quantile_s(self, share: float) -> float:
        """Return the gap below which ``share`` of all gaps lie, s; raises InvalidValueError when none was counted."""
        if not self.counts:
            raise InvalidValueError("Gaps.quantile_s: no gap was counted")
        wanted = max(1, math.ceil(share * self.total))
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted:
                break
        return _middle_s(bucket)


def _middle_s(bucket: int) -> float:
    return _SMALLEST_S if bucket == 0 else _SMALLEST_S * math.exp((bucket - 0.5) * _GROWTH)


@dataclass(frozen=True, slots=True)
class ClientCheck:
    """The load client's measurements of itself.

    ``cpu_share`` of one core per client process, ``events_per_read``, p99 of the event loop's lag in s, and the mean
    number of requests in flight while no slot was idle on purpose."""

    cpu_share: float
    events_per_read: float
    loop_lag_p99_s: float
    achieved_concurrency: float
    processes: int = 1


@dataclass(frozen=True)
class PointRun:
    """All records of one concurrency, from which a point is computed. ``client`` is None in virtual time.

    ``resent`` counts requests that were sent again because a kept-alive connection broke before it brought an answer,
    ``reopened`` those whose connection the server closed because of its age while they were being sent, and ``lost_s``
    the time that this took from the slots. ``ended`` says why the point was given up before it was complete, None when
    it was not; ``froze`` that the server had stopped sending on every stream."""

    concurrency: int
    records: Sequence[RequestRecord]
    failures: Sequence[RequestFailure] = ()
    gaps: Gaps = field(default_factory=Gaps)
    client: ClientCheck | None = None
    resent: int = 0
    reopened: int = 0
    lost_s: float = 0.0
    ended: str | None = None
    froze: bool = False

    def __post_init__(self) -> None:
        count("PointRun", "concurrency", self.concurrency, "requests")
        object.__setattr__(self, "records", tuple(sorted(self.records, key=lambda record: record.sent_s)))
        object.__setattr__(self, "failures", tuple(self.failures))
