"""A running server, as a test sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_precgate.analysis.accepted.fingerprint import Fact
from pytest_precgate.engines.base import Endpoint
from pytest_precgate.faults import Contained

if TYPE_CHECKING:
    from pytest_precgate.servers.running_server import RunningServer


class RunningEngine:
    """A server that is up, as a test sees it. Where it had to make room since, asking for it starts it again."""

    def __init__(
        self, precision: str, configuration: str, ask: Callable[[], Endpoint], up: Callable[[], RunningServer | None]
    ) -> None:
        self.precision = precision
        self.configuration = configuration
        self._ask = ask
        self._up = up

    @property
    def url(self) -> str:
        """Where it answers, ``http://127.0.0.1:PORT``."""
        return self._asked().url

    @property
    def model(self) -> str:
        """The name requests must use."""
        return self._asked().model

    @property
    def log(self) -> Path | None:
        """The file of its output, beginning and end of more than 8 MiB; None for a server this run did not start."""
        up = self._found()
        return None if up is None else up.process.log

    @property
    def facts(self) -> Mapping[str, Fact]:
        """What it said of itself: version, quantization, hashes."""
        up = self._found()
        return {} if up is None else {**up.facts.soft, **up.facts.hard}

    def _asked(self) -> Endpoint:
        with Contained():
            return self._ask()

    def _found(self) -> RunningServer | None:
        with Contained():
            return self._up()

    def __repr__(self) -> str:
        return f"RunningEngine(precision={self.precision!r}, configuration={self.configuration!r})"
