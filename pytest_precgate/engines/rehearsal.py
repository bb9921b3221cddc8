"""Replaces any engine by the simulated one, with the same configurations, concurrencies and windows.

Input: an engine's settings and the hardware. Output: a simulated engine. ``calibration`` names the model; without it
the only calibration that ships for the hardware and precision is used."""

from __future__ import annotations

from pathlib import Path

from pytest_precgate.analysis.curves.search import Range
from pytest_precgate.documents import nearest
from pytest_precgate.engines.base import Engine, SelfSweeping
from pytest_precgate.engines.load import LoadSettings, SweepSettings
from pytest_precgate.engines.simulated.calibration import load_calibration, shipped
from pytest_precgate.engines.simulated.engine import SimulatedEngine
from pytest_precgate.engines.simulated.model import Limits, Noise
from pytest_precgate.errors import CalibrationError


def rehearsal_of(engine: Engine, precision: str, hardware: str, base: Path) -> SelfSweeping:
    """Return the simulated engine for ``engine``. Raises CalibrationError when the model is not determined."""
    simulated = engine.as_simulated()
    if simulated is not None:
        return simulated
    name, load = engine.calibration_name, engine.load
    chosen = _only_shipped(precision, hardware) if name is None else name
    calibration = load_calibration(chosen, base)
    if load is None:
        load = SweepSettings(Range(min(calibration.concurrency), max(calibration.concurrency)))
    return SimulatedEngine(
        name=chosen,
        calibration=calibration,
        configuration=engine.configuration,
        load=SweepSettings(load.concurrency, load.window, load.stop_rule),
        seed=load.seed if isinstance(load, LoadSettings) else 0,
        noise=Noise(),
        limits=Limits(),
        start_s=engine.start_s,
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
