"""What a run checked, kept beside its journal, so that it can be judged again without its tests.

Input: values. Output: text, and values from text. Invariant: it holds how gates are judged, no figure of a measurement;
text that does not fit is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pytest_precgate.analysis.gating.gates import Metric, Tolerance
from pytest_precgate.documents import Node
from pytest_precgate.errors import JournalCorruptError

_T = TypeVar("_T")
FORMAT = 1
NAME = "checks.json"


@dataclass(frozen=True)
class RunCheck:
    """One check: its test, precisions, targets (None: quartiles) and tolerances, as the test's mark has them."""

    test: str
    candidate: str
    reference: str
    points: tuple[float, ...] | None
    tolerances: Mapping[Metric, Tolerance]
    max_launches: int | None = None


@dataclass(frozen=True)
class RunChecks:
    """Every check of a suite in one run, and the flags it was judged under; ``baselines`` is their directory."""

    baselines: str
    checks: Sequence[RunCheck]
    mismatch: str = "fail"
    launch_rule: str | None = None
    max_launches: int | None = None
    paired_with: str | None = None


def dump(found: RunChecks) -> str:
    """Return the text of the file."""
    document = {
        "format": FORMAT,
        "baselines": found.baselines,
        "mismatch": found.mismatch,
        "launch_rule": found.launch_rule,
        "max_launches": found.max_launches,
        "paired_with": found.paired_with,
        "checks": [
            {
                "test": check.test,
                "candidate": check.candidate,
                "reference": check.reference,
                "points": None if check.points is None else list(check.points),
                "max_launches": check.max_launches,
                "tolerances": {metric.value: _tolerance(each) for metric, each in check.tolerances.items()},
            }
            for check in found.checks
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def _tolerance(tolerance: Tolerance) -> dict[str, object]:
    points = {repr(point): share for point, share in tolerance.points.items()}
    shares = {"default": tolerance.default, "points": points, "precisions": dict(tolerance.precisions)}
    return {**shares, "record_only": tolerance.record_only}


def parse(text: str, source: str) -> RunChecks:
    """Return what the text holds. Raises JournalCorruptError for text that is not of this format."""
    try:
        value = json.loads(text)
    except ValueError as exc:
        raise JournalCorruptError(source, "", f"is not JSON: {exc}") from exc
    members = Node(value, source, "", JournalCorruptError).table(
        required=("format", "baselines", "mismatch", "launch_rule", "max_launches", "paired_with", "checks")
    )
    if members["format"].value != FORMAT:
        members["format"].fail(f"got {members['format'].value!r}, wanted {FORMAT}: another version wrote it")
    return RunChecks(
        baselines=members["baselines"].text(),
        checks=tuple(_check(node) for node in members["checks"].items()),
        mismatch=members["mismatch"].choice(("fail", "skip", "warn")),
        launch_rule=_optional(members["launch_rule"], members["launch_rule"].text),
        max_launches=_optional(members["max_launches"], members["max_launches"].integer),
        paired_with=_optional(members["paired_with"], members["paired_with"].text),
    )


def _check(node: Node) -> RunCheck:
    members = node.table(required=("test", "candidate", "reference", "points", "max_launches", "tolerances"))
    points, launches = members["points"], members["max_launches"]
    tolerances = members["tolerances"].mapping()
    known = [metric.value for metric in Metric]
    return RunCheck(
        test=members["test"].text(),
        candidate=members["candidate"].text(),
        reference=members["reference"].text(),
        points=None if points.value is None else tuple(point.number() for point in points.items()),
        tolerances={
            Metric(node.child("metric", name).choice(known)): _shares(each) for name, each in tolerances.items()
        },
        max_launches=_optional(launches, launches.integer),
    )


def _shares(node: Node) -> Tolerance:
    members = node.table(required=("default", "points", "precisions", "record_only"))
    points = {float(point): share.number() for point, share in members["points"].mapping().items()}
    precisions = {name: share.number() for name, share in members["precisions"].mapping().items()}
    return Tolerance(members["default"].number(), points, precisions, members["record_only"].flag())


def _optional(node: Node, read: Callable[[], _T]) -> _T | None:
    return None if node.value is None else read()
