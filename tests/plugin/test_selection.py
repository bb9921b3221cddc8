"""Which tests a command line leaves out: a person's choice, in every way pytest lets it be typed."""

from __future__ import annotations

import pytest

from tests.repository import TEST, Repository

UNIT = "def test_unit():\n    pass\n"
BROKEN = "import nothing_of_this_name\n\n" + TEST
UNUSED = "*not used by this run*"


@pytest.fixture
def with_unit(accepted: Repository) -> Repository:
    """A baseline, the test that holds its gates, and one that holds none."""
    accepted.write_test(UNIT, name="test_unit.py")
    return accepted


@pytest.mark.parametrize(
    "narrowing",
    [
        ("-kunit",),
        ("-xk", "unit"),
        ("-xkunit",),
        ("--deselect=test_kimi.py::test_fp4_pays_off",),
        ("--ignore", "test_kimi.py"),
        ("--ignore-glob=*kimi*",),
        ("--ignore-glob", "*kimi*"),
    ],
    ids=" ".join,
)
def test_a_choice_is_recognised_however_it_is_typed(with_unit: Repository, narrowing: tuple[str, ...]) -> None:
    """Joined or apart, behind other letters, by a pattern: no gate is called unused."""
    result = with_unit.run(*narrowing)
    assert result.ret == 0
    result.stdout.no_fnmatch_line(UNUSED)


@pytest.mark.parametrize(
    "narrowing", [("--ignore-glob=*other*",), ("--ignore", "other"), ("-x",), ("-vs",)], ids=" ".join
)
def test_what_leaves_no_gate_out_switches_nothing_off(with_unit: Repository, narrowing: tuple[str, ...]) -> None:
    """The test that held the gates is gone, and the option is about something else: exit 1."""
    (with_unit.path / "test_kimi.py").unlink()
    result = with_unit.run(*narrowing)
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"FAIL: baselines/kimi.json: 9 gates{UNUSED}"])


def test_arguments_in_a_file_are_a_choice(with_unit: Repository) -> None:
    """`pytest @file`: the options stand in the file, not on the command line."""
    (with_unit.path / "chosen.txt").write_text("-k\nunit\n", encoding="utf-8")
    result = with_unit.run("@chosen.txt")
    assert result.ret == 0
    result.stdout.no_fnmatch_line(UNUSED)


def test_the_environment_s_options_belong_to_the_command(
    with_unit: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PYTEST_ADDOPTS is typed for one command, as a flag is; addopts of a file is not."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k 'unit and not kimi'")
    result = with_unit.run()
    assert result.ret == 0
    result.stdout.no_fnmatch_line(UNUSED)


def test_a_file_that_cannot_be_collected_cuts_the_run_short(accepted: Repository) -> None:
    """The gates of its tests are not called unused beside the error, whatever else was collected after it."""
    accepted.write_test(BROKEN)
    accepted.write_test(UNIT, name="test_unit.py")
    result = accepted.run("--continue-on-collection-errors")
    assert result.ret == 1
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.no_fnmatch_line(UNUSED)


def test_an_update_keeps_the_gates_of_a_file_that_cannot_be_collected(accepted: Repository) -> None:
    """Nobody knows whether its tests still hold them."""
    before = accepted.baseline.read_text(encoding="utf-8")
    accepted.write_test(BROKEN)
    accepted.write_test(TEST.replace("test_fp4", "test_other"), name="test_other.py")
    accepted.run("--continue-on-collection-errors", "--precgate-update")
    after = accepted.baseline.read_text(encoding="utf-8")
    assert after.count("test_kimi.py::test_fp4_pays_off") == before.count("test_kimi.py::test_fp4_pays_off") > 0
    assert "test_other.py::test_other_pays_off" in after
