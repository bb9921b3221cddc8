"""How long GPUs were held: failed starts, failed points and waits are paid for like everything else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pytest_precgate.analysis.cost import KindCost
from pytest_precgate.errors import LoadStoppedError
from pytest_precgate.servers.gpu_time import Loads, Start, costs

POINTS = KindCost("started", 1, 7, 900.0, 2400.0, None)


def start(gpus: int = 4, *, ready_s: float | None = None, ended_s: float | None = None) -> Start:
    order: Any = SimpleNamespace(engine=SimpleNamespace(settings=SimpleNamespace(gpus=gpus)))
    return Start(order, 1000.0, ready_s, ended_s)


def test_a_start_that_failed_was_all_start() -> None:
    """From the process's start to its end, on every GPU."""
    failed = start(ended_s=1300.0)
    assert failed.starting_gpu_s(9999.0) == failed.held_gpu_s(9999.0) == 1200.0


def test_a_server_holds_its_gpus_until_it_is_gone() -> None:
    """To now while it is up; the first end counts: who is dead cannot die again."""
    up = start(ready_s=1600.0)
    assert up.starting_gpu_s(2000.0) == 2400.0
    assert up.held_gpu_s(2000.0) == 4000.0
    up.end(2100.0)
    up.end(5000.0)
    assert up.held_gpu_s(9999.0) == 4400.0


def test_every_start_counts_and_points_lie_within_them() -> None:
    """Two starts, one in vain: the journal knows of one launch, what is paid for are both."""
    starts = [start(ended_s=1300.0), start(ready_s=1600.0, ended_s=2000.0)]
    (total,) = costs([POINTS], starts, None, 9999.0)
    assert total == KindCost("started", 2, 7, 900.0, 3600.0, 5200.0)
    assert total.idle_gpu_s == 700.0


def test_a_run_that_only_failed_to_start_cost_something() -> None:
    """No journal, no point, and not nothing."""
    assert costs([], [start(ended_s=1300.0)], None, 0.0) == (KindCost("started", 1, 0, 0.0, 1200.0, 1200.0),)
    assert costs([], [], None, 0.0) == ()


def test_an_attached_server_is_paid_for_while_it_is_loaded() -> None:
    """Failed points included, by the clock; how it was started is not this run's to know."""
    now_s = [0.0]
    loads = Loads(lambda: now_s[0])
    assert loads.gpu_s("kimi") is None

    def fail_after(seconds: float) -> None:
        with loads.of("kimi", 8):
            now_s[0] += seconds
            raise LoadStoppedError("failed")

    for seconds in (10.0, 5.0):
        with pytest.raises(LoadStoppedError):
            fail_after(seconds)
    assert loads.gpu_s("kimi") == 120.0
    assert loads.gpu_s("other") is None
    points = KindCost("endpoint", 0, 2, 100.0, None, None)
    assert costs([points], [], 120.0, 0.0) == (KindCost("endpoint", 0, 2, 100.0, None, 120.0),)
    assert costs([], [], 120.0, 0.0) == (KindCost("endpoint", 0, 0, 0.0, None, 120.0),)
