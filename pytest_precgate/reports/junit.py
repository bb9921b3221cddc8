"""One JUnit case for each gate, for a CI that lists cases: GitLab's test report, Jenkins, Azure.

Input: a run's report and the gate tests that failed otherwise. Output: one XML file of the xunit2
family. Invariants: what blocks the merge is a failure or an error; what was not held to anything is skipped; only a
gate that was judged and passed is a plain case. pytest's own ``--junitxml`` stays as it is: its writer is no public
interface, and it counts tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_precgate.analysis.gating.verdict import JudgedGate, Verdict
from pytest_precgate.analysis.report import GateReport, RunReport
from pytest_precgate.reports import full, outcome
from pytest_precgate.reports.html.markup import Markup, element
from pytest_precgate.reports.outcome import FailedTest

_UNHELD = (Verdict.RECORDED, Verdict.WAIVED)


def render(run: RunReport, failed: Sequence[FailedTest] = ()) -> str:
    """Return the gates of a run as one XML document that ends in a newline."""
    suites = [_suite(f"precgate {check.suite} {check.test}", _cases(check)) for check in run.checks]
    others = [_case("precgate", each.test, "error", each.why) for each in failed]
    others += [
        _case(f"precgate.{made.suite}", made.test, "skipped", made.remark) for made in run.compared if not made.failed
    ]
    others += [_case("precgate", problem, "error", problem) for problem in run.problems]
    if others:
        suites.append(_suite("precgate", others))
    return f'<?xml version="1.0" encoding="utf-8"?>\n{element("testsuites", *suites, name_="precgate")}\n'


def _suite(name: str, cases: Iterable[Markup]) -> Markup:
    listed = list(cases)
    counts = {kind: sum(f"<{kind} " in case for case in listed) for kind in ("failure", "error", "skipped")}
    return element(
        "testsuite",
        *listed,
        name_=name,
        tests=len(listed),
        failures=counts["failure"],
        errors=counts["error"],
        skipped=counts["skipped"],
        time="0",
    )


def _cases(check: GateReport) -> Iterable[Markup]:
    lines = "\n".join(outcome.first_lines(check))
    for judged in check.judged:
        owner, name = f"precgate.{check.suite}.{judged.gate.key.quantity}", f"at {judged.gate.key.point:g} tok/s/user"
        kind = _kind(check, judged)
        yield _case(owner, name, kind, f"{judged.verdict}: {full.sentence(judged)}", lines if kind == "failure" else "")


def _kind(check: GateReport, judged: JudgedGate) -> str:
    if check.outcome == "failed" and not judged.verdict.passes:
        return "failure"
    if check.outcome in ("skipped", "recorded") or judged.verdict in _UNHELD or not judged.verdict.passes:
        return "skipped"
    return ""


def _case(owner: str, name: str, kind: str, message: str, text: str = "") -> Markup:
    said = " ".join(message.split("\n"))
    found = [element(kind, text or said, message=said)] if kind else []
    return element("testcase", *found, classname=owner, name_=" ".join(name.split("\n")), time="0")
