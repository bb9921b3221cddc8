"""One process's part of a point, from open connections to records. The real clocks are passed in from here."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pytest_precgate.analysis.measure.records import Gaps, PointRun
from pytest_precgate.errors import LoadStoppedError
from pytest_precgate.loadgen.client import Loop, OnTick
from pytest_precgate.loadgen.connection import find_routes
from pytest_precgate.loadgen.plan import LoadPlan, Progress, Requests, Take
from pytest_precgate.loadgen.tally import Share, merged
from pytest_precgate.loadgen.target import Target

PROGRESS_S = 1.0

OnProgress = Callable[[Progress], None]
Stop = Callable[[], bool]


@contextmanager
def opened(target: Target, plan: LoadPlan, slots: int, on_tick: OnTick, first: int = 0) -> Iterator[Loop]:
    """Open a loop of ``slots`` connections, and close them however the block ends. Raises ConnectFailedError.

    ``first`` is the number of connections of the point that other processes open before it."""
    routes = find_routes(target, plan.limits.connect_s, first)
    # CLOCK_MONOTONIC: on Linux one clock for every process of the machine.
    loop = Loop(routes, target.path, slots, plan.limits, time.monotonic, time.process_time, on_tick)
    try:
        loop.open()
        yield loop
    finally:
        loop.close()


def run_counted(loop: Loop, take: Take) -> Share:
    """Run requests that count and return their records. Garbage collection is off, because it would stop the loop."""
    with _no_garbage_collection():
        tally = loop.run(take)
        check = tally.check(time.monotonic(), time.process_time())
    records, failures, gaps = tuple(tally.records), tuple(tally.failures), Gaps(tally.gaps)
    return Share(records, failures, gaps, check, tally.resent, tally.reopened, tally.lost_s)


def run_alone(target: Target, plan: LoadPlan, on_progress: OnProgress | None, stop: Stop | None) -> PointRun:
    """Run the whole point in this process. Raises ConnectFailedError before it starts, LoadStoppedError by ``stop``."""
    warmup = plan.warmup_requests(plan.concurrency)
    requests = Requests(target, plan, 0, 1, warmup + plan.prepared)
    take, is_enough = requests.at_most(plan.requests), plan.is_enough()
    with opened(target, plan, plan.concurrency, watcher(plan.most, on_progress, stop)) as loop:
        share = run_counted(loop, requests.at_most(warmup))
        if loop.ended is None:
            counted = run_counted(loop, lambda: None if is_enough(loop.tally.records) else take())
            share = counted.after(share)
    return merged(plan.concurrency, [share], loop.ended)


def watcher(total: int | None, on_progress: OnProgress | None, stop: Stop | None) -> OnTick:
    """Return the function for every tick: give up when ``stop`` returns true, report about once a second."""
    began_s = reported_s = time.monotonic()

    def on_tick(now_s: float, ended: int, output_tokens: int) -> None:
        nonlocal reported_s
        if stop is not None and stop():
            of = "" if total is None else f" of {total}"
            raise LoadStoppedError(f"stopped after {ended}{of} requests; every connection was closed")
        if on_progress is not None and now_s - reported_s >= PROGRESS_S:
            reported_s = now_s
            on_progress(Progress(now_s - began_s, ended, total, output_tokens))

    return on_tick


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
