"""Baselines that grow over days and sink over merges, through pytest: the simulated engine with paces a test sets."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from pytest_precgate.analysis.gating.limits import MOST_LAUNCHES
from pytest_precgate.cli import main
from pytest_precgate.errors import InvalidValueError
from pytest_precgate.settings import Policy
from tests.plugin.paced import JSON, QUIET, SETTINGS, Paced, gates, launches, verdicts
from tests.repository import TEST, Repository

REASON = "--precgate-reason=a test"
ADD = "--precgate-update-add"


@pytest.fixture
def day_one(repository: Repository, paced: Paced) -> Repository:
    """A suite whose baseline holds two launches of each precision."""
    repository.write_settings(SETTINGS)
    paced(fp4=[1.0, 1.003], int4=[1.0, 1.002])
    result = repository.run("--precgate-update", "--precgate-update-launches=2")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["  holds 2 of fp4, 2 of int4 launches: sigma is not known before it holds 3*"])
    assert launches(repository) == {"fp4": 2, "int4": 2}
    return repository


def held(repository: Repository) -> list[str]:
    """The precision of each launch of the baseline, in the file's order."""
    return [each["precision"] for each in json.loads(repository.baseline.read_text(encoding="utf-8"))["launches"]]


def test_a_baseline_of_few_launches_grows_by_those_of_later_days(day_one: Repository, paced: Paced) -> None:
    """Two launches have no sigma, and the report says so; with two more there is one."""
    result = day_one.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["noise unknown: the baseline has fewer than 3 launches*"])
    paced(fp4=[0.998, 1.001], int4=[0.999, 1.001])
    added = day_one.run(ADD, "--precgate-update-launches=2")
    assert added.ret == 0
    added.stdout.no_fnmatch_line("*sigma is not known before*")
    assert held(day_one) == ["fp4"] * 4 + ["int4"] * 4
    document = json.loads(day_one.baseline.read_text(encoding="utf-8"))
    assert all(gate["sigma"] > 0 for gate in document["gates"])
    assert all("utc" in launch for launch in document["launches"])
    assert len(document["history"]) == 1
    paced()
    assert day_one.run(JSON).ret == 0
    assert verdicts(day_one) == {"PASS"}


def test_without_a_number_an_addition_takes_what_a_baseline_is_made_of(day_one: Repository, paced: Paced) -> None:
    """Five."""
    paced(fp4=[pace * 1.0005 for pace in QUIET], int4=[pace * 1.0005 for pace in QUIET])
    assert day_one.run(ADD).ret == 0
    assert held(day_one) == ["fp4"] * 7 + ["int4"] * 7


def test_nothing_is_added_where_there_is_no_baseline(repository: Repository) -> None:
    """Exit 1, before anything is measured."""
    repository.write_settings(SETTINGS)
    result = repository.run(ADD)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *UnlikeBaselineError: there is no baseline to add launches to; record one with *"])
    assert not (repository.path / ".precgate").exists()


def test_launches_of_another_state_are_not_added(day_one: Repository, paced: Paced) -> None:
    """Other gates, other settings of the engine, the launches that are there: exit 1 by name, the file as it was."""
    before = day_one.baseline.read_bytes()
    repeated = day_one.run(ADD, "--precgate-update-launches=2")
    assert repeated.ret == 1
    repeated.stdout.fnmatch_lines(["FAIL: baselines/kimi.json: not written: launch 1 of fp4 is in the baseline *"])
    paced(fp4=[1.001], int4=[1.001])
    day_one.change_settings("[85, 100]", "[85, 90, 100]")
    others = day_one.run(ADD)
    assert others.ret == 1
    others.stdout.fnmatch_lines(["E *UnlikeBaselineError: its gates are others: the baseline has no gate *at 90 *"])
    day_one.change_settings("[85, 90, 100]", "[85, 100]")
    day_one.change_settings("osl = 64", "osl = 65")
    unlike = day_one.run(ADD)
    assert unlike.ret == 1
    unlike.stdout.fnmatch_lines(["E *UnlikeBaselineError: its launches are of another *osl is 65, the baseline's is*"])
    assert launches(day_one) == {"fp4": 1, "int4": 1}  # no further one is measured for nothing
    assert day_one.baseline.read_bytes() == before


def test_a_replay_that_holds_fewer_launches_is_refused_and_one_of_more_gives_as_many(
    day_one: Repository, paced: Paced
) -> None:
    """A judged run took one launch of each; five were asked for, then one of the two there are."""
    paced(fp4=[1.001, 1.002], int4=[1.001, 1.002])
    assert day_one.run().ret == 0
    result = day_one.run(ADD, "--precgate-replay=latest", "--precgate-update-launches=3")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["E *holds 1 launches of fp4, as a verdict took *, and a baseline is made of 3 (--precgate-update-launches);*"]
    )
    assert day_one.run(ADD, "--precgate-replay=latest", "--precgate-update-launches=1").ret == 0
    assert held(day_one) == ["fp4"] * 3 + ["int4"] * 3


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        ((ADD, "--precgate-update"), "--precgate-update and --precgate-update-add: give one of them"),
        ((ADD, "--precgate-update-new-only"), "--precgate-update-new-only and --precgate-update-add: give one of them"),
        ((ADD, "--precgate-paired-with=old"), "--precgate-paired-with: pairs are held against no baseline*"),
        (("--precgate-update-launches=2",), "--precgate-update-launches: no baseline is measured without *"),
        (
            ("--precgate-update-new-only", "--precgate-update-launches=2"),
            "--precgate-update-launches: no baseline *",
        ),
        ((ADD, "--precgate-update-launches=0"), "--precgate-update-launches: got 0, wanted 1 to 1000 launches"),
        (
            (ADD, f"--precgate-update-launches={MOST_LAUNCHES + 1}"),
            "--precgate-update-launches: got 1001, wanted 1 to 1000 launches",
        ),
        (
            ("--precgate-lower-anchor",),
            "--precgate-lower-anchor: accepts a new state for good; it needs *-update*",
        ),
        ((ADD, "--precgate-lower-anchor"), "--precgate-lower-anchor: *; it needs --precgate-reason TEXT"),
    ],
)
def test_flags_that_contradict_are_a_usage_error(repository: Repository, flags: tuple[str, ...], why: str) -> None:
    """Exit 4, nothing is measured."""
    result = repository.run(*flags)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {why}"])


def test_a_policy_that_adds_updates_and_takes_launches() -> None:
    """What the flags cannot say is refused as well."""
    with pytest.raises(InvalidValueError, match=r"Policy\.update_add: adding to a baseline is an update"):
        Policy(update_add=True)
    with pytest.raises(InvalidValueError, match=r"Policy\.update_launches: got 0, wanted a whole number of at least 1"):
        Policy(update=True, update_launches=0)


@pytest.mark.parametrize("flags", [ADD, f"--precgate-update --precgate-lower-anchor '{REASON}'"])
def test_under_ci_a_configuration_file_must_not_update(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, flags: str
) -> None:
    """A job that updates says so in its command."""
    (repository.path / "pytest.ini").write_text(f"[pytest]\naddopts = {flags}\n", encoding="utf-8")
    monkeypatch.setenv("CI", "true")
    result = repository.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --precgate-*: under CI it is accepted on the command line alone, *"])


def test_a_frog_is_noticed(repository: Repository, paced: Paced) -> None:
    """Each step a little longer, accepted each time: the update asks for another flag, and then goes on."""
    repository.write_settings(SETTINGS)
    refused = None
    for merge in range(8):
        slower = 1.004**merge
        paced(fp4=[pace * slower for pace in QUIET], int4=QUIET)
        result = repository.run("--precgate-update", REASON)
        if result.ret:
            refused = merge
            break
    assert refused is not None
    result.stdout.fnmatch_lines(["FAIL: baselines/kimi.json: not written: it would leave *% worse than its anchor, *"])
    assert 2 <= refused <= 5
    assert repository.run("--precgate-update", REASON, "--precgate-lower-anchor").ret == 0
    assert repository.run(JSON).ret == 0
    assert "DRIFTED" not in verdicts(repository)


def test_a_gate_far_below_its_anchor_blocks_though_it_passes_its_baseline(repository: Repository, paced: Paced) -> None:
    """DRIFTED, exit 1, with the state it fell from; it takes an accepted loss and another one inside the tolerance."""
    repository.write_settings(SETTINGS)
    still = [1.0, 1.0003, 0.9997, 1.0002, 0.9998]
    repository.change_settings("interactivity", "tolerance = 0.03\ninteractivity")
    for slower in (1.0, 1.01):
        paced(fp4=[pace * slower for pace in still], int4=still)
        assert repository.run("--precgate-update", REASON).ret == 0
    paced(fp4=[1.02], int4=[1.0])
    result = repository.run(JSON)
    assert result.ret == 1
    assert "DRIFTED" in verdicts(repository)
    assert gates(repository)["int4 throughput_per_gpu", 85]["verdict"] == "PASS"
    result.stdout.fnmatch_lines(
        ["DRIFTED  fp4 throughput_per_gpu at 100 *; passes against its baseline and is *% worse than its anchor, *"]
    )


def _one_target(repository: Repository, paced: Paced, test: str | None = None) -> Callable[..., pytest.RunResult]:
    """Two accepted states at 85, the second with 3% less throughput of FP4; return what runs pytest at a pace."""
    repository.write_settings(SETTINGS.replace("[85, 100]", "[85]"))
    if test is not None:
        repository.write_test(test, "test_b.py")
    still = [1.0, 1.0003, 0.9997, 1.0002, 0.9998]

    def run(slower: float, *flags: str) -> pytest.RunResult:
        paced(fp4=[pace * slower for pace in still], int4=still)
        return repository.run(*flags)

    for slower in (1.0, 1.011):
        assert run(slower, "--precgate-update", REASON).ret == 0
    return run


def _refused_at(result: pytest.RunResult, gate: str) -> None:
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [f"FAIL: baselines/kimi.json: not written: it would leave *{gate}* worse than its anchor, *"]
    )


def test_a_target_beside_the_old_one_does_not_lower_the_anchor(repository: Repository, paced: Paced) -> None:
    """Added with the gates of another run, then the old target is dropped: the update asks for the flag."""
    run = _one_target(repository, paced)
    repository.change_settings("[85]", "[85, 86]")
    assert run(1.011, "--precgate-update-new-only").ret == 0
    repository.change_settings("[85, 86]", "[86]")
    _refused_at(run(1.022, "--precgate-update", REASON), "fp4 throughput_per_gpu at 86")


def test_cost_in_place_of_throughput_does_not_lower_the_anchor(repository: Repository, paced: Paced) -> None:
    """Nor does the way back."""
    run = _one_target(repository, paced)
    repository.change_settings('["throughput_ratio", "throughput_per_gpu"]', '["cost_ratio", "cost"]')
    _refused_at(run(1.022, "--precgate-update", REASON), "fp4 cost at 85")
    assert run(1.011, "--precgate-update", REASON).ret == 0
    repository.change_settings('["cost_ratio", "cost"]', '["throughput_ratio", "throughput_per_gpu"]')
    _refused_at(run(1.022, "--precgate-update", REASON), "fp4 throughput_per_gpu at 85")


def test_a_renamed_test_that_was_pruned_first_does_not_lower_the_anchor(repository: Repository, paced: Paced) -> None:
    """Its gates come back with --precgate-update-new-only."""
    other = "import pytest\n\n\n@pytest.mark.precgate(points=[100])\n" + TEST.replace("pays_off", "other")
    run = _one_target(repository, paced, other)
    repository.write_test(TEST.replace("pays_off", "renamed"))
    repository.pytester.chdir()
    assert main(["baseline", "prune", "--reason=renamed"]) == 0
    assert run(1.011, "--precgate-update-new-only").ret == 0
    _refused_at(run(1.022, "--precgate-update", REASON), "fp4/int4 throughput_ratio at 85")


def test_a_baseline_without_its_anchor_fails_by_name(repository: Repository, paced: Paced) -> None:
    """Its key removed, or a gate of a state: DRIFTED does not become PASS."""
    run = _one_target(repository, paced)
    whole = json.loads(repository.baseline.read_text(encoding="utf-8"))
    (state,) = whole["oldest_accepted"]
    emptied = {**whole, "oldest_accepted": [{**state, "gates": state["gates"][1:]}]}
    without = {name: value for name, value in whole.items() if name != "oldest_accepted"}
    for edited in (emptied, without):
        repository.baseline.write_text(json.dumps(edited), encoding="utf-8")
        result = run(1.015)
        assert result.ret == 1
        result.stdout.fnmatch_lines(["*baselines/kimi.json: *Restore the file from version control*oldest_accepted*"])


def test_what_one_test_records_and_another_holds_asks_for_a_reason(repository: Repository) -> None:
    """Both precisions lose 2%, so no ratio moves: the first test's mark only records the throughput of the second."""
    repository.write_test(
        "import pytest\n"
        '@pytest.mark.precgate(tolerance={"throughput_per_gpu": {"gate": "record"}})\n'
        "def test_a(precgate):\n"
        '    precgate.check(precgate.compare("fp4", "int4"))\n'
        "def test_b(precgate):\n"
        '    precgate.check(precgate.compare("fp4", "int4"))\n'
    )
    assert repository.run("--precgate-update").ret == 0
    repository.write_points(fp4=0.98, int4=0.98)
    result = repository.run("--precgate-update")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*not written: it would make fp4 throughput_per_gpu at 55 tok/s/user*easier to pass*"])
