"""Which events are tokens, on both APIs, as real servers and proxies send them: the right figure, or a cause."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.measure.records import RequestRecord
from pytest_precgate.analysis.measure.tokens import HiddenTokens, with_first_tokens
from pytest_precgate.errors import InvalidValueError, ResponseError, UntoldTokensError
from pytest_precgate.loadgen.events import Usage, acceptance_of, kind_of, usage_of
from pytest_precgate.loadgen.sse import TokenStream
from pytest_precgate.loadgen.target import Asked
from pytest_precgate.loadgen.wire import completed
from tests.loadgen.streams import delta, event, finish, token, usage

STEP_S = 0.01
FIRST_S = 0.05
Timed = tuple[float, bytes]


def paced(events: Sequence[object], first_s: float = FIRST_S, step_s: float = STEP_S) -> list[Timed]:
    """Events on a server's clock: the first at ``first_s``, then one a step."""
    return [(first_s + step_s * number, event(each)) for number, each in enumerate(events)]


def record_of(timed: Sequence[Timed], output: int, prompt: int = 9) -> RequestRecord:
    """The record of a request sent at 0 s whose answer arrived so, usage and the end behind it."""
    stream = TokenStream()
    end_s = max(at_s for at_s, _ in timed)
    for at_s, data in [*timed, (end_s, event(usage(prompt, output))), (end_s, event("[DONE]"))]:
        stream.feed(data, at_s)
    stream.settle()
    return completed(0.0, stream, Asked(prompt, output))


def whole(body: bytes) -> TokenStream:
    """A stream that came in one read and ended."""
    stream = TokenStream()
    stream.feed(body, 1.0)
    stream.settle()
    return stream


def pace_ms(records: Sequence[RequestRecord], hidden: HiddenTokens = "invalid") -> float:
    """Median tpot of a point of such requests, ms."""
    return 1000 * statistics.median(record.tpot_s for record in with_first_tokens(records, hidden))


def counting(events: Sequence[dict[str, object]], tokens: Sequence[int]) -> list[object]:
    """The same events with continuous usage in each: ``tokens`` more than the one before."""
    total = 0
    told: list[object] = []
    for each, number in zip(events, tokens, strict=True):
        total += number
        told.append({**each, "usage": {"prompt_tokens": 9, "completion_tokens": total}})
    return told


def listing(events: Sequence[dict[str, object]], tokens: Sequence[int]) -> list[object]:
    """The same events with the token ids of each."""
    return [
        {**each, "choices": [{**each["choices"][0], "token_ids": [7] * number}]}  # type: ignore[index]
        for each, number in zip(events, tokens, strict=True)
    ]


CONTENT = [token(), delta(content="a"), delta(reasoning_content="a"), delta(reasoning="a")]
ROLE = delta(role="assistant", content="")

# --- tokens that no event shows (sgl-project/sglang#36272, PaddlePaddle/FastDeploy#8113, sgl-project/genai-bench#81) --


@pytest.mark.parametrize("content", CONTENT)
def test_tokens_that_usage_counts_and_no_event_shows_are_no_pace(content: dict[str, object]) -> None:
    """32 tokens, 24 of them hidden, 8 streamed 10 ms apart: not 430 tok/s/user, but a cause."""
    record = record_of(paced([ROLE] * ("delta" in str(content)) + [content] * 8), 32)
    with pytest.raises(InvalidValueError, match=r"usage counts 32 tokens and 8 events brought them.*hidden_tokens"):
        pace_ms([record] * 5)


@pytest.mark.parametrize("content", CONTENT)
def test_hidden_tokens_are_measured_where_the_server_counts_as_it_goes(content: dict[str, object]) -> None:
    """Continuous usage says 25 at the first event: the 7 others came 10 ms apart."""
    record = record_of(paced(counting([content] * 8, [25, *[1] * 7])), 32)
    assert record.first_tokens == 25
    assert pace_ms([record]) == pytest.approx(10)


def test_hidden_tokens_are_named_where_events_list_theirs() -> None:
    """Token ids of 8 tokens in all, and usage counts 32."""
    record = record_of(paced(listing([token()] * 8, [1] * 8)), 32)
    with pytest.raises(InvalidValueError, match=r"tokens that no event shows \(24 of 32, in 3 of 3 requests that tell"):
        pace_ms([record] * 3)


@pytest.mark.parametrize("content", CONTENT)
def test_a_hidden_tail_is_named_where_the_server_counts_as_it_goes(content: dict[str, object]) -> None:
    """Continuous usage counts 8 tokens with the last event and 32 at the end: not four times the pace."""
    record = record_of(paced(counting([content] * 8, [1] * 8)), 32)
    with pytest.raises(InvalidValueError, match=r"tokens that no event shows \(24 of 32"):
        pace_ms([record] * 3)


def test_usage_of_zeros_until_the_end_tells_nothing() -> None:
    """Some proxies send it in every event: the events count."""
    record = record_of(paced(counting([token()] * 16, [0] * 16)), 16)
    assert (record.told, record.events) == (False, 16)
    assert pace_ms([record]) == pytest.approx(10)


@pytest.mark.parametrize("events", [[delta(content="a")] * 8, listing([delta(content="a")] * 8, [1] * 8)])
def test_a_suite_may_say_that_hidden_tokens_are_reasoning(events: Sequence[object]) -> None:
    """Then they precede the first event, and the pace is that of the others, whether or not events list theirs."""
    assert pace_ms([record_of(paced(events), 32)], "reasoning") == pytest.approx(10)


# --- generated content that is no plain text -------------------------------------------------------------------------

PARTS = [
    delta(content=[{"type": "text", "text": "a"}]),
    delta(content=[{"type": "text", "text": ""}, {"type": "text", "text": "b"}]),
    delta(tool_calls=[{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}]),
    delta(tool_calls=[{"index": 0, "function": {"arguments": "{"}}]),
    delta(function_call={"arguments": "{"}),
    delta(refusal="no"),
    delta(reasoning_details=[{"type": "reasoning.text", "text": "hm"}]),
    delta(role="assistant", content="a"),
]


@pytest.mark.parametrize("content", PARTS)
@pytest.mark.parametrize("at", ["first", "middle", "last"])
def test_any_generated_content_is_a_token(content: dict[str, object], at: str) -> None:
    """Lists of parts, tool calls, refusals: wherever they stand, 16 events 10 ms apart are 16 tokens."""
    place = {"first": 0, "middle": 7, "last": 15}[at]
    events = [content if number == place else delta(content="a") for number in range(16)]
    record = record_of(paced([ROLE, *events], FIRST_S - STEP_S), 16)
    assert (record.events, record.first_tokens) == (16, 1)
    assert record.ttft_s == pytest.approx(FIRST_S)
    assert pace_ms([record]) == pytest.approx(10)


# --- tokens without text (vllm-project/vllm#9463, #14795) -------------------------------------------------------------

SILENT_HEAD = [token("")] * 8 + [token("a")] * 8
SILENT_TAIL = SILENT_HEAD[::-1]
ALL_SILENT = [token("")] * 16
CHAT_SILENT = [ROLE] + [delta(content="")] * 8 + [delta(content="a")] * 8


@pytest.mark.parametrize("events", [SILENT_HEAD, SILENT_TAIL, ALL_SILENT, CHAT_SILENT])
def test_a_token_without_text_is_a_token(events: list[dict[str, object]]) -> None:
    """Special tokens decode to nothing: 16 events are 16 tokens when usage counts 16, and ttft is that of the first."""
    is_chat = events[0] is ROLE
    record = record_of(paced(events, FIRST_S - is_chat * STEP_S), 16)
    assert record.events == 16
    assert record.ttft_s == pytest.approx(FIRST_S)
    assert pace_ms([record]) == pytest.approx(10)


@pytest.mark.parametrize("text", ["", "a"])
def test_the_finish_reason_may_ride_on_the_last_token(text: str) -> None:
    """vLLM sends it with the last token, whose text may be empty: that is a token when usage counts it."""
    last = {"choices": [{"index": 0, "text": text, "finish_reason": "length"}]}
    record = record_of(paced([*[token("a")] * 15, last]), 16)
    assert record.events == 16
    assert pace_ms([record]) == pytest.approx(10)


# --- events after the last token (9router#3409) -----------------------------------------------------------------------

LATE = [
    b'data: {"type":"ping"}\n\n',
    b"data: {}\n\n",
    b": ping\n\n",
    event(delta(content="")),
    event(token("")),
    event({"choices": [], "system_fingerprint": "x"}),
    b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason" : "stop"}]}\n\n',
    b'data: {"choices" : [ { "index" : 0 , "text" : "" , "finish_reason" : "length" } ]}\n\n',
    event(delta(role="assistant")),
    event({"choices": [{"index": 0, "delta": None, "finish_reason": None}]}),
    event({"choices": None}),
    event(finish(9, 16)),
]


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("content", CONTENT)
@pytest.mark.parametrize("moments_s", [(0.3,), (0.0,), (0.01, 0.3, 1.0)])
def test_what_follows_the_last_token_is_no_token_and_takes_no_time(
    late: bytes, content: dict[str, object], moments_s: tuple[float, ...]
) -> None:
    """16 tokens 10 ms apart, then a ping or a finish chunk 300 ms late: still 10 ms a token, ended when they ended."""
    answer = paced([content] * 16)
    last_s = answer[-1][0]
    record = record_of([*answer, *((last_s + moment_s, late) for moment_s in moments_s)], 16)
    assert record.events == 16
    assert record.request_latency_s == pytest.approx(last_s)
    assert pace_ms([record]) == pytest.approx(10)


def test_a_late_event_leaves_no_gap_behind() -> None:
    """The gap that an event without a token seemed to end is taken back."""
    stream = TokenStream()
    for at_s, data in [*paced([token()] * 3), (1.0, event(token(""))), (1.0, event(usage(9, 3)))]:
        stream.feed(data, at_s)
    assert stream.settle() == [pytest.approx(1.0 - 0.07)]


PAIR_SHARED = [token("ab"), *[token()] * 30]


@pytest.mark.parametrize("late", [token(""), delta(content=""), finish(9, 32)])
def test_a_late_event_is_not_taken_for_a_token_that_shared_an_event(late: dict[str, object]) -> None:
    """32 tokens in 31 events, 10 ms apart, and 300 ms later an event without text: it may be the last token or none."""
    events = [*paced(PAIR_SHARED), (FIRST_S + 31 * STEP_S + 0.3, event(late))]
    with pytest.raises(UntoldTokensError, match="events without text may be tokens or none: 5 of 5 requests"):
        pace_ms([record_of(events, 32)] * 5)


@pytest.mark.parametrize("end", [[], [delta(), finish(9, 20)]])
def test_empty_events_between_tokens_hide_no_token_that_shared_an_event(end: list[object]) -> None:
    """ollama/ollama#16450: an empty chunk behind each of 16 tokens, and usage counts 20: 4 could be in any event."""
    events = [each for _ in range(16) for each in (delta(content="a"), delta(content=""))]
    assert pace_ms([record_of(paced([*events, *end], step_s=0.005), 16)]) == pytest.approx(10)
    with pytest.raises(UntoldTokensError, match="usage counts 20 tokens and 16 events brought them"):
        pace_ms([record_of(paced([*events, *end], step_s=0.005), 20)] * 5)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ([token()] * 8, "usage counts 32 tokens and 8 events brought them"),
        (listing([token()] * 8, [1] * 8), r"tokens that no event shows \(24 of 32"),
    ],
)
def test_tokens_that_a_stream_interval_drops_are_no_pace(told: list[object], why: str) -> None:
    """raullenchai/Rapid-MLX#209: of every four tokens one is sent, and usage counts all."""
    with pytest.raises(InvalidValueError, match=why):
        pace_ms([record_of(paced(told, step_s=0.04), 32)] * 5)


@pytest.mark.parametrize("early", [token(""), delta(content="")])
def test_an_early_event_is_not_taken_for_the_first_token(early: dict[str, object]) -> None:
    """It comes after 1 ms, the tokens after 500 ms."""
    events = [(0.001, event(early)), *paced(PAIR_SHARED, 0.5)]
    with pytest.raises(UntoldTokensError, match="at their beginning or end, 499 ms apart"):
        pace_ms([record_of(events, 32)] * 5)


@pytest.mark.parametrize(
    ("place_s", "silent"),
    [(0.001, token("")), (0.2, token("")), (1.0, token("")), (1.0, delta(content="")), (1.0, finish(9, 32))],
)
@pytest.mark.parametrize("number", [32, 16])
def test_where_the_server_lists_tokens_an_event_without_any_is_none(
    number: int, place_s: float, silent: dict[str, object]
) -> None:
    """However early or late, and whether or not tokens share an event."""
    tokens = listing([token()] * number, [32 // number] * number)
    answer = sorted(
        [*paced(tokens, step_s=STEP_S * (32 // number)), (place_s, event(silent))], key=lambda each: each[0]
    )
    record = record_of(answer, 32)
    assert (record.events, record.first_tokens) == (number, 32 // number)
    assert record.ttft_s == pytest.approx(FIRST_S)
    assert pace_ms([record]) == pytest.approx(10, rel=0.04)


@pytest.mark.parametrize(
    ("events", "output", "cause"),
    [
        (listing([token()] * 8, [5] * 8), 32, "the events list 40 tokens and usage counts 32"),
        (counting([token()] * 8, [99, *[0] * 7]), 32, "wrong|the events list 99 tokens"),
    ],
)
def test_counts_that_contradict_each_other_fail_the_request(events: list[object], output: int, cause: str) -> None:
    """The request, not the sweep."""
    with pytest.raises(ResponseError, match=cause):
        record_of(paced(events), output)


def test_a_text_of_no_tokens_fails_the_request() -> None:
    """Some proxies count the prompt as 0."""
    stream = whole(b"".join([event(token()), event(usage(0, 1)), event("[DONE]")]))
    with pytest.raises(ResponseError, match=r"counts are impossible: RequestRecord.input_tokens: got 0"):
        completed(0.0, stream, Asked(9, 1, is_text=True))


@pytest.mark.parametrize("count", [10**13, 10**400, -1, 1.5, True])
def test_a_count_that_no_request_has_is_none(count: object) -> None:
    """It would overflow what it is divided by."""
    counts = {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": count}}
    assert usage_of({"usage": counts}) == Usage(9, 1)
    with pytest.raises(ResponseError, match=r"prompt_tokens: got .*, wanted a whole number of tokens"):
        usage_of({"usage": {**counts, "prompt_tokens": count}})


@pytest.mark.parametrize(
    "other", [b"event: trtllm.perf_metrics\ndata: [1]\n\n", b"event: ping\ndata: ok\n\n", b"data:\n\n"]
)
def test_an_event_of_another_name_is_skipped(other: bytes) -> None:
    """TensorRT-LLM sends its figures so."""
    record = record_of([*paced([token()] * 8), (0.09, other), *paced([token()] * 8, 0.13)], 16)
    assert record.events == 16


# --- several tokens in an event (NVIDIA/TensorRT-LLM#5284, vllm-project/vllm#27869) -----------------------------------


@pytest.mark.parametrize("tell", [counting, listing])
@pytest.mark.parametrize("content", CONTENT)
def test_tpot_is_taken_over_the_tokens_after_the_first_event(tell: object, content: dict[str, object]) -> None:
    """The first event holds 50 of 100 tokens, the others come one every 2 ms: 500 tok/s/user, not 981."""
    assert callable(tell)
    record = record_of(paced(tell([content] * 51, [50, *[1] * 50]), step_s=0.002), 100)
    assert record.first_tokens == 50
    assert pace_ms([record]) == pytest.approx(2)


def test_a_first_event_of_unknown_size_is_refused() -> None:
    """The same stream from a server that does not tell."""
    with pytest.raises(InvalidValueError, match="100 tokens and 51 events"):
        pace_ms([record_of(paced([token()] * 51, step_s=0.002), 100)])


def test_what_cannot_matter_is_not_asked() -> None:
    """Two tokens of 400 shared an event somewhere: half a percent at most."""
    assert pace_ms([record_of(paced([token()] * 398), 400)]) == pytest.approx(10, rel=0.01)


def test_requests_that_tell_speak_for_those_that_were_not_asked() -> None:
    """Ten of 100 requests list their tokens, four in each event: the others had four in the first one too."""
    events = [token()] * 10
    told = [record_of(paced(listing(events, [4] * 10), step_s=0.04), 40)] * 10
    untold = [record_of(paced(events, step_s=0.04), 40)] * 90
    assert {record.first_tokens for record in untold} == {None}
    assert pace_ms([*untold, *told]) == pytest.approx(10)


# --- streams in other clothes (kubernetes-sigs/inference-perf#781) ----------------------------------------------------


@pytest.mark.parametrize("end", [b"data: [DONE] \n\n", b"data: [DONE]\t\n\n", b"data: [DONE]\n"])
def test_the_end_may_be_followed_by_a_blank(end: bytes) -> None:
    """And by less than a blank line."""
    assert whole(event(token()) + event(usage(9, 1)) + end).events == 1


def test_a_byte_order_mark_is_no_part_of_the_first_event() -> None:
    """Its token is the first, at its own time."""
    timed = paced([token()] * 4)
    record = record_of([(timed[0][0], b"\xef\xbb\xbf" + timed[0][1]), *timed[1:]], 4)
    assert record.events == 4
    assert record.ttft_s == pytest.approx(FIRST_S)


BODY = b"".join(event(each) for each in (token(), token(), usage(9, 2)))


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (BODY.replace(b"\n\n", b"\r"), "events end in a lone CR"),
        (BODY.replace(b"\n\n", b"\n"), "the stream ended inside an event"),
        (BODY.replace(b"\n\n", b"\n") + b"\n", "events are separated by single newlines"),
        (event(token()) + event({"usage": {"prompt_tokens": 9}}), "usage lacks completion_tokens"),
        (event(token()) + event({"usage": {"completion_tokens": 9}}), "usage lacks prompt_tokens"),
        (event({"usage": {"prompt_tokens": "9", "completion_tokens": 2}}), "usage.prompt_tokens: got '9'"),
        (event({"usage": {"prompt_tokens": 9, "completion_tokens": None}}), "usage.completion_tokens: got None"),
        (event({"usage": {"prompt_tokens": 9, "completion_tokens": 2.0}}), "usage.completion_tokens: got 2.0"),
        (b"data: " + b"[" * 200_000 + b"\n\n", "an event is nested too deeply to be read"),
        (b'data: {"a":' * 100_000 + b"\n\n", "an event is (nested too deeply|not JSON)"),
        (b'data: {"created": ' + b"9" * 5000 + b"}\n\n", "an event is not JSON"),
        (b"data: \0\n\n", "the stream holds a NUL byte"),
        (b"\0" + event(token()), "the stream holds a NUL byte"),
        (b'data: {"error": {"message": "\\ud800"}}\n\n', r"error in the stream: \?"),
    ],
)
def test_a_stream_that_cannot_be_read_says_why(body: bytes, cause: str) -> None:
    """Each with its own cause, none with a traceback, and none as a slow or a missing answer."""
    with pytest.raises(ResponseError, match=cause):
        whole(body)


def test_a_read_of_one_nul_is_no_token() -> None:
    """Nor is anything else before the first event."""
    stream = TokenStream()
    stream.feed(b"\0", 1.0)
    assert (stream.events, stream.first_token_s) == (0, None)


# --- the short way is the long way ------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from([*CONTENT, *PARTS, token(""), delta(content=""), {"choices": []}, {}]), max_size=12))
def test_an_event_counts_the_same_after_any_other_events(events: list[dict[str, object]]) -> None:
    """Events that are counted by their shape and events that are parsed give one number."""
    alone = [kind_of(each).name in ("CONTENT", "SILENT") for each in events]
    stream = TokenStream()
    for at_s, each in enumerate(events):
        before = stream.events
        stream.feed(event(each), float(at_s))
        assert stream.events - before == alone[at_s]


@given(st.text(min_size=1, max_size=30), st.text(max_size=30), st.booleans())
def test_any_text_is_told_from_any_other(first: str, then: str, is_chat: bool) -> None:
    """Quotes, backslashes, line ends and control characters in a text: the second event is a token if it has text."""
    make = (lambda text: delta(content=text)) if is_chat else token
    events = [json.dumps(make(text), ensure_ascii=False).encode("utf-8", "replace") for text in (first, then)]
    stream = TokenStream()
    for at_s, data in enumerate(events):
        stream.feed(b"data: " + data + b"\n\n", float(at_s))
    stream.feed(event(usage(1, 1 + bool(then))), 9.0)
    stream.settle()
    assert stream.events == 1 + bool(then)


@pytest.mark.parametrize(
    "tail",
    [b'a\\"}]}\n\n', b'a\\\\\\"}]}\n\n', b'\\"}]}\n\n'],
)
def test_a_text_that_swallows_its_quote_is_not_taken_for_a_shape(tail: bytes) -> None:
    """A backslash before what looks like the end of the text makes it a part of it: such bytes are parsed."""
    stream = TokenStream()
    stream.feed(b'data: {"choices":[{"text":"a"}]}\n\n', 0.0)
    with pytest.raises(ResponseError, match="not JSON"):
        stream.feed(b'data: {"choices":[{"text":"' + tail, 1.0)


# --- the acceptance length a server states ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "length"),
    [
        ({"choices": [{"index": 0, "avg_decoded_tokens_per_iter": 2.6}]}, 2.6),
        ({"choices": [], "metrics": {"speculative_decoding": {"mean_acceptance_length": 3.24}}}, 3.24),
        ({"choices": [{}], "timings": {"draft_n": 400, "draft_n_accepted": 224, "predicted_n": 325}}, 3.24),
        ({"timings": {"draft_n": 30, "draft_n_accepted": 0, "predicted_n": 11}}, 1.0),
        ({"timings": {"draft_n": 0, "draft_n_accepted": 0, "predicted_n": 11}}, None),
        ({"timings": {"draft_n": 3, "draft_n_accepted": 3, "predicted_n": 4}}, None),
        ({"timings": {"predicted_n": 11}}, None),
        ({"choices": [{"avg_decoded_tokens_per_iter": None}], "metrics": None, "timings": []}, None),
        ({"choices": [{"avg_decoded_tokens_per_iter": True}]}, None),
        ({"choices": [{"avg_decoded_tokens_per_iter": 0.0}]}, None),
        ({"choices": [{"avg_decoded_tokens_per_iter": math.nan}]}, None),
        ({"choices": [{"avg_decoded_tokens_per_iter": 10**400}]}, None),
        ({"choices": [3]}, None),
        ({"choices": "x", "metrics": {"speculative_decoding": []}}, None),
        ({}, None),
    ],
)
def test_the_acceptance_length_an_event_tells(event: Mapping[str, Any], length: float | None) -> None:
    """TensorRT-LLM's in each choice, vLLM's with the usage, llama-server's out of its counts of tokens."""
    assert acceptance_of(event) == (None if length is None else pytest.approx(length))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("choices", "metrics", "timings", "speculative_decoding", "mean_acceptance_length", "draft_n"),
                    *("avg_decoded_tokens_per_iter", "draft_n_accepted", "predicted_n"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(event=st.dictionaries(st.sampled_from(["choices", "metrics", "timings"]), _json))
def test_any_event_tells_an_acceptance_length_or_none(event: Mapping[str, Any]) -> None:
    """A finite number of at least 1; any other value is none."""
    length = acceptance_of(event)
    assert length is None or (math.isfinite(length) and length >= 1)
