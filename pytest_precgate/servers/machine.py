"""The machine as the server pool sees it: its clock, its GPUs and their driver."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.origin import LaunchOrigin
from pytest_precgate.analysis.machine.load import HostLoad
from pytest_precgate.analysis.machine.placement import Topology
from pytest_precgate.analysis.measure.gpu import Gpu, gpus_named
from pytest_precgate.engines.machine_settings import Clocks
from pytest_precgate.environment import GpuWatch, gpu_facts, host_facts, memory_used, node_name
from pytest_precgate.environment.gpu_settings import GpuChange, planned
from pytest_precgate.environment.gpu_state import gpu_nodes
from pytest_precgate.environment.host import topology
from pytest_precgate.environment.host_load import load_now
from pytest_precgate.errors import GpuSettingError
from pytest_precgate.hidden import Variables


@dataclass(frozen=True)
class Machine:
    """The machine a run happens on. ``gpus`` is None where nothing can tell; ``commit`` says what is tested."""

    commit: Callable[[], str]
    environ: Mapping[str, str]
    gpus: Sequence[Gpu] | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "environ", Variables(self.environ))

    def clock(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def memory_used(self, devices: Sequence[str]) -> Mapping[str, int] | None:
        """Return the bytes in use on each device, None where nothing can tell."""
        return memory_used(devices) if self.gpus else None

    def facts(self, devices: Sequence[str]) -> Fingerprint:
        """Return what is known of the machine and of the devices an engine runs on."""
        gpus = self._named(devices)
        return host_facts(self.commit(), self.environ, runs_on_cpu=not gpus) | gpu_facts(gpus)

    def origin(self, devices: Sequence[str]) -> LaunchOrigin:
        """Return the node and the whole UUIDs of the devices an engine runs on, without a time."""
        return LaunchOrigin(None, node_name(), tuple(gpu.uuid for gpu in self._named(devices)))

    def watch(self, devices: Sequence[str], is_ours: Callable[[int], bool]) -> GpuWatch:
        """Return the watch over the devices of one engine while a point runs; it does nothing without GPUs."""
        return GpuWatch(self._named(devices), is_ours)

    def topology(self) -> Topology:
        """Return the cores and memory nodes, and the cores that this process may use."""
        return topology()

    def gpu_nodes(self, devices: Sequence[str]) -> Mapping[Gpu, int | None]:
        """Return the memory node of each device's GPU, None where nothing can tell."""
        return gpu_nodes(self._named(devices))

    def planned(
        self, what: str, devices: Sequence[str], clocks: Clocks | None, *, persistence: bool
    ) -> tuple[GpuChange, ...]:
        """Return the changes of the devices' GPUs that the settings of ``what`` ask for. Raises GpuSettingError."""
        try:
            return planned(self._named(devices), clocks, persistence=persistence)
        except GpuSettingError as exc:
            raise GpuSettingError(f"{what}: {exc}") from exc

    def load(self, cores: tuple[int, ...]) -> HostLoad | None:
        """Look for half a second at how busy the cores are with other work; all that may be used where none is
        named."""
        return load_now(cores or self.topology().allowed, self.clock, self.pause)

    def _named(self, devices: Collection[str]) -> tuple[Gpu, ...]:
        return gpus_named(tuple(devices), self.gpus) if self.gpus else ()
