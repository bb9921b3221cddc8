"""Whether a starting server is ready: queried over HTTP, never for longer than its start may take.

``Readiness`` queries once per call; wait_until_ready decides what follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pytest_precgate.engines.server import Network, ServerCommand, ServerSlot
from pytest_precgate.errors import EngineStartError, ReadFailedError
from pytest_precgate.http import JSON_BYTES, Answer
from pytest_precgate.servers.process.supervised import Process
from pytest_precgate.servers.request import ServerRequest

_STRANGER_S = 30.0


@dataclass(frozen=True)
class Until:
    """A network whose questions all end at a time of ``clock``."""

    network: Network
    clock: Callable[[], float]
    until_s: float

    def free_port(self, host: str) -> int:
        """Return a port that is not listened on."""
        return self.network.free_port(host)

    def listens(self, host: str, port: int) -> bool:
        """Whether connections are accepted there."""
        return self.network.listens(host, port)

    def get(self, url: str, total_s: float, most_bytes: int = JSON_BYTES) -> Answer:
        """Return the answer; raise LoadError where there is none in time."""
        left_s = self.until_s - self.clock()
        if left_s <= 0:
            raise ReadFailedError(f"{url}: not asked: the time is over")
        return self.network.get(url, min(total_s, left_s), most_bytes)


@dataclass
class Readiness:
    """Whether the server answers, and it is this one: another program's answer on the port is not taken for its own.

    Behind a scheduler's launcher the server is no process below ours, so it cannot be told there.
    """

    request: ServerRequest
    slot: ServerSlot
    command: ServerCommand
    process: Process
    network: Network
    clock: Callable[[], float]
    stranger_since_s: float | None = None

    def __call__(self) -> bool:
        """Ask once. Raises EngineStartError when another program has been answering for a while."""
        if not self.request.engine.is_ready(self.slot, self.network):
            return False
        if self.command.keeps_scheduler or self.process.listens_on(self.slot.port):
            return True
        if self.stranger_since_s is None:
            self.stranger_since_s = self.clock()
        if self.clock() - self.stranger_since_s > _STRANGER_S:
            raise EngineStartError(
                self.request.what,
                f"port {self.slot.port} answers, and no process of this server listens there: another program took it, "
                "or the command hands the server to another program (a container's daemon): start it there, use "
                "endpoint",
                str(self.process.log),
            )
        return False
