"""What the simulated server sends and accepts, over real sockets: requests, streams, single answers, broken HTTP."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from pytest_precgate.engines.simulated.model import Limits
from pytest_precgate.engines.simulated.server import ServerOptions
from tests.engines.simulated_server import (
    MODEL,
    ask,
    asked,
    completion,
    connect,
    posted,
    raw,
    request,
    serving,
    until,
)

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "one two three"}]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as address:
        yield address


def chat(tokens: int = 3, **fields: object) -> dict[str, object]:
    return {"model": MODEL, "messages": MESSAGES, "max_tokens": tokens, **fields}


def choice(chunk: dict[str, object]) -> dict[str, object]:
    choices = chunk["choices"]
    assert isinstance(choices, list)
    (only,) = choices
    assert isinstance(only, dict)
    return only


@pytest.mark.parametrize(("path", "kind"), [("/v1/completions", "text_completion"), (CHAT, "chat.completion.chunk")])
def test_every_chunk_says_what_it_is(url: str, path: str, kind: str) -> None:
    """id, object, created and model, the same in every chunk of a stream and another id in the next one."""
    body = {**chat(), **request(stream=True)}
    chunks, others = asked(url, path, body).chunks, asked(url, path, body).chunks
    heads = {(chunk["id"], chunk["object"], chunk["created"], chunk["model"]) for chunk in chunks}
    assert len(heads) == 1
    ((identifier, told, created, model),) = heads
    assert (told, model) == (kind, MODEL)
    assert isinstance(created, int)
    assert others[0]["id"] != identifier


def test_usage_comes_only_when_asked_for(url: str) -> None:
    """With include_usage in one last chunk without a choice, else in none."""
    last = completion(url, tokens=5).chunks[-1]
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    for options in (None, {}, {"include_usage": False}):
        assert not any("usage" in chunk for chunk in completion(url, stream_options=options).chunks)


@pytest.mark.parametrize(
    ("path", "counts"), [("/v1/completions", [1, 2, 3, 3]), (CHAT, [0, 1, 2, 3, 3])], ids=["completions", "chat"]
)
def test_continuous_usage_counts_in_every_chunk(url: str, path: str, counts: list[int]) -> None:
    """The tokens so far; the role chunk of a chat has none."""
    options = {"include_usage": True, "continuous_usage_stats": True}
    body = {**chat(stream=True), "prompt": [1, 2, 3], "stream_options": options}
    usages = [chunk["usage"] for chunk in asked(url, path, body).chunks]
    assert [usage["completion_tokens"] for usage in usages] == counts  # type: ignore[index]
    assert {usage["prompt_tokens"] for usage in usages} == {3}  # type: ignore[index]


def test_token_ids_are_returned_where_vllm_returns_them(url: str) -> None:
    """token_ids in each chunk with a token, the prompt's in the first chunk alone."""
    *chunks, _ = completion(url, prompt=[7, 8], tokens=3, return_token_ids=True).chunks
    assert [len(choice(chunk)["token_ids"]) for chunk in chunks] == [1, 1, 1]  # type: ignore[arg-type]
    assert [choice(chunk).get("prompt_token_ids") for chunk in chunks] == [[7, 8], None, None]
    role, *tokens = asked(url, CHAT, chat(stream=True, return_token_ids=True)).chunks
    assert len(role["prompt_token_ids"]) == 3  # type: ignore[arg-type]
    assert "token_ids" not in choice(role)
    assert [len(choice(chunk)["token_ids"]) for chunk in tokens] == [1, 1, 1]  # type: ignore[arg-type]
    assert "token_ids" not in choice(completion(url).chunks[0])


def test_a_chat_begins_with_the_role(url: str) -> None:
    """A chunk of its own without text; the finish reason rides on the last token."""
    role, *tokens = (choice(chunk) for chunk in asked(url, CHAT, chat(stream=True)).chunks)
    assert role["delta"] == {"role": "assistant", "content": ""}
    assert [one["delta"] for one in tokens] == [{"content": " x"}] * 3
    assert [one["finish_reason"] for one in tokens] == [None, None, "length"]


@pytest.mark.parametrize("stream", [{}, {"stream": False}, {"stream": None}])
def test_without_a_stream_one_body_answers(url: str, stream: dict[str, object]) -> None:
    """Text, finish reason and usage, with any stream options."""
    text = asked(url, "/v1/completions", {"model": MODEL, "prompt": "a b", "max_tokens": 3, **stream}).json
    assert text["object"] == "text_completion"
    assert choice(text)["text"] == "x x x"
    assert text["usage"] == {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
    message = asked(url, CHAT, {**chat(), **stream}).json
    assert message["object"] == "chat.completion"
    assert choice(message)["message"] == {"role": "assistant", "content": "x x x"}
    assert choice(message)["finish_reason"] == "length"


@pytest.mark.parametrize(
    "fields",
    [
        {"stop": None, "seed": None, "logprobs": None, "n": None, "max_completion_tokens": None},
        {"ignore_EOS": True, "no_such_field": {"a": 1}},
        {"model": None},
    ],
)
def test_fields_that_are_null_or_unknown_are_ignored(url: str, fields: dict[str, object]) -> None:
    """As vLLM and SGLang do."""
    assert completion(url, tokens=2, **fields).status == 200


def test_a_strict_server_refuses_unknown_fields() -> None:
    """As TensorRT-LLM does, return_token_ids among them; null is a value like any other there."""
    with serving(ServerOptions(strict_fields=True)) as url:
        for field in ("ignore_EOS", "return_token_ids"):
            reply = completion(url, **{field: True})
            assert reply.status == 400
            assert f"unknown field '{field}'" in str(reply.json["error"])
        assert completion(url, stop=None, ignore_eos=True, min_tokens=4).status == 200


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [("a b  c", 3), ("   ", 1), ([1, 2, 3, 4], 4), ([[1, 2]], 2), (["a b"], 2)],
)
def test_words_and_token_ids_count_as_tokens(url: str, prompt: object, tokens: int) -> None:
    """A batch of one prompt is that prompt."""
    usage = completion(url, prompt=prompt, tokens=1).chunks[-1]["usage"]
    assert isinstance(usage, dict)
    assert usage["prompt_tokens"] == tokens


def test_the_content_of_a_message_may_come_in_parts(url: str) -> None:
    """The words of all parts of all messages are the prompt."""
    parts = [{"type": "text", "text": "a b"}, {"type": "text", "text": "c"}]
    body = chat(messages=[{"role": "system", "content": "s"}, {"role": "user", "content": parts}])
    usage = asked(url, CHAT, body).json["usage"]
    assert isinstance(usage, dict)
    assert usage["prompt_tokens"] == 4


@pytest.mark.parametrize(
    ("fields", "status", "why"),
    [
        ({"model": "other"}, 404, "no model 'other'"),
        ({"max_tokens": 0}, 400, "max_tokens: got 0"),
        ({"max_tokens": True}, 400, "max_tokens: got True"),
        ({"max_tokens": "4"}, 400, "max_tokens: got '4'"),
        ({"prompt": []}, 400, "no prompt"),
        ({"prompt": None}, 400, "no prompt"),
        ({"prompt": [[1], [2]]}, 400, "one prompt a request"),
        ({"n": 2}, 400, "n: got 2"),
        ({"stream_options": 3}, 400, "stream_options: got 3"),
    ],
)
def test_a_request_that_cannot_be_served_is_refused_by_field(
    url: str, fields: dict[str, object], status: int, why: str
) -> None:
    """In OpenAI's shape, and the connection goes on."""
    with closing(connect(url)) as connection:
        reply = ask(connection, "/v1/completions", {**request(), **fields})
        assert reply.status == status
        assert why in str(reply.json["error"])
        assert ask(connection, "/v1/completions", request()).status == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff", b"[" * 200_000, b'{"n":' + b"9" * 5000 + b"}"])
def test_a_body_that_is_no_request_is_refused(url: str, body: bytes) -> None:
    """Not JSON, no object, not Unicode, nested too deep, an integer too long: 400, and the server goes on."""
    reply = asked(url, "/v1/completions", body)
    assert reply.status == 400
    assert asked(url, "/health").status == 200


POST = b"POST /v1/completions HTTP/1.1\r\n"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (POST + b"Content-Length: ten\r\n\r\n", 400),
        (POST + b"Content-Length: -1\r\n\r\n", 400),
        (POST + b"Content-Length: 1e12\r\n\r\n", 400),
        (POST + b"Content-Length: 1000000000000\r\n\r\n", 413),
        (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 413),
        (POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffff\r\n", 413),
        (POST + b"no colon\r\n\r\n", 400),
        (POST + b" Folded: x\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"GET /health\r\n\r\n", 400),
        (b"GET /health HTTP/2\r\n\r\n", 505),
        (b"GET /health HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431),
    ],
)
def test_broken_http_is_answered_and_the_connection_closed(
    url: str, data: bytes, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """With a status that says what is wrong, and never a traceback."""
    with raw(url, data) as connection, connection.makefile("rb") as answer:
        assert answer.read().startswith(f"HTTP/1.1 {status} ".encode())
    assert asked(url, "/health").status == 200
    assert "Traceback" not in capfd.readouterr().err


def test_a_request_in_chunks_is_read(url: str) -> None:
    """Chunk extensions and a trailer included, and the next request on the connection."""
    body = json.dumps(request(tokens=1)).encode()
    pieces = b"%x;a=b\r\n%b\r\n%x\r\n%b\r\n0\r\nTrailer: x\r\n\r\n" % (9, body[:9], len(body) - 9, body[9:])
    with raw(url, POST + b"Transfer-Encoding: chunked\r\n\r\n" + pieces) as connection:
        assert b"data: [DONE]" in until(connection, b"0\r\n\r\n")
        connection.sendall(b"GET /health HTTP/1.1\r\n\r\n")
        assert until(connection, b"{}").startswith(b"HTTP/1.1 200 OK")


def test_a_client_may_ask_before_it_sends(url: str) -> None:
    """Expect: 100-continue is answered before the body is read."""
    body = json.dumps(request(tokens=1)).encode()
    head = POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
    with raw(url, head) as connection:
        until(connection, b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.sendall(body)
        until(connection, b"[DONE]")


def test_http_1_0_gets_no_chunks(url: str) -> None:
    """The end of the connection ends the stream."""
    with raw(url, posted(request(tokens=2)).replace(b"HTTP/1.1", b"HTTP/1.0")) as connection:
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head
    assert body.startswith(b"data: {")
    assert body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("path", ["/", "/v1/embeddings", "/metrics/", "/health/x"])
def test_any_other_path_is_not_found(url: str, path: str) -> None:
    """By method and path."""
    assert asked(url, path).status == 404
    assert asked(url, path, b"{}").status == 404


def test_a_query_is_no_part_of_the_path(url: str) -> None:
    """Proxies add them."""
    assert asked(url, "/health?from=proxy").status == 200


def test_a_client_that_goes_away_frees_its_place() -> None:
    """Its request is dropped from the batch, as engines do, so no other request waits behind it."""
    with serving(limits=Limits(max_batch=1)) as url:
        with raw(url, posted(request(tokens=1_000_000))) as connection:
            until(connection, b"data: {")
            connection.shutdown(socket.SHUT_RDWR)
        assert completion(url, tokens=3).status == 200
