"""A running server becomes a sweep: each concurrency is run by the load client and judged by the metrics. Whatever is
wrong with a point, its failures, its window, the client's own load, ends the sweep with the point's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_precgate.analysis.metrics import Measurement, measure
from pytest_precgate.analysis.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.workload import Workload
from pytest_precgate.engines.endpoint import EndpointSpec
from pytest_precgate.errors import SettingsError
from pytest_precgate.loadgen import Limits, LoadPlan, Progress, Prompts, Target, run_point

OnPoint = Callable[[str, int, Progress | Measurement], None]
"""Told how a point goes: the precision, its concurrency, and how far it is or, at the end, what was measured."""


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


def sweep_endpoint(
    spec: EndpointSpec,
    precision: str,
    workload: Workload,
    hardware: str,
    environ: Mapping[str, str],
    on_point: OnPoint,
) -> Sweep:
    """Run every concurrency of ``spec`` and return the sweep.

    Raises SettingsError for a key that is not in ``environ``, ConnectFailedError when nothing listens,
    InvalidPointError for a point that cannot be believed.
    """
    target = Target(spec.url, spec.model, spec.api, _key(spec, environ))
    points = [_point(spec, target, precision, workload, concurrency, on_point) for concurrency in spec.load.concurrency]
    return Sweep(precision, workload, hardware, points)


def _key(spec: EndpointSpec, environ: Mapping[str, str]) -> str | None:
    if spec.api_key_env is None:
        return None
    if not environ.get(spec.api_key_env):
        raise SettingsError(
            spec.url, "", f"its key is to come from the environment variable {spec.api_key_env}, which is not set"
        )
    return environ[spec.api_key_env]


def _point(
    spec: EndpointSpec, target: Target, precision: str, workload: Workload, concurrency: int, on_point: OnPoint
) -> SweepPoint:
    load = spec.load
    prompts = Prompts(
        workload=workload,
        token_high=load.vocabulary,
        seed=load.seed + concurrency,
        detokenize=None if load.tokenizer is None else TokenizerText(load.tokenizer),
        ignore_eos=load.ignore_eos,
        min_tokens=load.min_tokens,
    )
    plan = LoadPlan(
        prompts=prompts,
        concurrency=concurrency,
        requests=load.requests_per_slot * concurrency,
        warmup="drained" if load.window == "whole" else "handover",
        limits=Limits(request_s=load.request_timeout_s),
    )
    run = run_point(
        target,
        plan,
        processes=min(load.processes, concurrency),
        on_progress=lambda progress: on_point(precision, concurrency, progress),
    )
    measured = measure(run, spec.gpus, load.window, load.max_failures)
    on_point(precision, concurrency, measured)
    return measured.point(spec.configuration)
