"""Runs a point with several client processes: one clock, one number of requests, one set of records.

Invariant: no process outlives the point. A child watches the pipe to its parent, so it ends also when the parent is
killed; the parent ends every child when one dies. Requests are assigned to processes while they run: each keeps its
slots busy until the last request of the whole point has been sent."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess

from pytest_precgate.analysis.measure.records import PointRun, RequestFailure, RequestRecord
from pytest_precgate.errors import InvalidValueError, LoadProcessError, LoadStoppedError, PrecgateError
from pytest_precgate.loadgen.client import Loop
from pytest_precgate.loadgen.closed_loop import OnProgress, Stop, opened, run_alone, run_counted, watcher
from pytest_precgate.loadgen.plan import LoadPlan, Requests, Take
from pytest_precgate.loadgen.tally import Ended, Share, merged
from pytest_precgate.loadgen.target import Target

_MOST_TICKETS = 1 << 20  # the capacity of an ordinary user's pipe on Linux
_WAIT_S = 0.05
_TELL_S = 0.5
_GRACE_S = 5.0
_UNLIMITED_S = 1e9


def run_point(
    target: Target,
    plan: LoadPlan,
    *,
    processes: int = 1,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
    cpus: tuple[int, ...] = (),
) -> PointRun:
    """Run one point and return its records; failed requests are included, with their causes.

    ``on_progress`` is called about once a second. ``stop`` is called every 50 ms; True closes every connection and
    raises LoadStoppedError. ``cpus`` are the cores of the client; each of several processes has its own where there are
    enough. Raises ConnectFailedError when the point cannot begin, LoadProcessError when a process dies,
    InvalidValueError when the plan cannot be run with these processes, or on these cores."""
    if not 1 <= processes <= plan.concurrency:
        raise InvalidValueError(f"processes: got {processes}, wanted 1 to {plan.concurrency}, one slot each at least")
    with _on(cpus):  # children start on the cores of their parent
        if processes == 1:
            return run_alone(target, plan, on_progress, stop)
        return _Crew(target, plan, processes, on_progress, stop, cpus).run()


@contextmanager
def _on(cpus: tuple[int, ...]) -> Iterator[None]:
    """Have the calling thread run on these cores, and where it did before at the end."""
    if not cpus:
        yield
        return
    before = os.sched_getaffinity(0)
    _move(cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _move(cpus: tuple[int, ...]) -> None:
    try:
        os.sched_setaffinity(0, cpus)
    except OSError as exc:
        raise InvalidValueError(
            f"client_cpus: the load client cannot run on the cores {list(cpus)}: {exc.strerror}"
        ) from exc


# Sent by a process that has its connections open, or its warm-up done, and waits for the others; and by the parent.
_READY = "ready"


@dataclass(frozen=True)
class _Part:
    """The part of a plan that one process does."""

    target: Target
    plan: LoadPlan
    number: int
    of: int
    cpus: tuple[int, ...] = ()

    @property
    def slots(self) -> int:
        """Its slots; the first processes have one more when the number does not divide."""
        each, over = divmod(self.plan.concurrency, self.of)
        return each + (self.number < over)

    @property
    def first(self) -> int:
        """The number of slots of the processes before it."""
        each, over = divmod(self.plan.concurrency, self.of)
        return each * self.number + min(self.number, over)


@dataclass(frozen=True)
class _Done:
    """The progress of a process: requests ended, tokens generated, requests sent again, last time a byte came (s).

    ``records`` are those since the last report, if they decide; ``failures`` likewise."""

    completed: int
    output_tokens: int
    resent: int
    heard_s: float
    records: tuple[RequestRecord, ...] = ()
    failures: tuple[RequestFailure, ...] = ()


class _Crew:
    """The parent's side: starts the processes, releases them together, collects their records, and ends all of them."""

    def __init__(
        self,
        target: Target,
        plan: LoadPlan,
        processes: int,
        on_progress: OnProgress | None,
        stop: Stop | None,
        cpus: tuple[int, ...],
    ) -> None:
        self._parts = [
            _Part(target, plan, number, processes, cpus[number::processes] if len(cpus) >= processes else ())
            for number in range(processes)
        ]
        self._on_tick = watcher(plan.most, on_progress, stop)
        self._is_enough = plan.is_enough()
        self._records: list[RequestRecord] = []
        self._failures: list[RequestFailure] = []
        self._limits, self._began_s = plan.limits, time.monotonic()
        self._met_s = self._began_s
        self._tickets = _tickets(_MOST_TICKETS if plan.requests is None else plan.requests)
        self._children: dict[Pipe, SpawnProcess] = {}
        self._busy: list[Pipe] = []
        self._done: dict[Pipe, _Done] = {}
        self._ready: set[Pipe] = set()
        self._shares: list[Share] = []

    def run(self) -> PointRun:
        """Return the point of all processes. Raises a child's exception, LoadProcessError when one died."""
        try:
            for part in self._parts:
                self._start(part)
            while len(self._shares) < len(self._parts):
                for pipe in wait(self._busy, _WAIT_S):
                    assert isinstance(pipe, Pipe)
                    self._hear(pipe)
                done = self._done.values()
                self._on_tick(time.monotonic(), sum(d.completed for d in done), sum(d.output_tokens for d in done))
                if (ended := self._exceeded()) is not None:
                    self._kill()
                    return self._given_up(ended)
        except BaseException:
            self._kill()
            raise
        finally:
            self._tickets.close()
            for pipe, child in self._children.items():
                pipe.close()
                child.join(_GRACE_S)
                child.kill()
                child.join()
                child.close()
        return merged(self._parts[0].plan.concurrency, self._shares)

    def _kill(self) -> None:
        for child in self._children.values():
            child.kill()

    def _exceeded(self) -> Ended | None:
        """Why the point must be given up: failures of all processes together, silence on the streams of all."""
        heard_s = max([self._met_s, *(done.heard_s for done in self._done.values())])
        now_s = time.monotonic()
        is_going = len(self._done) == len(self._parts)  # before that they encode requests and open connections
        return self._limits.exceeded(now_s, self._began_s, heard_s if is_going else now_s, self._failed)

    @property
    def _failed(self) -> int:
        return len(self._failures) + sum(done.resent for done in self._done.values())

    def _given_up(self, ended: Ended) -> PointRun:
        resent = sum(done.resent for done in self._done.values())
        return PointRun(
            self._parts[0].plan.concurrency, (), self._failures, resent=resent, ended=ended.why, froze=ended.froze
        )

    def _start(self, part: _Part) -> None:
        spawn = multiprocessing.get_context("spawn")
        ours, theirs = spawn.Pipe()
        child = spawn.Process(target=_work, args=(theirs, self._tickets, part), daemon=True)
        child.start()
        theirs.close()
        self._children[ours] = child
        self._busy.append(ours)

    def _hear(self, pipe: Pipe) -> None:
        try:
            said = pipe.recv()
        except (EOFError, ConnectionResetError):
            child = self._children[pipe]
            child.join(_GRACE_S)
            raise LoadProcessError(
                f"client process {list(self._children).index(pipe) + 1} of {len(self._parts)} ended with exit code "
                f"{child.exitcode} before its part was done; the others were ended. Its error is on stderr"
            ) from None
        if isinstance(said, PrecgateError):
            raise said
        if isinstance(said, _Done):
            self._done[pipe] = said
            self._records += said.records
            self._failures += said.failures
            if self._is_enough(self._records):
                os.read(self._tickets.fileno(), _MOST_TICKETS)  # the next process that reads a ticket finds none
        elif isinstance(said, Share):
            self._shares.append(said)
            self._busy.remove(pipe)
        else:
            self._ready.add(pipe)
            if len(self._ready) == len(self._parts):
                self._ready.clear()
                self._met_s = time.monotonic()
                for waiting in self._children:
                    waiting.send(_READY)


def _tickets(requests: int) -> Pipe:
    """A pipe of one byte per request: a process that reads a byte may send one; at its end no process may."""
    if requests > _MOST_TICKETS:
        raise InvalidValueError(
            f"LoadPlan.requests: got {requests}, wanted at most {_MOST_TICKETS} for several processes"
        )
    reader, writer = multiprocessing.get_context("spawn").Pipe(duplex=False)
    fcntl.fcntl(writer.fileno(), fcntl.F_SETPIPE_SZ, max(65536, requests))
    os.write(writer.fileno(), bytes(requests))
    writer.close()
    return reader


def _work(parent: Pipe, tickets: Pipe, part: _Part) -> None:
    """A child process. When its parent has ended, it reports nothing."""
    with suppress(BrokenPipeError, ConnectionResetError, EOFError, KeyboardInterrupt):
        said: Share | PrecgateError
        try:
            if part.cpus:
                _move(part.cpus)
            said = _share(parent, tickets, part)
        except PrecgateError as exc:
            said = exc
        parent.send(said)


def _share(parent: Pipe, tickets: Pipe, part: _Part) -> Share:
    # Silence and the time of the point concern the streams of all processes, so their parent checks both.
    plan = replace(part.plan, limits=replace(part.plan.limits, silence_s=_UNLIMITED_S, point_s=_UNLIMITED_S))
    warmup = plan.warmup_requests(part.slots)
    ready = warmup + -(-plan.prepared // part.of) + part.slots
    requests = Requests(part.target, plan, part.number, part.of, ready)
    tell = _Teller(parent, with_records=plan.point_error is not None)
    with opened(part.target, plan, part.slots, tell, part.first) as loop:
        _meet(parent)
        tell.loop = loop
        share = run_counted(loop, requests.at_most(warmup))
        tell.now(time.monotonic())
        if warmup:
            _meet(parent)
        tell.begin_point()
        counted = run_counted(loop, _by_ticket(tickets, requests))
        tell.now(time.monotonic())
    return counted.after(share)


def _by_ticket(tickets: Pipe, requests: Requests) -> Take:
    fd = tickets.fileno()
    return lambda: requests.next() if os.read(fd, 1) else None


def _meet(parent: Pipe) -> None:
    """Wait until every process is here. Raises EOFError when the parent has ended."""
    parent.send(_READY)
    parent.recv()


class _Teller:
    """The child's function for every tick: end when the parent has ended, report progress to it.

    Twice a second, and at once when a request has failed, because the parent decides by the failures of all."""

    def __init__(self, parent: Pipe, *, with_records: bool) -> None:
        self.loop: Loop | None = None
        self._parent = parent
        self._with_records = with_records
        self._told_s = time.monotonic()
        self._records = self._failures = 0

    def begin_point(self) -> None:
        """Reset the reports: what was reported belonged to the warm-up."""
        self._records = self._failures = 0

    def __call__(self, now_s: float, ended: int, output_tokens: int) -> None:
        del ended, output_tokens  # the loop has more exact values
        if self._parent.poll():
            raise LoadStoppedError("the parent process is gone")
        loop = self.loop
        if loop is not None and (now_s - self._told_s >= _TELL_S or len(loop.tally.failures) > self._failures):
            self.now(now_s)

    def now(self, now_s: float) -> None:
        """Report now."""
        loop, self._told_s = self.loop, now_s
        assert loop is not None
        tally = loop.tally
        records = tuple(tally.records[self._records :]) if self._with_records else ()
        failures = tuple(tally.failures[self._failures :])
        self._records, self._failures = len(tally.records), len(tally.failures)
        self._parent.send(_Done(loop.completed, loop.output_tokens, loop.resent, loop.heard_s, records, failures))
