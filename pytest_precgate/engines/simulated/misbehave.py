"""Misbehaviour of servers and proxies on request, one small class per kind: ``precgate serve-simulated --misbehave
KIND[=VALUE],...``.

Input: the state of an answer. Output: what is sent instead of the correct bytes. A kind overrides the behaviour at one
step of an answer; several kinds are applied in the given order. Invariant: generation is not affected; only what the
client receives changes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import ClassVar

from pytest_precgate.engines.simulated.chunks import DONE, TOKEN_TEXT, Usage, event
from pytest_precgate.engines.simulated.connection import Connection, HttpRequest
from pytest_precgate.engines.simulated.request_fields import RefusedError
from pytest_precgate.errors import InvalidValueError

_UNITS: dict[str, tuple[Callable[[float], bool], str]] = {
    "": (lambda _: False, "no value"),
    "N": (lambda value: value >= 1 and value.is_integer(), "a whole number of at least 1"),
    "SHARE": (lambda value: 0 < value <= 1, "a share above 0 and at most 1"),
    "MS": (lambda value: 0 < value < math.inf, "milliseconds above 0"),
    "S": (lambda value: 0 < value < math.inf, "seconds above 0"),
    "CODE": (lambda value: value in (301, 302, 303, 307, 308), "301, 302, 303, 307 or 308"),
}


class WellBehaved:
    """The behaviour of a server at each step of an answer. A kind that takes a value names its ``unit``."""

    name: ClassVar[str] = ""
    about: ClassVar[str] = ""
    unit: ClassVar[str] = ""
    default: ClassVar[float] = 0.0
    is_gzipped: ClassVar[bool] = False
    reports_cached: ClassVar[bool] = True
    finishes_apart: ClassVar[bool] = False
    """Whether the finish reason comes in a separate chunk."""

    def __init__(self, value: float | None = None) -> None:
        is_valid, wanted = _UNITS[self.unit]
        if value is not None and not is_valid(value):
            raise InvalidValueError(f"{self.name}: got {value:g}, wanted {wanted}")
        self.value = self.default if value is None else value

    async def instead_of_answer(self, number: int, request: HttpRequest, connection: Connection) -> bool:  # noqa: ARG002
        """Handle the ``number``-th request (from 1) instead of generation; return whether that was done."""
        return False

    async def instead_of_message(self, message: bytes, connection: Connection) -> bool:  # noqa: ARG002
        """Send the answer to a GET instead of the correct one; return whether that was done."""
        return False

    def shown(self, made: int, total: int) -> int:  # noqa: ARG002
        """Return how many of the ``made`` tokens (``total`` at the end) have been sent to the client."""
        return made

    def text(self, numbers: range, total: int) -> str:  # noqa: ARG002
        """Return the text of the tokens ``numbers``, counted from 0."""
        return TOKEN_TEXT * len(numbers)

    def derails_after(self) -> int | None:
        """Return after how many tokens the stream fails, None if it does not."""
        return None

    async def derail(self, connection: Connection) -> None:
        """Send the replacement of the rest of the stream; the connection is closed after it."""

    def freezes_after(self) -> int | None:
        """Return after how many tokens of all requests every stream stops, None for never."""
        return None

    def event(self, number: int, event: bytes) -> bytes:  # noqa: ARG002
        """Return the bytes of the ``number``-th event (from 0) of a stream."""
        return event

    async def before_end(self, connection: Connection, *, chat: bool) -> None:
        """Do the steps between the last token and the end of the stream."""

    def usages(self, usage: Usage) -> Sequence[Usage]:
        """Return the bytes of the usage, one event each."""
        return (usage,)


class Hang(WellBehaved):
    name, unit, default = "hang", "N", 16
    about = "each stream stops after N tokens, and its connection stays open"

    def derails_after(self) -> int | None:
        return int(self.value)

    async def derail(self, connection: Connection) -> None:
        await connection.until_gone()


class Freeze(WellBehaved):
    name, unit, default = "freeze", "N", 1000
    about = "every stream stops at once after N tokens in all; /health goes on answering"

    def freezes_after(self) -> int | None:
        return int(self.value)


class Silent(WellBehaved):
    name, unit, default = "silent", "N", 2
    about = "every N-th request gets no answer at all"

    async def instead_of_answer(self, number: int, request: HttpRequest, connection: Connection) -> bool:  # noqa: ARG002
        if number % self.value:
            return False
        await connection.until_gone()
        connection.close()
        return True


class OnlyPings(Hang):
    name = "only-pings"
    about = "after N tokens a stream sends comments alone, ten a second"

    async def derail(self, connection: Connection) -> None:
        while not connection.gone:
            connection.send(b": ping\n\n")
            await asyncio.sleep(0.1)


class Pings(WellBehaved):
    name, unit, default = "pings", "MS", 300.0
    about = "pings, events without content and the finish reason come MS ms after the last token"
    finishes_apart = True

    async def before_end(self, connection: Connection, *, chat: bool) -> None:
        await asyncio.sleep(self.value / 1000)
        late = [b": ping\n\n", event({"type": "ping"}), event({}), event({"choices": []})]
        if chat:
            late.append(event({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": None}]}))
        for one in late:
            connection.send(one)


class Hidden(WellBehaved):
    name, unit, default = "hidden", "SHARE", 0.75
    about = "usage counts tokens that no event shows: the first SHARE of each answer"

    def shown(self, made: int, total: int) -> int:
        return max(0, made - round(self.value * total))


class FirstBurst(WellBehaved):
    name, unit, default = "first-burst", "SHARE", 0.5
    about = "the first event holds SHARE of the tokens"

    def shown(self, made: int, total: int) -> int:
        return made if made >= math.ceil(self.value * total) else 0


class EmptyText(WellBehaved):
    name, unit, default = "empty-text", "SHARE", 0.5
    about = 'the first SHARE of the tokens have the text ""'

    def text(self, numbers: range, total: int) -> str:
        return "".join(TOKEN_TEXT for number in numbers if number >= round(self.value * total))


class Reset(WellBehaved):
    name, unit, default = "reset", "N", 2
    about = "every N-th request on a kept-alive connection is read, and the connection reset"

    async def instead_of_answer(self, number: int, request: HttpRequest, connection: Connection) -> bool:  # noqa: ARG002
        if (request.number + 1) % self.value or not request.number:
            return False
        connection.reset()
        return True


class Refuse(WellBehaved):
    name, unit, default = "refuse", "N", 2
    about = "every N-th request is answered 503"

    async def instead_of_answer(self, number: int, request: HttpRequest, connection: Connection) -> bool:  # noqa: ARG002
        if number % self.value:
            return False
        raise RefusedError("503 Service Unavailable", "the server is overloaded")


class Redirect(WellBehaved):
    name, unit, default = "redirect", "CODE", 307
    about = "requests are redirected to another path with the status CODE"

    async def instead_of_answer(self, number: int, request: HttpRequest, connection: Connection) -> bool:  # noqa: ARG002
        connection.answer(f"{self.value:g} Redirect", b"{}", headers={"Location": f"/elsewhere{request.path}"})
        return True


class Dribble(WellBehaved):
    name, unit, default = "dribble", "S", 1.0
    about = "answers to GET (/health, /v1/models, /metrics) come one byte every S seconds"

    async def instead_of_message(self, message: bytes, connection: Connection) -> bool:
        for place in range(len(message)):
            if connection.gone:
                break
            connection.write(message[place : place + 1])
            await asyncio.sleep(self.value)
        return True


class Cut(Hang):
    name = "cut"
    about = "the connection is closed after N tokens"

    async def derail(self, connection: Connection) -> None:
        connection.close()


class StreamError(Hang):
    name = "stream-error"
    about = "after N tokens the stream holds an error, HTTP status 200"

    async def derail(self, connection: Connection) -> None:
        error = {"message": "EngineCore encountered an issue", "type": "InternalServerError", "code": 500}
        connection.send(event({"error": error}) + DONE)
        connection.end_stream()
        await connection.drain()


class EndlessLine(Hang):
    name = "endless-line"
    about = "after N tokens a line follows that never ends"

    async def derail(self, connection: Connection) -> None:
        connection.send(b"data: ")
        while not connection.gone:
            connection.send(b"x" * 65536)
            await connection.drain()
            await asyncio.sleep(0.001)


class Gzip(WellBehaved):
    name = "gzip"
    about = "every body is compressed, although the client did not ask for it"
    is_gzipped = True


class Bom(WellBehaved):
    name = "bom"
    about = "a byte order mark before the first event"

    def event(self, number: int, event: bytes) -> bytes:
        return event if number else b"\xef\xbb\xbf" + event


class Nul(WellBehaved):
    name = "nul"
    about = "a NUL byte before the third event"

    def event(self, number: int, event: bytes) -> bytes:
        return b"\0" + event if number == 2 else event


class DeepJson(WellBehaved):
    name, unit, default = "deep-json", "N", 200_000
    about = "JSON nested N deep before the third event"

    def event(self, number: int, event: bytes) -> bytes:
        depth = int(self.value)
        return b"data: " + b"[" * depth + b"]" * depth + b"\n\n" + event if number == 2 else event


class HugeInteger(WellBehaved):
    name, unit, default = "huge-integer", "N", 5000
    about = "before the third event one whose usage is an integer of N digits"

    def event(self, number: int, event: bytes) -> bytes:
        extra = b'data: {"choices":[],"usage":{"completion_tokens":' + b"9" * int(self.value) + b"}}\n\n"
        return extra + event if number == 2 else event


class SplitUsage(WellBehaved):
    name = "split-usage"
    about = "prompt and completion tokens come in two events"

    def usages(self, usage: Usage) -> Sequence[Usage]:
        return ({"prompt_tokens": usage["prompt_tokens"]}, {"completion_tokens": usage["completion_tokens"]})


class TextUsage(WellBehaved):
    name = "text-usage"
    about = "the counts of usage are strings"

    def usages(self, usage: Usage) -> Sequence[Usage]:
        return ({name: str(value) for name, value in usage.items()},)


class NoUsage(WellBehaved):
    name = "no-usage"
    about = "usage is never sent in a stream, asked for or not"

    def usages(self, usage: Usage) -> Sequence[Usage]:  # noqa: ARG002
        return ()


class NoCachedTokens(WellBehaved):
    name = "no-cached-tokens"
    about = "usage does not say how many prompt tokens were cached"
    reports_cached = False


class DoneBlank(WellBehaved):
    name = "done-blank"
    about = "a blank behind [DONE]"

    def event(self, number: int, event: bytes) -> bytes:  # noqa: ARG002
        return event.replace(b"[DONE]", b"[DONE] ")


KINDS: dict[str, type[WellBehaved]] = {
    kind.name: kind
    for kind in (
        *(Hang, Freeze, Silent, OnlyPings, Cut, Refuse, Reset, Redirect, StreamError, EndlessLine, Dribble, Gzip),
        *(Pings, Hidden, FirstBurst, EmptyText, Bom, Nul, DeepJson, HugeInteger, DoneBlank),
        *(SplitUsage, TextUsage, NoUsage, NoCachedTokens),
    )
}
