"""--precgate-resume and --precgate-replay through pytest, and what a run that was killed leaves behind."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.repository import Repository

SETTINGS = """\
[tool.precgate.suites.kimi]
hardware = "b200"
workload = { isl = 64, osl = 32, range_ratio = 0.8 }
interactivity = [90, 120]
baseline_launches = 1

[tool.precgate.suites.kimi.fp4]
engine = "simulated"
calibration = "kimi-k2.5-b200-fp4-tp4"
concurrency = [1, 2, 4, 8, 16]
requests_per_slot = 4
noise = { launch_sigma = 0.01, step_sigma = 0.02 }

[tool.precgate.suites.kimi.int4]
engine = "simulated"
calibration = "kimi-k2.5-b200-int4-tp8"
concurrency = [1, 2, 4, 8]
requests_per_slot = 4
noise = { launch_sigma = 0.01, step_sigma = 0.02 }
"""
SEARCHED = re.sub(r"concurrency = .*\nrequests_per_slot = .*\n", "min_concurrency = 1\n", SETTINGS)

# A run that dies by its own hand at one line of its journal: before it is written, half way through, or right after.
DEADLY = """\
import os, signal
from pytest_precgate.journal.file import Journal

at, when = os.environ["DIE_AT_LINE"].split()
write, append, lines = os.write, Journal.append, [1]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def half(descriptor, data):
    write(descriptor, data[: len(data) // 2])
    die()

def deadly(self, event):
    lines[0] += 1
    mine = lines[0] == int(at)
    if mine and when == "before":
        die()
    if mine and when == "half":
        os.write = half
    append(self, event)
    if mine:
        die()

Journal.append = deadly
"""


@pytest.fixture
def simulated(repository: Repository) -> Repository:
    """A suite on the simulated engine with noise, so that every figure depends on its seed; its baseline recorded."""
    return recorded(repository, SETTINGS)


def recorded(repository: Repository, settings: str) -> Repository:
    repository.write_settings(settings)
    repository.record()
    return repository


def journals(repository: Repository) -> list[Path]:
    """Every journal, the oldest run first."""
    return sorted(repository.path.glob(".precgate/runs/*/journal.jsonl"))


def checks(repository: Repository, name: str) -> object:
    """Every gate's value, baseline and verdict, to the last digit."""
    return json.loads((repository.path / name).read_text(encoding="utf-8"))["checks"]


def killed(repository: Repository, monkeypatch: pytest.MonkeyPatch, line: int, when: str) -> Path:
    """The journal of a run that was killed at a line of it."""
    (repository.path / "conftest.py").write_text(DEADLY, encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setenv("DIE_AT_LINE", f"{line} {when}")
        assert repository.run_apart().ret == -signal.SIGKILL
    (repository.path / "conftest.py").unlink()
    return journals(repository)[-1]


def untimed(line: bytes) -> str:
    """A line of a journal without when its launch was opened, and the digest that follows from it."""
    fields = json.loads(line)
    return json.dumps({name: value for name, value in fields.items() if name not in ("utc", "sha256")}, sort_keys=True)


@pytest.mark.parametrize("settings", [SETTINGS, SEARCHED], ids=["a grid", "a search"])
def test_a_run_killed_at_any_moment_is_finished_by_resuming_it(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, settings: str
) -> None:
    """kill -9 at five seeded moments: every finished point is kept, the journal and the verdict end as undisturbed."""
    simulated = recorded(repository, settings)
    assert simulated.run("--precgate-json=whole.json").ret == 0
    *_, undisturbed = journals(simulated)
    lines = undisturbed.read_bytes().splitlines(keepends=True)
    assert len(lines) > 10
    rng = random.Random(20261124)
    for when in ("before", "half", "after", "before", "half"):
        at = rng.randint(2, len(lines))
        path = killed(simulated, monkeypatch, at, when)
        assert path != undisturbed
        left = path.read_bytes()
        whole = at if when == "after" else at - 1
        assert left.count(b"\n") == whole
        assert left.endswith(b"\n") == (when != "half")
        result = simulated.run("--precgate-resume=latest", "--precgate-json=resumed.json")
        assert result.ret == 0
        result.stdout.fnmatch_lines([f"precgate: suite kimi goes on with {path.parent.name}: *"])
        assert checks(simulated, "resumed.json") == checks(simulated, "whole.json")
        resumed = path.read_bytes().splitlines(keepends=True)
        assert resumed[:whole] == left.splitlines(keepends=True)[:whole]
        assert {*map(untimed, lines[1:])} == {*map(untimed, resumed[1:])}
        points = [line for line in resumed if b'"event": "point"' in line]
        assert points == [line for line in lines if b'"event": "point"' in line]


def test_a_run_can_be_killed_over_and_over(simulated: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each resumption adds to the same journal; nothing is measured twice."""
    assert simulated.run("--precgate-json=whole.json").ret == 0
    path = killed(simulated, monkeypatch, 4, "half")
    monkeypatch.setenv("PYTEST_ADDOPTS", f"--precgate-resume={path.parent.name}")
    assert killed(simulated, monkeypatch, 4, "after") == path
    assert simulated.run("--precgate-json=resumed.json").ret == 0
    assert checks(simulated, "resumed.json") == checks(simulated, "whole.json")
    events = [json.loads(line)["event"] for line in path.read_text(encoding="ascii").splitlines()]
    assert events.count("point") == 9
    assert events.count("launch") == 4


def test_a_replay_holds_today_s_tolerances_and_points(simulated: Repository) -> None:
    """The very figures of the run; a tolerance, a point, a price set since then are what counts."""
    simulated.change_settings('fp4-tp4"\n', 'fp4-tp4"\nslowdown = 0.03\n')
    assert simulated.run("--precgate-json=slow.json").ret == 1
    replay = ("--precgate-replay=latest", "--precgate-json=again.json")
    result = simulated.run(*replay)
    assert result.ret == 1
    assert checks(simulated, "again.json") == checks(simulated, "slow.json")
    result.stdout.fnmatch_lines(
        ["warning: suite kimi: nothing was measured: replays *-kimi-*, measured *Z at commit *"]
    )
    simulated.change_settings("interactivity = [90, 120]", "interactivity = [90, 120]\ntolerance = 0.2")
    assert simulated.run(*replay).ret == 0
    simulated.change_settings("[90, 120]", "[90, 120, 130]")
    result = simulated.run(*replay)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["MISSING *at 130*"])
    assert len(journals(simulated)) == 2


def test_a_replay_says_which_points_its_run_was_not_searched_for(repository: Repository) -> None:
    """A point between the searched ones is read all the same, one beyond them is not; neither is passed over."""
    simulated = recorded(repository, SEARCHED)
    assert "not searched" not in simulated.run("--precgate-replay=latest").stdout.str()
    simulated.change_settings("[90, 120]", "[40, 90, 105, 120]")
    result = simulated.run("--precgate-replay=latest", "--precgate-json=again.json")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [f"warning: suite kimi: {name} was not searched for 105, 40 tok/s/user: its run *" for name in ("fp4", "int4")]
    )
    report = json.loads((simulated.path / "again.json").read_text(encoding="utf-8"))["checks"][0]
    verdicts = {gate["point"]: gate["verdict"] for gate in report["gates"]}
    assert verdicts == {40: "INCONCLUSIVE", 90: "PASS", 105: "MISSING", 120: "PASS"}


def test_a_replay_writes_the_baseline_of_a_finished_run(simulated: Repository) -> None:
    """With the commit, time and tool of the run that measured it."""
    simulated.change_settings('fp4-tp4"\n', 'fp4-tp4"\nslowdown = 0.2\n')
    simulated.change_settings("baseline_launches = 1", "baseline_launches = 1\nmax_launches = 1")
    assert simulated.run().ret == 1
    header = json.loads(journals(simulated)[-1].read_text(encoding="ascii").splitlines()[0])
    meant = ("--precgate-lower-anchor", "--precgate-reason=slower, and meant")
    result = simulated.run("--precgate-replay=latest", "--precgate-update", *meant)
    assert result.ret == 0
    recorded = json.loads(simulated.baseline.read_text(encoding="utf-8"))["recorded"]
    assert {key: recorded[key] for key in ("commit", "utc", "tool_version")} == {
        key: header[key] for key in ("commit", "utc", "tool_version")
    }
    assert simulated.run("--precgate-replay=latest").ret == 0


def test_a_replay_of_an_unfinished_run_fails_and_writes_nothing(
    simulated: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A curve that ends early is no curve; the way to finish it is said."""
    before = simulated.baseline.read_text(encoding="utf-8")
    path = killed(simulated, monkeypatch, 11, "after")
    result = simulated.run(f"--precgate-replay={path.parent}", "--precgate-update", "--precgate-reason=x")
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"E *has 2 points of the unfinished int4; *--precgate-resume={path.parent.name}*"])
    assert simulated.baseline.read_text(encoding="utf-8") == before


def test_recorded_points_are_read_from_their_file_in_a_replay(repository: Repository) -> None:
    """They were measured elsewhere: a run keeps no copy of them."""
    repository.write_settings(
        SETTINGS.split("[tool.precgate.suites.kimi.int4]", maxsplit=1)[0]
        .replace("isl = 64, osl = 32", "isl = 1024, osl = 1024")
        .replace("[90, 120]", "[85, 100]")
        + '[tool.precgate.suites.kimi.int4]\nengine = "recorded"\npath = "points.csv"\n'
    )
    assert repository.run("--precgate-update").ret == 0
    journal = journals(repository)[0].read_bytes()
    assert b'"precision": "fp4"' in journal
    assert b'"precision": "int4"' not in journal
    assert repository.run("--precgate-replay=latest").ret == 0
    repository.write_points(int4=0.5)
    result = repository.run("--precgate-replay=latest")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["fp4 throughput_per_gpu * 0.0% PASS*", "int4 throughput_per_gpu * -50.0% REGRESSED*"])


def test_a_run_that_measures_nothing_leaves_nothing(repository: Repository) -> None:
    """Recorded points have their own file: no directory is made."""
    assert repository.run("--precgate-update").ret == 0
    assert not (repository.path / ".precgate").exists()


def test_other_settings_are_refused_by_name_and_measure_nothing(simulated: Repository) -> None:
    """The points of two settings never stand in one curve."""
    simulated.change_settings('fp4-tp4"\n', 'fp4-tp4"\nseed = 3\n')
    before = [path.read_bytes() for path in journals(simulated)]
    result = simulated.run("--precgate-resume=latest")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["E *RunDiffersError: *the points of kimi are not reused: fp4.seed is 3, the run's was 0. Restore *"]
    )
    assert [path.read_bytes() for path in journals(simulated)] == before


def test_a_failed_launch_says_how_to_go_on(simulated: Repository) -> None:
    """What was measured before the failure is not lost, and the summary says by which flag."""
    (simulated.path / "conftest.py").write_text(
        "from pytest_precgate.engines.simulated import engine\n"
        "from pytest_precgate.errors import InvalidPointError\n"
        "measure = engine.measure\n"
        "def failing(run, gpus, window, **asked):\n"
        "    if (run.concurrency, gpus) == (8, 8):\n"
        "        raise InvalidPointError(8, 'a stand-in failure')\n"
        "    return measure(run, gpus, window, **asked)\n"
        "engine.measure = failing\n",
        encoding="utf-8",
    )
    result = simulated.run_apart()
    assert result.ret == 1
    name = journals(simulated)[-1].parent.name
    result.stdout.fnmatch_lines(
        [f"warning: suite kimi: int4 not finished; what was measured is kept, go on with --precgate-resume={name}"]
    )


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--precgate-resume=latest"], "latest: no such run in *.precgate/runs; there is none"),
        (["--precgate-replay=yesterday"], "yesterday: no such run in *.precgate/runs; there is none"),
        (["--precgate-replay="], "*holds no journal.jsonl of a run*"),
        (["--precgate-resume=a", "--precgate-replay=b"], "--precgate-resume and --precgate-replay: give one of them"),
    ],
)
def test_a_run_that_cannot_be_used_exits_4(repository: Repository, arguments: list[str], why: str) -> None:
    """Before anything is collected or started."""
    result = repository.run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *{why}"])


def test_a_damaged_journal_fails_by_line_and_stays_as_it_is(simulated: Repository) -> None:
    """No figure of it is judged."""
    path = journals(simulated)[-1]
    damaged = path.read_bytes().replace(b'"throughput_per_gpu": 1', b'"throughput_per_gpu": 2', 1)
    assert damaged != path.read_bytes()
    path.write_bytes(damaged)
    for flag in ("replay", "resume"):
        result = simulated.run(f"--precgate-{flag}=latest")
        assert result.ret == 1
        result.stdout.fnmatch_lines(["E *JournalCorruptError: *does not follow from its own digest*@ line *"])
        assert path.read_bytes() == damaged


@pytest.mark.parametrize("flag", ["resume", "replay"])
def test_under_ci_the_flags_stand_on_the_command_line_or_nowhere(
    simulated: Repository, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    """In a configuration file they would let an old measurement stand for every new commit."""
    monkeypatch.setenv("CI", "true")
    (simulated.path / "pytest.ini").write_text(f"[pytest]\naddopts = --precgate-{flag}=latest\n", encoding="utf-8")
    result = simulated.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --precgate-{flag}: under CI it is accepted on the command line alone*"])
    assert simulated.run(f"--precgate-{flag}=latest").ret == 0


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_baseline_that_is_rewritten_does_not_cost_the_finished_points(simulated: Repository) -> None:
    """A run that goes on finds its tree as it was; another changed file still refuses it."""
    assert simulated.run("--precgate-update").ret == 0
    (simulated.path / "engine.py").write_text("old\n", encoding="utf-8")
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "engine.py", "baselines"], [*who, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", *words], cwd=simulated.path, check=True)
    assert simulated.run().ret == 0
    text = simulated.baseline.read_text(encoding="utf-8")
    simulated.baseline.write_text(text.replace('"reason": ""', '"reason": "rewritten"'), encoding="utf-8")
    assert simulated.baseline.read_text(encoding="utf-8") != text
    assert simulated.run("--precgate-resume=latest").ret == 0
    (simulated.path / "engine.py").write_text("new\n", encoding="utf-8")
    result = simulated.run("--precgate-resume=latest")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *RunDiffersError: *commit is *-dirty, the run's was *"])


def test_a_refused_update_says_how_it_is_recorded_without_measuring_again(simulated: Repository) -> None:
    """The run by its name, and the flags; they record what was measured, and nothing more is."""
    simulated.change_settings('fp4-tp4"\n', 'fp4-tp4"\nslowdown = 0.1\n')
    result = simulated.run("--precgate-update")
    assert result.ret == 1
    *_, refused = journals(simulated)
    (line,) = (each for each in result.outlines if "not written: it would " in each and each.startswith("FAIL"))
    flags = (
        *(f"--precgate-replay={refused.parent.name}", "--precgate-update", "--precgate-lower-anchor"),
        "--precgate-reason",
    )
    assert f'is kept: to record it without an engine: {" ".join(flags)} "...", with the other flags' in line
    before = len(journals(simulated))
    again = simulated.run(*flags, "slower")
    assert again.ret == 0
    again.stdout.fnmatch_lines(["baselines/kimi.json: written, reason: slower"])
    assert len(journals(simulated)) == before


def test_a_run_whose_gates_failed_says_how_to_judge_it_again(simulated: Repository) -> None:
    """Every launch is finished, so it is a replay's flag; a wider tolerance passes. A replay says nothing."""
    simulated.change_settings('fp4-tp4"\n', 'fp4-tp4"\nslowdown = 0.1\n')
    result = simulated.run()
    assert result.ret == 1
    *_, failed = journals(simulated)
    flag = f"--precgate-replay={failed.parent.name}"
    result.stdout.fnmatch_lines([f"suite kimi: what was measured is kept: judge it again, *, with {flag}"])
    result.stdout.no_fnmatch_line("*--precgate-resume*")
    simulated.change_settings("baseline_launches = 1", "baseline_launches = 1\ntolerance = 0.8\nimplausible = 0.9")
    assert simulated.run(flag).ret == 0
    simulated.change_settings("tolerance = 0.8", "tolerance = 0.01")
    again = simulated.run(flag)
    assert again.ret == 1
    again.stdout.no_fnmatch_line("*what was measured is kept*")


def test_an_edited_baseline_is_found_before_anything_is_launched(simulated: Repository) -> None:
    """Half an hour of measuring would be judged by nothing: exit 1 without a run, and the plan is a usage error."""
    text = simulated.baseline.read_text(encoding="utf-8")
    value = re.search(r'"value": ([0-9.]+)', text)
    assert value is not None
    simulated.baseline.write_text(text.replace(value[0], f'"value": {float(value[1]) * 1.1:.6g}', 1), encoding="utf-8")
    before = journals(simulated)
    result = simulated.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *BaselineCorruptError: kimi.json: *edited by hand or merged badly*"])
    assert journals(simulated) == before
    planned = simulated.run("--precgate-plan")
    assert planned.ret == pytest.ExitCode.USAGE_ERROR
    planned.stderr.fnmatch_lines(["ERROR: precgate: kimi.json: *edited by hand or merged badly*"])
