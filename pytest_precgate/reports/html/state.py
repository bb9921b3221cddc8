"""What the page says of launches, and of what changed since the baseline.

Input: what stands behind the checks of a suite. Output: JSON-able rows. Invariant: a difference is shown before what
agrees, and a fact that only one side has is a difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_precgate.analysis.accepted.anchor import AnchorValue, anchor_value
from pytest_precgate.analysis.accepted.baseline import Baseline, Launch
from pytest_precgate.analysis.accepted.fingerprint import Fact
from pytest_precgate.analysis.report import SuiteBackground
from pytest_precgate.reports import layout

UNKNOWN = "not known"


def differences(behind: SuiteBackground) -> dict[str, object]:
    """Return what the first launch of each precision has otherwise than the baseline's first, hard facts first.

    ``agree`` counts the facts that both have alike; ``baseline`` says what the baseline is."""
    baseline = behind.baseline
    if baseline is None:
        return {"baseline": None, "rows": [], "agree": 0, "side": behind.side}
    rows: list[list[str]] = []
    agree = 0
    for precision, launches in behind.launches.items():
        old = baseline.launches_of(precision)
        if not (launches and old):
            continue
        for kind in ("hard", "soft"):
            now, then = (getattr(each[0].fingerprint, kind) for each in (launches, old))
            unlike = [key for key in sorted({*now, *then}) if now.get(key) != then.get(key)]
            rows += [[precision, key, _shown(then, key), _shown(now, key), kind] for key in unlike]
            agree += len({*now} & {*then}) - sum(key in now and key in then for key in unlike)
    recorded = baseline.recorded
    return {
        "baseline": {
            "commit": recorded.commit,
            "utc": recorded.utc,
            "tool_version": recorded.tool_version,
            "reason": recorded.reason,
            "launches": {name: len(baseline.launches_of(name)) for name in baseline.precisions},
        },
        "rows": sorted(rows, key=lambda row: (row[4] != "hard", row[0], row[1])),
        "agree": agree,
    }


def _shown(facts: Mapping[str, Fact], key: str) -> str:
    return str(facts.get(key, UNKNOWN))


def facts(behind: SuiteBackground) -> list[list[str]]:
    """Return a row per fact of the first launches: its name, its value for each precision, in their order."""
    firsts = {precision: launches[0] for precision, launches in behind.launches.items() if launches}
    known = {name: {**one.fingerprint.hard, **one.fingerprint.soft} for name, one in firsts.items()}
    keys = sorted({key for each in known.values() for key in each})
    rows = [[key, *(_shown(each, key) for each in known.values())] for key in keys]
    return [["fact", *known], *rows] if rows else []


def launch_rows(behind: SuiteBackground) -> list[list[str]]:
    """Return a row per launch: state, precision, number, points, when, where, on which GPUs."""
    states: list[tuple[str, Mapping[str, Sequence[Launch]]]] = [("this run", behind.launches)]
    if behind.side:
        states.append((behind.side, behind.beside))
    if behind.baseline is not None:
        baseline = behind.baseline
        states.append(("baseline", {name: baseline.launches_of(name) for name in baseline.precisions}))
    return [
        [
            state,
            precision,
            str(number),
            str(len(launch.sweep.points)),
            launch.origin.utc or UNKNOWN,
            launch.origin.node or UNKNOWN,
            ", ".join(launch.origin.gpus) or UNKNOWN,
        ]
        for state, by_precision in states
        for precision, launches in by_precision.items()
        for number, launch in enumerate(launches, 1)
    ]


def recorded_gates(baseline: Baseline) -> list[list[str]]:
    """Return a row per gate of a baseline: its value, its anchor's, its noise, its test."""
    priced = (baseline.hardware, baseline.cost)
    values, noises = baseline.values([gate.key for gate in baseline.gates], *priced), baseline.noises(*priced)
    rows = []
    for gate in baseline.gates:
        key, noise = gate.key, noises.get(gate.key)
        anchor = anchor_value(baseline, key, *priced)
        rows.append(
            [
                key.quantity,
                f"{key.point:g}",
                layout.figure(key.metric, values[key]),
                layout.figure(key.metric, anchor.value if isinstance(anchor, AnchorValue) else None),
                layout.share(None if noise is None else noise.sigma),
                gate.test,
            ]
        )
    return rows
