"""A regression is confirmed beside the old state, on the machine and the day of the run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import pytest

from pytest_precgate.engines.simulated import SimulatedEngine
from pytest_precgate.errors import EngineStartError
from tests.plugin.paced import JSON, QUIET, SETTINGS, Paced, gates, launches, verdicts
from tests.repository import Repository

# What the suite is until a merge changes it.
ACCEPTED = """
[tool.precgate.suites.kimi.paired.accepted.fp4]
slowdown = 0.0

[tool.precgate.suites.kimi.paired.accepted.int4]
slowdown = 0.0
"""


def side_launches(repository: Repository, side: str) -> Mapping[str, int]:
    """How many launches of each precision the last run measured on a side."""
    journal = max(repository.path.glob(f".precgate/runs/*kimi@{side}*/journal.jsonl"))
    lines = [json.loads(line) for line in journal.read_text(encoding="ascii").splitlines()]
    done = [line["launch"]["precision"] for line in lines if line["event"] == "finished"]
    return {name: done.count(name) for name in ("fp4", "int4")}


@pytest.fixture
def confirmed(repository: Repository, paced: Paced) -> Repository:
    """A suite with a baseline of five launches and a side that starts its state."""
    repository.write_settings(SETTINGS + ACCEPTED)
    paced(fp4=QUIET, int4=QUIET[::-1])
    repository.record(about=(QUIET, QUIET[::-1]))
    repository.change_settings('int4-tp8"\n', 'int4-tp8"\nslowdown = 1e-9\n')  # a side like the suite confirms nothing
    paced()
    return repository


def test_a_side_with_the_settings_of_the_suite_is_not_launched(confirmed: Repository, paced: Paced) -> None:
    """It would be the new state again, and every loss the machine's: REGRESSED, with the cause, and no launch of it."""
    confirmed.change_settings('int4-tp8"\nslowdown = 1e-9\n', 'int4-tp8"\n')
    paced(fp4=[1.08])
    result = confirmed.run(JSON)
    assert result.ret == 1
    assert verdicts(confirmed) == {"REGRESSED", "PASS"}
    result.stdout.fnmatch_lines(
        ["REGRESSED  *old state not measured again: kimi@accepted has the settings of the suite, so it would be *"]
    )
    assert list(confirmed.path.glob(".precgate/runs/*@accepted*")) == []


def test_what_passes_starts_no_old_state(confirmed: Repository) -> None:
    """One launch of each precision, and none of the side."""
    assert confirmed.run(JSON).ret == 0
    assert launches(confirmed) == {"fp4": 1, "int4": 1}
    assert list(confirmed.path.glob(".precgate/runs/*@accepted*")) == []
    (cost,) = json.loads((confirmed.path / "found.json").read_text(encoding="utf-8"))["costs"]
    assert cost["verdict"]["rule"] == "first good of 3 launches, and as many of accepted"
    assert (cost["verdict"]["launches"], cost["verdict"]["full_launches"]) == (2, 12)


def test_a_loss_that_the_old_state_does_not_share_is_confirmed(confirmed: Repository) -> None:
    """8% longer steps of the candidate alone: REGRESSED, and the report gives both losses. One launch of the old state
    is enough."""
    confirmed.change_settings('fp4-tp4"\n', 'fp4-tp4"\nslowdown = 0.08\n')
    result = confirmed.run(JSON)
    assert result.ret == 1
    assert verdicts(confirmed) == {"REGRESSED", "PASS"}
    result.stdout.fnmatch_lines(
        [
            "REGRESSED  fp4 throughput_per_gpu at 85 *% worse than its baseline, beyond the tolerance (2.5%)*; *% "
            "worse than the old state, measured now (kimi@accepted, 1 launch)"
        ]
    )
    assert len(gates(confirmed)["fp4 throughput_per_gpu", 85]["old_values"]) == 1  # type: ignore[arg-type]
    assert gates(confirmed)["int4 throughput_per_gpu", 85]["old_values"] == []
    assert side_launches(confirmed, "accepted") == {"fp4": 1, "int4": 1}


def test_a_machine_that_got_slower_is_an_environment_that_changed(confirmed: Repository, paced: Paced) -> None:
    """Both states lose 4%: blocked, but not called a regression; three launches of the old state, and what to do."""
    paced(fp4=[1.04 * pace for pace in QUIET], int4=[1.04 * pace for pace in QUIET])
    result = confirmed.run(JSON)
    assert result.ret == 1
    assert "ENVIRONMENT_CHANGED" in verdicts(confirmed)
    assert "REGRESSED" not in verdicts(confirmed)
    result.stdout.fnmatch_lines(
        [
            "ENVIRONMENT_CHANGED  fp4 throughput_per_gpu at 85 *% worse than its baseline, *, but only *% worse than "
            "the old state, measured now (kimi@accepted, 3 launches): the machine, or what runs on it, has changed "
            "since the baseline; record the old state again there, *"
        ]
    )
    assert side_launches(confirmed, "accepted") == {"fp4": 3, "int4": 3}


LOW = [1.0115]
"""A loss of about 3%: inside a tolerance of 3.5%, beyond four fifths of it."""


def test_what_lost_a_good_part_of_its_tolerance_passes_beside_an_old_state_that_lost_it_too(
    confirmed: Repository, paced: Paced
) -> None:
    """Three launches of the candidate, and one of the old state, which is as slow; the reason gives both losses."""
    confirmed.change_settings("interactivity", "tolerance = 0.035\ninteractivity")
    paced(fp4=LOW, int4=LOW)
    assert confirmed.run(JSON).ret == 0
    found = gates(confirmed)["fp4 throughput_per_gpu", 85]
    assert found["verdict"] == "PASS"
    assert (found["launches"], len(found["old_values"])) == (3, 1)  # type: ignore[arg-type]
    assert "than the old state, measured now (kimi@accepted, 1 launch)" in str(found["reason"])


def test_a_regression_that_a_slow_day_of_the_baseline_hid_is_found_beside_the_old_state(
    confirmed: Repository, paced: Paced
) -> None:
    """The machine got 1% faster since, and the candidate 2% slower: 1% is left of its loss against the baseline. What
    it shows is the loss that fails, beside the old state."""
    paced(fp4=[0.99 * pace for pace in QUIET], int4=[0.99 * pace for pace in QUIET])
    confirmed.change_settings('fp4-tp4"\n', 'fp4-tp4"\nslowdown = 0.02\n')
    result = confirmed.run(JSON)
    assert result.ret == 1
    found = gates(confirmed)["fp4 throughput_per_gpu", 85]
    assert found["verdict"] == "REGRESSED"
    assert float(str(found["change"])) < -0.025
    told = re.search(r"([0-9.]+)% worse than its baseline: the machine was slower", str(found["reason"]))
    assert told is not None
    assert 0.8 * 2.5 <= float(told[1]) <= 2.5
    result.stdout.fnmatch_lines(
        [
            "REGRESSED  fp4 throughput_per_gpu at 85 *% worse than the old state, measured now (kimi@accepted, *), "
            "beyond the tolerance (2.5%)*; *% worse than its baseline: the machine was slower when that was recorded, *"
        ]
    )


def test_no_policy_lets_a_changed_environment_pass(confirmed: Repository, paced: Paced) -> None:
    """Neither as a mismatch nor as something missing."""
    paced(fp4=[1.04], int4=[1.04])
    flags = ["--precgate-missing=skip", "--precgate-mismatch=skip", "--precgate-unused=ignore"]
    assert confirmed.run(JSON, *flags).ret == 1
    assert "ENVIRONMENT_CHANGED" in verdicts(confirmed)


def test_without_an_old_state_a_regression_says_so(repository: Repository, paced: Paced) -> None:
    """It blocks all the same; recorded points, which cannot be measured again, say nothing."""
    repository.write_settings(SETTINGS)
    paced(fp4=QUIET, int4=QUIET[::-1])
    assert repository.run("--precgate-update").ret == 0
    paced(fp4=[1.08])
    result = repository.run(JSON)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["REGRESSED  fp4 throughput_per_gpu at 85 *; old state not measured again"])


def test_a_side_that_is_not_the_baseline_s_state_confirms_nothing(confirmed: Repository) -> None:
    """Another way to measure is another hard fact: REGRESSED, and the reason names the fact."""
    confirmed.change_settings('fp4-tp4"\n', 'fp4-tp4"\nslowdown = 0.08\n')
    text = (confirmed.path / "pyproject.toml").read_text(encoding="utf-8")
    other = text.replace("paired.accepted.fp4]\n", 'paired.accepted.fp4]\nwindow = "whole"\n')
    confirmed.write_settings(other)
    result = confirmed.run(JSON)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "REGRESSED  fp4 throughput_per_gpu at 85 *; old state not measured again: kimi@accepted is not the "
            "baseline's state: fp4: window is whole, *"
        ]
    )


def test_a_waived_regression_starts_no_old_state(confirmed: Repository, paced: Paced) -> None:
    """It is accepted up to its ceiling, whatever the old state does now."""
    waivers = "".join(
        f'\n[[tool.precgate.waive]]\nsuite = "kimi"\nmetric = "{metric}"\nceiling = 0.3\nreason = "known"\n'
        "expires = 2100-01-01\n"
        for metric in ("throughput_ratio", "throughput_per_gpu")
    )
    text = (confirmed.path / "pyproject.toml").read_text(encoding="utf-8")
    confirmed.write_settings(text + waivers)
    paced(fp4=[1.08], int4=[1.02])
    confirmed.run(JSON, "--precgate-unused=ignore")
    assert "WAIVED" in verdicts(confirmed)
    assert list(confirmed.path.glob(".precgate/runs/*@accepted*")) == []


def test_a_confirmed_run_is_replayed_without_measuring(confirmed: Repository, paced: Paced) -> None:
    """The verdicts and the old state's figures come out again; a run that holds no old state confirms nothing."""
    paced(fp4=[1.04], int4=[1.04])
    assert confirmed.run(JSON).ret == 1
    before = gates(confirmed)
    assert confirmed.run(JSON, "--precgate-replay=latest").ret == 1
    assert gates(confirmed) == before


def test_a_replay_of_a_run_without_the_old_state_confirms_nothing(confirmed: Repository, paced: Paced) -> None:
    """The run passed; by a tighter tolerance it regressed, and a replay launches nothing."""
    confirmed.change_settings("interactivity", "tolerance = 0.2\nmax_launches = 1\ninteractivity")
    paced(fp4=[1.03], int4=[1.0])
    assert confirmed.run(JSON).ret == 0
    confirmed.change_settings("tolerance = 0.2", "tolerance = 0.02")
    result = confirmed.run(JSON, "--precgate-replay=latest")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["REGRESSED  fp4 throughput_per_gpu at 85 *; old state not measured again: the replayed *"]
    )


def test_a_side_that_there_is_not_is_refused_by_name(repository: Repository) -> None:
    """Before anything is measured."""
    side = ACCEPTED.replace("accepted", "main").replace("slowdown = 0.0", "seed = 1")
    settings = SETTINGS.replace("interactivity", 'confirm_with = "release"\ninteractivity', 1)
    repository.write_settings(settings + side)
    result = repository.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *unknown value 'release'; known: main @ *confirm_with"])


@pytest.mark.parametrize("fails_at", [1, 2])
def test_an_old_state_that_cannot_be_measured_leaves_the_regression_and_says_why(
    confirmed: Repository, paced: Paced, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    """Its first launch fails to start, or its second: every gate keeps its verdict, and what was measured is kept."""
    swept = SimulatedEngine.sweep

    def failing(engine: SimulatedEngine, *args: object, **more: object) -> object:
        launch = more.get("launch", args[-1] if args else None)
        if engine.side == "accepted" and launch == fails_at:
            raise EngineStartError("fp4", "no such image", "engine.log")
        return swept(engine, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(SimulatedEngine, "sweep", failing)
    paced(fp4=[1.04], int4=[1.04])
    result = confirmed.run(JSON)
    assert result.ret == 1
    assert "REGRESSED" in verdicts(confirmed)
    assert len(gates(confirmed)["fp4 throughput_per_gpu", 85]["old_values"]) == fails_at - 1  # type: ignore[arg-type]
    said = "old state not measured again" if fails_at == 1 else "not confirmed after 1 launch of the old state"
    result.stdout.fnmatch_lines([f"REGRESSED  fp4 throughput_per_gpu at 85 *; {said}: *no such image*"])
