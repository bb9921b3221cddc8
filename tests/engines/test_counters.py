"""What a server counts: pages of Prometheus text become figures, and two of them the work of an interval.

The pages are shortened from what the engines print; names and labels stand in vllm/v1/metrics/loggers.py and
v1/spec_decode/metrics.py (vLLM 0.20 to 0.33), sglang/srt/observability/metrics_collector.py (SGLang 0.5.23),
tensorrt_llm/metrics/collector.py (TensorRT-LLM main, 2026) and tools/server/server-task.cpp (llama.cpp)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.engines.counters import (
    FIGURES,
    ServerCounters,
    acceptance_length,
    between,
    cached_tokens,
    mean_s,
    parse_metrics,
)
from pytest_precgate.errors import InvalidValueError

VLLM = """\
# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="kimi"} 600.0
vllm:prompt_tokens_total{engine="1",model_name="kimi"} 400.0
vllm:prompt_tokens_created{engine="0",model_name="kimi"} 1.7e+09
vllm:prompt_tokens_cached_total{engine="0",model_name="kimi"} 12.0
vllm:prompt_tokens_cached_total{engine="1",model_name="kimi"} 0.0
vllm:prefix_cache_queries_total{engine="0",model_name="kimi"} 1000.0
vllm:prefix_cache_hits_total{engine="0",model_name="kimi"} 16.0
vllm:generation_tokens_total{engine="0",model_name="kimi"} 3240.0
vllm:num_preemptions_total{engine="0",model_name="kimi"} 2.0
vllm:spec_decode_num_drafts_total{engine="0",model_name="kimi"} 1000.0
vllm:spec_decode_num_draft_tokens_total{engine="0",model_name="kimi"} 4000.0
vllm:spec_decode_num_accepted_tokens_total{engine="0",model_name="kimi"} 2240.0
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="kimi",position="0"} 900.0
vllm:iteration_tokens_total_bucket{engine="0",le="1.0",model_name="kimi"} 7.0
"""
SGLANG = """\
sglang:prompt_tokens_total{model_name="kimi",tp_rank="0"} 1000.0
sglang:generation_tokens_total{model_name="kimi",tp_rank="0"} 3240.0
sglang:cached_tokens_total{cache_source="device",model_name="kimi"} 5.0
sglang:cached_tokens_total{cache_source="host",model_name="kimi"} 3.0
sglang:spec_verify_calls_total{model_name="kimi",tp_rank="0"} 1000.0
sglang:spec_accept_length{model_name="kimi",tp_rank="0"} 3.1
sglang:num_retracted_requests_total{model_name="kimi",tp_rank="0"} 1.0
"""
TRTLLM = """\
trtllm_prompt_tokens_total{engine_type="trtllm",model_name="kimi"} 1000.0
trtllm_generation_tokens_total{engine_type="trtllm",model_name="kimi"} 3240.0
trtllm_prompt_cached_tokens_total{engine_type="trtllm",model_name="kimi"} 0.0
trtllm_num_paused_requests{engine_type="trtllm",model_name="kimi"} 3.0
"""
BY_ITERATION = """\
trtllm_spec_decode_num_draft_tokens_total{engine_type="trtllm",model_name="kimi"} 4000.0
trtllm_spec_decode_num_accepted_tokens_total{engine_type="trtllm",model_name="kimi"} 2240.0
"""
BY_POSITION = """\
trtllm_spec_decode_drafted_tokens_total{engine_type="trtllm",model_name="kimi",token_position="0"} 500.0
trtllm_spec_decode_drafted_tokens_total{engine_type="trtllm",model_name="kimi",token_position="10"} 20.0
trtllm_spec_decode_drafted_tokens_total{engine_type="trtllm",model_name="kimi",token_position="1"} 480.0
trtllm_spec_decode_accepted_tokens_total{engine_type="trtllm",model_name="kimi",token_position="0"} 400.0
trtllm_spec_decode_accepted_tokens_total{engine_type="trtllm",model_name="kimi",token_position="1"} 300.0
"""
LLAMA = """\
llamacpp:prompt_tokens_total 990
llamacpp:prompt_tokens_cached_total 10
llamacpp:tokens_predicted_total 3240
llamacpp:spec_decode_num_drafts_total 1000
llamacpp:spec_decode_num_draft_tokens_total 4000
llamacpp:spec_decode_num_accepted_tokens_total 2240
"""
PAGES = (VLLM, SGLANG, TRTLLM + BY_ITERATION, TRTLLM + BY_POSITION, LLAMA)


def figures(counters: ServerCounters) -> dict[str, float | None]:
    return {name: getattr(counters, name) for name in FIGURES}


def known(counters: ServerCounters) -> dict[str, float]:
    return {name: value for name, value in figures(counters).items() if value is not None}


# --- one page ---------------------------------------------------------------------------------------------------------


def test_vllms_page_is_added_up_over_its_ranks() -> None:
    """Each data-parallel rank has label sets of its own; positions, buckets and times of creation are no counts."""
    assert figures(parse_metrics(VLLM)) == {
        "prompt_tokens": 1000,
        "cached_tokens": 12,
        "cache_hits": 16,
        "cache_queries": 1000,
        "generation_tokens": 3240,
        "drafts": 1000,
        "draft_tokens": 4000,
        "accepted_tokens": 2240,
        "verify_calls": None,
        "preemptions": 2,
        **dict.fromkeys(("queue_s", "queued", "prefill_s", "prefilled", "decode_s", "decoded")),
    }


def test_the_times_of_requests_that_ended_are_means_between_two_pages() -> None:
    """Sums and counts of the histograms of vLLM, over its ranks; without a request that ended there is no mean."""
    page = "".join(
        f'vllm:request_{name}_time_seconds_{part}{{engine="{rank}"}} {value}\n'
        for name, seconds in (("queue", 2.0), ("prefill", 6.0), ("decode", 80.0))
        for part, value in (("sum", seconds), ("count", 10.0))
        for rank in (0, 1)
    )
    delta = between(parse_metrics(VLLM), parse_metrics(VLLM + page))
    assert mean_s(delta.queue_s, delta.queued) == pytest.approx(0.2)
    assert mean_s(delta.prefill_s, delta.prefilled) == pytest.approx(0.6)
    assert mean_s(delta.decode_s, delta.decoded) == pytest.approx(8.0)
    assert mean_s(1.0, 0.0) is mean_s(None, 5.0) is mean_s(1.0, None) is None


def test_sglangs_page_counts_verification_steps_and_cached_tokens_by_source() -> None:
    """It has no count of drafts; gauges are passed over."""
    assert known(parse_metrics(SGLANG)) == {
        "prompt_tokens": 1000,
        "cached_tokens": 8,
        "generation_tokens": 3240,
        "verify_calls": 1000,
        "preemptions": 1,
    }


def test_tensorrt_llms_drafts_are_told_by_their_first_token() -> None:
    """By position where there is such a count, and then not by iteration: the two are taken at other moments."""
    tokens = {"prompt_tokens": 1000, "cached_tokens": 0, "generation_tokens": 3240}
    by_iteration = parse_metrics(TRTLLM + BY_ITERATION)
    assert known(by_iteration) == {**tokens, "draft_tokens": 4000, "accepted_tokens": 2240}
    by_position = {**tokens, "drafts": 500, "draft_tokens": 1000, "accepted_tokens": 700}
    assert known(parse_metrics(TRTLLM + BY_ITERATION + BY_POSITION)) == by_position
    drafted = "\n".join(line for line in BY_POSITION.splitlines() if "accepted" not in line)
    assert parse_metrics(BY_ITERATION + drafted).accepted_tokens is None


def test_llama_servers_prompt_tokens_are_those_it_computed_and_those_it_had() -> None:
    """Where it does not count the cached ones, the number of all is not known."""
    assert known(parse_metrics(LLAMA)) == {
        "prompt_tokens": 1000,
        "cached_tokens": 10,
        "generation_tokens": 3240,
        "drafts": 1000,
        "draft_tokens": 4000,
        "accepted_tokens": 2240,
    }
    older = parse_metrics("llamacpp:prompt_tokens_total 990\nllamacpp:tokens_predicted_total 5\n")
    assert known(older) == {"generation_tokens": 5}


@pytest.mark.parametrize("text", ["", "\n", "<html>not found</html>", '[{"iter": 1}]', "vllm:other_total 3", "{} 4"])
def test_a_page_without_the_counters_tells_nothing(text: str) -> None:
    """Nothing is zero because it is missing."""
    assert parse_metrics(text) == ServerCounters()


@pytest.mark.parametrize("value", ["NaN", "nan", "+Inf", "-Inf", "-1", "1e999", "1_0", "0x10", "\u0661", "", "{"])
def test_one_value_that_is_no_count_makes_the_whole_counter_unknown(value: str) -> None:
    """The sum of the other ranks would be too low; the other counters stand."""
    read = parse_metrics(f'{VLLM}vllm:prompt_tokens_total{{engine="2"}} {value}\n')
    assert read.prompt_tokens is None
    assert read.metrics["prompt_tokens"] == "vllm:prompt_tokens_total"
    assert replace(read, prompt_tokens=1000) == parse_metrics(VLLM)


@pytest.mark.parametrize(
    "line",
    [
        "vllm:generation_tokens_total 7",
        "  vllm:generation_tokens_total\t7.0  \r",
        "vllm:generation_tokens_total{} 7 1700000000000",
        'vllm:generation_tokens_total{a="}{ # 9",b="\\"x\\\\",} 7.0 # {trace_id="1"} 0.5',
        'vllm:generation_tokens_total {model_name="a\u2028b\x0bc"} .7e1',
        "vllm:generation_tokens_total{model_name=kimi} +7",
    ],
)
def test_a_sample_is_read_in_every_way_it_may_be_written(line: str) -> None:
    """Blanks, times, exemplars, escapes and characters that end a line elsewhere."""
    assert known(parse_metrics(f"# a comment\n{line}\nvllm:x 1")) == {"generation_tokens": 7}


_noise = st.sampled_from(
    [
        "",
        "# HELP vllm:prompt_tokens_total Number of tokens.",
        "# TYPE vllm:prompt_tokens_total counter",
        "# vllm:prompt_tokens_total 5",
        "# EOF",
        'process_cpu_seconds_total{a="1"} NaN',
        "vllm:prompt_tokens_total_bucket 9",
        "an unknown line",
        "\x00\ufffd",
    ]
)


@given(data=st.data(), page=st.sampled_from(PAGES))
def test_order_comments_and_further_labels_change_nothing(data: st.DataObject, page: str) -> None:
    """Any shuffle of the lines among others, each label set with a label more."""
    lines = [line.replace("{", '{zone="a{b}\\"c",', 1) if "{" in line else line for line in page.splitlines()]
    mixed = data.draw(st.permutations([*lines, *data.draw(st.lists(_noise, max_size=6))]))
    assert parse_metrics("\n".join(mixed)) == parse_metrics(page)


@given(values=st.lists(st.floats(min_value=0) | st.just(math.nan), min_size=1, max_size=5))
def test_counts_of_any_size_are_added_or_unknown(values: Sequence[float]) -> None:
    """Never an error, never infinite, never less than one of them."""
    page = "\n".join(f'vllm:generation_tokens_total{{engine="{i}"}} {value!r}' for i, value in enumerate(values))
    total = parse_metrics(page).generation_tokens
    if math.isfinite(sum(values)):
        assert total == pytest.approx(sum(values))
    else:
        assert total is None


@given(text=st.text(max_size=200) | st.text(alphabet='vlm:prompt_tokens_total{}"\\ 1\n', max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Any page of a server is read or skipped, without an exception."""
    assert all(value >= 0 for value in known(parse_metrics(text)).values())


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_a_figure_that_is_no_count_cannot_be_built(value: float) -> None:
    """By name."""
    with pytest.raises(
        InvalidValueError, match=r"ServerCounters\.drafts: got .*, wanted a finite number of at least 0"
    ):
        ServerCounters(drafts=value)


# --- two pages --------------------------------------------------------------------------------------------------------


def counted(values: dict[str, Any]) -> ServerCounters:
    return ServerCounters(**values)


_counts = st.none() | st.integers(0, 10**15).map(float)
_readings = st.fixed_dictionaries({name: _counts for name in FIGURES}).map(counted)


@given(before=_readings, done=_readings)
def test_a_difference_is_what_was_done_between(before: ServerCounters, done: ServerCounters) -> None:
    """For each figure known at both ends; nothing decreased."""
    first, more = figures(before), figures(done)
    sums = {name: None if first[name] is None or more[name] is None else first[name] + more[name] for name in FIGURES}  # type: ignore[operator]
    delta = between(before, counted(sums))
    assert figures(delta) == {name: more[name] if sums[name] is not None else None for name in FIGURES}
    assert delta.decreased == ()


def test_a_counter_that_went_down_is_named_and_unknown() -> None:
    """The server was started anew between the readings."""
    restarted = parse_metrics(VLLM.replace("3240.0", "40.0"))
    delta = between(parse_metrics(VLLM), restarted)
    assert (delta.generation_tokens, delta.decreased) == (None, ("generation_tokens",))
    assert delta.prompt_tokens == 0


def test_a_counter_that_appears_counts_from_zero() -> None:
    """SGLang and TensorRT-LLM show one once it was counted up; only where the page was read before at all."""
    quiet = parse_metrics("\n".join(line for line in SGLANG.splitlines() if "cached" not in line))
    assert between(quiet, parse_metrics(SGLANG)).cached_tokens == 8
    assert figures(between(ServerCounters(), parse_metrics(SGLANG))) == figures(ServerCounters())
    assert between(parse_metrics(SGLANG), quiet).cached_tokens is None


def test_a_value_that_was_no_count_before_is_not_taken_for_zero() -> None:
    """Else the server's whole past would be this interval's."""
    broken = parse_metrics(SGLANG.replace("} 5.0", "} NaN"))
    assert between(broken, parse_metrics(SGLANG)).cached_tokens is None


def test_two_counters_are_not_subtracted_from_each_other() -> None:
    """TensorRT-LLM's count by position appears with the first request that ends."""
    delta = between(parse_metrics(TRTLLM + BY_ITERATION), parse_metrics(TRTLLM + BY_ITERATION + BY_POSITION))
    assert (delta.draft_tokens, delta.accepted_tokens, delta.decreased) == (None, None, ())


# --- what they tell ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "max_draft_len", "length"),
    [
        (VLLM, None, 3.24),
        (LLAMA, None, 3.24),
        (SGLANG, None, 3.24),
        (TRTLLM + BY_ITERATION, 4, 3.24),
        (TRTLLM + BY_ITERATION, None, None),
        (TRTLLM + BY_POSITION, None, 2.4),
        (TRTLLM + BY_POSITION, 4, 2.4),
        (TRTLLM, 4, None),
        (VLLM.replace("drafts_total{", "other{"), None, None),
        ("", 4, None),
    ],
)
def test_the_acceptance_length_of_each_engine(page: str, max_draft_len: int | None, length: float | None) -> None:
    """1 + accepted / drafts, or tokens / verification steps; unknown where a count or the draft length is."""
    assert acceptance_length(parse_metrics(page), max_draft_len) == (None if length is None else pytest.approx(length))


@pytest.mark.parametrize(
    ("delta", "max_draft_len"),
    [
        (ServerCounters(drafts=0, draft_tokens=0, accepted_tokens=0), None),
        (ServerCounters(draft_tokens=0, accepted_tokens=0), 4),
        (ServerCounters(verify_calls=0, generation_tokens=100), None),
        (ServerCounters(drafts=10), None),
        (ServerCounters(verify_calls=10), None),
    ],
)
def test_without_a_draft_there_is_no_acceptance(delta: ServerCounters, max_draft_len: int | None) -> None:
    """Not 1, and no division by zero."""
    assert acceptance_length(delta, max_draft_len) is None


def test_cached_tokens_are_those_counted_with_the_prompts() -> None:
    """Hits of lookups where only they are known, and nothing where neither is."""
    assert cached_tokens(parse_metrics(VLLM)) == 12
    assert cached_tokens(parse_metrics("vllm:prefix_cache_hits_total 16")) == 16
    assert cached_tokens(ServerCounters(cached_tokens=0, cache_hits=16)) == 0
    assert cached_tokens(ServerCounters()) is None
