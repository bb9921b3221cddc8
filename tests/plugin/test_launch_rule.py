"""How many launches a verdict takes, through pytest: the simulated engine with a pace per launch that the test sets."""

from __future__ import annotations

import json

import pytest

from tests.plugin.paced import JSON, QUIET, SETTINGS, Paced, gates, launches, verdicts
from tests.repository import Repository

WORKLOAD = "isl = 1024, osl = 1024, range_ratio = 0.8"  # the recorded points


@pytest.fixture
def recorded(repository: Repository, paced: Paced) -> Repository:
    """A suite whose baseline holds five launches that scatter by a quarter of a percent."""
    repository.write_settings(SETTINGS)
    paced(fp4=QUIET, int4=QUIET)
    repository.record(about=QUIET)
    paced()
    return repository


def test_a_baseline_keeps_every_launch_raw_and_the_noise_of_every_gate(recorded: Repository) -> None:
    """Five launches of each precision, and a sigma per gate; the terminal says them."""
    baseline = json.loads(recorded.baseline.read_text(encoding="utf-8"))
    names = [launch["precision"] for launch in baseline["launches"]]
    assert (names.count("fp4"), names.count("int4")) == (5, 5)
    fp4 = [gate["sigma"] for gate in baseline["gates"] if gate["precision"] == "fp4"]
    assert all(0.003 < sigma < 0.012 for sigma in fp4)
    result = recorded.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["catches, launches *at 85 *at 100*", "fp4/int4 throughput_ratio *.*% (to *.*%), 1 *"])


def test_an_unchanged_suite_passes_on_its_first_launch(recorded: Repository) -> None:
    """One launch of each precision, and no more."""
    assert recorded.run(JSON).ret == 0
    assert launches(recorded) == {"fp4": 1, "int4": 1}
    assert {gate["launches"] for gate in gates(recorded).values()} == {1}


def test_an_outlier_launch_costs_another_one_and_blocks_no_merge(recorded: Repository, paced: Paced) -> None:
    """FP4's first launch is 10% slow, its second is not: PASS after two. INT4's own gates never waited."""
    paced(fp4=[1.1, 1.0])
    assert recorded.run(JSON).ret == 0
    found = gates(recorded)
    assert found["fp4 throughput_per_gpu", 85]["launches"] == 2
    assert found["fp4/int4 throughput_ratio", 85]["launches"] == 2
    assert found["int4 throughput_per_gpu", 85]["launches"] == 1
    assert launches(recorded) == {"fp4": 2, "int4": 2}


def test_no_precision_is_launched_again_that_no_waiting_gate_reads(recorded: Repository, paced: Paced) -> None:
    """Where only FP4's own throughput is gated and low, INT4 starts once."""
    recorded.change_settings('metrics = ["throughput_ratio", "throughput_per_gpu"]', 'metrics = ["throughput_per_gpu"]')
    paced(fp4=[1.1, 1.0])
    assert recorded.run(JSON, "--precgate-unused=ignore").ret == 0
    assert launches(recorded) == {"fp4": 2, "int4": 1}


def test_a_gate_fails_only_when_every_launch_is_low(recorded: Repository, paced: Paced) -> None:
    """1.2% longer steps, three launches of it: REGRESSED, the best one shown beside the tolerance."""
    paced(fp4=[1.012])
    result = recorded.run(JSON)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["REGRESSED  fp4 throughput_per_gpu at 85 *% worse than its baseline, beyond the tolerance (2.5%); *"]
    )
    assert launches(recorded) == {"fp4": 3, "int4": 3}


def test_a_loss_of_many_sigma_takes_two_launches(recorded: Repository, paced: Paced) -> None:
    """A third launch inside the tolerance would be an outlier itself."""
    paced(fp4=[1.15])
    assert recorded.run(JSON).ret == 1
    assert verdicts(recorded) >= {"REGRESSED"}
    assert launches(recorded) == {"fp4": 2, "int4": 2}


@pytest.mark.parametrize(
    ("flags", "mark", "setting"),
    [
        (["--precgate-max-launches=1"], "", ""),
        ([], "@pytest.mark.precgate(max_launches=1)", ""),
        ([], "", "max_launches = 1"),
        (["--precgate-max-launches=1"], "@pytest.mark.precgate(max_launches=2)", "max_launches = 4"),
    ],
)
def test_how_often_is_said_by_the_flag_then_the_mark_then_the_suite(
    recorded: Repository, paced: Paced, flags: list[str], mark: str, setting: str
) -> None:
    """With one launch an outlier fails the gate."""
    recorded.change_settings("interactivity", f"{setting}\ninteractivity")
    body = "def test_fp4_pays_off(precgate):\n    precgate.check(precgate.compare('fp4', 'int4'))\n"
    recorded.write_test(f"import pytest\n\n{mark}\n{body}")
    paced(fp4=[1.1, 1.0])
    assert recorded.run(*flags).ret == 1
    assert launches(recorded) == {"fp4": 1, "int4": 1}


def test_the_median_sees_a_change_that_slows_most_launches(recorded: Repository, paced: Paced) -> None:
    """One good launch of three passes by default; the median of five, for nightly runs, says REGRESSED."""
    paced(fp4=[1.08, 1.0, 1.08, 1.08, 1.08])
    assert recorded.run().ret == 0
    result = recorded.run("--precgate-launch-rule=median", JSON)
    assert result.ret == 1
    assert gates(recorded)["fp4 throughput_per_gpu", 85]["verdict"] == "REGRESSED"
    assert gates(recorded)["fp4 throughput_per_gpu", 85]["launches"] == 4  # settled then
    recorded.change_settings("interactivity", 'launch_rule = "median"\nmax_launches = 3\ninteractivity')
    assert recorded.run(JSON).ret == 1
    assert gates(recorded)["fp4 throughput_per_gpu", 85]["launches"] == 3


@pytest.mark.parametrize(
    "flags", [["--precgate-launch-rule=median", "--precgate-max-launches=4"], ["--precgate-max-launches=0"]]
)
def test_a_number_of_launches_without_a_verdict_is_a_usage_error(recorded: Repository, flags: list[str]) -> None:
    """The median of four is no launch, and none is no measurement: nothing is measured."""
    result = recorded.run(*flags)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: precgate: *max_launches*: got *"])


NOISY = [1.0, 1.01, 0.99, 1.008, 0.992]


@pytest.fixture
def noisy(repository: Repository, paced: Paced) -> Repository:
    """A suite whose baseline's launches step times scatter by one percent."""
    repository.write_settings(SETTINGS)
    paced(fp4=NOISY, int4=[1.0, 0.992, 1.008, 0.99, 1.01])
    assert repository.run("--precgate-update").ret == 0
    paced()
    return repository


def test_noise_that_hides_what_must_be_detected_is_inconclusive_and_says_what_to_set(noisy: Repository) -> None:
    """Asked to detect 3%: no launch passes and none is taken again; what the reason says to set lets one pass."""
    noisy.change_settings("interactivity", "must_detect = 0.03\ninteractivity")
    result = noisy.run(JSON)
    assert result.ret == 1
    assert verdicts(noisy) == {"INCONCLUSIVE"}
    assert launches(noisy) == {"fp4": 1, "int4": 1}  # compare() asked for them
    result.stdout.fnmatch_lines(
        [
            "INCONCLUSIVE  fp4 throughput_per_gpu at 85 *; its launches scatter by *% (sigma, 5 launches), so the "
            "smallest drop it catches is *%, more than the 3% of must_detect; set must_detect = *"
        ]
    )
    noisy.change_settings("must_detect = 0.03", "must_detect = 0.4")
    assert noisy.run().ret == 0


def test_a_loss_inside_the_noise_is_inconclusive_and_says_what_would_settle_it(noisy: Repository, paced: Paced) -> None:
    """Beyond a tolerance of 1% in all three launches, and no more than noise alone may do: neither pass nor failure."""
    noisy.change_settings("interactivity", "tolerance = 0.01\nmust_detect = 0.4\ninteractivity")
    noisy.change_settings('metrics = ["throughput_ratio", "throughput_per_gpu"]', 'metrics = ["throughput_per_gpu"]')
    paced(fp4=[1.012])
    result = noisy.run(JSON, "--precgate-unused=ignore")
    assert result.ret == 1
    assert verdicts(noisy) == {"INCONCLUSIVE", "PASS"}
    assert launches(noisy) == {"fp4": 3, "int4": 1}
    result.stdout.fnmatch_lines(
        [
            "INCONCLUSIVE  fp4 throughput_per_gpu at 85 *beyond the tolerance (1%) and inside the noise floor (*); "
            "to settle it, *"
        ]
    )


def test_recording_a_noisy_baseline_warns_at_once(recorded: Repository, paced: Paced) -> None:
    """What will be INCONCLUSIVE is said while the settings are still being chosen."""
    recorded.change_settings("interactivity", "must_detect = 0.03\ninteractivity")
    paced(fp4=NOISY, int4=QUIET)
    result = recorded.run("--precgate-update", "--precgate-reason=louder")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["warning: * gates will be INCONCLUSIVE for any launch: * set must_detect = *"])


def test_a_baseline_may_ask_for_fewer_launches_and_then_knows_no_noise(repository: Repository, paced: Paced) -> None:
    """Each launch is held to the tolerance itself, and every report says that nothing is promised."""
    repository.write_settings(SETTINGS.replace("interactivity", "baseline_launches = 2\ninteractivity", 1))
    assert repository.run("--precgate-update").ret == 0
    paced(fp4=[1.005])
    result = repository.run(JSON)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["noise unknown: the baseline has fewer than 3 launches, *; launches used: 1"])
    assert {gate["sigma"] for gate in gates(repository).values()} == {None}


def test_a_further_test_adds_its_gates_without_a_launch_of_what_is_known(recorded: Repository) -> None:
    """--precgate-update-new-only keeps the five launches there are."""
    recorded.write_test(
        "def test_fp4_pays_off(precgate):\n    precgate.check(precgate.compare('fp4', 'int4'))\n"
        "def test_again(precgate):\n    precgate.check(precgate.compare('fp4', 'int4'))\n"
    )
    before = json.loads(recorded.baseline.read_text(encoding="utf-8"))["launches"]
    assert recorded.run("--precgate-update-new-only").ret == 0
    assert json.loads(recorded.baseline.read_text(encoding="utf-8"))["launches"] == before
    assert launches(recorded) == {"fp4": 1, "int4": 1}


def test_a_point_off_the_range_is_not_launched_five_times_to_be_refused(repository: Repository) -> None:
    """The first launch says that nothing can be recorded."""
    repository.write_settings(SETTINGS.replace("[85, 100]", "[85, 5000]"))
    assert repository.run("--precgate-update").ret == 1
    assert launches(repository) == {"fp4": 1, "int4": 1}
    assert not repository.baseline.exists()


def test_a_replay_that_would_need_another_launch_is_inconclusive(recorded: Repository, paced: Paced) -> None:
    """The run passed on its first launch; by today's tolerance it would have wanted a second."""
    recorded.change_settings('metrics = ["throughput_ratio", "throughput_per_gpu"]', 'metrics = ["throughput_per_gpu"]')
    paced(fp4=[1.004])
    assert recorded.run("--precgate-unused=ignore").ret == 0
    recorded.change_settings("interactivity", "tolerance = 0.005\ninteractivity")
    result = recorded.run("--precgate-unused=ignore", "--precgate-replay=latest", JSON)
    assert result.ret == 1
    assert "INCONCLUSIVE" in verdicts(recorded)
    result.stdout.fnmatch_lines(
        ["INCONCLUSIVE  fp4 throughput_per_gpu at *wants launch 2, which the replayed run does not hold"]
    )


def test_a_baseline_older_than_the_suite_allows_is_a_mismatch(recorded: Repository) -> None:
    """And says what to do instead."""
    recorded.change_settings("interactivity", "max_baseline_age_days = 30\ninteractivity")
    assert recorded.run().ret == 0
    text = recorded.baseline.read_text(encoding="utf-8")
    year = json.loads(text)["recorded"]["utc"][:4]
    recorded.baseline.write_text(text.replace(f'"utc": "{year}', f'"utc": "{int(year) - 1}'), encoding="utf-8")
    result = recorded.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["MISMATCH * days old, max_baseline_age_days is 30; *--precgate-paired-with*"])


def test_an_outlier_reference_makes_no_gain_and_blocks_nothing(recorded: Repository, paced: Paced) -> None:
    """INT4's first launch is slow, so the ratio looks too good to be true: another launch says that it is not."""
    recorded.change_settings('metrics = ["throughput_ratio", "throughput_per_gpu"]', 'metrics = ["throughput_ratio"]')
    paced(int4=[1.15, 1.0])
    assert recorded.run(JSON, "--precgate-unused=ignore").ret == 0
    assert gates(recorded)["fp4/int4 throughput_ratio", 85]["verdict"] == "PASS"
    assert launches(recorded) == {"fp4": 2, "int4": 2}
    paced(int4=[1.15])
    result = recorded.run(JSON, "--precgate-unused=ignore")
    assert result.ret == 1
    assert verdicts(recorded) == {"IMPLAUSIBLE"}
    result.stdout.fnmatch_lines(["IMPLAUSIBLE *; no good one among 3 launches; better by more than 25%: *"])


def test_every_table_says_what_the_gate_catches(recorded: Repository) -> None:
    """Terminal, Markdown and JSON: a tolerance alone does not explain a verdict."""
    assert recorded.run(JSON, "--precgate-markdown=found.md").ret == 0
    gate = gates(recorded)["fp4 throughput_per_gpu", 85]
    smallest, largest = gate["minimum_detectable_drop"], gate["largest_detectable_drop"]
    assert 0.005 < gate["noise_floor"] < gate["tolerance"] < smallest < largest  # type: ignore[operator]
    text = (recorded.path / "found.md").read_text(encoding="utf-8")
    assert f"| 2.5% | {smallest:.1%} (to {largest:.1%}) |" in text


def test_a_replay_has_as_many_launches_of_each_precision_as_the_run(recorded: Repository, paced: Paced) -> None:
    """INT4's own throughput was low once, so INT4 was launched twice and FP4 once: the same verdicts come out again."""
    recorded.change_settings('metrics = ["throughput_ratio", "throughput_per_gpu"]', 'metrics = ["throughput_per_gpu"]')
    paced(int4=[1.04, 1.0])
    assert recorded.run(JSON, "--precgate-unused=ignore").ret == 0
    assert launches(recorded) == {"fp4": 1, "int4": 2}
    before = gates(recorded)
    assert recorded.run(JSON, "--precgate-unused=ignore", "--precgate-replay=latest").ret == 0
    assert gates(recorded) == before
    assert before["int4 throughput_per_gpu", 85]["launches"] == 2
    values = before["int4 throughput_per_gpu", 85]["values"]
    assert isinstance(values, list)
    assert values[0] < values[1] == before["int4 throughput_per_gpu", 85]["value"]


def test_a_run_a_verdict_took_makes_no_baseline(recorded: Repository) -> None:
    """One launch of each: as a baseline its noise would be unknown, without a request for that."""
    assert recorded.run().ret == 0
    before = recorded.baseline.read_text(encoding="utf-8")
    result = recorded.run("--precgate-replay=latest", "--precgate-update", "--precgate-reason=x")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *BaselineError: kimi: the replayed run holds 1 launches of fp4, *made of 5 *"])
    assert recorded.baseline.read_text(encoding="utf-8") == before


def test_an_old_baseline_is_judged_all_the_same_where_a_mismatch_only_warns(recorded: Repository) -> None:
    """--precgate-mismatch=warn is heeded, and says how old it is."""
    recorded.change_settings("interactivity", "max_baseline_age_days = 0.0000001\ninteractivity")
    assert recorded.run().ret == 1
    result = recorded.run("--precgate-mismatch=warn")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["note: judged all the same: the baseline of * is 0.0 days old, *"])


def test_recorded_points_stand_beside_every_launch_of_a_live_precision(repository: Repository, paced: Paced) -> None:
    """INT4 from a file, FP4 launched: five launches in the baseline, a noise for the ratio, and a second launch."""
    repository.write_points()
    live = SETTINGS.split("[tool.precgate.suites.kimi.int4]", maxsplit=1)[0].replace("isl = 128, osl = 64", WORKLOAD)
    repository.write_settings(f'{live}\n[tool.precgate.suites.kimi.int4]\nengine = "recorded"\npath = "points.csv"\n')
    paced(fp4=QUIET)
    assert repository.run("--precgate-update").ret == 0
    baseline = json.loads(repository.baseline.read_text(encoding="utf-8"))
    names = [launch["precision"] for launch in baseline["launches"]]
    assert (names.count("fp4"), names.count("int4")) == (5, 1)
    assert {gate["sigma"] is None for gate in baseline["gates"] if gate["precision"] == "fp4/int4"} == {False}
    paced(fp4=[1.1, 1.0])
    assert repository.run(JSON).ret == 0
    assert gates(repository)["fp4/int4 throughput_ratio", 85]["launches"] == 2
    paced(fp4=[1.1])
    assert repository.run("--precgate-launch-rule=median", JSON).ret == 1
    assert gates(repository)["fp4 throughput_per_gpu", 85]["launches"] == 3
