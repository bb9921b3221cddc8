"""Short queries to a server over HTTP or HTTPS: health, models, version, metrics.

Input: a URL. Output: status and body, or a LoadError that names the URL and the cause. Invariant: every query has a
maximum total time, from the name look-up to the last byte, and a maximum size; a server that is silent, sends a byte
per second, repeats ``100 Continue`` or announces too much ends in a ReadFailedError or ResponseError. Every error of
sockets, TLS and HTTP is translated here. Redirects are not followed and queries are not repeated. The module implements
the Network of engines.server."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from pytest_precgate.address import Address, Origin, split_url
from pytest_precgate.errors import ConnectFailedError, LoadError, ReadFailedError, ResponseError
from pytest_precgate.text import printable

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

JSON_BYTES = 1 << 20
METRICS_BYTES = 16 << 20
_LISTENS_S = 1.0
_CUT_SHORT = "the server closed the connection in the middle of its answer"


@dataclass(frozen=True)
class Answer:
    """The answer of a server to a GET."""

    status: int
    body: bytes = field(repr=False)

    def json(self) -> object:
        """Return the value of the body. Raises ResponseError if it is not JSON, or JSON that cannot be used.

        The latter is JSON nested too deeply, a number of thousands of digits, or half of a surrogate pair."""
        try:
            said: object = json.loads(self.body.decode("utf-8"))
            json.dumps(said, ensure_ascii=False).encode("utf-8")  # refuses lone surrogates, which no report can hold
        except RecursionError:
            raise ResponseError("the answer is JSON nested too deeply") from None
        except UnicodeError:
            raise ResponseError("the answer is JSON with text that is no Unicode") from None
        except (ValueError, OverflowError) as exc:
            why = printable(str(exc))
            raise ResponseError(f"the answer is not JSON ({why}): {printable(self.body) or '(empty)'}") from exc
        return said


def get(
    url: str, total_s: float, most_bytes: int = JSON_BYTES, ca_file: str | None = None, key: str | None = None
) -> Answer:
    """Return the answer to a GET of ``url``, with ``key`` as bearer token; any HTTP status is an answer.

    The whole exchange takes at most ``total_s`` seconds, the body holds at most ``most_bytes``. Raises
    InvalidValueError for a URL that cannot be used, ConnectFailedError, ReadFailedError, or ResponseError for a body
    that is too large and an answer that is not HTTP."""
    import http.client  # noqa: PLC0415  # takes longer to import than the plugin: only where a server is asked

    origin, path = split_url(url, ca_file)
    what, until_s = f"{origin}{path or '/'}", time.monotonic() + total_s
    connection = http.client.HTTPConnection(origin.host, origin.port)
    with _opened(origin, until_s, total_s) as opened:
        try:
            connection.sock = cast(Any, _Timed(opened, until_s))
            connection.putrequest("GET", path or "/", skip_host=True)
            connection.putheader("Host", origin.host_header)
            connection.putheader("Connection", "close")
            if key is not None:
                connection.putheader("Authorization", f"Bearer {key}")
            connection.endheaders()
            response = connection.getresponse()
            body = response.read(most_bytes + 1)
            is_cut = response.length not in (None, 0) and len(body) <= most_bytes
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise _translated(exc, what, total_s) from exc
    if len(body) > most_bytes:
        raise ResponseError(f"{what}: the answer is larger than {most_bytes} bytes")
    if is_cut:
        raise ReadFailedError(f"{what}: {_CUT_SHORT}")
    return Answer(response.status, body)


def free_port(host: str) -> int:
    """Return a free port at ``host``. Raises ConnectFailedError when the host is not this machine."""
    try:
        with socket.create_server((host, 0)) as listener:
            port = listener.getsockname()[1]
    except OSError as exc:
        raise ConnectFailedError(f"{host}: no port can be opened there: {cause(exc)}") from exc
    assert isinstance(port, int)
    return port


def listens(host: str, port: int) -> bool:
    """Whether a program accepts connections at ``host`` and ``port``."""
    try:
        socket.create_connection((host, port), _LISTENS_S).close()
    except OSError:
        return False
    return True


def tls_context(origin: Origin) -> ssl.SSLContext | None:
    """Return the TLS context to connect to ``origin``, None for plain HTTP.

    Raises ConnectFailedError for a ``ca_file`` that cannot be read or holds no certificate. Without one OpenSSL's own
    certificates are trusted, or those of the environment variable SSL_CERT_FILE."""
    if not origin.tls:
        return None
    import ssl  # noqa: PLC0415  # only where a server speaks TLS

    try:
        return ssl.create_default_context(cafile=origin.ca_file)
    except (OSError, ValueError) as exc:
        is_missing = isinstance(exc, FileNotFoundError)
        why = "there is no such file" if is_missing else f"no certificate can be read from it: {cause(exc)}"
        raise ConnectFailedError(f"{origin.ca_file}: {why}; wanted a PEM file of certificates") from exc


def cause(exc: Exception) -> str:
    """Return the cause of a foreign error without parts that differ between requests, so that equal causes are
    counted."""
    message = getattr(exc, "verify_message", None) or getattr(exc, "strerror", None)  # of TLS, of the system
    if isinstance(exc, TimeoutError):
        message = "timed out"
    return printable(str(message or exc) or type(exc).__name__)


def resolve(origin: Origin, until_s: float, ask: Callable[..., Any] = socket.getaddrinfo) -> Sequence[Address]:
    """Return the addresses of ``origin`` in the resolver's order, each once. Raises ConnectFailedError.

    ``ask`` is called like socket.getaddrinfo, in a separate thread, because it has no time limit."""
    found: list[Any] = []

    def look_up() -> None:
        try:
            found.append(ask(origin.host, origin.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as exc:
            found.append(exc)

    thread = threading.Thread(target=look_up, name="precgate-resolver", daemon=True)
    thread.start()
    thread.join(max(0.0, until_s - time.monotonic()))
    if not found:
        raise ConnectFailedError(f"{origin}: the name was not resolved in time")
    if isinstance(found[0], Exception):
        raise ConnectFailedError(f"{origin}: the name cannot be resolved: {cause(found[0])}") from found[0]
    return list(dict.fromkeys((int(family), tuple(address)) for family, _, _, _, address in found[0]))


def connect(origin: Origin, address: Address, until_s: float) -> socket.socket:
    """Return a socket connected to one address of ``origin`` by ``until_s``. Raises ConnectFailedError."""
    family, where = address
    opened = None
    try:
        opened = socket.socket(family, socket.SOCK_STREAM)
        opened.settimeout(_left(until_s))
        opened.connect(where)
    except OSError as exc:
        if opened is not None:
            opened.close()
        raise ConnectFailedError(f"{origin}: cannot connect: {cause(exc)}") from exc
    return opened


def connect_first(origin: Origin, until_s: float) -> tuple[Address, socket.socket]:
    """Return the first address of ``origin`` that accepts a connection, and the connection.

    Each gets its share of the remaining time. Raises ConnectFailedError, of the last address if none accepts."""
    addresses = resolve(origin, until_s)
    refused: LoadError | None = None
    for number, address in enumerate(addresses):
        try:
            return address, connect(origin, address, share_of(until_s, len(addresses) - number))
        except LoadError as exc:
            refused = exc
    raise ConnectFailedError(
        f"{refused or f'{origin}: the name has no address'}; is the server up and the URL right?"
    ) from refused


def share_of(until_s: float, parts: int) -> float:
    """Return when the first of ``parts`` equal parts of the time until ``until_s`` ends."""
    now_s = time.monotonic()
    return now_s + (until_s - now_s) / parts


def _opened(origin: Origin, until_s: float, total_s: float) -> socket.socket:
    """Return a connection to the first address that accepts one, TLS included."""
    tls = tls_context(origin)
    _, opened = connect_first(origin, until_s)
    if tls is None:
        return opened
    try:
        opened.settimeout(_left(until_s))
        return tls.wrap_socket(opened, server_hostname=origin.host)
    except (OSError, ValueError) as exc:
        opened.close()
        raise ConnectFailedError(f"{origin}: no TLS connection: {cause(exc)} (within {total_s:g} s)") from exc


def _left(until_s: float) -> float:
    left_s = until_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _translated(exc: Exception, what: str, total_s: float) -> LoadError:
    from http.client import IncompleteRead  # noqa: PLC0415  # loaded where the error comes from

    if isinstance(exc, TimeoutError):
        return ReadFailedError(f"{what}: no whole answer within {total_s:g} s")
    if isinstance(exc, IncompleteRead):
        return ReadFailedError(f"{what}: {_CUT_SHORT}")
    if isinstance(exc, OSError):
        return ReadFailedError(f"{what}: no whole answer: {cause(exc)}")
    return ResponseError(f"{what}: the answer is not HTTP: {type(exc).__name__}: {printable(str(exc))}")


class _Timed(io.RawIOBase):
    """A socket as http.client uses one, each operation of which ends at ``until_s``; its opener closes it."""

    def __init__(self, opened: socket.socket, until_s: float) -> None:
        self._opened = opened
        self._until_s = until_s

    def close(self) -> None:
        """Leave the socket open: http.client closes its own once it has the head, and still reads the body."""

    def sendall(self, data: bytes) -> None:
        """Send all of ``data``."""
        self._opened.settimeout(_left(self._until_s))
        self._opened.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the reader of an answer."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Return that it can be read from."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the received bytes."""
        self._opened.settimeout(_left(self._until_s))
        return self._opened.recv_into(buffer)
