"""What a launcher asks of the network: a free port, whether somebody listens, and one GET with a time limit.

No answer is an answer here: a server that loads refuses, resets, or accepts and says nothing."""

from __future__ import annotations

import http.client
import socket
from urllib.parse import urlsplit

from pytest_precgate.errors import ConnectFailedError

_CONNECT_S = 1.0


class Reach:
    """The network as the operating system gives it."""

    def free_port(self, host: str) -> int:
        """Return a port nobody listens on at ``host``. Raises ConnectFailedError when the host is not this machine."""
        try:
            with socket.create_server((host, 0)) as listener:
                port = listener.getsockname()[1]
        except OSError as exc:
            raise ConnectFailedError(f"{host}: no port can be opened there: {exc.strerror or exc}") from exc
        assert isinstance(port, int)
        return port

    def listens(self, host: str, port: int) -> bool:
        """Whether somebody accepts connections at ``host`` and ``port``."""
        try:
            socket.create_connection((host, port), _CONNECT_S).close()
        except OSError:
            return False
        return True

    def get(self, url: str, timeout_s: float) -> tuple[int, bytes] | None:
        """Return status and body, or None when no whole answer came within ``timeout_s`` between two reads."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)
        try:
            connection.request("GET", parts.path or "/")
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
