"""The server side of HTTP/1.1 on one connection: requests in, answers out.

Invariant: for any bytes, reading a request returns a request, None at the end of the connection, or raises
RefusedError; sizes are limited. Writing to a client that has disconnected does nothing."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_precgate.engines.simulated.request_fields import RefusedError

MAX_HEAD_BYTES = 65536
MAX_BODY_BYTES = 64 << 20
_JSON = "application/json"
_GZIP = 31  # zlib's window bits for a gzip header


@dataclass(frozen=True)
class HttpRequest:
    """One request; ``number`` counts those of its connection from 0."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    number: int
    keep_alive: bool


class Connection:
    """One client's connection; ``is_gzipped`` compresses every body, also without a request for it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_gzipped: bool = False) -> None:
        self._reader = reader
        self._writer = writer
        self._is_gzipped = is_gzipped
        self._coder = zlib.compressobj(wbits=_GZIP)
        self._requests = 0
        self._is_chunked = True  # HTTP/1.0 has no chunks: the end of the connection ends a stream

    @property
    def gone(self) -> bool:
        """Whether the client has closed, or the connection broke."""
        return self._writer.is_closing() or self._reader.at_eof()

    async def until_gone(self) -> None:
        """Wait until the client closes; further data from it is dropped."""
        while await self._reader.read(MAX_HEAD_BYTES):
            pass

    async def next_request(self) -> HttpRequest | None:
        """Return the next request, None when the client has closed. After RefusedError the connection must end."""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
            method, path, version, headers = _parsed(head)
            if headers.get("expect", "").lower() == "100-continue":
                self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await self._body(headers)
        except asyncio.IncompleteReadError:
            return None
        except asyncio.LimitOverrunError as exc:
            raise RefusedError("431 Request Header Fields Too Large", "the head of the request is too large") from exc
        self._requests += 1
        self._is_chunked = version != "HTTP/1.0"
        wish = headers.get("connection", "").lower()
        keep_alive = "close" not in wish and (self._is_chunked or "keep-alive" in wish)
        return HttpRequest(method, path, headers, body, self._requests - 1, keep_alive)

    async def _body(self, headers: Mapping[str, str]) -> bytes:
        coding, length = headers.get("transfer-encoding", ""), headers.get("content-length", "0")
        if coding and "content-length" in headers:
            raise RefusedError("400 Bad Request", "Content-Length and Transfer-Encoding in one request")
        if coding:
            return await self._chunked_body(coding)
        if not (length.isascii() and length.isdigit()):
            raise RefusedError("400 Bad Request", f"Content-Length: got {length[:20]!r}, wanted a number of bytes")
        if len(length) > 18 or int(length) > MAX_BODY_BYTES:
            raise _too_large()
        return await self._reader.readexactly(int(length))

    async def _chunked_body(self, coding: str) -> bytes:
        if coding.lower() != "chunked":
            raise RefusedError("501 Not Implemented", f"Transfer-Encoding: got {coding!r}, wanted chunked")
        pieces, left = [], MAX_BODY_BYTES
        while True:
            line = (await self._reader.readuntil(b"\r\n")).partition(b";")[0].strip()
            try:
                size = int(line, 16) if len(line) <= 16 else MAX_BODY_BYTES + 1
            except ValueError:
                size = -1
            if size < 0:
                raise RefusedError("400 Bad Request", "the chunks of the body are broken")
            left -= size
            if left < 0:
                raise _too_large()
            if not size:
                break
            pieces.append((await self._reader.readexactly(size + 2))[:-2])
        while await self._reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return b"".join(pieces)

    def answer(self, status: str, body: bytes, kind: str = _JSON, headers: Mapping[str, str] | None = None) -> None:
        """Send a whole answer of content type ``kind``."""
        self.write(self.message(status, body, kind, headers))

    def message(self, status: str, body: bytes, kind: str = _JSON, headers: Mapping[str, str] | None = None) -> bytes:
        """Return the bytes of a whole answer."""
        if self._is_gzipped:
            coder = zlib.compressobj(wbits=_GZIP)
            body = coder.compress(body) + coder.flush()
        more = {**(headers or {}), "Content-Length": str(len(body))}
        return self._head(status, kind, more) + body

    def refuse(self, refused: RefusedError) -> None:
        """Send an error in OpenAI's shape."""
        code = int(refused.status.split()[0])
        kind = "NotFoundError" if code == 404 else "BadRequestError" if code < 500 else "InternalServerError"
        error = {"message": str(refused), "type": kind, "param": None, "code": code}
        self.answer(refused.status, json.dumps({"error": error}).encode())

    def begin_stream(self) -> None:
        """Send the head of a stream of events."""
        self._coder = zlib.compressobj(wbits=_GZIP)
        framing = {"Transfer-Encoding": "chunked"} if self._is_chunked else {"Connection": "close"}
        self.write(self._head("200 OK", "text/event-stream; charset=utf-8", framing))

    def send(self, data: bytes) -> None:
        """Send a piece of a stream."""
        if self._is_gzipped:
            data = self._coder.compress(data) + self._coder.flush(zlib.Z_SYNC_FLUSH)
        self.write(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)

    def end_stream(self) -> None:
        """Send the end of a stream."""
        if self._is_gzipped:
            data = self._coder.flush()
            self.write(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)
        if self._is_chunked:
            self.write(b"0\r\n\r\n")

    async def drain(self) -> None:
        """Wait until the client has taken most of what was sent."""
        await self._writer.drain()

    def close(self) -> None:
        """End the connection."""
        self._writer.close()

    def reset(self) -> None:
        """End the connection with a reset."""
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def _head(self, status: str, kind: str, headers: Mapping[str, str]) -> bytes:
        coding = {"Content-Encoding": "gzip"} if self._is_gzipped else {}
        lines = {"Content-Type": kind, **coding, **headers}
        return "".join(
            [f"HTTP/1.1 {status}\r\n", *(f"{name}: {value}\r\n" for name, value in lines.items()), "\r\n"]
        ).encode()

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        if not self._writer.is_closing():
            self._writer.write(data)


def _parsed(head: bytes) -> tuple[str, str, str, dict[str, str]]:
    """Return method, path without query, version and headers."""
    first, *lines = head.decode("latin-1").lstrip("\r\n").rstrip("\r\n").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not all(words):
        raise RefusedError("400 Bad Request", "the request line is not METHOD PATH VERSION")
    method, target, version = words
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise RefusedError("505 HTTP Version Not Supported", f"got {version[:20]!r}, wanted HTTP/1.1")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise RefusedError("400 Bad Request", "a header line is not NAME: VALUE")
        headers[name.lower()] = value.strip()
    return method, target.partition("?")[0], version, headers


def _too_large() -> RefusedError:
    return RefusedError("413 Content Too Large", f"the body is larger than {MAX_BODY_BYTES} bytes")
