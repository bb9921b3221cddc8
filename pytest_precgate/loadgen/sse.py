"""Parses a stream of server-sent events into the facts of one generation. No socket is read and no clock.

Input: bytes and their time. Output: token events, counts, usage, errors. Every event is classified by its content
(events.py). Parsing the JSON of each would cost a third of the client's capacity, so an event that equals a classified
one in every byte outside its generated text is counted without parsing. Invariant: a shape is reused only after a check
that only that text lies between its two halves."""

from __future__ import annotations

import re
from typing import Any

from pytest_precgate.errors import ResponseError
from pytest_precgate.loadgen.events import (
    Kind,
    Usage,
    acceptance_of,
    content_text,
    excerpt,
    kind_of,
    parsed,
    tokens_in,
    tokens_so_far,
    usage_of,
)

# The inside of a JSON text: no quote, no control character, and no backslash that would escape the closing quote.
_TEXT = re.compile(rb'[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*')
# The bytes before and after the generated text of a lone event; only the last line may end inside them.
_SHAPE = re.compile(
    rb'(data:[^\r\n]*?"(?:text|content|reasoning_content|reasoning)": ?")'
    rb'(?:[^"\\\r\n]|\\.)+'
    rb'("[^\r\n]*(?:\n\n|\r\n\r\n))'
)
_NO_SHAPE: tuple[bytes, ...] = ()  # no event begins or ends with any of these
_MISSES = 64
# Without these keys an event reports nothing about its tokens, and no acceptance.
_TELLS = (b'"token_ids"', b'"logprobs"', b'"usage"', b'"timings"')
_STATES_ACCEPTANCE = (b'"avg_decoded_tokens_per_iter"', b'"speculative_decoding"', b'"draft_n"')
# One event, or a line without an end. A prompt of a million tokens that is sent back as ids needs about 7 MB.
EVENT_LIMIT = 8 << 20
_BOM = b"\xef\xbb\xbf"


class TokenStream:
    """The events of one response, fed in pieces of any size; the same bytes give the same facts for any pieces.

    ``events`` counts token events; ``first_token_s`` and ``last_token_s`` are the times given with the bytes that
    completed the first and the last of them, None before. ``done`` is set by ``[DONE]``. ``first_tokens`` is the number
    of tokens in the first token event, ``listed_tokens`` the number that all events listed, ``acceptance`` the
    acceptance length that the server states; None when not reported. ``tells`` says that it counts the tokens of each
    event. ``settle`` decides what is open until the end; when it had to guess, ``guessed_step_s`` is the time per token
    that the guess gives the first or the last tokens, else it is None."""

    __slots__ = (
        *("_after", "_before", "_before_finish_s", "_cr", "_end", "_finish_s", "_held", "_lists", "_misses"),
        *("_silent", "_so_far", "_starts", "_sure_first"),
        *("acceptance", "done", "events", "first_token_s", "first_tokens", "guessed_step_s", "last_token_s"),
        *("listed_tokens", "tells", "usage"),
    )

    def __init__(self) -> None:
        self.events = 0
        self.first_token_s: float | None = None
        self.last_token_s: float | None = None
        self.usage: Usage | None = None
        self.first_tokens: int | None = None
        self.listed_tokens: int | None = None
        self.acceptance: float | None = None
        self.done = False
        self._held = b""
        self._cr = b""
        self._before: bytes | tuple[bytes, ...] = _NO_SHAPE
        self._after: bytes | tuple[bytes, ...] = _NO_SHAPE
        self._end = b""  # _after with its blank line cut off, after CRLF became LF
        self._starts = 0
        self._misses = 0
        self.tells = False
        self._lists = False
        self._so_far = 0
        self.guessed_step_s: float | None = None
        self._before_finish_s: float | None = None
        # Of the first event that is certainly a token: its time, and the number of tokens that the server reports for
        # it.
        self._sure_first: tuple[float | None, int | None] = (None, None)
        self._finish_s: float | None = None
        # Of every event without text: its number among the events, its time, the time of the event before it.
        self._silent: list[tuple[int, float, float | None]] = []

    def feed(self, payload: bytes, now_s: float) -> None:
        """Take the next bytes of the body, received at ``now_s``; raises ResponseError for an error in the stream."""
        if (
            payload.endswith(self._after)
            and payload.startswith(self._before)
            and not (self._held or self._cr)
            and self._starts < (stop := len(payload) - len(self._after))
            and _TEXT.fullmatch(payload, self._starts, stop)
        ):
            self.events += 1
            self.last_token_s = now_s
            return
        received = payload
        if self._cr or b"\r" in payload:
            payload = self._line_feeds(payload)
        if self._held:
            payload, self._held = self._held + payload, b""
        stop = payload.rfind(b"\n\n")
        self._held = payload[stop + 2 :] if stop >= 0 else payload
        if len(self._held) > EVENT_LIMIT:
            raise ResponseError(f"an event exceeds {EVENT_LIMIT >> 20} MiB without an end: {excerpt(self._held)}")
        if stop < 0:
            return
        blocks = payload[:stop].split(b"\n\n")
        for block in blocks:
            if self._is_known(block):
                self.events += 1
                self.last_token_s = now_s
            else:
                self._event(block, now_s, received if len(blocks) == 1 else block + b"\n\n")

    def settle(self) -> list[float]:
        """Decide, at the end of the stream, which events without text were tokens: as many as usage still counts.

        None of them is a token when the server counts the tokens of its events, or when there are more such events than
        missing tokens: the missing tokens may then have shared any event. Otherwise all are, the one with the finish
        reason last: a guess, which the caller can check by ``guessed_step_s``. Returns the gaps, in s, that ended in
        one of the others. Raises ResponseError for a stream that ended inside an event."""
        self._refuse_rest()
        if self.usage is None or not (self._silent or self._finish_s is not None):
            return []
        missing = 0 if self.tells else self.usage.completion_tokens - (self.events - len(self._silent))
        taken = len(self._silent) if missing >= len(self._silent) else 0
        left, retracted = self._silent[taken:], []
        while left and left[-1][0] == self.events - 1:
            _, at_s, before_s = left.pop()
            self.events -= 1
            self.last_token_s = before_s
            if before_s is not None and at_s > before_s:
                retracted.append(at_s - before_s)
        self.events -= len(left)
        if not taken:
            self.first_token_s, self.first_tokens = self._sure_first
        takes_finish = self._finish_s is not None and missing > taken == len(self._silent)
        if takes_finish:
            self.events += 1
            self.last_token_s = self._finish_s
            self.first_token_s = self._finish_s if self.first_token_s is None else self.first_token_s
        self.guessed_step_s = self._guessed_step_s(self._silent[:taken], takes_finish)
        return retracted

    def _guessed_step_s(self, taken: list[tuple[int, float, float | None]], takes_finish: bool) -> float | None:
        """The time per token, s, that a guess gives the first or the last tokens: the longer; None without a guess."""
        steps = []
        leading = [at_s for number, (place, at_s, _) in enumerate(taken) if place == number]
        if leading and self._sure_first[0] is not None:
            steps.append((self._sure_first[0] - leading[0]) / len(leading))
        trailing, place, since_s = int(takes_finish), self.events - takes_finish, self.last_token_s
        if takes_finish and not (taken and taken[-1][0] == place - 1):
            since_s = self._before_finish_s
        for number, _, before_s in reversed(taken):
            if number != place - 1:
                break
            trailing, place, since_s = trailing + 1, number, before_s
        if trailing and since_s is not None and self.last_token_s is not None:
            steps.append((self.last_token_s - since_s) / trailing)
        return max(steps, default=None)

    # --- one event ------------------------------------------------------------------------------------------------

    def _is_known(self, block: bytes) -> bool:
        """Whether an event without its blank line differs from a classified one only in its generated text."""
        return (
            block.startswith(self._before)
            and block.endswith(self._end)
            and self._starts < (stop := len(block) - len(self._end))
            and _TEXT.fullmatch(block, self._starts, stop) is not None
        )

    def _event(self, block: bytes, now_s: float, received: bytes) -> None:
        block = block.lstrip(b"\n").removeprefix(_BOM)
        if b"\0" in block:
            raise ResponseError(f"the stream holds a NUL byte: {excerpt(block)}")
        if block.startswith(b"data: ") and b"\n" not in block:  # the usual event, without splitting lines
            text, lines = block[6:], 1
        else:
            fields = [line.partition(b":") for line in block.split(b"\n")]
            data = [value.removeprefix(b" ") for field, _, value in fields if field in (b"data", b"error")]
            text, lines = b"\n".join(data), len(data)
            if block.startswith((b"error:", b"event: error", b"event:error")):
                raise ResponseError(f"error in the stream: {excerpt(text)}")
            if not text.strip() or (block.startswith(b"event:") and not text.lstrip().startswith(b"{")):
                return  # nothing, or an event of another name: TensorRT-LLM sends trtllm.perf_metrics
        if text.strip() == b"[DONE]":
            self.done = True
        elif lines:
            self._take(_whole_event(text, lines), text, now_s, received)

    def _take(self, event: dict[str, Any], text: bytes, now_s: float, received: bytes) -> None:
        """Count an event; keys that its bytes do not contain are not searched."""
        if b'"usage"' in text:
            self.usage = usage_of(event) or self.usage
        if any(word in text for word in _STATES_ACCEPTANCE):
            self.acceptance = self.acceptance if (stated := acceptance_of(event)) is None else stated
        kind = kind_of(event)
        tokens = self._told(event, kind) if self.tells or any(word in text for word in _TELLS) else None
        if tokens is not None:
            if tokens > 0 and event.get("choices"):
                self._count_sure(now_s, tokens)
        elif kind is Kind.CONTENT:
            self._count_sure(now_s, None)
            self._learn(received)
        elif self.tells:
            return  # a token that the server does not count is not a token
        elif kind is Kind.SILENT:
            self._silent.append((self.events, now_s, self.last_token_s))
            self._count(now_s, None)
        elif kind is Kind.FINISH:
            self._finish_s, self._before_finish_s = now_s, self.last_token_s

    def _count_sure(self, now_s: float, tokens: int | None) -> None:
        if self._sure_first[0] is None:
            self._sure_first = now_s, tokens
        self._count(now_s, tokens)

    def _count(self, now_s: float, tokens: int | None) -> None:
        if self.first_token_s is None:
            self.first_token_s, self.first_tokens = now_s, tokens
        self.events += 1
        self.last_token_s = now_s

    def _told(self, event: dict[str, Any], kind: Kind) -> int | None:
        """The number of tokens that the server reports for an event, None when it does not report them per event."""
        listed, so_far = tokens_in(event), tokens_so_far(event)
        self._lists = self._lists or listed is not None
        if so_far is not None and not self._lists:  # else usage repeats for the last events what their lists said
            before, self._so_far = self._so_far, max(so_far, self._so_far)
            is_last_word = not self.tells and bool(self.events or kind is Kind.FINISH)
            is_unused = not self._so_far and kind is Kind.CONTENT  # zeros until the end
            if not is_last_word and not is_unused:
                listed = self._so_far - before
        if listed is not None and event.get("choices"):
            self.listed_tokens = listed + (0 if self.listed_tokens is None else self.listed_tokens)
        self.tells = self.tells or listed is not None
        return listed

    def _learn(self, received: bytes) -> None:
        """Keep the shape of a lone event that was classified by its content; give up when every event has its own
        shape.

        Replacing the text verifies that only generated text lies between the two halves."""
        shape = _SHAPE.fullmatch(received) if received and self._misses < _MISSES else None
        if shape is None:
            return
        self._misses += 1
        before, after = shape.groups()
        other = parsed((before + b"~" + after).partition(b":")[2])
        if content_text(other) == "~" and not other.get("usage"):
            self._before, self._after, self._end, self._starts = before, after, after.rstrip(b"\r\n"), len(before)

    def _line_feeds(self, payload: bytes) -> bytes:
        """CRLF to LF; a CR at the very end waits for the next byte."""
        payload = self._cr + payload
        self._cr = b"\r" if payload.endswith(b"\r") else b""
        return (payload[:-1] if self._cr else payload).replace(b"\r\n", b"\n")

    def _refuse_rest(self) -> None:
        """Bytes after the last blank line are not an event: a missing final blank line is common, anything else is an
        error."""
        rest = self._held + self._cr
        lines = rest.replace(b"\r", b"\n").split(b"\n")
        data = [line for line in lines if line.startswith(b"data:") and line[5:].strip() != b"[DONE]"]
        if data and b"\r" in rest:
            raise ResponseError(f"events end in a lone CR: {excerpt(rest)}; wanted a blank line, ended by LF or CRLF")
        if data:
            raise ResponseError(f"the stream ended inside an event: {excerpt(rest)}; wanted a blank line after each")


def _whole_event(text: bytes, lines: int) -> dict[str, Any]:
    """Return the event of ``lines`` data lines. Raises ResponseError, for several events in one with that cause."""
    try:
        return parsed(text)
    except ResponseError:
        if lines > 1:
            first, _, _ = text.partition(b"\n")
            parsed(first)
            raise ResponseError(
                f"events are separated by single newlines: {excerpt(text)}; wanted a blank line after each"
            ) from None
        raise
