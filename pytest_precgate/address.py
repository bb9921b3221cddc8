"""Parses URLs and paths of the settings into the parts that a connection and a request need.

Input: text. Output: frozen values, or an error that names the key. Invariant: an error never repeats the URL, which may
hold a password or a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pytest_precgate.errors import InvalidValueError

Address = tuple[int, tuple[Any, ...]]
"""An address family, and an address of it as the socket module represents it: host and port first."""

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Origin:
    """Host and port to connect to, and whether over TLS; with ``ca_file`` only its certificates are trusted."""

    host: str
    port: int
    tls: bool = False
    ca_file: str | None = None

    @property
    def host_header(self) -> str:
        """The value of the header ``Host``."""
        return self._bracketed + ("" if self.port == _PORTS[self._scheme] else f":{self.port}")

    def __str__(self) -> str:
        return f"{self._scheme}://{self._bracketed}:{self.port}"

    @property
    def _scheme(self) -> str:
        return "https" if self.tls else "http"

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def split_url(url: str, ca_file: str | None = None) -> tuple[Origin, str]:
    """Return the origin of ``url``, and its path without a slash at the end.

    Raises InvalidValueError unless it is a plain http or https URL; user names, passwords and queries are refused."""
    if "@" in url:
        raise InvalidValueError(
            "holds a user name or a password (it is not shown); wanted http://host:port. A key comes from an "
            "environment variable, which api_key_env names"
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # its message would repeat a part of the URL
        raise InvalidValueError("host or port cannot be read; wanted http://host:port or https://host:port") from None
    if parts.scheme not in _PORTS or not host or port == 0:
        raise InvalidValueError("wanted http://host:port or https://host:port, and a path if the API is below one")
    if parts.query or parts.fragment:
        raise InvalidValueError("holds a query or a fragment (? or #), which no request would send; leave it out")
    if not _is_plain(url):
        raise InvalidValueError("holds a blank or another character no URL holds; write those as %20")
    is_tls = parts.scheme == "https"
    return Origin(host, port or _PORTS[parts.scheme], is_tls, ca_file), parts.path.rstrip("/")


def check_path(path: str) -> None:
    """Raise InvalidValueError unless ``path`` is a path for requests: ``/v3/completions``."""
    if not path.startswith("/") or not _is_plain(path) or "?" in path or "#" in path:
        raise InvalidValueError('wanted a path of the server that begins with "/", like /v3/completions, no query')


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
