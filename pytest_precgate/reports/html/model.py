"""The page model: what a run found, as a JSON-able document that the page shows and a run's folder keeps.

Input: the report of a run, what stands behind it, and when it was made. Output: plain dicts, lists, texts and numbers.
Invariant: no figure is computed here that another report computes otherwise; what is not known is None."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace

from pytest_precgate.analysis.accepted.baseline import Provenance
from pytest_precgate.analysis.curves.comparison import Comparison
from pytest_precgate.analysis.gating.gates import GateKey
from pytest_precgate.analysis.gating.verdict import JudgedGate
from pytest_precgate.analysis.report import BaselineUpdate, GateReport, RunReport, SuiteBackground
from pytest_precgate.reports import cost, failure, layout
from pytest_precgate.reports.html.picture import picture
from pytest_precgate.reports.html.state import differences, facts, launch_rows
from pytest_precgate.reports.terminal import moved_gate

FORMAT = 1
"""Of the document. Within a format keys are only added."""

_UNBROKEN = 10_000
"""The width of a line that the browser breaks."""

Document = dict[str, object]


def document(run: RunReport, backgrounds: Sequence[SuiteBackground], made: Provenance) -> Document:
    """Return the document of a run; ``made`` says when, at which commit and by which version."""
    behind = {each.suite: each for each in backgrounds}
    named = [*(each.suite for each in run.checks), *(each.suite for each in run.compared), *behind]
    return {
        "format": FORMAT,
        "made": {"utc": made.utc, "commit": made.commit, "tool_version": made.tool_version},
        "suites": [_suite(name, run, behind.get(name, SuiteBackground(name, {}))) for name in dict.fromkeys(named)],
        "updates": [_update(update) for update in run.updates],
        "problems": list(run.problems),
        "warnings": list(run.warnings),
    }


def of_suite(whole: Mapping[str, object], suite: str) -> Document:
    """Return the part of a document that is about one suite, with what is said of the whole run."""
    suites, updates = whole["suites"], whole["updates"]
    assert isinstance(suites, list)
    assert isinstance(updates, list)
    return {
        **whole,
        "suites": [each for each in suites if each["name"] == suite],
        "updates": [each for each in updates if each["suite"] == suite],
    }


def merged(documents: Sequence[Mapping[str, object]]) -> Document:
    """Return one document of the parts of a run: every suite, and once each line that several of them have."""

    def lines(key: str) -> list[object]:
        found: list[object] = []
        for each in documents:
            part = each[key]
            assert isinstance(part, list)
            found += [line for line in part if line not in found]
        return found

    return {**documents[0], **{key: lines(key) for key in ("suites", "updates", "problems", "warnings")}}


def _suite(name: str, run: RunReport, behind: SuiteBackground) -> Document:
    checks = [each for each in run.checks if each.suite == name]
    compared = [each for each in run.compared if each.suite == name]
    pairs: dict[tuple[str, ...], tuple[Comparison, tuple[float, ...], list[GateReport]]] = {}
    for check in checks:
        found = pairs.setdefault(tuple(check.comparison.curves), (check.comparison, check.points, []))
        targets = tuple(sorted({*found[1], *check.points}))
        pairs[tuple(check.comparison.curves)] = found[0], targets, [*found[2], check]
    for made in compared:
        pairs.setdefault(tuple(made.comparison.curves), (made.comparison, made.points, []))
    costs = [each for each in run.costs if each.suite == name]
    return {
        "name": name,
        "outcome": _outcome(checks),
        "headlines": [line for check in checks for line in _headlines(check)],
        "pictures": [
            picture(name, pair, targets, [gate for check in checks_ for gate in check.judged], behind)
            for pair, targets, checks_ in pairs.values()
        ],
        "checks": [_check(check, behind) for check in checks],
        "compared": [f"{made.test}: {made.remark}" for made in compared],
        "differences": differences(behind),
        "launches": launch_rows(behind),
        "costs": [line for each in costs for line in cost.lines(each)],
        "facts": facts(behind),
        "settings": {key: _setting(value) for key, value in sorted(behind.settings.items())},
        "logs": [asdict(log) for log in behind.logs],
        "run": behind.run,
    }


def _setting(value: object) -> str:
    return "not set" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _outcome(checks: Sequence[GateReport]) -> str:
    """The outcome of a suite: that of its worst check, "compared" where nothing was checked."""
    for word in ("failed", "skipped", "recorded", "added", "passed"):
        if any(check.outcome == word for check in checks):
            return word
    return "compared"


def _headlines(check: GateReport) -> Iterator[str]:
    """Yield what a failed check tells first in a terminal, then the count of all verdicts."""
    if check.outcome != "recorded":
        without = replace(check, waivers=())  # the page has none to paste
        yield from (line.text for line in failure.headline(without, _UNBROKEN))
    yield layout.counts(check)


def _check(check: GateReport, behind: SuiteBackground) -> Document:
    old = _baseline_values(behind, check.comparison)
    return {
        "test": check.test,
        "outcome": check.outcome,
        "against": layout.against(check),
        "notes": [*check.notes, *(f"warning: {line}" for line in layout.too_noisy(check))],
        "gates": [_gate(judged, old.get(judged.gate.key, ()), behind.side) for judged in check.judged],
    }


def _baseline_values(behind: SuiteBackground, pair: Comparison) -> Mapping[GateKey, Sequence[float]]:
    """Every gate's values in the launches of the baseline, at the price of ``pair``."""
    if behind.baseline is None:
        return {}
    hardware = replace(pair.hardware, name=behind.baseline.launches[0].sweep.hardware)
    curves = behind.baseline.at(hardware, pair.candidate.cost)
    return {each.key: each.values for each in curves.all_gate_launches}


def _gate(judged: JudgedGate, old: Sequence[float], side: str) -> Document:
    found, key = judged.evidence, judged.gate.key
    catches, launches = layout.evidence(judged)
    return {
        "quantity": key.quantity,
        "point": key.point,
        "value": layout.figure(key.metric, judged.value),
        "baseline": layout.figure(key.metric, judged.baseline),
        "change": layout.change(judged.change),
        "tolerance": layout.tolerance(judged.gate),
        "noise_floor": layout.share(None if found is None else found.noise_floor),
        "sigma": layout.share(None if found is None else found.sigma),
        "catches": catches,
        "launches": launches,
        "verdict": str(judged.verdict),
        "passes": judged.verdict.passes,
        "reason": judged.reason,
        "strip": _strip(judged, old, side),
    }


def _strip(judged: JudgedGate, old: Sequence[float], side: str) -> Document | None:
    """Every launch's gain over the baseline, as shares, better is positive; None where there is no baseline.

    The values of pairs with a ``side`` are shares of the other launch already."""
    if judged.baseline is None or judged.evidence is None:
        return None
    gate, found = judged.gate, judged.evidence
    centre = 1.0 if side else judged.baseline
    return {
        "baseline": [gate.gain(value, centre) for value in old],
        "old_state": [gate.gain(value, centre) for value in found.old_values],
        "run": [gate.gain(value, centre) for value in found.values],
        "tolerance": None if gate.record_only else gate.tolerance,
        "noise_floor": found.noise_floor,
    }


def _update(update: BaselineUpdate) -> Document:
    moved = [change for change in update.changes if change.before != change.after]
    return {
        "suite": update.suite,
        "line": f"{update.path} {update.outcome}{update.reason and f': {update.reason}'}",
        "lines": [*update.notes, *(f"{change.gate.test}: {moved_gate(change)}" for change in moved)],
    }
