"""What a pull request is told: the Markdown, the annotations and the JUnit cases of the same runs."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_precgate.analysis.gating.verdict import Absent, Verdict, absent
from pytest_precgate.analysis.report import Compared, GateReport, RunReport
from pytest_precgate.reports import annotations as annotated
from pytest_precgate.reports import escape, failure, junit, markdown, outcome
from pytest_precgate.reports.annotations import Place
from pytest_precgate.reports.outcome import FailedTest
from tests.builders.pages import background, checked


@cache
def check(pace: float = 1.0, *, simulated: bool = False) -> GateReport:
    return checked(background({"fp4": (pace,), "int4": (1.0,)}, simulated=simulated))


def lacking() -> GateReport:
    gone = Absent(Verdict.MISSING, "this suite has no baseline", "record one with pytest --precgate-update")
    return replace(check(), judged=tuple(absent(each.gate, gone, each.value, None) for each in check().judged))


RED, GREEN = RunReport(checks=(check(1.09),)), RunReport(checks=(check(),))
CRASHED = FailedTest("t.py::t", "the server ended")


def unescaped(text: str) -> str:
    return text.replace("\\", "").replace("&#8288;", "")


def test_the_verdict_comes_first_in_the_words_of_the_terminal() -> None:
    """After the marker: failed, then what, against what, how sure."""
    lines = unescaped(markdown.render(RED)).splitlines()
    told = [line.text.strip() for line in failure.headline(check(1.09), 10_000)]
    assert lines[1] == "## \u274c precgate: failed"
    assert [line.strip("* ") for line in lines[3 : 3 + len(told)]] == told


def test_one_table_holds_the_gates_that_did_not_pass_and_the_rest_is_folded() -> None:
    """Six rows above the first fold and no gate that passed; nothing that is open before or after a fold is lost."""
    text = markdown.render(RED)
    above, *folds = text.split("<details>")
    rows = [line for line in above.splitlines() if line.startswith("| ") and "---" not in line]
    assert len(rows) == 7
    assert "PASS" not in above
    assert len(folds) == text.count("</details>") == 1
    assert folds[0].count("REGRESSED |") == 6
    assert folds[0].count("PASS |") == 3


@pytest.mark.parametrize(
    ("run", "failed", "word"),
    [
        (GREEN, [], "passed"),
        (RED, [], "failed"),
        (GREEN, [CRASHED], "failed"),
        (replace(GREEN, problems=("a gate was not checked",)), [], "failed"),
        (RunReport(compared=(Compared("kimi", "t", check().comparison, (55.0,), failed=True),)), [], "failed"),
        (RunReport(compared=(Compared("kimi", "t", check().comparison, (55.0,)),)), [], "not judged"),
        (RunReport(checks=(check(), replace(lacking(), outcome="skipped"))), [], "not judged"),
        (RunReport(checks=(replace(check(), outcome="recorded"),)), [], "recorded"),
        (RunReport(), [], "not judged"),
    ],
)
def test_only_a_run_whose_gates_were_judged_and_passed_is_called_passed(
    run: RunReport, failed: list[FailedTest], word: str
) -> None:
    """A gate that nobody judged, a test that crashed and a problem beside the tests never are."""
    title = markdown.render(run, (), failed).splitlines()[1]
    assert title.endswith(f" precgate: {word}")
    assert outcome.word(run, failed) == word


def test_the_marker_is_that_of_the_suites_whatever_became_of_them() -> None:
    """A run that failed before any check updates the same comment; another set of suites has another one."""
    first = {
        markdown.render(run, ["kimi"], failed).splitlines()[0] for run, failed in ((RED, []), (RunReport(), [CRASHED]))
    }
    assert first == {"<!-- pytest-precgate report of kimi -->"}
    assert markdown.render(RED, ["b", "kimi"]).startswith("<!-- pytest-precgate report of b, kimi -->\n")


def test_a_simulation_says_so_in_the_first_line() -> None:
    """It cannot be taken for a measurement."""
    simulated = RunReport(checks=(check(simulated=True),))
    assert "SIMULATED, measured on no machine" in markdown.render(simulated).splitlines()[1]
    assert "SIMULATED" not in markdown.render(GREEN)


def test_the_picture_is_referenced_by_a_path_that_is_a_link() -> None:
    """With a blank and a bracket in it; without a picture there is none."""
    assert "](a%20b/%29.svg)" in markdown.render(RED, picture="a b/).svg")
    assert "![" not in markdown.render(RED)


def test_a_report_of_many_suites_fits_into_a_comment_and_says_what_is_left_out() -> None:
    """Verdicts stay, folded parts go."""
    many = RunReport(checks=tuple(replace(check(1.09), suite=f"suite-{number}") for number in range(40)))
    text = markdown.render(many)
    assert len(text) <= markdown.MOST_CHARACTERS
    assert "The rest does not fit into a comment" in text
    assert text.count("<details>") == text.count("</details>")
    assert "suite-39" in text


@given(st.text(max_size=80))
def test_text_from_outside_is_one_line_without_markup_name_or_link(text: str) -> None:
    """For paragraphs, cells and list entries."""
    said = escape.markdown_line(text)
    assert "\n" not in said
    assert not re.search(r"(?<!\\)[|<>*`_\[\]~$]", said.replace("\\\\", ""))
    assert not re.search(r"[@]\w|(?<!&)#\w", said)
    assert not re.match(r"[-+=#] ?|\d+[.)]", said)
    assert not re.search(r"(?i)\b(https?|www)[:.]", said)


@given(st.text(alphabet="`ab |", max_size=20))
def test_code_ends_where_it_should(text: str) -> None:
    """No run of backticks inside is as long as the fence."""
    said = escape.code(text)
    fence = re.match("`+", said)
    assert fence is not None
    inner = said[len(fence[0]) : -len(fence[0])]
    assert said.endswith(fence[0])
    assert fence[0] not in re.findall("`+", inner)


def test_names_in_html_are_escaped_as_html() -> None:
    """Inside <summary> no Markdown is read, so no backslash is wanted there."""
    assert escape.summary("a_b <script> @team #12") == "a_b &lt;script&gt; @&#8288;team #&#8288;12"


def test_an_annotation_stands_at_the_suite_s_lines_and_ends_where_it_should() -> None:
    """One error for a failed check, with its first lines, escaped as GitHub's toolkit escapes them."""
    hostile = replace(check(1.09), test="t.py::t[100%\n::error::x]")
    problem = "baselines/kimi.json: 9 gates of t not used"
    found = [
        *annotated.lines(
            RunReport(checks=(check(), hostile), problems=(problem,), warnings=("w",)),
            *([CRASHED], {"kimi": Place("a,b:c/pyproject.toml", 7)}, Place("pyproject.toml", 1)),
        )
    ]
    assert len(found) == 4
    assert found[0].startswith("::error file=a%2Cb%3Ac/pyproject.toml,line=7,title=precgate%3A kimi::FP4 throughput")
    assert "8.0%" not in found[0]
    assert "%25" in found[0]
    assert found[1:] == [
        "::error title=precgate%3A a gate test failed::t.py::t: the server ended",
        f"::error file=pyproject.toml,line=1,title=precgate::{problem}",
        "::warning file=pyproject.toml,line=1,title=precgate::w",
    ]
    assert not any("\n" in line or "%0A::" in line for line in found)


@given(st.text(max_size=60))
def test_no_text_ends_a_command_or_a_property(text: str) -> None:
    """A line break, a colon and a comma are written as GitHub reads them."""
    assert not re.search(r"[\r\n]|%(?!25|0D|0A)", escape.command_message(text))
    assert not re.search(r"[\r\n:,]", escape.command_property(text))


def test_a_skipped_check_warns_and_a_passed_one_says_nothing() -> None:
    """GitHub shows ten annotations of a step."""
    skipped = RunReport(checks=(replace(lacking(), outcome="skipped"), check()))
    (line,) = annotated.lines(skipped, [], {}, None)
    assert line.startswith("::warning title=precgate%3A kimi::")


def cases(run: RunReport, failed: tuple[FailedTest, ...] = ()) -> dict[str, list[str]]:
    """The cases of a run by what became of them, and counts that agree with their suites."""
    root = ET.fromstring(junit.render(run, failed))
    found: dict[str, list[str]] = {}
    for suite in root:
        for case in suite:
            found.setdefault(case[0].tag if len(case) else "passed", []).append(
                f"{case.get('classname')} {case.get('name')}"
            )
        counted = [sum(len(case) and case[0].tag == kind for case in suite) for kind in ("failure", "error", "skipped")]
        assert [int(suite.get(name, "")) for name in ("failures", "errors", "skipped")] == counted
        assert int(suite.get("tests", "")) == len(suite)
    return found


def test_every_gate_is_a_case_of_its_own() -> None:
    """Six failures with their message, three that passed."""
    found = cases(RED)
    assert len(found["failure"]) == 6
    assert len(found["passed"]) == 3
    assert "precgate.kimi.fp4 throughput_per_gpu at 55 tok/s/user" in found["failure"]


def test_what_was_not_judged_is_no_case_that_passed() -> None:
    """A missing baseline fails; a policy that skips, a recording, a waiver and a comparison alone are skipped; what
    fails a run beside its gates is an error."""
    assert list(cases(RunReport(checks=(replace(lacking(), outcome="failed"),)))) == ["failure"]
    assert list(cases(RunReport(checks=(replace(lacking(), outcome="skipped"),)))) == ["skipped"]
    assert list(cases(RunReport(checks=(replace(check(), outcome="recorded"),)))) == ["skipped"]
    waived = tuple(replace(each, verdict=Verdict.WAIVED, reason="until May") for each in check().judged)
    assert list(cases(RunReport(checks=(replace(check(), judged=waived),)))) == ["skipped"]
    assert list(cases(RunReport(compared=(Compared("kimi", "t", check().comparison, (55.0,)),)))) == ["skipped"]
    assert len(cases(RunReport(problems=("p",)), (CRASHED,))["error"]) == 2


@settings(max_examples=30)
@given(st.text(max_size=60))
def test_no_text_breaks_the_xml(text: str) -> None:
    """Names of tests and reasons, whatever they hold."""
    run = RunReport(checks=(replace(check(), test=text),), problems=(text or "p",))
    assert len(cases(run, (FailedTest(text or "t", text),))["error"]) == 2
