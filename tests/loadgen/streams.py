"""What servers send, as bytes: events and responses to build the tests' streams from."""

from __future__ import annotations

import json
from collections.abc import Sequence


def token(text: str = " a", **choice: object) -> dict[str, object]:
    return {"id": "cmpl-1", "choices": [{"index": 0, "text": text, "finish_reason": None, **choice}]}


def delta(**fields: object) -> dict[str, object]:
    return {"id": "chat-1", "choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


def usage(prompt: int, completion: int, choices: Sequence[object] = ()) -> dict[str, object]:
    return {"choices": list(choices), "usage": {"prompt_tokens": prompt, "completion_tokens": completion}}


def finish(prompt: int, completion: int, text: str = "") -> dict[str, object]:
    """The finish reason and usage in one chunk, as llama-server sends it."""
    return usage(prompt, completion, [{"index": 0, "text": text, "finish_reason": "length"}])


def event(data: object, newline: str = "\n") -> bytes:
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    return f"data: {text}{newline}{newline}".encode()


def tokens(number: int, prompt: int, newline: str = "\n") -> list[bytes]:
    """The events of a whole generation."""
    last = [event(usage(prompt, number), newline), event("[DONE]", newline)]
    return [event(token(), newline) for _ in range(number)] + last


STREAM = b"Content-Type: text/event-stream; charset=utf-8\r\n"


def chunk(payload: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(payload), payload)


def head(status: str = "200 OK", headers: bytes = STREAM + b"Transfer-Encoding: chunked\r\n") -> bytes:
    return f"HTTP/1.1 {status}\r\n".encode() + headers + b"\r\n"


def chunked(events: Sequence[bytes]) -> bytes:
    return head() + b"".join(chunk(one) for one in events) + b"0\r\n\r\n"


def sized(body: bytes, status: str = "200 OK", kind: bytes = STREAM) -> bytes:
    return head(status, kind + b"Content-Length: %d\r\n" % len(body)) + body


def until_close(events: Sequence[bytes]) -> bytes:
    return head(headers=STREAM) + b"".join(events)
