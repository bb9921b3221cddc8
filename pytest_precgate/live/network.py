"""The network as a starting server sees it: the load client's reach, in the words engines use."""

from __future__ import annotations

from pytest_precgate.engines.server import Answer
from pytest_precgate.loadgen.reach import Reach


class LiveNetwork:
    """The machine's own network; a Network of engines.server."""

    def __init__(self) -> None:
        self._reach = Reach()

    def free_port(self, host: str) -> int:
        """Return a port nobody listens on."""
        return self._reach.free_port(host)

    def listens(self, host: str, port: int) -> bool:
        """Whether somebody accepts connections there."""
        return self._reach.listens(host, port)

    def get(self, url: str, timeout_s: float) -> Answer | None:
        """Return the answer, or None where there was none."""
        said = self._reach.get(url, timeout_s)
        return None if said is None else Answer(*said)
