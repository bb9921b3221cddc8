"""The precgate command: what it prints and with which code it exits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_precgate.cli import main
from tests.published import POINTS
from tests.repository import TEST, Repository

FP4, INT4 = f"{POINTS}:fp4", f"{POINTS}:int4"


@pytest.fixture(autouse=True)
def _somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_compare_prints_the_published_picture(capsys: pytest.CaptureFixture[str]) -> None:
    """Interpolated cost as published: $0.523, 0.775, 1.059 and 1.502, 2.319, 3.384 per million tokens."""
    arguments = ["compare", FP4, INT4, "--at", "55,73,91", "--cost", "interpolated"]
    assert main([*arguments, "--wording", "published"]) == 0
    out = capsys.readouterr().out
    for cost in ("0.523 / 1.502", "0.775 / 2.319", "1.059 / 3.384"):
        assert cost in out
    assert "at 55 tok/s/user: FP4 is 187% cheaper per token; FP4 delivers 185% more tok/s/GPU" in out
    assert main(arguments) == 0
    ours = "at 55 tok/s/user: FP4 costs 0.349x of INT4 per token (65% less) and delivers 2.85x its tok/s/GPU"
    assert ours in capsys.readouterr().out


def test_compare_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The same figures for a machine; without --at at the band's quartiles."""
    assert main(["compare", FP4, INT4, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["interactivity"] for row in document["rows"]] == [55, 74, 93]
    assert document["rows"][0]["candidate"]["throughput_per_gpu"] == pytest.approx(1028.1, abs=0.05)
    assert document["hardware"]["name"] == "b200"


def test_compare_takes_two_files_of_one_precision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Yesterday's against today's: the files' names tell them apart."""
    head = "concurrency,gpus,interactivity,throughput_per_gpu\n"
    (tmp_path / "old.csv").write_text(head + "4,4,100,180\n8,4,60,220\n", encoding="utf-8")
    (tmp_path / "new.csv").write_text(head + "4,4,100,198\n8,4,60,242\n", encoding="utf-8")
    arguments = ["compare", "new.csv", "old.csv", "--at", "80", "--hardware", "h200", "--isl", "1024", "--osl", "1024"]
    assert main(arguments) == 0
    assert "NEW costs 0.909x of OLD per token (9% less) and delivers 1.10x its tok/s/GPU" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([FP4, INT4, "--at", "130"], "int4: 130 tok/s/user lies outside the measured range 36.41 to 112"),
        ([str(POINTS), INT4], "holds fp4, int4; say which:"),
        ([f"{POINTS}:fp8", INT4], "holds no fp8 points; it holds fp4, int4"),
        (["nowhere.csv", INT4], "nowhere.csv: cannot be read: No such file"),
        ([FP4, "h200.csv:int4"], "different hardware, cannot be compared: fp4 ran on b200, int4 on h200"),
        ([FP4, INT4, "--hardware", "h200"], "hardware is b200 in the file, and h200 was given with --hardware"),
        (["bare.csv", "bare.csv"], "bare.csv: does not say its hardware; give --hardware"),
        (["bare.csv", "bare.csv", "--hardware", "h200"], "bare.csv: does not say its isl; give --isl"),
        (["bare.csv", "bare.csv", "--hardware", "x", "--isl=1", "--osl=1"], "no price and power known for 'x'"),
    ],
)
def test_what_cannot_be_compared_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    """Off the band, no such precision or file, another hardware, nothing said: one line on stderr, no traceback."""
    text = "concurrency,gpus,interactivity,throughput_per_gpu\n4,4,100,100\n8,4,60,120\n"
    (tmp_path / "bare.csv").write_text(text, encoding="utf-8")
    (tmp_path / "h200.csv").write_text(POINTS.read_text(encoding="utf-8").replace("b200", "h200"), encoding="utf-8")
    assert main(["compare", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("precgate: ")
    assert why in captured.err


@pytest.mark.parametrize("at", ["fast", "55,,73", "-5", "nan", "", "55,55"])
def test_points_that_are_none_are_a_usage_error(capsys: pytest.CaptureFixture[str], at: str) -> None:
    """argparse exits 2 and says what was wanted."""
    with pytest.raises(SystemExit) as caught:
        main(["compare", FP4, INT4, f"--at={at}"])
    assert caught.value.code == 2
    assert "argument --at: got " in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["compare", "--help"], ["noise", "--help"], ["baseline", "--help"], ["baseline", "prune", "-h"]],
)
def test_help_is_printed(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """Exit 0; the first page names the exit codes."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert "usage: precgate" in out
    if arguments == ["--help"]:
        assert "exit codes: 0 done; 1 'baseline check' found something wrong" in out


def test_the_command_is_installed() -> None:
    """The console script and `python -m` are the same program."""
    script = Path(sys.executable).parent / "precgate"
    for command in ([str(script)], [sys.executable, "-m", "pytest_precgate.cli"]):
        run = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
        assert run.stdout.startswith("pytest-precgate ")


def test_baseline_show_prints_who_why_and_the_values(accepted: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    """Provenance, launches, gates; an unknown suite exits 2."""
    accepted.pytester.chdir()
    assert main(["baseline", "show"]) == 0
    out = capsys.readouterr().out
    assert "baselines/kimi.json: suite kimi, isl 1024, osl 1024" in out
    assert "no reason given" in out
    assert "launch: fp4 on b200, engine recorded, 16 points" in out
    assert "1028.1 tok/s/GPU      -  test_kimi.py::test_fp4_pays_off" in out
    assert main(["baseline", "show", "llama"]) == 2
    assert "there is no baseline of suite 'llama'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is not whole JSON"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"{}", "@ $.schema"),
        (b'{"schema": 99}', "schema 99"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_baseline_show_names_a_damaged_file_and_shows_the_others(
    accepted: Repository, capsys: pytest.CaptureFixture[str], content: bytes, why: str
) -> None:
    """Exit 2: what cannot be read is not called absent."""
    accepted.pytester.chdir()
    (accepted.path / "baselines" / "broken.json").write_bytes(content)
    assert main(["baseline", "show"]) == 2
    said = capsys.readouterr()
    assert "baselines/kimi.json: suite kimi" in said.out
    assert said.err.startswith("precgate: baselines/broken.json: ")
    assert why in said.err
    assert "no baseline" not in said.out


@pytest.mark.parametrize("action", ["show", "check", "prune"])
def test_a_file_in_place_of_the_directory_of_baselines_is_named(
    accepted: Repository, capsys: pytest.CaptureFixture[str], action: str
) -> None:
    """Exit 2, and no word of there being none."""
    accepted.pytester.chdir()
    extra = ["--dry-run"] if action == "prune" else []
    assert main(["baseline", action, "--baselines", "baselines/kimi.json", *extra]) == 2
    assert "baselines/kimi.json: is not a directory" in capsys.readouterr().err


def test_baseline_show_of_an_empty_directory_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is not an error here."""
    assert main(["baseline", "show"]) == 0
    assert capsys.readouterr().out == "no baseline in baselines\n"


def test_baseline_check_is_clean_on_a_fresh_baseline(accepted: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0 and a count."""
    accepted.pytester.chdir()
    assert main(["baseline", "check"]) == 0
    assert capsys.readouterr().out == "1 baseline in baselines, 0 wrong\n"


def test_baseline_check_of_nothing_fails(accepted: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    """A check that found no baseline has checked nothing."""
    accepted.pytester.chdir()
    assert main(["baseline", "check", "--baselines", "elsewhere"]) == 1
    assert "0 baselines in elsewhere" in capsys.readouterr().out


def test_baseline_check_names_everything_that_is_wrong(
    accepted: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """A value edited by hand, a removed test, a suite that is not configured, a truncated file: exit 1."""
    accepted.pytester.chdir()
    text = accepted.baseline.read_text(encoding="utf-8")
    accepted.baseline.write_text(text.replace('"value": 1028.14', '"value": 900.0'), encoding="utf-8")
    (accepted.baseline.parent / "llama.json").write_text(
        text.replace('"suite": "kimi"', '"suite": "llama"'), encoding="utf-8"
    )
    (accepted.baseline.parent / "torn.json").write_text(text[:100], encoding="utf-8")
    accepted.write_test(TEST.replace("pays_off", "is_worth_it"))
    assert main(["baseline", "check"]) == 1
    out = capsys.readouterr().out
    assert (
        "kimi.json: fp4 throughput_per_gpu at 55 tok/s/user says 900, its points give 1028.14: edited by hand?" in out
    )
    assert "kimi.json: test_kimi.py::test_fp4_pays_off does not exist" in out
    assert "llama.json: no suite 'llama' is configured" in out
    assert "torn.json: is not whole JSON" in out
    assert "3 baselines in baselines, " in out


def test_baseline_prune_removes_what_is_gone(accepted: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    """First named by a dry run, then done; gates of tests that exist stay, and the next run is clean."""
    accepted.write_test(TEST + TEST.replace("pays_off", "is_cheap"))
    assert accepted.run("--precgate-update-new-only").ret == 0
    accepted.write_test()
    accepted.pytester.chdir()
    (accepted.baseline.parent / "llama.json").write_text(
        accepted.baseline.read_text(encoding="utf-8").replace('"suite": "kimi"', '"suite": "llama"'), encoding="utf-8"
    )
    before = accepted.baseline.read_bytes()
    assert main(["baseline", "prune", "--dry-run"]) == 0
    assert "2 would be removed" in capsys.readouterr().out
    assert accepted.baseline.read_bytes() == before
    assert main(["baseline", "prune"]) == 2
    assert "give --reason TEXT" in capsys.readouterr().err
    assert accepted.baseline.read_bytes() == before
    assert main(["baseline", "prune", "--reason", "test dropped with the feature"]) == 0
    out = capsys.readouterr().out
    assert "kimi.json: gates of test_kimi.py::test_fp4_is_cheap removed, it does not exist" in out
    assert "llama.json: removed, no such suite is configured" in out
    assert [path.name for path in accepted.baseline.parent.iterdir()] == ["kimi.json"]
    assert accepted.run().ret == 0
    assert json.loads(accepted.baseline.read_text(encoding="utf-8"))["recorded"]["reason"] == (
        "pruned: test dropped with the feature"
    )


def test_baseline_prune_removes_a_file_none_of_whose_tests_exist(accepted: Repository) -> None:
    """A baseline without gates cannot be."""
    accepted.pytester.chdir()
    accepted.write_test(TEST.replace("pays_off", "is_worth_it"))
    assert main(["baseline", "prune", "--reason=renamed"]) == 0
    assert not accepted.baseline.exists()


def test_prune_in_the_wrong_directory_removes_nothing(
    accepted: Repository, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing is configured, or no test file lies, everything would look gone."""
    before = accepted.baseline.read_bytes()
    elsewhere = accepted.path / "sub"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert main(["baseline", "prune", "--baselines=../baselines", "--reason=x"]) == 2
    assert "no suite is configured" in capsys.readouterr().err
    (elsewhere / "pyproject.toml").write_bytes((accepted.path / "pyproject.toml").read_bytes())
    assert main(["baseline", "prune", "--baselines=../baselines", "--reason=x"]) == 2
    assert "none of the test files they name exists" in capsys.readouterr().err
    assert accepted.baseline.read_bytes() == before


def test_check_names_the_file_whose_points_do_not_reach_a_gate(
    accepted: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """A point edited away: the path comes first."""
    accepted.pytester.chdir()
    text = accepted.baseline.read_text(encoding="utf-8")
    accepted.baseline.write_text(text.replace('"point": 55.0', '"point": 5.0'), encoding="utf-8")
    assert main(["baseline", "check"]) == 1
    assert "baselines/kimi.json: a gate cannot be read from its points: " in capsys.readouterr().out


def test_check_names_a_suite_without_a_baseline(accepted: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is wrong with a file; that there is none is said."""
    accepted.pytester.chdir()
    text = (accepted.path / "pyproject.toml").read_text(encoding="utf-8")
    accepted.write_settings(text + text.replace("suites.kimi", "suites.other"))
    assert main(["baseline", "check"]) == 0
    assert "suite other: no baseline; record one with pytest --precgate-update" in capsys.readouterr().out


def test_a_reader_that_goes_away_ends_a_command_quietly(accepted: Repository) -> None:
    """`precgate baseline show | head -1`: the first line, no traceback, and the shell's exit code for it."""
    command = [sys.executable, "-m", "pytest_precgate.cli", "baseline", "show"]
    read_end, write_end = os.pipe()
    os.close(read_end)  # as when the reader has ended
    try:
        ended = subprocess.run(command, cwd=accepted.path, stdout=write_end, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(write_end)
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_broken_settings_exit_2(accepted: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    """The same message pytest gives, with the command's own code."""
    accepted.pytester.chdir()
    accepted.change_settings("interactivity =", "interactivty =")
    assert main(["baseline", "check"]) == 2
    assert "unknown key 'interactivty'; did you mean 'interactivity'" in capsys.readouterr().err
