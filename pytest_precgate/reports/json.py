"""The findings as JSON. Within a ``format`` keys are only added; it rises when one changes its name or its meaning."""

from __future__ import annotations

import json
from dataclasses import asdict

from pytest_precgate.analysis.cost import KindCost, SuiteCost, VerdictCost, dollars
from pytest_precgate.analysis.curves.comparison import Comparison, Curve
from pytest_precgate.analysis.curves.economics import Hardware
from pytest_precgate.analysis.gating.verdict import JudgedGate
from pytest_precgate.analysis.report import BaselineUpdate, GateReport, RunReport
from pytest_precgate.reports import layout

FORMAT = 2


def render(run: RunReport) -> str:
    """Return the whole run as JSON text, full digits, sorted keys."""
    document = {
        "format": FORMAT,
        "checks": [_check(report) for report in run.checks],
        "compared": [
            {
                "suite": made.suite,
                "test": made.test,
                "remark": made.remark,
                "comparison": comparison(made.comparison, made.points),
            }
            for made in run.compared
        ],
        "updates": [_update(update) for update in run.updates],
        "costs": [_cost(cost) for cost in run.costs],
        "problems": list(run.problems),
        "warnings": list(run.warnings),
        "hints": list(run.hints),
    }
    return json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n"


def comparison(pair: Comparison, points: tuple[float, ...]) -> dict[str, object]:
    """Return one comparison at ``points``: price, power, band, a row per readable point, the points outside."""
    rows, outside = layout.readable_rows(pair, points)
    return {
        "candidate": _curve(pair.candidate),
        "reference": _curve(pair.reference),
        "cost": pair.candidate.cost,
        "hardware": asdict(pair.hardware),
        "band": list(pair.band),
        "rows": [
            {
                "interactivity": row.interactivity,
                "candidate": asdict(row.candidate),
                "reference": asdict(row.reference),
                "throughput_ratio": row.throughput_ratio,
                "cost_ratio": row.cost_ratio,
                "wording": row.wording,
            }
            for row in rows
        ],
        "outside": outside,
    }


def _curve(curve: Curve) -> dict[str, object]:
    return {
        "precision": curve.sweep.precision,
        "workload": asdict(curve.sweep.workload),
        "simulated": curve.sweep.simulated,
        "axis": curve.sweep.axis,
        "points": len(curve.sweep.points),
        "frontier_points": len(curve.frontier),
        "measured_range": list(curve.span),
    }


def _check(report: GateReport) -> dict[str, object]:
    return {
        "suite": report.suite,
        "test": report.test,
        "baseline": report.baseline,
        "launch_rule": report.rule,
        "outcome": report.outcome,
        "passed": report.passed,
        "notes": list(report.notes),
        "comparison": comparison(report.comparison, report.points),
        "gates": [_gate(judged) for judged in report.judged],
    }


def _gate(judged: JudgedGate) -> dict[str, object]:
    found = judged.evidence
    return {
        "metric": judged.gate.key.metric.value,
        "precision": "/".join(judged.gate.key.precisions),
        "point": judged.gate.key.point,
        "tolerance": None if judged.gate.record_only else judged.gate.tolerance,
        "noise_floor": None if found is None else found.noise_floor,
        "sigma": None if found is None else found.sigma,
        "minimum_detectable_drop": None if found is None else found.minimum_detectable_drop,
        "largest_detectable_drop": None if found is None else found.largest_detectable_drop,
        "launches": None if found is None else found.launches,
        "values": [] if found is None else list(found.values),
        "old_values": [] if found is None else list(found.old_values),
        "implausible": judged.gate.implausible,
        "value": judged.value,
        "baseline": judged.baseline,
        "change": judged.change,
        "verdict": str(judged.verdict),
        "reason": judged.reason,
        "remedy": judged.remedy,
    }


def _cost(cost: SuiteCost) -> dict[str, object]:
    return {
        "suite": cost.suite,
        "price_per_gpu_hour": cost.hardware.price_per_gpu_hour,
        "cost": [_cost_of_kind(costs, cost.hardware) for costs in cost.costs],
        "reused": [_cost_of_kind(costs, cost.hardware) for costs in cost.reused],
        "is_without_gpu": cost.is_without_gpu,
        "replayed": cost.replayed,
        "verdict": None if cost.verdict is None else _verdict_cost(cost.verdict, cost.hardware),
    }


def _verdict_cost(verdict: VerdictCost, hardware: Hardware) -> dict[str, object]:
    prices = {name: dollars(getattr(verdict, f"{name}gpu_s"), hardware) for name in ("", "full_")}
    return {**asdict(verdict), **{f"{name}dollars": price for name, price in prices.items()}}


def _cost_of_kind(costs: KindCost, hardware: Hardware) -> dict[str, object]:
    derived = {"gpu_s": costs.gpu_s, "dollars": costs.dollars(hardware), "simulated": costs.kind == "simulated"}
    return {**asdict(costs), **derived}


def _update(update: BaselineUpdate) -> dict[str, object]:
    return {
        "suite": update.suite,
        "path": update.path,
        "outcome": update.outcome,
        "reason": update.reason,
        "notes": list(update.notes),
        "gates": [
            {
                "test": change.gate.test,
                "metric": change.gate.key.metric.value,
                "precision": "/".join(change.gate.key.precisions),
                "point": change.gate.key.point,
                "before": change.before,
                "after": change.after,
                "change": change.change,
                "sigma_before": change.sigmas[0],
                "sigma_after": change.sigmas[1],
                "anchor": change.anchor,
            }
            for change in update.changes
        ],
    }
