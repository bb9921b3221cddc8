"""Points that cannot have been measured: what a closed loop can give, and the likelier of the usual causes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.curves.sweep import SweepPoint
from pytest_precgate.interop.plausible import SLACK, excess, why_impossible
from tests.published import kimi

CONCURRENCIES = st.integers(1, 4096)
GPUS = st.integers(1, 128)
INTERACTIVITIES = st.floats(1.0, 1000.0)
TOKENS_PER_OUTPUT = st.floats(1.0, 200.0)


def point(concurrency: int, gpus: int, interactivity: float, throughput: float) -> SweepPoint:
    return SweepPoint(concurrency, gpus, interactivity, throughput)


@given(CONCURRENCIES, GPUS, INTERACTIVITIES, TOKENS_PER_OUTPUT, st.floats(0.001, 1.0))
def test_what_the_streams_can_carry_is_possible(
    concurrency: int, gpus: int, interactivity: float, tokens_per_output: float, used: float
) -> None:
    """Any share of concurrency * interactivity * (isl + osl) / osl is a point."""
    throughput = used * concurrency * interactivity * tokens_per_output / gpus
    assert why_impossible(point(concurrency, gpus, interactivity, throughput), tokens_per_output) is None


@given(CONCURRENCIES, GPUS, INTERACTIVITIES, TOKENS_PER_OUTPUT, st.floats(SLACK * 1.001, 1e6))
def test_more_than_the_streams_can_carry_is_refused(
    concurrency: int, gpus: int, interactivity: float, tokens_per_output: float, over: float
) -> None:
    """Beyond the slack no point passes, at any size."""
    throughput = over * concurrency * interactivity * tokens_per_output / gpus
    reason = why_impossible(point(concurrency, gpus, interactivity, throughput), tokens_per_output)
    assert reason is not None
    assert reason.startswith(f"impossible: {concurrency} requests at ")


@given(CONCURRENCIES, st.integers(2, 128), INTERACTIVITIES, TOKENS_PER_OUTPUT, st.floats(0.6, 1.0))
def test_system_throughput_in_the_column_per_gpu_is_named(
    concurrency: int, gpus: int, interactivity: float, tokens_per_output: float, used: float
) -> None:
    """A possible point times its GPUs: dividing by them makes it one again."""
    throughput = used * concurrency * interactivity * tokens_per_output
    reason = why_impossible(point(concurrency, gpus, interactivity, throughput), tokens_per_output)
    assert reason is not None
    assert f"divided by {gpus} it is possible: is it the whole system's throughput" in reason


@given(CONCURRENCIES, st.integers(1, 8), st.floats(1.5, 900.0), TOKENS_PER_OUTPUT, st.floats(0.05, 1.0))
def test_milliseconds_read_as_seconds_are_named(
    concurrency: int, gpus: int, interactivity: float, tokens_per_output: float, used: float
) -> None:
    """A possible point whose tpot was read a thousand times too long."""
    throughput = used * concurrency * interactivity * tokens_per_output / gpus
    reason = why_impossible(point(concurrency, gpus, interactivity / 1000, throughput), tokens_per_output)
    assert reason is not None
    assert reason.endswith("were milliseconds read as seconds?")


@given(CONCURRENCIES, st.integers(1, 8), st.floats(5.001, 900.0), TOKENS_PER_OUTPUT, st.floats(0.01, 1.0))
def test_seconds_read_as_milliseconds_are_named(
    concurrency: int, gpus: int, interactivity: float, tokens_per_output: float, used: float
) -> None:
    """A possible point whose tpot was read a thousand times too short, and whose streams would stand still for it."""
    throughput = used * concurrency * interactivity * tokens_per_output / gpus
    reason = why_impossible(point(concurrency, gpus, 1000 * interactivity, throughput), tokens_per_output)
    assert reason is not None
    assert reason.endswith("were seconds read as milliseconds?")


def test_a_long_queue_is_possible() -> None:
    """Requests that wait a thousand times as long as they decode, at any pace that there is."""
    assert why_impossible(point(4096, 1, 900.0, 0.9 * 4096), 1.0) is None


def test_an_excess_without_a_usual_cause_names_what_to_check() -> None:
    """One GPU, twice the tokens, and a usual interactivity."""
    reason = why_impossible(point(4, 1, 50.0, 900.0), 2.0)
    assert reason is not None
    assert reason.endswith("check concurrency, GPUs, and the lengths of input and output")


def test_a_row_that_made_one_precision_10981_percent_cheaper_is_refused() -> None:
    """4 requests, 8 GPUs, 50 tok/s/user, 5000 tok/s/GPU: 40000 tok/s where 400 can be."""
    reason = why_impossible(point(4, 8, 50.0, 5000.0), 2.0)
    assert reason == (
        "impossible: 4 requests at 50 tok/s/user carry at most 400 tok/s of input and output, the row says 4e+04 "
        "(5000 tok/s/GPU on 8 GPUs); is it the throughput of the whole system in the column per GPU? Divided by 8 it "
        "is still too much, so check concurrency and the lengths of input and output too"
    )


@pytest.mark.parametrize("precision", ["fp4", "int4"])
def test_published_rows_are_possible(precision: str) -> None:
    """InferenceX, Kimi K2.5 on B200, 1k/1k, medians up to 2026-07-20: at most 1.04 of what the streams carry."""
    assert max(excess(each, 2.0) for each in kimi(precision).points) < 1.04
