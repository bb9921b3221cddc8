"""A simulated server in a thread of the test's own process, and short questions to it: real sockets, quick to start."""

from __future__ import annotations

import asyncio
import http.client
import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from pytest_precgate.engines.simulated.manners import read_kinds
from pytest_precgate.engines.simulated.model import Limits, StepTime
from pytest_precgate.engines.simulated.server import ServerOptions, SimulatedServer

MODEL = "simulated-model"
QUICK = StepTime(constant_s=1e-3, experts_s=0.0, context_s=0.0, prefill_s=0.0, overhead_s=0.0)
LIMIT_S = 20.0


@contextmanager
def serving(
    options: ServerOptions | None = None, step_time: StepTime = QUICK, limits: Limits | None = None
) -> Iterator[str]:
    """Serve ``MODEL`` until the block ends; yield the address."""
    started: queue.Queue[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = queue.Queue()

    async def serve() -> None:
        server = SimulatedServer(step_time, limits or Limits(), MODEL, options or ServerOptions())
        port = await server.start("127.0.0.1", 0)
        told = asyncio.Event()
        started.put((asyncio.get_running_loop(), told, port))
        serving_task = asyncio.create_task(server.serve_for_ever())
        await told.wait()
        serving_task.cancel()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    loop, told, port = started.get(timeout=LIMIT_S)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(told.set)
        thread.join(LIMIT_S)
        assert not thread.is_alive()


def misbehaving(kinds: str) -> ServerOptions:
    return ServerOptions(misbehaviour=read_kinds(kinds))


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        document = json.loads(self.body)
        assert isinstance(document, dict)
        return document

    @property
    def data(self) -> list[str]:
        """What stands behind ``data:`` in each event."""
        return [block[6:] for block in self.body.decode().split("\n\n") if block.startswith("data: ")]

    @property
    def chunks(self) -> list[dict[str, object]]:
        """The events of a stream that ended with [DONE]."""
        *events, done = self.data
        assert done == "[DONE]"
        return [json.loads(event) for event in events]


def connect(url: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(url).netloc, timeout=LIMIT_S)


def ask(connection: http.client.HTTPConnection, path: str, body: Mapping[str, object] | bytes | None = None) -> Reply:
    """One request on a connection that is kept; a GET where there is no body."""
    data = json.dumps(body).encode() if isinstance(body, Mapping) else body
    connection.request("GET" if data is None else "POST", path, data)
    answer = connection.getresponse()
    return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())


def asked(url: str, path: str, body: Mapping[str, object] | bytes | None = None) -> Reply:
    """One request on a connection of its own."""
    connection = connect(url)
    try:
        return ask(connection, path, body)
    finally:
        connection.close()


def completion(url: str, prompt: object = (1, 2, 3), tokens: int = 4, **fields: object) -> Reply:
    """A streamed completion with its usage, as load clients ask for it."""
    return asked(url, "/v1/completions", request(prompt, tokens, **fields))


def request(prompt: object = (1, 2, 3), tokens: int = 4, **fields: object) -> dict[str, object]:
    usage = {"stream": True, "stream_options": {"include_usage": True}}
    return {"model": MODEL, "prompt": prompt, "max_tokens": tokens, **usage, **fields}


def raw(url: str, data: bytes) -> socket.socket:
    """A socket on which ``data`` has been sent."""
    address = urlsplit(url)
    assert address.port is not None
    connection = socket.create_connection((address.hostname, address.port), timeout=LIMIT_S)
    connection.sendall(data)
    return connection


def posted(fields: Mapping[str, object]) -> bytes:
    """The bytes of a POST of a completion."""
    body = json.dumps(fields).encode()
    return b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def until(connection: socket.socket, wanted: bytes) -> bytes:
    """Read until ``wanted`` has come; what was read."""
    data = b""
    while wanted not in data:
        piece = connection.recv(65536)
        assert piece, f"the connection ended after {data[-300:]!r}"
        data += piece
    return data


def metrics(url: str) -> dict[str, float]:
    """The Prometheus figures by vLLM's name, without its prefix and the labels."""
    lines = asked(url, "/metrics").body.decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name.partition("{")[0].removeprefix("vllm:"): float(value) for name, value in pairs}


def wait_for(url: str, condition: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """Ask until the condition holds, a few hundred times at most."""
    for _ in range(500):
        told = metrics(url)
        if condition(told):
            return told
        threading.Event().wait(0.01)
    raise AssertionError(told)
