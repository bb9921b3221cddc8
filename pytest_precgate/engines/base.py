"""What every engine offers the gatekeeper: facts for a fingerprint, and a sweep or an endpoint to load."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pytest_precgate.analysis.fingerprint import Fact
from pytest_precgate.analysis.finished import FinishedPoint
from pytest_precgate.analysis.schedule import UNAIMED, Aim
from pytest_precgate.analysis.sweep import Sweep
from pytest_precgate.analysis.workload import Workload
from pytest_precgate.engines.load import LoadSettings

Api = Literal["completions", "chat"]
OnFinished = Callable[[FinishedPoint], None]
"""Told of each point once it is measured and believed; what it raises ends the sweep."""


def untold(point: FinishedPoint) -> None:
    """Tell nobody."""


class Engine(Protocol):
    """One precision of one suite, ready to be measured."""

    @property
    def kind(self) -> str:
        """The word of the setting ``engine``; a baseline of one kind never matches another."""
        ...

    def identity(self) -> Mapping[str, Fact]:
        """Return what must agree with the baseline beyond the kind: the model, and how a point is taken."""
        ...

    def facts(self) -> Mapping[str, Fact]:
        """Return what is worth telling when it differs from the baseline: versions, sources, hashes."""
        ...

    def fresh(self, attempt: int) -> Engine:
        """Return the engine of launch number ``attempt``, from 1; raise InvalidValueError where there is none."""
        ...

    def sweep(
        self,
        precision: str,
        workload: Workload,
        hardware: str,
        known: Sequence[FinishedPoint] = (),
        on_finished: OnFinished = untold,
        aim: Aim = UNAIMED,
    ) -> Sweep:
        """Measure one launch; raise a PrecgateError when any point of it cannot be believed.

        ``known`` are points of it that need not be measured again, in the order they were; ``on_finished`` is told of
        every further one. ``aim`` says what the curve is for, where the engine has a choice of concurrencies.
        """
        ...


class EngineSpec(Protocol):
    """The settings of one engine, validated, with nothing started."""

    def open(self) -> Engine:
        """Return the engine these settings describe."""
        ...


@dataclass(frozen=True)
class Endpoint:
    """A server that answers: where, as what model, on how many GPUs, and how it is to be loaded.

    ``metrics_path`` is where it shows its counters as Prometheus text, if it does. ``draft_tokens`` is how many tokens
    a draft of its speculation has, None where that is not known.
    ``path`` is what requests are posted to, the API's own below ``url`` where it is None. ``ca_file`` holds the
    certificates that are trusted, those of the system where it is None.
    """

    url: str
    model: str
    gpus: int
    load: LoadSettings
    api: Api = "completions"
    api_key_env: str | None = None
    configuration: str = "default"
    metrics_path: str = "/metrics"
    draft_tokens: int | None = None
    path: str | None = None
    ca_file: Path | None = None
