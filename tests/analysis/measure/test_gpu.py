"""GPUs by name, the telemetry of a point, and what in it makes the point invalid."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.measure.gpu import (
    SLOWDOWNS,
    ClocksEvent,
    Gpu,
    GpuSample,
    GpuTelemetry,
    gpus_named,
    is_outside,
    refusals,
    telemetry_of,
)
from pytest_precgate.errors import InvalidValueError

FOUR = tuple(
    Gpu(index, f"GPU-{index}abc0000-0000-0000-0000-00000000000{index}", "NVIDIA B200", 1 << 37, (f"MIG-{index}-a",))
    for index in range(4)
)
GOOD = GpuSample(
    at_s=0.0,
    energy_j=100.0,
    power_w=700.0,
    power_limit_w=1000.0,
    sm_clock_mhz=1965,
    memory_clock_mhz=3996,
    temperature_c=55,
    ecc_uncorrected=3,
    remapped_rows=1,
    clocks_events=0,
    own_pids=frozenset({10}),
    foreign_pids=frozenset(),
)


def seen(*samples: GpuSample) -> GpuTelemetry:
    """The telemetry of one GPU."""
    return telemetry_of({FOUR[0]: samples})[0]


def refused(*changes: dict[str, Any]) -> tuple[str, ...]:
    """The refusals of a point whose GPU changed from sample to sample."""
    return refusals([seen(*(replace(GOOD, at_s=float(n), **change) for n, change in enumerate(({}, *changes))))])


# --- which GPU --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"index": -1}, "Gpu.index"),
        ({"index": True}, "Gpu.index"),
        ({"uuid": ""}, "Gpu.uuid"),
        ({"name": "two\nlines"}, "Gpu.name"),
        ({"memory_total": 0}, "Gpu.memory_total"),
    ],
)
def test_a_gpu_that_cannot_be_is_refused(change: dict[str, Any], why: str) -> None:
    """An index, a UUID and a name; memory that is counted is not zero."""
    with pytest.raises(InvalidValueError, match=why):
        replace(FOUR[0], **change)


@pytest.mark.parametrize(
    ("words", "indices"),
    [
        (["0"], [0]),
        (["3", "1"], [3, 1]),
        ([FOUR[2].uuid], [2]),
        (["GPU-1abc", "0"], [1, 0]),
        (["MIG-3-a", FOUR[3].uuid], [3]),
        ([], []),
    ],
)
def test_a_gpu_is_named_as_cuda_names_it(words: list[str], indices: list[int]) -> None:
    """Index, UUID, beginning of a UUID, MIG device; in the order of the words, each GPU once."""
    assert [gpu.index for gpu in gpus_named(words, FOUR)] == indices


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["4"], r"GPU '4' is not here; the GPUs of this machine: GPU 0 \(GPU-0abc.*, GPU 3 \(GPU-3abc"),
        (["-1"], "GPU '-1' is not here"),
        ([""], "GPU '' is not here"),
        (["all"], "GPU 'all' is not here"),
        (["GPU-"], "GPU 'GPU-' is not here"),
        (["MIG-3"], "GPU 'MIG-3' is not here"),
        (["1", "1"], "GPU '1' is named twice"),
    ],
)
def test_a_word_that_names_no_gpu_is_refused(words: list[str], why: str) -> None:
    """The word comes first, what could have been meant after it."""
    with pytest.raises(InvalidValueError, match=why):
        gpus_named(words, FOUR)


def test_one_character_of_a_uuid_is_a_beginning_and_its_prefix_is_none() -> None:
    """``GPU-`` stands before every UUID and names nothing, even where there is one GPU only."""
    assert gpus_named(["GPU-2"], FOUR) == (FOUR[2],)
    with pytest.raises(InvalidValueError, match="'GPU-' is not here"):
        gpus_named(["GPU-"], FOUR[:1])


def test_a_beginning_that_several_gpus_have_is_refused() -> None:
    """CUDA would see no GPU at all."""
    twins = [Gpu(0, "GPU-aa1", "a"), Gpu(1, "GPU-aa2", "a")]
    with pytest.raises(InvalidValueError, match="GPU 'GPU-aa' may be any of 2"):
        gpus_named(["GPU-aa"], twins)


def test_without_gpus_no_word_is_good() -> None:
    """Zero is a count like any other."""
    with pytest.raises(InvalidValueError, match="the GPUs of this machine: none"):
        gpus_named(["0"], [])


# --- what was seen ----------------------------------------------------------------------------------------------------


def test_telemetry_is_what_changed_and_how_far() -> None:
    """Deltas of counters, a mean, ranges, the lowest cap and the union of events."""
    last = replace(
        GOOD,
        at_s=2.0,
        energy_j=1600.0,
        power_w=800.0,
        power_limit_w=900.0,
        sm_clock_mhz=1830,
        temperature_c=61,
        clocks_events=0x4,
    )
    got = seen(GOOD, last)
    assert (got.samples, got.duration_s, got.energy_j, got.energy_fall_j) == (2, 2.0, 1500.0, 0.0)
    assert (got.mean_power_w, got.power_limit_w, got.max_temperature_c) == (750.0, 900.0, 61)
    assert (got.sm_clock_mhz, got.memory_clock_mhz) == ((1830, 1965), (3996, 3996))
    assert (got.new_ecc_uncorrected, got.new_remapped_rows, got.foreign_pids) == (0, 0, ())
    assert got.line() == (
        f"{FOUR[0]}: 2 samples in 2.0 s, 1500 J, mean 750 W of 900 W, SM 1830 to 1965 MHz, memory 3996 to 3996 MHz, "
        "at most 61 °C, SW_POWER_CAP 0x4"
    )


def test_what_the_driver_does_not_say_is_absent() -> None:
    """A GPU without a single counter has no zero anywhere and refuses nothing, and its line says what it lacks."""
    got = seen(GpuSample(0.0), GpuSample(1.0))
    unsaid = {field.name for field in fields(got)} - {"gpu", "samples", "duration_s"}
    assert {getattr(got, name) for name in unsaid} == {None}
    assert refusals([got]) == ()
    assert got.line() == (
        f"{FOUR[0]}: 2 samples in 1.0 s, not known: energy, ECC errors, remapped rows, clocks events, other processes"
    )


def test_one_sample_has_no_delta() -> None:
    """A counter seen once says nothing of the time after."""
    got = seen(GOOD)
    assert (got.energy_j, got.energy_fall_j, got.new_ecc_uncorrected, got.new_remapped_rows) == (None,) * 4


def test_no_sample_is_refused() -> None:
    """Telemetry of nothing would look like a healthy GPU."""
    with pytest.raises(InvalidValueError, match=r"no sample of GPU 0 \(GPU-0abc"):
        seen()


@given(st.lists(st.one_of(st.none(), st.floats(0.0, 1e6)), min_size=1, max_size=20))
def test_energy_is_known_only_where_its_counter_never_fell(counter: list[float | None]) -> None:
    """A sample the driver left out is passed over; a fall anywhere makes the point invalid, however it ends."""
    got = seen(*(GpuSample(float(n), energy_j=energy) for n, energy in enumerate(counter)))
    known = [energy for energy in counter if energy is not None]
    falls = known != sorted(known)
    assert any("energy counter" in line for line in refusals([got])) == falls
    if falls or len(known) < 2:
        assert got.energy_j is None
    else:
        assert got.energy_j == known[-1] - known[0]


@given(st.lists(st.integers(0, 0xFFF), min_size=1, max_size=20))
def test_an_event_counts_whenever_it_was_seen(events: list[int]) -> None:
    """Heat and power brake refuse the point, in whichever sample; no other event does."""
    lines = refusals([seen(*(GpuSample(float(n), clocks_events=event) for n, event in enumerate(events)))])
    assert bool(lines) == any(event & (0x8 | 0x20 | 0x40 | 0x80) for event in events)
    for event in ClocksEvent:
        named = event in SLOWDOWNS and any(bits & event for bits in events)
        assert any(f"{event.name} {event:#x}" in line for line in lines) == named


def test_a_bit_nvml_has_not_named_is_shown_by_its_value() -> None:
    """A newer driver may have more to say."""
    assert ClocksEvent(0x404).names() == "SW_POWER_CAP 0x4, 0x400"
    assert ClocksEvent(0).names() == ""


pids = st.frozensets(st.integers(1, 5), max_size=3)


@given(st.lists(st.tuples(pids, pids), min_size=1, max_size=5), st.lists(st.tuples(pids, pids), min_size=1, max_size=5))
def test_foreign_processes_are_known_only_where_the_engine_was_seen(
    first: list[tuple[frozenset[int], frozenset[int]]], second: list[tuple[frozenset[int], frozenset[int]]]
) -> None:
    """Without one process of ours on any GPU, the driver counts in a namespace that is not ours."""
    both = {
        gpu: [GpuSample(float(n), own_pids=own, foreign_pids=foreign) for n, (own, foreign) in enumerate(each)]
        for gpu, each in zip(FOUR, (first, second), strict=False)
    }
    ours = any(own for own, _ in [*first, *second])
    for got, each in zip(telemetry_of(both), (first, second), strict=True):
        others = frozenset().union(*(foreign for _, foreign in each))
        assert got.foreign_pids == (tuple(sorted(others)) if ours else None)


# --- what makes a point invalid ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"clocks_events": 0x8}, "slowed down by heat or power brake: {gpu} HW_SLOWDOWN 0x8"),
        ({"clocks_events": 0x20}, "slowed down by heat or power brake: {gpu} SW_THERMAL_SLOWDOWN 0x20"),
        (
            {"clocks_events": 0x48},
            "slowed down by heat or power brake: {gpu} HW_SLOWDOWN 0x8, HW_THERMAL_SLOWDOWN 0x40",
        ),
        ({"clocks_events": 0x84}, "slowed down by heat or power brake: {gpu} HW_POWER_BRAKE_SLOWDOWN 0x80"),
        ({"ecc_uncorrected": 5}, "new uncorrected ECC errors: {gpu} +2"),
        ({"ecc_uncorrected": 0}, "new uncorrected ECC errors: {gpu} -3"),
        ({"remapped_rows": 2}, "rows of memory remapped: {gpu} +1"),
        ({"foreign_pids": frozenset({4712, 4711})}, "processes that are not the engine's: {gpu} pid 4711, 4712"),
        ({"energy_j": 40.0}, "the energy counter went backwards: {gpu} by 60 J"),
    ],
)
def test_what_befell_a_gpu_makes_a_point_invalid(change: dict[str, Any], why: str) -> None:
    """The line names the cause, the GPU and what was seen, and says that it is to be measured again."""
    (line,) = refused(change, {} if "energy_j" in change else change)
    assert line.startswith(why.format(gpu=FOUR[0]))
    assert "This is no regression" in line
    assert line.endswith("measure again")


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"clocks_events": 0x1},
        {"clocks_events": 0x4, "power_limit_w": 700.0},
        {"clocks_events": 0x112},
        {"sm_clock_mhz": 345, "temperature_c": 89},
        {"own_pids": frozenset(), "foreign_pids": frozenset()},
        dict.fromkeys(("energy_j", "ecc_uncorrected", "remapped_rows", "clocks_events", "own_pids", "foreign_pids")),
    ],
)
def test_the_ordinary_state_of_a_gpu_is_no_refusal(change: dict[str, Any]) -> None:
    """Idle, capped, locked clocks, warm: all recorded, none of it invalid; nor is what was not said."""
    assert refused(change) == ()


def test_the_power_cap_is_recorded_with_the_cap() -> None:
    """It bounds what the GPU can do, so it is told, and told with its size."""
    line = seen(GOOD, replace(GOOD, at_s=1.0, clocks_events=0x4)).line()
    assert "of 1000 W" in line
    assert "SW_POWER_CAP 0x4" in line


def test_gpus_with_the_same_trouble_share_a_line() -> None:
    """One line per kind of cause, however many GPUs; other kinds have their own."""
    hot = [replace(GOOD, clocks_events=0x40)] * 2
    both = {FOUR[0]: hot, FOUR[1]: [GOOD, replace(GOOD, remapped_rows=9)], FOUR[2]: hot}
    heat, rows = refusals(telemetry_of(both))
    assert f"{FOUR[0]} HW_THERMAL_SLOWDOWN 0x40; {FOUR[2]} HW_THERMAL_SLOWDOWN 0x40. " in heat
    assert f"{FOUR[1]} +8. " in rows


def test_no_gpu_refuses_nothing() -> None:
    """Where none was watched there is nothing to say."""
    assert telemetry_of({}) == ()
    assert refusals(()) == ()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, False),
        ({"foreign_pids": frozenset({4711})}, True),
        ({"foreign_pids": frozenset({4711}), "clocks_events": 0x40}, True),
        ({"clocks_events": 0x80}, True),
        ({"clocks_events": 0x88}, True),
        ({"clocks_events": 0x84}, True),
        ({"clocks_events": 0x8}, False),
        ({"clocks_events": 0x40}, False),
        ({"clocks_events": 0xC0}, False),
        ({"foreign_pids": frozenset({4711}), "ecc_uncorrected": 4}, False),
        ({"foreign_pids": frozenset({4711}), "remapped_rows": 2}, False),
        ({"foreign_pids": frozenset({4711}), "energy_j": 40.0}, False),
        ({"clocks_events": 0x80, "ecc_uncorrected": 4}, False),
        ({"clocks_events": None, "foreign_pids": None}, False),
    ],
)
def test_a_cause_is_outside_where_others_or_the_node_made_it(change: dict[str, Any], expected: bool) -> None:
    """Other processes with the heat they make, a power brake; neither heat alone nor what is wrong with the GPU."""
    assert is_outside([seen(GOOD, replace(GOOD, at_s=1.0, **change))]) is expected


def test_a_cause_is_outside_by_all_gpus_of_a_point() -> None:
    """A brake here and heat there are not the node's alone; a memory error anywhere is the GPU's."""
    braked, hot, shared, broken = (
        [GOOD, replace(GOOD, at_s=1.0, **change)]
        for change in (
            {"clocks_events": 0x80},
            {"clocks_events": 0x40},
            {"foreign_pids": frozenset({4711})},
            {"ecc_uncorrected": 9},
        )
    )
    for pair, expected in (((braked, braked), True), ((braked, hot), False), ((hot, shared), True)):
        assert is_outside(telemetry_of(dict(zip(FOUR, pair, strict=False)))) is expected
    assert not is_outside(telemetry_of(dict(zip(FOUR, (shared, broken), strict=False))))
    assert not is_outside(())


def test_telemetry_begins_with_its_first_sample() -> None:
    """Whatever the clock said; counters are read at both ends, and a fall between them counts however small."""
    first, last = replace(GOOD, at_s=5.0), replace(GOOD, at_s=7.0, ecc_uncorrected=5, energy_j=200.0)
    got = seen(first, replace(GOOD, at_s=6.0, energy_j=99.5), last)
    assert (got.duration_s, got.new_ecc_uncorrected) == (2.0, 2)
    assert (got.energy_j, got.energy_fall_j) == (None, 0.5)


def test_a_power_cap_that_is_not_told_is_left_out() -> None:
    """The mean is told without it."""
    assert "mean 700 W, SM" in seen(replace(GOOD, power_limit_w=None), replace(GOOD, power_limit_w=None)).line()


def test_what_the_driver_does_not_say_came_from_nowhere() -> None:
    """Neither from outside nor from the GPU."""
    assert not is_outside([seen(GpuSample(0.0), GpuSample(1.0))])
