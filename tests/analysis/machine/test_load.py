"""The load between two looks: a share, who it was, and nothing where the kernel does not count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.machine.load import (
    CoreTimes,
    HostLoad,
    Look,
    ProcessTimes,
    load_between,
)
from pytest_precgate.errors import InvalidValueError

SECONDS = st.floats(0, 10, allow_nan=False)


def looks(*cores: tuple[float, float, float], seconds: float = 1.0) -> tuple[Look, Look]:
    """Two looks at cores that were busy, idle and stolen for so long between them."""
    before = {number: CoreTimes(100.0, 100.0, 1.0) for number in range(len(cores))}
    after = {
        number: CoreTimes(100.0 + busy, 100.0 + idle, 1.0 + stolen) for number, (busy, idle, stolen) in enumerate(cores)
    }
    return Look(0.0, before), Look(seconds, after, runnable=2)


@given(st.lists(st.tuples(SECONDS, SECONDS, SECONDS), min_size=1, max_size=4))
def test_a_load_is_a_share_of_what_was_counted(times: list[tuple[float, float, float]]) -> None:
    """From 0 to 1, stolen within it, for any counters; None where no time was counted."""
    found = load_between(*looks(*times), tuple(range(len(times))))
    if found is None:
        assert sum(busy + idle for busy, idle, _ in times) < 1e-9
    else:
        assert 0 <= found.stolen <= found.share <= 1


@given(SECONDS, SECONDS, st.floats(0.01, 10))
def test_more_work_is_never_a_smaller_load(busy: float, idle: float, more: float) -> None:
    """So no limit is kept by making a machine busier."""
    first = load_between(*looks((busy, idle, 0.0)), (0,))
    second = load_between(*looks((busy + more, idle, 0.0)), (0,))
    assert second is not None
    assert first is None or second.share >= first.share - 1e-9


def test_only_the_cores_asked_for_count() -> None:
    """A busy core elsewhere disturbs less."""
    before, after = looks((0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
    load = load_between(before, after, (0,))
    assert load is not None
    assert (load.share, load.is_busy, load.fact) == (0.0, False, "quiet")
    both = load_between(before, after, (0, 1))
    assert both is not None
    assert (both.share, both.is_busy, both.fact) == (0.5, True, "busy")


@pytest.mark.parametrize("cores", [(0, 1), (5,)])
def test_a_core_that_is_not_counted_makes_the_load_unknown(cores: tuple[int, ...]) -> None:
    """It is not taken for idle."""
    assert load_between(*looks((1.0, 1.0, 0.0)), cores) is None


def test_counters_that_stand_still_make_the_load_unknown() -> None:
    """As where /proc is a copy."""
    assert load_between(*looks((0.0, 0.0, 0.0)), (0,)) is None


def test_the_busiest_processes_are_named() -> None:
    """Those of the cores asked for, the busiest first, three of them; a process that is new counts from its start."""
    before, after = looks((1.0, 0.0, 0.5), (1.0, 0.0, 0.0), seconds=2.0)
    old = {(number, 1): ProcessTimes(f"old{number}", 5.0, 0) for number in range(1, 5)}
    now = {key: ProcessTimes(each.name, 5.0 + key[0] * 0.2, 0) for key, each in old.items()}
    now |= {(9, 2): ProcessTimes("new", 1.8, 0), (8, 2): ProcessTimes("elsewhere", 2.0, 1)}
    load = load_between(Look(0.0, before.cores, old), Look(2.0, after.cores, now, 3), (0,))
    assert load is not None
    assert [(each.name, each.pid, round(each.share, 2)) for each in load.processes] == [
        ("new", 9, 0.9),
        ("old4", 4, 0.4),
        ("old3", 3, 0.3),
    ]
    assert str(load) == (
        "100% of the cores 0 are busy with other work (new (9) 90% of a core, old4 (4) 40% of a core, old3 (3) 30% of "
        "a core), 50% taken by other virtual machines"
    )


@pytest.mark.parametrize(("limit", "exceeds"), [(0.3, True), (0.5, False), (1.0, False)])
def test_a_limit_is_the_largest_load_that_may_be(limit: float, exceeds: bool) -> None:
    """At the limit it is still allowed."""
    assert HostLoad((0,), 0.5, 0.0, None, ()).exceeds(limit) == exceeds


@pytest.mark.parametrize(
    ("cores", "share", "stolen"), [((), 0.0, 0.0), ((0,), 1.5, 0.0), ((0,), 0.1, 0.2), ((0,), float("nan"), 0.0)]
)
def test_a_load_that_cannot_be_is_refused(cores: tuple[int, ...], share: float, stolen: float) -> None:
    """Shares are 0 to 1."""
    with pytest.raises(InvalidValueError, match="HostLoad"):
        HostLoad(cores, share, stolen, None, ())
