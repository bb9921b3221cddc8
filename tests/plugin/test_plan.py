"""--precgate-plan: what would be launched is told, and nothing is: no engine, no run, no file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.plugin.sites import Site
from tests.plugin.test_runs import SETTINGS
from tests.repository import Repository

START = "requests_per_slot = 4\nstart_s = 900"
TESTS = """\
def test_gate(precgate):
    precgate.check(precgate.compare("fp4", "int4"))

def test_sweep(fp4_sweep):
    raise AssertionError("was run")

def test_up(fp4_engine):
    raise AssertionError("was run")

def test_other():
    raise AssertionError("was run")
"""


@pytest.fixture
def simulated(repository: Repository) -> Repository:
    """A suite on the simulated engine whose launches take 15 minutes each."""
    repository.write_settings(SETTINGS.replace("requests_per_slot = 4", START))
    repository.write_test(TESTS)
    return repository


def files(repository: Repository) -> dict[Path, bytes]:
    """Every file there is, but for what Python and pytest keep for themselves."""
    paths = [path for path in repository.path.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {path: path.read_bytes() for path in paths}


def plan(result: pytest.RunResult) -> list[str]:
    """The section, its columns one blank apart."""
    lines = result.outlines
    start = next(number for number, line in enumerate(lines) if "precgate plan" in line)
    return [re.sub(" +", " ", line) for line in lines[start + 1 :]]


def test_a_plan_runs_and_writes_nothing(simulated: Repository) -> None:
    """Exit 0, every launch with its points, minutes, dollars and source, a total; no test, no run, no baseline."""
    before = files(simulated)
    result = simulated.run("--precgate-plan", "--precgate-json=g.json")
    assert result.ret == 0
    result.assert_outcomes()
    assert files(simulated) == before
    told = plan(result)
    figures = r"\d+\.\d+ \d+\.\d+ \$\d+\.\d\d SIMULATED, kimi-k2\.5-b200"
    assert told[3] == "kimi: 3 tests on b200 at $1.95 per GPU-hour"
    assert re.match(rf"fp4 \(simulated\) 1 5 60\.0 {figures}-fp4-tp4; start_s", told[5])
    assert re.match(rf"int4 \(simulated\) 1 4 120\.0 {figures}-int4-tp8; start_s", told[6])
    assert re.match(r"total: 2 launches, \d+\.\d virtual GPU-minutes, SIMULATED, \$\d+\.\d\d$", told[0])


def test_a_simulated_plan_is_what_the_run_then_costs(simulated: Repository) -> None:
    """To the last digit told: the plan runs the same simulation, and so does an update."""
    (planned,) = [line for line in plan(simulated.run("--precgate-plan")) if line.startswith("total: ")]
    assert plan(simulated.run("--precgate-plan", "--precgate-update"))[0] == planned
    result = simulated.run("--precgate-update", "-k", "gate")
    (costs,) = [line for line in result.outlines if "cost of this run" in line]
    minutes, dollars = re.findall(r"launches, (\S+) virtual .*(\$\S+)$", planned)[0]
    assert f", {minutes} virtual GPU-minutes, SIMULATED " in costs
    assert f", {dollars} at $1.95" in costs


def test_a_plan_is_of_the_selected_tests(simulated: Repository) -> None:
    """By -k and -m; one that measures nothing plans nothing."""
    assert [line.split()[0] for line in plan(simulated.run("--precgate-plan", "-k", "sweep"))[5:6]] == ["fp4"]
    assert "int4" not in "".join(plan(simulated.run("--precgate-plan", "-k", "sweep")))
    result = simulated.run("--precgate-plan", "-k", "other")
    assert result.ret == 0
    assert "no selected test measures anything" in plan(result)
    talks = plan(simulated.run("--precgate-plan", "-k", "up"))
    assert re.match(r"fp4 \(simulated\) 0 - - - - -", talks[5])


@pytest.mark.parametrize(
    ("flags", "launches"),
    [
        ([], "1 to 3"),
        (["--precgate-max-launches=1"], "1"),
        (["--precgate-launch-rule=median"], "3 to 5"),
        (["--precgate-update"], "4"),
    ],
)
def test_a_plan_knows_how_many_launches_a_verdict_takes(simulated: Repository, flags: list[str], launches: str) -> None:
    """By launch rule and max_launches against a baseline; a baseline has as many launches as the suite says."""
    simulated.change_settings("baseline_launches = 1", "baseline_launches = 4")
    assert simulated.run("--precgate-update", "-k", "gate").ret == 0
    told = plan(simulated.run("--precgate-plan", "-k", "gate", *flags))
    assert told[5].startswith(f"fp4 (simulated) {launches} 5 ")
    assert told[6].startswith(f"int4 (simulated) {launches} 4 ")


def test_a_plan_of_pairs_holds_both_sides(simulated: Repository) -> None:
    """Five launches of each precision on each of them."""
    text = (simulated.path / "pyproject.toml").read_text(encoding="utf-8")
    simulated.write_settings(f"{text}\n[tool.precgate.suites.kimi.paired.release.fp4]\nslowdown = 0.01\n")
    told = plan(simulated.run("--precgate-plan", "-k", "gate", "--precgate-paired-with=release"))
    assert [line.split(":")[0] for line in told if " test on " in line] == ["kimi", "kimi@release"]
    assert sum(line.startswith(("fp4 (simulated) 5 5 ", "int4 (simulated) 5 4 ")) for line in told) == 4
    assert any(line.startswith("total: 20 launches, ") for line in told)


def test_a_plan_holds_the_launches_that_would_confirm_a_regression(simulated: Repository) -> None:
    """None where everything passes, at most as many as a verdict takes where something regresses."""
    assert simulated.run("--precgate-update", "-k", "gate").ret == 0
    text = (simulated.path / "pyproject.toml").read_text(encoding="utf-8")
    simulated.write_settings(f"{text}\n[tool.precgate.suites.kimi.paired.accepted.fp4]\nslowdown = 0.01\n")
    told = plan(simulated.run("--precgate-plan", "-k", "gate"))
    assert [line.split(":")[0] for line in told if " test on " in line] == ["kimi", "kimi@accepted"]
    assert sum(line.startswith(("fp4 (simulated) 0 to 3 ", "int4 (simulated) 0 to 3 ")) for line in told) == 2
    assert any(line.startswith("total: 2 to 12 launches, ") for line in told)


def test_a_narrow_terminal_loses_no_source(simulated: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns the total is the first line, the table fits, and where its figures are from stands below it."""
    monkeypatch.setenv("COLUMNS", "80")
    result = simulated.run_short("--precgate-plan", "-k", "gate")
    start = next(number for number, line in enumerate(result.outlines) if "precgate plan" in line)
    lines = result.outlines[start + 1 :]
    assert lines[0].startswith("total: 2 launches, ")
    assert max(map(len, lines)) <= 80
    assert "fp4 (simulated) from: SIMULATED, kimi-k2.5-b200-fp4-tp4; start_s" in " ".join(lines)


def test_a_plan_and_a_collection_are_told_together(simulated: Repository) -> None:
    """--collect-only lists the tests, the plan follows."""
    result = simulated.run("--precgate-plan", "--collect-only")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*<Function test_gate>*", "*precgate plan*", "total: 2 launches, *"])


def test_what_a_server_took_is_planned_from_the_baseline(site: Site) -> None:
    """Commit and time of it; a launch that changed its concurrencies is told from a simulation."""
    assert site.repository.run("--precgate-update").ret == 0
    baseline = json.loads(site.repository.baseline.read_text(encoding="utf-8"))
    recorded = f"baseline of {baseline['recorded']['commit'][:12]}, {baseline['recorded']['utc']}"
    before = files(site.repository)
    result = site.repository.run("--precgate-plan")
    assert result.ret == 0
    assert files(site.repository) == before
    assert site.starts(result) == {"fp4": 0, "int4": 0}
    told = plan(result)
    figures = r"\d\S+ \d\S+ \d\S+ to \d\S+ \$\S+ to \$\S+"
    assert re.match(rf"fp4 \(trtllm\) 1 to 3 2 {figures} {re.escape(recorded)}", told[5])
    assert re.match(rf"int4 \(vllm\) 1 to 3 2 {figures} {re.escape(recorded)}", told[6])
    assert re.match(r"total: 2 to 6 launches, \d\S+ to \d\S+ GPU-minutes, \$\S+ to \$\S+$", told[0])
    site.repository.change_settings("[1, 8]", "[1, 4, 8]")
    told = plan(site.repository.run("--precgate-plan"))
    assert re.match(r"fp4 \(trtllm\) 1 to 3 3 not known \d\S+ at least \d\S+ at least \$\S+ SIMULATED, kimi", told[5])
    assert re.match(r"total: 2 to 6 launches, at least \d\S+ GPU-minutes, \$\S+, and what is not known$", told[0])


def test_an_unknown_cost_is_no_zero(site: Site) -> None:
    """No baseline and no calibration for the hardware: the points that are set, and the start that is."""
    site.repository.change_settings('hardware = "b200"', 'hardware = "h100"')
    told = plan(site.repository.run("--precgate-plan"))
    assert told[5].strip() == "fp4 (trtllm) 1 2 not known not known not known not known points: settings"
    assert told[0] == "total: 2 launches, what they take is not known"
    site.repository.change_settings(
        'model = "nvidia/Kimi-K2.5-NVFP4"', 'model = "nvidia/Kimi-K2.5-NVFP4"\nstart_s = 600'
    )
    told = plan(site.repository.run("--precgate-plan"))
    assert told[5].strip() == ("fp4 (trtllm) 1 2 40.0 not known at least 40.0 at least $0.87 points: settings; start_s")
    assert told[0] == "total: 2 launches, at least 40.0 GPU-minutes, $0.87, and what is not known"


def test_a_rehearsal_is_planned_as_one(site: Site) -> None:
    """The simulated engine in place of both servers."""
    told = plan(site.repository.run("--precgate-plan", "--precgate-engine=simulated"))
    assert told[5].startswith("fp4 (simulated) 1 2 not known ")
    assert re.match(r"total: 2 launches, at least \d\S+ virtual GPU-minutes, SIMULATED, ", told[0])


def test_recorded_points_are_planned_to_cost_nothing(repository: Repository) -> None:
    """A file is read."""
    told = plan(repository.run("--precgate-plan"))
    assert told[4].strip() == "fp4 (recorded) 0 - - - - - takes no GPU"


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--precgate-resume=latest"], "--precgate-plan and --precgate-resume: give one of them"),
        (["--precgate-replay=latest"], "--precgate-plan and --precgate-replay: give one of them; a replay launches"),
        (["-p", "xdist", "-n", "1"], "--precgate-plan: under pytest-xdist only its workers know the tests"),
    ],
)
def test_what_cannot_be_planned_is_refused(simulated: Repository, flags: list[str], why: str) -> None:
    """As a usage error that says why."""
    assert simulated.run("--precgate-update", "-k", "gate").ret == 0
    result = simulated.run("--precgate-plan", *flags)
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*{why}*"])


def test_a_plan_in_a_configuration_file_is_refused_under_ci(
    simulated: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would switch every gate off."""
    monkeypatch.setenv("CI", "true")
    simulated.write_settings(SETTINGS + '\n[tool.pytest.ini_options]\naddopts = "--precgate-plan"\n')
    result = simulated.run()
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--precgate-plan: under CI it is accepted on the command line alone*"])


def test_tests_that_cannot_be_collected_end_a_plan_as_a_run(simulated: Repository) -> None:
    """A plan without them would be too cheap; with pytest's own flag the rest is planned and the exit is 1."""
    simulated.write_test("import nothing_of_that_name\n", "test_broken.py")
    result = simulated.run("--precgate-plan")
    assert result.ret == 2
    result.stdout.no_fnmatch_line("*precgate plan*")
    result = simulated.run("--precgate-plan", "--continue-on-collection-errors")
    assert result.ret == 1
    assert "kimi: 3 tests on b200 at $1.95 per GPU-hour" in plan(result)


def test_a_baseline_that_cannot_be_read_is_said(simulated: Repository) -> None:
    """Not planned past."""
    simulated.baseline.parent.mkdir()
    simulated.baseline.write_text("{", encoding="utf-8")
    result = simulated.run("--precgate-plan")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*precgate: baselines/kimi.json*is not whole JSON*"])


def test_a_plan_counts_the_launches_of_every_mark(simulated: Repository) -> None:
    """Launches are shared by the tests of a suite: the one that may take most decides."""
    simulated.write_test(
        "import pytest\n\n"
        + "\n".join(
            f"@pytest.mark.precgate(max_launches={max_launches})\ndef test_{max_launches}(precgate):\n"
            "    precgate.check(precgate.compare('fp4', 'int4'))\n"
            for max_launches in (1, 7)
        )
    )
    assert simulated.run("--precgate-update").ret == 0
    (row,) = [line for line in plan(simulated.run("--precgate-plan")) if line.startswith("fp4 (simulated) ")]
    assert row.startswith("fp4 (simulated) 1 to 7 5 ")
