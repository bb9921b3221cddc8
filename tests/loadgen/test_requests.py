"""Prompts by seed and number, requests as bytes, plans that refuse nonsense."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.errors import InvalidValueError
from pytest_precgate.loadgen import Limits, LoadPlan, Prompts, Target
from pytest_precgate.loadgen.plan import Requests
from pytest_precgate.loadgen.target import Ask, Asked, Outgoing, encode

PROMPTS = Prompts(Workload(isl=40, osl=20, range_ratio=0.5), token_high=1000, token_low=100, seed=3)
PLAN = LoadPlan(PROMPTS, concurrency=4, requests=12)
TARGET = Target("http://localhost:8000/v1/", "m")


def body_of(request: Outgoing) -> dict[str, object]:
    body = json.loads(request.data.partition(b"\r\n\r\n")[2])
    assert isinstance(body, dict)
    return body


@given(st.integers(1, 200), st.integers(1, 200), st.floats(0.01, 1.0), st.integers(0, 50), st.integers(0, 10**6))
def test_lengths_lie_between_the_ratio_and_the_full_length(
    isl: int, osl: int, ratio: float, seed: int, at: int
) -> None:
    """Input and output separately; ids stay in their range; the same seed and number give the same request."""
    prompts = Prompts(Workload(isl, osl, ratio), token_high=500, token_low=20, seed=seed)
    ask = prompts.ask(at)
    assert not isinstance(ask.prompt, str)
    assert max(1, int(ratio * isl)) <= len(ask.prompt) <= isl
    assert max(1, int(ratio * osl)) <= ask.output_tokens <= osl
    assert all(20 <= token < 500 for token in ask.prompt)
    assert prompts.ask(at) == ask


def test_lengths_reach_both_ends_and_vary_separately() -> None:
    """Uniform in [ratio * L, L] means both ends occur, and long prompts do not go with long answers."""
    asks = [PROMPTS.ask(number) for number in range(600)]
    assert {len(ask.prompt) for ask in asks} == set(range(20, 41))
    assert {ask.output_tokens for ask in asks} == set(range(10, 21))
    assert len({(len(ask.prompt), ask.output_tokens) for ask in asks}) > 200


def test_no_prompt_begins_like_another_and_seeds_differ() -> None:
    """A prefix cache finds nothing to reuse: not in the first five tokens."""
    starts = [tuple(replace(PROMPTS, seed=seed).ask(number).prompt[:5]) for seed in (3, 4) for number in range(500)]
    assert len(set(starts)) == len(starts)


def test_text_goes_through_the_tokenizer_passed_in() -> None:
    """Token ids to text, and then the server decides how many tokens that is."""
    prompts = replace(PROMPTS, detokenize=lambda ids: " ".join(map(str, ids)))
    ask = prompts.ask(5)
    assert ask.prompt == " ".join(map(str, PROMPTS.ask(5).prompt))
    assert encode(TARGET, ask).asked == Asked(len(PROMPTS.ask(5).prompt), ask.output_tokens, is_text=True)


def test_a_completion_request_is_openai_s_schema_and_no_more() -> None:
    """An engine that does not know a field answers 400."""
    request = encode(TARGET, Ask([5, 6, 7], 3, 4, ignore_eos=False))
    head, _, content = request.data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[:2] == ["POST /v1/completions HTTP/1.1", "Host: localhost:8000"]
    assert f"Content-Length: {len(content)}" in lines
    assert not any(line.startswith("Authorization") for line in lines)
    assert request.asked == Asked(3, 4)
    assert body_of(request) == {
        "model": "m",
        "prompt": [5, 6, 7],
        "max_tokens": 4,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_fields_beyond_the_schema_are_sent_when_asked_for() -> None:
    """ignore_eos by default, min_tokens never by itself."""
    assert body_of(encode(TARGET, Ask("hi", 2, 4)))["ignore_eos"] is True
    assert "min_tokens" not in body_of(encode(TARGET, Ask("hi", 2, 4)))
    assert body_of(encode(TARGET, Ask("hi", 2, 4, min_tokens=True)))["min_tokens"] == 4


def test_a_chat_request_carries_one_message() -> None:
    """And token ids, which chat does not take, are refused."""
    chat = replace(TARGET, api="chat", base_url="https://[::1]/proxy", api_key="k1")
    request = encode(chat, Ask("hi", 2, 4))
    assert request.data.startswith(b"POST /proxy/v1/chat/completions HTTP/1.1\r\nHost: [::1]\r\n")
    assert b"\r\nAuthorization: Bearer k1\r\n" in request.data
    assert body_of(request)["messages"] == [{"role": "user", "content": "hi"}]
    with pytest.raises(InvalidValueError, match="chat takes text"):
        encode(chat, Ask([1, 2], 2, 4))


def test_a_path_of_its_own_replaces_the_apis() -> None:
    """The whole path is used for every API; one that would write a header is refused."""
    request = encode(replace(TARGET, base_url="http://h:8000", api_path="/v3/completions"), Ask("hi", 2, 4))
    assert request.data.startswith(b"POST /v3/completions HTTP/1.1\r\nHost: h:8000\r\n")
    with pytest.raises(InvalidValueError, match='begins with "/"'):
        replace(TARGET, api_path="/v3/completions\r\nX: 1")


def test_the_key_is_never_shown() -> None:
    """Neither by a target nor by a request made from it."""
    target = replace(TARGET, api_key="s3cret")
    shown = repr(target) + str(target) + repr(encode(target, Ask("hi", 2, 1))) + repr(target.origin)
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "ftp://h",
        "http://",
        "http://h:x",
        "http://u:p@h",
        "http://h?a=1",
        "http://h/\r\nX: 1",
        "http://ü",
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str) -> None:
    """Also one that would write a header of its own."""
    with pytest.raises(InvalidValueError, match=r"Target\.base_url"):
        Target(url, "m")


@pytest.mark.parametrize("key", ["", "a\r\nX: 1", "clé"])
def test_a_key_no_header_can_hold_is_refused_unshown(key: str) -> None:
    """And the message does not repeat it."""
    with pytest.raises(InvalidValueError, match=r"Target\.api_key: got an empty key or") as caught:
        replace(TARGET, api_key=key)
    assert not key or key not in str(caught.value)


def test_nonsense_is_refused_when_built() -> None:
    """A plan that could not be run, or would measure nothing, does not exist."""
    with pytest.raises(InvalidValueError, match=r"LoadPlan\.requests: got 3, wanted at least one for each of 4"):
        LoadPlan(PROMPTS, concurrency=4, requests=3)
    with pytest.raises(InvalidValueError, match="got requests None and point_error None, wanted one of the two"):
        LoadPlan(PROMPTS, concurrency=4)
    with pytest.raises(InvalidValueError, match=r"got requests 8 and point_error 0\.1, wanted one of the two"):
        LoadPlan(PROMPTS, concurrency=4, requests=8, point_error=0.1)
    with pytest.raises(InvalidValueError, match=r"StopRule\.window_limit_s: got -1"):
        LoadPlan(PROMPTS, concurrency=4, point_error=0.1, window_limit_s=-1)
    with pytest.raises(InvalidValueError, match=r"LoadPlan\.window_limit_s: wanted none"):
        LoadPlan(PROMPTS, concurrency=4, requests=8, window_limit_s=1)
    with pytest.raises(InvalidValueError, match=r"LoadPlan\.warmup"):
        LoadPlan(PROMPTS, 1, 1, warmup="cold")  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError, match=r"Limits\.silence_s"):
        Limits(silence_s=0)
    with pytest.raises(InvalidValueError, match="wanted 0 <= low < high"):
        replace(PROMPTS, token_low=1000)
    with pytest.raises(InvalidValueError, match=r"Target\.api: got 'embed'"):
        replace(TARGET, api="embed")  # type: ignore[arg-type]


def test_processes_share_a_plan_without_overlap_and_never_run_dry() -> None:
    """Part 1 of 3 makes requests 1, 4, 7, ..., and those it had not prepared on demand."""
    part = Requests(TARGET, PLAN, first=1, of=3, ready=2)
    assert [part.next() for _ in range(3)] == [encode(TARGET, PLAN.ask(number)) for number in (1, 4, 7)]


def test_at_most_gives_so_many_and_then_none() -> None:
    """The last request of a plan is the last."""
    take = Requests(TARGET, PLAN, 0, 1, ready=2).at_most(2)
    assert [take() is None for _ in range(4)] == [False, False, True, True]


def test_a_closed_loop_starts_one_slot_after_another() -> None:
    """The first request of each slot is shortened; a drained warm-up and what comes after it are not."""
    plain = [PROMPTS.ask(number) for number in range(12)]
    asked = [PLAN.ask(number) for number in range(12)]
    assert asked[4:] == plain[4:]
    assert [ask.prompt for ask in asked] == [ask.prompt for ask in plain]
    assert [ask.output_tokens for ask in asked[:4]] == [
        ask.output_tokens * (n + 1) // 4 for n, ask in enumerate(plain[:4])
    ]
    assert [replace(PLAN, warmup="drained").ask(number) for number in range(12)] == plain


@pytest.mark.parametrize("lengths", ["even", "random"])
def test_lengths_are_even_or_random(lengths: Literal["even", "random"]) -> None:
    """Sixteen in a row have each input length once where they are even, and hardly ever where they are drawn."""
    prompts = replace(PROMPTS, workload=Workload(16, 16, 1 / 16), lengths=lengths)
    for start in (0, 5, 77):
        inputs = {len(prompts.ask(start + number).prompt) for number in range(16)}
        assert (inputs == set(range(1, 17))) is (lengths == "even")


def test_seeds_begin_at_other_places_of_the_even_sequence() -> None:
    """Two sweeps of different seeds do not ask the same lengths in the same order."""
    first, second = ([replace(PROMPTS, seed=seed).ask(n).output_tokens for n in range(20)] for seed in (3, 4))
    assert first != second


def test_a_point_that_ends_early_prepares_what_it_will_usually_send() -> None:
    """Six requests per slot; a fixed number is prepared in full."""
    assert PLAN.prepared == PLAN.most == 12
    open_ended = replace(PLAN, requests=None, point_error=0.005)
    assert (open_ended.prepared, open_ended.most) == (24, None)
