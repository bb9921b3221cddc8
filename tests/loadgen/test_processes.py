"""A point shared by client processes: the same figures, and no process left when any of them dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.records import RequestRecord
from pytest_precgate.errors import ConnectFailedError, InvalidValueError, LoadProcessError, LoadStoppedError
from pytest_precgate.loadgen import Limits, LoadPlan, Progress, Prompts, Target, run_point
from tests.loadgen.servers import Exchange, standing_in
from tests.loadgen.streams import chunk, event, head, sized, token

PLAN = LoadPlan(
    Prompts(Workload(isl=12, osl=6, range_ratio=0.5), token_high=900),
    3,
    30,
    limits=Limits(silence_s=20, max_failures=1),
)


def dies(_: Sequence[int]) -> str:
    """A tokenizer that takes its process with it."""
    os._exit(7)


def hangs(exchange: Exchange) -> None:
    exchange.send(head() + chunk(event(token())))
    exchange.server.ended.wait()


def test_processes_share_a_point_and_its_figures() -> None:
    """As many requests as planned, none twice, both processes in it; the clients are merged into one check."""
    both = threading.Barrier(3, timeout=30)

    def together(exchange: Exchange) -> None:
        both.wait()
        exchange.answer()

    with standing_in(together) as server:
        point = run_point(Target(server.url, "m"), PLAN, processes=2)
    prompts = [str(exchange.body["prompt"]) for exchange in server.heard]
    assert (len(point.records), point.failures, len(set(prompts))) == (30, (), 30)
    assert len({exchange.connection for exchange in server.heard}) == 3
    assert point.client is not None
    assert point.client.processes == 2
    assert 1 < point.client.achieved_concurrency <= 3
    # One clock: no request of either process lies outside the time the point took.
    assert max(r.last_token_s for r in point.records) - min(r.sent_s for r in point.records) < 60
    assert not multiprocessing.active_children()


def test_a_warm_up_of_processes_is_drained_together() -> None:
    """No counted request is sent before the warm-up of every process has ended, and failures in it are kept."""
    with standing_in(
        lambda exchange: exchange.send(sized(b"", "503 Loading")) if exchange.number == 0 else exchange.answer()
    ) as server:
        point = run_point(Target(server.url, "m"), replace(PLAN, warmup="drained"), processes=2)
    assert len(server.heard) == 36
    assert (len(point.records), len(point.failures)) == (30, 1)


def test_progress_of_processes_is_summed() -> None:
    """What each says of itself about twice a second, told about once a second."""
    told: list[Progress] = []
    enough = threading.Event()

    def last_waits(exchange: Exchange) -> None:
        if exchange.number == 29:
            assert enough.wait(30)
        exchange.answer()

    def on_progress(progress: Progress) -> None:
        told.append(progress)
        if progress.completed == 29:
            enough.set()

    with standing_in(last_waits) as server:
        point = run_point(Target(server.url, "m"), PLAN, processes=2, on_progress=on_progress)
    assert told[-1].total == 30
    assert 0 < told[-1].output_tokens <= sum(record.output_tokens for record in point.records)


def test_processes_end_together_once_enough_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent judges all records of all of them, and takes the tickets away; none is told twice."""
    judged: list[int] = []

    def is_enough(records: Sequence[RequestRecord]) -> bool:
        judged.append(len(records))
        return len({(record.sent_s, record.last_token_s) for record in records}) >= 57

    monkeypatch.setattr(LoadPlan, "is_enough", lambda _: is_enough)
    told = threading.Event()

    def waits(exchange: Exchange) -> None:
        if exchange.number >= 60:
            assert told.wait(30)
        exchange.answer()

    def on_progress(_: Progress) -> None:
        if judged and max(judged) >= 57:
            told.set()

    plan = replace(PLAN, requests=None, point_error=0.5)
    with standing_in(waits) as server:
        point = run_point(Target(server.url, "m"), plan, processes=2, on_progress=on_progress)
    assert 57 <= len(point.records) == len(server.heard) <= 63
    assert max(judged) <= len(point.records)
    assert not multiprocessing.active_children()


def test_what_a_child_raises_the_parent_raises() -> None:
    """No server listens: the point cannot begin."""
    with standing_in() as server:
        url = server.url
    with pytest.raises(ConnectFailedError, match="Connection refused"):
        run_point(Target(url, "m"), PLAN, processes=2)
    assert not multiprocessing.active_children()


def test_a_child_that_dies_ends_the_point_and_its_siblings() -> None:
    """With the exit code, and where to look."""
    plan = replace(PLAN, prompts=replace(PLAN.prompts, detokenize=dies))
    with standing_in() as server, pytest.raises(LoadProcessError, match="of 2 ended with exit code 7 before its part"):
        run_point(Target(server.url, "m"), plan, processes=2)
    assert not multiprocessing.active_children()


def test_a_child_killed_in_the_middle_ends_the_point() -> None:
    """Half a point is no point."""
    with standing_in(hangs) as server:

        def kills() -> bool:
            if len(server.heard) == 3:
                for child in multiprocessing.active_children()[:1]:
                    child.kill()
            return False

        with pytest.raises(LoadProcessError, match=f"exit code -{signal.SIGKILL:d}"):
            run_point(Target(server.url, "m"), PLAN, processes=2, stop=kills)
        server.ended.set()
        assert server.wait_for(lambda: server.open == 0)
    assert not multiprocessing.active_children()


def test_stop_ends_every_process() -> None:
    """At once, with their connections."""
    with standing_in(hangs) as server:
        with pytest.raises(LoadStoppedError, match="every connection was closed"):
            run_point(Target(server.url, "m"), PLAN, processes=3, stop=lambda: len(server.heard) == 3)
        server.ended.set()
        assert server.wait_for(lambda: server.open == 0)
    assert not multiprocessing.active_children()


PARENT = """
import sys
from tests.loadgen.test_processes import PLAN
from pytest_precgate.loadgen import Target, run_point
if __name__ == "__main__":
    run_point(Target(sys.argv[1], "m"), PLAN, processes=2)
"""


def test_children_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """SIGKILL leaves no time to clean up, yet the server sees every connection of every child close."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT, encoding="utf-8")
    root = Path(__file__).parents[2]
    with standing_in(hangs) as server:
        parent = subprocess.Popen(
            [sys.executable, str(script), server.url], env={**os.environ, "PYTHONPATH": str(root)}
        )
        try:
            assert server.wait_for(lambda: len(server.heard) == 3)
        finally:
            parent.kill()
            parent.wait()
        server.ended.set()
        assert server.wait_for(lambda: server.open == 0)


def where(_: Sequence[int]) -> str:
    """A tokenizer that says on which cores its process runs."""
    return "cores " + ",".join(map(str, sorted(os.sched_getaffinity(0))))


def prompts_on(cpus: tuple[int, ...], processes: int) -> set[str]:
    plan = replace(PLAN, prompts=replace(PLAN.prompts, detokenize=where))
    every_slot = threading.Barrier(PLAN.concurrency, timeout=30)  # none of the processes takes all requests

    def together(exchange: Exchange) -> None:
        every_slot.wait()
        exchange.answer()

    with standing_in(together) as server:
        run_point(Target(server.url, "m"), plan, processes=processes, cpus=cpus)
    return {str(exchange.body["prompt"]) for exchange in server.heard}


def test_a_client_runs_on_its_cores_and_its_process_where_it_did_before() -> None:
    """One process moves for the point, a thread of pytest's; nothing else of it does."""
    before = os.sched_getaffinity(0)
    core = max(before)
    assert prompts_on((core,), 1) == {f"cores {core}"}
    assert os.sched_getaffinity(0) == before


def test_each_client_process_has_a_core_of_its_own_where_there_are_enough() -> None:
    """Else they share all of them."""
    before = sorted(os.sched_getaffinity(0))
    if len(before) < 2:
        pytest.skip("needs two cores")
    first, second, *_ = before
    assert prompts_on((first, second), 2) == {f"cores {first}", f"cores {second}"}
    assert prompts_on((first,), 2) == {f"cores {first}"}
    assert sorted(os.sched_getaffinity(0)) == before


def test_cores_the_client_cannot_have_are_refused() -> None:
    """Before a request is sent."""
    with (
        standing_in(lambda exchange: exchange.answer()) as server,
        pytest.raises(InvalidValueError, match=r"client_cpus: the load client cannot run on the cores \[65000\]"),
    ):
        run_point(Target(server.url, "m"), PLAN, cpus=(65_000,))
    assert server.heard == []
