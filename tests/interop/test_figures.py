"""Details of recorded points: what each tool's result states beside the point, and what is refused.

The figures of ``REAL`` are transcribed from public results, whose source stands beside them; others are invented."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.curves.details import FIGURES, PointDetails
from pytest_precgate.analysis.curves.sweep import SweepPoint
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.documents import Node
from pytest_precgate.errors import InvalidValueError, RecordedPointsError
from pytest_precgate.interop.importers import imported
from pytest_precgate.interop.rows import RecordedRow, Stated
from pytest_precgate.interop.sweeps import sweep_of, sweeps_of
from tests.interop import results
from tests.interop.results import DETAILS, Result
from tests.interop.test_content import paths

ITL = {name for name in DETAILS if name.startswith("itl")}
ENERGY = {"mean_power_w", "joules_per_token"}
E2E = {"e2e_interactivity"}

LEFT_OUT: dict[str, tuple[Result | str, set[str]]] = {
    "vllm bench serve": (results.vllm(), ITL | ENERGY | E2E),
    "SGLang": (results.sglang(), ITL | ENERGY | E2E),
    "InferenceX aggregated": (results.agg(), ITL | E2E),
    "InferenceX agentic": (results.agentic(), ITL),
    "InferenceX API": (results.api(), ITL | E2E),
    "InferenceX export": (results.export(results.EXPORT_LINE), ITL | ENERGY | E2E),
    "AIPerf": (results.aiperf(), ENERGY),
    "AIPerf CSV": (results.AIPERF_CSV, ENERGY),
    "AIPerf sweep": (results.aiperf_sweep(), {*DETAILS} - {"tpot_p50_s", "output_throughput_per_gpu"}),
    "GuideLLM 0.8": (results.guidellm(), ITL | ENERGY | E2E),
    "GuideLLM 0.3": (results.guidellm("0.3"), ITL | ENERGY | E2E),
    "trtllm-bench": (results.trtllm(), ITL | ENERGY | E2E),
    "llm-d": (results.llmd(), ITL | ENERGY | E2E),
}


def only(result: Result | str) -> RecordedRow:
    (row,) = imported(result if isinstance(result, str) else json.dumps(result), "f").rows
    return row


def point(result: Result | str, isl: int = 1000, osl: int = 500) -> SweepPoint:
    """The point of the one row of a result, on 4 GPUs where it does not say."""
    row = only(result)
    return replace(row, gpus=row.gpus or 4).point(isl, osl)


def known(result: Result | str, isl: int = 1000, osl: int = 500) -> dict[str, float]:
    details = point(result, isl, osl).details
    return {} if details is None else details.known


@pytest.mark.parametrize("tool", LEFT_OUT)
def test_a_result_gives_the_details_that_its_tool_states_and_no_others(tool: str) -> None:
    """In seconds, tok/s/GPU, W and J, whatever the units of the tool; itl only where it is a gap between chunks."""
    result, left_out = LEFT_OUT[tool]
    assert known(result) == pytest.approx({name: DETAILS[name] for name in DETAILS if name not in left_out})


REAL: dict[str, tuple[Result, dict[str, float]]] = {
    # InferenceX, aggregated result of openai/gpt-oss-120b on H200, TP8, concurrency 16 (2025-10, with later members).
    "InferenceX aggregated": (
        {
            **{"hw": "h200", "conc": 16, "model": "gpt-oss-120b", "framework": "vllm", "precision": "fp4", "tp": 8},
            **{"isl": 1024, "osl": 1024, "spec_decoding": "none", "tput_per_gpu": 217.38250582450988},
            **{"mean_ttft": 0.2816915315305778, "median_ttft": 0.1694877859990811, "p90_ttft": 0.45243048420670234},
            **{"p99_ttft": 1.2136558408039855, "mean_tpot": 0.017824905996036523, "median_tpot": 0.017953832932473393},
            **{
                "median_intvty": 55.698412910553685,
                "p99_tpot": 0.018661337088207042,
                "median_itl": 0.16299506300128996,
            },
            **{"mean_e2el": 16.597632539624737, "median_e2el": 16.5139793884955, "p99_e2el": 19.151012912837906},
        },
        {
            **{"ttft_mean_s": 0.2816915315305778, "ttft_p50_s": 0.1694877859990811, "ttft_p90_s": 0.45243048420670234},
            **{"ttft_p99_s": 1.2136558408039855, "tpot_mean_s": 0.017824905996036523},
            **{"tpot_p50_s": 0.017953832932473393, "tpot_p99_s": 0.018661337088207042},
            **{"request_latency_mean_s": 16.597632539624737, "request_latency_p50_s": 16.5139793884955},
            **{"request_latency_p99_s": 19.151012912837906},
        },
    ),
    # InferenceX, /api/v1/benchmarks, DeepSeek R1 on MI355X, TP4, SGLang, concurrency 4, 2026-06-11.
    "InferenceX API": (
        {
            **{"hardware": "mi355x", "framework": "sglang", "model": "dsr1", "precision": "fp4", "spec_method": "none"},
            **{"disagg": False, "is_multinode": False, "decode_tp": 4, "decode_ep": 1, "num_decode_gpu": 4},
            **{"isl": 1024, "osl": 1024, "conc": 4},
            "metrics": {
                **{"median_tpot": 0.009648023886344358, "median_intvty": 103.64816793368249},
                **{"tput_per_gpu": 198.9447984579421, "output_tput_per_gpu": 98.9883650269406, "avg_power_w": 628.907},
                **{"joules_per_total_token": 3.161212, "joules_per_output_token": 6.353339},
                **{"p99_e2el": 10.478947445219383, "p99_ttft": 0.8231137295397617},
            },
        },
        {
            **{"tpot_p50_s": 0.009648023886344358, "output_throughput_per_gpu": 98.9883650269406},
            **{"mean_power_w": 628.907, "joules_per_token": 3.161212},
            **{"ttft_p99_s": 0.8231137295397617, "request_latency_p99_s": 10.478947445219383},
        },
    ),
    # `vllm bench serve` of 2026-06, openai/gpt-oss-120b under speculation: itl counts chunks and is twice the tpot.
    "vllm bench serve": (
        {
            **{"request_rate": "inf", "max_concurrency": 8, "num_prompts": 80, "completed": 80},
            **{"duration": 91.86270698900012, "total_input_tokens": 571853, "total_output_tokens": 72137},
            **{"output_throughput": 785.2696960980899, "total_token_throughput": 7010.352961589876},
            **{"median_ttft_ms": 367.754299499893, "p99_ttft_ms": 2543.3375883100844},
            **{"median_tpot_ms": 9.161651590153008, "p99_tpot_ms": 15.767850915657744},
            **{"mean_itl_ms": 18.697193464640737, "mean_e2el_ms": 8783.172249749987},
        },
        {
            **{"output_throughput_per_gpu": 785.2696960980899 / 4, "ttft_p50_s": 0.367754299499893},
            **{"ttft_p99_s": 2.5433375883100844, "tpot_p50_s": 0.009161651590153008},
            **{"tpot_p99_s": 0.015767850915657744, "request_latency_mean_s": 8.783172249749987},
        },
    ),
    # SGLang bench_serving 0.5.5, Qwen2.5-3B-Instruct, random 512/128, concurrency 8.
    "SGLang": (
        {
            **{"dataset_name": "random", "request_rate": float("inf"), "max_concurrency": 8, "completed": 100},
            **{"duration": 4.356594837270677, "total_input_tokens": 26497, "total_output_tokens": 6180},
            **{"random_input_len": 512, "random_output_len": 128, "server_info": None},
            **{"output_throughput": 1418.5390725642164, "total_throughput": 7500.582730449984},
            **{"median_ttft_ms": 22.78, "mean_tpot_ms": 5.2025, "median_tpot_ms": 5.100693528197314},
            "median_itl_ms": 3.609933890402317,
        },
        {
            **{"ttft_p50_s": 0.02278, "tpot_mean_s": 0.0052025, "tpot_p50_s": 0.005100693528197314},
            "output_throughput_per_gpu": 1418.5390725642164 / 4,
        },
    ),
}
_LENGTHS = {"vllm bench serve": (8192, 1024), "SGLang": (512, 128)}


@pytest.mark.parametrize("tool", REAL)
def test_figures_of_a_public_result_are_read_to_the_last_digit(tool: str) -> None:
    """And nothing is made of figures that are not in it."""
    result, details = REAL[tool]
    assert known(result, *_LENGTHS.get(tool, (1024, 1024))) == pytest.approx(details)


def test_a_point_without_details_has_none() -> None:
    """Columns that are not there are not known."""
    row: Result = {"concurrency": 10, "gpus": 4, "interactivity": 50.0, "throughput_per_gpu": 300.0}
    assert point(row).details is None
    assert known({**row, "ttft_p99_s": 1.5, "preemptions": 0}) == {"ttft_p99_s": 1.5, "preemptions": 0.0}


def test_tpot_that_guidellm_weights_by_output_tokens_is_read_as_its_median_alone() -> None:
    """Version 0.8, where outputs differ in length; 0.3 does not weight."""
    of_8 = results.guidellm(benchmarks__0__metrics__output_token_count__successful__min=400.0)
    of_3 = results.guidellm("0.3", benchmarks__0__metrics__output_token_count__successful__min=400.0)
    assert {name for name in known(of_8) if name.startswith("tpot")} == {"tpot_p50_s"}
    assert {name for name in known(of_3) if name.startswith("tpot")} > {"tpot_p50_s", "tpot_p99_s"}


def test_chunks_that_arrive_together_have_no_gap() -> None:
    """AIPerf writes 0 for them: no itl, and no reason to refuse the point."""
    found = known(results.aiperf(inter_chunk_latency__p50=0.0))
    assert "itl_p50_s" not in found
    assert found["itl_p99_s"] == pytest.approx(0.06)


LLMD = "results__request_performance__aggregate__latency"


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (results.vllm(p99_ttft_ms=0), "f: got 0.0, wanted a number above 0 @ $.p99_ttft_ms"),
        (results.vllm(p99_ttft_ms="1 s"), "f: got '1 s', wanted a number @ $.p99_ttft_ms"),
        (results.vllm(p99_ttft_ms=400.0), "f: PointDetails: ttft_p50_s, ttft_p90_s, ttft_p99_s are [0.5, 0.9, 0.4]"),
        (results.vllm(output_throughput=1200.0), "@ $.output_throughput"),
        (results.sglang(duration=125.0, output_throughput=40.0), "wanted 50000 tokens of output over 125 s"),
        (results.agg(median_intvty=60.0), "f: got 60.0, which is not 1 / median_tpot = 1 / 0.02 @ $.median_intvty"),
        (results.api(metrics__median_intvty=60.0), "1 / median_tpot = 1 / 0.02 @ $.metrics.median_intvty"),
        (results.agg(avg_power_w=-1.0), "f: got -1.0, wanted a number above 0 @ $.avg_power_w"),
        (results.aiperf(time_to_first_token__unit="us"), "f: unknown value 'us'"),
        (results.aiperf(e2e_output_token_throughput__unit="tokens/min"), "f: unknown value 'tokens/min'"),
        (results.aiperf(request_latency__p99=float("nan")), "wanted a finite number @ $.request_latency.p99"),
        (results.llmd(**{f"{LLMD}__time_to_first_token__units": "us"}), "f: unknown value 'us'"),
    ],
)
def test_a_detail_that_is_none_is_refused_at_its_member(result: Result, why: str) -> None:
    """Zero, text, an unknown unit, a p99 below the median, an interactivity of another tpot."""
    with pytest.raises(RecordedPointsError) as caught:
        only(result)
    assert why in str(caught.value)


OWN: Result = {"concurrency": 10, "gpus": 4, "interactivity": 50.0, "throughput_per_gpu": 300.0}


@pytest.mark.parametrize(
    ("details", "why"),
    [
        ({"tpot_p50_s": 0.025}, "its median tpot is 0.025 s, which is 40 tok/s/user; its interactivity is 50"),
        (
            {"ttft_p50_s": 12.0, "request_latency_p50_s": 10.5},
            "its p50 request latency is 10.5 s, shorter than its p50",
        ),
        ({"ttft_mean_s": 12.0, "request_latency_mean_s": 10.5}, "its mean request latency is 10.5 s, shorter than"),
        ({"output_throughput_per_gpu": 400.0}, "its output throughput is 400 tok/s/GPU, that of input and output 300"),
        ({"mean_power_w": 3600.0, "joules_per_token": 3.0}, "are 900 W, its mean power is 3600 W"),
        ({"e2e_interactivity": 103.0}, "its end-to-end interactivity, ttft included, is 103 tok/s/user, and 50"),
        ({"request_latency_mean_s": 11000.0}, "8800 requests are in flight, and its concurrency is 10: were millisec"),
        ({"request_latency_p50_s": 0.0105}, "500 output tokens last 9.98 s at 50 tok/s/user, its request latency is"),
    ],
)
def test_a_detail_that_contradicts_the_point_refuses_the_row_at_its_spot(details: Result, why: str) -> None:
    """Milliseconds as seconds, the system as one GPU, columns that were swapped."""
    with pytest.raises(RecordedPointsError) as caught:
        point({**OWN, **details})
    assert str(caught.value).startswith("f: ")
    assert why in str(caught.value)
    assert str(caught.value).endswith("@ $")


@pytest.mark.parametrize(
    "details",
    [
        {"tpot_p50_s": 0.0201},
        {"ttft_p50_s": 10.0, "request_latency_p50_s": 10.0},
        {"output_throughput_per_gpu": 300.0},
        {"mean_power_w": 1000.0, "joules_per_token": 3.0},
        {"e2e_interactivity": 100.0},
    ],
)
def test_a_detail_on_the_border_of_what_can_be_is_read(details: Result) -> None:
    """A rounded tpot, one output token, prompts of nothing, a power taken over a little longer."""
    assert known({**OWN, **details}) == details


def test_a_row_refuses_what_is_no_throughput() -> None:
    """When it is built, as for its other figures."""
    with pytest.raises(InvalidValueError, match=r"point\.output_throughput: got -1\.0"):
        RecordedRow(Node({}, "f", "$", RecordedPointsError), 10, 50.0, 300.0, output_throughput=-1.0)


MUTATED: st.SearchStrategy[object] = st.one_of(
    st.floats(),
    st.floats(0.001, 1000.0),
    st.integers(),
    st.sampled_from([None, True, "0.5", "", [], {}, 0, -0.0, 10**400, 5e-324, 1.7e308]),
)
JSON_RESULTS = [result for result, _ in LEFT_OUT.values() if not isinstance(result, str)]
FACTS: dict[str, Any] = {"gpus": 4, "precision": "fp4", "hardware": "b200", "isl": 1000, "osl": 500}


@given(st.data(), MUTATED)
def test_a_mutated_figure_is_read_or_refused(data: st.DataObject, value: object) -> None:
    """Whatever stands in place of a figure, by every importer: a point whose details are possible, or a
    RecordedPointsError that names the file; nothing else comes out."""
    copy = json.loads(json.dumps(data.draw(st.sampled_from(JSON_RESULTS))))
    *above, last = data.draw(st.sampled_from(paths(copy)))
    place = copy
    for name in above:
        place = place[name]
    place[last] = value
    with suppress(RecordedPointsError):
        for row in imported(json.dumps(copy), "f").rows:
            stated = Stated(**{name: fact for name, fact in FACTS.items() if getattr(row, name) is None})
            (sweep,) = sweeps_of([row], stated)
            for each in sweep.points:
                details = PointDetails() if each.details is None else each.details
                assert PointDetails(**details.known) == details


@given(st.sampled_from(FIGURES), st.text(max_size=6) | st.floats().map(repr))
def test_a_mutated_cell_of_a_detail_is_read_or_refused(name: str, cell: str) -> None:
    """In our own CSV, where any figure may have a column."""
    head = "concurrency,gpus,interactivity,throughput_per_gpu"
    text = f"{head},{name}\n10,4,50,300,{cell}\n"
    with suppress(RecordedPointsError):
        imported(text, "f").rows[0].point(1000, 500)


def test_an_empty_cell_of_a_detail_is_not_known() -> None:
    """A CSV of points of which some have it."""
    head = "concurrency,gpus,interactivity,throughput_per_gpu,ttft_p99_s"
    rows = imported(f"{head}\n10,4,50,300,1.5\n20,4,40,400,\n", "f").rows
    sweep = sweep_of(rows, "fp4", Workload(1000, 500), "b200")
    assert [p.figure("ttft_p99_s") for p in sweep.points] == [1.5, None]
