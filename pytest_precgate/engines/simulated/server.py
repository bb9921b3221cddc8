"""The simulated engine behind OpenAI's streaming API, in real time: what client tests run against.

One task steps the scheduler against the clock: step n ends at a fixed time whatever the machine was doing, so a late
wake-up delays a token and never the ones after it. Tokens carry no meaning; their number and their times do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_precgate.engines.simulated.model import Limits, StepTime
from pytest_precgate.engines.simulated.scheduler import Request, Scheduler

_KNOWN_FIELDS = {
    *("model", "prompt", "messages", "max_tokens", "max_completion_tokens", "temperature", "stream", "stream_options"),
    *("ignore_eos", "min_tokens", "seed", "top_p", "n"),
}
_TEXTS = {"/v1/completions": "text", "/v1/chat/completions": "chat"}


class _RefusedError(Exception):
    """A request this server answers with an HTTP error."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class _Stream:
    """One answer under way. ``left`` counts the tokens still to be sent."""

    writer: asyncio.StreamWriter
    chat: bool
    input_tokens: int
    output_tokens: int
    done: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 0

    def token(self, *, last: bool) -> None:
        """Send one token, and the usage and the end of the stream behind the last one."""
        if self.sent == 0 and self.chat:
            self._event({"choices": [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}]})
        self.sent += 1
        content: dict[str, object] = {"delta": {"content": " x"}} if self.chat else {"text": " x"}
        self._event({"choices": [{"index": 0, **content, "finish_reason": "length" if last else None}]})
        if last:
            usage = {
                "prompt_tokens": self.input_tokens,
                "completion_tokens": self.sent,
                "total_tokens": self.input_tokens + self.sent,
            }
            self._event({"choices": [], "usage": usage})
            self._chunk(b"data: [DONE]\n\n")
            self.writer.write(b"0\r\n\r\n")
            self.done.set()

    def _event(self, body: Mapping[str, object]) -> None:
        self._chunk(b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        if not self.writer.is_closing():
            self.writer.write(b"%x\r\n%b\r\n" % (len(data), data))


class SimulatedServer:
    """Serves one model; ``speed`` 2.0 makes every second of the model half a second."""

    def __init__(self, step_time: StepTime, limits: Limits, model: str, speed: float = 1.0) -> None:
        self._scheduler = Scheduler(step_time, limits, lambda: 1.0 / speed)
        self._overhead_s = step_time.overhead_s / speed
        self._model = model
        self._streams: dict[int, _Stream] = {}
        self._arrived = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._stepping: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen on ``host``; port 0 takes a free one. Return the port."""
        self._server = await asyncio.start_server(self._connection, host, port)
        self._stepping = asyncio.create_task(self._step_for_ever())
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._stepping is not None:
            self._stepping.cancel()
        if self._server is not None:
            self._server.close()
        for stream in self._streams.values():
            stream.writer.close()

    async def serve_for_ever(self) -> None:
        """Serve until cancelled."""
        if self._stepping is not None:
            await self._stepping

    async def _step_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            ends_s = loop.time()
            while not self._scheduler.is_idle:
                running = list(self._scheduler.running)
                seconds, _, prompted, ended = self._scheduler.step()
                ends_s += seconds
                await asyncio.sleep(ends_s - loop.time())
                gone = {id(request) for request in ended}
                for request in (*running, *prompted):
                    stream = self._streams.get(id(request))
                    if stream is not None:
                        stream.token(last=id(request) in gone)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests of one connection until the client closes it."""
        try:
            while (head := await _read_head(reader)) is not None:
                method, path, headers = head
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                try:
                    await self._answer(method, path, body, writer)
                except _RefusedError as exc:
                    _plain(writer, exc.status, {"error": {"message": str(exc), "type": "invalid_request_error"}})
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the client went away, which is its right
        finally:
            writer.close()

    async def _answer(self, method: str, path: str, body: bytes, writer: asyncio.StreamWriter) -> None:
        if method == "GET" and path in ("/health", "/health_generate"):
            _plain(writer, "200 OK", {})
        elif method == "GET" and path == "/version":
            _plain(writer, "200 OK", {"version": "simulated"})
        elif method == "GET" and path == "/v1/models":
            _plain(writer, "200 OK", {"object": "list", "data": [{"id": self._model, "object": "model"}]})
        elif method == "POST" and path in _TEXTS:
            await self._generate(_fields(body), writer, chat=_TEXTS[path] == "chat")
        else:
            raise _RefusedError("404 Not Found", f"no {method} {path} here")

    async def _generate(self, fields: Mapping[str, object], writer: asyncio.StreamWriter, *, chat: bool) -> None:
        if fields.get("model") != self._model:
            raise _RefusedError("404 Not Found", f"no model {fields.get('model')!r}; this server has {self._model!r}")
        if fields.get("stream") is not True:
            raise _RefusedError("400 Bad Request", "only stream: true is served")
        output_tokens = fields.get("max_completion_tokens", fields.get("max_tokens"))
        if not isinstance(output_tokens, int) or output_tokens < 1:
            raise _RefusedError("400 Bad Request", f"max_tokens: got {output_tokens!r}, wanted a whole number above 0")
        stream = _Stream(writer, chat, _prompt_tokens(fields, chat=chat), output_tokens)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await asyncio.sleep(self._overhead_s)
        request = Request(0.0, stream.input_tokens, output_tokens)
        self._streams[id(request)] = stream
        self._scheduler.waiting.append(request)
        self._arrived.set()
        try:
            await stream.done.wait()
        finally:
            del self._streams[id(request)]


async def _read_head(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]] | None:
    """Return method, path and headers of the next request, None when the connection ends."""
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = text.rstrip("\r\n").split("\r\n")
    method, _, rest = first.partition(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return method, rest.rpartition(" ")[0], headers


def _plain(writer: asyncio.StreamWriter, status: str, body: Mapping[str, object]) -> None:
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    writer.write(head.encode() + content)


def _fields(body: bytes) -> dict[str, object]:
    try:
        fields = json.loads(body)
    except ValueError as exc:
        raise _RefusedError("400 Bad Request", f"the body is not JSON: {exc}") from exc
    if not isinstance(fields, dict) or not fields.keys() <= _KNOWN_FIELDS:
        unknown = sorted(set(fields) - _KNOWN_FIELDS) if isinstance(fields, dict) else "no object"
        raise _RefusedError("400 Bad Request", f"unknown fields: {unknown}")
    return fields


def _prompt_tokens(fields: Mapping[str, object], *, chat: bool) -> int:
    """Token ids count themselves; text counts its words, at least one."""
    prompt = fields.get("messages" if chat else "prompt")
    if isinstance(prompt, list) and prompt and not chat:
        return len(prompt)
    text = " ".join(str(message.get("content")) for message in prompt) if isinstance(prompt, list) else prompt
    if not isinstance(text, str) or not text:
        raise _RefusedError("400 Bad Request", "no prompt")
    return max(1, len(text.split()))
