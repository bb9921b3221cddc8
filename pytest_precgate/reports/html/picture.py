"""One picture of the page: the points, curves, targets and gates of two precisions.

Input: a comparison, its targets, the judged gates, and the launches behind it. Output: the JSON-able value that the
page's script draws and computes from. Invariant: the script is given the points alone; frontier and curve are computed
by the same rules as here, which tests compare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

from pytest_precgate.analysis.accepted.baseline import Baseline, Launch
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.curves.comparison import Comparison, Curve
from pytest_precgate.analysis.gating.serving import ServedTarget
from pytest_precgate.analysis.gating.verdict import JudgedGate
from pytest_precgate.analysis.report import SuiteBackground
from pytest_precgate.errors import OutsideSweepError, SweepMismatchError
from pytest_precgate.reports import layout
from pytest_precgate.reports.html.points import columns_of, rows_of

_MOST_LAUNCHES = 9
"""Launches of one state that a picture draws: the first ones, and those that gates are read on."""

Picture = dict[str, object]


def picture(
    suite: str, pair: Comparison, targets: Sequence[float], judged: Sequence[JudgedGate], behind: SuiteBackground
) -> Picture:
    """Return the picture of a comparison; without targets of its own it has the band's quartiles."""
    points = tuple(targets) or _quartiles(pair)
    hardware = pair.hardware
    return {
        "id": "-".join([suite, *pair.curves]),
        "title": layout.title(suite, pair),
        "precisions": list(pair.curves),
        "simulated": [name.upper() for name, curve in pair.curves.items() if curve.sweep.simulated],
        "hardware": asdict(hardware),
        "cost": pair.candidate.cost,
        "behind": behind.side or "baseline",
        "wording": pair.wording,
        "terms": [layout.COUNTED, *layout.terms(pair)],
        "targets": list(points),
        "rows": _rows(pair, points),
        "series": [each for name, curve in pair.curves.items() for each in _series(name, curve, points, behind)],
        "gates": [_gate(each) for each in judged if not each.gate.record_only],
        "left_out": list(_left_out(pair, behind)),
    }


def _quartiles(pair: Comparison) -> tuple[float, ...]:
    try:
        return tuple(float(point) for point in pair.quartile_points())
    except SweepMismatchError:  # a band too narrow for them
        return ()


def _rows(pair: Comparison, points: Sequence[float]) -> list[dict[str, object]]:
    """The published table as Python reads it: cells, and words."""
    rows: list[dict[str, object]] = []
    for point in points:
        try:
            row = pair.at(point)
        except OutsideSweepError as exc:
            rows.append({"cells": [f"{point:g}"], "wording": str(exc)})
            continue
        rows.append({"cells": list(layout.comparison_cells(row)), "wording": row.wording})
    return rows


def _series(name: str, curve: Curve, points: Sequence[float], behind: SuiteBackground) -> Iterator[Picture]:
    """The launches of a run, the first one with all that was measured, then those of the baseline."""
    launches = list(behind.launches.get(name, ())) or [Launch(curve.sweep, Fingerprint({}))]
    for number, launch in enumerate(launches[:_MOST_LAUNCHES], 1):
        yield _launch(name, "run", number, launch, columns_of(launches, drawn_only=number > 1))
    for number, launch in enumerate(behind.beside.get(name, ())[:_MOST_LAUNCHES], 1):
        columns = columns_of(behind.beside[name], drawn_only=True)
        yield {**_launch(name, "baseline", number, launch, columns), "served": number == 1}
    if behind.baseline is not None:
        old = behind.baseline.launches_of(name)
        served = served_launches(behind.baseline, name, curve, points)
        columns = columns_of(old, drawn_only=True)
        for number, launch in enumerate(old, 1):
            if number <= _MOST_LAUNCHES or number - 1 in served:
                yield {**_launch(name, "baseline", number, launch, columns), "served": number - 1 in served}


def _launch(name: str, state: str, number: int, launch: Launch, columns: Sequence[str]) -> Picture:
    return {
        "precision": name,
        "state": state,
        "launch": number,
        "columns": list(columns),
        "points": rows_of(launch, columns),
    }


def served_launches(baseline: Baseline, name: str, curve: Curve, points: Sequence[float]) -> set[int]:
    """Return which launches of a baseline the gates at ``points`` are read on: at each the median one."""
    launches = baseline.launches_of(name)
    if not launches:
        return set()
    hardware = replace(curve.hardware, name=launches[0].sweep.hardware)
    curves = [launch.curve(hardware, curve.cost) for launch in launches]
    found = set()
    for point in points:
        try:
            middle = ServedTarget.of(curves, point).curve
        except OutsideSweepError:
            continue
        found.add(next(i for i, each in enumerate(curves) if each is middle))
    return found


def _left_out(pair: Comparison, behind: SuiteBackground) -> Iterator[str]:
    """Say which launches are not drawn."""
    for name in pair.curves:
        measured = len(behind.launches.get(name, ()))
        recorded = 0 if behind.baseline is None else len(behind.baseline.launches_of(name))
        for number, state in ((measured, "this run"), (recorded, "the baseline")):
            if number > _MOST_LAUNCHES:
                yield f"{name}: the picture draws {_MOST_LAUNCHES} of the {number} launches of {state}"


def _gate(judged: JudgedGate) -> Picture:
    """A gate that holds as the picture marks it: numbers with full digits."""
    key, gate = judged.gate.key, judged.gate
    limit = None
    if judged.baseline is not None:
        limit = judged.baseline * (1 - gate.tolerance if key.metric.higher_is_better else 1 + gate.tolerance)
    return {
        "metric": key.metric.value,
        "precisions": list(key.precisions),
        "point": key.point,
        "value": judged.value,
        "baseline": judged.baseline,
        "limit": limit,
        "tolerance": gate.tolerance,
        "verdict": str(judged.verdict),
        "passes": judged.verdict.passes,
        "change": layout.change(judged.change),
    }
