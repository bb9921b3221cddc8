"""Runs whose report is shown as a page: the recorded Kimi sweeps held against themselves, scaled as a test asks."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from pytest_precgate.analysis.accepted.baseline import Baseline, Launch, Provenance, RecordedGate
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.origin import LaunchOrigin
from pytest_precgate.analysis.cost import KindCost, SuiteCost
from pytest_precgate.analysis.curves.comparison import Comparison
from pytest_precgate.analysis.curves.details import PointDetails
from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.analysis.curves.sweep import Sweep
from pytest_precgate.analysis.gating.gates import DEFAULT_METRICS, Tolerance, gates_of
from pytest_precgate.analysis.gating.verdict import Evidence, JudgedGate, Verdict, judge
from pytest_precgate.analysis.report import GateReport, LogTail, RunReport, SuiteBackground
from pytest_precgate.reports.html.model import Document, document
from pytest_precgate.reports.html.points import DETAILS
from tests.published import kimi

MADE = Provenance("0123456789abcdef0123-dirty", "2026-11-28T06:00:00Z", "0.1.0", "")
B200 = HARDWARE["b200"]
POINTS = (55.0, 73.0, 91.0)
TEST = "tests/test_kimi.py::test_fp4_pays_off"


def paced(precision: str, pace: float, *, simulated: bool = False) -> Sweep:
    """The recorded sweep of a launch whose every step takes ``pace`` times as long."""
    sweep = kimi(precision)
    points = [
        replace(point, interactivity=point.interactivity / pace, throughput_per_gpu=point.throughput_per_gpu / pace)
        for point in sweep.points
    ]
    return replace(sweep, points=points, simulated=simulated)


def detailed(sweep: Sweep) -> Sweep:
    """The sweep with every detail that a point can have, invented: no two points have the same."""
    points = []
    for number, point in enumerate(sweep.points, 1):
        values = {name: (number + place / 7) / 100 for place, name in enumerate(DETAILS, 1)}
        values |= {"e2e_interactivity": point.interactivity * 0.9, "joules_per_token": 300 / point.throughput_per_gpu}
        values |= {"output_throughput_per_gpu": point.throughput_per_gpu / 2, "slo_ttft_s": 0.5, "slo_tpot_s": 0.02}
        points.append(replace(point, details=PointDetails(**values)))
    return replace(sweep, points=points)


def launch(sweep: Sweep, number: int = 1, version: str = "1.2.0") -> Launch:
    origin = LaunchOrigin(f"2026-11-{10 + number}T06:00:00Z", "node-7", ("GPU-1", "GPU-2"))
    facts = {"version": version, "driver": "580.95", "host.kernel": "6.1"}
    return Launch(sweep, Fingerprint.of(sweep, ("trtllm",), facts), origin=origin)


def background(
    paces: Mapping[str, Sequence[float]], *, simulated: bool = False, suite: str = "kimi"
) -> SuiteBackground:
    """Launches of these paces, and a baseline of five launches that scatter by 0.4%."""
    draw = random.Random(7)
    gates = gates_of("fp4", "int4", POINTS, {metric: Tolerance() for metric in DEFAULT_METRICS})
    old = [
        launch(paced(name, math.exp(draw.gauss(0, 0.004)), simulated=simulated), number, "1.1.0")
        for name in ("fp4", "int4")
        for number in range(1, 6)
    ]
    recorded = replace(MADE, commit="fedcba", utc="2026-11-12T06:00:00Z", reason="first")
    return SuiteBackground(
        suite=suite,
        launches={
            name: [
                launch(detailed(paced(name, pace, simulated=simulated)), number) for number, pace in enumerate(each, 1)
            ]
            for name, each in paces.items()
        },
        baseline=Baseline(suite, old, [RecordedGate(TEST, gate.key) for gate in gates], recorded, B200),
        settings={"fp4.options.max_batch_size": 128, "fp4.seed": None, "int4.window": "whole"},
        logs=(LogTail("fp4-default/server.log", "loading\nready\n"),),
        run=f"20261128T060000.000Z-{suite}-1",
    )


def measured(name: str, paces: Sequence[float], *, simulated: bool) -> list[Launch]:
    """Launches of these paces, with every detail."""
    sweeps = (detailed(paced(name, pace, simulated=simulated)) for pace in paces)
    return [launch(sweep, number) for number, sweep in enumerate(sweeps, 1)]


def checked(behind: SuiteBackground, *, verdict: Verdict | None = None) -> GateReport:
    """The check of a background's launches: each gate judged by its first launch; those that fail have ``verdict``
    where one is given."""
    assert behind.baseline is not None
    first = {name: each[0].curve(B200, "derived") for name, each in behind.launches.items()}
    pair = Comparison(first["fp4"], first["int4"])
    curves = behind.baseline.at(B200, "derived")
    judged: list[JudgedGate] = []
    for gate in gates_of("fp4", "int4", POINTS, {metric: Tolerance() for metric in DEFAULT_METRICS}):
        noise = curves.noise.gates[gate.key]
        value = gate.key.read(first)
        found = judge(gate, value, noise.centre)
        if verdict is not None and not found.verdict.passes:
            found = replace(found, verdict=verdict, reason="inside the noise floor")
        seen = Evidence(noise.sigma, 0.035, 1, 0.041, 0.016, values=(value,))
        judged.append(replace(found, evidence=seen))
    outcome: Any = "passed" if all(each.verdict.passes for each in judged) else "failed"
    return GateReport(
        behind.suite, TEST, pair, POINTS, tuple(judged), outcome, ("a note",), "baselines/kimi.json", "first good"
    )


@cache
def page(
    *fp4: float, simulated: bool = False, verdict: Verdict | None = None, suites: Sequence[str] = ("kimi",)
) -> Document:
    """The document of a run whose FP4 takes these paces, INT4 its own; of several suites where several are named.

    It is made once: a test that changes one takes a copy."""
    fp4 = fp4 or (1.0,)
    behind = [background({"fp4": fp4, "int4": (1.0,)}, simulated=simulated, suite=suite) for suite in suites]
    costs = [SuiteCost(suite, B200, [KindCost("started", 2, 14, 978.0, 4800.0, 5898.0)]) for suite in suites]
    report = RunReport(
        checks=tuple(checked(each, verdict=verdict) for each in behind), costs=tuple(costs), warnings=("a warning",)
    )
    return document(report, behind, MADE)
