"""A value no measurement could have is refused where it stands, with its range, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_precgate.cli import main
from pytest_precgate.errors import SettingsError
from pytest_precgate.settings import load
from tests.repository import Repository

SUITE = {"hardware": '"b200"', "workload": "{ isl = 16, osl = 10 }", "interactivity": "[100]"}
ENGINES = {
    "endpoint": {"engine": '"endpoint"', "url": '"http://h:1"', "model": '"m"', "gpus": "1"},
    "vllm": {"engine": '"vllm"', "model": '"org/m"', "gpus": "1"},
    "command": {"engine": '"command"', "model": '"m"', "gpus": "1", "argv": '["serve", "{port}"]'},
    "simulated": {"engine": '"simulated"', "calibration": '"kimi-k2.5-b200-fp4-tp4"'},
}
NUL = '"a\\u0000b"'
LONG = f'"{"x" * 5000}"'


def table(values: dict[str, str]) -> str:
    return "".join(f"{key} = {value}\n" for key, value in values.items())


def refusal(tmp_path: Path, suite: dict[str, str], fp4: dict[str, str], name: str = "kimi") -> str:
    """What the settings are refused with."""
    (tmp_path / "precgate.toml").write_text(
        f'[suites."{name}"]\n{table(suite)}\n[suites."{name}".fp4]\n{table(fp4)}\n'
        f'[suites."{name}".int4]\nengine = "recorded"\npath = "points.csv"\n',
        encoding="utf-8",
    )
    with pytest.raises(SettingsError) as caught:
        load(tmp_path)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["endpoint", "vllm", "command"])
@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("max_failures", "-1", "a whole number from 0 to 100000"),
        ("max_failures", "10000000", "a whole number from 0 to 100000"),
        ("request_timeout_s", "0", "seconds above 0 and at most 604800"),
        ("request_timeout_s", "-5", "seconds above 0 and at most 604800"),
        ("request_timeout_s", "1e300", "seconds above 0 and at most 604800"),
        ("silence_limit_s", "nan", "a finite number"),
        ("point_limit_s", "inf", "a finite number"),
        ("window_limit_s", "1e18", "seconds above 0 and at most 604800"),
        ("requests_per_slot", "1000000000000000000", "at most 100000"),
        ("requests_per_slot", "1e18", "a whole number"),
        ("concurrency", "[1, 1000000000]", "at most 65536"),
        ("max_concurrency", "1000000000", "at most 65536"),
        ("min_concurrency", "0", "at least 1"),
        ("processes", "1000000", "at most 1024"),
        ("vocabulary", "10000000000000", "at most 2147483647"),
        ("gpus", "1000000000", "at most 100000"),
        ("seed", f"0x{'f' * 5000}", "at most 63 bits"),
        ("acceptance_length", "1e9", "at most 1000"),
        ("point_error", "1e-400", "above 0"),
        ("cached_share", "1.0", "a share from 0 to below 1"),
        ("tokenizer", LONG, "at most 4096 bytes"),
        ("tokenizer", NUL, "a NUL character"),
        ("model", NUL, "a NUL character"),
        ("configuration", LONG, "at most 100 printable characters"),
        ("configuration", '"../elsewhere"', "printable characters without /"),
        ("configuration", '"two\\nlines"', "printable characters without /"),
    ],
)
def test_a_server_s_setting_is_refused_with_its_range(
    tmp_path: Path, kind: str, key: str, value: str, wanted: str
) -> None:
    """By key, what it got and what it wanted."""
    said = refusal(tmp_path, SUITE, {**ENGINES[kind], key: value})
    assert wanted in said
    assert f"@ suites.kimi.fp4.{key}" in said
    assert len(said) < 500


@pytest.mark.parametrize("kind", ["vllm", "command"])
@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("start_timeout_s", "0", "seconds above 0"),
        ("stall_timeout_s", "-1", "seconds above 0"),
        ("stop_timeout_s", "1e12", "at most 604800"),
        ("start_s", "1e12", "seconds from 0 to 604800"),
        ("variables", f"{{ A = {NUL} }}", "a NUL character"),
        ("variables", '{ "A=B" = "c" }', "wanted a name without ="),
        ("variables", '{ "" = "c" }', "wanted a name without ="),
        ("variables", '{ "A\\u0000" = "c" }', "a NUL character"),
        ("devices", f"[{NUL}]", "a NUL character"),
    ],
)
def test_a_started_server_s_setting_is_refused_with_its_range(
    tmp_path: Path, kind: str, key: str, value: str, wanted: str
) -> None:
    """What decides how a process is started and ended."""
    said = refusal(tmp_path, SUITE, {**ENGINES[kind], key: value})
    assert wanted in said
    assert f"@ suites.kimi.fp4.{key}" in said


@pytest.mark.parametrize(
    ("kind", "key", "value", "wanted"),
    [
        ("command", "argv", f'["serve", "{{port}}", {NUL}]', "a NUL character"),
        ("command", "ready", NUL, "a NUL character"),
        ("vllm", "options", f"{{ a = {NUL} }}", "a NUL character"),
        ("vllm", "options", f"{{ a = 0x{'f' * 5000} }}", "at most 128 bits"),
        ("vllm", "program", LONG, "at most 4096 bytes"),
        ("simulated", "max_batch", "-1", "at least 1"),
        ("simulated", "max_tokens", "0", "at least 1"),
        ("simulated", "calibration", LONG, "at most 4096 bytes"),
        ("simulated", "slowdown", "1e300", "wanted a share"),
        ("simulated", "start_s", "-1", "seconds from 0"),
        ("endpoint", "url", f'"http://h/{"x" * 10}\\u0000"', "a NUL character"),
        ("endpoint", "ca_file", LONG, "at most 4096 bytes"),
    ],
)
def test_an_engine_s_own_setting_is_refused_with_its_range(
    tmp_path: Path, kind: str, key: str, value: str, wanted: str
) -> None:
    """Of one kind of engine alone."""
    said = refusal(tmp_path, SUITE, {**ENGINES[kind], key: value})
    assert wanted in said
    assert "suites.kimi.fp4" in said


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("interactivity", "[1e300]", "at most 1e+06 tok/s/user"),
        ("interactivity", "[-1]", "above 0"),
        ("workload", "{ isl = 1000000000000, osl = 1 }", "at most 100000000"),
        ("workload", "{ isl = 1, osl = 0 }", "at least 1"),
        ("workload", "{ isl = 1, osl = 1, range_ratio = nan }", "a finite number"),
        ("max_launches", "0", "at least 1"),
        ("max_launches", "1000000", "at most 1000"),
        ("baseline_launches", "1000000", "at most 1000"),
        ("max_baseline_age_days", "1e300", "at most 36500"),
        ("max_baseline_age_days", "-1", "above 0"),
        ("tolerance", "-0.1", "above 0"),
        ("implausible", "-1", "above 0"),
    ],
)
def test_a_suite_s_setting_is_refused_with_its_range(tmp_path: Path, key: str, value: str, wanted: str) -> None:
    """What is measured, and how a verdict is reached."""
    said = refusal(tmp_path, {**SUITE, key: value}, ENGINES["endpoint"])
    assert wanted in said
    assert "suites.kimi" in said


@pytest.mark.parametrize("name", ["x" * 101, "x" * 250, "a/b", "..", "a b"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    """A suite's becomes its baseline's and its run's, with more around it."""
    assert "at most 100" in refusal(tmp_path, SUITE, ENGINES["endpoint"], name)


def test_a_name_of_a_hundred_characters_is_recorded_and_gated(repository: Repository) -> None:
    """The longest there may be fits a baseline, its lock and its temporary file."""
    repository.change_settings("suites.kimi", f"suites.{'k' * 100}")
    assert repository.run("--precgate-update").ret == 0
    assert repository.run().ret == 0


@pytest.mark.parametrize("flag", ["--precgate-replay", "--precgate-resume"])
@pytest.mark.parametrize("name", ["x" * 5000, "a/" * 2000, "\x1b[31m", "no-such-run"])
def test_an_impossible_run_name_is_a_usage_error(accepted: Repository, flag: str, name: str) -> None:
    """Also by a name that no file system holds."""
    result = accepted.run(f"{flag}={name}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: precgate: *: no such run in *"])
    assert "\x1b[31m:" not in result.stderr.str()


@pytest.mark.parametrize("number", ["0", "-3", "100000000000000000000"])
def test_an_impossible_number_of_launches_is_a_usage_error(accepted: Repository, number: str) -> None:
    """From the command line as from the settings."""
    result = accepted.run(f"--precgate-max-launches={number}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: precgate: *max_launches: got *, wanted *"])


@pytest.mark.usefixtures("accepted")
@pytest.mark.parametrize(
    "arguments",
    [
        ["noise", "--launches", "1000000000"],
        ["noise", "--launches", "-1"],
        ["noise", "--resume", "x" * 5000, "kimi"],
        ["compare", "x" * 5000, "points.csv"],
        ["calibrate", "x" * 5000],
        ["calibrate", "points.csv:fp4", "--range-ratio", "nan"],
        ["calibrate", "points.csv:fp4", "--out", f"{'x' * 5000}/y"],
        ["baseline", "show", "x" * 5000],
        ["baseline", "show", "--baselines", "x" * 5000],
        ["baseline", "check", "--baselines", "x" * 5000],
        ["serve-simulated", "--calibration", "x" * 5000 + ".json"],
        ["serve-simulated", "--max-batch", "0"],
        ["serve-simulated", "--speed", "nan"],
    ],
    ids=lambda arguments: " ".join(arguments)[:40],
)
def test_a_command_s_nonsense_is_one_line_and_exit_2(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """No traceback, and no word of a fault of ours."""
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("precgate: ")
    assert "fault of pytest-precgate" not in said
    assert said.count("\n") == 1
