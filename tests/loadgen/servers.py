"""Stand-in servers on loopback that behave, and misbehave, as told: real sockets, a thread per connection."""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.loadgen.streams import chunked, tokens


@dataclass
class Exchange:
    """One request as the server got it, and the socket to answer on. ``number`` counts over all connections from 0."""

    socket: socket.socket
    number: int
    connection: int
    head: str
    body: dict[str, object]
    server: StandIn

    @property
    def asked(self) -> tuple[int, int]:
        """Input and output tokens the request asks for."""
        prompt, tokens_asked = self.body.get("prompt"), self.body["max_tokens"]
        assert isinstance(tokens_asked, int)
        return len(prompt) if isinstance(prompt, list) else 7, tokens_asked

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> None:
        """The stream that was asked for."""
        prompt, output = self.asked
        self.send(chunked(tokens(output, prompt)))

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Close with a reset instead of an end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.socket.detach())


Behave = Callable[[Exchange], None]


@dataclass
class StandIn:
    """A listening server; ``heard`` are the requests so far, ``ended`` is set when it is being shut down."""

    listener: socket.socket
    behave: Behave
    tls: ssl.SSLContext | None = None
    heard: list[Exchange] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    changed: threading.Condition = field(default_factory=threading.Condition)
    open: int = 0

    @property
    def port(self) -> int:
        port = self.listener.getsockname()[1]
        assert isinstance(port, int)
        return port

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://localhost:{self.port}"

    def wait_for(self, condition: Callable[[], bool]) -> bool:
        """Wait until the condition holds; False when it does not within half a minute."""
        with self.changed:
            return self.changed.wait_for(condition, 30)

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.changed:
                number = len(self.connections)
                self.connections.append(connection)
            threading.Thread(target=self.serve, args=(connection, number), daemon=True).start()

    def serve(self, connection: socket.socket, number: int) -> None:
        with suppress(OSError), connection:
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.count(+1)
            try:
                with connection, connection.makefile("rb") as incoming:
                    while head := b"".join(iter(incoming.readline, b"\r\n") if incoming.peek() else ()).decode():
                        length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
                        body = json.loads(incoming.read(length))
                        with self.changed:
                            exchange = Exchange(connection, len(self.heard), number, head, body, self)
                            self.heard.append(exchange)
                            self.changed.notify_all()
                        self.behave(exchange)
            finally:
                self.count(-1)

    def count(self, by: int) -> None:
        with self.changed:
            self.open += by
            self.changed.notify_all()

    def shut_down(self) -> None:
        self.ended.set()
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def standing_in(
    behave: Behave = Exchange.answer, tls: ssl.SSLContext | None = None, address: tuple[str, int] = ("127.0.0.1", 0)
) -> Iterator[StandIn]:
    """Serve on a free port, or at ``address``, until the block ends."""
    server = StandIn(socket.create_server(address, backlog=512), behave, tls)
    thread = threading.Thread(target=server.accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shut_down()
        thread.join()
