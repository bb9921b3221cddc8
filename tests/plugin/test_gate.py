"""The gate through pytest: what passes, what blocks, what a person reads, with exit codes."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from tests.published import ROOT
from tests.repository import SETTINGS, TEST, Repository


def test_the_accepted_state_passes_and_shows_the_published_picture(accepted: Repository) -> None:
    """Exit 0; throughput, cost, tok/s/MW, concurrency of both precisions, ratios, wording, verdicts."""
    result = accepted.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "*= precgate =*",
            "kimi: FP4 against INT4 on b200, isl 1024, osl 1024, lengths 0.8-1x",
            "shared band 36.4 to 112.0 tok/s/user; derived cost",
            "$1.95 per GPU-hour, 2.17 kW per GPU, as published with InferenceX's comparison (*), mid-2026",
            "*55  1028.1 / 361.2  0.527 / 1.500  473799 / 166466    ~39 / ~27     2.846x      0.351x",
            "*73   697.4 / 232.5  0.777 / 2.330  321387 / 107143    ~20 / ~13     3.000x      0.333x",
            "*91   500.2 / 159.8  1.083 / 3.389   230485 / 73645     ~11 / ~7     3.130x      0.320x",
            "tok/s/GPU, $/M tokens and tok/s/MW count input and output tokens",
            "at 55 tok/s/user: FP4 costs 0.351x of INT4 per token (65% less) and delivers 2.85x its tok/s/GPU",
            "fp4/int4 throughput_ratio       2.5%  0.0% PASS  0.0% PASS  0.0% PASS",
            "test_kimi.py::test_fp4_pays_off: passed, 9 gates: 9 PASS against baselines/kimi.json",
        ]
    )


def test_a_suite_may_ask_for_the_wording_of_the_published_page(accepted: Repository) -> None:
    """In the terminal and in JSON; any other word is a usage error."""
    accepted.change_settings('hardware = "b200"', 'hardware = "b200"\nwording = "published"')
    result = accepted.run("--precgate-json=out.json")
    assert result.ret == 0
    words = "FP4 is 185% cheaper per token; FP4 delivers 185% more tok/s/GPU"
    result.stdout.fnmatch_lines([f"at 55 tok/s/user: {words}"])
    assert words in (accepted.path / "out.json").read_text(encoding="utf-8")
    accepted.change_settings('"published"', '"loud"')
    result = accepted.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*unknown value 'loud'; known: published, ratios @ *.wording"])


def test_an_8_percent_slower_fp4_blocks_the_merge(accepted: Repository) -> None:
    """Exit 1; the text names FP4 throughput and the ratio at each point, then lists every gate, with no traceback."""
    accepted.write_points(fp4=0.92)
    result = accepted.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "FP4 throughput_per_gpu fell 8.0% at 55, 73 and 91 tok/s/user",
            "against baselines/kimi.json (tolerance 2.5%)",
            "1 launch, noise unknown: find the cause, or waive it (details)",
            "gate * tok/s/user * baseline * value * change * tolerance * verdict",
            *(
                f"REGRESSED  fp4/int4 throughput_ratio at {point} tok/s/user: value *x, baseline *x, "
                "change -8.0%, tolerance 2.5%; *"
                for point in (55, 73, 91)
            ),
            *(
                f"REGRESSED  fp4 throughput_per_gpu at {point} tok/s/user: value * tok/s/GPU, baseline * tok/s/GPU, "
                "change -8.0%, tolerance 2.5%; *"
                for point in (55, 73, 91)
            ),
            "int4 throughput_per_gpu * 0.0% PASS * 0.0% PASS * 0.0% PASS",
            "*failed, 9 gates: 6 REGRESSED, 3 PASS against baselines/kimi.json",
            "*1 failed in*",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*gatekeeper.py*")
    result.stdout.no_fnmatch_line("*def check*")


def test_a_1_percent_slower_fp4_passes(accepted: Repository) -> None:
    """Within tolerance, and the change is shown."""
    accepted.write_points(fp4=0.99)
    result = accepted.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["fp4/int4 throughput_ratio * -1.0% PASS  -1.0% PASS  -1.0% PASS"])


@pytest.mark.parametrize(("speed", "code"), [(0.92, 1), (0.99, 0)])
def test_slower_decode_steps_count_twice_at_matched_interactivity(
    accepted: Repository, speed: float, code: int
) -> None:
    """A step 8% slower lowers throughput and interactivity at each concurrency: twice at a point. 1% still passes."""
    accepted.write_points(speed=speed)
    result = accepted.run()
    assert result.ret == code
    if code:
        result.stdout.re_match_lines([r"REGRESSED  fp4 throughput_per_gpu at 55 tok/s/user: .*change -1[5-9]\.\d%.*"])


def test_a_slower_int4_raises_the_ratio_and_is_caught_by_its_absolute_gates(accepted: Repository) -> None:
    """What the ratio calls an improvement is a regression of the reference."""
    accepted.write_points(int4=0.92)
    result = accepted.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["REGRESSED  int4 throughput_per_gpu at 55 *", "*3 IMPROVED, 3 PASS, 3 REGRESSED*"])


def test_a_drop_both_precisions_share_is_caught_by_the_absolute_gates(accepted: Repository) -> None:
    """The ratio does not move; the throughputs do."""
    accepted.write_points(fp4=0.9, int4=0.9)
    result = accepted.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["fp4/int4 throughput_ratio * 0.0% PASS *", "fp4 throughput_per_gpu * -10.0% REGRESSED *"]
    )


def test_an_improvement_passes_and_says_the_baseline_is_stale(accepted: Repository) -> None:
    """Exit 0, and a line asks for an update: nothing is ratcheted by itself."""
    before = accepted.baseline.read_bytes()
    accepted.write_points(fp4=1.1)
    result = accepted.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["*passed, 9 gates: 6 IMPROVED, 3 PASS*6 better than a stale baseline*--precgate-update"]
    )
    assert accepted.baseline.read_bytes() == before


def test_an_implausible_gain_blocks(repository: Repository) -> None:
    """40% more tokens is a broken measurement until the baseline is updated."""
    repository.write_points(fp4=1 / 1.4)
    assert repository.run("--precgate-update").ret == 0
    repository.write_points()
    result = repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["IMPLAUSIBLE  fp4/int4 throughput_ratio at 55 *change +40.0%*check the measurement*update the baseline"]
    )


def test_the_implausible_bound_is_a_setting(repository: Repository) -> None:
    """A suite that expects a leap can say so."""
    repository.change_settings("interactivity =", "implausible = 0.5\ninteractivity =")
    repository.write_points(fp4=1 / 1.4)
    assert repository.run("--precgate-update").ret == 0
    repository.write_points()
    assert repository.run().ret == 0


def test_tolerance_is_set_by_suite_and_mark(accepted: Repository) -> None:
    """The mark wins over the suite, the suite over the default."""
    accepted.write_points(fp4=0.92)
    accepted.change_settings("interactivity =", "tolerance = 0.1\ninteractivity =")
    assert accepted.run().ret == 0
    accepted.write_test(
        "import pytest\n@pytest.mark.precgate(tolerance={'throughput_ratio': 0.01})\ndef test_fp4_pays_off(precgate):\n"
        "    precgate.check(precgate.compare('fp4', 'int4'))\n"
    )
    result = accepted.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["FP4/INT4 throughput_ratio fell *", "REGRESSED  fp4/int4 throughput_ratio at 55 *tolerance 1%*"]
    )


def test_marks_of_module_class_and_test_are_merged(accepted: Repository) -> None:
    """The closest one wins for each keyword; the others' keywords stay."""
    accepted.write_points(fp4=0.98)
    accepted.write_test(
        "import pytest\npytestmark = pytest.mark.precgate(tolerance=0.01)\n"
        "@pytest.mark.precgate(points=[55, 73, 91])\ndef test_fp4_pays_off(precgate):\n"
        "    precgate.check(precgate.compare('fp4', 'int4'))\n"
    )
    result = accepted.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["REGRESSED  fp4 throughput_per_gpu at 55 *tolerance 1%*"])


def test_a_sweep_fixture_of_another_suite_than_the_test_s_is_refused(repository: Repository) -> None:
    """A mark on a parameter comes too late for the fixture: exit 4, not two suites in one test."""
    repository.write_settings(SETTINGS + SETTINGS.replace("suites.kimi", "suites.llama"))
    repository.write_test(
        "import pytest\npytestmark = pytest.mark.precgate(suite='kimi')\n"
        "@pytest.mark.parametrize('n', [pytest.param(1, marks=pytest.mark.precgate(suite='llama'))])\n"
        "def test_x(n, fp4_sweep):\n    pass\n"
    )
    result = repository.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *fp4_sweep is of suite 'kimi', the test of 'llama'"])


def test_a_user_s_own_parametrization_of_a_sweep_fixture_is_left_alone(repository: Repository) -> None:
    """No collection error; direct values replace the fixture, as anywhere in pytest."""
    repository.write_test(
        "import pytest\n@pytest.mark.parametrize('fp4_sweep', [1, 2])\ndef test_x(fp4_sweep):\n    assert fp4_sweep\n"
    )
    assert repository.run("test_kimi.py").ret == 0


def test_one_file_without_precisions_cannot_serve_two(repository: Repository) -> None:
    """Both precisions would hold the same points, and every ratio would be 1."""
    text = "concurrency,gpus,interactivity,throughput_per_gpu\n4,4,110,100\n8,4,50,180\n"
    (repository.path / "points.csv").write_text(text, encoding="utf-8")
    result = repository.run("--precgate-update")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *SweepMismatchError: suite kimi: fp4 and int4 hold the very same points*"])


def test_two_tests_with_points_of_their_own_are_both_shown(repository: Repository) -> None:
    """One table per comparison and points."""
    repository.write_test(
        TEST + "import pytest\n@pytest.mark.precgate(points=[60, 80])\n" + TEST.replace("pays_off", "two")
    )
    assert repository.run("--precgate-update").ret == 0
    result = repository.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["* 55  1028.1 / 361.2 *"])
    result.stdout.fnmatch_lines(["* 80  * / *"])


def test_checking_twice_gives_each_property_once(accepted: Repository) -> None:
    """9 gates, 9 properties."""
    accepted.write_test(TEST + "    precgate.check(precgate.compare('fp4', 'int4'))\n")
    assert accepted.run("--junitxml=junit.xml").ret == 0
    assert len(list(ET.parse(accepted.path / "junit.xml").iter("property"))) == 9


def test_a_plain_assert_on_a_row_is_an_absolute_floor(accepted: Repository) -> None:
    """pytest's own introspection shows the figure; no baseline is involved."""
    accepted.write_test(
        "def test_fp4_pays_off(precgate):\n    pair = precgate.compare('fp4', 'int4')\n"
        "    assert pair.at(55).throughput_ratio >= 3.5\n    precgate.check(pair)\n"
    )
    result = accepted.run()
    assert result.ret == 1
    result.stdout.re_match_lines([r"E +assert 2\.846\d* >= 3\.5", r"E .*throughput_ratio"])


def test_points_off_the_band_fail_and_say_so(accepted: Repository) -> None:
    """INT4 never reached 130 tok/s/user: its gates and the ratios are inconclusive, FP4's own are missing."""
    accepted.change_settings("[55, 73, 91]", "[55, 130]")
    result = accepted.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "INCONCLUSIVE  fp4/int4 throughput_ratio at 130 tok/s/user: value -, baseline -, *"
            "int4: 130 tok/s/user lies outside the measured range*",
            "MISSING  fp4 throughput_per_gpu at 130 tok/s/user: value 212.* tok/s/GPU, baseline -, *",
        ]
    )


def test_reading_a_row_off_the_band_fails_at_the_test_s_own_line(accepted: Repository) -> None:
    """OutsideSweepError names target and range, and the report shows the user's line, none of ours."""
    accepted.write_test("def test_fp4_pays_off(precgate):\n    precgate.compare('fp4', 'int4').at(130)\n")
    result = accepted.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            ">   *precgate.compare('fp4', 'int4').at(130)",
            "E *OutsideSweepError: int4: 130 tok/s/user lies outside the measured range 36.41 to 112 tok/s/user;*",
            "test_kimi.py:2: OutsideSweepError",
        ]
    )
    result.stdout.no_fnmatch_line("*comparison.py*")


def test_one_point_only_is_no_curve(repository: Repository) -> None:
    """A recorded file with a single INT4 concurrency is refused when it is compared."""
    lines = (repository.path / "points.csv").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith("int4,")] + [
        line for line in lines if line.startswith("int4,")
    ][:1]
    (repository.path / "points.csv").write_text("\n".join(kept) + "\n", encoding="utf-8")
    result = repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["E *InvalidValueError: int4: a curve needs at least two points on its frontier, got 1;*"]
    )


@pytest.mark.parametrize(
    ("column", "cell", "why"),
    [
        (-1, "nan", "got nan, wanted a finite number @ line * *"),
        (-1, "-3", "*throughput: got -3.0, wanted a finite number above 0*"),
        (-3, "32", "*holds concurrency 32 twice for configuration*"),
    ],
)
def test_points_that_are_no_measurement_fail_the_test(repository: Repository, column: int, cell: str, why: str) -> None:
    """NaN, negative and duplicate points, through pytest: exit 1, file and line in the message."""
    lines = (repository.path / "points.csv").read_text(encoding="utf-8").splitlines()
    number = next(n for n, line in enumerate(lines) if line.startswith("fp4,vllm-tp4-ep1,") and ",16," in line)
    cells = lines[number].split(",")
    cells[column] = cell
    lines[number] = ",".join(cells)
    (repository.path / "points.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"E *RecordedPointsError: *points.csv: {why.removesuffix(' *')}*"])


def test_a_row_that_cannot_be_fails_the_test(accepted: Repository) -> None:
    """5000 tok/s/GPU of 4 requests on 8 GPUs: file and line, the likely cause, and no verdict."""
    lines = (accepted.path / "points.csv").read_text(encoding="utf-8").splitlines()
    number = next(n for n, line in enumerate(lines) if line.startswith("fp4,vllm-tp8-ep1,8,") and ",4," in line)
    lines[number] = ",".join([*lines[number].split(",")[:6], "4", "50", "5000"])
    (accepted.path / "points.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = accepted.run()
    assert result.ret == 1
    why = f"impossible: 4 requests at 50 *whole system* @ line {number + 1}"
    result.stdout.fnmatch_lines([f"E *RecordedPointsError: *points.csv: {why}"])
    result.stdout.no_fnmatch_line("*costs*")


def test_an_empty_file_of_points_fails_the_test(repository: Repository) -> None:
    """Nothing measured, nothing passed."""
    (repository.path / "points.csv").write_text("", encoding="utf-8")
    result = repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *RecordedPointsError: *points.csv: holds no points*"])


def test_a_precision_missing_from_the_file_fails_the_test(accepted: Repository) -> None:
    """INT4's rows are gone: the run does not fall back to FP4 alone."""
    lines = (accepted.path / "points.csv").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith("int4")]
    (accepted.path / "points.csv").write_text("\n".join(kept) + "\n", encoding="utf-8")
    result = accepted.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *RecordedPointsError: *points.csv: holds no int4 points; it holds fp4"])


def test_an_unknown_precision_fails_the_test(accepted: Repository) -> None:
    """precgate.sweep("fp8") where the suite has FP4 and INT4."""
    accepted.write_test("def test_fp4_pays_off(precgate):\n    precgate.sweep('fp8')\n")
    result = accepted.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["E *SettingsError: suite kimi: unknown precision 'fp8'; did you mean 'fp4'? known: fp4, int4"]
    )


def test_quartile_points_are_the_baseline_s(repository: Repository) -> None:
    """A candidate whose band moved is held at the baseline's quartiles, not at its own."""
    repository.change_settings("[55, 73, 91]", '"quartiles"')
    assert repository.run("--precgate-update").ret == 0
    repository.write_points(speed=0.993)
    result = repository.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["gate * at 55 * at 74 * at 93", "*9 gates: 9 PASS*"])


def test_sweep_fixtures_follow_the_mark_and_leave_the_test_s_name_alone(repository: Repository) -> None:
    """fp4_sweep is the marked suite's, measured once per run, and adds nothing to the node id."""
    repository.write_points(fp4=0.5, name="other.csv")
    repository.write_settings(
        SETTINGS + SETTINGS.replace("suites.kimi", "suites.other").replace("points.csv", "other.csv")
    )
    repository.write_test(
        "import pytest\n"
        "def top(sweep): return max(p.throughput_per_gpu for p in sweep.points)\n"
        "@pytest.mark.precgate(suite='kimi')\n"
        "def test_one(fp4_sweep, int4_sweep): assert 2079 < top(fp4_sweep) < 2080\n"
        "@pytest.mark.precgate(suite='other')\ndef test_two(fp4_sweep): assert 1039 < top(fp4_sweep) < 1040\n"
        "@pytest.mark.precgate(suite='kimi')\ndef test_three(fp4_sweep, precgate):\n"
        "    assert precgate.sweep('fp4') is fp4_sweep\n"
    )
    result = repository.run("-v", "test_kimi.py")
    assert result.ret == 0
    result.stdout.fnmatch_lines_random([f"test_kimi.py::test_{name} PASSED*" for name in ("one", "two", "three")])


def test_a_session_fixture_of_the_user_may_ask_for_a_sweep(repository: Repository) -> None:
    """The sweep fixtures live as long as the session."""
    repository.write_test(
        "import pytest\n@pytest.fixture(scope='session')\ndef fastest(fp4_sweep): return fp4_sweep.points[0]\n"
        "def test_fast(fastest): assert fastest.configuration == 'vllm-tp4-ep1'\n"
    )
    assert repository.run("test_kimi.py").ret == 0


def test_a_comparison_of_other_sweeps_cannot_be_checked(accepted: Repository) -> None:
    """A baseline says nothing of numbers this suite did not measure."""
    accepted.write_test(
        "from dataclasses import replace\nfrom pytest_precgate import compare\n"
        "def test_fp4_pays_off(precgate):\n    pair = precgate.compare('fp4', 'int4')\n"
        "    made_up = replace(pair.candidate.sweep, points=pair.candidate.sweep.points[2:])\n"
        "    precgate.check(compare(made_up, pair.reference.sweep))\n"
    )
    result = accepted.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *PrecgateError: check() holds the sweeps measured for suite 'kimi'*"])


def test_the_page_on_reports_names_the_format_and_every_key(accepted: Repository) -> None:
    """Of the document, of a check, of a gate and of the costs."""
    assert accepted.run("--precgate-json=report.json").ret == 0
    report = json.loads((accepted.path / "report.json").read_text(encoding="utf-8"))
    [check] = report["checks"]
    page = (ROOT / "docs" / "reports.md").read_text(encoding="utf-8")
    assert f"`format` is {report['format']}:" in page
    keys = {*report, *check, *check["gates"][0], *(key for each in report["costs"] for key in each)}
    assert {key for key in keys if f"`{key}`" not in page} == set()


def test_an_unchecked_comparison_is_reported_to_gate_nothing(repository: Repository) -> None:
    """A test that compares and asserts nothing passes, and the summary says what that is worth."""
    repository.write_test("def test_look(precgate):\n    precgate.compare('fp4', 'int4')\n")
    result = repository.run("test_kimi.py")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["compared by test_kimi.py::test_look; without a check: nothing is gated here"])


def test_a_comparison_whose_test_failed_is_not_called_unchecked(accepted: Repository) -> None:
    """The plain assert before check() failed: the table is shown, and what is said of it is true."""
    accepted.write_test(
        "def test_fp4_pays_off(precgate):\n    pair = precgate.compare('fp4', 'int4')\n    assert False\n"
    )
    result = accepted.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["compared by *; the test failed before its gates were judged"])
    result.stdout.no_fnmatch_line("*nothing is gated here*")


@pytest.mark.parametrize("given", ["None", "pair.at(55)", "pair.candidate.sweep"])
def test_checking_something_else_says_what_was_wanted(accepted: Repository, given: str) -> None:
    """A row or a sweep is no comparison: our own error, at the test's line."""
    accepted.write_test(
        f"def test_fp4_pays_off(precgate):\n    pair = precgate.compare('fp4', 'int4')\n    precgate.check({given})\n"
    )
    result = accepted.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *PrecgateError: check() takes what precgate.compare() returned, got *"])
    result.stdout.no_fnmatch_line("*gatekeeper.py*")


def test_every_gate_is_a_junit_property(accepted: Repository) -> None:
    """user_properties reach the JUnit file of a passing and of a failing test, without a warning."""
    accepted.write_points(fp4=0.92)
    result = accepted.run("--junitxml=junit.xml", "-W", "error")
    assert result.ret == 1
    properties = {
        str(entry.get("name")): str(entry.get("value"))
        for entry in ET.parse(accepted.path / "junit.xml").iter("property")
    }
    assert len(properties) == 9
    assert properties["precgate kimi fp4 throughput_per_gpu at 55 tok/s/user"] == (
        "REGRESSED: 945.9 tok/s/GPU, baseline 1028.1 tok/s/GPU, change -8.0%, tolerance 2.5%, catches -, launches 1"
    )


def test_reports_are_written_and_the_job_summary_appended_to(
    accepted: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON and Markdown where asked, and what another step wrote into the summary stays."""
    summary = accepted.path / "summary.md"
    summary.write_text("earlier step\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    accepted.write_points(fp4=0.92)
    assert accepted.run("--precgate-json=out/report.json", "--precgate-markdown=out/report.md").ret == 1
    report = json.loads((accepted.path / "out" / "report.json").read_text(encoding="utf-8"))
    assert [check["outcome"] for check in report["checks"]] == ["failed"]
    assert {gate["verdict"] for gate in report["checks"][0]["gates"]} == {"REGRESSED", "PASS"}
    assert report["checks"][0]["comparison"]["hardware"]["price_per_gpu_hour"] == 1.95
    text = (accepted.path / "out" / "report.md").read_text(encoding="utf-8")
    figures = "945.9 tok/s/GPU | 1028.1 tok/s/GPU | -8.0% | 2.5% | - | 1 | REGRESSED"
    assert f"| fp4 throughput\\_per\\_gpu | 55 | {figures} |" in text
    assert summary.read_text(encoding="utf-8") == "earlier step\n" + text


def test_a_report_that_cannot_be_written_fails_the_run(accepted: Repository) -> None:
    """A gate whose report is lost is not quietly green."""
    (accepted.path / "out").write_text("a file", encoding="utf-8")
    result = accepted.run("--precgate-json=out/report.json")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAIL: *report.json: the json report cannot be written: *", "*1 passed*"])


def test_a_swallowed_failure_still_fails(accepted: Repository) -> None:
    """`except Exception` does not catch a failed gate; what catches it, or expects it, does not waive it."""
    accepted.write_points(fp4=0.92)
    test = (
        "import pytest\n{mark}\ndef test_fp4_pays_off(precgate):\n    pair = precgate.compare('fp4', 'int4')\n"
        "    try:\n        precgate.check(pair)\n    except {caught}:\n        pass\n"
    )
    accepted.write_test(test.format(mark="", caught="Exception"))
    assert accepted.run().ret == 1
    for mark, caught in (("", "BaseException"), ("@pytest.mark.xfail", "Exception")):
        accepted.write_test(test.format(mark=mark, caught=caught))
        result = accepted.run()
        assert result.ret == 1
        result.stdout.fnmatch_lines(
            ["FAIL: test_kimi.py::test_fp4_pays_off: 6 gates of suite kimi failed and the test did not (xfail, *"]
        )


def test_points_that_are_the_baseline_s_own_are_said_to_be(accepted: Repository) -> None:
    """A recorded file as it was gives 0.0% everywhere, and a note: nothing new was measured."""
    note = "note: {}these are the baseline's own points, so the comparison is with itself*"
    result = accepted.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines([note.format("fp4, int4: ")])
    accepted.write_points(fp4=1.001)
    result = accepted.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines([note.format("int4: ")])
    result.stdout.no_fnmatch_line(note.format("fp4*"))
