"""Ways in which a gate could stop gating unnoticed: each is reported, and fails by default."""

from __future__ import annotations

import pytest

from pytest_precgate.cli import main
from tests.repository import QUIET, SETTINGS, TEST, Repository

RENAMED = TEST.replace("pays_off", "is_worth_it")


def test_a_renamed_test_fails_and_the_old_name_is_said(accepted: Repository) -> None:
    """The new name has no baseline, the old one's gates go unused: exit 1 for the first, both said."""
    accepted.write_test(RENAMED)
    result = accepted.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "9 gates MISSING: the baseline has the same gate of test_kimi.py::test_fp4_pays_off, none of this test",
            "renamed: pytest --precgate-update-new-only; precgate baseline prune --reason renamed",
            "FAIL: baselines/kimi.json: 9 gates of test_kimi.py::test_fp4_pays_off not used by this run, renamed to "
            "test_kimi.py::test_fp4_is_worth_it? Then its failure says what to do",
        ]
    )


def test_a_renamed_test_is_recorded_without_measuring_the_baseline_again(accepted: Repository) -> None:
    """--precgate-update-new-only keeps the accepted points; what the old name held is then said to be unused."""
    before = accepted.baseline.read_text(encoding="utf-8")
    accepted.write_test(RENAMED)
    accepted.write_points(fp4=0.99)
    result = accepted.run("--precgate-update-new-only")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAIL: *of test_kimi.py::test_fp4_pays_off not used*precgate baseline prune*"])
    after = accepted.baseline.read_text(encoding="utf-8")
    assert [line for line in before.splitlines() if "concurrency" in line] == [
        line for line in after.splitlines() if "concurrency" in line
    ]
    accepted.pytester.chdir()
    assert main(["baseline", "prune", "--reason=renamed"]) == 0
    accepted.write_points()
    assert accepted.run().ret == 0


def test_an_update_of_the_whole_run_drops_the_renamed_test_s_gates(accepted: Repository) -> None:
    """The same gates under another name are no easier to pass: no reason is asked for, and the next run is clean."""
    accepted.write_test(RENAMED)
    assert accepted.run("--precgate-update").ret == 0
    assert "pays_off" not in accepted.baseline.read_text(encoding="utf-8").replace('"history"', "")
    assert accepted.run().ret == 0


@pytest.mark.parametrize(
    "change",
    [
        "def test_something_else():\n    pass\n",
        "import pytest\n@pytest.mark.skip\n" + TEST,
        "def test_fp4_pays_off(precgate):\n    precgate.compare('fp4', 'int4')\n",
        "def test_fp4_pays_off():\n    pass\n",
        "import pytest\n@pytest.mark.precgate(points=[55])\n" + TEST,
        "import pytest\n@pytest.mark.precgate(metrics=['throughput_ratio'])\n" + TEST,
    ],
    ids=["removed", "skipped", "unchecked", "emptied", "fewer-points", "fewer-metrics"],
)
def test_a_test_that_gates_less_than_its_baseline_fails_the_run(accepted: Repository, change: str) -> None:
    """Removed, skipped, no longer checking, checking less: every test passes and the run exits 1."""
    accepted.write_test(change)
    result = accepted.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["FAIL: baselines/kimi.json: *of test_kimi.py::test_fp4_pays_off not used by this run*"]
    )
    result.stdout.no_fnmatch_line("*failed*in*s*")


def test_a_removed_test_file_fails_the_run(accepted: Repository) -> None:
    """The other tests of the directory pass; the gates without a test are named."""
    (accepted.path / "test_kimi.py").unlink()
    accepted.write_test("def test_unit():\n    pass\n", name="test_unit.py")
    result = accepted.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAIL: baselines/kimi.json: 9 gates*", "*1 passed*"])


@pytest.mark.parametrize(("policy", "line"), [("warn", "warning: baselines/kimi.json: 9 gates*"), ("ignore", None)])
def test_unused_gates_may_be_a_warning_or_nothing(accepted: Repository, policy: str, line: str | None) -> None:
    """--precgate-unused=warn says it and exits 0."""
    accepted.write_test("def test_unit():\n    pass\n")
    result = accepted.run(f"--precgate-unused={policy}")
    assert result.ret == 0
    if line is None:
        result.stdout.no_fnmatch_line("*not used by this run*")
    else:
        result.stdout.fnmatch_lines([line])


@pytest.mark.parametrize(
    "narrowing",
    [
        ("-k", "unit"),
        ("--deselect", "test_kimi.py::test_fp4_pays_off"),
        ("test_unit.py",),
        ("test_unit.py::test_unit",),
        ("--ignore=test_kimi.py",),
        ("-m", "skipif"),
        ("--collect-only",),
    ],
    ids=" ".join,
)
def test_a_narrowed_run_calls_nothing_unused(accepted: Repository, narrowing: tuple[str, ...]) -> None:
    """Who runs the unit tests only is not told that the perf tests did not run."""
    accepted.write_test(
        "import pytest\n@pytest.mark.skipif(False, reason='')\ndef test_unit():\n    pass\n",
        name="test_unit.py",
    )
    result = accepted.run(*narrowing)
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*not used by this run*")


@pytest.mark.parametrize("addopts", ["-k unit", "--ignore=test_kimi.py", "--deselect=test_kimi.py"])
def test_narrowing_in_a_configuration_file_is_a_gate_gone_missing(accepted: Repository, addopts: str) -> None:
    """Tests that addopts leaves out of every run are not left out by choice of this run: exit 1."""
    accepted.write_test("def test_unit():\n    pass\n", name="test_unit.py")
    accepted.change_settings(
        "[tool.precgate.suites.kimi]\n",
        f"[tool.pytest.ini_options]\naddopts = '{addopts}'\n\n[tool.precgate.suites.kimi]\n",
    )
    result = accepted.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAIL: baselines/kimi.json: 9 gates*not used by this run*"])


def test_a_conftest_that_deselects_the_gate_fails_the_run(accepted: Repository) -> None:
    """Deselected by a hook, with pytest told about it: still not a choice on the command line."""
    accepted.write_test(
        "def pytest_collection_modifyitems(config, items):\n"
        "    gone = [item for item in items if 'pays_off' in item.name]\n"
        "    items[:] = [item for item in items if item not in gone]\n"
        "    config.hook.pytest_deselected(items=gone)\n",
        name="conftest.py",
    )
    accepted.write_test("def test_unit():\n    pass\n", name="test_unit.py")
    assert accepted.run().ret == 1


@pytest.mark.parametrize(
    "arguments", [("test_kimi.py::test_fp4_pays_off",), ("-k", "pays_off"), ("--lf",), ("-xk", "pays_off")]
)
def test_a_test_that_ran_must_hold_its_gates_however_it_was_chosen(
    accepted: Repository, arguments: tuple[str, ...]
) -> None:
    """Its check was deleted; naming the test on the command line does not hide that."""
    accepted.write_test("def test_fp4_pays_off(precgate):\n    precgate.compare('fp4', 'int4')\n")
    result = accepted.pytester.runpytest_inprocess(*QUIET[2:], *arguments)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAIL: baselines/kimi.json: 9 gates*not used by this run*"])


def test_removing_the_settings_with_the_test_fails_the_run(accepted: Repository) -> None:
    """No suite is configured any more, and the committed baseline still says what should be gated."""
    accepted.write_settings("[project]\nname = 'x'\n")
    accepted.write_test("def test_unit():\n    pass\n")
    result = accepted.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAIL: baselines/kimi.json: 9 gates*not used by this run*"])


def test_json_files_of_other_tools_are_not_baselines(repository: Repository) -> None:
    """A directory of that name with other files, and no settings of ours: nothing is said."""
    repository.write_settings("[project]\nname = 'x'\n")
    repository.write_test("def test_unit():\n    pass\n")
    (repository.path / "baselines").mkdir()
    (repository.path / "baselines" / "pixels.json").write_text('{"threshold": 3}', encoding="utf-8")
    (repository.path / "baselines" / "binary.json").write_bytes(b"\xff\xfe")
    result = repository.run()
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*precgate*=*")


@pytest.mark.parametrize("arguments", [("test_kimi.py::test_fp4_pays_off",), ("-k", "pays_off"), ("-m", "skip")])
def test_a_skipped_test_that_was_chosen_fails_the_run(accepted: Repository, arguments: tuple[str, ...]) -> None:
    """Naming it on the command line does not make its skip a choice."""
    accepted.write_test("import pytest\n@pytest.mark.skip\n" + TEST)
    result = accepted.run(*arguments)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAIL: baselines/kimi.json: 9 gates*skipped*"])


def test_a_suite_nothing_gates_fails_a_run_of_everything(accepted: Repository) -> None:
    """Configured, no baseline, no test: named, unless the run was pointed elsewhere."""
    accepted.write_settings(SETTINGS + SETTINGS.replace("suites.kimi", "suites.llama"))
    accepted.write_test("import pytest\npytestmark = pytest.mark.precgate(suite='kimi')\n" + TEST)
    result = accepted.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAIL: suite llama is configured and nothing gates it: *"])
    assert accepted.run("test_kimi.py").ret == 0


def test_a_suite_whose_test_failed_before_its_check_is_not_said_to_have_none(repository: Repository) -> None:
    """Its points are missing: that is the failure, and the only one."""
    (repository.path / "points.csv").unlink()
    result = repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *RecordedPointsError: *points.csv*"])
    result.stdout.no_fnmatch_line("*nothing gates it*")


def test_a_run_that_collects_no_test_and_loses_no_gate_exits_5(accepted: Repository) -> None:
    """As pytest has it; docs/settings.md lists it."""
    (accepted.path / "unit").mkdir()
    (accepted.path / "unit" / "test_none.py").write_text("", encoding="utf-8")
    assert accepted.run("unit").ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_an_emptied_test_file_fails_the_run(accepted: Repository) -> None:
    """No test collected is exit 5 elsewhere, which some setups take for green; lost gates are exit 1."""
    accepted.write_test("")
    assert accepted.run().ret == pytest.ExitCode.TESTS_FAILED


def test_a_plugin_that_shards_the_run_calls_nothing_unused(accepted: Repository) -> None:
    """The other shard holds the gates (pytest-split's flags)."""
    accepted.write_test(
        "def pytest_addoption(parser):\n    parser.addoption('--splits')\n"
        "def pytest_collection_modifyitems(config, items):\n"
        "    config.hook.pytest_deselected(items=items[:1])\n    del items[:1]\n",
        name="conftest.py",
    )
    accepted.write_test("def test_unit():\n    pass\n", name="test_unit.py")
    result = accepted.run("--splits=2")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["warning: *9 gates of test_kimi.py::test_fp4_pays_off not checked: this run was narrowed"]
    )


@pytest.mark.parametrize("flag", ["--setup-plan", "--setup-only"])
def test_a_run_that_runs_no_test_judges_nothing(accepted: Repository, flag: str) -> None:
    """Plans are no results."""
    result = accepted.run(flag)
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*not used by this run*")


def test_a_run_stopped_by_stepwise_still_reports(accepted: Repository) -> None:
    """Exit 2, the JSON written, the failed gates in it."""
    accepted.write_points(fp4=0.92)
    result = accepted.pytester.runpytest_inprocess(*QUIET[2:], "--sw", "--precgate-json=gate.json")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert '"REGRESSED"' in (accepted.path / "gate.json").read_text(encoding="utf-8")


def test_under_ci_unused_gates_are_never_ignored(accepted: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """--precgate-unused=ignore becomes warn: the run passes, and says what it did not hold."""
    monkeypatch.setenv("CI", "true")
    accepted.write_test("def test_unit():\n    pass\n")
    result = accepted.run("--precgate-unused=ignore")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["warning: baselines/kimi.json: 9 gates*not used by this run*"])


def test_ignoring_something_else_does_not_switch_the_check_off(accepted: Repository) -> None:
    """A standing --ignore=vendor in addopts must not hide a removed test."""
    accepted.write_test("def test_unit():\n    pass\n")
    assert accepted.run("--ignore=vendor").ret == 1


def test_a_narrowed_run_says_which_gates_it_left_out(accepted: Repository) -> None:
    """-k on the command line is a choice, and the summary says what it cost."""
    accepted.write_test("def test_unit():\n    pass\n", name="test_unit.py")
    result = accepted.run("-k", "unit")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["warning: baselines/kimi.json: 9 gates of test_kimi.py::test_fp4_pays_off not checked: this run was narrowed"]
    )


def test_unit_tests_in_a_directory_of_their_own_call_nothing_unused(accepted: Repository) -> None:
    """Gates of tests outside the paths of this run are not judged."""
    (accepted.path / "unit").mkdir()
    accepted.write_test("def test_unit():\n    pass\n", name="unit/test_unit.py")
    assert accepted.run("unit").ret == 0
    assert accepted.run("unit", "--precgate-unused=fail").ret == 0


def test_a_run_cut_short_calls_nothing_unused(accepted: Repository) -> None:
    """-x stops before the perf test: exit 1 for the failure alone."""
    accepted.write_test("def test_a():\n    assert False\n", name="test_a.py")
    result = accepted.run("-x")
    assert result.ret == 1
    result.stdout.no_fnmatch_line("*not used by this run*")


def test_a_failed_test_s_gates_are_not_called_unused_on_top(accepted: Repository) -> None:
    """One failure, one message."""
    accepted.write_test("def test_fp4_pays_off(precgate):\n    assert False\n")
    result = accepted.run()
    assert result.ret == 1
    result.stdout.no_fnmatch_line("*not used by this run*")


def test_a_baseline_whose_suite_is_gone_fails_the_run(accepted: Repository) -> None:
    """The suite was renamed in the settings: its old baseline gates nothing any more."""
    accepted.change_settings("suites.kimi", "suites.kimi-k2")
    assert accepted.run("--precgate-update").ret == 1
    result = accepted.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAIL: baselines/kimi.json: 9 gates*not used by this run*"])


def test_a_corrupt_baseline_no_test_reads_fails_the_run(accepted: Repository) -> None:
    """A leftover file is judged too."""
    torn = accepted.baseline.read_text(encoding="utf-8")[:500]
    (accepted.path / "baselines" / "old.json").write_text(torn, encoding="utf-8")
    (accepted.path / "baselines" / "somebody-else-s.json").write_text("[1]", encoding="utf-8")
    result = accepted.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAIL: baselines/old.json: is not whole JSON*"])


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("interactivity = [55, 73, 91]", "interactivity = []", "without a point there is no gate"),
        ("interactivity =", "metrics = []\ninteractivity =", "without a metric there is no gate"),
    ],
)
def test_a_suite_without_gates_is_a_usage_error(accepted: Repository, old: str, new: str, why: str) -> None:
    """Exit 4 before anything runs."""
    accepted.change_settings(old, new)
    result = accepted.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: precgate: *pyproject.toml: *{why} @ tool.precgate.suites.kimi.*"])


@pytest.mark.parametrize("arguments", [("-n", "2"), ("-n", "1"), ("-n2", "--dist=loadgroup")])
def test_under_xdist_a_gate_test_fails_with_a_reason(accepted: Repository, arguments: tuple[str, ...]) -> None:
    """Exit 1, no INTERNALERROR, the way out is named; tests without gates run as ever."""
    accepted.write_test("def test_unit():\n    pass\n", name="test_unit.py")
    result = accepted.run_apart(*arguments)
    assert result.ret == 1
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*precgate tests do not run under pytest-xdist*Run them with -n 0"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_under_xdist_the_reports_say_what_was_refused(accepted: Repository) -> None:
    """Who reads the artefact only must not take it for an empty run."""
    result = accepted.run_apart("-n", "2", "--precgate-markdown=gate.md", "--precgate-json=gate.json")
    assert result.ret == 1
    for name in ("gate.md", "gate.json"):
        text = (accepted.path / name).read_text(encoding="utf-8")
        assert "do not run under pytest-xdist" in text


def test_under_xdist_the_sweep_fixtures_fail_with_a_reason_too(accepted: Repository) -> None:
    """They would measure on shared GPUs as well."""
    accepted.write_test("def test_fp4_pays_off(fp4_sweep):\n    pass\n")
    result = accepted.run_apart("-n", "2")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*precgate tests do not run under pytest-xdist*"])


def test_under_xdist_broken_settings_are_a_usage_error(accepted: Repository) -> None:
    """Said once, by the controller: exit 4, no INTERNALERROR from a worker."""
    accepted.change_settings("interactivity =", "interactivty =")
    result = accepted.run_apart("-n", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: precgate: *unknown key 'interactivty'; did you mean 'interactivity'*"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_with_xdist_installed_and_switched_off_everything_runs(accepted: Repository) -> None:
    """-n 0 is no xdist run."""
    assert accepted.run_apart("-n", "0").ret == 0


def cut(repository: Repository) -> None:
    """Cut the last three bytes of the points, as a full disk or `truncate -s -3` does."""
    path = repository.path / "points.csv"
    path.write_bytes(path.read_bytes()[:-3])


def test_points_cut_in_half_are_refused_under_ci(accepted: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last row is still a row, of another figure or none; warnings are not read under CI."""
    cut(accepted)
    monkeypatch.setenv("CI", "true")
    result = accepted.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *RecordedPointsError: *points.csv: the last line has no line end,*under CI)"])


def test_points_cut_in_half_are_warned_about_elsewhere(accepted: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """In pytest's own summary of warnings."""
    cut(accepted)
    monkeypatch.delenv("CI", raising=False)
    result = accepted.run("-W", "default")
    result.stdout.fnmatch_lines(["*PrecgateWarning: *points.csv: the last line has no line end, so*"])


def test_what_fails_a_run_of_passing_tests_stands_in_its_last_lines(accepted: Repository) -> None:
    """Not above "1 passed" alone: in the short summary, and in pytest's own count."""
    accepted.write_settings(SETTINGS + SETTINGS.replace("suites.kimi", "suites.llama"))
    accepted.write_test("import pytest\npytestmark = pytest.mark.precgate(suite='kimi')\n" + TEST)
    result = accepted.run()
    assert result.ret == 1
    *_, short, last = (line for line in result.outlines if line)
    assert short.startswith("ERROR precgate - suite llama is configured and nothing gates it")
    assert "1 passed, 1 error in " in last
