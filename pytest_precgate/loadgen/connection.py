"""One non-blocking connection: opened, written, read.

Invariant: every error of the operating system and of TLS is translated here, with the phase in which it occurred."""

from __future__ import annotations

import errno
import os
import select
import socket
import ssl
import time
from dataclasses import dataclass

from pytest_precgate.address import Address, Origin
from pytest_precgate.errors import ConnectFailedError, ConnectionResetByPeerError, ReadFailedError, SendFailedError
from pytest_precgate.http import cause, connect_first, tls_context
from pytest_precgate.loadgen.target import Target

# 64 KiB is below the size from which glibc maps and unmaps pages for every read.
_READ = 65536
_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass(frozen=True)
class Route:
    """An address of an origin, and its TLS context."""

    origin: Origin
    address: Address
    tls: ssl.SSLContext | None


def find_routes(target: Target, timeout_s: float, first: int = 0) -> list[Route]:
    """Return the routes for the connections ``first``, ``first + 1``, ... in turn.

    They lead to the addresses of ``target``; without addresses there is one route, to the first address that accepts a
    connection within ``timeout_s``. Raises ConnectFailedError."""
    origin, addresses = target.origin, target.addresses
    tls = tls_context(origin)
    if not addresses:
        address, probe = connect_first(origin, time.monotonic() + timeout_s)
        probe.close()
        addresses = (address,)
    start = first % len(addresses)
    return [Route(origin, address, tls) for address in (*addresses[start:], *addresses[:start])]


class Connection:
    """A connection to ``route``, opening from the moment it is made. Raises ConnectFailedError at once if refused."""

    __slots__ = ("_route", "_socket", "established", "fd", "used")

    def __init__(self, route: Route) -> None:
        self._route = route
        try:
            self._socket = socket.socket(route.address[0], socket.SOCK_STREAM)
        except OSError as exc:
            raise ConnectFailedError(f"{route.origin}: no socket: {cause(exc)}; see `ulimit -n`") from exc
        self.fd = self._socket.fileno()
        self.established = False
        self.used = False  # whether it has carried a whole request: only then the server may have closed it by its age
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = self._socket.connect_ex(route.address[1])
        if code not in (0, errno.EINPROGRESS):
            self._socket.close()
            raise ConnectFailedError(f"{route.origin}: cannot connect: {os.strerror(code)}")

    def establish(self) -> int:
        """Continue opening; return the epoll event to wait for, 0 once established. Raises ConnectFailedError."""
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise ConnectFailedError(f"{self._route.origin}: cannot connect: {os.strerror(code)}")
        tls = self._route.tls
        try:
            if tls is not None:
                if not isinstance(self._socket, ssl.SSLSocket):
                    host = self._route.origin.host
                    self._socket = tls.wrap_socket(self._socket, do_handshake_on_connect=False, server_hostname=host)
                self._socket.do_handshake()
        except ssl.SSLWantReadError:
            return select.EPOLLIN
        except ssl.SSLWantWriteError:
            return select.EPOLLOUT
        except OSError as exc:
            raise ConnectFailedError(f"{self._route.origin}: no TLS connection: {_why_no_tls(exc)}") from exc
        self.established = True
        return 0

    def send(self, data: memoryview) -> int:
        """Send what fits now and return how many bytes went, 0 when none did. Raises SendFailedError."""
        try:
            return self._socket.send(data)
        except _NOT_YET:
            return 0
        except ConnectionError as exc:
            raise ConnectionResetByPeerError(f"sending: {cause(exc)}") from exc
        except OSError as exc:
            raise SendFailedError(f"sending: {cause(exc)}") from exc

    def receive(self) -> bytes | None:
        """Return what has arrived, empty when the server has closed, None when nothing has. Raises ReadFailedError."""
        try:
            return self._socket.recv(_READ)
        except _NOT_YET:
            return None
        except ConnectionError as exc:
            raise ConnectionResetByPeerError(f"reading: {cause(exc)}") from exc
        except OSError as exc:
            raise ReadFailedError(f"reading: {cause(exc)}") from exc

    def has_ended(self) -> bool:
        """Whether the server has closed, or sent data without a request. Over TLS this cannot be detected without
        reading."""
        if isinstance(self._socket, ssl.SSLSocket):
            return False
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except _NOT_YET:
            return False
        except OSError:
            return True
        return True

    @property
    def holds_more(self) -> bool:
        """Whether TLS has decrypted bytes that epoll does not report."""
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def close(self) -> None:
        """Close at once; further data from the server is dropped."""
        self._socket.close()


def _why_no_tls(exc: OSError) -> str:
    if isinstance(exc, ssl.SSLError) and exc.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return "the server does not answer in TLS; does it speak plain HTTP? Then write http:// in url"
    return cause(exc)
