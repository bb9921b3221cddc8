"""The words for the cost of a run: whose seconds, at which price, and what is unknown."""

from __future__ import annotations

from dataclasses import replace

from pytest_precgate.analysis.cost import KindCost, SuiteCost
from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.reports import cost

B200 = HARDWARE["b200"]
STARTED = KindCost("started", 2, 14, 978.0, 4800.0, 5898.0)
SIMULATED = KindCost("simulated", 2, 14, 978.0, 4800.0, None)
ENDPOINT = KindCost("endpoint", 0, 1, 978.0, None, 990.0)


def said(*costs: KindCost, **more: object) -> list[str]:
    return list(cost.lines(SuiteCost("kimi", B200, costs, **more)))  # type: ignore[arg-type]


def test_what_servers_held_is_told_with_its_parts_and_its_price() -> None:
    """What is billed first, then where it went."""
    assert said(STARTED) == [
        "cost of this run: 2 launches, 14 points, 98.3 GPU-minutes held (80.0 starting, 16.3 measuring, 2.0 idle), "
        "$3.19 at $1.95 per GPU-hour"
    ]


def test_virtual_seconds_say_so() -> None:
    """With a start that was set, and without: not a start of no time."""
    assert said(SIMULATED) == [
        "cost of this run: 2 launches, 14 points, 96.3 virtual GPU-minutes, SIMULATED (80.0 starting, 16.3 measuring), "
        "$3.13 at $1.95 per GPU-hour"
    ]
    assert said(replace(SIMULATED, launches=1, starting_gpu_s=None)) == [
        "cost of this run: 1 launch, 14 points, 16.3 virtual GPU-minutes, SIMULATED (16.3 measuring), "
        "$0.53 at $1.95 per GPU-hour; starts not counted: no start_s is set"
    ]


def test_an_attached_server_is_counted_under_load_only() -> None:
    """Its launches are not this run's."""
    assert said(ENDPOINT) == [
        "cost of this run: 1 point on a server it did not start, 16.5 GPU-minutes (16.3 measuring, 0.2 failed or "
        "waiting), $0.54 at $1.95 per GPU-hour; its start and its idle time are unknown to this run"
    ]


def test_what_was_read_reused_or_replayed_cost_this_run_nothing() -> None:
    """And what it had cost is told beside."""
    before = replace(STARTED, launches=1, points=7, held_gpu_s=None)
    had = "1 launch, 7 points, 96.3 GPU-minutes (80.0 starting, 16.3 measuring), $3.13 at $1.95 per GPU-hour"
    assert said(is_without_gpu=True) == ["cost of this run: nothing, its points take no GPU"]
    assert said(reused=[before], replayed=True) == [
        "cost of this run: nothing, judged again",
        f"the judged run had cost: {had}",
    ]
    assert said(reused=[before]) == [
        "cost of this run: nothing, everything was reused",
        f"reused, paid for by an earlier run: {had}",
    ]
    first, second, third = said(STARTED, is_without_gpu=True, reused=[replace(before, starting_gpu_s=None)])
    assert first.startswith("cost of this run: 2 launches")
    assert second == "its other points take no GPU and cost this run nothing"
    assert third.endswith(
        "16.3 GPU-minutes (16.3 measuring), $0.53 at $1.95 per GPU-hour; starts not counted: not known"
    )


def test_small_figures_are_not_rounded_to_nothing() -> None:
    """A rehearsal of seconds costs little, and not zero; an unknown has no figure at all."""
    assert [cost.gpu_minutes(value) for value in (0.0, 0.6, 5.9, 6.0, None)] == [
        "0.0",
        "0.010",
        "0.098",
        "0.1",
        "not known",
    ]
    assert [cost.money(value, B200) for value in (0.0, 0.6, 36.0, None)] == ["$0.00", "$0.0003", "$0.02", "not known"]
