"""Counters of one client process: sums and buckets, so that memory does not grow with the number of tokens. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pytest_precgate.analysis.measure.records import ClientCheck, Gaps, PointRun, RequestFailure, RequestRecord


@dataclass(frozen=True)
class Mark:
    """A point in time: the clock, the CPU time of the process, and the requests in flight summed over time, all in
    s."""

    clock_s: float
    cpu_s: float
    in_flight_s: float


@dataclass
class Tally:
    """The records of one process and the inputs of its self-check."""

    slots: int
    records: list[RequestRecord] = field(default_factory=list)
    failures: list[RequestFailure] = field(default_factory=list)
    gaps: dict[int, int] = field(default_factory=dict)
    lags: dict[int, int] = field(default_factory=dict)
    events: int = 0
    reads: int = 0
    resent: int = 0
    reopened: int = 0
    lost_s: float = 0.0
    _sent: int = 0
    _in_flight: int = 0
    _most_in_flight: int = 0
    _area_s: float = 0.0
    _changed_s: float = 0.0
    _begun: Mark | None = None
    _ramped: Mark | None = None
    _last: Mark | None = None

    def sent(self, clock_s: float, cpu_s: float) -> None:
        """Count a request that was sent."""
        self._change(clock_s, +1)
        self._sent += 1
        self._last = Mark(clock_s, cpu_s, self._area_s)
        self._begun = self._begun or self._last
        if self._sent == self.slots:
            self._ramped = self._last

    def ended(self, clock_s: float) -> None:
        """Count a request that has completed or failed."""
        self._change(clock_s, -1)

    def gap(self, gap_s: float, by: int = 1) -> None:
        """Count a gap between two reads that brought tokens; ``by`` -1 takes one back."""
        bucket = Gaps.bucket(gap_s)
        self.gaps[bucket] = self.gaps.get(bucket, 0) + by

    @property
    def failed(self) -> int:
        """How many requests failed, or were sent again."""
        return len(self.failures) + self.resent

    def _change(self, clock_s: float, by: int) -> None:
        self._area_s += self._in_flight * (clock_s - self._changed_s)
        self._changed_s = clock_s
        self._in_flight += by
        self._most_in_flight = max(self._most_in_flight, self._in_flight)

    def check(self, clock_s: float, cpu_s: float) -> ClientCheck:
        """Return the self-check, from the time when every slot had sent to the last send: no slot was idle on purpose.

        Without such a time (one request per slot) the whole run counts, and the maximum number of requests at once."""
        start, end = self._ramped, self._last
        if start is not None and end is not None and end.clock_s > start.clock_s:
            achieved = (end.in_flight_s - start.in_flight_s) / (end.clock_s - start.clock_s)
        else:
            start, end = self._begun or Mark(clock_s, cpu_s, 0.0), Mark(clock_s, cpu_s, 0.0)
            achieved = float(self._most_in_flight)
        wall = end.clock_s - start.clock_s
        return ClientCheck(
            cpu_share=(end.cpu_s - start.cpu_s) / wall if wall > 0 else 0.0,
            events_per_read=self.events / self.reads if self.reads else 0.0,
            loop_lag_p99_s=Gaps(self.lags).quantile_s(0.99) if self.lags else 0.0,
            achieved_concurrency=achieved,
        )


@dataclass(frozen=True)
class Ended:
    """Why a point was given up before it was complete; ``froze`` when the server had stopped sending on every
    stream."""

    why: str
    froze: bool = False


@dataclass(frozen=True)
class Share:
    """The result of one process for a point."""

    records: tuple[RequestRecord, ...]
    failures: tuple[RequestFailure, ...]
    gaps: Gaps
    check: ClientCheck
    resent: int = 0
    reopened: int = 0
    lost_s: float = 0.0

    def after(self, warmup: Share) -> Share:
        """Return the result with the failures of its warm-up: a server that fails there is not measured either."""
        return replace(self, failures=warmup.failures + self.failures, resent=warmup.resent + self.resent)


def merged(concurrency: int, shares: Iterable[Share], ended: Ended | None = None) -> PointRun:
    """Return the point of all processes: the maximum CPU share and lag, the concurrency of all together.

    ``ended`` is why it was given up, None when it was not."""
    parts = list(shares)
    checks = [part.check for part in parts]
    check = ClientCheck(
        cpu_share=max(check.cpu_share for check in checks),
        events_per_read=max(check.events_per_read for check in checks),
        loop_lag_p99_s=max(check.loop_lag_p99_s for check in checks),
        achieved_concurrency=sum(check.achieved_concurrency for check in checks),
        processes=len(checks),
    )
    return PointRun(
        concurrency,
        [record for part in parts for record in part.records],
        [failure for part in parts for failure in part.failures],
        Gaps.merged(part.gaps for part in parts),
        check,
        resent=sum(part.resent for part in parts),
        reopened=sum(part.reopened for part in parts),
        lost_s=sum(part.lost_s for part in parts),
        ended=None if ended is None else ended.why,
        froze=ended is not None and ended.froze,
    )
