"""The request for a server: which one is wanted."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_precgate.engines.server import Started
from pytest_precgate.journal.events import LaunchKey


@dataclass(frozen=True)
class SuiteLaunch:
    """One launch of one configuration of a suite, among all of a run."""

    suite: str
    launch: LaunchKey

    @property
    def server(self) -> tuple[str, str, int]:
        """What all launches of one server have in common."""
        return self.suite, self.launch.precision, self.launch.configuration


@dataclass(frozen=True)
class ServerRequest:
    """A server of a suite: the settings of ``key``'s configuration, started for ``key``'s launch."""

    key: SuiteLaunch
    hardware: str
    engine: Started

    @property
    def suite(self) -> str:
        """The suite that wants it."""
        return self.key.suite

    @property
    def precision(self) -> str:
        """The precision it serves."""
        return self.key.launch.precision

    @property
    def what(self) -> str:
        """What a message calls it."""
        configuration = self.engine.settings.configuration
        detail = "" if configuration == "default" else f" {configuration}"
        return f"{self.precision}{detail} ({self.engine.kind})"
