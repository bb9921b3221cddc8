"""Every launch of a run, measured once: a second request returns the same result, or the same failure.

A server that must free its GPUs is swept first when a later test may ask for its sweep, so each precision and
configuration starts once per run. Only this module distinguishes the kinds of engines."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_precgate.analysis.accepted.baseline import Launch
from pytest_precgate.analysis.accepted.fingerprint import Fact, Fingerprint
from pytest_precgate.analysis.cost import SuiteCost, by_kind
from pytest_precgate.analysis.curves.search import NO_TARGETS, SweepTargets
from pytest_precgate.analysis.curves.sweep import Sweep
from pytest_precgate.analysis.machine.cpus import cpus_text
from pytest_precgate.engines.base import Attached, Endpoint, Engine, SelfSweeping
from pytest_precgate.engines.endpoint import require_key
from pytest_precgate.engines.server import Started
from pytest_precgate.errors import EngineError, InvalidPointError, LoadError, PrecgateError, ReplayError, SettingsError
from pytest_precgate.journal.events import LaunchKey, RunOpened
from pytest_precgate.run.running_engine import RunningEngine
from pytest_precgate.run.swept import Swept, merged, missed, not_searched, said_by
from pytest_precgate.servers.gpu_time import Loads, Start, by_suite, costs, started_again
from pytest_precgate.servers.request import ServerRequest, SuiteLaunch
from pytest_precgate.settings import Suite

if TYPE_CHECKING:
    from pytest_precgate.address import Address
    from pytest_precgate.run.journaling import LaunchLog, Record
    from pytest_precgate.run.measuring import OnPoint
    from pytest_precgate.servers.endpoints import Endpoints
    from pytest_precgate.servers.hooks import LoadHooks
    from pytest_precgate.servers.pool import ServerPool
    from pytest_precgate.servers.running_server import RunningServer


@dataclass
class Launches:
    """What one run measures.

    ``root`` is where relative paths start; ``open_record`` gives, before the first measurement, what keeps it and knows
    an earlier run; keys of servers come from ``environ``; ``on_point`` is told how a point goes, ``say`` how an engine.
    ``recorded_launches`` is how many launches a baseline is made of, None for as many as its suite says.
    """

    root: Path
    open_record: Callable[[], Record]
    environ: Mapping[str, str] = field(repr=False)
    on_point: OnPoint
    say: Callable[[str], None]
    recorded_launches: int | None = None
    _swept: dict[SuiteLaunch, Swept | PrecgateError] = field(default_factory=dict)
    _failed: dict[SuiteLaunch, PrecgateError] = field(default_factory=dict)
    _launches: dict[str, dict[tuple[int, str], Launch]] = field(default_factory=dict)
    _suites: dict[str, Suite] = field(default_factory=dict)
    _loads: Loads = field(default_factory=lambda: Loads(time.monotonic))
    _wanted: set[str] = field(default_factory=set)
    _without_gpu: set[str] = field(default_factory=set)
    _sweep_targets: Callable[[Suite, str], SweepTargets] = lambda _suite, _precision: NO_TARGETS
    _unsearched: list[str] = field(default_factory=list)
    _pool: ServerPool | None = None
    _endpoints: Endpoints | None = None
    _record: Record | None = None

    def expect(self, suites: Collection[str], sweep_targets: Callable[[Suite, str], SweepTargets]) -> None:
        """Say which suites' sweeps a test still to come may ask for, and what each precision's is for."""
        self._wanted |= {*suites}
        self._sweep_targets = sweep_targets

    def of(self, suite: Suite, precision: str, number: int = 1) -> Launch:
        """Return a launch of one precision of ``suite``, all configurations in one cloud; each ``number`` is fresh."""
        known, key = self._launches.setdefault(suite.name, {}), (number, precision)
        if key not in known:
            engines = self._engines_of(suite, precision)
            swept = [self._sweep_of(suite, LaunchKey(precision, each, number)) for each in range(len(engines))]
            # Cut to the digits a baseline keeps at once: what is judged and what is recorded are the same figures.
            known[key] = merged(swept).rounded()
        return known[key]

    def measured(self, suite: str) -> Mapping[str, Sequence[Launch]]:
        """Return every launch of a suite measured so far, by precision, the first one first."""
        found: dict[str, list[Launch]] = {}
        for (_, precision), launch in sorted(self._launches.get(suite, {}).items(), key=lambda entry: entry[0]):
            found.setdefault(precision, []).append(launch)
        return found

    def can_repeat(self, suite: Suite, precision: str) -> bool:
        """Whether there can be a second launch: recorded points are what they are."""
        return all(engine.is_repeatable for engine in self._engines_of(suite, precision))

    def recordable(self, suite: Suite, precision: str) -> int:
        """Return how many launches a baseline of this precision is made of: what the suite asks for, or what there is.

        Recorded points are one launch; of a replayed run every one is kept, or as many as were asked for.
        """
        held, wanted = self.held(suite, precision), self.recorded_launches
        if held is not None:
            return max(1, held if wanted is None else min(held, wanted))  # a run that holds none says so when asked
        return (wanted or suite.baseline_launches) if self.can_repeat(suite, precision) else 1

    def unsearched(self, suite: Suite, precision: str, sweep: Sweep, points: Collection[float]) -> set[float]:
        """Return the ``points`` around which ``sweep`` lacks the neighbours that a launch of today looks for."""
        return {
            each
            for engine in self._engines_of(suite, precision)
            for each in missed(engine, SweepTargets(points), sweep)
        }

    def held(self, suite: Suite, precision: str) -> int | None:
        """Return how many launches a replayed run holds; None where launches are measured."""
        record = self._the_record() if self.can_repeat(suite, precision) else None
        return None if record is None else record.replayed(suite, precision)

    def running(self, suite: Suite, precision: str, configuration: str | None) -> RunningEngine:
        """Start an engine of ``suite``, or find it up, and return it.

        Raises SettingsError for several configurations and none named, or no server; ReplayError in a replay."""
        if self._the_record().mode == "replay":
            raise ReplayError(f"suite {suite.name}: a test asks for the {precision} engine; a replay starts nothing")
        self._suites.setdefault(suite.name, suite)
        number, engine = suite.configuration_named(precision, configuration)
        if isinstance(engine, Attached):
            endpoint = engine.endpoint
            return RunningEngine(precision, endpoint.configuration, lambda: endpoint, lambda: None)
        server = engine.served() if isinstance(engine, SelfSweeping) else engine
        if not isinstance(server, Started):
            raise SettingsError(
                f"suite {suite.name}", precision, f"an engine of kind {engine.kind} is no server a test could talk to"
            )
        request = self._request(suite, LaunchKey(precision, number, 1), server)

        def up() -> RunningServer:
            return self._started(suite, request)

        up()
        return RunningEngine(precision, server.settings.configuration, lambda: up().endpoint, up)

    def refuse_clash(self, suite: Suite, precisions: Sequence[str]) -> None:
        """Raise SettingsError when engines of these precisions cannot be up together, as one test wants them."""
        orders = [request for request in self._family(suite) if request.precision in precisions]
        clash = self._the_pool().clash(orders) if orders else None
        if clash is not None:
            gpu, first, second = clash
            raise SettingsError(
                f"suite {suite.name}",
                second.precision,
                f"shares GPU {gpu} with {first.precision}, and one test asks for both engines; they are never up "
                "together. Write two tests, or give each its own GPUs with devices",
            )

    def preflight(self, suite: Suite) -> None:
        """Refuse what could never start or does not answer, before anything is loaded; a resumed run asks no endpoint.

        Raises PreflightError, ConnectFailedError, SettingsError."""
        mode = self._the_record().mode
        for endpoint in self._endpoints_of(suite) if mode != "replay" else ():
            require_key(endpoint, self.environ)
            if endpoint.load.client_cpus:
                from pytest_precgate.servers.quiet import require_client  # noqa: PLC0415  # only where it is asked for

                require_client(f"suite {suite.name}", endpoint.load.client_cpus)
        for request in self._family(suite) if mode != "replay" else ():
            self._the_pool().preflight(request)
        for endpoint in self._endpoints_of(suite) if mode == "measure" else ():
            self._the_endpoints().require(endpoint)

    def origin(self, suite: str) -> RunOpened | None:
        """Return the recorded run that was judged in place of measuring ``suite``; None where it was measured."""
        return None if self._record is None else self._record.origin(suite)

    def kept(self, suite: str) -> str | None:
        """Return the name of the run whose journal holds everything that was measured of ``suite``, else None."""
        return None if self._record is None else self._record.whole(suite)

    def note(self, suite: str, name: str, text: str) -> None:
        """Keep a text beside the suite's journal, where this run writes one. Raises JournalWriteError."""
        if self._record is not None:
            self._record.note(suite, name, text)

    def remarks(self) -> Iterator[str]:
        """Yield what a reader of the verdicts must know of how they were measured, and what went to waste."""
        yield from started_again([] if self._pool is None else self._pool.started)
        yield from self._unsearched
        yield from () if self._endpoints is None else self._endpoints.remarks()
        if self._record is not None:
            yield from self._record.remarks()

    def costs(self) -> tuple[SuiteCost, ...]:
        """Return what each suite of this run cost so far, those that measured nothing left out."""
        started = by_suite([] if self._pool is None else self._pool.started)
        each = [self._cost(suite, started.get(name, [])) for name, suite in self._suites.items()]
        return tuple(cost for cost in each if cost.costs or cost.reused or cost.is_without_gpu or cost.replayed)

    def close(self) -> None:
        """Stop every server. Raises EngineStopError or GpuBusyError when something of one is left."""
        try:
            if self._pool is not None:
                self._pool.close()
        finally:
            if self._record is not None:
                self._record.close()

    def _cost(self, suite: Suite, started: Sequence[Start]) -> SuiteCost:
        record = self._record
        starts = [start for start in started if start.request.engine.settings.occupies_gpus]
        return SuiteCost(
            suite=suite.name,
            hardware=suite.hardware,
            costs=costs(
                [] if record is None else record.costs(suite.name),
                starts,
                self._loads.gpu_s(suite.name),
                time.monotonic(),
            ),
            reused=by_kind([] if record is None else record.reused(suite.name)),
            is_without_gpu=suite.name in self._without_gpu,
            replayed=self.origin(suite.name) is not None,
        )

    # --- one configuration ----------------------------------------------------------------------------------------

    def _engines_of(self, suite: Suite, precision: str) -> tuple[Engine, ...]:
        self._suites.setdefault(suite.name, suite)
        return suite.configurations(precision)

    def _sweep_of(self, suite: Suite, launch: LaunchKey) -> Swept:
        key = SuiteLaunch(suite.name, launch)
        if key not in self._swept:
            try:
                self._swept[key] = self._sweep(suite, launch)
            except PrecgateError as exc:
                self._swept[key] = exc
        found = self._swept[key]
        if isinstance(found, PrecgateError):
            raise found.with_traceback(None)
        return found

    def _sweep(self, suite: Suite, launch: LaunchKey) -> Swept:
        precision, number = launch.precision, launch.launch
        engine = self._engines_of(suite, precision)[launch.configuration]
        if engine.paid is None:
            self._without_gpu.add(suite.name)
        if isinstance(engine, SelfSweeping) and not engine.is_repeatable:  # its files are its record
            sweep = engine.sweep(precision, suite.workload, suite.hardware.name, launch=number)
            return Swept(sweep, engine.kind, engine.identity(), engine.facts(), is_repeatable=False)
        record = self._the_record()
        found = record.finished(suite, launch, lambda: self._facts_before(suite, launch, engine))
        sweep_targets = self._sweep_targets(suite, precision)
        if found is not None:
            swept = Swept.recorded(suite, found)
            self._note_unsearched(f"suite {suite.name}: {launch}", engine, sweep_targets, swept.sweep)
            return swept
        if isinstance(engine, Started):
            return self._sweep_server(suite, self._request(suite, launch, engine))
        if isinstance(engine, Attached):
            return self._sweep_endpoint(suite, launch, engine)
        assert isinstance(engine, SelfSweeping), engine
        facts = said_by(engine)
        log = record.begin(suite, launch, engine, facts, engine.starting_gpu_s)
        known = log.launch.points
        engine.sweep(precision, suite.workload, suite.hardware.name, known, log.add, sweep_targets, launch=number)
        return Swept.recorded(suite, log.finish())  # what is judged is what is kept

    def _sweep_endpoint(self, suite: Suite, launch: LaunchKey, engine: Attached) -> Swept:
        if suite.base_name in self._wanted:
            self.preflight(suite)
        addresses = self._the_endpoints().addresses(engine.endpoint)
        shared: dict[str, Fact] = {"addresses": len(addresses)} if addresses else {}
        if engine.endpoint.load.client_cpus:
            shared["client.cpus"] = cpus_text(engine.endpoint.load.client_cpus)
        facts = said_by(engine) | Fingerprint({}, shared)
        log = self._the_record().begin(suite, launch, engine, facts, None)
        with self._loads.of(suite.name, engine.endpoint.gpus):
            self._load(suite, log, engine.endpoint, addresses=addresses)
        return Swept.recorded(suite, log.finish())

    def _sweep_server(self, suite: Suite, request: ServerRequest) -> Swept:
        up, engine = self._started(suite, request), request.engine
        start = up.start.starting_gpu_s(time.monotonic())
        facts, record = said_by(engine) | up.facts, self._the_record()
        log = record.begin(suite, request.key.launch, engine, facts, start, up.origin)
        try:
            self._load(suite, log, up.endpoint, up.hooks(self._the_pool().machine))
        except (LoadError, InvalidPointError):
            self._the_pool().require_alive(up)
            raise
        return Swept.recorded(suite, log.finish())

    def _load(
        self,
        suite: Suite,
        log: LaunchLog,
        endpoint: Endpoint,
        hooks: LoadHooks | None = None,
        addresses: tuple[Address, ...] = (),
    ) -> None:
        from pytest_precgate.run.measuring import Loaded  # noqa: PLC0415
        from pytest_precgate.servers.endpoints import metrics_page  # noqa: PLC0415  # sockets, only where one is loaded

        key, clock = log.key, time.monotonic
        loaded = Loaded(
            *(endpoint, key.precision, suite.workload, self.environ, self.on_point, self.say, clock, log),
            lambda: metrics_page(endpoint, addresses, self.environ),
            hooks,
            addresses,
        )
        loaded.sweep(suite.hardware.name, log.launch.points, self._sweep_targets(suite, key.precision))

    def _note_unsearched(self, launch: str, engine: Engine, sweep_targets: SweepTargets, sweep: Sweep) -> None:
        """Note what a launch of an earlier run is read at and was not searched for: it will not be measured again."""
        if found := missed(engine, sweep_targets, sweep):
            self._unsearched.append(not_searched(launch, found))

    def _facts_before(self, suite: Suite, launch: LaunchKey, engine: Engine) -> Fingerprint:
        """What can be told of an engine without starting it."""
        if isinstance(engine, Started):
            return said_by(engine) | self._the_pool().preflight(self._request(suite, launch, engine))
        return said_by(engine)

    # --- servers --------------------------------------------------------------------------------------------------

    def _request(self, suite: Suite, launch: LaunchKey, engine: Started) -> ServerRequest:
        return ServerRequest(SuiteLaunch(suite.name, launch), suite.hardware.name, engine)

    def _family(self, suite: Suite) -> list[ServerRequest]:
        return [
            self._request(suite, LaunchKey(precision, number, 1), engine)
            for precision in suite.engines
            for number, engine in enumerate(self._engines_of(suite, precision))
            if isinstance(engine, Started)
        ]

    def _endpoints_of(self, suite: Suite) -> list[Endpoint]:
        engines = [engine for precision in suite.engines for engine in self._engines_of(suite, precision)]
        return [engine.endpoint for engine in engines if isinstance(engine, Attached)]

    def _started(self, suite: Suite, request: ServerRequest) -> RunningServer:
        if request.key in self._failed:
            raise self._failed[request.key].with_traceback(None)
        try:
            # Half an hour of loading for nothing, where the other precision could never have started.
            if suite.base_name in self._wanted:
                self.preflight(suite)
            return self._the_pool().up(request, self._family(suite))
        except EngineError as exc:
            self._failed[request.key] = exc
            raise

    def _evicted(self, up: RunningServer) -> None:
        """Measure a server before it goes, when its sweep is still wanted; a failure waits for who asks."""
        key = up.request.key
        if key.suite in self._wanted and up.process.is_alive() and key not in self._swept:
            try:
                self._sweep_of(self._suites[key.suite], key.launch)
            except PrecgateError:
                return  # kept by _sweep_of, raised when a test asks for the sweep

    def _the_record(self) -> Record:
        if self._record is None:
            self._record = self.open_record()
        return self._record

    def _the_endpoints(self) -> Endpoints:
        if self._endpoints is None:
            from pytest_precgate.servers.endpoints import Endpoints  # noqa: PLC0415  # sockets, only where one is loaded

            self._endpoints = Endpoints(self.say)
        return self._endpoints

    def _the_pool(self) -> ServerPool:
        if self._pool is None:
            from pytest_precgate.servers.pool import pool_here  # noqa: PLC0415  # processes, only where a server starts

            record = self._the_record()
            self._pool = pool_here(self.root, self.environ, record.directory, self.say, self._evicted, record.commit)
        return self._pool
