"""The closed loop of one client process: one thread, one epoll, all requests in flight.

Input: encoded requests and connections. Output: records. The cost per event limits the client, so the usual read is one
recv, one clock reading and a count of event ends. A failed request is recorded with its cause; its slot continues with
the next request, within the limits."""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable, Sequence

from pytest_precgate.analysis.measure.records import Gaps, RequestFailure
from pytest_precgate.errors import ConnectFailedError, ConnectionResetByPeerError, LoadError, ReadFailedError
from pytest_precgate.loadgen.connection import Connection, Route
from pytest_precgate.loadgen.plan import Limits, Take
from pytest_precgate.loadgen.tally import Ended, Tally
from pytest_precgate.loadgen.target import Outgoing
from pytest_precgate.loadgen.ticker import Ticker
from pytest_precgate.loadgen.wire import Response, completed

TICK_S = 0.05
# A server that closes a connection because of its age does so right after an answer; the next request is then being
# sent.
CLOSED_FOR_AGE_S = 0.02
_NO_BYTES = memoryview(b"")
# Python allocates memory for this many events at every call.
_MOST_AT_ONCE = 64

# Called at every tick with the clock in s, and the requests ended and tokens generated since the loop was created.
OnTick = Callable[[float, int, int], None]
Clock = Callable[[], float]


class Loop:
    """``slots`` connections, opened and kept; ``run`` keeps a request in flight on each of them.

    An exception in ``on_tick``, called about every 50 ms, ends the run. A run ends early, with ``ended`` set, when a
    limit is exceeded. ``close`` closes everything. ``now`` is the clock that every process shares, ``cpu`` the CPU time
    of this process, both in s."""

    def __init__(
        self, routes: Sequence[Route], path: str, slots: int, limits: Limits, now: Clock, cpu: Clock, on_tick: OnTick
    ) -> None:
        self.route = routes[0]
        self.path = path
        self.limits = limits
        self.now = now
        self.cpu = cpu
        self.tally = Tally(slots)
        self.completed = 0
        self.output_tokens = 0
        self.ended: Ended | None = None
        self.began_s = self.heard_s = now()
        self.failed_before = self.resent_before = 0
        self.idle: deque[_Slot] = deque()
        self.poll = select.epoll()
        self.by_fd: dict[int, _Slot | Loop] = {}
        self.slots = [_Slot(self, routes[number % len(routes)]) for number in range(slots)]
        self._on_tick = on_tick
        self._is_due = False

    def open(self) -> None:
        """Open every connection. Raises ConnectFailedError when one is refused or not open in time."""
        until = self.now() + self.limits.connect_s
        for slot in self.slots:
            slot.connect()
        while opening := sum(slot.connection is None or not slot.connection.established for slot in self.slots):
            left = until - self.now()
            if left <= 0:
                doubt = "" if self.route.tls is None else "speak TLS at this port, or "
                raise ConnectFailedError(
                    f"{self.route.origin}: {opening} of {len(self.slots)} connections were not open within "
                    f"{self.limits.connect_s:g} s; does the server {doubt}limit connections?"
                )
            for fd, _ in self.poll.poll(min(left, TICK_S)):
                opening_slot = self.by_fd[fd]
                assert isinstance(opening_slot, _Slot)
                opening_slot.establish()
            self._on_tick(self.now(), 0, 0)

    def run(self, take: Take) -> Tally:
        """Send the requests of ``take``, one per slot at a time, until it returns None and every request has ended."""
        self.failed_before, self.resent_before = self.failed_before + self.tally.failed, self.resent
        self.tally = Tally(len(self.slots))
        self.heard_s = self.now()
        self._ticker = Ticker(self.now(), TICK_S)
        self.by_fd[self._ticker.fd] = self
        self.poll.register(self._ticker.fd, select.EPOLLIN)
        try:
            self._run(take)
        finally:
            del self.by_fd[self._ticker.fd]
            self._ticker.close()
        return self.tally

    def _run(self, take: Take) -> None:
        idle, by_fd, poll = self.idle, self.by_fd, self.poll.poll
        most_failed = self.limits.max_failures
        idle.extend(self.slots)
        more = True
        while True:
            while more and idle:
                request = take()
                if request is None:
                    more = False
                else:
                    idle.popleft().begin(request)
            if not more and len(idle) == len(self.slots):
                idle.clear()
                return
            if self.tally.failed + self.failed_before > most_failed:
                self.ended = self.exceeded(self.now())
            if self.ended is not None:
                return
            for fd, _ in poll(-1, _MOST_AT_ONCE):
                by_fd[fd].on_ready()
            if self._is_due:
                self._tick()

    def on_ready(self) -> None:
        """The ticker is due; handled after the current events, because it closes connections they may belong to."""
        self._is_due = True

    def _tick(self) -> None:
        """Record the lag, end requests that exceeded their limit, and report progress."""
        self._is_due = False
        now = self.now()
        lag = Gaps.bucket(self._ticker.late_s(now))
        self.tally.lags[lag] = self.tally.lags.get(lag, 0) + 1
        for slot in self.slots:
            slot.expire(now)
        self.ended = self.ended or self.exceeded(now)
        self._on_tick(now, self.completed, self.output_tokens)

    @property
    def resent(self) -> int:
        """The number of requests that were sent again since the loop was created."""
        return self.resent_before + self.tally.resent

    def exceeded(self, now: float) -> Ended | None:
        """Return why the point must be given up, as far as this process knows; None while it may continue."""
        return self.limits.exceeded(now, self.began_s, self.heard_s, self.tally.failed + self.failed_before)

    def close(self) -> None:
        """Close every connection at once."""
        for slot in self.slots:
            slot.disconnect()
        self.poll.close()


class _Slot:
    """One slot of the closed loop: at most one request in flight, on a connection that is kept between requests."""

    __slots__ = (
        "_began_s", "_in_flight", "_loop", "_opened_s", "_receive", "_reopened", "_request", "_response",
        "_route", "_sent_s", "_unsent", "_waits_for", "connection", "on_ready",
    )  # fmt: skip

    def __init__(self, loop: Loop, route: Route) -> None:
        self._loop = loop
        self._route = route
        self.connection: Connection | None = None
        self.on_ready: Callable[[], None] = self._idle
        self._request: Outgoing | None = None
        self._response = Response()
        self._unsent = _NO_BYTES
        self._waits_for = 0
        self._reopened = False
        self._in_flight = False
        self._began_s = self._opened_s = self._sent_s = 0.0

    def connect(self) -> None:
        """Begin to open a connection. Raises ConnectFailedError when it is refused at once."""
        self._opened_s = self._loop.now()
        self.connection = Connection(self._route)
        self._receive = self.connection.receive
        self._loop.by_fd[self.connection.fd] = self
        self._waits_for = select.EPOLLOUT
        self._loop.poll.register(self.connection.fd, select.EPOLLOUT)
        self.on_ready = self._opening

    def establish(self) -> None:
        """Continue opening; a waiting request is sent once the connection is established. Raises ConnectFailedError."""
        assert self.connection is not None
        wanted = self.connection.establish()
        self._wait(wanted or select.EPOLLIN)
        if not wanted:
            self.on_ready = self._idle
            if self._request is not None:
                self._transmit()

    def begin(self, request: Outgoing) -> None:
        """Send ``request``, over a new connection if there is none."""
        self._request = request
        self._reopened = False
        self._began_s = self._sent_s = self._loop.now()
        try:
            if self.connection is not None and self.connection.used and self.connection.has_ended():
                self.disconnect()  # closed because of its age since the last answer: nothing was sent on it
            if self.connection is None:
                self.connect()
            else:
                self._transmit()
        except LoadError as exc:
            self._failed(exc)

    def expire(self, now: float) -> None:
        """Fail the request in flight when it has exceeded a limit."""
        if self._request is None:
            return
        limits = self._loop.limits
        if now - self._began_s > limits.request_s:
            self._failed(
                ReadFailedError(f"the request was not complete after {limits.request_s:g} s (request_timeout_s)")
            )
        elif self.on_ready == self._opening and now - self._opened_s > limits.connect_s:
            self._failed(ConnectFailedError(f"{self._loop.route.origin}: no connection in {limits.connect_s:g} s"))

    def disconnect(self) -> None:
        """Close the connection, if there is one."""
        if self.connection is not None:
            del self._loop.by_fd[self.connection.fd]
            self.connection.close()  # which takes it out of the epoll too
            self.connection = None

    def _wait(self, events: int) -> None:
        if events != self._waits_for:
            assert self.connection is not None
            self._loop.poll.modify(self.connection.fd, events)
            self._waits_for = events

    def _opening(self) -> None:
        try:
            self.establish()
        except LoadError as exc:
            self._failed(exc)

    def _idle(self) -> None:
        """An event between two requests: the server closed, or sent data without a request. The connection is
        unusable."""
        self.disconnect()

    def _transmit(self) -> None:
        """Start the clock of the request and send it. Raises SendFailedError unless the connection ended by its age."""
        assert self._request is not None
        self._response = Response(self._loop.path)
        self._unsent = memoryview(self._request.data)
        self._sent_s = self._loop.now()
        if not self._in_flight:
            self._in_flight = True
            self._loop.tally.sent(self._sent_s, self._loop.cpu())
        self.on_ready = self._send
        self._send()

    def _send(self) -> None:
        assert self.connection is not None
        try:
            self._unsent = self._unsent[self.connection.send(self._unsent) :]
        except LoadError as exc:
            self._broken(exc)
            return
        if self._unsent:
            # A server may answer (413, 429) before it has read everything, and then reads no more.
            self._wait(select.EPOLLOUT | select.EPOLLIN)
            self.on_ready = self._send_or_read
        else:
            self._wait(select.EPOLLIN)
            self.on_ready = self._read

    def _send_or_read(self) -> None:
        self._read()
        if self.on_ready == self._send_or_read and self._unsent:
            self._send()

    def _read(self) -> None:
        loop = self._loop
        response = self._response
        stream = response.stream
        last = stream.last_token_s
        try:
            data = self._receive()
            if data is None:
                return
            now = loop.heard_s = loop.now()
            if data:
                complete = response.feed(data, now)
            else:
                response.end_of_connection()
                complete = True
        except LoadError as exc:
            self._broken(exc)
            return
        # Events that share a read arrived together: one gap, between arrivals.
        latest = stream.last_token_s
        if latest != last and latest is not None:
            loop.tally.reads += 1
            if last is not None:
                loop.tally.gap(latest - last)
        if complete:
            self._complete()
        elif self.connection is not None and self.connection.holds_more:
            self._read()

    def _complete(self) -> None:
        assert self._request is not None
        assert self.connection is not None
        request = self._request
        try:
            for gap_s in self._response.stream.settle():
                self._loop.tally.gap(gap_s, by=-1)
            record = completed(self._sent_s, self._response.stream, request.asked)
        except LoadError as exc:
            self._failed(exc)
            return
        self._loop.tally.records.append(record)
        self._loop.output_tokens += record.output_tokens
        self.connection.used = True
        if not self._response.keep_alive or self._unsent:
            self.disconnect()
        self._end()

    def _broken(self, exc: LoadError) -> None:
        """A kept-alive connection that ends without an answer may have been closed because of its age: send again,
        once.

        When it was closed in order and at once, that was the reason: servers do so after a number of answers, and some
        do not announce it."""
        is_stale = self.connection is not None and self.connection.used and not self._response.begun
        if not is_stale or self._reopened:
            self._failed(exc)
            return
        self._reopened = True
        tally, lost_s = self._loop.tally, self._loop.now() - self._sent_s
        if lost_s <= CLOSED_FOR_AGE_S and not isinstance(exc, ConnectionResetByPeerError):
            tally.reopened += 1
            tally.lost_s += lost_s
        else:
            tally.resent += 1
        self.disconnect()
        try:
            self.connect()
        except LoadError as refused:
            self._failed(refused)

    def _failed(self, exc: LoadError) -> None:
        is_reset = isinstance(exc, ConnectionResetByPeerError)
        self._loop.tally.failures.append(RequestFailure(self._sent_s, self._loop.now(), str(exc), is_reset))
        self.disconnect()
        self._end()

    def _end(self) -> None:
        if self._in_flight:
            self._in_flight = False
            self._loop.tally.events += self._response.stream.events
            self._loop.tally.ended(self._loop.now())
        self._request = None
        self._unsent = _NO_BYTES
        self.on_ready = self._idle
        self._loop.completed += 1
        self._loop.idle.append(self)
