"""Reports of AIPerf, trtllm-bench, inference-perf and llmperf as public issues and pull requests show them: read, or
refused by cause.

The numbers are invented unless the source is cited for them; a docstring names the source."""

from __future__ import annotations

import json

import pytest

from pytest_precgate.errors import RecordedPointsError
from pytest_precgate.interop.importers import imported
from pytest_precgate.interop.rows import RecordedRow
from tests.interop import results
from tests.interop.results import Result, changed


def only(result: Result) -> RecordedRow:
    (row,) = imported(json.dumps(result), "f").rows
    return row


def refused(result: Result) -> str:
    with pytest.raises(RecordedPointsError) as caught:
        imported(json.dumps(result), "f")
    return str(caught.value)


def aiperf_of_2025(loadgen: Result, **config: object) -> Result:
    """AIPerf 0.5, which describes its load in loadgen and names models in endpoint."""
    endpoint = {"type": "chat", "model_names": ["example/model"], "streaming": True}
    return results.aiperf(
        schema_version="1.0",
        aiperf_version="0.5.0",
        error_request_count=None,
        request_count={"unit": "requests", "avg": 100.0},
        input_config={"endpoint": endpoint, "loadgen": loadgen, **config},
    )


@pytest.mark.parametrize("loadgen", [{"concurrency": 10}, {"concurrency": 10, "request_rate": None}])
def test_aiperf_before_its_phases_has_the_concurrency_of_loadgen(loadgen: Result) -> None:
    """ai-dynamo/aiperf 0.5: input_config.loadgen.concurrency, before input_config.phases replaced it."""
    row = only(aiperf_of_2025(loadgen))
    assert (row.concurrency, row.interactivity, row.throughput, row.model) == (10, 50.0, 1200.0, "example/model")


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (aiperf_of_2025({"request_rate": 4.0}), "f: requests were sent at a rate"),
        (aiperf_of_2025({"concurrency": 10, "request_rate": 4.0}), "f: requests were sent at a rate"),
        (aiperf_of_2025({"concurrency": 10}, input={"fixed_schedule": True}), "f: requests were sent at fixed times"),
        (aiperf_of_2025({}), "f: required field missing @ $.input_config.loadgen.concurrency"),
        (aiperf_of_2025({"concurrency": 128}), "f: got a concurrency of 128 and 100 requests, so it was never reached"),
        (
            changed(aiperf_of_2025({"concurrency": 10}), error_request_count={"unit": "requests", "avg": 3.0}),
            "f: got 3.0: requests failed",
        ),
    ],
)
def test_aiperf_before_its_phases_is_refused_without_a_closed_loop(result: Result, why: str) -> None:
    """The options --request-rate, --fixed-schedule and --concurrency of ai-dynamo/aiperf 0.5."""
    assert why in refused(result)


def test_the_first_aiperf_and_genai_perf_are_refused_for_the_total_that_they_lack() -> None:
    """ai-dynamo/aiperf issue 340: a JSON without version and without total_token_throughput."""
    early = changed(
        aiperf_of_2025({"concurrency": 10}), aiperf_version=..., schema_version=..., total_token_throughput=...
    )
    assert refused(early) == "f: required field missing @ $.total_token_throughput"


def phases(*named: tuple[str, str, int]) -> list[Result]:
    return [{"name": name, "kind": kind, "type": "concurrency", "concurrency": number} for name, kind, number in named]


def test_several_profiling_phases_of_aiperf_are_refused() -> None:
    """ai-dynamo/aiperf pull request 1150: metrics of the last phase beside counts of all, at the concurrency of the
    first."""
    two = phases(("profiling", "profiling", 10), ("steady", "profiling", 16))
    why = refused(results.aiperf(input_config__phases=two))
    assert why.startswith("f: is a second phase of kind profiling;")
    assert why.endswith("@ $.input_config.phases[1]")


def test_a_result_of_aiperf_that_is_not_complete_is_refused() -> None:
    """AIPerf 0.13 writes is_complete beside was_cancelled; versions before it do not."""
    assert refused(results.aiperf(is_complete=False)).startswith("f: the result is not complete;")
    assert only(results.aiperf(is_complete=True)).concurrency == 10


def test_a_profiling_phase_of_aiperf_may_have_any_name() -> None:
    """ai-dynamo/aiperf pull request 1150 split kind and name."""
    one = phases(("profiling", "warmup", 4), ("steady", "profiling", 10))
    assert only(results.aiperf(input_config__phases=one)).concurrency == 10


def test_a_report_of_trtllm_bench_with_nulls_is_read() -> None:
    """NVIDIA/TensorRT-LLM pull request 9459: EP Size None; machine is null where no GPU can be asked, quantization null
    for bfloat16: both are asked for."""
    row = only(results.trtllm(world_info__ep_size=None, machine=None, engine__quantization=None))
    assert (row.gpus, row.hardware, row.precision, row.configuration) == (4, None, None, "trtllm-tp2-pp2")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"performance__system_total_throughput_tok_s": ...},
            "f: required field missing @ $.performance.system_total_throughput_tok_s",
        ),
        (
            {"streaming_metrics": {"avg_itl_ms": 21.0, "itl_percentiles": {"p50": 20.0}}},
            "f: required field missing @ $.streaming_metrics.tpot_percentiles",
        ),
        ({"world_info__world_size": 8}, "f: got 8 GPUs, tp * pp is 4; other kinds of parallelism cannot be read yet"),
    ],
)
def test_a_report_of_trtllm_bench_is_refused_for_what_it_lacks(changes: Result, why: str) -> None:
    """NVIDIA/TensorRT-LLM before pull request 3212 (no total throughput), before itl was renamed tpot, and on more GPUs
    than tp * pp."""
    assert why in refused(results.trtllm(**changes))


def trtllm_run(requests: int, average: float, issue_rate: float, total_ms: float) -> Result:
    return results.trtllm(
        world_info__world_size=4,
        world_info__issue_rate=issue_rate,
        request_info__num_requests=requests,
        request_info__avg_num_concurrent_requests=average,
        performance__total_latency_ms=total_ms,
    )


def test_requests_that_trtllm_bench_sent_all_at_once_are_not_a_concurrency() -> None:
    """NVIDIA/TensorRT-LLM's example of `trtllm-bench throughput`, whose default has no limit: 3000 requests, issue rate
    7.6753E+14, 18563.6825 ms. The average in flight is invented."""
    why = refused(trtllm_run(3000, 1890.4, 7.6753e14, 18563.6825))
    assert "f: got an average of 1890.4 in flight, and 3000 requests that were all sent in the first 12% of" in why
    assert why.endswith("--concurrency N @ $.request_info.avg_num_concurrent_requests")


@pytest.mark.parametrize(
    ("run", "concurrency"),
    [
        (trtllm_run(6144, 1018.8281, 1.1684e17, 836932.0), 1019),
        (trtllm_run(100, 94.605, 1.0526e15, 1155.5715), 95),
        (changed(trtllm_run(3000, 1890.4, 7.6753e14, 18563.7), world_info__issue_rate=...), 1890),
    ],
)
def test_a_limit_of_trtllm_bench_s_concurrency_is_read_as_its_average(run: Result, concurrency: int) -> None:
    """NVIDIA/TensorRT-LLM pull request 7104 (6144 requests, 1018.8281 in flight), a first wave alone (100 requests,
    94.605 in flight), and a report that does not say when requests were sent."""
    assert only(run).concurrency == concurrency


STAGE: Result = {"count": 2700, "schedule_delay": {"mean": 0.0}}
RATED: Result = {**STAGE, "requested_rate": 2.0, "achieved_rate": 1.99}


@pytest.mark.parametrize(
    ("load", "cause"),
    [
        (RATED, "that sent requests at a rate: "),
        (
            {**RATED, "concurrency": 45},
            "with a concurrency of 45, which versions before February 2026 exceeded, and",
        ),
        (STAGE, "over all its stages, which may differ in load: "),
    ],
)
def test_inference_perf_is_refused_by_the_cause_that_is_its_own(load: Result, cause: str) -> None:
    """kubernetes-sigs/inference-perf pull request 263 (a concurrent load), issue 319 (its concurrency of 45 reached
    74), issue 249 (a summary beside its stages)."""
    result = {"load_summary": load, "successes": {}, "failures": {"count": 0}}
    assert f"f: is a result of inference-perf {cause}" in refused(result)


LLMPERF_REQUEST: Result = {
    "error_code": None,
    "error_msg": "",
    "inter_token_latency_s": 0.015,
    "ttft_s": 0.2,
    "end_to_end_latency_s": 2.3,
    "request_output_throughput_token_per_s": 65.0,
    "number_total_tokens": 700,
    "number_output_tokens": 150,
    "number_input_tokens": 550,
}
LLMPERF_SUMMARY: Result = {
    "version": "2023-08-31",
    "num_concurrent_requests": 5,
    "results_number_input_tokens_min": "550",
}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (json.dumps([LLMPERF_REQUEST]), "f: is a single request of llmperf, which lacks tpot"),
        (json.dumps({**LLMPERF_SUMMARY, "timestamp": 1}), "f: is a summary of llmperf, which lacks tpot"),
        (json.dumps({**LLMPERF_SUMMARY, "results_ttft_s_mean": float("nan")}), "f: is a summary of llmperf"),
    ],
)
def test_every_file_of_llmperf_is_refused_as_its_own(text: str, why: str) -> None:
    """ray-project/llmperf-leaderboard raw_data: the summary has counts as text, individual/ holds one entry per
    request; ray-project/llmperf issue 44: figures of a run without a completed request are NaN."""
    with pytest.raises(RecordedPointsError) as caught:
        imported(text, "f")
    assert str(caught.value).startswith(why)
