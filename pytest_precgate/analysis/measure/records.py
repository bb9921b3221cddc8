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

    ``events`` is how many events brought tokens, ``first_tokens`` how many tokens the first of them held, None where
    nothing tells. ``listed_tokens`` is how many tokens all events listed by themselves, ``cached_tokens`` how many of
    the prompt the server had cached, ``text_tokens`` how many a prompt sent as text was made from, ``acceptance`` the
    acceptance length the server states for the request; None where it does not say. ``told`` says that it counted the
    tokens of each event. ``guessed_step_s`` is the time per token of the first or the last tokens, where it was guessed
    that events without text are those, else None. Without ``events`` each token came in an event of its own, as in
    virtual time.

    Raises InvalidValueError when the times are not finite and in order, or a count cannot be.
    """

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
        """How many tokens beyond one for each event there were: they came in the company of another, or in no event."""
        return 0 if self.events is None else self.output_tokens - self.events

    @property
    def tpot_s(self) -> float:
        """(last token event - first) / (output tokens - those of the first event), s.

        Raises InvalidValueError where the number of tokens in the first event is not known, or no token follows it.
        """
        return self.tpot_after(self.first_tokens)

    def tpot_after(self, first_tokens: float | None) -> float:
        """Return tpot, s, had the first event held ``first_tokens``. Raises InvalidValueError as ``tpot_s`` does."""
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
    """The connection broke before or during the answer, which a network does as well as a server."""

    def __post_init__(self) -> None:
        one_line("RequestFailure", "cause", self.cause)


# Gaps between chunks fall into buckets 2% wide from a microsecond on: memory for the gaps of a billion tokens is a
# few hundred counters, and a percentile read from them is within 1% of the exact one.
_SMALLEST_S = 1e-6
_GROWTH = math.log(1.02)


@dataclass(frozen=True)
class Gaps:
    """How many gaps between streamed chunks (itl) fell into each bucket of a fixed logarithmic grid."""

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
        return _SMALLEST_S if bucket == 0 else _SMALLEST_S * math.exp((bucket - 0.5) * _GROWTH)


@dataclass(frozen=True, slots=True)
class ClientCheck:
    """What a load client measured of itself while it measured the server.

    ``cpu_share`` of one core per client process, ``events_per_read``, p99 of the event loop's lag in s, and the mean
    number of requests in flight while no slot was idle on purpose.
    """

    cpu_share: float
    events_per_read: float
    loop_lag_p99_s: float
    achieved_concurrency: float
    processes: int = 1


@dataclass(frozen=True)
class PointRun:
    """Everything one concurrency gave: the records a point is computed from. ``client`` is None in virtual time.

    ``resent`` counts requests that were sent again because a kept connection broke before it brought an answer,
    ``reopened`` those whose connection the server had closed for its age while they were on their way, and ``lost_s``
    the time that cost the slots.
    ``ended`` says why the point was given up before it was complete, None where it was not; ``froze`` that the server
    had fallen silent on every stream.
    """

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
