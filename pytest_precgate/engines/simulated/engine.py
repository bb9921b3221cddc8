"""The simulated engine: a calibrated model, swept in virtual time without a GPU. Its figures are marked SIMULATED."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from pytest_precgate.analysis.accepted.fingerprint import Fact
from pytest_precgate.analysis.cost import Kind
from pytest_precgate.analysis.curves.search import NO_TARGETS, SweepTargets, follow
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.lengths import closed_loop_lengths
from pytest_precgate.analysis.measure.metrics import measure
from pytest_precgate.analysis.measure.point import MeasuredPoint
from pytest_precgate.documents import Node
from pytest_precgate.engines.base import EngineDefaults, OnMeasured, untold
from pytest_precgate.engines.load import SWEEP_OPTIONAL, SweepSettings, read_start_s, read_sweep
from pytest_precgate.engines.simulated.calibration import Calibration, load_calibration
from pytest_precgate.engines.simulated.model import Limits, Noise
from pytest_precgate.engines.simulated.scheduler import Lengths, draw_lengths, simulate
from pytest_precgate.engines.simulated.served import ServedSimulation
from pytest_precgate.errors import CalibrationError

_OPTIONAL = (
    *SWEEP_OPTIONAL,
    *("configuration", "seed", "noise", "slowdown", "max_batch", "max_tokens", "start_s"),
)
_NOISE = ("launch_sigma", "step_sigma", "outlier_rate", "outlier_drop")


@dataclass(frozen=True)
class SimulatedEngine(EngineDefaults):
    """Sweeps a model closed-loop at each concurrency; the records go through the same code as real ones.

    ``start_s`` is None when starts are not counted; ``side`` is the name of this side in a comparison of pairs, whose
    launches differ from the other side's."""

    kind: ClassVar[str] = "simulated"
    paid: ClassVar[Kind] = "simulated"

    name: str
    calibration: Calibration
    configuration: str
    load: SweepSettings
    seed: int
    noise: Noise
    limits: Limits
    start_s: float | None = None
    side: str | None = None

    @staticmethod
    def read(table: Node, base: Path) -> SimulatedEngine:
        """Read a precision's table; ``calibration`` is a shipped name or a .json file."""
        members = table.table(required=["engine", "calibration"], optional=_OPTIONAL)
        name = members["calibration"].path()
        try:
            calibration = load_calibration(name, base)
        except CalibrationError as exc:
            members["calibration"].fail(str(exc))
        noise = members["noise"].table(optional=_NOISE) if "noise" in members else {}
        levels = {key: node.number() for key, node in noise.items()}
        if "slowdown" in members:
            levels["slowdown"] = members["slowdown"].number()
        limits = {key: members[key].count() for key in ("max_batch", "max_tokens") if key in members}
        fitted = calibration.concurrency
        load = read_sweep(members, min(fitted), max(fitted))
        with table.building():
            return SimulatedEngine(
                name=name,
                calibration=calibration,
                configuration=members["configuration"].name() if "configuration" in members else "default",
                load=load,
                seed=members["seed"].integer() if "seed" in members else 0,
                noise=Noise(**levels),
                limits=Limits(**limits),
                start_s=read_start_s(members["start_s"]) if "start_s" in members else None,
            )

    @property
    def starting_gpu_s(self) -> float | None:
        """Return the virtual GPU-seconds until a launch is ready; they are part of its cost and of no figure."""
        return None if self.start_s is None else self.calibration.gpus * self.start_s

    def served(self) -> ServedSimulation:
        """Return the server a test can talk to, in real time."""
        return ServedSimulation.of(self.name, self.configuration, self.load, self.calibration, self.limits)

    @property
    def calibration_name(self) -> str:
        """The calibration's name in the settings."""
        return self.name

    def as_simulated(self) -> SimulatedEngine:
        """Return itself."""
        return self

    def on_side(self, side: str) -> SimulatedEngine:
        """Return the engine with different launches: with one seed both sides would draw the same."""
        return replace(self, side=side)

    def identity(self) -> Mapping[str, Fact]:
        """Return the calibration and the window; a baseline with another one does not match."""
        return {"calibration": self.name, "window": self.load.window}

    def facts(self) -> Mapping[str, Fact]:
        """Return the facts whose difference is reported: seed, noise and slowdown."""
        noise = self.noise
        return {
            "noise": f"launch {noise.launch_sigma:g}, step {noise.step_sigma:g}, outliers {noise.outlier_rate:g}"
            + (f" at -{noise.outlier_drop:g}" if noise.outlier_rate else ""),
            "seed": self.seed,
            "slowdown": noise.slowdown,
            **self.load.facts,
        }

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
        """Simulate one launch; raises CalibrationError for another hardware than the calibration's."""
        if hardware != self.calibration.hardware:
            raise CalibrationError(
                self.name, "", f"was fitted on {self.calibration.hardware}, the suite runs on {hardware}"
            )

        def measured(concurrency: int) -> SweepPoint:
            finished = self._point(precision, workload, concurrency, launch)
            on_measured(finished)
            return finished.point

        schedule = self.load.concurrency.schedule(sweep_targets.of(self.configuration, self.calibration.gpus))
        points = follow(schedule, measured, [finished.point for finished in known])
        return Sweep(precision, workload, hardware, points, simulated=True, axis=self.load.axis)

    def _point(self, precision: str, workload: Workload, concurrency: int, launch: int) -> MeasuredPoint:
        sigma, factor = self.noise.step_sigma, self._launch_pace(precision, launch)
        rng = self._random(launch, precision, concurrency)
        requests = self._requests(workload, concurrency, rng)
        pace: Callable[[], float] = lambda: factor  # noqa: E731  # without step noise no random number is drawn
        if sigma:
            pace = lambda: factor * math.exp(rng.gauss(0.0, sigma))  # noqa: E731
        is_enough = self.load.stop_rule.is_enough(concurrency)
        run = simulate(self.calibration.step_time, self.limits, requests, concurrency, pace, is_enough)
        gpu_seconds = self.calibration.gpus * max(record.last_token_s for record in run.records)
        load, gpus = self.load, self.calibration.gpus
        measured = measure(run, gpus, load.window, asked_error=load.stop_rule.point_error, slo=load.slo)
        return MeasuredPoint(replace(measured, axis=load.axis), gpu_seconds, self.configuration)

    def _random(self, launch: int, *about: object) -> random.Random:
        """A generator for each purpose: a further concurrency does not change the others' figures."""
        number = () if launch == 1 else (f"attempt {launch}",)
        side = () if self.side is None else (f"side {self.side}",)
        return random.Random("/".join(map(str, (self.seed, self.configuration, *about, *number, *side))))

    def _launch_pace(self, precision: str, launch: int) -> float:
        """The factor on every step of a launch."""
        noise, rng = self.noise, self._random(launch, precision, "launch")
        pace = math.exp(rng.gauss(0.0, noise.launch_sigma)) * (1.0 + noise.slowdown)
        return pace / (1.0 - noise.outlier_drop) if rng.random() < noise.outlier_rate else pace

    def _requests(self, workload: Workload, concurrency: int, rng: random.Random) -> Iterable[Lengths]:
        """The lengths of a point's requests: random and drawn at once for the whole window, as published."""
        number = self.load.stop_rule.requests(concurrency)
        if number is not None and self.load.window == "whole":
            return draw_lengths(number, workload.isl, workload.osl, workload.range_ratio, rng)
        return itertools.islice(closed_loop_lengths(workload, concurrency, rng.randrange(1 << 20)), number)
