"""The output of ``precgate show``: everything of a recorded run as text, with all digits.

Input: the reports of a run, its launches, its baseline. Output: lines. Invariant: figures are printed as they are kept,
and every gate, launch and fact is printed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_precgate.analysis.accepted.baseline import Baseline, Launch
from pytest_precgate.analysis.cost import SuiteCost
from pytest_precgate.analysis.gating.verdict import JudgedGate
from pytest_precgate.analysis.report import GateReport
from pytest_precgate.reports import cost, failure, full, layout
from pytest_precgate.reports.lines import Line, wrapped

_FACT_SHOWN = 300


@dataclass(frozen=True)
class Shown:
    """One suite of a recorded run: its name, when, at which commit and by what it was measured, and what it holds."""

    name: str
    suite: str
    measured: str
    reports: Sequence[GateReport]
    launches: Mapping[str, Sequence[Launch]]
    baseline: Baseline | None
    costs: Sequence[SuiteCost]
    remarks: Sequence[str]


def lines(found: Shown, width: int) -> Iterator[Line]:
    """Yield the whole text of one suite."""
    yield from wrapped(f"{found.name}: suite {found.suite}, {found.measured}", width, colour="bold")
    for remark in found.remarks:
        yield from wrapped(f"note: {remark}", width)
    for report in found.reports:
        yield Line("")
        yield from _report(report, width)
    yield from _launches(found, width)
    yield from _environment(found, width)
    yield Line("")
    for costs in found.costs:
        for text in cost.lines(costs):
            yield from wrapped(text, width)
    yield from wrapped(
        f"to judge it again with other tolerances, points or prices: pytest --precgate-replay={found.name}", width
    )


def _report(report: GateReport, width: int) -> Iterator[Line]:
    counts = f"{layout.counts(report)} {layout.against(report)}"
    yield from wrapped(f"{report.test}: {report.outcome}, {counts}", width, colour="bold")
    if report.failing:
        yield from failure.headline(report, width)
    yield Line("")
    yield from full.comparison(report.suite, report.comparison, report.points, width)
    yield Line("")
    yield from full.check(report, width)
    yield from full.reasons(report, width)
    for note in layout.told_once(report.notes):
        yield from wrapped(f"note: {note}", width)
    yield Line("")
    yield Line("gates, all digits", "bold")
    for judged in report.judged:
        yield from _gate(judged, width)


def _gate(judged: JudgedGate, width: int) -> Iterator[Line]:
    """One gate with every figure, unrounded: shares are shares, not percent."""
    found, gate = judged.evidence, judged.gate
    figures: list[tuple[str, object]] = [
        ("value", judged.value),
        ("baseline", judged.baseline),
        ("change", judged.change),
        ("tolerance", gate.tolerance),
        ("implausible", gate.implausible),
    ]
    if found is not None:
        figures += [
            ("noise_floor", found.noise_floor),
            ("sigma", found.sigma),
            ("minimum_detectable_drop", found.minimum_detectable_drop),
            ("largest_detectable_drop", found.largest_detectable_drop),
            ("launches", found.launches),
            ("values", ", ".join(map(repr, found.values)) or None),
            ("old_values", ", ".join(map(repr, found.old_values)) or None),
            ("anchor_loss", found.anchor_loss),
        ]
    told = "; ".join(f"{name} {value}" for name, value in figures if value is not None)
    yield from wrapped(f"{gate.key}: {judged.verdict}; {told}", width)


def _launches(found: Shown, width: int) -> Iterator[Line]:
    yield Line("")
    yield Line("launches", "bold")
    for precision, launches in found.launches.items():
        for number, launch in enumerate(launches, 1):
            origin, sweep = launch.origin, launch.sweep
            where = [text for text in (origin.utc, origin.node and f"node {origin.node}") if text]
            where += [f"GPUs {', '.join(origin.gpus)}"] if origin.gpus else []
            word = "SIMULATED " * sweep.simulated
            yield from wrapped(f"{word}{precision} launch {number}: {', '.join([*where, str(sweep.workload)])}", width)
            head = ("configuration", "gpus", "concurrency", "tok/s/user", "tok/s/GPU")
            rows = [
                (
                    each.configuration,
                    str(each.gpus),
                    str(each.concurrency),
                    repr(each.interactivity),
                    repr(each.throughput_per_gpu),
                )
                for each in sweep.points
            ]
            yield from (Line(f"  {line}") for line in layout.columns([head, *rows]))


def _environment(found: Shown, width: int) -> Iterator[Line]:
    """The facts of each precision: those that differ from the baseline first, then all."""
    yield Line("")
    yield Line("environment", "bold")
    for precision, launches in found.launches.items():
        facts = launches[0].fingerprint
        known = [] if found.baseline is None else found.baseline.launches_of(precision)
        for text in facts.unlike(known[0].fingerprint, "the baseline's") if known else ():
            yield from wrapped(f"{precision} differs: {text}", width, colour="yellow")
        for kind, each in (("must agree", facts.hard), ("may differ", facts.soft)):
            for name, fact in sorted(each.items()):
                yield from wrapped(f"{precision} {name} ({kind}): {str(fact)[:_FACT_SHOWN]}", width)
