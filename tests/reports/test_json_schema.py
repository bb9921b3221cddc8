"""The shipped schema of the JSON report: it accepts real reports of every kind, and names every key of them."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from pytest_precgate.analysis.accepted.baseline import RecordedGate
from pytest_precgate.analysis.accepted.update import GateChange
from pytest_precgate.analysis.cost import KindCost, SuiteCost, VerdictCost
from pytest_precgate.analysis.curves.sweep import AXES
from pytest_precgate.analysis.gating.gates import Metric
from pytest_precgate.analysis.gating.verdict import Absent, Verdict, absent
from pytest_precgate.analysis.report import BaselineUpdate, Compared, RunReport
from pytest_precgate.cli import main
from pytest_precgate.cli.schema import report_schema
from pytest_precgate.reports.json import FORMAT, render
from tests.builders.pages import B200, TEST, background, checked
from tests.repository import Repository

SCHEMA: dict[str, Any] = json.loads(report_schema())


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema that refuses what it does not name: so a key of a report that is in no schema is found."""
    made = copy.deepcopy(schema)
    for each in (made, *made["$defs"].values()):
        if each.get("type") == "object":
            each["additionalProperties"] = False
    return made


VALIDATOR = jsonschema.Draft202012Validator(strict(SCHEMA))


def every_kind() -> dict[str, RunReport]:
    behind = background({"fp4": (1.09,), "int4": (1.0,)})
    failed = checked(behind)
    passed = checked(background({"fp4": (1.0,), "int4": (1.0,)}))
    gone = Absent(Verdict.MISSING, "this suite has no baseline", "record one")
    missing = replace(failed, judged=tuple(absent(each.gate, gone, each.value, None) for each in failed.judged))
    recorded = tuple(replace(each, gate=replace(each.gate, record_only=True)) for each in passed.judged)
    verdict = VerdictCost("first good of 3", 2, 900.0, 6, 2700.0)
    costs = SuiteCost("kimi", B200, [KindCost("started", 2, 14, 978.0, None, 5898.0)], verdict=verdict)
    reused = SuiteCost("kimi", B200, reused=[KindCost("simulated", 2, 14, 978.0, 3.0, None)], replayed=True)
    key = failed.judged[0].gate.key
    changes = (GateChange(RecordedGate(TEST, key), None, 2.0), GateChange(RecordedGate(TEST, key), 2.0, None))
    updates = tuple(
        BaselineUpdate("kimi", "baselines/kimi.json", word, changes, "why", ("a note",))
        for word in ("written", "unchanged", "refused")
    )
    return {
        "failed": RunReport(checks=(failed,), costs=(costs,), problems=("p",), warnings=("w",), hints=("h",)),
        "passed": RunReport(checks=(passed,), costs=(reused,)),
        "missing": RunReport(checks=(missing,)),
        "skipped": RunReport(checks=(replace(missing, outcome="skipped"),)),
        "recorded": RunReport(checks=(replace(passed, outcome="recorded", judged=recorded),), updates=updates),
        "added": RunReport(checks=(replace(passed, outcome="added"),)),
        "outside the band": RunReport(checks=(replace(passed, points=(1.0, 55.0)),)),
        "compared": RunReport(compared=(Compared("kimi", TEST, passed.comparison, (55.0,)),)),
        "empty": RunReport(),
    }


EVERY = every_kind()


@pytest.mark.parametrize("kind", EVERY)
def test_a_report_of_every_kind_is_what_the_schema_says(kind: str) -> None:
    """And has no key that the schema does not name."""
    VALIDATOR.validate(json.loads(render(EVERY[kind])))


def test_the_reports_that_runs_write_are_what_the_schema_says(repository: Repository) -> None:
    """Recorded first, then failed by 8%, as files."""
    assert repository.run("--precgate-update", "--precgate-json=first.json").ret == 0
    repository.write_points(fp4=0.92)
    assert repository.run("--precgate-json=failed.json").ret == 1
    for name in ("first.json", "failed.json"):
        VALIDATOR.validate(json.loads((repository.path / name).read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("format",), FORMAT + 1),
        (("checks", 0, "outcome"), "fine"),
        (("checks", 0, "gates", 0, "verdict"), "OK"),
        (("checks", 0, "gates", 0, "value"), "fast"),
        (("checks", 0, "comparison", "band"), [1.0]),
    ],
)
def test_it_refuses_what_no_run_writes(place: tuple[str | int, ...], value: object) -> None:
    """A schema that accepts everything says nothing."""
    document = json.loads(render(EVERY["failed"]))
    target = document
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(document)


def test_a_reader_is_told_to_ignore_keys_it_does_not_know() -> None:
    """Keys are added within a format, so the shipped schema accepts more than it names."""
    document = {**json.loads(render(EVERY["failed"])), "new": 1}
    jsonschema.Draft202012Validator(SCHEMA).validate(document)


def test_it_is_a_schema_of_this_format_and_knows_every_metric_verdict_and_axis() -> None:
    """A new one that it lacks fails here."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["format"] == {"const": FORMAT}
    assert SCHEMA["$id"] == f"urn:pytest-precgate:report:{FORMAT}"
    known = SCHEMA["$defs"]
    assert known["metric"]["enum"] == [metric.value for metric in Metric]
    assert known["verdict"]["enum"] == [str(verdict) for verdict in Verdict]
    assert known["curve"]["properties"]["axis"]["enum"] == list(AXES)


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON, and nothing else."""
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA
