"""What a launcher asks of the network, against sockets that behave as a loading server's do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pytest_precgate.errors import ConnectFailedError
from pytest_precgate.loadgen.reach import Reach


@contextmanager
def answering(act: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server on loopback that does ``act`` with its one connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                act(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/health"
        thread.join()


def says(text: str) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(text.encode())


@pytest.mark.parametrize("status", [200, 503])
def test_an_answer_is_its_status_and_body(status: int) -> None:
    """A 503 while loading is an answer like any other."""
    with answering(says(f"HTTP/1.1 {status} Whatever\r\nContent-Length: 2\r\n\r\nhi")) as url:
        assert Reach().get(url, 30) == (status, b"hi")


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(says(""), id="closed"),
        pytest.param(says("not HTTP at all\r\n\r\n"), id="not HTTP"),
        pytest.param(says("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf"), id="cut short"),
    ],
)
def test_half_an_answer_is_none(act: Callable[[socket.socket], None]) -> None:
    """Closed, cut short or not HTTP: nobody has answered yet."""
    with answering(act) as url:
        assert Reach().get(url, 30) is None


def test_a_server_that_says_nothing_is_given_up_after_the_limit() -> None:
    """A port that is accepted and then silent does not hold the launcher."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert Reach().get(f"http://127.0.0.1:{silent.getsockname()[1]}/health", 0.05) is None


def test_a_port_that_is_bound_and_does_not_listen_refuses() -> None:
    """A loading TensorRT-LLM holds its port without listening: that is no answer, and nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        assert Reach().get(f"http://127.0.0.1:{port}/health", 30) is None
        assert not Reach().listens("127.0.0.1", port)
        bound.listen()
        assert Reach().listens("127.0.0.1", port)


def test_a_free_port_can_be_bound() -> None:
    """What is handed out is open for a server to take."""
    port = Reach().free_port("127.0.0.1")
    assert not Reach().listens("127.0.0.1", port)
    with socket.create_server(("127.0.0.1", port)):
        assert Reach().listens("127.0.0.1", port)


def test_a_host_that_is_not_this_machine_has_no_free_port() -> None:
    """The address is named; 192.0.2.1 is nobody's (RFC 5737)."""
    with pytest.raises(ConnectFailedError, match=r"192\.0\.2\.1: no port can be opened there"):
        Reach().free_port("192.0.2.1")
