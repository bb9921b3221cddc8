"""Sweeps a running server: the load client runs each concurrency, and the metrics judge it.

Invariant: an invalid point (failures, window, the client's own load) ends the sweep with an error that names the point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Protocol

from pytest_precgate.address import Address
from pytest_precgate.analysis.curves.search import NO_TARGETS, SweepTargets, follow
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.gpu import is_outside, refusals
from pytest_precgate.analysis.measure.measurement import Measurement
from pytest_precgate.analysis.measure.metrics import measure
from pytest_precgate.analysis.measure.point import MeasuredPoint
from pytest_precgate.analysis.measure.records import PointRun
from pytest_precgate.analysis.measure.tokens import Expected
from pytest_precgate.engines.base import Endpoint
from pytest_precgate.engines.endpoint import require_key
from pytest_precgate.engines.load import LoadSettings
from pytest_precgate.errors import InconclusivePointError, InvalidPointError
from pytest_precgate.hidden import Variables
from pytest_precgate.loadgen import Limits, LoadPlan, Progress, Prompts, Target, run_point
from pytest_precgate.run.counted import counted
from pytest_precgate.run.probe import Wire, probe
from pytest_precgate.run.tokenizer import TokenizerText
from pytest_precgate.servers.hooks import LoadHooks

OnPoint = Callable[[str, int, Progress | Measurement], None]
"""Told how a point goes: the precision, its concurrency, and how far it is or, at the end, what was measured."""


# A key of fewer characters is a placeholder, and its letters stand in other words.
_LEAST_SECRET = 4
TRIES = 3
"""How often a point is run at most, where something outside the engine disturbs it."""


class PointLog(Protocol):
    """Where the points of a launch are kept."""

    def seed(self, concurrency: int) -> str:
        """Return the seed of the next run of a point, which no other run has."""

    def add(self, point: MeasuredPoint) -> None:
        """Keep a point."""

    def tried(self, configuration: str, concurrency: int, cause: str, gpu_seconds: float) -> None:
        """Keep that a point was run and gave nothing."""


@dataclass(frozen=True)
class Loaded:
    """A server under load: what is asked of it, and who is told.

    ``environ`` holds the keys of servers, ``clock`` counts seconds; ``log`` keeps what is measured, ``say`` is told
    when a point is run again. ``metrics`` returns the server's page of counters, None where it shows none. ``hooks`` is
    None for a server this run did not start. ``addresses`` are those that connections are shared over, where the
    server's name stands for several.
    """

    endpoint: Endpoint
    precision: str
    workload: Workload
    environ: Mapping[str, str]
    on_point: OnPoint
    say: Callable[[str], None]
    clock: Callable[[], float]
    log: PointLog
    metrics: Callable[[], str | None]
    hooks: LoadHooks | None = None
    addresses: tuple[Address, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "environ", Variables(self.environ))

    def sweep(
        self, hardware: str, known: Sequence[MeasuredPoint] = (), sweep_targets: SweepTargets = NO_TARGETS
    ) -> Sweep:
        """Run what settings and ``sweep_targets`` ask for beyond ``known`` and return the sweep.

        Raises SettingsError for a key that is not in ``environ``, ConnectFailedError when nothing listens,
        InvalidPointError for a point that cannot be believed, LoadStoppedError when the server is dead.
        """
        endpoint = self.endpoint
        target = Target(
            endpoint.url,
            endpoint.model,
            endpoint.api,
            require_key(endpoint, self.environ),
            ca_file=None if endpoint.ca_file is None else str(endpoint.ca_file),
            api_path=endpoint.path,
            addresses=self.addresses,
        )
        wires: list[Wire] = []

        def measured(concurrency: int) -> SweepPoint:
            wires.extend([] if wires else [self._probed(target)])
            finished = self._point(target, wires, concurrency, sweep_targets)
            self.log.add(finished)  # first: what a person was shown is kept
            self.on_point(self.precision, concurrency, finished.measurement)
            return finished.point

        schedule = endpoint.load.concurrency.schedule(sweep_targets.of(endpoint.configuration, endpoint.gpus))
        points = follow(schedule, measured, [finished.point for finished in known])
        return Sweep(self.precision, self.workload, hardware, points, axis=endpoint.load.axis)

    def _probed(self, target: Target) -> Wire:
        """Ask the server how it tells its tokens. The probe's prompts are those of no point: none has concurrency 0."""
        load = self.endpoint.load
        prompts = _prompts(load, self.workload, f"{self.log.seed(0)}/probe")
        return probe(target, prompts, _limits(load), lambda to, plan: self._loaded(to, plan, 1))

    def _loaded(self, target: Target, plan: LoadPlan, processes: int) -> PointRun:
        """Run a plan, telling how far it is, until it is done or the server is dead."""
        run = run_point(
            target,
            plan,
            processes=processes,
            on_progress=lambda progress: self.on_point(self.precision, plan.concurrency, progress),
            stop=None if self.hooks is None else self.hooks.is_dead,
            cpus=self.endpoint.load.client_cpus,
        )
        return _without_key(run, target.api_key)

    def _point(self, target: Target, wires: list[Wire], concurrency: int, sweep_targets: SweepTargets) -> MeasuredPoint:
        """Run a point until it is undisturbed. Raises InconclusivePointError where it never is.

        Where some requests had to tell their tokens and more must, all of this launch do from then on.
        """
        for number in range(1, TRIES + 1):
            since_s = self.clock()
            try:
                return self._run(target, wires[0], concurrency, sweep_targets)
            except InvalidPointError as exc:
                may_tell_more = exc.is_untold and wires[0].told_one_in > 1
                if not (exc.is_outside or may_tell_more):
                    raise
                gpu_seconds = self.endpoint.gpus * (self.clock() - since_s)
                self.log.tried(self.endpoint.configuration, concurrency, exc.why, gpu_seconds)
                if may_tell_more:
                    wires[0] = replace(wires[0], told_one_in=1)
                if number == TRIES:
                    raise InconclusivePointError(concurrency, f"{exc.why} (run {TRIES} times)") from exc
                self.say(f"{self.precision} {exc}; running it again, {number + 1} of {TRIES}")
        raise AssertionError

    def _run(self, target: Target, wire: Wire, concurrency: int, sweep_targets: SweepTargets) -> MeasuredPoint:
        load, since_s = self.endpoint.load, self.clock()
        hooks, before = self.hooks, self.metrics()
        watch = nullcontext() if hooks is None else hooks.watch()
        with watch:
            run = self._loaded(target, self._plan(wire, concurrency), min(load.processes, concurrency))
        if hooks is not None and not isinstance(watch, nullcontext):
            hooks.keep(concurrency, watch.telemetry)
            if befell := refusals(watch.telemetry):
                raise InvalidPointError(concurrency, "; ".join(befell), is_outside=is_outside(watch.telemetry))
        counts = counted(run, before, self.metrics(), wire.template_tokens, self.endpoint.draft_tokens)
        expected = Expected(
            hidden_tokens=load.hidden_tokens,
            template_tokens=wire.template_tokens,
            cached_share=load.cached_share,
            acceptance_length=load.acceptance_length,
            accepted_before=_accepted_before(sweep_targets.of(self.endpoint.configuration, self.endpoint.gpus)),
        )
        asked = load.stop_rule.point_error
        gpus = self.endpoint.gpus
        measured = measure(run, gpus, load.window, load.max_failures, expected, counts, asked, load.slo)
        measured = replace(measured, axis=load.axis)
        if not isinstance(watch, nullcontext):
            measured = measured.with_power(watch.power_in(measured.window.start_s, measured.window.end_s))
        gpu_seconds = gpus * (self.clock() - since_s)
        return MeasuredPoint(measured, gpu_seconds, self.endpoint.configuration)

    def _plan(self, wire: Wire, concurrency: int) -> LoadPlan:
        load = self.endpoint.load
        return LoadPlan(
            prompts=_prompts(load, self.workload, self.log.seed(concurrency)),
            concurrency=concurrency,
            requests=load.stop_rule.requests(concurrency),
            warmup="drained" if load.window == "whole" else "handover",
            point_error=load.stop_rule.point_error,
            window_limit_s=load.stop_rule.window_limit_s,
            limits=_limits(load),
            telling=wire.telling,
            told_one_in=wire.told_one_in,
        )


def _without_key(run: PointRun, key: str | None) -> PointRun:
    """A server may send the key back in its refusal; what is told of a failure does not hold it."""
    if key is None or len(key) < _LEAST_SECRET:
        return run
    failures = [replace(failure, cause=failure.cause.replace(key, "(the key)")) for failure in run.failures]
    return replace(run, failures=failures)


def _accepted_before(sweep_targets: SweepTargets) -> float | None:
    """The mean acceptance length of the points an earlier sweep had of a configuration; None without any."""
    known = [accepted for point in sweep_targets.earlier if (accepted := point.acceptance_length) is not None]
    return fmean(known) if known else None


def _prompts(load: LoadSettings, workload: Workload, seed: str) -> Prompts:
    return Prompts(
        workload=workload,
        token_high=load.vocabulary,
        seed=f"{load.seed}/{seed}",
        lengths="random" if load.window == "whole" else "even",
        detokenize=None if load.tokenizer is None else TokenizerText(load.tokenizer),
        ignore_eos=load.ignore_eos,
        min_tokens=load.min_tokens,
    )


def _limits(load: LoadSettings) -> Limits:
    return Limits(
        silence_s=load.silence_limit_s,
        request_s=load.request_timeout_s,
        point_s=load.point_limit_s,
        max_failures=load.max_failures,
    )
