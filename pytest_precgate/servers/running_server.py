"""A server that answers: where it is loaded, how it is watched, and whether it still runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.origin import UNKNOWN, LaunchOrigin
from pytest_precgate.analysis.machine.placement import ANYWHERE, Placement
from pytest_precgate.analysis.measure.gpu import GpuTelemetry
from pytest_precgate.engines.base import Endpoint
from pytest_precgate.engines.server import Confirmed, ServerSlot
from pytest_precgate.errors import EngineError
from pytest_precgate.servers.gpu_time import Start
from pytest_precgate.servers.hooks import LoadHooks
from pytest_precgate.servers.machine import Machine
from pytest_precgate.servers.process.readiness import require_alive
from pytest_precgate.servers.process.supervised import Process
from pytest_precgate.servers.request import ServerRequest

_LOOK_S = 5.0


@dataclass(frozen=True)
class RunningServer:
    """A server that answers."""

    request: ServerRequest
    slot: ServerSlot
    process: Process
    confirmed: Confirmed
    facts: Fingerprint
    memory_before: Mapping[str, int] | None
    start: Start
    placement: Placement = ANYWHERE
    origin: LaunchOrigin = UNKNOWN

    @property
    def endpoint(self) -> Endpoint:
        """Where it is loaded, and how."""
        settings = self.request.engine.settings
        load = replace(settings.load, client_cpus=self.placement.client)
        return Endpoint(
            url=self.slot.url,
            model=self.confirmed.model,
            gpus=settings.gpus,
            load=load,
            api=settings.api,
            configuration=settings.configuration,
            metrics_path=settings.metrics_path,
            draft_tokens=settings.draft_tokens,
            path=settings.path,
        )

    def hooks(self, machine: Machine) -> LoadHooks:
        """Return how it is watched while it is loaded."""
        return LoadHooks(
            is_dead=lambda: not self.process.is_alive(),
            watch=lambda: machine.watch(self.slot.devices, _Ours(self.process.pids, machine.clock)),
            keep=self._keep,
        )

    def _keep(self, concurrency: int, telemetry: Sequence[GpuTelemetry]) -> None:
        """Write down what was seen of the GPUs while a point ran, beside the server's output."""
        path = self.slot.run_dir / "gpus.log"
        try:
            with path.open("a", encoding="utf-8") as file:
                file.writelines(f"concurrency {concurrency}: {each.line()}\n" for each in telemetry)
        except OSError as exc:
            raise EngineError(f"{path}: what the GPUs did cannot be written down: {exc.strerror}") from exc

    def require_alive(self, clock: Callable[[], float]) -> None:
        """Raise EngineDiedError when it ended before it was told to; nothing of it is left then."""
        try:
            require_alive(self.process, self.request.what, self.request.engine.cause)
        except EngineError:
            self.start.end(clock())
            raise


class _Ours:
    """Whether a process id is the server's. To look at every process of a machine costs: it is done for new ids."""

    def __init__(self, pids: Callable[[], frozenset[int]], clock: Callable[[], float]) -> None:
        self._pids = pids
        self._clock = clock
        self._known: frozenset[int] = frozenset()
        self._looked_s = -_LOOK_S

    def __call__(self, pid: int) -> bool:
        if pid not in self._known and self._clock() - self._looked_s >= _LOOK_S:
            self._known, self._looked_s = self._pids(), self._clock()
        return pid in self._known
