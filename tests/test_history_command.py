"""`precgate history`: git and the file of runs in, text or a page out; what is not there is a remark or exit 2."""

from __future__ import annotations

import io
import math
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_precgate.baselines.schema import dump
from pytest_precgate.cli import main
from pytest_precgate.history.entry import GateEntry, HistoryEntry
from pytest_precgate.history.file import append
from tests.builders.baselines import FP4, RECORDED, kimi_baseline, launch, scaled
from tests.environment.test_origin import git
from tests.environment.test_revisions import committed
from tests.published import kimi

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")

RUNS = "trends/precgate.jsonl"


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def state(factor: float, reason: str) -> str:
    launches = [launch(scaled(kimi("fp4"), factor)).rounded(), launch(kimi("int4")).rounded()]
    return dump(replace(kimi_baseline(), launches=launches, anchors=(), recorded=replace(RECORDED, reason=reason)))


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    """A baseline that two people changed, between them a merge that went wrong."""
    git(tmp_path, "init", "--quiet")
    path = tmp_path / "baselines" / "kimi.json"
    committed(path, state(1.0, "first"), "Record kimi", "Ada Lovelace")
    committed(path, "<<<<<<< HEAD\n", "Merge", "Mallory")
    committed(path, state(1.02, ""), "A faster kernel", "Grace Hopper")
    return path


def judged(tmp_path: Path, runs: int = 30) -> None:
    """A history whose second half is 8% lower, of a gate of the baseline."""
    append(
        tmp_path / RUNS,
        [
            HistoryEntry(
                *("kimi", f"2026-10-{number + 1:02}T06:00:00Z", f"{number:040x}", "0.1.0", "passed"),
                accepted=False,
                gates=[GateEntry("t.py::t", FP4, "PASS", 1000 * math.exp(0.003 * math.sin(number)) * level, 1000.0)],
            )
            for number in range(runs)
            for level in [1.0 if number < runs // 2 else 0.92]
        ],
    )


def test_who_changed_the_baseline_and_why(baseline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Author, commit, time and reason; a commit that cannot be read is named and skipped."""
    assert baseline.is_file()
    assert main(["history", "kimi"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("kimi: 3 revisions of its baseline in git\n")
    assert "Grace Hopper: no reason given (A faster kernel)" in out
    assert "Ada Lovelace: first" in out
    assert "Mallory: skipped, it cannot be read: kimi.json of" in out
    rows = [line for line in out.splitlines() if line.startswith("fp4 throughput_per_gpu")]
    assert [row.split()[-2] for row in rows] == ["1048.7"]


def test_runs_are_drawn_with_their_change_points(
    baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commit of the first run after it is told; a gate without runs is drawn over its accepted states."""
    assert baseline.is_file()
    judged(tmp_path)
    assert main(["history", "kimi", "--history", RUNS]) == 0
    out = capsys.readouterr().out
    assert "kimi: 30 runs, 2026-10-01 to 2026-10-30; 3 revisions of its baseline in git" in out
    assert "(worse) since 2026-10-16, commit 000000000000" in out
    assert "runs or states" in out
    assert "fp4/int4 throughput_ratio  55" in out


def test_a_page_is_written(baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing is printed."""
    assert baseline.is_file()
    judged(tmp_path)
    assert main(["history", "kimi", "--history", RUNS, "-o", "page.html"]) == 0
    assert capsys.readouterr().out == ""
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h1>History: kimi</h1>" in page
    assert "Grace Hopper" in page


def test_what_is_not_committed_is_the_newest_state(baseline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As long as it differs from the last commit; also where the file was never committed."""
    baseline.write_text(state(1.1, "on trial"), encoding="utf-8")
    assert main(["history", "kimi"]) == 0
    assert "uncommitted  this directory: on trial" in capsys.readouterr().out
    (baseline.parent / "new.json").write_text(state(1, "x").replace('"suite": "kimi"', '"suite": "new"'), "utf-8")
    assert main(["history", "new"]) == 0
    assert "new: 1 revision of its baseline" in capsys.readouterr().out


def test_a_removed_baseline_is_still_told(baseline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its last states are in git."""
    committed(baseline.with_name("other.json"), "{}", "other")
    committed(baseline, None, "No longer served", "Eve")
    assert main(["history", "kimi"]) == 0
    assert "Eve: removed the file (No longer served)" in capsys.readouterr().out


def test_without_git_the_runs_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And the file that is there; a remark says why there is no more."""
    judged(tmp_path)
    assert main(["history", "kimi", "--history", RUNS]) == 0
    assert "note: revisions of the baseline are not shown: git cannot be run" in capsys.readouterr().out
    (tmp_path / "baselines").mkdir()
    (tmp_path / "baselines" / "kimi.json").write_text(state(1, "first"), encoding="utf-8")
    assert main(["history", "kimi"]) == 0
    out = capsys.readouterr().out
    assert "this directory: first" in out
    assert "not a git repository" in out.replace("\n", " ")


def test_a_shallow_clone_says_what_to_do(
    baseline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """CI clones one commit, unless it is told otherwise."""
    assert baseline.is_file()
    git(tmp_path, "clone", "--quiet", "--depth=1", tmp_path.as_uri(), "clone")
    monkeypatch.chdir(tmp_path / "clone")
    assert main(["history", "kimi"]) == 0
    assert "git fetch --unshallow" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["llama"], "suite 'llama': there is no history: baselines/llama.json has no commit that can be read; no --h"),
        (["llama", "--history", RUNS], f"{RUNS} has no run of it"),
        (["kimi", "--history", "nowhere"], "nowhere: there is no such file; name the one that --precgate-history"),
        (["kimi", "--history", "damaged"], "damaged: is not JSON"),
        (["../kimi"], "got '../kimi', wanted the name of a suite, not a path"),
        (["kimi\nx"], "wanted the name of a suite"),
        (["kimi", "-o", "nowhere/page.html"], "nowhere/page.html: cannot be written"),
    ],
)
def test_what_cannot_be_shown_exits_2(
    baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    """A line on stderr, and nothing else."""
    assert baseline.is_file()
    judged(tmp_path)
    (tmp_path / "damaged").write_text("{\n", encoding="utf-8")
    assert main(["history", *arguments]) == 2
    captured = capsys.readouterr()
    assert why in captured.err
    assert captured.out == ""


def test_a_terminal_without_blocks_gets_plain_characters(
    baseline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the encoding of standard output has none; a name is written with escapes."""
    committed(baseline, state(1.01, "second"), "x", "Jürgen")
    judged(tmp_path)
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["history", "kimi", "--history", RUNS]) == 0
    out.seek(0)
    printed = out.read()
    assert "####____" in printed
    assert "J\\xfcrgen: second" in printed
