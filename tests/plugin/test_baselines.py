"""Recording, updating and refusing baselines through pytest, with exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_precgate.baselines.schema import SCHEMA
from tests.repository import QUIET, TEST, Repository


def test_a_suite_without_a_baseline_fails(repository: Repository) -> None:
    """MISSING, exit 1, the flag that records one is named, and nothing is written."""
    result = repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["MISSING  fp4/int4 throughput_ratio at 55 *no baseline; record one with pytest --precgate-update"]
    )
    assert not repository.baseline.exists()


def test_an_update_records_raw_points_of_every_launch(repository: Repository) -> None:
    """Exit 0; what was recorded is printed and can be read back by a person."""
    result = repository.run("--precgate-update", "--precgate-reason=first measurement")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "baselines/kimi.json: written, reason: first measurement",
            "*fp4 throughput_per_gpu at 55 tok/s/user: new, 1028.1*",
        ]
    )
    document = json.loads(repository.baseline.read_text(encoding="utf-8"))
    assert [(launch["precision"], len(launch["points"])) for launch in document["launches"]] == [
        ("fp4", 16),
        ("int4", 5),
    ]
    assert document["recorded"]["reason"] == "first measurement"
    assert document["schema"] == SCHEMA


def test_an_update_that_moves_nothing_leaves_the_file_alone(accepted: Repository) -> None:
    """Byte for byte: no new time stamp for the same points."""
    before = accepted.baseline.read_bytes()
    result = accepted.run("--precgate-update")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["baselines/kimi.json: unchanged", "*9 gates did not move"])
    assert accepted.baseline.read_bytes() == before


def test_an_update_to_better_values_lists_what_changed(accepted: Repository) -> None:
    """Exit 0, per gate from, to and by how much; the old reason stays in the history."""
    accepted.write_points(fp4=1.08)
    result = accepted.run("--precgate-update", "--precgate-reason=new kernels")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["*fp4 throughput_per_gpu at 55 tok/s/user: 1028.1 tok/s/GPU -> 1110.4 tok/s/GPU (+8.0%)"]
    )
    document = json.loads(accepted.baseline.read_text(encoding="utf-8"))
    assert (document["recorded"]["reason"], [entry["reason"] for entry in document["history"]]) == ("new kernels", [""])
    assert accepted.run().ret == 0


def test_an_update_that_makes_a_gate_easier_to_pass_asks_for_a_reason(accepted: Repository) -> None:
    """Without one: exit 1 and the old file. So too 8% below its anchor without the flag for that. Then it is marked."""
    before = accepted.baseline.read_bytes()
    accepted.write_points(fp4=0.92)
    refused = accepted.run("--precgate-update")
    assert refused.ret == 1
    refused.stdout.fnmatch_lines(
        ["FAIL: baselines/kimi.json: not written: it would make *and 3 more easier to pass; *--precgate-reason TEXT*"]
    )
    assert accepted.baseline.read_bytes() == before
    reason = ("--precgate-reason", "traded speed for quality")
    sunk = accepted.run("--precgate-update", *reason)
    assert sunk.ret == 1
    sunk.stdout.fnmatch_lines(
        [
            "FAIL: baselines/kimi.json: not written: it would leave fp4/int4 throughput_ratio at 55 tok/s/user 8.0% "
            "worse than its anchor, the state accepted * and 3 more (allowed are 3%), *--precgate-lower-anchor *"
        ]
    )
    assert accepted.baseline.read_bytes() == before
    given = accepted.run("--precgate-update", "--precgate-lower-anchor", *reason)
    assert given.ret == 0
    given.stdout.fnmatch_lines(
        [
            "  anchor lowered to this state: fp4/int4 throughput_ratio at 55 tok/s/user* and 3 more",
            "*fp4 throughput_per_gpu at 55 *(-8.0%, easier to pass)",
        ]
    )
    assert accepted.run().ret == 0


def test_an_update_covers_the_selected_tests_only(accepted: Repository) -> None:
    """Another test of the suite keeps its gates."""
    accepted.write_test(TEST + TEST.replace("pays_off", "is_cheap"))
    assert accepted.run("--precgate-update", "-k", "is_cheap").ret == 0
    assert accepted.run().ret == 0
    document = json.loads(accepted.baseline.read_text(encoding="utf-8"))
    assert {gate["test"] for gate in document["gates"]} == {
        "test_kimi.py::test_fp4_pays_off",
        "test_kimi.py::test_fp4_is_cheap",
    }


def test_new_only_records_what_is_missing_and_judges_the_rest(accepted: Repository) -> None:
    """A further point is read from the accepted points; a regression elsewhere still fails the run."""
    accepted.change_settings("[55, 73, 91]", "[55, 64, 73, 91]")
    accepted.write_points(fp4=0.99)
    before = json.loads(accepted.baseline.read_text(encoding="utf-8"))
    result = accepted.run("--precgate-update-new-only")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "fp4 throughput_per_gpu * -1.0% PASS  - MISSING *",
            "test_kimi.py::test_fp4_pays_off: added, 12 gates: 9 PASS, 3 MISSING against baselines/kimi.json",
            "*fp4 throughput_per_gpu at 64 tok/s/user: new, 835.7*",
            "*9 gates did not move",
        ]
    )
    after = json.loads(accepted.baseline.read_text(encoding="utf-8"))
    assert after["launches"] == before["launches"]
    accepted.write_points(fp4=0.92)
    accepted.change_settings("[55, 64, 73, 91]", "[55, 60, 64, 73, 91]")
    assert accepted.run("--precgate-update-new-only").ret == 1


def test_both_update_flags_at_once_are_a_usage_error(accepted: Repository) -> None:
    """They contradict each other."""
    result = accepted.run("--precgate-update", "--precgate-update-new-only")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --precgate-update and --precgate-update-new-only: give one of them"])


@pytest.mark.parametrize("flags", [(), ("--precgate-update", "--precgate-reason=x"), ("--precgate-update-new-only",)])
@pytest.mark.parametrize(
    ("cut", "why"),
    [
        (lambda text: text[: len(text) // 2], "is not whole JSON*Restore it from version control*"),
        (lambda _: "", "is not whole JSON*"),
        (lambda text: text.replace('"gpus": 4, ', "", 1), "required field missing @ $.launches[[]0].points[[]0].gpus"),
        (lambda text: text.replace('"gpus": 4', '"gpus": "four"', 1), "got 'four', wanted a whole number @ $*gpus"),
        (lambda text: text.replace("157.0", "NaN").replace("156.991", "NaN"), "holds NaN, which is no measurement"),
        (lambda text: text.replace('"history": []', '"history": [], "history": []'), "holds the key 'history' twice*"),
        (lambda text: text.replace(f'"schema": {SCHEMA}', '"schema": 0'), "got 0, wanted a schema from 1 to *"),
        (lambda text: text.replace('"suite": "kimi"', '"suite": "llama"'), "belongs to suite 'llama'*"),
        (
            lambda text: text.replace('"metric": "throughput_ratio"', '"metric": "ttft"', 1),
            "unknown value 'ttft'*gates[[]*].metric",
        ),
        (lambda text: text.replace('"history"', '"hystory"'), "unknown key 'hystory'; did you mean 'history'*"),
    ],
)
def test_a_baseline_that_is_not_whole_fails_and_is_left_untouched(
    accepted: Repository, cut: object, why: str, flags: tuple[str, ...]
) -> None:
    """Truncated, emptied, a field lost, edited into nonsense: exit 1, file and spot named, also by an update."""
    broken = cut(accepted.baseline.read_text(encoding="utf-8"))  # type: ignore[operator]
    accepted.baseline.write_text(broken, encoding="utf-8")
    result = accepted.run(*flags)
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"E *BaselineCorruptError: baselines/kimi.json: {why}*"])
    result.stdout.no_fnmatch_line("*schema.py*")
    result.stdout.no_fnmatch_line("*decoder.py*")
    assert accepted.baseline.read_text(encoding="utf-8") == broken


@pytest.mark.parametrize(
    ("old", "new"),
    [('"value": 1028.14', '"value": 900.0'), ('"throughput_per_gpu": 922.079', '"throughput_per_gpu": 822.079')],
)
def test_a_baseline_edited_by_hand_judges_nothing(accepted: Repository, old: str, new: str) -> None:
    """A value or a point changed without the other: a hand, or a merge line by line. Exit 1."""
    text = accepted.baseline.read_text(encoding="utf-8")
    assert old in text
    accepted.baseline.write_text(text.replace(old, new), encoding="utf-8")
    result = accepted.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["E *BaselineCorruptError: kimi.json: *its points give *edited by hand or merged badly*"]
    )


def test_an_update_keeps_the_gates_of_a_skipped_test(accepted: Repository) -> None:
    """Skipped is not gone: nothing is dropped without a word, though another test holds the same gates."""
    two = TEST + TEST.replace("pays_off", "other")
    accepted.write_test(two)
    assert accepted.run("--precgate-update").ret == 0
    accepted.write_test(TEST + "import pytest\n@pytest.mark.skip\n" + TEST.replace("pays_off", "other"))
    accepted.write_points(fp4=1.1)
    assert accepted.run("--precgate-update").ret == 0
    assert accepted.baseline.read_text(encoding="utf-8").count("::test_fp4_other") == 9


def test_a_test_dropped_beside_another_with_its_gates_needs_a_reason(accepted: Repository) -> None:
    """It was not moved: the other test held the same gates before."""
    accepted.write_test(TEST + TEST.replace("pays_off", "other"))
    assert accepted.run("--precgate-update").ret == 0
    accepted.write_test(TEST)
    result = accepted.run("--precgate-update")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAIL: *it would make * easier to pass; *"])


@pytest.mark.parametrize("end", ["    assert False\n", "    pytest.xfail('later')\n"])
def test_one_failed_test_holds_back_its_suite_s_update(accepted: Repository, end: str) -> None:
    """Its gates would be moved to points it does not vouch for; an xfail is no better."""
    accepted.write_test(TEST + TEST.replace("pays_off", "other"))
    assert accepted.run("--precgate-update").ret == 0
    before = accepted.baseline.read_bytes()
    accepted.write_points(fp4=1.1)
    accepted.write_test("import pytest\n" + TEST + TEST.replace("pays_off", "other") + end)
    result = accepted.run("--precgate-update")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAIL: baselines/kimi.json: not written: tests that gate it failed: *test_fp4_other"])
    assert accepted.baseline.read_bytes() == before


def test_quartiles_do_not_depend_on_digits_a_baseline_does_not_keep(repository: Repository) -> None:
    """A band whose quartile rounds differently at six digits: recorded and judged at the same points."""
    repository.change_settings("[55, 73, 91]", '"quartiles"')
    low, high = "36.768068346699465", "101.74385515844779"
    rows = [
        f"{p},4,{c},{x},{y * k}" for p, k in (("fp4", 2), ("int4", 1)) for c, x, y in ((64, low, 500), (4, high, 100))
    ]
    text = "precision,gpus,concurrency,interactivity,throughput_per_gpu\n" + "\n".join(rows) + "\n"
    (repository.path / "points.csv").write_text(text, encoding="utf-8")
    assert repository.run("--precgate-update").ret == 0
    assert repository.run().ret == 0


def test_a_partial_update_cannot_move_quartiles(repository: Repository) -> None:
    """The sibling test would be left at points that are no quartiles any more."""
    repository.change_settings("[55, 73, 91]", '"quartiles"')
    repository.write_test(TEST + TEST.replace("pays_off", "other"))
    points = repository.path / "points.csv"
    wide = points.read_text(encoding="utf-8")
    lines = wide.splitlines()
    fastest = next(line for line in lines if line.startswith("int4,") and ",4,111." in line)
    points.write_text("\n".join(line for line in lines if line != fastest) + "\n", encoding="utf-8")
    assert repository.run("--precgate-update").ret == 0
    points.write_text(wide, encoding="utf-8")
    result = repository.run("--precgate-update", "-k", "pays_off", "--precgate-reason=x")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAIL: *its quartile*moved, and *::test_fp4_other gates the old ones: *together"])


def test_the_order_of_measurement_is_no_change(accepted: Repository) -> None:
    """A test that asks for INT4 first leaves the file as it is."""
    before = accepted.baseline.read_bytes()
    accepted.write_test("def test_first(int4_sweep):\n    pass\n", name="test_a.py")
    assert accepted.run("--precgate-update").ret == 0
    assert accepted.baseline.read_bytes() == before


@pytest.mark.parametrize("flags", [(), ("--precgate-update", "--precgate-reason=x")])
def test_a_newer_schema_is_refused_by_name_and_left_untouched(accepted: Repository, flags: tuple[str, ...]) -> None:
    """Exit 1: upgrading is the cure, overwriting is not."""
    text = accepted.baseline.read_text(encoding="utf-8").replace(f'"schema": {SCHEMA}', f'"schema": {SCHEMA + 1}')
    accepted.baseline.write_text(text, encoding="utf-8")
    result = accepted.run(*flags)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [f"E *BaselineSchemaError: baselines/kimi.json: schema {SCHEMA + 1} was written by a newer *; *Upgrade*"]
    )
    assert accepted.baseline.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('hardware = "b200"', 'hardware = "h200"', "fp4: hardware is h200, the baseline's is b200*"),
        ("isl = 1024", "isl = 8192", "fp4: isl is 8192, the baseline's is 1024*"),
        ("range_ratio = 0.8", "range_ratio = 1.0", "fp4: range_ratio is 1.0, the baseline's is 0.8*"),
    ],
)
def test_another_hardware_or_workload_is_a_mismatch(accepted: Repository, old: str, new: str, why: str) -> None:
    """MISMATCH, exit 1, with what differs. The points file says neither, so only the suite can."""
    header_free(accepted)
    accepted.change_settings(old, new)
    result = accepted.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"MISMATCH  fp4/int4 throughput_ratio at 55 *; {why}", "*9 gates: 9 MISMATCH*"])


def header_free(repository: Repository) -> None:
    """Drop the columns in which the points file says its own hardware and workload."""
    lines = (repository.path / "points.csv").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith("#")]
    wanted = [i for i, name in enumerate(kept[0].split(",")) if name not in ("hardware", "isl", "osl")]
    text = "\n".join(",".join(line.split(",")[i] for i in wanted) for line in kept)
    (repository.path / "points.csv").write_text(text + "\n", encoding="utf-8")


def test_a_mismatch_may_be_judged_all_the_same(accepted: Repository) -> None:
    """--precgate-mismatch=warn: exit 0, and the summary says what was overlooked."""
    header_free(accepted)
    accepted.change_settings('hardware = "b200"', 'hardware = "h200"')
    result = accepted.run("--precgate-mismatch=warn")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["note: judged all the same: fp4: hardware is h200, the baseline's is b200"])
    accepted.write_points(fp4=0.5)
    header_free(accepted)
    assert accepted.run("--precgate-mismatch=warn").ret == 1


def test_a_mismatch_may_skip(accepted: Repository) -> None:
    """--precgate-mismatch=skip: the test is skipped with the reason, and a missing baseline still fails."""
    header_free(accepted)
    accepted.change_settings('hardware = "b200"', 'hardware = "h200"')
    result = accepted.run("--precgate-mismatch=skip", "-rs")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["SKIPPED * precgate: 9 of 9 gates MISMATCH: fp4: hardware is h200*"])
    accepted.baseline.unlink()
    assert accepted.run("--precgate-mismatch=skip").ret == 1


def test_a_missing_baseline_may_skip(repository: Repository) -> None:
    """--precgate-missing=skip outside CI: skipped, visible, nothing written."""
    result = repository.run("--precgate-missing=skip", "-rs")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["SKIPPED * precgate: 9 of 9 gates MISSING: this suite has no baseline*"])
    assert not repository.baseline.exists()


def test_a_missing_baseline_may_be_created(repository: Repository) -> None:
    """--precgate-missing=create outside CI records it and says so; the next run is judged."""
    result = repository.run("--precgate-missing=create")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["*added, 9 gates: 9 MISSING against baselines/kimi.json", "baselines/kimi.json: written"]
    )
    repository.write_points(fp4=0.92)
    assert repository.run("--precgate-missing=create").ret == 1


@pytest.mark.parametrize("variable", ["CI", "BUILD_NUMBER"])
@pytest.mark.parametrize("policy", ["skip", "create"])
def test_under_ci_a_missing_baseline_fails_with_any_flag(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, policy: str, variable: str
) -> None:
    """CI or BUILD_NUMBER: exit 1, the flag's being overruled is said, nothing is written."""
    monkeypatch.setenv(variable, "17")
    result = repository.run(f"--precgate-missing={policy}")
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"note: --precgate-missing={policy} has no effect under CI: *would not be noticed"])
    assert not repository.baseline.exists()


@pytest.mark.parametrize("variable", ["CI", "BUILD_NUMBER"])
def test_under_ci_a_mismatch_fails_with_any_flag(
    accepted: Repository, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """CI=true or a BUILD_NUMBER, and skip: exit 1."""
    monkeypatch.setenv(variable, "17")
    header_free(accepted)
    accepted.change_settings('hardware = "b200"', 'hardware = "h200"')
    result = accepted.run("--precgate-mismatch=skip")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["note: --precgate-mismatch=skip has no effect under CI*"])


@pytest.mark.parametrize("variable", ["CI", "BUILD_NUMBER"])
def test_under_ci_the_ini_file_skips_nothing(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """`precgate_missing = "skip"` is a developer's convenience: exit 1, and the key is named."""
    (repository.path / "pytest.ini").write_text("[pytest]\nprecgate_missing = skip\n", encoding="utf-8")
    assert repository.run().ret == 0
    monkeypatch.setenv(variable, "17")
    result = repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["note: * has no effect under CI*"])


def test_under_ci_an_update_that_was_asked_for_is_written(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that updates baselines and opens a pull request is a person's command."""
    monkeypatch.setenv("CI", "true")
    assert repository.run("--precgate-update").ret == 0
    assert repository.baseline.exists()


def test_policies_have_ini_defaults_which_flags_override(repository: Repository) -> None:
    """precgate_missing in pytest's own table, --precgate-missing on the command line."""
    repository.change_settings(
        "[tool.precgate.suites.kimi]\n",
        "[tool.pytest.ini_options]\nprecgate_missing = 'skip'\n\n[tool.precgate.suites.kimi]\n",
    )
    assert repository.run().ret == 0
    assert repository.run("--precgate-missing=fail").ret == 1


def test_the_baseline_directory_is_a_flag_and_an_ini_key(repository: Repository) -> None:
    """Relative to the root directory."""
    assert repository.run("--precgate-update", "--precgate-baselines=perf/accepted").ret == 0
    assert (repository.path / "perf" / "accepted" / "kimi.json").exists()
    assert repository.run("--precgate-baselines=perf/accepted").ret == 0
    repository.change_settings(
        "[tool.precgate.suites.kimi]\n",
        "[tool.pytest.ini_options]\nprecgate_baselines = 'perf/accepted'\n\n[tool.precgate.suites.kimi]\n",
    )
    assert repository.run().ret == 0


def test_an_update_of_a_failing_test_records_nothing_of_it(accepted: Repository) -> None:
    """A floor that does not hold: exit 1, and the baseline keeps its gates."""
    before = accepted.baseline.read_bytes()
    accepted.write_points(fp4=1.1)
    accepted.write_test(TEST + "    assert False, 'floor'\n")
    result = accepted.run("--precgate-update")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["FAIL: baselines/kimi.json: not written: tests that gate it failed: test_kimi.py::test_fp4_pays_off"]
    )
    assert accepted.baseline.read_bytes() == before


def test_an_update_refuses_a_gate_that_cannot_be_measured(repository: Repository) -> None:
    """A point off the band has no value to record."""
    repository.change_settings("[55, 73, 91]", "[55, 130]")
    result = repository.run("--precgate-update")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["INCONCLUSIVE  fp4/int4 throughput_ratio at 130 *"])
    assert not repository.baseline.exists()


def test_an_interrupted_update_writes_nothing(repository: Repository) -> None:
    """Ctrl-C in a later test: exit 2, no file."""
    repository.write_test(TEST + "def test_later():\n    raise KeyboardInterrupt\n")
    result = repository.run_apart("--precgate-update")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert not repository.baseline.exists()


def unprivileged(*command: str) -> tuple[str, ...]:
    """The command without root's right to ignore permissions, which a container's user often has."""
    if os.geteuid() != 0:
        return command
    probe = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    try:
        subprocess.run([*probe, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("root cannot give up its right to write read-only directories here (needs setpriv)")
    return (*probe, *command)


def pytest_command(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "pytest", *QUIET, *arguments)


def test_a_read_only_directory_is_refused_before_anything_is_measured(accepted: Repository) -> None:
    """Exit 1, the directory is named, the file stays, and no sweep was spent on it."""
    before = accepted.baseline.read_bytes()
    (accepted.path / "points.csv").unlink()
    accepted.baseline.parent.chmod(0o555)
    try:
        run = subprocess.run(
            unprivileged(*pytest_command("--precgate-update")), capture_output=True, text=True, check=False
        )
    finally:
        accepted.baseline.parent.chmod(0o755)
    assert run.returncode == 1
    assert "BaselineWriteError: baselines: cannot be written: " in run.stdout
    assert "is read-only; nothing was measured" in run.stdout
    assert accepted.baseline.read_bytes() == before
    assert [path.name for path in accepted.baseline.parent.iterdir()] == ["kimi.json"]


def test_a_directory_that_turns_read_only_during_the_run_keeps_its_baseline(accepted: Repository) -> None:
    """The write fails at the end: exit 1, the old file whole, no temporary file."""
    before = accepted.baseline.read_bytes()
    accepted.write_points(fp4=1.1)
    accepted.write_test(TEST + "    import os; os.chmod('baselines', 0o555)\n")
    try:
        run = subprocess.run(
            unprivileged(*pytest_command("--precgate-update")), capture_output=True, text=True, check=False
        )
    finally:
        accepted.baseline.parent.chmod(0o755)
    assert run.returncode == 1
    assert (
        "FAIL: baselines/kimi.json: not written: baselines/kimi.json: cannot be written: Permission denied"
        in run.stdout
    )
    assert accepted.baseline.read_bytes() == before
    assert [path.name for path in accepted.baseline.parent.iterdir()] == ["kimi.json"]


@pytest.mark.parametrize("flags", [(), ("--precgate-update",), ("--precgate-missing=skip",), ("--precgate-plan",)])
def test_a_baseline_directory_that_is_a_file_is_refused(repository: Repository, flags: tuple[str, ...]) -> None:
    """A usage error, before anything is measured: never "no baseline"."""
    (repository.path / "baselines").write_text("", encoding="utf-8")
    result = repository.run(*flags)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --precgate-baselines or ini key *baselines: is not a directory; wanted *"])


@pytest.mark.parametrize("name", ["baselines/kimi.json", "x" * 5000])
def test_a_file_named_as_the_directory_of_baselines_is_refused(accepted: Repository, name: str) -> None:
    """As is a name no directory could have; the suite's baseline is not called missing."""
    result = accepted.run(f"--precgate-baselines={name}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --precgate-baselines or ini key precgate_baselines: *; wanted the directory *"]
    )


@pytest.mark.parametrize("flags", [(), ("--precgate-update",), ("--precgate-missing=create",)])
def test_a_link_to_a_baseline_that_is_not_there_is_refused(accepted: Repository, flags: tuple[str, ...]) -> None:
    """Not taken for a missing baseline, and not written through."""
    accepted.baseline.unlink()
    accepted.baseline.symlink_to("elsewhere/kimi.json")
    result = accepted.run(*flags)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["E *BaselineError: baselines/kimi.json: is a link to elsewhere/kimi.json, which is not *"]
    )
    assert not accepted.baseline.exists()


WAITING = """\
import pathlib, time
def test_fp4_pays_off(precgate):
    precgate.check(precgate.compare("fp4", "int4"))
    here = pathlib.Path("ready-{name}")
    here.touch()
    deadline = time.monotonic() + 60
    while len(list(pathlib.Path().glob("ready-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
"""


def test_of_two_updates_at_once_one_writes_and_the_other_says_so(accepted: Repository) -> None:
    """Both read the same state and measure; the second one does not overwrite the first one's file and exits 1."""
    accepted.write_points(fp4=1.1)
    runs = []
    for name in ("one", "two"):
        directory = accepted.path / name
        directory.mkdir()
        (directory / "test_kimi.py").write_text(WAITING.format(name=name), encoding="utf-8")
    # The same node id in both, so that the gates are the same: each run has its own test directory as its root.
    for name in ("one", "two"):
        root = accepted.path / name
        (root / "pyproject.toml").write_text(
            (accepted.path / "pyproject.toml").read_text(encoding="utf-8"), encoding="utf-8"
        )
        (root / "points.csv").write_bytes((accepted.path / "points.csv").read_bytes())
        command = pytest_command(
            f"--rootdir={root}",
            f"-c{root / 'pyproject.toml'}",
            str(root),
            "--precgate-update",
            f"--precgate-baselines={accepted.baseline.parent}",
        )
        runs.append(subprocess.Popen(command, cwd=accepted.path, stdout=subprocess.PIPE, text=True))
    outputs = [run.communicate(timeout=120)[0] for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 1], outputs
    loser = outputs[[run.returncode for run in runs].index(1)]
    assert "was rewritten by another run while this one measured" in loser
    assert accepted.run("test_kimi.py").ret == 0
    assert [path.name for path in accepted.baseline.parent.iterdir()] == ["kimi.json"]


def test_two_suites_are_two_files(repository: Repository) -> None:
    """An update of one suite's test leaves the other's file alone."""
    text = (repository.path / "pyproject.toml").read_text(encoding="utf-8")
    repository.write_settings(text + text.replace("suites.kimi", "suites.llama"))
    marked = "import pytest\n" + "".join(
        f"@pytest.mark.precgate(suite='{suite}')\ndef test_{suite}(precgate):\n"
        "    precgate.check(precgate.compare('fp4', 'int4'))\n"
        for suite in ("kimi", "llama")
    )
    repository.write_test(marked)
    assert repository.run("--precgate-update").ret == 0
    files = {path.name: path.read_bytes() for path in (repository.path / "baselines").iterdir()}
    assert sorted(files) == ["kimi.json", "llama.json"]
    repository.write_points(fp4=1.1)
    assert repository.run("--precgate-update", "-k", "llama").ret == 0
    assert repository.baseline.read_bytes() == files["kimi.json"]
    assert Path(repository.path / "baselines" / "llama.json").read_bytes() != files["llama.json"]
