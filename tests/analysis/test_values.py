"""Workload, SweepPoint, Sweep and Hardware refuse nonsense when built."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from pytest_precgate.analysis.curves.economics import HARDWARE, Hardware, hardware_named
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.errors import InvalidValueError, PrecgateError
from tests.published import WORKLOAD

POINT = SweepPoint(concurrency=4, gpus=4, interactivity=124.7, throughput_per_gpu=241.6)


@pytest.mark.parametrize("field", ["interactivity", "throughput_per_gpu"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 0.0, True, None, "fast"])
def test_a_point_that_is_not_a_positive_number_is_refused_by_name(field: str, value: object) -> None:
    """A NaN, infinite, zero, negative or missing figure never becomes a point."""
    with pytest.raises(
        InvalidValueError, match=rf"SweepPoint\.{field}: got .*, wanted a finite number above 0 \(tok/s"
    ):
        replace(POINT, **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["acceptance_length", "short_error"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 0.0])
def test_what_a_point_may_leave_out_is_a_positive_number_where_it_stands(field: str, value: float) -> None:
    """Not known is None, and never a number that could not be."""
    with pytest.raises(InvalidValueError, match=rf"SweepPoint\.{field}: got"):
        replace(POINT, **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["concurrency", "gpus"])
@pytest.mark.parametrize("value", [0, -4, 2.5, True, None])
def test_a_count_that_is_not_a_whole_number_is_refused_by_name(field: str, value: object) -> None:
    """Half a GPU and zero requests in flight do not exist."""
    with pytest.raises(InvalidValueError, match=rf"SweepPoint\.{field}: got .*, wanted a whole number"):
        replace(POINT, **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", None])
def test_a_configuration_is_one_line_of_text(name: object) -> None:
    """A name that could break a file's line is refused."""
    with pytest.raises(InvalidValueError, match=r"SweepPoint\.configuration"):
        replace(POINT, configuration=name)  # type: ignore[arg-type]


def test_numpy_s_numbers_are_numbers() -> None:
    """What an array holds can be measured too, and becomes plain Python."""
    point = SweepPoint(np.int64(4), np.int32(4), np.float64(50.0), np.float32(100.0))  # type: ignore[arg-type]
    assert (type(point.concurrency), type(point.throughput_per_gpu)) == (int, float)


def test_a_sweep_without_points_is_refused() -> None:
    """An empty sweep is no sweep."""
    with pytest.raises(InvalidValueError, match="the fp4 sweep holds no point"):
        Sweep("fp4", WORKLOAD, "b200", [])


@pytest.mark.parametrize("field", ["precision", "hardware"])
def test_a_sweep_names_its_precision_and_hardware_on_one_line(field: str) -> None:
    """Files and reports print both on one."""
    with pytest.raises(InvalidValueError, match=rf"Sweep\.{field}: got 'a.nb'"):
        replace(Sweep("fp4", WORKLOAD, "b200", [POINT]), **{field: "a\nb"})  # type: ignore[arg-type]


def test_a_sweep_is_a_machine_s_unless_it_is_said_to_be_simulated() -> None:
    """Every report of a simulation says so, and no other."""
    assert not Sweep("fp4", WORKLOAD, "b200", [POINT]).simulated


def test_a_concurrency_measured_twice_in_one_configuration_is_refused() -> None:
    """Of two points with one key it is unknown which was measured."""
    with pytest.raises(InvalidValueError, match="concurrency 4 twice for configuration 'default' on 4 GPUs"):
        Sweep("fp4", WORKLOAD, "b200", [POINT, replace(POINT, interactivity=99.0)])


def test_configurations_of_one_precision_are_one_cloud() -> None:
    """The same concurrency on TP4 and TP8 is two points of one sweep."""
    wide = replace(POINT, gpus=8, configuration="tp8")
    assert Sweep("fp4", WORKLOAD, "b200", [wide, POINT]).points == (POINT, wide)


def test_a_sweep_does_not_depend_on_the_order_of_its_points() -> None:
    """Points stand in a fixed order, so that a re-ordered file is no change."""
    other = replace(POINT, concurrency=8)
    assert Sweep("fp4", WORKLOAD, "b200", [other, POINT]) == Sweep("fp4", WORKLOAD, "b200", [POINT, other])


@pytest.mark.parametrize("ratio", [0.0, -0.1, 1.01, math.nan])
def test_a_range_ratio_outside_its_domain_is_refused(ratio: float) -> None:
    """Lengths lie in [ratio * L, L], so the ratio lies in (0, 1]."""
    with pytest.raises(InvalidValueError, match=r"Workload\.range_ratio"):
        Workload(isl=1024, osl=1024, range_ratio=ratio)


def test_a_workload_says_its_lengths_and_what_they_vary_by() -> None:
    """As reports and errors print it; a whole ratio is a number like any other."""
    assert str(WORKLOAD) == "isl 1024, osl 1024, lengths 0.8-1x"
    assert str(replace(WORKLOAD, range_ratio=1)) == "isl 1024, osl 1024"
    assert type(replace(WORKLOAD, range_ratio=1).range_ratio) is float


@pytest.mark.parametrize("field", ["isl", "osl"])
def test_a_workload_counts_whole_tokens(field: str) -> None:
    """Zero tokens in or out is no workload."""
    with pytest.raises(InvalidValueError, match=rf"Workload\.{field}: got 0"):
        replace(WORKLOAD, **{field: 0})


def test_every_hardware_row_carries_price_power_and_source() -> None:
    """The built-in table holds the nine published rows, each with where it came from."""
    published = {
        "h100": (1.30, 1.73),
        "h200": (1.41, 1.73),
        "b200": (1.95, 2.17),
        "b300": (2.34, 2.17),
        "gb200": (2.21, 2.10),
        "gb300": (2.652, 2.10),
        "mi300x": (1.12, 1.79),
        "mi325x": (1.28, 2.18),
        "mi355x": (1.48, 2.65),
    }
    assert {name: (row.price_per_gpu_hour, row.power_kw_per_gpu) for name, row in HARDWARE.items()} == published
    assert all("2026" in row.source for row in HARDWARE.values())


def test_hardware_without_a_price_is_refused_with_the_nearest_name() -> None:
    """A made-up GPU has no price; the message says which setting gives it one."""
    with pytest.raises(InvalidValueError, match=r"'b2000'; did you mean 'b200'.*\[tool\.precgate\.hardware\.b2000\]"):
        hardware_named("b2000")


@pytest.mark.parametrize("field", ["price_per_gpu_hour", "power_kw_per_gpu"])
def test_free_hardware_is_refused(field: str) -> None:
    """A price or power of zero would make every cost meaningless."""
    with pytest.raises(InvalidValueError, match=rf"Hardware\.{field}: got 0"):
        replace(Hardware("x", 1.0, 1.0, "a test"), **{field: 0})  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["name", "source"])
def test_hardware_is_named_on_one_line(field: str) -> None:
    """Reports print both on one."""
    with pytest.raises(InvalidValueError, match=rf"Hardware\.{field}: got ''"):
        replace(Hardware("x", 1.0, 1.0, "a test"), **{field: ""})  # type: ignore[arg-type]


def test_every_error_is_a_precgate_error() -> None:
    """One except clause catches every error that this package raises on purpose."""
    assert issubclass(InvalidValueError, PrecgateError)
    assert issubclass(InvalidValueError, ValueError)
