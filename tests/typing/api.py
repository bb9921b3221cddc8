"""The public names as a user's type checker sees them. Never executed: mypy reads it."""

from __future__ import annotations

from pytest_precgate import (
    Baseline,
    Comparison,
    Curve,
    Engine,
    Fingerprint,
    GateReport,
    Hardware,
    Precgate,
    PrecgateError,
    Sweep,
    SweepPoint,
    Verdict,
    Workload,
    compare,
)

fp4 = Sweep(
    precision="fp4",
    workload=Workload(isl=1024, osl=1024),
    hardware="b200",
    points=[SweepPoint(concurrency=4, gpus=4, interactivity=124.7, throughput_per_gpu=241.6)],
)
pair: Comparison = compare(fp4, fp4, hardware=Hardware("b200", 1.95, 2.17, "a quote"), cost="interpolated")
band: tuple[float, float] = pair.band
quartiles: tuple[int, int, int] = pair.quartile_points()
row = pair.at(55)
ratios: tuple[float, float] = (row.throughput_ratio, row.cost_ratio)
tokens: float = row.candidate.tokens_per_second_per_megawatt
concurrency: int = row.reference.concurrency
wording: str = row.wording
curve: Curve = pair.candidate


def test_gate(precgate: Precgate, fp4_sweep: Sweep) -> None:
    report: GateReport = precgate.check(precgate.compare("fp4", "int4"))
    verdicts: list[Verdict] = [judged.verdict for judged in report.judged]
    swept: Sweep = precgate.sweep("fp4")
    assert report.passed
    assert verdicts
    assert swept == fp4_sweep


def engine_facts(engine: Engine, baseline: Baseline) -> Fingerprint:
    if not engine.facts():
        raise PrecgateError(engine.kind)
    return baseline.launches[0].fingerprint
