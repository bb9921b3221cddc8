"""Waivers in reports: what a waived gate is waived by, and the TOML that would waive what failed."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pytest_precgate.analysis.gating.verdict import Verdict
from pytest_precgate.analysis.gating.waiver import Waiver
from pytest_precgate.analysis.report import GateReport


def waived(report: GateReport) -> Iterator[str]:
    """Yield a line for each reason and its points: what is waived, where, the last day, the ceiling, the reason."""
    points: dict[tuple[str, str], list[float]] = {}
    for judged in report.judged:
        if judged.verdict is Verdict.WAIVED:
            points.setdefault((judged.gate.key.quantity, judged.reason), []).append(judged.gate.key.point)
    quantities: dict[tuple[str, str], list[str]] = {}
    for (quantity, reason), at in points.items():
        quantities.setdefault((", ".join(f"{point:g}" for point in at), reason), []).append(quantity)
    for (where, reason), names in quantities.items():
        yield f"WAIVED  {', '.join(names)} at {where} tok/s/user: {reason}"


def to_paste(report: GateReport) -> list[str]:
    """Return the waivers that would let a failed check pass, as TOML; nothing where none would."""
    if not report.waivers:
        return []
    head = "to accept this for a while, give a reason and paste into pyproject.toml (in precgate.toml: [[waive]]):"
    return [head, *(line for waiver in report.waivers for line in ("", *_toml(waiver)))]


def _toml(waiver: Waiver) -> Iterator[str]:
    yield "[[tool.precgate.waive]]"
    yield f"suite     = {json.dumps(waiver.suite)}"
    yield f"metric    = {json.dumps(waiver.metric.value)}"
    if waiver.precisions is not None:
        yield f"precision = {json.dumps('/'.join(waiver.precisions))}"
    if waiver.points is not None:
        points = ", ".join(f"{point:g}" for point in waiver.points)
        yield f"point     = {points if len(waiver.points) == 1 else f'[{points}]'}"
    yield f"ceiling   = {waiver.ceiling:.2f}"
    yield f"expires   = {waiver.expires:%Y-%m-%d}"
    yield f"reason    = {json.dumps(waiver.reason)}"
