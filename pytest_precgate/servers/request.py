"""Which server is wanted."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_precgate.engines.server import Started

Key = tuple[str, str, int, int]
"""Suite, precision, number of the configuration, number of the launch from 1."""


@dataclass(frozen=True)
class ServerRequest:
    """One configuration, by its number, of one precision of a suite; each ``attempt`` is a start of its own."""

    suite: str
    precision: str
    hardware: str
    number: int
    engine: Started
    attempt: int = 1

    @property
    def key(self) -> Key:
        """What tells it from every other start of a run."""
        return (self.suite, self.precision, self.number, self.attempt)

    @property
    def what(self) -> str:
        """How a message calls it."""
        configuration = self.engine.settings.configuration
        detail = "" if configuration == "default" else f" {configuration}"
        return f"{self.precision}{detail} ({self.engine.kind})"
