"""Keeps a machine quiet for a server: where it runs, what is set of its GPUs, and what else runs there.

Input: the settings of a server, its GPUs, the machine. Output: placement, surroundings, facts, a look at the load.
Invariant: a wish that cannot be met is refused before the server is started, with what there is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pytest_precgate.analysis.accepted.fingerprint import Fact, Fingerprint
from pytest_precgate.analysis.machine.load import HostLoad
from pytest_precgate.analysis.machine.placement import ANYWHERE, Placement, Topology, placement_of
from pytest_precgate.engines.server import ServerSettings
from pytest_precgate.environment.gpu_settings import GpuChange, apply, undoing
from pytest_precgate.environment.host import topology
from pytest_precgate.errors import HostBusyError, InvalidValueError, PreflightError
from pytest_precgate.servers.machine import Machine
from pytest_precgate.servers.process.surroundings import Surroundings


def place(what: str, settings: ServerSettings, devices: Sequence[str], machine: Machine) -> Placement:
    """Return the cores of a server and of its client. Raises PreflightError, GpuDriverError."""
    asked, client = settings.machine, settings.load.client_cpus
    if not (asked.cpus or client or asked.numa is not None):
        return ANYWHERE
    if settings.spans_nodes and (asked.cpus or asked.numa is not None):
        raise PreflightError(
            f"{what}: cpus and numa place processes of this machine, and the server spans several; bind them with the "
            "launcher (srun --cpu-bind, mpirun --bind-to)"
        )
    if settings.spans_nodes:
        require_client(what, client, machine.topology())
        return Placement(client=client)
    try:
        return placement_of(asked.cpus, _nodes(settings, devices, machine), client, machine.topology())
    except InvalidValueError as exc:
        raise PreflightError(f"{what}: {exc}") from exc


def require_client(what: str, cpus: tuple[int, ...], here: Topology | None = None) -> None:
    """Refuse cores of a load client that are not ``here`` or not allowed; its server runs elsewhere.

    ``here`` is asked of the kernel where it is None. Raises PreflightError."""
    try:
        (topology() if here is None else here).require("client_cpus", cpus)
    except InvalidValueError as exc:
        raise PreflightError(f"{what}: {exc}") from exc


def _nodes(settings: ServerSettings, devices: Sequence[str], machine: Machine) -> tuple[int, ...]:
    asked = settings.machine.numa
    if asked is None:
        return ()
    if asked != "gpu":
        return (asked,)
    found = machine.gpu_nodes(devices)
    if not found:
        raise InvalidValueError('numa = "gpu": the server gets no GPU that the driver shows; give the number of a node')
    unknown = [str(gpu) for gpu, node in found.items() if node is None]
    if unknown:
        raise InvalidValueError(
            f'numa = "gpu": the kernel does not tell the node of {", ".join(unknown)} (usual in a virtual machine); '
            "give the number of a node"
        )
    return tuple(sorted({node for node in found.values() if node is not None}))


def changes_of(what: str, settings: ServerSettings, devices: Sequence[str], machine: Machine) -> tuple[GpuChange, ...]:
    """Return what is to be set of the server's GPUs. Raises GpuSettingError, GpuDriverError."""
    asked = settings.machine
    return machine.planned(what, devices, asked.lock_clocks, persistence=asked.persistence) if asked.sets_gpus else ()


def surroundings_of(placement: Placement, changes: Sequence[GpuChange]) -> Surroundings:
    """Return the same for the start of a process."""
    change = partial(apply, tuple(changes)) if changes else lambda: None
    return Surroundings(placement, change, undoing(changes))


def quiet_facts(placement: Placement, changes: Sequence[GpuChange], load: HostLoad | None) -> Fingerprint:
    """Return what was in force at a launch, all of it soft: it explains a drift and identifies nothing."""
    clocks = sorted({change.clock_mhz for change in changes if change.clock_mhz is not None})
    facts: dict[str, Fact] = dict(placement.facts)
    if clocks:
        facts["gpu.locked_clocks"] = f"{', '.join(map(str, clocks))} MHz"
    if load is not None:
        facts["host.load"] = load.fact
    return Fingerprint({}, facts)


def refuse_load(what: str, limit: float | None, load: HostLoad | None) -> None:
    """Raise HostBusyError where other work uses more than ``limit``, or where that cannot be told."""
    if limit is None:
        return
    if load is None:
        raise HostBusyError(
            f"{what}: load_limit = {limit:g}, and the load of its cores cannot be told: /proc/stat does not count them"
        )
    if load.exceeds(limit):
        raise HostBusyError(
            f"{what}: not started: {load}, and load_limit is {limit:.0%}. This is no regression: end that work, give "
            "the server other cores with cpus, or raise load_limit"
        )
