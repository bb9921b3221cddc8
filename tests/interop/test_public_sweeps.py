"""Sweeps of SGLang, vLLM, GuideLLM and llm-d as public issues and pull requests show them: read, or refused by cause.

The numbers are invented unless the source is cited for them; a docstring names the source."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_precgate.cli import main
from pytest_precgate.errors import RecordedPointsError
from pytest_precgate.interop.importers import imported
from pytest_precgate.interop.rows import RecordedRow
from tests.interop import results
from tests.interop.results import Result, changed

ISL, OSL = 8192, 1024
PROMPTS = {1: 5, 2: 10, 4: 20, 8: 32, 16: 48, 24: 72}
"""Requests of each concurrency in sgl-project/sglang pull request 5360."""


def rows(*found: Result) -> tuple[RecordedRow, ...]:
    return imported("".join(json.dumps(each) + "\n" for each in found), "f").rows


def refused(*found: Result) -> str:
    with pytest.raises(RecordedPointsError) as caught:
        rows(*found)
    return str(caught.value)


def sglang_run(concurrency: int, prompts: int, **changes: object) -> Result:
    """One line of bench_serving: each request takes 1.25 times its output tokens at a tpot that grows with load."""
    tpot = 12.0 + concurrency / 4
    duration = prompts / concurrency * OSL * tpot / 1000 * 1.25
    line = results.sglang(
        server_info=None,
        max_concurrency=concurrency,
        random_input_len=ISL,
        random_output_len=OSL,
        duration=duration,
        completed=prompts,
        total_input_tokens=prompts * ISL,
        total_output_tokens=prompts * OSL,
        input_throughput=prompts * ISL / duration,
        output_throughput=prompts * OSL / duration,
        total_throughput=prompts * (ISL + OSL) / duration,
        median_tpot_ms=tpot,
    )
    return changed(line, **changes)


def without_total(line: Result) -> Result:
    """The line as bench_serving of SGLang 0.4 wrote it."""
    return changed(line, total_throughput=..., server_info=...)


def sglang_sweep() -> list[Result]:
    return [sglang_run(concurrency, prompts) for concurrency, prompts in PROMPTS.items()]


def import_lines(path: Path, lines: Sequence[Result]) -> int:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return main(["import", str(path), "--gpus", "8", "--precision", "fp8", "--hardware", "h100"])


def test_one_file_that_six_runs_were_appended_to_is_six_points(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """sgl-project/sglang pull request 5360: --output-file results.jsonl with --max-concurrency 1 to 24."""
    assert import_lines(tmp_path / "results.jsonl", sglang_sweep()) == 0
    printed = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("#")]
    assert [line.split(",")[5] for line in printed[1:]] == [str(concurrency) for concurrency in PROMPTS]


def test_a_rerun_appended_to_the_same_file_is_refused_at_both_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file of sglang pull request 5360 after a second run of concurrency 8: neither of the two is chosen."""
    assert import_lines(tmp_path / "results.jsonl", [*sglang_sweep(), sglang_run(8, 32, median_tpot_ms=15.0)]) != 0
    told = capsys.readouterr()
    assert "holds concurrency 8 twice" in told.err
    assert "results.jsonl @ line 4; keep one of them" in told.err
    assert told.err.rstrip().endswith("@ line 7")
    assert told.out == ""


def test_a_line_of_sglang_0_4_has_the_sum_of_its_two_throughputs() -> None:
    """bench_serving of sgl-project/sglang pull request 5360 put neither total_throughput nor server_info in a line."""
    new, old = sglang_sweep(), [without_total(line) for line in sglang_sweep()]
    assert [row.throughput for row in rows(*old)] == pytest.approx([row.throughput for row in rows(*new)])
    assert {(row.gpus, row.precision, row.model) for row in rows(*old)} == {(None, None, None)}


@pytest.mark.parametrize("word", ["input", "output"])
def test_a_throughput_of_sglang_0_4_that_is_not_tokens_over_duration_is_refused(word: str) -> None:
    """As a total is."""
    line = without_total(sglang_run(8, 32, **{f"{word}_throughput": 3.0}))
    assert f"f: got 3 tok/s, wanted {32 * (ISL if word == 'input' else OSL)} tokens of {word} over" in refused(line)


@pytest.mark.parametrize("line", [sglang_run(8, 1648), without_total(sglang_run(8, 1648))])
def test_a_run_without_a_limit_of_its_concurrency_is_refused_as_such(line: Result) -> None:
    """sgl-project/sglang issue 2805: 1648 of 3000 requests succeeded, max concurrency not set. The line does not hold
    the number of requests sent."""
    why = refused(changed(line, max_concurrency=None, dataset_name="sharegpt"))
    assert why == ("f: got null: no limit of the concurrency was set, so it was not constant @ $.max_concurrency")


SPECULATIVE: dict[str, object] = {
    "max_concurrency": 32,
    "num_prompts": 1536,
    "completed": 1536,
    "failed": 0,
    "duration": 374.83,
    "total_input_tokens": 3160578,
    "total_output_tokens": 952460,
    "output_throughput": 2541.04,
    "total_token_throughput": 10973.05,
    "max_output_tokens_per_s": 1757.0,
    "max_concurrent_requests": 40,
    "mean_tpot_ms": 11.88,
    "median_tpot_ms": 11.46,
    "mean_itl_ms": 24.56,
    "median_itl_ms": 16.86,
}
ACCEPTANCE: dict[str, object] = {
    "spec_decode_acceptance_rate": 48.5,
    "spec_decode_acceptance_length": 2.45,
    "spec_decode_num_drafts": 388759,
    "spec_decode_draft_tokens": 1166277,
    "spec_decode_accepted_tokens": 563701,
    "spec_decode_per_position_acceptance_rates": [0.7, 0.45, 0.3],
}


@pytest.mark.parametrize("extra", [{}, ACCEPTANCE])
def test_speculative_decoding_is_read_by_tpot_whatever_counts_chunks(extra: dict[str, object]) -> None:
    """vllm-project/vllm pull requests 36029 (its figures) and 35471: itl is per chunk of several tokens, the peak
    output throughput counts chunks and so is below the mean, and 40 requests at once are a count within one second."""
    (row,) = rows(results.vllm(**SPECULATIVE, **extra))
    assert row.interactivity == pytest.approx(1000 / 11.46)
    point = RecordedRow(**{**vars(row), "gpus": 4}).point(2048, 620)
    assert point.concurrency == 32
    assert point.throughput_per_gpu == pytest.approx(10973.05 / 4)


def guidellm_benchmark(**changes: object) -> Result:
    report = changed(results.guidellm(), **{f"benchmarks__0__{path}": value for path, value in changes.items()})
    benchmarks = report["benchmarks"]
    assert isinstance(benchmarks, list)
    benchmark: Result = benchmarks[0]
    return benchmark


CUT = {"successful": 956, "errored": 0, "incomplete": 607, "total": 1563}
AT_A_RATE = {"type_": "constant", "rate": 32.0}


@pytest.mark.parametrize(
    ("benchmarks", "why"),
    [
        (
            [guidellm_benchmark(scheduler_metrics__requests_made={"successful": 900, "errored": 124, "incomplete": 0})],
            "f: got 124: requests failed; a point with failed requests is not valid @ $.benchmarks[0].scheduler",
        ),
        (
            [guidellm_benchmark(scheduler_metrics__requests_made=CUT)],
            "f: got 607 incomplete requests, whose tokens are not in the throughput; end the run after a number of",
        ),
        (
            [guidellm_benchmark(scheduler_metrics__requests_made=CUT, config__strategy=AT_A_RATE)],
            "f: got 'constant': requests were sent at a rate, so the concurrency was not constant",
        ),
        (
            [guidellm_benchmark(), guidellm_benchmark(config__strategy=AT_A_RATE)],
            "wanted concurrent or synchronous @ $.benchmarks[1].config.strategy.type_",
        ),
        (
            [guidellm_benchmark(config__strategy={"type_": "throughput"})],
            "f: got 'throughput': requests were sent all at once, so the concurrency was not constant",
        ),
        (
            [guidellm_benchmark(scheduler_metrics__requests_made={"successful": 100, "errored": 0})],
            "f: required field missing @ $.benchmarks[0].scheduler_metrics.requests_made.incomplete",
        ),
        (
            [guidellm_benchmark(scheduler_metrics=...)],
            "f: required field missing @ $.benchmarks[0].scheduler_metrics",
        ),
    ],
)
def test_a_benchmark_of_guidellm_with_a_depressed_throughput_refuses_its_file(
    benchmarks: list[Result], why: str
) -> None:
    """vllm-project/guidellm issues 444 (errored requests lower the throughput) and 529 (so do incomplete ones);
    llm-d/llm-d-benchmark pull request 1459 (a constant rate with 607 incomplete requests). The concurrent benchmark
    beside one at a rate is not picked out of the file."""
    assert why in refused({"benchmarks": benchmarks})


LOAD = "scenario__load__standardized__"
REQUESTS = "results__request_performance__aggregate__requests__"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({f"{REQUESTS}incomplete": 607}, "f: got 607 incomplete requests, whose tokens are not in the throughput"),
        ({f"{LOAD}rate_qps": 32.0, f"{LOAD}concurrency": None}, "f: requests were sent at a rate, so the concurrency"),
        ({f"{LOAD}concurrency": None}, "f: got null: no limit of the concurrency was set"),
        ({f"{LOAD}tool": "guidellm"}, "f: is made of a result of GuideLLM, whose time_per_output_token includes the"),
    ],
)
def test_a_report_of_llm_d_made_of_guidellm_s_sweep_is_refused(changes: Result, why: str) -> None:
    """llm-d/llm-d-benchmark pull request 1459 and its native_to_br0_2.py, which copies GuideLLM's
    time_per_output_token_ms under the name that means tpot for other tools."""
    assert why in refused(results.llmd(**changes))


@pytest.mark.parametrize("tool", ["vllm-benchmark", "inference-perf"])
def test_a_report_of_llm_d_made_of_another_tool_s_result_is_read(tool: str) -> None:
    """Their time_per_output_token excludes the ttft; 0 incomplete requests are none."""
    (row,) = rows(results.llmd(**{f"{LOAD}tool": tool, f"{REQUESTS}incomplete": 0}))
    assert row.interactivity == pytest.approx(50.0)
