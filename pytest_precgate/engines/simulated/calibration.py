"""Fits the coefficients of the step-time model to recorded points, by least squares on the simulation's own output.

Input: recorded points of one configuration. Output: coefficients, zero or above, and the error of each point. The fit
minimises the logarithms of simulated over recorded figures, so that a percent counts the same at every concurrency:
tpot and throughput of each point, and the curve's throughput at each point's interactivity, which a gate reads."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pytest_precgate.analysis.curves.interpolation import MonotoneCubic
from pytest_precgate.analysis.curves.sweep import SweepPoint
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.measurement import Measurement
from pytest_precgate.analysis.measure.metrics import measure
from pytest_precgate.analysis.measure.stopping import PUBLISHED_PER_SLOT
from pytest_precgate.analysis.measure.window import WindowKind
from pytest_precgate.documents import Node, nearest, strict_json
from pytest_precgate.engines.simulated.model import Limits, StepTime
from pytest_precgate.engines.simulated.scheduler import draw_lengths, simulate
from pytest_precgate.errors import CalibrationError, InvalidValueError
from pytest_precgate.values import TableReader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Starting points of the searches, in the order of magnitude of a 1T mixture-of-experts model on four to eight B200: the
# valley is flat between a large constant with little skew and a small one with much, so both ends are tried.
_STARTS = (
    (4e-3, 4e-2, 5e-9, 5e-6, 5e-2, 1.2),
    (3e-3, 8e-2, 2e-8, 1e-5, 1e-1, 1.8),
)
_SIGNIFICANT_DIGITS = 6


@dataclass(frozen=True)
class Calibration:
    """A step's coefficients and the data of the fit: hardware, GPUs, workload, concurrencies, source."""

    step_time: StepTime
    hardware: str
    gpus: int
    workload: Workload
    concurrency: tuple[int, ...]
    source: str

    def document(self) -> dict[str, object]:
        """Return the calibration as it is written to JSON."""
        return {**asdict(self), "concurrency": list(self.concurrency)}

    @staticmethod
    def read(node: Node) -> Calibration:
        """Read a calibration from JSON; raises CalibrationError naming the location."""
        members = node.fields(_READER.keys)
        with node.building():
            return _READER.read(members)


_READER = TableReader(
    Calibration,
    step_time=TableReader(StepTime, optional=("padded_steps",)).at,
    concurrency=lambda members, name: tuple(entry.integer() for entry in members[name].items()),
)


def shipped() -> dict[str, Calibration]:
    """Return the calibrations of the package, by name."""
    text = resources.files(__package__).joinpath("calibrations.json").read_text(encoding="utf-8")
    root = Node(json.loads(text), "calibrations.json", "$", CalibrationError)
    return {name: Calibration.read(node) for name, node in root.mapping().items()}


def load_calibration(name: str, base: Path) -> Calibration:
    """Return a shipped calibration by name, or read one from a JSON file that `precgate calibrate` wrote."""
    if not name.endswith(".json"):
        known = shipped()
        if name not in known:
            raise CalibrationError(
                name, "", f"no such calibration; {nearest(name, known)}, or the path of a .json file"
            )
        return known[name]
    path = base / name

    def refuse(why: str) -> NoReturn:
        raise CalibrationError(str(path), "", why)

    try:
        document = strict_json(path.read_bytes(), refuse)
    except OSError as exc:
        raise CalibrationError(str(path), "", f"cannot be read: {exc.strerror}") from exc
    except json.JSONDecodeError as exc:
        raise CalibrationError(str(path), "", f"is not JSON: {exc}") from exc
    return Calibration.read(Node(document, str(path), "$", CalibrationError))


def simulated_measurement(
    model: StepTime, workload: Workload, concurrency: int, gpus: int, window: WindowKind = "whole"
) -> Measurement:
    """Simulate one concurrency without noise by the published method, and return its figures."""
    rng = random.Random(concurrency)
    lengths = draw_lengths(PUBLISHED_PER_SLOT * concurrency, workload.isl, workload.osl, workload.range_ratio, rng)
    return measure(simulate(model, Limits(), lengths, concurrency), gpus, window)


def fit(points: Sequence[SweepPoint], workload: Workload, hardware: str, source: str) -> Calibration:
    """Fit a calibration to the recorded points of one configuration, measured the published way.

    Raises InvalidValueError for fewer than three points or points on different numbers of GPUs.
    """
    # scipy takes a third of a second to import, and only a fit needs it.
    from scipy.optimize import least_squares  # noqa: PLC0415

    gpus = {point.gpus for point in points}
    if len(points) < 3 or len(gpus) != 1:
        raise InvalidValueError(
            f"fit: got {len(points)} points on {sorted(gpus)} GPUs, wanted at least three of one configuration"
        )
    (count,) = gpus
    searches = []
    for start in _STARTS:

        def residuals(scales: NDArray[np.float64], /, start: Sequence[float] = start) -> list[float]:
            return errors(_model(scales.tolist(), start), workload, points)

        found = least_squares(  # type: ignore[operator,unused-ignore]  # stubs for Python 3.10 see a module
            residuals, [1.0] * len(start), bounds=(0, math.inf), diff_step=[5e-3] * len(start), xtol=1e-5, ftol=1e-5
        )
        searches.append((float(found.cost), _model(found.x.tolist(), start)))
    concurrency = tuple(sorted(point.concurrency for point in points))
    return Calibration(min(searches, key=itemgetter(0))[1], hardware, count, workload, concurrency, source)


def point_errors(
    model: StepTime, workload: Workload, points: Sequence[SweepPoint]
) -> list[tuple[SweepPoint, float, float]]:
    """Simulate every point; return it with its errors in tpot and in throughput.

    An error is the logarithm of simulated over recorded, so 0.01 is about 1%."""
    found = []
    for point in points:
        simulated = simulated_measurement(model, workload, point.concurrency, point.gpus)
        tpot = math.log(point.interactivity / simulated.interactivity)
        throughput = math.log(simulated.throughput_per_gpu / point.throughput_per_gpu)
        found.append((point, tpot, throughput))
    return found


def errors(model: StepTime, workload: Workload, points: Sequence[SweepPoint]) -> list[float]:
    """Return the three residuals of every point; outside the curve its nearest end is read."""
    found = point_errors(model, workload, points)
    knots = sorted(
        (point.interactivity * math.exp(-tpot), point.throughput_per_gpu * math.exp(throughput))
        for point, tpot, throughput in found
    )
    low, high = knots[0][0], knots[-1][0]
    curve = MonotoneCubic([x for x, _ in knots], [y for _, y in knots], "simulated")
    read = [math.log(curve.at(min(max(p.interactivity, low), high)) / p.throughput_per_gpu) for p in points]
    return [*(tpot for _, tpot, _ in found), *(throughput for _, _, throughput in found), *read]


def _model(scales: Sequence[float], start: Sequence[float]) -> StepTime:
    values = [float(f"{scale * first:.{_SIGNIFICANT_DIGITS}g}") for scale, first in zip(scales, start, strict=True)]
    constant, experts, context, prefill, overhead, skew = values
    return StepTime(constant, experts, context, prefill, overhead, skew)
