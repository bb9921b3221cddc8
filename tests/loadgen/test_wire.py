"""Bytes of a response to the facts of a generation, for any framing, line ends and cuts."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.errors import ReadFailedError, ResponseError
from pytest_precgate.loadgen.events import Usage
from pytest_precgate.loadgen.sse import TokenStream
from pytest_precgate.loadgen.target import Asked
from pytest_precgate.loadgen.wire import Response, completed
from tests.loadgen.streams import (
    STREAM,
    chunk,
    chunked,
    delta,
    event,
    finish,
    head,
    sized,
    token,
    tokens,
    until_close,
    usage,
)

JSON_BODY = b"Content-Type: application/json\r\n"


def read(pieces: list[bytes], closes: bool = False) -> Response:
    """Feed the pieces, the i-th at i seconds."""
    response = Response()
    for now, piece in enumerate(pieces):
        response.feed(piece, float(now))
    if closes:
        response.end_of_connection()
    return response


def facts(stream: TokenStream) -> tuple[object, ...]:
    return stream.events, stream.first_token_s, stream.last_token_s, stream.usage, stream.done


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(set(places)), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges) if a < b]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("respond", [chunked, lambda events: sized(b"".join(events)), until_close])
def test_every_framing_and_line_end_gives_the_same_facts(respond: object, newline: str) -> None:
    """Chunked, Content-Length and read-until-close bodies, with LF or CRLF."""
    assert callable(respond)
    response = read([respond(tokens(5, 7, newline))])
    assert response.complete
    assert facts(response.stream) == (5, 0.0, 0.0, Usage(7, 5), True)


# Everything a stream may hold, some of it only now and then.
EVENTS = st.one_of(
    st.sampled_from([token(), token(""), token("\n\n"), token('"error"'), token("[DONE]"), token("usage")]),
    st.sampled_from([delta(role="assistant"), delta(role="assistant", content=""), delta(content="hi")]),
    st.sampled_from([delta(reasoning_content="hm"), delta(reasoning="hm"), delta(content=None), {"choices": []}]),
    st.sampled_from([finish(3, 4), finish(3, 4, "end"), usage(3, 9), {"error": None, **token()}]),
)
BLOCKS = st.one_of(
    EVENTS.map(event),
    EVENTS.map(lambda data: event(data, "\r\n")),
    EVENTS.map(
        lambda data: "".join(f"data: {line}\n" for line in json.dumps(data, indent=1).split("\n")).encode() + b"\n"
    ),
    st.sampled_from([b": ping\n\n", b": ping\r\n\r\n", b"\n", b"\r\n", b"event: message\ndata: {}\n\n", b"id: 1\n\n"]),
    st.sampled_from(
        [event("[DONE]"), b"data:[DONE]\n\n", b"retry: 5\ndata: {}\nid: 2\n\n", b'data: {}\n: "error"\n\n']
    ),
)


def outcome(pieces: list[bytes], closes: bool) -> tuple[object, ...]:
    """The facts, or the error, of a response of which every piece arrived at one moment."""
    response = Response()
    try:
        for piece in pieces:
            response.feed(piece, 1.0)
        if closes and not response.complete:
            response.end_of_connection()
        response.stream.settle()
    except (ResponseError, ReadFailedError) as exc:
        return (str(exc).partition(": ")[0],)  # how much of a broken stream is quoted depends on the cut
    return response.complete, *facts(response.stream)


@given(st.lists(BLOCKS, max_size=8), st.sampled_from(["chunked", "joined", "sized", "close"]), st.data())
def test_any_split_of_the_same_bytes_gives_the_same_record(
    blocks: list[bytes], framing: str, data: st.DataObject
) -> None:
    """Where reads cut the stream changes neither facts, nor the number of events, nor the error."""
    body = b"".join(blocks)
    # A body that ends with the connection also ends at [DONE], so whether what follows is read depends on the cut.
    responses = {
        "chunked": chunked([block for block in blocks if block]),
        "joined": chunked([body]) if body else chunked([]),
        "sized": sized(body),
        "close": until_close([block for block in blocks if b"[DONE]\n" not in block]),
    }
    response = responses[framing]
    places = data.draw(st.lists(st.integers(1, len(response) - 1), max_size=12))
    assert outcome(cut(response, places), framing == "close") == outcome([response], framing == "close")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_stream_cut_at_every_byte_boundary_is_the_same_stream(newline: str) -> None:
    """Two reads, cut anywhere, and one byte a read."""
    response = chunked([event(delta(role="assistant"), newline), b": hi\n\n", *tokens(3, 2, newline)])
    whole = outcome([response], False)
    assert whole == (True, 3, 1.0, 1.0, Usage(2, 3), True)
    for place in range(1, len(response)):
        assert outcome(cut(response, [place]), False) == whole
    assert outcome([response[i : i + 1] for i in range(len(response))], False) == whole


@given(st.integers(2, 6), st.data())
def test_times_are_those_of_the_reads_that_completed_the_events(number: int, data: st.DataObject) -> None:
    """First token: when its last byte came. Last token: not when usage or the end came."""
    pieces = [head(), *(chunk(event(token())) for _ in range(number))]
    after = chunk(event(usage(1, number))) + chunk(event("[DONE]")) + b"0\r\n\r\n"
    place = data.draw(st.integers(1, len(pieces[1]) - 3))
    first = pieces[1]
    response = read([pieces[0], first[:place], first[place:], *pieces[2:], after])
    assert facts(response.stream) == (number, 2.0, float(number + 1), Usage(1, number), True)


@pytest.mark.parametrize(
    "silent",
    [delta(role="assistant"), delta(role="assistant", content=""), delta(content=None), token(""), {"choices": []}],
)
@pytest.mark.parametrize("content", [token(), delta(content="a"), delta(reasoning_content="a"), delta(reasoning="a")])
def test_the_first_token_is_the_first_generated_content(silent: dict[str, object], content: dict[str, object]) -> None:
    """A role alone is no token, nor is an empty text that usage does not count; reasoning is."""
    response = read([head(), *(chunk(event(each)) for each in (silent, content, usage(2, 1)))])
    response.stream.settle()
    assert response.stream.first_token_s == 2.0
    assert response.stream.events == 1


@pytest.mark.parametrize("last", [finish(2, 1), usage(2, 1)])
def test_usage_is_found_in_either_place(last: dict[str, object]) -> None:
    """In the chunk with the finish reason, or in a last one without choices."""
    response = read([chunked([event(token()), event(last), event("[DONE]")])])
    assert facts(response.stream) == (1, 0.0, 0.0, Usage(2, 1), True)


def test_several_events_in_one_chunk_are_counted_each() -> None:
    """Packets and chunks say nothing of events."""
    response = read([head(), chunk(b"".join([event(token())] * 3)), chunk(b"".join([event(token())] * 40))])
    assert response.stream.events == 43


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (event({"error": {"message": "out of memory", "code": 500}}), "error in the stream: out of memory"),
        (event({"error": "overloaded"}), "error in the stream: overloaded"),
        (event({"object": "error", "message": "bad"}), "error in the stream: bad"),
        (b'event: error\ndata: {"a": 1}\n\n', r'error in the stream: \{"a": 1\}'),
        (b"error: gone\n\n", "error in the stream: gone"),
        (b"data: {nonsense\n\n", "an event is not JSON: {nonsense"),
        (b"data: [1]\n\n", r"an event is not a JSON object: \[1\]"),
    ],
)
def test_an_error_inside_the_stream_is_raised_with_its_text(block: bytes, message: str) -> None:
    """HTTP 200 promises nothing."""
    with pytest.raises(ResponseError, match=message):
        read([chunked([block])])


@pytest.mark.parametrize("status", ["400 Bad Request", "429 Too Many Requests", "503 Service Unavailable"])
def test_an_http_error_is_raised_with_its_status_and_body(status: str) -> None:
    """Status and the beginning of the body, on one line."""
    with pytest.raises(ResponseError, match=rf'^HTTP {status}: {{"error": "no such field"}}$'):
        read([sized(b'{"error":\n "no such field"}', status, JSON_BODY)])


def test_an_answer_that_does_not_stream_is_refused() -> None:
    """A server that ignores `stream` would look like one with a single token."""
    with pytest.raises(ResponseError, match=r"content type application/json, wanted text/event-stream: {}$"):
        read([sized(b"{}", kind=JSON_BODY)])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not an HTTP/1.1 answer: SSH-2.0-OpenSSH"),
        (head() + b"zz\r\n", "size line 'zz'"),
        (head() + b"-5\r\n", "size line '-5'"),
        (head() + b"1\r\nabc\r\n", "longer than its size"),
        (head(headers=STREAM + b"Content-Length: ten\r\n"), "Content-Length: got 'ten'"),
        (head(headers=STREAM + b"Content-Length: " + b"9" * 5000 + b"\r\n"), "Content-Length: got '9999999"),
        (b"HTTP/1.1 200 OK\r\n" + b"x" * 70000, "head of the answer exceeds"),
        (head() + b"1" * 5000, "a size line without an end"),
    ],
)
def test_what_is_not_http_is_refused(data: bytes, message: str) -> None:
    """Broken framing never becomes a record."""
    with pytest.raises(ResponseError, match=message):
        read([data])


@pytest.mark.parametrize("data", [b"", head()[:20], head(), head() + chunk(event(token())), chunked(tokens(2, 2))[:-2]])
def test_a_cut_stream_is_never_a_short_answer(data: bytes) -> None:
    """The connection's end ends no response that said where it ends."""
    with pytest.raises(ReadFailedError, match="the server closed the connection"):
        read([data] if data else [], closes=True)


def test_interim_responses_announce_the_answer() -> None:
    """100 Continue is not the answer."""
    assert read([head("100 Continue", b"") + chunked(tokens(1, 1))]).complete


@pytest.mark.parametrize(
    ("response", "keeps"),
    [
        (chunked(tokens(1, 1)), True),
        (chunked(tokens(1, 1)) + b"more", False),
        (sized(b"".join(tokens(1, 1)), kind=STREAM + b"Connection: close\r\n"), False),
        (sized(b"".join(tokens(1, 1))).replace(b"HTTP/1.1", b"HTTP/1.0"), False),
        (until_close(tokens(1, 1)), False),
    ],
)
def test_a_connection_is_kept_only_where_the_answer_allows(response: bytes, keeps: bool) -> None:
    """Connection: close, HTTP/1.0, read-until-close and surplus bytes spend it."""
    assert read([response]).keep_alive is keeps


def stream_of(*events: bytes) -> TokenStream:
    stream = TokenStream()
    for now, one in enumerate(events, 1):
        stream.feed(one, float(now))
    stream.settle()
    return stream


def test_a_record_holds_the_server_s_own_counts() -> None:
    """Three events of four tokens are four tokens, and nothing tells which event held two."""
    record = completed(0.5, stream_of(*tokens(3, 9)[:3], event(usage(9, 4))), Asked(9, 4))
    assert (record.first_token_s, record.last_token_s, record.input_tokens, record.output_tokens) == (1.0, 3.0, 9, 4)
    assert (record.events, record.first_tokens, record.shared_tokens) == (3, None, 1)


def test_a_template_may_add_input_tokens_where_the_server_tokenizes() -> None:
    """For text and chat, usage is what is recorded, beside the tokens the text was made from."""
    record = completed(0.5, stream_of(*tokens(2, 31)), Asked(20, 2, is_text=True))
    assert (record.input_tokens, record.text_tokens) == (31, 20)


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([event(token())], "ended without usage"),
        ([event(token()), event(usage(9, 3))], "usage says 3 tokens, asked for 4"),
        ([event(token()), event(usage(10, 4))], "usage says 10 tokens, sent 9"),
        ([event(usage(9, 4))], "ended without generated content: usage counts 4 tokens and no event shows one"),
        ([*tokens(5, 9)[:5], event(usage(9, 4))], "5 events hold generated content and usage counts 4 tokens"),
    ],
)
def test_missing_or_wrong_counts_are_no_record(events: list[bytes], message: str) -> None:
    """Nothing missing is ever a pass, and chunks are never counted instead."""
    with pytest.raises(ResponseError, match=message):
        completed(0.5, stream_of(*events), Asked(9, 4))


# --- answers that would not end, and answers that are something else -------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([head("100 Continue", b"")] * 30, "more than 20 interim answers"),
        ([head(), b"0\r\n", *[b"X-More: 1\r\n" * 500] * 20], "the trailer of the answer exceeds 65536 bytes"),
        ([head(), b"ffffffffffff\r\n"], "size line 'ffffffffffff'"),
        ([head(headers=STREAM), *[b"data: " + b"x" * (1 << 20)] * 10], "an event exceeds 8 MiB without an end"),
        ([head(headers=STREAM), *[b": x\n" * (1 << 18)] * 10], "an event exceeds 8 MiB without an end"),
        ([sized(b"", "503 Busy").replace(b"Content-Length: 0\r\n", b"")] + [b"x" * (1 << 18)] * 8, "^HTTP 503 Busy: x"),
    ],
)
def test_what_would_not_end_is_refused_at_its_limit(pieces: list[bytes], message: str) -> None:
    """Interim answers, trailers, chunks, lines and bodies without an end cost a bounded amount of memory."""
    with pytest.raises(ResponseError, match=message):
        read(pieces)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (head(headers=STREAM + b"Content-Encoding: gzip\r\n"), r"compressed \(Content-Encoding: gzip\)"),
        (
            head("307 Temporary Redirect", b"Location: https://elsewhere/v1\r\nContent-Length: 0\r\n"),
            "^HTTP 307 Temporary Redirect for POST /v1/completions: a redirect to https://elsewhere/v1",
        ),
        (
            head("307 Moved", b"Location: http://user:secret@elsewhere/v1\r\nContent-Length: 0\r\n"),
            "a redirect to http://elsewhere/v1",
        ),
        (head("308 Permanent Redirect", b"Content-Length: 0\r\n"), r"a redirect to \(empty\)"),
        (sized(b'{"detail":"Not Found"}', "404 Not Found"), "^HTTP 404 Not Found for POST /v1/completions: {"),
    ],
)
def test_an_answer_of_another_kind_is_refused_with_its_own_cause(data: bytes, message: str) -> None:
    """Compression, a redirect and a wrong path are named, not their consequences."""
    response = Response("/v1/completions")
    with pytest.raises(ResponseError, match=message):
        response.feed(data, 0.0)
