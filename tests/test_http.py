"""Short questions to a server, against sockets that behave as loading, broken and hostile servers do."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pytest_precgate import http
from pytest_precgate.address import Origin
from pytest_precgate.errors import ConnectFailedError, InvalidValueError, LoadError, ReadFailedError, ResponseError
from pytest_precgate.http import Answer

CERTIFICATE = Path(__file__).parent / "loadgen" / "localhost.pem"
SHORT_S = 0.3
PATIENT_S = 30.0  # for answers that must come: a busy machine decides nothing


class Peer:
    """A server's side of one connection. What it sends ends when the client is gone, or the test is over."""

    def __init__(self, connection: socket.socket, over: threading.Event, request: bytes) -> None:
        self.connection = connection
        self.over = over
        self.request = request

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def repeat(self, data: bytes, pause_s: float = 0.0) -> None:
        """Send ``data`` again and again."""
        with suppress(OSError):
            while not self.over.wait(pause_s):
                self.send(data)


@contextmanager
def answering(act: Callable[[Peer], None], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server on loopback that does ``act`` with its one connection; yields its address without a path."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                plain, _ = listener.accept()
                with plain, tls.wrap_socket(plain, server_side=True) if tls else plain as connection:
                    act(Peer(connection, over, connection.recv(1 << 16)))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://localhost:{listener.getsockname()[1]}"
        finally:
            over.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENT_S)


def says(text: str) -> Callable[[Peer], None]:
    return lambda peer: peer.send(text.encode())


def within(limit_s: float, ask: Callable[[], object]) -> None:
    """Do it, and find that it took no longer than a limit that many times longer would still not be a hang."""
    began_s = time.monotonic()
    ask()
    assert time.monotonic() - began_s < limit_s


@pytest.mark.parametrize("status", [200, 307, 404, 503])
def test_an_answer_is_its_status_and_body(status: int) -> None:
    """A 503 while loading is an answer like any other, and a redirect is not followed."""
    with answering(says(f"HTTP/1.1 {status} Whatever\r\nContent-Length: 2\r\nLocation: /x\r\n\r\nhi")) as url:
        assert http.get(f"{url}/health", PATIENT_S) == Answer(status, b"hi")


@pytest.mark.parametrize(("key", "status"), [("sk-1", 200), (None, 401)])
def test_a_key_is_sent_where_there_is_one(key: str | None, status: int) -> None:
    """As a bearer's, to the server of the URL alone."""

    def guarded(peer: Peer) -> None:
        known = b"\r\nAuthorization: Bearer sk-1\r\n" in peer.request
        peer.send(f"HTTP/1.1 {200 if known else 401} X\r\nContent-Length: 0\r\n\r\n".encode())

    with answering(guarded) as url:
        assert http.get(f"{url}/metrics", PATIENT_S, key=key).status == status


@pytest.mark.parametrize(
    "text",
    [
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nhi",
    ],
    ids=["100 first", "chunked", "until it closes"],
)
def test_a_body_is_read_with_any_framing(text: str) -> None:
    """By its length, in chunks, until the connection closes."""
    with answering(says(text)) as url:
        assert http.get(url, PATIENT_S) == Answer(200, b"hi")


@pytest.mark.parametrize(
    ("text", "error", "why"),
    [
        ("", ReadFailedError, "no whole answer"),
        ("not HTTP at all\r\n\r\n", ResponseError, "is not HTTP"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf", ReadFailedError, "in the middle"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf", ReadFailedError, "in the middle"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nwhat\r\n", ReadFailedError, "in the middle"),
        ("HTTP/1.1 2\u00e00 OK\r\n\r\n", ResponseError, "is not HTTP"),
        ("HTTP/1.1 200 OK\r\n" + "X: y\r\n" * 200 + "\r\n", ResponseError, "is not HTTP"),
        ("HTTP/1.1 200 " + "x" * 70000, ResponseError, "is not HTTP"),
    ],
    ids=["closed", "not HTTP", "cut short", "chunk cut short", "no chunk", "no status", "many headers", "long line"],
)
def test_half_an_answer_is_none(text: str, error: type[LoadError], why: str) -> None:
    """Closed, cut short or not HTTP: named with the URL, and by its cause."""
    with answering(says(text)) as url, pytest.raises(error, match=rf"^{url}/health: .*{why}"):
        http.get(f"{url}/health", PATIENT_S)


def silent(peer: Peer) -> None:
    peer.over.wait(PATIENT_S)


def dribbled(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
    peer.repeat(b"x", 0.02)


def dribbled_head(peer: Peer) -> None:
    peer.repeat(b"H", 0.02)


def endless_continue(peer: Peer) -> None:
    peer.repeat(b"HTTP/1.1 100 Continue\r\n\r\n")


def endless_trailer(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
    peer.repeat(b"x: y\r\n")


@pytest.mark.parametrize("act", [silent, dribbled, dribbled_head, endless_continue, endless_trailer])
def test_an_answer_that_does_not_end_is_given_up_in_time(act: Callable[[Peer], None]) -> None:
    """The limit is of the whole exchange: bytes that keep coming do not extend it. Python 3.14 counts lines before."""
    ended = r"no whole answer within 0\.3 s|the answer is not HTTP: .*got more than 100"
    with answering(act) as url, pytest.raises((ReadFailedError, ResponseError), match=ended):
        within(PATIENT_S, lambda: http.get(url, SHORT_S))


def endless(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
    peer.repeat(b"x" * 65536)


def endless_chunk(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n")
    peer.repeat(b"x" * 65536)


def huge(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
    peer.repeat(b"x" * 65536)


@pytest.mark.parametrize("act", [endless, endless_chunk, huge])
def test_an_answer_that_is_too_large_is_refused(act: Callable[[Peer], None]) -> None:
    """Endless, or announced as a terabyte: no more than the limit is ever read."""
    with answering(act) as url, pytest.raises(ResponseError, match="is larger than 1048576 bytes"):
        http.get(url, PATIENT_S)
    with answering(act) as url, pytest.raises(ResponseError, match="is larger than 10 bytes"):
        http.get(url, PATIENT_S, most_bytes=10)


def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def test_https_is_asked_with_the_certificates_of_a_file() -> None:
    """Trusted with ``ca_file``; refused without it, with OpenSSL's own words."""
    answer = says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    with answering(answer, tls()) as url:
        assert http.get(url, PATIENT_S, ca_file=str(CERTIFICATE)) == Answer(200, b"hi")
    with answering(answer, tls()) as url, pytest.raises(ConnectFailedError, match=r"no TLS connection: self.signed"):
        http.get(url, PATIENT_S)


def test_a_plain_port_asked_over_tls_is_given_up_in_time() -> None:
    """One that answers something else is no TLS, and one that is silent ends with the total time."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(ConnectFailedError, match="no TLS connection: timed out"):
            within(PATIENT_S, lambda: http.get(url, 10 * SHORT_S))  # its threads and connection take a part
    with answering(says("HTTP/1.1 400 Bad Request\r\n\r\n")) as plain:
        url = plain.replace("http:", "https:")
        with pytest.raises(ConnectFailedError, match="no TLS connection"):
            http.get(url, PATIENT_S)


def test_a_name_that_is_not_resolved_in_time_is_given_up() -> None:
    """The system's look-up knows no limit; here it has one."""
    over = threading.Event()
    try:
        with pytest.raises(ConnectFailedError, match="http://h:1: the name was not resolved in time"):
            http.resolve(Origin("h", 1), time.monotonic() + 0.05, lambda *_, **__: over.wait(PATIENT_S))
    finally:
        over.set()


def test_a_name_that_cannot_be_resolved_is_said() -> None:
    """Also one that Python refuses before it asks: a label has 63 characters at most."""
    with pytest.raises(ConnectFailedError, match="the name cannot be resolved"):
        http.get(f"http://{'a' * 70}/health", PATIENT_S)


@pytest.mark.parametrize(
    "url",
    ["localhost:8000", "ftp://h", "http://", "http://h:x", "http://u:hunter2@h", "http://h?k=hunter2", "http://h:0"],
)
def test_a_url_that_cannot_be_used_is_not_repeated(url: str) -> None:
    """What may hold a secret is refused without showing it."""
    with pytest.raises(InvalidValueError) as refused:
        http.get(url, PATIENT_S)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "is not JSON"),
        (b"", "empty"),
        (b"[" * 200_000 + b"]" * 200_000, "nested too deeply"),
        (b'{"id": "\\ud800"}', "no Unicode"),
        (b'{"id": "\xff"}', "no Unicode"),
        (b"\x1b[2J", r"\\x1b\[2J"),
    ],
)
def test_json_that_cannot_be_worked_with_is_a_named_failure(body: bytes, why: str) -> None:
    """No traceback of a parser."""
    with pytest.raises(ResponseError, match=why):
        Answer(200, body).json()


def test_a_number_of_thousands_of_digits_is_no_traceback() -> None:
    """Python refuses to read it, but for the oldest releases of 3.10."""
    with suppress(ResponseError):
        assert isinstance(Answer(200, b"1" * 5000).json(), int)


def test_a_port_that_is_bound_and_does_not_listen_refuses() -> None:
    """A loading TensorRT-LLM holds its port without listening: there is no answer."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with pytest.raises(ConnectFailedError, match="cannot connect: Connection refused"):
            http.get(f"http://127.0.0.1:{port}/health", PATIENT_S)
        assert not http.listens("127.0.0.1", port)
        bound.listen()
        assert http.listens("127.0.0.1", port)


def test_a_free_port_can_be_bound() -> None:
    """What is handed out is open for a server to take."""
    port = http.free_port("127.0.0.1")
    assert not http.listens("127.0.0.1", port)
    with socket.create_server(("127.0.0.1", port)):
        assert http.listens("127.0.0.1", port)


def test_a_host_that_is_not_this_machine_has_no_free_port() -> None:
    """The error names the address; 192.0.2.1 is unassigned (RFC 5737)."""
    with pytest.raises(ConnectFailedError, match=r"192\.0\.2\.1: no port can be opened there"):
        http.free_port("192.0.2.1")
