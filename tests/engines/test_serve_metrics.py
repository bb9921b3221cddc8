"""What the simulated server tells of itself: counters, a prefix cache, speculative decoding; over real sockets."""

from __future__ import annotations

import pytest

from pytest_precgate.engines.simulated.counters import Counters, Times, exposition
from pytest_precgate.engines.simulated.model import Limits, Speculation
from pytest_precgate.engines.simulated.server import ServerOptions
from tests.engines.simulated_server import asked, completion, metrics, posted, raw, request, serving, wait_for

TIMES = ("time_to_first_token", "request_queue_time", "request_prefill_time", "request_decode_time")


def test_tokens_and_times_of_requests_are_counted() -> None:
    """Prompt and generated tokens, and four times a request, whose sums fit together."""
    with serving() as url:
        before = metrics(url)
        assert {before[f"{name}_seconds_count"] for name in TIMES} == {0}
        for tokens in (3, 5):
            completion(url, prompt=[1] * 10, tokens=tokens)
        after = metrics(url)
    assert after["prompt_tokens_total"] == 20
    assert after["generation_tokens_total"] == 8
    assert {after[f"{name}_seconds_count"] for name in TIMES} == {2}
    ttft, queue, prefill, decode = (after[f"{name}_seconds_sum"] for name in TIMES)
    assert ttft >= queue + prefill > 0
    assert decode > 0


def test_running_and_waiting_requests_are_told() -> None:
    """One in a batch of one, two behind it; none once their clients have gone."""
    with serving(limits=Limits(max_batch=1)) as url:
        streams = [raw(url, posted(request(tokens=1_000_000))) for _ in range(3)]
        try:
            seen = wait_for(url, lambda told: told["num_requests_waiting"] == 2)
            assert seen["num_requests_running"] == 1
        finally:
            for stream in streams:
                stream.close()
        wait_for(url, lambda told: told["num_requests_running"] + told["num_requests_waiting"] == 0)


def test_the_text_is_prometheus_own() -> None:
    """Every figure with its type above it and the labels vLLM gives; quotes in a model's name are escaped."""
    counters = Counters()
    counters.first_token(Times(0.0, 0.1, 0.2, 0.5), 7)
    lines = exposition('a"b\\', {"num_requests_running": 2}, {"prompt_tokens": 7}, counters).splitlines()
    assert "# TYPE vllm:num_requests_running gauge" in lines
    assert 'vllm:prompt_tokens_total{engine="0",model_name="a\\"b\\\\"} 7.0' in lines
    assert 'vllm:time_to_first_token_seconds_sum{engine="0",model_name="a\\"b\\\\"} 0.5' in lines
    assert sum(line.startswith("# TYPE") for line in lines) == 6


def test_the_type_of_the_answer_is_prometheus_own() -> None:
    """Text, version 0.0.4."""
    with serving() as url:
        assert asked(url, "/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")


def cached(url: str, prompt: object, **fields: object) -> object:
    usage = completion(url, prompt=prompt, tokens=2, **fields).chunks[-1]["usage"]
    assert isinstance(usage, dict)
    return usage.get("prompt_tokens_details")


def test_a_prompt_asked_again_is_cached_and_said_so() -> None:
    """Whole blocks of 16 tokens short of the last token; 0 is told too, and the counters agree."""
    with serving(ServerOptions(prefix_cache_tokens=1000)) as url:
        prompt = list(range(40))
        assert cached(url, prompt) == {"cached_tokens": 0}
        assert cached(url, prompt) == {"cached_tokens": 32}
        assert cached(url, [*prompt[:20], 99]) == {"cached_tokens": 16}
        assert cached(url, prompt, cache_salt="another") == {"cached_tokens": 0}
        told = metrics(url)
        assert asked(url, "/v1/completions", {"prompt": prompt}).json["usage"]["prompt_tokens_details"] == {  # type: ignore[index]
            "cached_tokens": 32
        }
    assert told["prefix_cache_queries_total"] == 40 + 40 + 21 + 40
    assert told["prefix_cache_hits_total"] == 32 + 16


def test_words_are_cached_as_tokens_are() -> None:
    """The same beginning of a text is found again."""
    with serving(ServerOptions(prefix_cache_tokens=1000)) as url:
        text = " ".join(f"w{number}" for number in range(20))
        assert [cached(url, text), cached(url, text + " more")] == [{"cached_tokens": 0}, {"cached_tokens": 16}]


def test_without_a_cache_nothing_is_said_of_it() -> None:
    """No details in usage, counters at zero."""
    with serving() as url:
        assert [cached(url, list(range(40))) for _ in range(2)] == [None, None]
        told = metrics(url)
    assert told["prefix_cache_queries_total"] == told["prefix_cache_hits_total"] == 0
    assert "spec_decode_num_drafts_total" not in told


def test_tokens_of_a_speculative_step_share_a_chunk() -> None:
    """The number asked for in the end, mean as given by the counters: drafts, draft tokens, accepted tokens."""
    with serving(ServerOptions(speculation=Speculation(3, 2.5))) as url:
        *chunks, last = completion(url, tokens=101, return_token_ids=True).chunks
        told = metrics(url)
    sizes = [len(chunk["choices"][0]["token_ids"]) for chunk in chunks]  # type: ignore[index]
    assert sizes[0] == 1
    assert sum(sizes) == 101
    assert set(sizes[1:-1]) == {2, 3}
    assert last["usage"]["completion_tokens"] == 101  # type: ignore[index]
    assert told["generation_tokens_total"] == 101
    assert told["spec_decode_num_drafts_total"] == len(chunks) - 1
    assert told["spec_decode_num_draft_tokens_total"] == 3 * told["spec_decode_num_drafts_total"]
    length = 1 + told["spec_decode_num_accepted_tokens_total"] / told["spec_decode_num_drafts_total"]
    assert length == pytest.approx(2.5, abs=1 / (len(chunks) - 1))
