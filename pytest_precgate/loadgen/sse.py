"""A stream of server-sent events to the facts of one generation: bytes and a time in, nothing is read or timed here.

Chunks are never taken for tokens: how many tokens there were, only the server's ``usage`` says. JSON is parsed where a
fact may lie (until the first content, an error, ``usage``, a finish reason); every other event is only counted, since
parsing each would cost a third of what the client can bear. Cheaper still is an event that differs from one already
counted in nothing but the text between two quotes: it holds no fact either."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from pytest_precgate.errors import ResponseError
from pytest_precgate.text import printable

_EXCERPT = 200
_CONTENT_KEYS = ("text", "content", "reasoning_content", "reasoning")
# What lies before and after the generated text of a lone event; no line may end inside either but the last.
_SHAPE = re.compile(
    rb'(data:[^\r\n]*?"(?:text|content|reasoning_content|reasoning)": ?")'
    rb'(?:[^"\\\r\n]|\\.)*'
    rb'("[^\r\n]*(?:\n\n|\r\n\r\n))'
)
_LEAVES_TEXT = re.compile(rb'["\r\n]')
_NO_SHAPE = b"\0"
_MISSES = 64


@dataclass(frozen=True)
class Usage:
    """Tokens as the server counts them; None where it was silent."""

    prompt_tokens: int | None
    completion_tokens: int | None


class TokenStream:
    """The events of one response, fed in any pieces; the same bytes give the same facts however they are cut.

    ``events`` counts events with generated content; ``first_token_s`` and ``last_token_s`` are the times given with the
    bytes that completed the first and the last of them, None before. ``done`` is set by ``[DONE]``.
    """

    __slots__ = (
        "_after",
        "_before",
        "_cr",
        "_held",
        "_misses",
        "done",
        "events",
        "first_token_s",
        "last_token_s",
        "usage",
    )

    def __init__(self) -> None:
        self.events = 0
        self.first_token_s: float | None = None
        self.last_token_s: float | None = None
        self.usage: Usage | None = None
        self.done = False
        self._held = b""
        self._cr = b""
        self._before = self._after = _NO_SHAPE
        self._misses = 0

    def feed(self, payload: bytes, now_s: float) -> None:
        """Take the next bytes of the body, received at ``now_s``; raises ResponseError for an error in the stream."""
        if (
            payload.endswith(self._after)
            and payload.startswith(self._before)
            and not (self._held or self._cr)
            and not _LEAVES_TEXT.search(payload, len(self._before), len(payload) - len(self._after))
        ):
            self.events += 1
            self.last_token_s = now_s
            return
        received = payload
        if self._cr or b"\r" in payload:
            payload = self._line_feeds(payload)
        if self._held:
            payload, self._held = self._held + payload, b""
        if self.first_token_s is not None and payload.endswith(b"\n\n") and payload.startswith(b"data:"):
            # The usual read: whole events that each begin with their data, and none of them holds a fact.
            blocks = payload.count(b"\n\n")
            if (blocks == 1 or payload.count(b"\n\ndata:") == blocks - 1) and not _may_hold_a_fact(payload):
                self.events += blocks
                self.last_token_s = now_s
                self._learn(received)
                return
        end = payload.rfind(b"\n\n") + 2
        if end < 2:
            self._held = payload
            return
        self._held = payload[end:]
        for block in payload[: end - 2].split(b"\n\n"):
            self._event(block, now_s)

    def _learn(self, event: bytes) -> None:
        """Keep the shape of an event that was counted; give up where every event has its own, a time say."""
        if self._misses < _MISSES and (shape := _SHAPE.fullmatch(event)):
            self._misses += 1
            self._before, self._after = shape.groups()

    def _line_feeds(self, payload: bytes) -> bytes:
        """CRLF to LF; a CR at the very end waits for what follows it."""
        payload = self._cr + payload
        self._cr = b"\r" if payload.endswith(b"\r") else b""
        return (payload[:-1] if self._cr else payload).replace(b"\r\n", b"\n")

    def _event(self, block: bytes, now_s: float) -> None:
        # An error is told by the first line: what is decided here must not differ from what feed() decides in bulk.
        block = block.lstrip(b"\n")
        fields = [line.partition(b":") for line in block.split(b"\n")]
        data = [value.removeprefix(b" ") for field, _, value in fields if field in (b"data", b"error")]
        text = b"\n".join(data)
        if block.startswith((b"error:", b"event: error", b"event:error")):
            raise ResponseError(f"error in the stream: {excerpt(text)}")
        if text == b"[DONE]":
            self.done = True
        elif data and self._has_content(text):
            self.events += 1
            self.last_token_s = now_s
            if self.first_token_s is None:
                self.first_token_s = now_s

    def _has_content(self, text: bytes) -> bool:
        if self.first_token_s is not None and not _may_hold_a_fact(text):
            return True
        event = _parsed(text)
        _refuse_error(event, text)
        usage = event.get("usage")
        if isinstance(usage, dict):
            self.usage = Usage(_whole(usage.get("prompt_tokens")), _whole(usage.get("completion_tokens")))
        choices = event.get("choices")
        return isinstance(choices, list) and any(_generated(choice) for choice in choices)


def excerpt(body: bytes) -> str:
    """Return the beginning of a body as one line a person can read."""
    text = " ".join(body[: 4 * _EXCERPT].decode("utf-8", "replace").split())
    return printable(text, _EXCERPT) or "(empty)"


def _may_hold_a_fact(events: bytes) -> bool:
    """Whether an error, usage, the end or a finish reason may be among ``events``; a wrong yes only costs time."""
    return (
        b"completion_tokens" in events
        or b'"error"' in events
        or b"[DONE]" in events
        or b'"finish_reason":"' in events
        or b'"finish_reason": "' in events
    )


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        event = json.loads(text)
    except ValueError as exc:
        raise ResponseError(f"an event is not JSON: {excerpt(text)}") from exc
    if not isinstance(event, dict):
        raise ResponseError(f"an event is not a JSON object: {excerpt(text)}")
    return event


def _refuse_error(event: dict[str, Any], text: bytes) -> None:
    error = event.get("error")
    if error or event.get("object") == "error":
        message = error.get("message") if isinstance(error, dict) else error or event.get("message")
        raise ResponseError(f"error in the stream: {excerpt(message.encode() if isinstance(message, str) else text)}")


def _generated(choice: object) -> bool:
    """Whether a choice carries generated text, reasoning included; a role alone is not."""
    if not isinstance(choice, dict):
        return False
    delta = choice.get("delta")
    holder = delta if isinstance(delta, dict) else choice
    return any(isinstance(holder.get(key), str) and holder[key] for key in _CONTENT_KEYS)


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
