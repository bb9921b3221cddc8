"""--precgate-paired-with: both sides launched in turn, and no baseline in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugin.paced import JSON, QUIET, SETTINGS, Paced, gates, launches
from tests.plugin.sites import Site
from tests.repository import Repository

SIDE = """
[tool.precgate.suites.kimi.paired.release.fp4]
seed = 1
slowdown = 0.0

[tool.precgate.suites.kimi.paired.release.int4]
seed = 1
"""
PAIRED = "--precgate-paired-with=release"


@pytest.fixture
def sides(repository: Repository, paced: Paced) -> Repository:
    """A suite without a baseline whose other side is the same state; launches scatter by a quarter of a percent."""
    repository.write_settings(SETTINGS + SIDE)
    paced(fp4=QUIET, int4=QUIET[::-1])
    return repository


def test_both_sides_are_launched_in_turn_and_no_baseline_is_needed(sides: Repository) -> None:
    """Five pairs of each precision; the report says what the gates were held against."""
    result = sides.run(PAIRED, JSON)
    assert result.ret == 0
    found = gates(sides).values()
    assert {gate["launches"] for gate in found} == {5}
    assert all(gate["sigma"] is not None for gate in found)
    result.stdout.fnmatch_lines(["*passed, 6 gates: 6 PASS against fresh launches of release, median of 5 pairs"])
    runs = sorted(path.name.split("Z-")[1].rsplit("-", 1)[0] for path in sides.path.glob(".precgate/runs/*"))
    assert runs == ["kimi", "kimi@release"]
    assert not sides.baseline.exists()


def test_a_slower_candidate_fails_against_the_other_side(sides: Repository) -> None:
    """Its own FP4 gates and the ratio, each by the pair in the middle."""
    sides.change_settings('fp4-tp4"\n', 'fp4-tp4"\nslowdown = 0.08\n')
    result = sides.run(PAIRED, JSON)
    assert result.ret == 1
    verdicts = {key: gate["verdict"] for key, gate in gates(sides).items()}
    assert {verdict for (quantity, _), verdict in verdicts.items() if "int4 t" not in quantity[:6]} == {"REGRESSED"}
    assert verdicts["int4 throughput_per_gpu", 85] == "PASS"
    result.stdout.fnmatch_lines(
        [
            "SIMULATED FP4 throughput_per_gpu fell * to *% at 85 and 100 tok/s/user",
            "against fresh launches of release (tolerance 2.5%, catches *%)",
            "median of 5 pairs, noise floor *%: find the cause, or waive it (details)",
        ]
    )
    result.stdout.fnmatch_lines(
        ["note: fp4, int4: seed is 0, release's is 1", "note: fp4: slowdown is 0.08, release's is 0.0"]
    )


def test_what_slows_both_sides_alike_fails_no_pair(sides: Repository, paced: Paced) -> None:
    """A machine 4% slower than on the day of the baseline: REGRESSED by the baseline, PASS in pairs."""
    assert sides.run("--precgate-update").ret == 0
    paced(fp4=[1.04 * pace for pace in QUIET], int4=[1.04 * pace for pace in QUIET])
    assert sides.run().ret == 1
    assert sides.run(PAIRED).ret == 0


def test_a_baseline_of_another_making_names_the_sides_there_are(sides: Repository) -> None:
    """Where the fingerprint differs, pairs are the way to judge."""
    assert sides.run("--precgate-update").ret == 0
    sides.change_settings('fp4-tp4"\n', 'fp4-tp4"\nwindow = "whole"\n')
    result = sides.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["MISMATCH *window is whole*", "note: to judge *--precgate-paired-with=release"])


def test_fewer_pairs_are_the_user_s_choice(sides: Repository) -> None:
    """Three pairs of each precision."""
    assert sides.run(PAIRED, "--precgate-max-launches=3", JSON).ret == 0
    assert {gate["launches"] for gate in gates(sides).values()} == {3}
    assert launches(sides) == {"fp4": 3, "int4": 3}


def test_pairs_are_replayed_without_measuring(sides: Repository) -> None:
    """Both sides' journals are read; the verdicts are the same."""
    assert sides.run(PAIRED, JSON).ret == 0
    before = gates(sides)
    result = sides.run(PAIRED, JSON, "--precgate-replay=latest")
    assert result.ret == 0
    assert gates(sides) == before
    result.stdout.fnmatch_lines(["warning: suite kimi@release: nothing was measured: replays *"])


def test_searched_sides_measure_each_other_s_points(repository: Repository, paced: Paced) -> None:
    """The old state is launched first, and each further launch holds its points: none is missing on either side."""
    searched = (SETTINGS + SIDE).replace("concurrency = [4, 8, 16, 32]\n", "").replace("[2, 4, 8, 16]", '"search"')
    repository.write_settings(searched)
    pace = [1.0, 1.02, 0.98, 1.01, 0.99]
    paced(fp4=pace, int4=pace[::-1])
    result = repository.run(PAIRED, JSON)
    assert not any("was not measured" in line for line in result.stdout.lines)
    assert {gate["launches"] for gate in gates(repository).values()} == {5}


def test_stored_gates_count_as_used(sides: Repository) -> None:
    """They are judged, by something better than the baseline."""
    assert sides.run("--precgate-update").ret == 0
    result = sides.run(PAIRED)
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*not used by this run*")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--precgate-paired-with=relaese"], "*no side 'relaese' to be judged against; did you mean 'release'*"),
        ([PAIRED, "--precgate-update"], "ERROR: --precgate-paired-with: pairs are held against no baseline*"),
        (
            [PAIRED, "--precgate-max-launches=4"],
            "ERROR: precgate: max_launches: got 4, wanted an odd number for a median*",
        ),
    ],
)
def test_a_pair_that_cannot_be_is_a_usage_error(sides: Repository, flags: list[str], said: str) -> None:
    """Before anything starts."""
    result = sides.run(*flags)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([said])
    assert not (sides.path / ".precgate").exists()


def test_under_ci_the_other_side_is_named_on_the_command_line(
    sides: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a configuration file it would take the committed baseline out of force."""
    monkeypatch.setenv("CI", "true")
    (sides.path / "pytest.ini").write_text(f"[pytest]\naddopts = {PAIRED}\n", encoding="utf-8")
    result = sides.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --precgate-paired-with: under CI it is accepted on the command line alone*"])
    assert sides.run(PAIRED).ret == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("release.fp4]\nseed = 1", "release.fp4]\nsede = 1", "*unknown key 'sede'*"),
        ("paired.release.fp4]", "paired.release.fp8]", "*unknown key 'fp8'* @ *.paired.release"),
        ("paired.release.fp4]", "paired.'a b'.fp4]", "*a side's name becomes part of a directory's* @ *.paired.a b"),
    ],
)
def test_a_side_that_cannot_be_used_is_refused_where_it_stands(
    sides: Repository, old: str, new: str, said: str
) -> None:
    """By key, as the suite's own tables are."""
    sides.change_settings(old, new)
    result = sides.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: precgate: {said}"])


@pytest.mark.parametrize("table", ["]", ".fp4]", ".fp4]\nseed = 0", '.fp4]\nengine = "simulated"'])
def test_a_side_without_a_difference_is_refused(sides: Repository, table: str) -> None:
    """It would hold the suite against itself."""
    sides.write_settings(SETTINGS + f"\n[tool.precgate.suites.kimi.paired.release{table}\n")
    result = sides.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*differ*@ *.paired.release"])


def test_servers_of_both_sides_take_turns(site: Site) -> None:
    """Another command for one side: never two servers at once, each started as often as there are pairs."""
    other = site.path / "bin" / "trtllm-release"
    site.write_program("trtllm-serve", "--token-s 0.005 --stream-s 0.001")
    prefix = other.with_name("prefix")
    prefix.write_text('#!/bin/sh\nexec "$@"\n', encoding="utf-8")
    prefix.chmod(0o755)
    side = f'\n[tool.precgate.suites.kimi.paired.release.fp4]\nlaunch_prefix = ["{prefix}"]\n'
    text = (site.path / "pyproject.toml").read_text(encoding="utf-8")
    site.repository.write_settings(text + side)
    result = site.repository.run(PAIRED, "--precgate-max-launches=1")
    assert result.ret == 0
    assert site.starts(result) == {"fp4": 2, "int4": 2}
    lines = [line for line in result.outlines if line.startswith(("precgate: starting ", "precgate: stopping "))]
    words = [line.split()[1] for line in lines]
    assert words == ["starting", *["stopping", "starting"] * 3]
    records = sorted(path.parent.parent.name for path in Path(site.path).glob(".precgate/runs/*/*/launch.json"))
    assert sum("@release" in name for name in records) == 2
    assert site.running() == []


def test_every_launch_of_a_verdict_is_a_fresh_server(site: Site) -> None:
    """Three baseline launches of each precision: six starts, one at a time, nothing left."""
    site.repository.change_settings("baseline_launches = 1", "baseline_launches = 3")
    result = site.repository.run("--precgate-update")
    assert result.ret == 0
    assert site.starts(result) == {"fp4": 3, "int4": 3}
    lines = [line for line in result.outlines if line.startswith(("precgate: starting ", "precgate: stopping "))]
    assert [line.split()[1] for line in lines] == ["starting", *["stopping", "starting"] * 5]
    assert site.running() == []


def test_a_side_that_could_never_start_is_refused_before_anything_is_loaded(site: Site) -> None:
    """Half an hour of loading for nothing, where the other side's checkpoint is not there."""
    side = '\n[tool.precgate.suites.kimi.paired.release.fp4]\nmodel = "nobody/nothing"\n'
    site.repository.write_settings((site.path / "pyproject.toml").read_text(encoding="utf-8") + side)
    result = site.repository.run(PAIRED)
    assert result.ret == 1
    assert site.starts(result) == {"fp4": 0, "int4": 0}
    result.stdout.fnmatch_lines(["E *PreflightError: *nobody/nothing*"])


def test_recorded_points_make_no_pair(repository: Repository) -> None:
    """A file is one launch, on either side: a usage error, before anything live is launched."""
    text = (repository.path / "pyproject.toml").read_text(encoding="utf-8")
    repository.write_settings(f'{text}\n[tool.precgate.suites.kimi.paired.release.fp4]\npath = "other.csv"\n')
    result = repository.run(PAIRED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: precgate: *recorded points are one launch; pairs need engines that run*"])


def test_sides_of_a_simulation_draw_launches_of_their_own(repository: Repository) -> None:
    """Two sides with the same random numbers would not differ, with any noise."""
    noisy = SETTINGS.replace("requests_per_slot = 4", "requests_per_slot = 4\nnoise = { launch_sigma = 0.002 }")
    repository.write_settings(f"{noisy}\n[tool.precgate.suites.kimi.paired.release.fp4]\nslowdown = 0.000001\n")
    assert repository.run(PAIRED, JSON).ret == 0
    assert all(abs(gate["change"]) > 1e-4 for gate in gates(repository).values())  # type: ignore[arg-type]


def test_two_checks_of_a_suite_with_three_precisions_each_name_their_own(sides: Repository) -> None:
    """What one test launched of the other side says nothing in the other test's report."""
    text = (sides.path / "pyproject.toml").read_text(encoding="utf-8")
    third = SETTINGS.split("[tool.precgate.suites.kimi.fp4]")[1].split("[tool")[0]
    sides.write_settings(f"{text}\n[tool.precgate.suites.kimi.fp8]{third}")
    sides.write_test(
        "def test_a(precgate):\n    precgate.check(precgate.compare('fp4', 'int4'))\n"
        "def test_b(precgate):\n    precgate.check(precgate.compare('fp8', 'int4'))\n"
    )
    result = sides.run(PAIRED)
    result.assert_outcomes(passed=2)


def test_pairs_do_not_say_that_a_waiver_of_the_baseline_is_not_needed(sides: Repository) -> None:
    """They tell nothing of the regression that it waives; the next run against the baseline does."""
    waiver = (
        '\n[[tool.precgate.waive]]\nsuite = "kimi"\nmetric = "throughput_per_gpu"\nprecision = "fp4"\npoint = 85\n'
        'ceiling = 0.1\nreason = "kernel rewritten"\nexpires = 2999-12-31\n'
    )
    sides.write_settings((sides.path / "pyproject.toml").read_text(encoding="utf-8") + waiver)
    result = sides.run(PAIRED)
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*waiver of suite*")
