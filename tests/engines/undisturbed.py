"""Points of a server that had its core to itself: on a shared machine the others say nothing of it.

A closed loop keeps a server of one thread busy all the time. Where other work took over two fifths of that, the point
is run again: its figures play no part in that. The client's self-check is left out, because it refuses delays of a
millisecond in a figure to be recorded, and in these tests a fifth counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import psutil
import pytest

from pytest_precgate.analysis.measure.records import PointRun

SHARE = 0.6
ATTEMPTS = 3


def undisturbed(server: psutil.Process, run: Callable[[], PointRun]) -> PointRun:
    """Run a point until the server had its core to itself; skip the test where it never has."""
    share = 0.0
    for _ in range(ATTEMPTS):
        before_s, began_s = _cpu_s(server), time.monotonic()
        found = run()
        share = (_cpu_s(server) - before_s) / (time.monotonic() - began_s)
        if share >= SHARE:
            return replace(found, client=None)
    pytest.skip(f"this machine is too busy to compare speeds: the server got {share:.0%} of a core, {ATTEMPTS} times")


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
