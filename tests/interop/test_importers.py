"""Each importer: what it reads from a result of its tool, and what it refuses. All numbers are invented."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module

import pytest
import yaml

from pytest_precgate.analysis.curves.sweep import SweepPoint
from pytest_precgate.documents import Node
from pytest_precgate.errors import RecordedPointsError
from pytest_precgate.interop.importers import OBJECT_FORMATS, TABLE_FORMATS, imported
from pytest_precgate.interop.rows import RecordedRow
from tests.interop import results
from tests.interop.results import Result

RESULTS: dict[str, Result] = {
    "vllm bench serve (InferenceX raw)": results.vllm(),
    "SGLang bench_serving": results.sglang(),
    "InferenceX aggregated": results.agg(),
    "InferenceX agentic": results.agentic(),
    "InferenceX API": results.api(),
    "AIPerf JSON": results.aiperf(),
    "AIPerf sweep": results.aiperf_sweep(),
    "GuideLLM": results.guidellm(),
    "trtllm-bench": results.trtllm(),
    "llm-d report": results.llmd(),
    "inference-perf": {"load_summary": {"count": 10}, "successes": {}, "failures": {}},
    "llmperf": {"version": "2023-08-31", "num_concurrent_requests": 5, "results_ttft_s_mean": 0.2},
    "pytest-precgate points": {"concurrency": 10, "gpus": 4, "interactivity": 50, "throughput_per_gpu": 300},
}


def only(result: Result | str) -> RecordedRow:
    """The one row of a result."""
    (row,) = imported(result if isinstance(result, str) else json.dumps(result), "f").rows
    return row


def refused(result: Result | str) -> str:
    with pytest.raises(RecordedPointsError) as caught:
        imported(result if isinstance(result, str) else json.dumps(result), "f")
    return str(caught.value)


def facts(row: RecordedRow) -> tuple[object, ...]:
    return (row.gpus, row.precision, row.hardware, row.isl, row.osl, row.configuration, row.model)


@pytest.mark.parametrize("tool", RESULTS)
def test_every_result_is_told_by_one_importer_alone(tool: str) -> None:
    """The order of the table decides nothing."""
    assert [each.tool for each in OBJECT_FORMATS if each.told_by(RESULTS[tool])] == [tool]
    assert set(RESULTS) == {each.tool for each in OBJECT_FORMATS}


@pytest.mark.parametrize(
    ("tool", "text"),
    [
        ("pytest-precgate points", "concurrency,gpus,interactivity,throughput_per_gpu\n"),
        ("InferenceX site export", results.export()),
        ("AIPerf CSV", results.AIPERF_CSV),
    ],
)
def test_every_table_is_told_by_one_importer_alone(tool: str, text: str) -> None:
    """By the cells of its first line."""
    head = next(line for line in text.splitlines() if not line.startswith("#")).split(",")
    assert [each.tool for each in TABLE_FORMATS if each.told_by(head)] == [tool]


def test_an_unknown_result_is_refused_by_its_members() -> None:
    """What it holds, and what is known."""
    why = refused({"benchmarks": [{"name": "test_sort", "stats": {}}], "machine_info": {}})
    assert why.startswith("f: is not a known result of a benchmark; its members: benchmarks, machine_info; known: ")


def test_an_unknown_table_is_refused_by_its_columns() -> None:
    """A spreadsheet of something else."""
    assert "is not a known table of points; its columns: name, price; known: " in refused("name,price\nx,1\n")


def whole_point(row: RecordedRow, gpus: int = 4) -> SweepPoint:
    """The point under 1000 input and 500 output tokens, on ``gpus`` where the file does not say."""
    return RecordedRow(**{**vars(row), "gpus": row.gpus or gpus}).point(1000, 500)


@pytest.mark.parametrize(
    "result",
    [
        *(each for tool, each in RESULTS.items() if tool not in ("inference-perf", "llmperf")),
        results.guidellm("0.3"),
        results.AIPERF_CSV,
        results.export(results.EXPORT_LINE),
        yaml.safe_dump(results.llmd()),
    ],
)
def test_every_tool_s_result_of_one_run_is_the_same_point(result: Result | str) -> None:
    """10 requests at 20 ms a token; 1200 tok/s on 4 GPUs are 300 tok/s/GPU, input and output."""
    point = whole_point(only(result))
    assert (point.concurrency, point.gpus) == (10, 4)
    assert point.interactivity == pytest.approx(50.0)
    assert point.throughput_per_gpu == pytest.approx(300.0)


@pytest.mark.parametrize(
    ("result", "stated"),
    [
        (results.vllm(), (None, None, None, None, None, None, "example/model")),
        (results.sglang(), (4, "fp8", None, 1000, 500, "sglang-tp2-pp2", "example/model")),
        (results.sglang(dataset_name="sharegpt"), (4, "fp8", None, None, None, "sglang-tp2-pp2", "example/model")),
        (results.sglang(server_info=None), (None, None, None, 1000, 500, None, None)),
        (results.agg(), (4, "fp4", "b200", 1000, 500, "vllm-tp4-ep1", "example/model")),
        (results.agentic(), (4, "fp4", "b200", None, None, "sglang-tp4-ep1-mtp", "example/model")),
        (results.api(), (4, "fp4", "b200", 1000, 500, "vllm-tp4-ep1", "example")),
        (results.export(results.EXPORT_LINE), (4, "fp4", "b200", 1000, 500, "vllm-tp4-ep1", "example")),
        (results.aiperf(), (None, None, None, 1000, 500, None, "example/model")),
        (results.AIPERF_CSV, (None, None, None, 1000, 500, None, None)),
        (results.aiperf_sweep(), (None, None, None, None, None, None, None)),
        (results.guidellm(), (None, None, None, 1000, 500, None, "example/model")),
        (results.guidellm("0.3"), (None, None, None, 1000, 500, None, "example/model")),
        (results.trtllm(), (4, "fp4", "b200", None, None, "trtllm-tp2-pp2", "example/model")),
        (results.llmd(), (4, None, "h200", 1000, 500, None, "example/model")),
    ],
)
def test_what_a_result_says_of_its_point_and_what_it_lacks(result: Result | str, stated: tuple[object, ...]) -> None:
    """GPUs, precision, hardware, isl, osl, configuration, model; None is never filled with a guess."""
    assert facts(only(result)) == stated


@pytest.mark.parametrize(
    ("result", "means"),
    [
        (results.vllm(total_input_tokens=92600, total_output_tokens=45010, duration=...), (926.0, 450.1)),
        (results.sglang(completed=80), (1250.0, 625.0)),
        (results.aiperf(input_sequence_length__avg=67.5, input_sequence_length__min=48.0), (67.5, 500.0)),
        (results.trtllm(request_info__avg_output_length=498.5), (1000.0, 498.5)),
    ],
)
def test_lengths_that_differ_are_averages(result: Result, means: tuple[float, float]) -> None:
    """Tokens over requests, or the tool's own averages."""
    row = only(result)
    assert (row.mean_isl, row.mean_osl) == pytest.approx(means)


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (
            results.vllm(completed=99),
            r"f: got 99 of 100 requests; failed requests make a point invalid @ $.completed",
        ),
        (results.vllm(failed=1), "f: got 1: requests failed; a point with failed requests is not valid @ $.failed"),
        (results.vllm(request_rate=4.0), "wanted request_rate inf @ $.request_rate"),
        (
            results.vllm(ramp_up_strategy="linear", ramp_up_start_rps=1, ramp_up_end_rps=9),
            "f: requests were sent at a rising rate, so the concurrency was not constant",
        ),
        (
            results.vllm(max_concurrency=128),
            "f: got a concurrency of 128 and 100 requests, so it was never reached @ $.max_concurrency",
        ),
        (results.vllm(errors=["", "", "timeout"]), "f: got 'timeout': a request failed; a point with failed requests"),
        (
            results.vllm(total_token_throughput=300.0),
            "f: got 300 tok/s, wanted 150000 tokens of input and output over 125 s: is it that of one GPU, or of the "
            "output alone? @ $.total_token_throughput",
        ),
        (results.vllm(median_tpot_ms=...), "f: required field missing @ $.median_tpot_ms"),
        (results.vllm(median_tpot_ms=0), "f: got 0.0, wanted a time above 0 @ $.median_tpot_ms"),
        (results.vllm(max_concurrency=None), "f: got null: no limit of the concurrency was set, so it was not const"),
        (
            results.vllm(max_concurrency=7.5),
            "f: got 7.5, wanted a whole number of at most 1000000000 @ $.max_concurrency",
        ),
        (results.sglang(request_rate=4), "wanted request_rate inf @ $.request_rate"),
        (results.sglang(completed=9), "f: got a concurrency of 10 and 9 requests, so it was never reached"),
        (results.sglang(errors=["", "HTTP 500"]), "f: got 'HTTP 500': a request failed"),
        (results.sglang(duration=125.0, total_throughput=400.0), "is it that of one GPU, or of the output alone?"),
        (results.agentic(num_gpus=8), "f: got 8 GPUs, tp * pp * pcp_size is 4 @ $.num_gpus"),
        (
            {
                "hw": "b200",
                "scenario_type": "agentic-coding",
                "conc": 1,
                "output_tput_per_gpu": 20,
                "median_intvty": 50,
            },
            "f: is an agentic result without request_metrics: it lacks the throughput of input and output tokens",
        ),
        (results.api(is_multinode=True), "its GPU count is not tp; disaggregated and multi-node results"),
        (results.aiperf(was_cancelled=True), "f: the run was cancelled; wanted a complete one @ $.was_cancelled"),
        (results.aiperf(error_summary=[{"count": 2}]), "requests failed; a point with failed requests is not valid"),
        (results.aiperf(request_error_rate__avg=0.5), "f: got 0.5: requests failed"),
        (results.aiperf(inter_token_latency=...), "f: required field missing @ $.inter_token_latency"),
        (results.aiperf(inter_token_latency__unit="us"), "f: unknown value 'us'"),
        (results.aiperf(total_token_throughput__unit="tokens/min"), "f: unknown value 'tokens/min'"),
        (results.aiperf(request_count={"avg": 9.0}), "f: got a concurrency of 10 and 9 requests, so it was never"),
        (results.aiperf(input_config__phases__1__type="poisson"), "requests were sent at a rate"),
        (results.aiperf(input_config__phases=[]), "f: holds no phase called profiling"),
        (results.aiperf_sweep(failed_runs=["x"]), "f: got ['x']: runs failed"),
        (
            results.aiperf_sweep(per_combination_metrics__0__metrics__output_token_throughput__unit="requests/sec"),
            "f: unknown value 'requests/sec'",
        ),
        (
            results.aiperf_sweep(per_combination_metrics__0__parameters={"concurrency": 10, "isl": 9}),
            "f: is swept beside the concurrency; wanted a sweep of the concurrency alone",
        ),
        (
            results.AIPERF_CSV.replace("Effective", "Other"),
            "f: is AIPerf's CSV of a version that does not say its conc",
        ),
        (results.AIPERF_CSV.replace(",,10.00", ",,9.00"), "f: the concurrency was not constant: its median is 9.0"),
        (results.AIPERF_CSV.replace("(%),0.00", "(%),1.00"), "f: got 1.0: requests failed"),
        (results.AIPERF_CSV.replace(",20.00", ",fast"), "f: got 'fast', wanted a number @ line 4"),
        (
            results.guidellm(benchmarks__0__config__strategy={"type_": "constant", "rate": 4.0}),
            "f: got 'constant': requests were sent at a rate, so the concurrency was not constant",
        ),
        (results.guidellm(benchmarks__0__scheduler_metrics__requests_made__errored=1), "f: got 1: requests failed"),
        (
            results.guidellm(benchmarks__0__scheduler_metrics__requests_made__successful=7),
            "f: got a concurrency of 10 and 7 requests, so it was never reached @ $.benchmarks[0].config.strategy.str",
        ),
        (results.trtllm(streaming_metrics=...), "f: lacks tpot: run trtllm-bench with --streaming"),
        (results.trtllm(world_info__tp_size=4), "which is not on tp * pp = 8 GPUs"),
        (results.trtllm(world_info__tp_size=...), "f: required field missing @ $.world_info.tp_size"),
        (results.llmd(scenario__load__standardized__concurrency=float("inf")), "f: got an infinite concurrency"),
        (results.llmd(scenario__load__standardized__rate_qps=3.0), "requests were sent at a rate"),
        (
            results.llmd(results__request_performance__aggregate__latency__time_per_output_token__p50=...),
            "f: required field missing @ $.results.request_performance.aggregate.latency.time_per_output_token.p50",
        ),
        (results.llmd(results__request_performance__aggregate__requests__failures=2), "f: got 2: requests failed"),
        (results.llmd(results__request_performance__aggregate__requests__total=5), "concurrency of 10 and 5 requests"),
        (
            results.llmd(results__request_performance__aggregate__throughput__total_token_rate__units="tokens/min"),
            "f: unknown value 'tokens/min'",
        ),
        (
            RESULTS["inference-perf"],
            "f: is a result of inference-perf over all its stages, which may differ in load: it lacks a constant conc",
        ),
        (
            RESULTS["llmperf"],
            "f: is a summary of llmperf, which lacks tpot: its inter-token latency is request latency",
        ),
        ({"1": {"concurrency": 1, "latency_ms_per_token": 30.0}}, "f: is a summary of llmperf, which lacks tpot"),
    ],
)
def test_a_result_without_a_valid_point_is_refused_at_its_member(result: Result | str, why: str) -> None:
    """Failed requests, rates, missing measurements, and tools whose results hold no closed loop."""
    assert why in refused(result)


def test_appended_lines_are_one_point_each() -> None:
    """`vllm bench serve --append-result` and SGLang write a line per run."""
    text = "".join(json.dumps(results.vllm(max_concurrency=number)) + "\n" for number in (4, 8))
    assert [row.concurrency for row in imported(text, "f").rows] == [4, 8]


def test_a_benchmark_of_one_request_at_a_time_has_concurrency_one() -> None:
    """GuideLLM calls it synchronous."""
    strategy = {"type_": "synchronous"}
    assert only(results.guidellm(benchmarks__0__config__strategy=strategy)).concurrency == 1


def test_a_sweep_that_knows_its_total_throughput_needs_no_lengths() -> None:
    """AIPerf's summary may hold the metric."""
    total = {"mean": 1200.0, "unit": "tokens/sec"}
    row = only(results.aiperf_sweep(per_combination_metrics__0__metrics__total_token_throughput=total))
    assert (row.throughput, row.counts) == (1200.0, "system")


CONFIGURATIONS: Mapping[str, tuple[Mapping[str, object], int]] = {
    "vllm-tp4-ep1": ({}, 4),
    "vllm-tp4-pp2-ep1": ({"pp": 2}, 8),
    "vllm-tp4-pcp2-ep1": ({"pcp_size": 2}, 8),
    "vllm-tp4-dcp2-ep1": ({"dcp_size": 2}, 4),
    "vllm-tp4-ep4": ({"ep": 4}, 4),
    "vllm-tp4-ep1-dpa": ({"dp_attention": "true"}, 4),
    "vllm-tp4-ep1-mtp": ({"spec_decoding": "mtp"}, 4),
    "vllm-tp4-pp2-pcp2-dcp4-ep8-dpa-mtp": (
        {"pp": 2, "pcp_size": 2, "dcp_size": 4, "ep": 8, "dp_attention": True, "spec_decoding": "mtp"},
        16,
    ),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_gpus_are_tp_pp_pcp_and_no_two_configurations_share_a_name(name: str) -> None:
    """Decode context and expert parallelism run on the GPUs of tp."""
    changes, gpus = CONFIGURATIONS[name]
    row = only(results.agg(**changes))
    assert (row.configuration, row.gpus) == (name, gpus)


def test_a_file_of_2025_lacks_lengths_and_names_its_speculation_otherwise() -> None:
    """No isl, osl, pp; `mtp` is on or off."""
    old = {
        name: ... for name in ("isl", "osl", "pp", "dcp_size", "pcp_size", "spec_decoding", "disagg", "is_multinode")
    }
    for mtp, name in (("on", "vllm-tp4-ep1-mtp"), ("off", "vllm-tp4-ep1")):
        assert facts(only(results.agg(**old, mtp=mtp)))[:6] == (4, "fp4", "b200", None, None, name)


@pytest.mark.parametrize(
    ("hw", "hardware"),
    [
        ("b200", "b200"),
        ("b200-trt", "b200"),
        ("cluster:h100-dgxc", "h100"),
        ("cluster:lab", None),
        ("l40s-x", "l40s-x"),
    ],
)
def test_a_runner_s_name_tells_its_hardware(hw: str, hardware: str | None) -> None:
    """A cluster whose name tells none leaves the hardware to be asked for."""
    assert only(results.agg(hw=hw)).hardware == hardware


@pytest.mark.parametrize(
    ("changes", "gpus", "name"),
    [
        ({"num_decode_gpu": 16, "decode_ep": 4}, 4, "vllm-tp4-ep4"),
        ({"num_decode_gpu": 8, "metrics__decode_pp": 2}, 8, "vllm-tp4-pp2-ep1"),
        ({"num_decode_gpu": 8}, None, "vllm-tp4-ep1"),
        ({"num_decode_gpu": ...}, 4, "vllm-tp4-ep1"),
        ({"metrics__pcp_size": 2, "metrics__dcp_size": 2, "num_decode_gpu": 8}, 8, "vllm-tp4-pcp2-dcp2-ep1"),
    ],
)
def test_gpus_of_an_api_row_come_from_its_widths(changes: Result, gpus: int | None, name: str) -> None:
    """num_decode_gpu is tp * ep in a quarter of the rows; where it agrees with neither, the GPUs are asked for."""
    row = only(results.api(**changes))
    assert (row.gpus, row.configuration) == (gpus, name)


@pytest.mark.parametrize(
    ("changes", "gpus"),
    [
        ({"dp_size": 2}, None),
        ({"dp_size": 2, "enable_dp_attention": False}, 8),
        ({"dp_size": 2, "enable_dp_attention": True}, 4),
    ],
)
def test_replicas_of_sglang_have_gpus_of_their_own(changes: Result, gpus: int | None) -> None:
    """Unless their attention shares the GPUs of tp; where the file does not say, they are asked for."""
    row = only(results.sglang(**{f"server_info__{name}": value for name, value in changes.items()}))
    assert row.gpus == gpus


@pytest.mark.parametrize("unit", [1.0, 1000.0])
def test_the_export_s_times_may_be_seconds_under_heads_of_milliseconds(unit: float) -> None:
    """The tpot tells which, because the interactivity is its inverse; the other times are in the same unit."""
    row = only(results.export(results.export_line(unit)))
    assert row.interactivity == 50.0
    assert row.details is not None
    assert (row.details.ttft_p99_s, row.details.request_latency_mean_s) == pytest.approx((1.5, 11.0))


def test_the_export_s_tpot_is_the_inverse_of_its_interactivity() -> None:
    """In neither unit: refused."""
    text = results.export(results.EXPORT_LINE.replace("300.0,0.02,", "300.0,2.0,"))
    assert "which is 1 / 50.0 tok/s/user neither in s nor in ms @ line 4" in refused(text)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (results.EXPORT_LINE.replace("50.0,false", "50.0,true"), "multi-node results cannot be read yet @ line 4"),
        (results.EXPORT_LINE.replace("300.0", "much"), "got 'much', wanted a number @ line 4"),
        (results.EXPORT_LINE.replace("fp4,4", "fp4,4.5"), "got 4.5, wanted a whole number @ line 4.TP"),
        (results.EXPORT_LINE.replace("300.0", ""), "required field missing @ line 4.Throughput/GPU (tok/s)"),
        (results.EXPORT_LINE + ",x", "got 34 cells, wanted 33 as in the header @ line 4"),
    ],
)
def test_an_exported_line_that_is_no_point_is_refused_at_its_line(line: str, why: str) -> None:
    """The line and the column."""
    assert why in refused(results.export(line))


def test_every_importer_names_tool_source_and_fields() -> None:
    """The docstring of each importer names tool, source and fields, to check new versions against."""
    for reader in (*(each.rows for each in OBJECT_FORMATS), *(each.rows for each in TABLE_FORMATS)):
        module = import_module(reader.__module__)
        if module.__name__.endswith(".own"):
            continue
        assert module.__doc__ is not None
        assert "\n\nSource: " in module.__doc__, module.__name__
        assert "Fields" in module.__doc__ or "Recognised by" in module.__doc__, module.__name__


def test_a_row_keeps_its_place_in_the_file() -> None:
    """For every later refusal: GPUs that are lacking, a point that cannot be."""
    rows = imported(json.dumps([results.agg(), results.agg(conc=20)]), "f").rows
    assert [row.node for row in rows] == [
        Node(row.node.value, "f", f"$[{n}]", RecordedPointsError) for n, row in enumerate(rows)
    ]
