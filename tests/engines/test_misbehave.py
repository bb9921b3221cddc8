"""Each kind of misbehaviour of the simulated server, over real sockets, beside what a good server does."""

from __future__ import annotations

import gzip
import http.client
import socket
import time
from collections.abc import Callable
from contextlib import closing, suppress

import pytest

from pytest_precgate.engines.simulated.manners import described, read_kinds
from pytest_precgate.engines.simulated.misbehave import KINDS
from pytest_precgate.engines.simulated.server import ServerOptions
from pytest_precgate.errors import InvalidValueError
from tests.engines.simulated_server import (
    MODEL,
    Reply,
    ask,
    asked,
    completion,
    connect,
    metrics,
    misbehaving,
    posted,
    raw,
    request,
    serving,
    until,
    wait_for,
)
from tests.published import ROOT

CHAT = "/v1/chat/completions"
IDS = {"return_token_ids": True}


def spoilt(kinds: str, tokens: int = 8, **fields: object) -> Reply:
    """The answer of a server of such kinds to one completion."""
    with serving(misbehaving(kinds)) as url:
        return completion(url, tokens=tokens, **fields)


def texts(reply: Reply) -> list[str]:
    """The text of each chunk that holds a token."""
    return [chunk["choices"][0]["text"] for chunk in reply.chunks if chunk["choices"]]  # type: ignore[index]


def still_silent(connection: socket.socket) -> bool:
    """Whether nothing comes for a moment and the connection is still open."""
    connection.settimeout(0.1)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_is_described_and_every_server_of_it_stays_alive(kind: str) -> None:
    """A line of help, and /version answers after a request was spoilt; hanging up is the client's to do."""
    assert f"  {kind}" in described()
    value = "=0.0001" if kind == "dribble" else "=2" if KINDS[kind].unit == "N" else ""
    with serving(misbehaving(f"{kind}{value}")) as url:
        with raw(url, posted(request(tokens=4))) as connection:
            connection.settimeout(0.2)
            with suppress(OSError):
                connection.recv(1000)
        assert asked(url, "/version").status == 200


def test_hang_stops_a_stream_and_leaves_it_open() -> None:
    """After N tokens; a shorter answer ends as it should, on the connections beside it too."""
    with serving(misbehaving("hang=3")) as url:
        with raw(url, posted(request(tokens=10))) as connection:
            data = b""
            while data.count(b"data: ") < 3:
                data += connection.recv(65536)
            assert data.count(b"data: ") == 3
            assert still_silent(connection)
        assert len(completion(url, tokens=2).chunks) == 3


def test_hang_holds_an_answer_without_a_stream_too() -> None:
    """Nothing comes at all."""
    with serving(misbehaving("hang=3")) as url, raw(url, posted(request(tokens=10, stream=False))) as connection:
        assert still_silent(connection)


def test_freeze_stops_every_stream_at_once() -> None:
    """Two streams under way and one that comes later; /health goes on answering."""
    with serving(misbehaving("freeze=20")) as url:
        streams = [raw(url, posted(request(tokens=1000))) for _ in range(2)]
        try:
            wait_for(url, lambda told: told["generation_tokens_total"] >= 20)
            with raw(url, posted(request())) as late:
                assert b"200 OK" in until(late, b"\r\n\r\n")
                assert still_silent(late)
            assert asked(url, "/health").status == 200
            assert 20 <= metrics(url)["generation_tokens_total"] <= 21
        finally:
            for stream in streams:
                stream.close()


def test_silent_leaves_every_nth_request_without_an_answer() -> None:
    """The first is served, the second waits for ever."""
    with serving(misbehaving("silent=2")) as url:
        assert completion(url).status == 200
        with raw(url, posted(request())) as connection:
            assert still_silent(connection)


def test_only_pings_keeps_a_stream_awake_without_a_token() -> None:
    """Comments follow the N-th token, and nothing else."""
    with serving(misbehaving("only-pings=2")) as url, raw(url, posted(request(tokens=10))) as connection:
        data = b""
        while data.count(b": ping\n\n") < 2:
            data += connection.recv(65536)
    assert data.count(b"data: ") == 2


def test_pings_come_late_and_hold_no_token() -> None:
    """The last token has no finish reason: that comes behind the pings, with usage and end, no sooner than told."""
    began_s = time.monotonic()
    body = spoilt("pings=100", tokens=2).body
    assert time.monotonic() - began_s >= 0.1
    assert body.count(b'"text":" x"') == 2
    places = [
        body.index(part)
        for part in (b": ping", b'data: {"type":"ping"}', b"data: {}", b'"choices":[]}', b'"finish_reason":"length"')
    ]
    assert [body.rindex(b'"text":" x"'), *places] == sorted([body.rindex(b'"text":" x"'), *places])


def test_hidden_tokens_are_in_usage_and_in_no_event() -> None:
    """24 of 32, the first ones, on both APIs."""
    chat = {**request(tokens=32), "messages": [{"role": "user", "content": "x"}]}
    with serving(misbehaving("hidden=0.75")) as url:
        for reply in (completion(url, tokens=32), asked(url, CHAT, chat)):
            assert reply.body.count(b'" x"') == 8
            assert reply.chunks[-1]["usage"]["completion_tokens"] == 32  # type: ignore[index]


def test_hidden_tokens_may_be_all_of_them() -> None:
    """One chunk with the finish reason, then the usage."""
    reply = spoilt("hidden=1")
    assert texts(reply) == [""]
    assert reply.chunks[0]["choices"][0]["finish_reason"] == "length"  # type: ignore[index]


def test_a_first_burst_holds_its_share() -> None:
    """Half of the tokens in the first event, then one each."""
    reply = spoilt("first-burst=0.5", **IDS)
    assert texts(reply) == [" x" * 4, *[" x"] * 4]
    assert reply.chunks[0]["choices"][0]["token_ids"] == [0, 1, 2, 3]  # type: ignore[index]


def test_empty_texts_are_sent_as_chunks() -> None:
    """One a token, the first half of them without text."""
    assert texts(spoilt("empty-text=0.5")) == [*[""] * 4, *[" x"] * 4]


def test_a_kept_alive_connection_is_reset_after_the_request_was_read() -> None:
    """Every second request of a connection; a connection of one request is never reset."""
    with serving(misbehaving("reset=2")) as url:
        for _ in range(3):
            assert completion(url).status == 200
        with closing(connect(url)) as connection:
            assert ask(connection, "/v1/completions", request()).status == 200
            with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
                ask(connection, "/v1/completions", request())


def test_every_nth_request_is_refused() -> None:
    """503, and the connection goes on."""
    with serving(misbehaving("refuse=2")) as url, closing(connect(url)) as connection:
        assert [ask(connection, "/v1/completions", request()).status for _ in range(4)] == [200, 503, 200, 503]


def test_requests_are_redirected() -> None:
    """To another path, with the status told."""
    reply = spoilt("redirect=308")
    assert (reply.status, reply.headers["location"]) == (308, "/elsewhere/v1/completions")


def test_a_stream_is_cut() -> None:
    """After N tokens, with no end of its chunks."""
    with serving(misbehaving("cut=2")) as url, raw(url, posted(request(tokens=10))) as connection:
        data = connection.makefile("rb").read()
    assert data.count(b"data: ") == 2
    assert not data.endswith(b"0\r\n\r\n")


def test_an_error_comes_inside_a_stream() -> None:
    """With HTTP status 200, after N tokens."""
    reply = spoilt("stream-error=2")
    assert reply.status == 200
    assert "error" in reply.chunks[-1]
    assert len(reply.chunks) == 3


def test_a_line_never_ends() -> None:
    """More of it comes for as long as the client reads."""
    with serving(misbehaving("endless-line=2")) as url, raw(url, posted(request(tokens=10))) as connection:
        data = until(connection, b"x" * 30_000)
        assert data.count(b"\n\ndata: ") <= 1
        assert until(connection, b"x" * 30_000)


def test_answers_to_questions_dribble() -> None:
    """One byte a time; requests for tokens are answered as usual."""
    with serving(misbehaving("dribble=0.002")) as url:
        assert completion(url).status == 200
        began_s = time.monotonic()
        with raw(url, b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n") as connection:
            data = connection.makefile("rb").read()
    assert time.monotonic() - began_s >= 0.002 * len(data)
    assert data.endswith(b"\r\n\r\n{}")


def test_bodies_are_compressed_unasked() -> None:
    """Streams, single answers and questions alike; what is inside is as it should be."""
    with serving(misbehaving("gzip")) as url:
        stream, models = completion(url, tokens=2), asked(url, "/v1/models")
    assert {stream.headers["content-encoding"], models.headers["content-encoding"]} == {"gzip"}
    assert gzip.decompress(stream.body).endswith(b"data: [DONE]\n\n")
    assert MODEL.encode() in gzip.decompress(models.body)


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("bom", lambda body: body.startswith(b"\xef\xbb\xbfdata: {")),
        ("nul", lambda body: body.count(b"\n\n\0data: {") == 1),
        ("deep-json=1000", lambda body: b"data: " + b"[" * 1000 + b"]" * 1000 + b"\n\n" in body),
        ("huge-integer=5000", lambda body: b'"completion_tokens":' + b"9" * 5000 + b"}" in body),
        ("done-blank", lambda body: body.endswith(b"data: [DONE] \n\n")),
        ("no-usage", lambda body: b"usage" not in body),
    ],
)
def test_single_events_are_spoilt(kind: str, found: Callable[[bytes], bool]) -> None:
    """And the tokens beside them are all there."""
    body = spoilt(kind).body
    assert found(body)
    assert body.count(b'"text":" x"') == 8


def test_usage_comes_in_two_events() -> None:
    """The prompt's count in one, the answer's in the next."""
    usages = [chunk["usage"] for chunk in spoilt("split-usage").chunks if "usage" in chunk]
    assert usages == [{"prompt_tokens": 3}, {"completion_tokens": 8}]


def test_usage_comes_as_text() -> None:
    """Strings, where numbers should be."""
    assert spoilt("text-usage").chunks[-1]["usage"] == {
        "prompt_tokens": "3",
        "completion_tokens": "8",
        "total_tokens": "11",
    }


def test_a_warm_cache_may_be_kept_secret() -> None:
    """The prompt is cached and usage does not say so; the counters do."""
    options = ServerOptions(prefix_cache_tokens=1000, misbehaviour=read_kinds("no-cached-tokens"))
    with serving(options) as url:
        usages = [completion(url, prompt=[1] * 40).chunks[-1]["usage"] for _ in range(2)]
        assert metrics(url)["prefix_cache_hits_total"] == 32
    assert usages == [{"prompt_tokens": 40, "completion_tokens": 4, "total_tokens": 44}] * 2


def test_kinds_may_be_combined() -> None:
    """Each spoils its own moment."""
    reply = spoilt("first-burst=0.5,split-usage,bom,hidden=0.25")
    assert reply.body.startswith(b"\xef\xbb\xbf")
    chunks = reply.body.count(b'"finish_reason"')
    assert chunks == 5
    assert reply.body.count(b'"usage"') == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("hung", r"no such misbehaviour 'hung'; did you mean 'hang'"),
        ("hang=0", "hang: got 0, wanted a whole number of at least 1"),
        ("hang=1.5", r"hang: got 1\.5, wanted a whole number"),
        ("hang=", "hang: got '', wanted a number"),
        ("hang=inf", "hang: got inf, wanted a whole number"),
        ("hidden=1.1", r"hidden: got 1\.1, wanted a share above 0"),
        ("pings=nan", "pings: got nan, wanted milliseconds above 0"),
        ("redirect=200", "redirect: got 200, wanted 301"),
        ("gzip=1", "gzip: got 1, wanted no value"),
        ("gzip,hang,gzip", "gzip: got it twice"),
    ],
)
def test_a_kind_that_cannot_be_is_refused(text: str, why: str) -> None:
    """By its name, with what it may be."""
    with pytest.raises(InvalidValueError, match=why):
        read_kinds(text)


def test_the_docs_list_every_kind() -> None:
    """docs/simulated.md, with the default of its value."""
    page = (ROOT / "docs" / "simulated.md").read_text(encoding="utf-8")
    for kind in KINDS.values():
        assert (f"`{kind.name}={kind.unit}` ({kind.default:g})" if kind.unit else f"`{kind.name}`") in page


def test_no_kind_is_a_good_server() -> None:
    """Blanks and empty words count for nothing."""
    assert read_kinds(" , ") == ()
    assert [kind.value for kind in read_kinds("hang=3, gzip")] == [3, 0]
