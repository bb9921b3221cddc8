"""The simulated engine behind OpenAI's streaming API, in real time; client tests run against it.

One task advances the scheduler by the clock. Invariant: step n ends at a fixed time independent of the machine, so a
late wake-up delays a token and not the ones after it. Tokens have no meaning; only their number and times do."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass

from pytest_precgate.engines.simulated.answer import Answer
from pytest_precgate.engines.simulated.chunks import Chunks
from pytest_precgate.engines.simulated.connection import Connection, HttpRequest
from pytest_precgate.engines.simulated.counters import CONTENT_TYPE, Counters, Times, exposition
from pytest_precgate.engines.simulated.manners import Manners
from pytest_precgate.engines.simulated.misbehave import WellBehaved
from pytest_precgate.engines.simulated.model import Limits, Speculation, StepTime
from pytest_precgate.engines.simulated.prefix_cache import PrefixCache, block_keys
from pytest_precgate.engines.simulated.request_fields import Asked, RefusedError, read_asked
from pytest_precgate.engines.simulated.scheduler import Request, Scheduler

_TEXTS = {"/v1/completions": "text", "/v1/chat/completions": "chat"}
_BACKLOG = 1024


@dataclass(frozen=True)
class ServerOptions:
    """The options of the server.

    ``speed`` 2.0 makes every second of the model half a second. ``strict_fields`` refuses unknown request fields.
    ``prefix_cache_tokens`` is the size of the prefix cache, None for none."""

    speed: float = 1.0
    strict_fields: bool = False
    prefix_cache_tokens: int | None = None
    speculation: Speculation | None = None
    misbehaviour: tuple[WellBehaved, ...] = ()


_PLAIN = ServerOptions()


class SimulatedServer:
    """Serves one model."""

    def __init__(
        self,
        step_time: StepTime,
        limits: Limits,
        model: str,
        options: ServerOptions = _PLAIN,
    ) -> None:
        tokens = options.prefix_cache_tokens
        self._cache = None if tokens is None else PrefixCache(tokens)
        self._scheduler = Scheduler(step_time, limits, lambda: 1.0 / options.speed, options.speculation, self._cache)
        self._overhead_s = step_time.overhead_s / options.speed
        self._model = model
        self._options = options
        self._manners = Manners(options.misbehaviour)
        self._counters = Counters()
        self._requests = 0
        self._answers: dict[Request, Answer] = {}
        self._arrived = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._stepping: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen on ``host``; port 0 takes a free one. Return the port.

        Raises OSError, OverflowError, ValueError or UnicodeError when the address is taken, not local or invalid."""
        self._server = await asyncio.start_server(self._connection, host, port, backlog=_BACKLOG)
        self._stepping = asyncio.create_task(self._step_for_ever())
        return int(self._server.sockets[0].getsockname()[1])

    async def serve_for_ever(self) -> None:
        """Serve until cancelled, then stop listening."""
        if self._stepping is None or self._server is None:
            return
        try:
            await self._stepping
        finally:
            self._server.close()

    async def _step_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            ends_s = loop.time()
            while not self._scheduler.is_idle:
                running = list(self._scheduler.running)
                started_s = loop.time()
                seconds, _, prompted, _ = self._scheduler.step()
                for request in self._scheduler.admitted:
                    if answer := self._answers.get(request):
                        answer.times.scheduled_s = started_s
                ends_s += seconds
                await asyncio.sleep(ends_s - loop.time())
                for request in (*running, *prompted):
                    if answer := self._answers.get(request):
                        self._advance(answer, request, loop.time())
                for answer in self._answers.values():
                    answer.release_if_gone()
                await self._freeze_if_told()

    def _advance(self, answer: Answer, request: Request, now_s: float) -> None:
        """Update an answer after a step, and count its tokens."""
        if not answer.made:
            answer.times.first_token_s = now_s
            self._counters.first_token(answer.times, request.input_tokens)
        made = self._scheduler.tokens_of(request)
        self._counters.generation_tokens += made - answer.made
        answer.advance(made)
        if answer.is_complete:
            self._counters.ended(answer.times, now_s)

    async def _freeze_if_told(self) -> None:
        limit = self._manners.freezes_after
        if limit is not None and self._counters.generation_tokens >= limit:
            await asyncio.Event().wait()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests of one connection until either side closes it."""
        connection = Connection(reader, writer, is_gzipped=self._manners.is_gzipped)
        try:
            while await self._one_request(connection):
                await connection.drain()
            await connection.drain()
        except (OSError, asyncio.IncompleteReadError):
            return  # the client has disconnected
        finally:
            connection.close()

    async def _one_request(self, connection: Connection) -> bool:
        """Read and answer a request; return whether another may follow on the connection."""
        try:
            request = await connection.next_request()
        except RefusedError as exc:
            connection.refuse(exc)
            return False
        if request is None:
            return False
        try:
            return await self._respond(request, connection) and request.keep_alive
        except RefusedError as exc:
            connection.refuse(exc)
            return request.keep_alive

    async def _respond(self, request: HttpRequest, connection: Connection) -> bool:
        """Answer a request; return whether the connection can be used again."""
        method, path = request.method, request.path
        if method == "POST" and path in _TEXTS:
            self._requests += 1
            if await self._manners.instead_of_answer(self._requests, request, connection):
                return not connection.gone
            asked = read_asked(
                request.body, chat=_TEXTS[path] == "chat", model=self._model, strict=self._options.strict_fields
            )
            return await self._generate(asked, connection)
        if method != "GET":
            raise RefusedError("404 Not Found", f"no {method} {path} here")
        message = self._told(path, connection)
        if not await self._manners.instead_of_message(message, connection):
            connection.write(message)
        return True

    def _told(self, path: str, connection: Connection) -> bytes:
        """Return the answer to a GET."""
        if path == "/metrics":
            return connection.message("200 OK", self._metrics().encode(), CONTENT_TYPE)
        bodies: dict[str, object] = {
            "/health": {},
            "/health_generate": {},
            "/version": {"version": "simulated"},
            "/v1/models": {
                "object": "list",
                "data": [{"id": self._model, "object": "model", "created": 0, "owned_by": "precgate"}],
            },
        }
        if path not in bodies:
            raise RefusedError("404 Not Found", f"no GET {path} here")
        return connection.message("200 OK", json.dumps(bodies[path]).encode())

    def _metrics(self) -> str:
        running, waiting = self._scheduler.occupancy
        cache, speculation = self._cache, self._options.speculation
        totals = {
            "prompt_tokens": self._counters.prompt_tokens,
            "generation_tokens": self._counters.generation_tokens,
            "prefix_cache_queries": 0 if cache is None else cache.queries,
            "prefix_cache_hits": 0 if cache is None else cache.hits,
        }
        if speculation is not None:
            drafts, accepted = self._scheduler.drafts, self._scheduler.accepted
            totals["spec_decode_num_drafts"] = drafts
            totals["spec_decode_num_draft_tokens"] = drafts * speculation.tokens
            totals["spec_decode_num_accepted_tokens"] = accepted
        gauges = {"num_requests_running": running, "num_requests_waiting": waiting}
        return exposition(self._model, gauges, totals, self._counters)

    async def _generate(self, asked: Asked, connection: Connection) -> bool:
        """Generate and send one answer; return whether the connection can continue."""
        loop = asyncio.get_running_loop()
        times = Times(loop.time())
        chunks = Chunks(asked, f"{self._requests:x}", int(time.time()), self._model)
        answer = Answer(connection, chunks, self._manners, times)
        if asked.stream:
            connection.begin_stream()
        request = Request(0.0, len(asked.prompt), asked.output_tokens)
        if self._cache is not None:
            request.blocks = block_keys(asked.prompt, asked.cache_salt)
        await asyncio.sleep(self._overhead_s)
        times.queued_s = loop.time()
        self._answers[request] = answer
        self._scheduler.waiting.append(request)
        self._arrived.set()
        try:
            await answer.done.wait()
            return await answer.end(None if self._cache is None else request.cached)
        finally:
            del self._answers[request]
            self._scheduler.abort(request)
