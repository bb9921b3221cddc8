"""A running server becomes a sweep: each concurrency is run by the load client and judged by the metrics. Whatever is
wrong with a point, its failures, its window, the client's own load, ends the sweep with the point's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from pytest_precgate.analysis.finished import FinishedPoint
from pytest_precgate.analysis.gpu import GpuTelemetry, refusals
from pytest_precgate.analysis.metrics import Measurement, measure
from pytest_precgate.analysis.schedule import UNAIMED, Aim, follow
from pytest_precgate.analysis.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.workload import Workload
from pytest_precgate.engines.base import Endpoint, OnFinished, untold
from pytest_precgate.engines.load import LoadSettings
from pytest_precgate.environment import GpuWatch
from pytest_precgate.errors import InvalidPointError, SettingsError
from pytest_precgate.loadgen import Limits, LoadPlan, Progress, Prompts, Target, run_point

OnPoint = Callable[[str, int, Progress | Measurement], None]
"""Told how a point goes: the precision, its concurrency, and how far it is or, at the end, what was measured."""


_SEEDS_PER_LAUNCH = 1_000_003  # more than any concurrency or seed anybody sets, so that launches share none


@dataclass(frozen=True)
class TokenizerText:
    """Turns token ids into text with a checkpoint's tokenizer.json. Picklable: each client process loads its own."""

    path: Path

    def __call__(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``. Raises SettingsError when the tokenizers package or the file is missing."""
        try:
            from tokenizers import Tokenizer  # noqa: PLC0415  # an extra, for servers that take no token ids
        except ImportError as exc:
            raise SettingsError(
                "tokenizer", "", "needs the package tokenizers: pip install pytest-precgate[text]"
            ) from exc
        if not self.path.is_file():
            raise SettingsError(str(self.path), "", "is no file; wanted the checkpoint's tokenizer.json")
        return str(Tokenizer.from_file(str(self.path)).decode(list(ids)))


@dataclass(frozen=True)
class Care:
    """How a server of our own is watched under load.

    ``is_dead`` ends a point at once, ``watch`` sees its GPUs, ``keep`` writes down what it saw at a concurrency.
    """

    is_dead: Callable[[], bool]
    watch: Callable[[], GpuWatch]
    keep: Callable[[int, Sequence[GpuTelemetry]], None]


@dataclass(frozen=True)
class Loaded:
    """A server under load: what is asked of it, and who is told.

    ``environ`` holds the keys of servers, ``clock`` counts seconds; ``care`` is None for a server somebody else
    started; ``attempt`` numbers the launch, and each launch asks prompts of its own.
    """

    endpoint: Endpoint
    precision: str
    workload: Workload
    environ: Mapping[str, str]
    on_point: OnPoint
    clock: Callable[[], float]
    care: Care | None = None
    attempt: int = 1

    def sweep(
        self,
        hardware: str,
        known: Sequence[FinishedPoint] = (),
        on_finished: OnFinished = untold,
        aim: Aim = UNAIMED,
    ) -> Sweep:
        """Run what settings and ``aim`` ask for beyond ``known`` and return the sweep; ``on_finished`` is told of each.

        Raises SettingsError for a key that is not in ``environ``, ConnectFailedError when nothing listens,
        InvalidPointError for a point that cannot be believed, LoadStoppedError when the server is dead.
        """
        endpoint = self.endpoint
        target = Target(endpoint.url, endpoint.model, endpoint.api, _key(endpoint, self.environ))

        def measured(concurrency: int) -> SweepPoint:
            finished = self._point(target, concurrency)
            on_finished(finished)  # first: what a person was shown is kept
            self.on_point(self.precision, concurrency, finished.measurement)
            return finished.point

        schedule = endpoint.load.concurrency.schedule(aim.of(endpoint.configuration, endpoint.gpus))
        points = follow(schedule, measured, [finished.point for finished in known])
        return Sweep(self.precision, self.workload, hardware, points)

    def _point(self, target: Target, concurrency: int) -> FinishedPoint:
        load, since_s = self.endpoint.load, self.clock()
        care = self.care
        watch = nullcontext() if care is None else care.watch()
        with watch:
            run = run_point(
                target,
                _plan(load, self.workload, concurrency, self.attempt),
                processes=min(load.processes, concurrency),
                on_progress=lambda progress: self.on_point(self.precision, concurrency, progress),
                stop=None if care is None else care.is_dead,
            )
        if care is not None and not isinstance(watch, nullcontext):
            care.keep(concurrency, watch.telemetry)
            if befell := refusals(watch.telemetry):
                raise InvalidPointError(concurrency, "; ".join(befell))
        asked = load.extent.point_error
        measured = measure(run, self.endpoint.gpus, load.window, load.max_failures, asked)
        gpu_seconds = self.endpoint.gpus * (self.clock() - since_s)
        return FinishedPoint(measured, gpu_seconds, self.endpoint.configuration)


def _plan(load: LoadSettings, workload: Workload, concurrency: int, attempt: int) -> LoadPlan:
    prompts = Prompts(
        workload=workload,
        token_high=load.vocabulary,
        # A server that was not started anew has seen the prompts of the launch before, and may have them in its cache.
        seed=load.seed + concurrency + _SEEDS_PER_LAUNCH * (attempt - 1),
        lengths="random" if load.window == "whole" else "even",
        detokenize=None if load.tokenizer is None else TokenizerText(load.tokenizer),
        ignore_eos=load.ignore_eos,
        min_tokens=load.min_tokens,
    )
    return LoadPlan(
        prompts=prompts,
        concurrency=concurrency,
        requests=load.extent.requests(concurrency),
        warmup="drained" if load.window == "whole" else "handover",
        point_error=load.extent.point_error,
        window_limit_s=load.extent.window_limit_s,
        limits=Limits(request_s=load.request_timeout_s),
    )


def _key(endpoint: Endpoint, environ: Mapping[str, str]) -> str | None:
    if endpoint.api_key_env is None:
        return None
    if not environ.get(endpoint.api_key_env):
        raise SettingsError(
            endpoint.url,
            "",
            f"its key is to come from the environment variable {endpoint.api_key_env}, which is not set",
        )
    return environ[endpoint.api_key_env]
