"""Rows as a sweep: one precision, workload, hardware and model, each point once."""

from __future__ import annotations

import json

import pytest

from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.errors import RecordedPointsError
from pytest_precgate.interop.importers import imported
from pytest_precgate.interop.rows import NOTHING, RecordedRow, Stated
from pytest_precgate.interop.sweeps import sweep_of, sweeps_of
from tests.interop import results

WORKLOAD = Workload(1000, 500)


def rows(*found: results.Result) -> list[RecordedRow]:
    return list(imported(json.dumps(found), "f").rows)


def test_what_is_stated_makes_a_sweep_of_a_file_that_says_little() -> None:
    """GPUs for the points; the suite's workload and hardware need not be said again."""
    sweep = sweep_of(rows(results.vllm()), "fp4", WORKLOAD, "b200", Stated(gpus=4, configuration="tp4"))
    assert [(point.gpus, point.configuration) for point in sweep.points] == [(4, "tp4")]


def test_a_fact_stated_against_the_file_is_refused_for_the_chosen_rows_alone() -> None:
    """Rows of the other precision are ignored."""
    both = rows(results.agg(), results.agg(precision="int4", tp=8, tput_per_gpu=100.0))
    assert len(sweep_of(both, "fp4", WORKLOAD, "b200", Stated(gpus=4)).points) == 1
    with pytest.raises(RecordedPointsError, match=r"gpus is 8 in the file, and 4 was given with --gpus .* @ \$\[1\]"):
        sweep_of(both, "int4", WORKLOAD, "b200", Stated(gpus=4))


def test_points_of_two_models_are_no_curve() -> None:
    """A file of everything that was published holds several models."""
    both = rows(results.api(), results.api(model="other", conc=20))
    with pytest.raises(RecordedPointsError, match=r"f: is of model other, other rows are of example; .* @ \$\[1\]"):
        sweep_of(both, "fp4", WORKLOAD, "b200")


def test_a_row_that_cannot_be_is_refused_at_its_place() -> None:
    """System throughput in the column per GPU."""
    with pytest.raises(RecordedPointsError, match=r"f: impossible: .* divided by 4 it is possible: .* @ \$\[1\]"):
        sweep_of(rows(results.agg(), results.agg(conc=20, tput_per_gpu=2400.0)), "fp4", WORKLOAD, "b200")


def test_a_repeated_point_is_refused_with_both_places() -> None:
    """Two files of one concurrency: which, and where the other one is."""
    twice = [*imported(json.dumps([results.agg()]), "a").rows, *imported(json.dumps([results.agg()]), "b").rows]
    why = r"b: holds concurrency 10 twice for configuration 'vllm-tp4-ep1' on 4 GPUs: .* a @ \$\[0\]; .* @ \$"
    with pytest.raises(RecordedPointsError, match=why):
        sweep_of(twice, "fp4", WORKLOAD, "b200")


def test_rows_of_several_workloads_and_precisions_become_a_sweep_each() -> None:
    """In a fixed order, independent of the order of the rows."""
    found = sweeps_of(
        rows(
            results.agg(isl=900, tput_per_gpu=280.0), results.agg(precision="int4"), results.agg(), results.agg(conc=20)
        ),
        NOTHING,
    )
    assert [(sweep.precision, sweep.workload.isl, len(sweep.points)) for sweep in found] == [
        ("fp4", 900, 1),
        ("fp4", 1000, 2),
        ("int4", 1000, 1),
    ]


@pytest.mark.parametrize(
    ("result", "lacking"),
    [
        (results.vllm(), "gpus, precision, hardware"),
        (
            results.vllm(total_input_tokens=99950),
            "gpus, precision, hardware, isl .its prompts average 999.5 tokens., osl",
        ),
        (results.sglang(), "hardware"),
        (results.sglang(server_info__quantization=None), "precision, hardware"),
        (results.agg(isl=..., osl=...), "isl, osl"),
        (results.agg(hw="cluster:lab"), "hardware"),
        (results.agentic(), "isl, osl"),
        (results.aiperf(), "gpus, precision, hardware"),
        (results.aiperf_sweep(), "gpus, precision, hardware, isl, osl"),
        (results.guidellm(), "gpus, precision, hardware"),
        (results.llmd(), "precision"),
        (results.api(num_decode_gpu=7), "gpus"),
    ],
)
def test_what_a_file_lacks_is_asked_for_by_name(result: results.Result, lacking: str) -> None:
    """Nothing but what it lacks."""
    with pytest.raises(RecordedPointsError, match=rf"f: does not say its {lacking}( \(.*\))?; give --"):
        sweeps_of(rows(result), NOTHING)


@pytest.mark.parametrize("result", [results.agg(), results.api(), results.trtllm()])
def test_a_file_that_says_everything_needs_nothing(result: results.Result) -> None:
    """Aggregated results, rows of the API, and trtllm-bench's report."""
    (sweep,) = sweeps_of(rows(result), NOTHING)
    assert (sweep.precision, sweep.hardware, sweep.workload) == ("fp4", "b200", WORKLOAD)
    assert sweep.points[0].throughput_per_gpu == pytest.approx(300.0)
