"""The recorded Kimi sweeps as an accepted state: two gates of one test, on B200."""

from __future__ import annotations

from dataclasses import replace

from pytest_precgate.analysis.accepted.baseline import Baseline, Launch, Provenance, RecordedGate
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.analysis.curves.sweep import Sweep
from pytest_precgate.analysis.gating.gates import GateKey, Metric
from tests.published import kimi

B200 = HARDWARE["b200"]
TEST = "tests/test_kimi.py::test_fp4_pays_off"
RECORDED = Provenance("abc123", "2026-11-24T06:00:00Z", "0.1.0", "first")
RATIO = GateKey(Metric.THROUGHPUT_RATIO, ("fp4", "int4"), 55)
FP4 = GateKey(Metric.THROUGHPUT_PER_GPU, ("fp4",), 55)


def launch(sweep: Sweep, engine: str = "recorded") -> Launch:
    facts = Fingerprint.of(sweep, (engine,), {"source": "points.csv"})
    return Launch(sweep, facts, is_repeatable=engine != "recorded")


def kimi_baseline() -> Baseline:
    return Baseline(
        suite="kimi",
        launches=[launch(kimi("fp4")).rounded(), launch(kimi("int4")).rounded()],
        gates=[RecordedGate(TEST, RATIO), RecordedGate(TEST, FP4)],
        recorded=RECORDED,
        hardware=B200,
    )


def scaled(sweep: Sweep, factor: float) -> Sweep:
    """The sweep with every throughput multiplied."""
    return replace(sweep, points=[replace(p, throughput_per_gpu=p.throughput_per_gpu * factor) for p in sweep.points])


NOW = {precision: launch(kimi(precision)).fingerprint for precision in ("fp4", "int4")}
