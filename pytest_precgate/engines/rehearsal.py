"""Any engine played by the simulated one: the same configurations, concurrencies and windows, a model's figures.

Which model is said by ``calibration``, or is the only one that ships for the hardware and precision."""

from __future__ import annotations

from pathlib import Path

from pytest_precgate.analysis.schedule import Range
from pytest_precgate.documents import nearest
from pytest_precgate.engines.base import EngineSpec
from pytest_precgate.engines.endpoint import EndpointEngine
from pytest_precgate.engines.load import LoadSettings, SweepSettings
from pytest_precgate.engines.server import ServerEngine
from pytest_precgate.engines.simulated.calibration import load_calibration, shipped
from pytest_precgate.engines.simulated.engine import SimulatedSpec
from pytest_precgate.engines.simulated.model import Limits, Noise
from pytest_precgate.errors import CalibrationError


def rehearsal_of(spec: EngineSpec, precision: str, hardware: str, base: Path) -> SimulatedSpec:
    """Return the simulated engine that stands for ``spec``. Raises CalibrationError when no model can be told."""
    if isinstance(spec, SimulatedSpec):
        return spec
    engine, load, configuration, name, start_s = spec.open(), None, "default", None, None
    if isinstance(engine, EndpointEngine):
        load, configuration, name = engine.endpoint.load, engine.endpoint.configuration, engine.calibration
    elif isinstance(engine, ServerEngine):
        settings = engine.settings
        load, configuration, name = settings.load, settings.configuration, settings.calibration
        start_s = settings.start_s
    chosen = _only_shipped(precision, hardware) if name is None else name
    calibration = load_calibration(chosen, base)
    if load is None:
        load = LoadSettings(Range(min(calibration.concurrency), max(calibration.concurrency)))
    return SimulatedSpec(
        name=chosen,
        calibration=calibration,
        configuration=configuration,
        load=SweepSettings(load.concurrency, load.window, load.extent),
        seed=load.seed,
        noise=Noise(),
        limits=Limits(),
        start_s=start_s,
    )


def _only_shipped(precision: str, hardware: str) -> str:
    known = {name: calibration for name, calibration in shipped().items() if calibration.hardware == hardware}
    fitting = [name for name in known if precision in name.split("-")]
    if len(fitting) != 1:
        found = f"{len(fitting)} calibrations ship" if fitting else "no calibration ships"
        raise CalibrationError(
            f"a rehearsal of {precision} on {hardware}",
            "",
            f"{found} for it; name one with calibration, a shipped name or a .json file of `precgate calibrate` "
            f"({nearest('', known)})",
        )
    return fitting[0]
