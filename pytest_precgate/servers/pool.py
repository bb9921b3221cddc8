"""The servers of one run: each is started once, watched, and stopped with the run, however the run ends.

A suite's GPUs are locked against other runs before its first server starts. When a server needs GPUs that another one
holds, the other one is stopped first, after ``on_evict`` has been called to measure it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_precgate import http
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.machine.load import HostLoad
from pytest_precgate.analysis.machine.placement import Placement
from pytest_precgate.engines.server import Confirmed, HostContext, Network, ServerSlot
from pytest_precgate.environment import unread_gpus, visible_gpus
from pytest_precgate.environment.gpu_settings import GpuChange
from pytest_precgate.errors import (
    EngineStartError,
    EngineStopError,
    GpuBusyError,
    PortInUseError,
    PrecgateError,
)
from pytest_precgate.journal.directory import RunDirectory
from pytest_precgate.servers.gpu_assignment import devices_of, identities
from pytest_precgate.servers.gpu_locks import GpuLocks, directory_of
from pytest_precgate.servers.gpu_time import Start
from pytest_precgate.servers.launch_record import environment_fact, with_variables, write_record
from pytest_precgate.servers.machine import Machine
from pytest_precgate.servers.process.readiness import wait_until_ready
from pytest_precgate.servers.process.supervised import Process, start
from pytest_precgate.servers.quiet import changes_of, place, quiet_facts, refuse_load, surroundings_of
from pytest_precgate.servers.readiness import Readiness, Until
from pytest_precgate.servers.request import ServerRequest, SuiteLaunch
from pytest_precgate.servers.running_server import RunningServer

HOST = "127.0.0.1"
_PORT_ATTEMPTS = 3
_LOCK_WAIT_S = 3600.0  # another job's gate, engines loading included
_PAUSE_S = 0.5
_PORT_CLOSES_S = 30.0
_DYING_S = 2.0
_MEMORY_RETURNS_S = 60.0
_MEMORY_MARGIN = 1 << 30


@dataclass
class ServerPool:
    """Every server of a run.

    ``say`` is told what the person who waits wants to know; ``on_evict`` of a server that is about to make room.
    """

    host: HostContext
    directory: RunDirectory
    locks: GpuLocks
    machine: Machine
    say: Callable[[str], None]
    on_evict: Callable[[RunningServer], None]
    _up: dict[SuiteLaunch, RunningServer] = field(default_factory=dict)
    _left: dict[str, PrecgateError] = field(default_factory=dict)
    _preflown: dict[tuple[str, str, int], Fingerprint] = field(default_factory=dict)
    started: list[Start] = field(default_factory=list)
    """Every start so far, in order, failed ones included."""

    def up(self, request: ServerRequest, family: Collection[ServerRequest]) -> RunningServer:
        """Return the running server of ``request``, starting it first where it is not up.

        ``family`` are all servers of the suite: their GPUs are locked together. Raises PreflightError, GpuBusyError,
        EngineStartError and its kinds; EngineDiedError when it was up and is dead.
        """
        found = self._up.get(request.key)
        if found is not None:
            found.require_alive(self.machine.clock)
            return found
        facts = self.preflight(request)
        mine = self._gpus(request)
        for gpu, error in self._left.items():
            if gpu in mine:
                raise error
        self._hold([gpu for member in family for gpu in self._gpus(member)])
        # Of servers on the CPU too, one launch goes before the next of the same comes: they would share the machine.
        for other in [
            up for up in self._up.values() if set(self._gpus(up.request)) & set(mine) or _is_another_launch(up, request)
        ]:
            self.say(f"stopping {other.request.what} to make room for {request.what}")
            self.on_evict(other)
            self._stop(other)
        return self._start(request, self._devices(request), facts)

    def require_alive(self, up: RunningServer) -> None:
        """Raise EngineDiedError when a server under load has died, or does so now: its requests fail first."""
        self._await(lambda: not up.process.is_alive(), _DYING_S)
        up.require_alive(self.machine.clock)

    def clash(self, orders: Sequence[ServerRequest]) -> tuple[str, ServerRequest, ServerRequest] | None:
        """Return a GPU that engines of two precisions want, and the two; None where all can be up together."""
        taken: dict[str, ServerRequest] = {}
        for request in orders:
            for gpu in self._gpus(request):
                if taken.setdefault(gpu, request).precision != request.precision:
                    return gpu, taken[gpu], request
        return None

    def preflight(self, request: ServerRequest) -> Fingerprint:
        """Return what is known of a server before its start. Raises PreflightError where it cannot work."""
        about = request.key.server
        if about not in self._preflown:
            found = request.engine.preflight(request.precision, request.hardware, self.host)
            self._surrounded(request)
            self._preflown[about] = found
        return self._preflown[about]

    def _surrounded(self, request: ServerRequest) -> tuple[Placement, tuple[GpuChange, ...]]:
        """Where a server runs, and what is set of its GPUs. Raises PreflightError, GpuSettingError."""
        settings, devices = request.engine.settings, self._devices(request)
        placement = place(request.what, settings, devices, self.machine)
        return placement, changes_of(request.what, settings, devices, self.machine)

    def close(self) -> None:
        """Stop every server and give the GPUs back. Raises the first error after all were tried."""
        errors: list[PrecgateError] = []
        try:
            for up in list(self._up.values()):
                try:
                    self._stop(up)
                except PrecgateError as exc:
                    errors.append(exc)
        finally:
            self.locks.release()
        if errors:
            raise errors[0]

    def _devices(self, request: ServerRequest) -> tuple[str, ...]:
        return devices_of(request.engine.settings, self.host.environ, self.host.gpus)

    def _gpus(self, request: ServerRequest) -> tuple[str, ...]:
        return identities(self._devices(request), self.host.gpus)

    def _hold(self, devices: Collection[str]) -> None:
        """Hold all of a suite's GPUs; those of another suite are given back first, its servers stopped."""
        if set(devices) <= self.locks.held:
            return
        for up in [up for up in self._up.values() if up.slot.devices]:
            self.on_evict(up)
            self._stop(up)
        self.locks.take(sorted(set(devices)), _LOCK_WAIT_S, self.say)

    def _start(self, request: ServerRequest, devices: tuple[str, ...], facts: Fingerprint) -> RunningServer:
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            part = f"{request.precision}-{request.engine.settings.configuration}"
            run_dir = self.directory.of(request.suite, part)
            slot = ServerSlot(HOST, self.host.network.free_port(HOST), devices, run_dir)
            try:
                return self._start_once(request, slot, facts)
            except PortInUseError:  # another program took it between our look and the server's bind
                if attempt == _PORT_ATTEMPTS:
                    raise
            except EngineStopError as exc:
                self._left |= dict.fromkeys(self._gpus(request), exc)
                raise
        raise AssertionError

    def _start_once(self, request: ServerRequest, slot: ServerSlot, facts: Fingerprint) -> RunningServer:
        start = Start(request, self.machine.clock())
        self.started.append(start)
        try:
            return self._brought_up(start, slot, facts)
        except BaseException:
            start.end(self.machine.clock())
            raise

    def _brought_up(self, begun: Start, slot: ServerSlot, facts: Fingerprint) -> RunningServer:
        request = begun.request
        engine, settings = request.engine, request.engine.settings
        command = with_variables(engine.command(slot, self.host), settings.variables, slot)
        placement, changes = self._surrounded(request)
        load = self._other_load(request, placement)
        before = self.machine.memory_used(slot.devices)
        log = slot.run_dir / "server.log"
        self.say(f"starting {request.what}, log {log}")
        process = start(
            command,
            log,
            self.host.environ,
            settings.stop_timeout_s,
            keep_scheduler=command.keeps_scheduler,
            keep_open=self.locks.descriptors if slot.devices else (),
            surroundings=surroundings_of(placement, changes),
        )
        wait_until_ready(
            process,
            request.what,
            Readiness(request, slot, command, process, self._until(settings.start_timeout_s), self.machine.clock),
            engine.cause,
            start_timeout_s=settings.start_timeout_s,
            stall_timeout_s=settings.stall_timeout_s,
            clock=self.machine.clock,
            pause=self.machine.pause,
        )
        try:
            confirmed = engine.confirm(slot, self.host.network, process.log_text())
            _refuse(request, confirmed, process)
            facts |= self.machine.facts(slot.devices) | Fingerprint({}, confirmed.facts)
            facts |= environment_fact({**self.host.environ, **command.variables})
            facts |= quiet_facts(placement, changes, load)
            write_record(slot.run_dir / "launch.json", request, command, facts, load)
        except BaseException:
            process.stop()
            raise
        origin = self.machine.origin(slot.devices)
        up = RunningServer(request, slot, process, confirmed, facts, before, begun, placement, origin)
        self._up[request.key] = up
        begun.ready_s = self.machine.clock()
        self.say(f"{request.what} is ready after {begun.ready_s - begun.began_s:.0f} s")
        return up

    def _other_load(self, request: ServerRequest, placement: Placement) -> HostLoad | None:
        """Look what else the machine does before a server starts, and say it. Raises HostBusyError above the limit.

        A server without GPUs of its own, which stands for a simulation, is not measured."""
        if not request.engine.settings.occupies_gpus:
            return None
        load = self.machine.load((*placement.cpus, *placement.client))
        refuse_load(request.what, request.engine.settings.machine.load_limit, load)
        if load is not None and load.is_busy:
            self.say(f"{request.what}: before its start {load}; its figures may scatter (precgate doctor)")
        return load

    def _until(self, limit_s: float) -> Network:
        """Return the network for the next ``limit_s``: no question to a server that starts goes on after it."""
        return Until(self.host.network, self.machine.clock, self.machine.clock() + limit_s)

    def _stop(self, up: RunningServer) -> None:
        """Stop a server. Where something of it stays, nothing more is started on its GPUs."""
        del self._up[up.request.key]
        try:
            self._end(up)
        except PrecgateError as exc:
            self._left |= dict.fromkeys(self._gpus(up.request), exc)
            raise
        finally:
            up.start.end(self.machine.clock())

    def _end(self, up: RunningServer) -> None:
        up.process.stop()
        network, slot = self.host.network, up.slot
        if not self._await(lambda: not network.listens(slot.host, slot.port), _PORT_CLOSES_S):
            raise EngineStopError(f"{up.request.what}: every process is gone and port {slot.port} is still open")
        if not self._await(lambda: self._memory_is_back(up), _MEMORY_RETURNS_S):
            raise GpuBusyError(
                f"{up.request.what}: every process is gone and {_MEMORY_RETURNS_S:.0f} s later the memory of GPU "
                f"{', '.join(slot.devices)} is not back; the next start would fail for want of it. Look with nvidia-smi"
            )

    def _memory_is_back(self, up: RunningServer) -> bool:
        before = up.memory_before
        if before is None:
            return True
        now = self.machine.memory_used(up.slot.devices) or {}
        return all(device in now and now[device] <= used + _MEMORY_MARGIN for device, used in before.items())

    def _await(self, condition: Callable[[], bool], limit_s: float) -> bool:
        until_s = self.machine.clock() + limit_s
        while not condition():
            if self.machine.clock() >= until_s:
                return False
            self.machine.pause(_PAUSE_S)
        return True


def pool_here(
    root: Path,
    environ: Mapping[str, str],
    directory: RunDirectory,
    say: Callable[[str], None],
    on_evict: Callable[[RunningServer], None],
    commit: Callable[[], str],
) -> ServerPool:
    """Return the servers of a run in ``root`` on this machine, none yet; ``directory`` takes what they write.

    ``commit`` says what is tested. Raises GpuDriverError.
    """
    gpus = visible_gpus()
    if (unread := unread_gpus()) is not None:
        say(unread)
    elif gpus is None:
        gpus = ()  # neither a driver nor a device of one
    machine = Machine(commit, environ, gpus)
    locks = directory_of(environ)
    return ServerPool(
        host=HostContext(environ, http, root, gpus),
        directory=directory,
        locks=GpuLocks(locks, f"the run in {root}", machine.clock, machine.pause),
        machine=machine,
        say=say,
        on_evict=on_evict,
    )


def _is_another_launch(up: RunningServer, request: ServerRequest) -> bool:
    return up.request.key.server == request.key.server


def _refuse(request: ServerRequest, confirmed: Confirmed, process: Process) -> None:
    """Refuse a server that says what must not be measured, or that is not the one that was started."""
    if confirmed.refusal is not None:
        raise EngineStartError(request.what, confirmed.refusal, str(process.log))
