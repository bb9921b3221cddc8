"""A row and what is stated beside it: filled, contradicted, lacking, and the point they make."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.documents import Node
from pytest_precgate.errors import InvalidValueError, RecordedPointsError
from pytest_precgate.interop.rows import FACTS, NOTHING, Counts, RecordedRow, Stated

NODE = Node({}, "f", "$", RecordedPointsError)
ROW = RecordedRow(NODE, concurrency=10, interactivity=50.0, throughput=1200.0, counts="system")
ALL = Stated(4, "fp4", "b200", 1000, 500, "tp4")


@pytest.mark.parametrize("name", ["gpus", "isl", "osl"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, 10**10])
def test_a_stated_count_is_a_whole_number_of_at_least_one(name: str, value: object) -> None:
    """The name and the value are in the message."""
    changes: dict[str, Any] = {name: value}
    with pytest.raises(InvalidValueError, match=rf"stated\.{name}: got .*wanted"):
        replace(NOTHING, **changes)


@pytest.mark.parametrize("name", ["precision", "hardware", "configuration"])
def test_a_stated_name_is_one_line(name: str) -> None:
    """It becomes a cell of a file and a word of a report."""
    changes: dict[str, Any] = {name: "two\nlines"}
    with pytest.raises(InvalidValueError, match=rf"stated\.{name}"):
        replace(NOTHING, **changes)


@given(st.sets(st.sampled_from(FACTS)), st.sets(st.sampled_from(FACTS)))
def test_what_is_stated_fills_gaps_and_nothing_else(in_file: set[str], stated: set[str]) -> None:
    """A fact of the file stays, a missing one is the stated one, an unstated one stays unknown."""
    of_file = Stated(8, "int4", "h100", 2000, 100, "tp8")
    row = replace(ROW, **{name: getattr(of_file, name) for name in in_file})
    filled = row.filled(replace(NOTHING, **{name: getattr(ALL, name) for name in stated}))
    for name in FACTS:
        wanted = of_file if name in in_file else ALL if name in stated else NOTHING
        assert getattr(filled, name) == getattr(wanted, name)


@pytest.mark.parametrize("name", FACTS)
def test_a_fact_that_file_and_person_state_differently_is_refused(name: str) -> None:
    """Neither wins: one of them is wrong."""
    row = replace(ROW, **{name: getattr(ALL, name)})
    row.refuse_other(ALL)
    other = Stated(8, "int4", "h100", 2000, 100, "tp8")
    with pytest.raises(RecordedPointsError, match=rf"f: {name} is {getattr(ALL, name)} in the file, and .* @ \$"):
        row.refuse_other(other)


def test_everything_that_lacks_is_asked_for_at_once() -> None:
    """By name, with the averages that may tell it."""
    row = replace(ROW, mean_isl=925.6, mean_osl=450.0)
    with pytest.raises(RecordedPointsError) as caught:
        row.refuse_lacking(["gpus", "precision", "hardware", "isl", "osl"])
    assert str(caught.value) == (
        "f: does not say its gpus, precision, hardware, isl (its prompts average 925.6 tokens), osl (its outputs "
        "average 450 tokens); give --gpus, --precision, --hardware, --isl, --osl on the command line, or the same "
        "beside path in the settings @ $"
    )


def test_averages_that_are_whole_numbers_are_the_lengths_when_none_are_stated() -> None:
    """Requests of one length; a random length averages to a fraction."""
    assert replace(ROW, mean_isl=1000.0, mean_osl=500.0).filled(NOTHING).isl == 1000
    assert replace(ROW, mean_isl=1000.0, mean_osl=499.5).filled(NOTHING).isl is None
    assert replace(ROW, mean_isl=900.0, mean_osl=450.0).filled(Stated(isl=1000, osl=500)).isl == 1000


@pytest.mark.parametrize(
    ("counts", "throughput", "wanted"), [("gpu", 300.0, 300.0), ("system", 1200.0, 300.0), ("output", 400.0, 300.0)]
)
def test_throughput_per_gpu_follows_from_what_the_file_counts(counts: Counts, throughput: float, wanted: float) -> None:
    """Per GPU, of the system on 4 GPUs, and 400 output tok/s with 1000 input tokens per 500 output tokens."""
    row = replace(ROW, counts=counts, throughput=throughput, gpus=4)
    assert row.point(1000, 500).throughput_per_gpu == pytest.approx(wanted)


def test_the_requests_that_were_sent_decide_what_can_be() -> None:
    """Outputs that ended early: 800 input tokens per 250 output tokens carry more than 1000 per 500 would."""
    row = replace(ROW, throughput=2000.0, gpus=4)
    with pytest.raises(RecordedPointsError, match="impossible: 10 requests"):
        row.point(1000, 500)
    assert replace(row, mean_isl=800.0, mean_osl=250.0).point(1000, 500).throughput_per_gpu == 500.0


@pytest.mark.parametrize(
    ("mean_isl", "mean_osl", "why"),
    [
        (390.0, 500.0, "its prompts average 390 tokens, so its isl is not 1000"),
        (1400.0, 500.0, "its prompts average 1400 tokens, so its isl is not 1000"),
        (1000.0, 150.0, "its outputs average 150 tokens, so its osl is not 500"),
    ],
)
def test_lengths_that_the_requests_cannot_have_had_are_refused(mean_isl: float, mean_osl: float, why: str) -> None:
    """Another workload than was stated."""
    with pytest.raises(RecordedPointsError, match=why):
        replace(ROW, gpus=4, mean_isl=mean_isl, mean_osl=mean_osl).point(1000, 500)


@pytest.mark.parametrize(("mean_isl", "mean_osl"), [(900.0, 450.0), (510.0, 245.0), (1060.0, 500.0)])
def test_random_lengths_and_chat_templates_are_the_nominal_workload(mean_isl: float, mean_osl: float) -> None:
    """Uniform in [0.8 L, L] and in [0, L], and 60 tokens of a template."""
    replace(ROW, gpus=4, throughput=1000.0, mean_isl=mean_isl, mean_osl=mean_osl).point(1000, 500)


def test_a_row_without_gpus_is_no_point() -> None:
    """They are asked for by name."""
    with pytest.raises(RecordedPointsError, match="does not say its gpus; give --gpus on the command line"):
        ROW.point(1000, 500)


@pytest.mark.parametrize(
    "changes",
    [
        {"concurrency": 0},
        {"interactivity": float("inf")},
        {"throughput": -1.0},
        {"mean_isl": 0.0},
        {"gpus": 0},
        {"model": "two\nlines"},
    ],
)
def test_a_row_of_nonsense_is_refused_when_built(changes: dict[str, Any]) -> None:
    """Before anything reads it."""
    with pytest.raises(InvalidValueError, match=r"^point\."):
        replace(ROW, **changes)
