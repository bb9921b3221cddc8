"""--precgate-history through pytest: a line per judged suite, and a warning where accepted states sink."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.plugin.paced import QUIET, SETTINGS, Paced
from tests.repository import TEST, Repository

HISTORY = "--precgate-history=trend.jsonl"


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def test_every_judged_run_is_a_line(repository: Repository) -> None:
    """Recorded, judged, failed: what was accepted, the verdicts, the figures."""
    path = repository.path / "trend.jsonl"
    assert repository.run(HISTORY, "--precgate-update").ret == 0
    assert repository.run(HISTORY).ret == 0
    repository.write_points(fp4=0.9)
    assert repository.run(HISTORY).ret == 1
    found = lines(path)
    assert [(each["outcome"], each["accepted"]) for each in found] == [
        ("recorded", True),
        ("passed", False),
        ("failed", False),
    ]
    first = found[0]["gates"][0]  # type: ignore[index]
    assert first["anchor"] == first["value"]
    gates = found[2]["gates"]
    assert isinstance(gates, list)
    assert {gate["verdict"] for gate in gates} == {"REGRESSED", "PASS"}
    assert found[2]["launches"] == [
        {"gpus": [], "node": None, "precision": name, "utc": None} for name in ("fp4", "int4")
    ]


def test_accepted_states_that_sink_are_told_with_their_beginning(repository: Repository, paced: Paced) -> None:
    """A loss of 2.5% that nobody takes back: five states below the anchor, and the history says since when."""
    repository.write_settings(SETTINGS)
    for merge in range(7):
        slower = 1 + (merge > 0) * (0.0095 + merge / 1e4)
        paced(fp4=[pace * slower for pace in QUIET], int4=QUIET)
        result = repository.run(HISTORY, "--precgate-update", "--precgate-reason=a test")
        if any("accepted states sink" in line for line in result.outlines):
            break
        if result.ret:
            pytest.fail("refused before the history saw it")
    result.stdout.fnmatch_lines(
        [
            "warning: suite kimi: accepted states sink: fp4* since 20*Z (commit *), in * accepted states by now *% "
            "worse than its anchor; look at the merges since"
        ]
    )
    paced()
    assert any("accepted states sink" in line for line in repository.run(HISTORY).outlines)


def test_launches_and_gates_that_join_a_state_are_no_new_one(repository: Repository, paced: Paced) -> None:
    """Accepted, and without an anchor: the sum would count the state twice."""
    repository.write_settings(SETTINGS)
    paced(fp4=QUIET, int4=QUIET)
    assert repository.run(HISTORY, "--precgate-update").ret == 0
    paced(fp4=[pace * 1.0003 for pace in QUIET], int4=[pace * 1.0003 for pace in QUIET])
    assert repository.run(HISTORY, "--precgate-update-add").ret == 0
    repository.write_test(TEST + TEST.replace("pays_off", "other"))
    assert repository.run(HISTORY, "--precgate-update-new-only").ret == 0
    first, added, more = lines(repository.path / "trend.jsonl")
    assert [each["accepted"] for each in (first, added, more)] == [True] * 3
    anchors = [[gate["anchor"] is not None for gate in each["gates"]] for each in (first, added, more)]  # type: ignore[attr-defined]
    assert (all(anchors[0]), any(anchors[1])) == (True, False)
    assert anchors[2].count(True) == len(anchors[0])  # those of the new test alone


def test_the_path_is_an_ini_key_from_the_root_directory(accepted: Repository) -> None:
    """The flag's is from where pytest was called; both are made with their folders."""
    (accepted.path / "pytest.ini").write_text("[pytest]\nprecgate_history = trends/a.jsonl\n", encoding="utf-8")
    assert accepted.run().ret == 0
    assert len(lines(accepted.path / "trends" / "a.jsonl")) == 1
    assert accepted.run("--precgate-history=b.jsonl").ret == 0
    assert len(lines(accepted.path / "b.jsonl")) == 1


@pytest.mark.parametrize("variable", ["CI", "BUILD_NUMBER"])
def test_a_history_that_is_missing_under_ci_is_a_usage_error(
    accepted: Repository, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Exit 4, nothing is measured: a trend that begins with every run would show nothing. An empty file begins one."""
    monkeypatch.setenv(variable, "17")
    result = accepted.run(HISTORY)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --precgate-history or ini key precgate_history: *trend.jsonl: is not there, and under CI it is not *"]
    )
    (accepted.path / "trend.jsonl").touch()
    assert accepted.run(HISTORY).ret == 0
    assert len(lines(accepted.path / "trend.jsonl")) == 1


@pytest.mark.parametrize("name", ["baselines", "x" * 5000])
def test_a_history_that_can_be_no_file_is_a_usage_error(accepted: Repository, name: str) -> None:
    """A folder, a name no file system holds."""
    result = accepted.run(f"--precgate-history={name}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --precgate-history or ini key precgate_history: *; wanted the file of the *"])


def test_a_damaged_line_fails_the_run_by_name(accepted: Repository) -> None:
    """The verdicts stand in the report all the same, and the file is left as it is."""
    path = accepted.path / "trend.jsonl"
    path.write_text("nonsense\n", encoding="utf-8")
    result = accepted.run(HISTORY)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*9 gates: 9 PASS*", "FAIL: *trend.jsonl: is not JSON *; remove the line, or *@ line 1"]
    )
    assert path.read_bytes() == b"nonsense\n"


def test_a_history_of_a_newer_version_is_left_as_it_is(accepted: Repository) -> None:
    """As the message says: exit 1, and not a byte more."""
    path = accepted.path / "trend.jsonl"
    assert accepted.run(HISTORY).ret == 0
    newer = path.read_bytes().replace(b'"schema": 1', b'"schema": 2')
    path.write_bytes(newer)
    result = accepted.run(HISTORY)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["FAIL: *trend.jsonl: line 1: schema 2 was written by a newer *; the file is left as it is"]
    )
    assert path.read_bytes() == newer


@pytest.mark.parametrize("figure", ["-1", "0.0"])
def test_an_anchor_that_is_not_positive_fails_the_run_by_name(repository: Repository, figure: str) -> None:
    """Edited or damaged: the gate table stands, and the file is named."""
    path = repository.path / "trend.jsonl"
    assert repository.run(HISTORY, "--precgate-update").ret == 0
    path.write_text(re.sub(r'"anchor": [0-9.]+', f'"anchor": {figure}', path.read_text("ascii")), encoding="ascii")
    result = repository.run(HISTORY)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*9 gates: 9 PASS*", "FAIL: *trend.jsonl: got *, wanted a number from *@ line 1: *anchor"]
    )


def test_an_interrupted_run_is_no_line(accepted: Repository) -> None:
    """It has judged half."""
    accepted.write_test("def test_first(precgate):\n    raise KeyboardInterrupt\n", "test_a.py")
    assert accepted.run_apart(HISTORY).ret == pytest.ExitCode.INTERRUPTED
    assert not (accepted.path / "trend.jsonl").exists()
