"""The interface of every engine, and the three ways in which an engine is measured.

An engine is its settings: a frozen value, read from a precision's table. Reading the settings starts, connects and
reads nothing. ``Engine`` is the common part. A ``SelfSweeping`` engine returns a sweep by itself. An ``Attached``
engine is a running server, a ``Started`` one (``engines.server``) is a server that this tool starts; the load client
sweeps both. Only the module that composes a launch distinguishes the three."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Protocol, TypeVar, runtime_checkable

from pytest_precgate.analysis.accepted.fingerprint import Fact
from pytest_precgate.analysis.cost import Kind
from pytest_precgate.analysis.curves.search import NO_TARGETS, SweepTargets
from pytest_precgate.analysis.curves.sweep import Sweep
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.point import MeasuredPoint
from pytest_precgate.engines.load import LoadSettings, SweepSettings
from pytest_precgate.engines.machine_settings import MachineSettings

Api = Literal["completions", "chat"]
_Engine = TypeVar("_Engine", bound="EngineDefaults")
OnMeasured = Callable[[MeasuredPoint], None]
"""Told of each point once it is measured and believed; what it raises ends the sweep."""


def untold(point: MeasuredPoint) -> None:
    """Do nothing with a point."""


class Engine(Protocol):
    """One configuration of one precision of a suite."""

    @property
    def kind(self) -> str:
        """The word of the setting ``engine``; a baseline of one kind never matches another."""

    @property
    def configuration(self) -> str:
        """The name of the configuration."""

    @property
    def load(self) -> SweepSettings | None:
        """How it is swept; None where its points are there already."""

    @property
    def is_repeatable(self) -> bool:
        """Whether there can be a second launch."""

    @property
    def paid(self) -> Kind | None:
        """What its GPU-seconds are; None where it takes none."""

    @property
    def start_s(self) -> float | None:
        """What the settings say a start takes, in seconds; None where they say nothing."""

    @property
    def starting_gpu_s(self) -> float | None:
        """The same in GPU-seconds."""

    @property
    def calibration_name(self) -> str | None:
        """The calibration that simulates it, as the settings name it."""

    @property
    def machine(self) -> MachineSettings | None:
        """What is asked of this machine while its server is up; None where it starts no server."""

    @property
    def occupies_gpus(self) -> bool:
        """Whether it is a server of this machine that uses GPUs, as far as its settings say."""

    def identity(self) -> Mapping[str, Fact]:
        """Return what must agree with the baseline beyond the kind: the model, and how a point is taken."""

    def facts(self) -> Mapping[str, Fact]:
        """Return what is worth telling when it differs from the baseline: versions, sources, hashes."""

    def as_simulated(self) -> SelfSweeping | None:
        """Return the engine itself where its figures are simulated, else None."""

    def under_ci(self) -> Engine:
        """Return the engine as it is measured under CI."""

    def on_side(self, side: str) -> Engine:
        """Return the engine as it is measured on a ``side`` of pairs."""


@runtime_checkable
class SelfSweeping(Engine, Protocol):
    """An engine that gives its sweep by itself: recorded points, a simulation."""

    def sweep(
        self,
        precision: str,
        workload: Workload,
        hardware: str,
        known: Sequence[MeasuredPoint] = (),
        on_measured: OnMeasured = untold,
        sweep_targets: SweepTargets = NO_TARGETS,
        *,
        launch: int = 1,
    ) -> Sweep:
        """Measure launch number ``launch``; raise a PrecgateError when any point of it cannot be believed.

        ``known`` are points of it that need not be measured again, in the order they were; ``on_measured`` is told of
        every further one. ``sweep_targets`` says what the curve is for, where the engine has a choice of concurrencies.
        """

    def served(self) -> Engine | None:
        """Return the server that stands for it where a test wants to talk to one; None where there is none."""


@runtime_checkable
class Attached(Engine, Protocol):
    """A server that runs already."""

    @property
    def endpoint(self) -> Endpoint:
        """Where it answers, and how it is loaded."""


class EngineDefaults:
    """What holds of an engine that says nothing else."""

    is_repeatable: ClassVar[bool] = True

    @property
    def start_s(self) -> float | None:
        """The settings say nothing of a start."""
        return None

    @property
    def starting_gpu_s(self) -> float | None:
        """The settings say nothing of a start."""
        return None

    @property
    def calibration_name(self) -> str | None:
        """The settings name no calibration."""
        return None

    @property
    def machine(self) -> MachineSettings | None:
        """It starts no server."""
        return None

    @property
    def occupies_gpus(self) -> bool:
        """It starts no server."""
        return False

    def as_simulated(self) -> SelfSweeping | None:
        """It is not simulated."""
        return None

    def under_ci(self: _Engine) -> _Engine:
        """It is measured under CI as elsewhere."""
        return self

    def on_side(self: _Engine, side: str) -> _Engine:  # noqa: ARG002  # a simulation alone depends on it
        """It is measured alike on either side."""
        return self


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
