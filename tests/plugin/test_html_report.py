"""The HTML report through pytest: written where it is asked for, and kept in the run's folder."""

from __future__ import annotations

import json

import pytest

from pytest_precgate.cli import main
from pytest_precgate.journal.directory import REPORT
from tests.plugin.paced import SETTINGS, Paced
from tests.repository import Repository


def test_a_failed_run_writes_its_page(accepted: Repository) -> None:
    """With the verdict first; a page that cannot be written fails the run, as other reports do."""
    accepted.write_points(fp4=0.9)
    assert accepted.run("--precgate-html=out/page.html").ret == 1
    text = (accepted.path / "out" / "page.html").read_text(encoding="utf-8")
    assert '<h1 class="bad">Failed: kimi</h1>' in text
    assert "FP4 throughput_per_gpu fell 10.0% at 55, 73 and 91 tok/s/user" in text
    accepted.write_points()
    (accepted.path / "taken").mkdir()
    result = accepted.run("--precgate-html=taken")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*taken: the html report cannot be written: Is a directory*"])


def test_the_page_of_a_test_that_failed_by_itself_does_not_say_passed(accepted: Repository) -> None:
    """Its gates passed, and an assertion of its own after them did not: the run failed, and so does its page."""
    accepted.write_test(
        'def test_fp4_pays_off(precgate):\n    precgate.check(precgate.compare("fp4", "int4"))\n    assert 1 == 2\n'
    )
    assert accepted.run("--precgate-html=page.html").ret == 1
    text = (accepted.path / "page.html").read_text(encoding="utf-8")
    assert '<h1 class="bad">Failed: the run has problems</h1>' in text
    assert "test_kimi.py::test_fp4_pays_off: assert 1 == 2" in text
    assert "<h1>Passed" not in text


def test_a_measured_run_keeps_its_report_and_a_replay_leaves_it(
    repository: Repository, paced: Paced, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`precgate report` shows the verdicts later, and without them what the journal holds."""
    repository.write_settings(SETTINGS)
    paced()
    assert repository.run("--precgate-update").ret == 0
    paced(fp4=[1.1])
    assert repository.run().ret == 1
    newest = max((repository.path / ".precgate" / "runs").iterdir())
    kept = json.loads((newest / REPORT).read_text(encoding="utf-8"))
    assert kept["suites"][0]["run"] == newest.name
    assert {key.partition(".")[0] for key in kept["suites"][0]["settings"]} == {"fp4", "int4"}
    before = (newest / REPORT).read_bytes()
    assert repository.run(f"--precgate-replay={newest.name}").ret == 1
    assert (newest / REPORT).read_bytes() == before
    monkeypatch.chdir(repository.path)
    assert main(["report", "latest", "-o", "page.html"]) == 0
    page = (repository.path / "page.html").read_text(encoding="utf-8")
    assert '<h1 class="bad">Failed: kimi</h1>' in page
    assert "SIMULATED" in page
    (newest / REPORT).unlink()
    assert main(["report", "latest", "-o", "page.html"]) == 0
    assert "the run left no verdicts" in (repository.path / "page.html").read_text(encoding="utf-8")
