"""The public names of pytest-precgate. Each is imported when it is first used, so that pytest starts fast."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_precgate.analysis.accepted.baseline import Baseline
    from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
    from pytest_precgate.analysis.curves.comparison import Comparison, Curve, Reading, Row, compare
    from pytest_precgate.analysis.curves.economics import Hardware
    from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
    from pytest_precgate.analysis.curves.workload import Workload
    from pytest_precgate.analysis.gating.verdict import Verdict
    from pytest_precgate.analysis.measure.records import RequestRecord
    from pytest_precgate.analysis.report import GateReport
    from pytest_precgate.engines.base import Engine
    from pytest_precgate.errors import OutsideSweepError, PrecgateError
    from pytest_precgate.plugin import Precgate

__all__ = [
    "Baseline",
    "Comparison",
    "Curve",
    "Engine",
    "Fingerprint",
    "GateReport",
    "Hardware",
    "OutsideSweepError",
    "Precgate",
    "PrecgateError",
    "Reading",
    "RequestRecord",
    "Row",
    "Sweep",
    "SweepPoint",
    "Verdict",
    "Workload",
    "compare",
]

_HOMES = {
    "Baseline": "analysis.accepted.baseline",
    "Comparison": "analysis.curves.comparison",
    "Curve": "analysis.curves.comparison",
    "Engine": "engines.base",
    "Fingerprint": "analysis.accepted.fingerprint",
    "GateReport": "analysis.report",
    "Hardware": "analysis.curves.economics",
    "Precgate": "plugin",
    "OutsideSweepError": "errors",
    "PrecgateError": "errors",
    "Reading": "analysis.curves.comparison",
    "RequestRecord": "analysis.measure.records",
    "Row": "analysis.curves.comparison",
    "Sweep": "analysis.curves.sweep",
    "SweepPoint": "analysis.curves.sweep",
    "Verdict": "analysis.gating.verdict",
    "Workload": "analysis.curves.workload",
    "compare": "analysis.curves.comparison",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
