"""A replay and a resumed run apply the rules that judged a point when it was measured: a digest is easily computed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_precgate.journal.schema import _canonical, _digest
from tests.plugin.paced import QUIET, SETTINGS, Paced
from tests.repository import Repository

CLIENT = {
    "cpu_share": 0.1,
    "events_per_read": 1.0,
    "loop_lag_p99_s": 0.0001,
    "achieved_concurrency": 1000.0,
    "processes": 1,
}
TOKENS = {"tokens_per_event": 1.0, "first_event_tokens": 1.0, "cached_share": None, "acceptance_length": None}


@pytest.fixture
def recorded(repository: Repository, paced: Paced) -> Repository:
    """A simulated suite with its baseline, and the journal of an unchanged run."""
    repository.write_settings(SETTINGS)
    paced(fp4=QUIET, int4=QUIET)
    repository.record(about=QUIET)
    assert repository.run().ret == 0
    return repository


def journal_of(repository: Repository) -> Path:
    return sorted((repository.path / ".precgate" / "runs").glob("*/journal.jsonl"))[-1]


def forge(journal: Path, changes: Mapping[str, Any], drop_finish: bool = False) -> None:
    """Change every FP4 point, with a digest that follows from it."""
    lines = []
    for text in journal.read_text(encoding="ascii").splitlines():
        event = {name: value for name, value in json.loads(text).items() if name != "sha256"}
        if drop_finish and event["event"] == "finished":
            continue
        if event["event"] == "point" and event["launch"]["precision"] == "fp4":
            for name, value in changes.items():
                inner = event["measurement"]
                *above, last = name.split(".")
                for step in above:
                    inner = inner[step]
                inner[last] = value
        lines.append(_canonical({**event, "sha256": _digest(event)}))
    journal.write_text("\n".join(lines) + "\n", encoding="ascii")


FORGED = [
    ({"failed": 1_000_000}, "1000000 requests failed, at most 0 may"),
    ({"failed": -1}, "failed is -1"),
    ({"completed": -5}, "completed is -5"),
    ({"completed": 0}, "completed is 0"),
    ({"resent": 7}, "7 requests failed, at most 0 may"),
    ({"resent": -7}, "resent is -7"),
    ({"reopened": -1}, "reopened is -1"),
    ({"client": {**CLIENT, "cpu_share": 99.0}}, "9900% of a core"),
    ({"client": {**CLIENT, "loop_lag_p99_s": 1e9}}, "its loop lagged"),
    ({"client": {**CLIENT, "events_per_read": 50.0}}, "50.0 events in a read"),
    ({"client": {**CLIENT, "achieved_concurrency": 0.1}}, "0.1 requests in flight"),
    ({"tokens": {**TOKENS, "cached_share": 0.9}}, "90.0% of the prompt tokens came from"),
    ({"tokens": {**TOKENS, "cached_share": -0.9}}, "cached_share is -0.9"),
    ({"tokens": {**TOKENS, "acceptance_length": 3.0}}, "the server speculates"),
    ({"tokens": {**TOKENS, "acceptance_length": 0.5}}, "acceptance_length is 0.5"),
    ({"tokens": {**TOKENS, "tokens_per_event": 0.0}}, "tokens_per_event is 0"),
    ({"tokens": None}, "does not say what its tokens were"),
    ({"error": {"throughput": -1.0, "interactivity": 0.0}}, "an error below 0"),
    ({"asked_error": -0.01}, "an error below 0"),
    ({"asked_error": 0.99}, "known to 0.99, its run asked for a number of requests"),
    ({"window.end_s": -1.0}, "its window takes"),
    ({"ttft.mean_s": -1.0}, "ttft is"),
    ({"request_latency.p99_s": 0.0}, "request_latency is"),
]


@pytest.mark.parametrize(("changes", "why"), FORGED, ids=lambda each: each if isinstance(each, str) else "")
def test_a_forged_point_is_never_a_pass(recorded: Repository, changes: Mapping[str, Any], why: str) -> None:
    """Failures, resent requests, the client's check of itself, tokens, error: each named in place of a verdict."""
    journal = journal_of(recorded)
    forge(journal, changes)
    result = recorded.run(f"--precgate-replay={journal.parent.name}")
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"E *InvalidPointError: concurrency *: not a point: *{why}*"])
    result.stdout.no_fnmatch_line("* PASS*")


FORGED_ERRORS = [
    ({"asked_error": None}, "does not say the error it was to be known to"),
    (
        {"asked_error": 0.99, "error": {"throughput": 0.2, "interactivity": 0.2}},
        "to 0.99, its run asked for an error of 0.02",
    ),
]


@pytest.mark.parametrize(("changes", "why"), FORGED_ERRORS, ids=["missing", "another"])
def test_a_point_is_known_to_the_error_its_run_asked_for(
    repository: Repository, changes: Mapping[str, Any], why: str
) -> None:
    """A point without the error asked for, or with a wider one, would pass with any error of its own."""
    repository.write_settings(SETTINGS.replace("requests_per_slot = 4", "point_error = 0.02"))
    assert repository.run("--precgate-update").ret == 0
    journal = journal_of(repository)
    repository.run(f"--precgate-replay={journal.parent.name}").stdout.no_fnmatch_line("*InvalidPointError*")
    forge(journal, changes)
    result = repository.run(f"--precgate-replay={journal.parent.name}")
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"E *InvalidPointError: concurrency *: not a point: *{why}*"])
    result.stdout.no_fnmatch_line("* PASS*")


def test_a_run_whose_settings_do_not_say_when_a_point_ends_is_refused(recorded: Repository) -> None:
    """Their keys are missing: nothing tells how well its points were to be known."""
    journal = journal_of(recorded)
    head, *rest = journal.read_text(encoding="ascii").splitlines()
    event = {name: value for name, value in json.loads(head).items() if name != "sha256"}
    event["settings"] = {name: value for name, value in event["settings"].items() if "stop_rule" not in name}
    head = _canonical({**event, "sha256": _digest(event)})
    journal.write_text("\n".join([head, *rest]) + "\n", encoding="ascii")
    result = recorded.run(f"--precgate-replay={journal.parent.name}")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *InvalidPointError: *the settings of its run do not say when a point ends*"])


def test_an_unforged_run_passes_again(recorded: Repository) -> None:
    """The same journal, its digests computed anew."""
    journal = journal_of(recorded)
    forge(journal, {"client": CLIENT})
    result = recorded.run(f"--precgate-replay={journal.parent.name}")
    assert result.ret == 0


@pytest.mark.parametrize("drop_finish", [False, True], ids=["finished", "unfinished"])
def test_a_resumed_run_takes_no_forged_point(recorded: Repository, drop_finish: bool) -> None:
    """Neither of a finished launch nor of one that goes on."""
    journal = journal_of(recorded)
    forge(journal, {"failed": 3}, drop_finish)
    result = recorded.run(f"--precgate-resume={journal.parent.name}")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *InvalidPointError: *3 requests failed, at most 0 may*"])
