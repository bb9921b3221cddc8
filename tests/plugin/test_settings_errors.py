"""Settings and marks that cannot be used are usage errors: exit 4, file and key, before anything is measured."""

from __future__ import annotations

import pytest

from tests.repository import TEST, Repository


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("interactivity =", "interactivty =", "unknown key 'interactivty'; did you mean 'interactivity'? *"),
        (
            "[tool.precgate.suites.kimi.fp4]",
            "[tool.precgate.suites.kimi.fp4x]",
            "unknown key 'fp4x'; did you mean 'fp4'? *",
        ),
        (
            'engine = "recorded"',
            'engine = "trtlm"',
            "unknown value 'trtlm'; did you mean 'trtllm'[?] known: command, endpoint, recorded, simulated, *vllm*",
        ),
        ('hardware = "b200"', 'hardware = "b9000"', "hardware: no price and power known for 'b9000'*"),
    ],
)
def test_a_setting_that_cannot_be_used_exits_4(accepted: Repository, old: str, new: str, why: str) -> None:
    """The file comes first, the key last."""
    accepted.change_settings(old, new)
    result = accepted.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: precgate: *pyproject.toml: {why}@ tool.precgate.suites.kimi*"])


def test_pyproject_that_is_no_toml_exits_4(accepted: Repository) -> None:
    """pytest itself refuses it first."""
    accepted.write_settings("[tool.precgate\n")
    assert accepted.run().ret == pytest.ExitCode.USAGE_ERROR


def test_an_unknown_ini_policy_exits_4(accepted: Repository) -> None:
    """A misspelt policy must not act as another one."""
    accepted.change_settings(
        "[tool.precgate.suites.kimi]\n",
        "[tool.pytest.ini_options]\nprecgate_unused = 'warning'\n\n[tool.precgate.suites.kimi]\n",
    )
    result = accepted.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: precgate: *ini key precgate_unused: unknown value 'warning'; did you mean 'warn'? *"]
    )


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        ("suit='kimi'", "unknown key 'suit'; did you mean 'suite'? *"),
        ("suite='kimmi'", "unknown suite 'kimmi'; did you mean 'kimi'? *"),
        ("'kimi'", "takes keywords only (suite=...), got 'kimi'"),
        ("points=[]", "got an empty list: without a point there is no gate*"),
        ("tolerance=3", "*wanted a tolerance below 1 (0.03 is 3%)*"),
    ],
)
def test_a_mark_that_cannot_be_used_exits_4(accepted: Repository, mark: str, why: str) -> None:
    """The test is named, and nothing ran."""
    accepted.write_test(f"import pytest\n@pytest.mark.precgate({mark})\n{TEST}def test_unit():\n    pass\n")
    result = accepted.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: precgate: test_kimi.py::test_fp4_pays_off: @pytest.mark.precgate: {why}"])
    result.stdout.no_fnmatch_line("*passed*")


def test_a_reason_for_nothing_exits_4(accepted: Repository) -> None:
    """--precgate-reason without an update would be lost."""
    result = accepted.run("--precgate-reason=because")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --precgate-reason: nothing is recorded without --precgate-update"])


def test_a_sweep_fixture_that_fails_says_why_once(accepted: Repository) -> None:
    """No traceback through the plugin, no chained exception."""
    (accepted.path / "points.csv").unlink()
    accepted.write_test("def test_fp4_pays_off(fp4_sweep):\n    pass\n")
    result = accepted.run()
    assert result.ret == 1
    assert sum("points.csv: cannot be read" in line for line in result.stdout.lines) <= 2  # report and short summary
    result.stdout.no_fnmatch_line("*During handling*")


def test_a_reason_of_two_lines_exits_4(accepted: Repository) -> None:
    """It would be refused after the measurement; it is refused before."""
    result = accepted.run("--precgate-update", "--precgate-reason=two\nlines")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --precgate-reason: got 'two?nlines', wanted one line of text"])


def test_a_standing_update_under_ci_exits_4(accepted: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """In addopts it would switch the gate off for good; typed, it is a person's command."""
    monkeypatch.setenv("CI", "true")
    accepted.change_settings(
        "[tool.precgate.suites.kimi]\n",
        "[tool.pytest.ini_options]\naddopts = '--precgate-update'\n\n[tool.precgate.suites.kimi]\n",
    )
    result = accepted.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --precgate-update: under CI it is accepted on the command line alone, *file"])
    monkeypatch.delenv("CI")
    assert accepted.run().ret == 0


def test_a_suite_of_one_precision_exits_4(accepted: Repository) -> None:
    """There is nothing to compare it with."""
    accepted.change_settings("[tool.precgate.suites.kimi.int4]", "[tool.precgate.suites.other.int4]")
    result = accepted.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: precgate: *names 1 precision(s), wanted two to compare*suites.kimi"])


def test_settings_above_the_root_directory_are_said_to_be_unused(accepted: Repository) -> None:
    """A pytest.ini below moves the root: the header names the settings that are not read."""
    (accepted.path / "perf").mkdir()
    (accepted.path / "perf" / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    accepted.write_test("def test_unit():\n    pass\n", name="perf/test_unit.py")
    result = accepted.run("perf")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["precgate: not in use: *pyproject.toml has settings, but the root directory is *perf"])


def test_several_suites_and_no_mark_exits_4(accepted: Repository) -> None:
    """The known suites are named."""
    text = (accepted.path / "pyproject.toml").read_text(encoding="utf-8")
    accepted.write_settings(text + text.replace("suites.kimi", "suites.llama"))
    result = accepted.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: precgate: *which suite? add @pytest.mark.precgate(suite=...); known: kimi, llama"]
    )


def test_no_suite_at_all_exits_4_for_a_test_that_asks(repository: Repository) -> None:
    """And says where settings were looked for."""
    repository.write_settings("[project]\nname = 'x'\n")
    result = repository.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: precgate: *no suite is configured; add [[]tool.precgate.suites.NAME] *looked for*"]
    )


def test_the_mark_is_documented(repository: Repository) -> None:
    """pytest --markers knows it, so that --strict-markers accepts it."""
    result = repository.run("--markers", "--strict-markers")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["@pytest.mark.precgate(suite=..., points=..., tolerance=..., metrics=..., max_launches=...): *"]
    )


def test_every_flag_is_in_the_help_with_its_prefix(repository: Repository) -> None:
    """Every one is a --precgate-."""
    result = repository.run("--help")
    assert result.ret == 0
    for flag in (
        "missing",
        "mismatch",
        "unused",
        "baselines",
        "update",
        "update-new-only",
        "reason",
        "json",
        "markdown",
        "html",
        "svg",
        "junit",
        "engine",
        "resume",
        "replay",
        "launch-rule",
        "max-launches",
        "paired-with",
    ):
        result.stdout.fnmatch_lines([f"*--precgate-{flag}*"])
