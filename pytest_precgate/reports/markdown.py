"""The findings as Markdown, for the comment of a pull request or the summary of a job.

Input: a run's report, the suites its tests asked for, the gate tests that failed otherwise, and the picture's
path. Output: one document. Invariants: the verdict comes first, in the words of the terminal; everything else is
folded; the first line is a marker that is the same for every run of these suites, by which a bot finds its comment; the
document fits into a comment, and says what it leaves out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_precgate.analysis.curves.comparison import Comparison
from pytest_precgate.analysis.report import BaselineUpdate, GateReport, RunReport
from pytest_precgate.reports import cost, failure, full, layout, outcome, waivers
from pytest_precgate.reports.escape import code, markdown, markdown_line, path, summary
from pytest_precgate.reports.outcome import FailedTest
from pytest_precgate.reports.terminal import moved_gate

MOST_CHARACTERS = 60_000
"""Of a document. A comment on GitHub holds 65,536."""
_LEFT_OUT = "The rest does not fit into a comment: see `--precgate-html` and `--precgate-json`."
_ALT = "Throughput per GPU against interactivity: both precisions, the baseline, the targets with their verdicts"


def render(
    run: RunReport, asked: Sequence[str] = (), failed: Sequence[FailedTest] = (), picture: str | None = None
) -> str:
    """Return the whole run as one Markdown document that ends in a newline; ``picture`` is a relative path."""
    lines = [marker(outcome.suites_of(run, asked)), *_verdict(run, failed)]
    lines += [line for check in outcome.gravest_first(run) for line in _told(check)]
    lines += [f"- {_bold('FAIL')} {code(each.test)}: {markdown(each.why)}" for each in failed]
    lines += [f"- {_bold('FAIL')} {markdown(problem)}" for problem in run.problems]
    lines += [f"- warning: {markdown(warning)}" for warning in run.warnings]
    lines += ["", *_not_passed(run)]
    if picture is not None:
        lines += [f"![{_ALT}]({path(picture)})", ""]
    return _fitted(lines, [*_folded_parts(run)])


def marker(suites: Sequence[str]) -> str:
    """Return the first line of the document, by which a bot finds the comment of these suites; it is not shown."""
    return f"<!-- pytest-precgate report of {', '.join(suites) or 'no suite'} -->"


def _fitted(lines: Sequence[str], parts: Sequence[str]) -> str:
    """The document of as many lines and folded parts as fit."""
    text, limit = "", MOST_CHARACTERS - len(_LEFT_OUT) - 2
    whole = [*(f"{line}\n" for line in lines), *parts]
    for piece in whole:
        if len(text) + len(piece) > limit:
            return f"{text.rstrip()}\n\n{_LEFT_OUT}\n"
        text += piece
    return text.rstrip() + "\n"


def _verdict(run: RunReport, failed: Sequence[FailedTest]) -> list[str]:
    said = outcome.word(run, failed)
    simulated = " - SIMULATED, measured on no machine" * outcome.is_simulated(run)
    empty = not (run.checks or run.compared or failed or run.problems)
    return [
        f"## {outcome.SIGNS[said]} precgate: {said}{simulated}",
        "",
        *(["No precgate test ran.", ""] if empty else []),
    ]


def _told(report: GateReport) -> list[str]:
    """The first lines of a check, as the terminal has them; each stands on a line of its own."""
    first, *rest = outcome.first_lines(report)
    lines = [_bold(markdown_line(first)), *map(markdown_line, rest)]
    if report.outcome == "failed":
        lines.append(f"suite {markdown(report.suite)}, {code(report.test)}")
    return ["  \n".join(lines), ""]


def _not_passed(run: RunReport) -> list[str]:
    """One table of the gates that did not pass, with their suite where there are several."""
    suites = {check.suite for check in run.checks}
    rows, left_out = [], 0
    for check in outcome.gravest_first(run):
        if check.outcome not in ("failed", "skipped"):
            continue
        shown, more = failure.tabled(check)
        left_out += more
        rows += [((check.suite,) if len(suites) > 1 else ()) + failure.cells(each) for each in shown]
    if not rows:
        return []
    head = (("suite",) if len(suites) > 1 else ()) + failure.HEAD
    more_lines = [f"The worst of each quantity; {left_out} more did not pass.", ""] if left_out else []
    return [*_table([head, *rows]), "", *more_lines]


def _folded_parts(run: RunReport) -> Iterator[str]:
    """Everything else, a part that unfolds for each."""
    shown = set()
    for report in outcome.gravest_first(run):
        lines = []
        if (key := (report.suite, report.comparison, report.points)) not in shown:
            shown.add(key)
            lines += [*_comparison(report.suite, report.comparison, report.points), ""]
        name = f"{report.suite}: the comparison and all {len(report.judged)} gates of {report.test}"
        yield _folded(name, [*lines, *_check(report)])
    for made in run.compared:
        lines = [f"Compared by {code(made.test)}; {made.remark}.", ""]
        yield _folded(f"{made.suite}: the comparison", [*lines, *_comparison(made.suite, made.comparison, made.points)])
    for update in run.updates:
        yield _folded(f"{update.path}: {update.outcome}", _update(update))
    rest = [f"{costs.suite}: {line}" for costs in run.costs for line in cost.lines(costs)]
    rest += run.hints
    if rest:
        yield _folded("Cost, and what can be done with what was measured", [f"- {markdown(line)}" for line in rest])


def _folded(name: str, lines: Sequence[str]) -> str:
    return "\n".join([f"<details><summary>{summary(name)}</summary>", "", *lines, "", "</details>", "", ""])


def _comparison(suite: str, pair: Comparison, points: Sequence[float]) -> list[str]:
    rows, outside = layout.readable_rows(pair, points)
    notes = [layout.COUNTED, *(f"at {row.interactivity:g} tok/s/user: {row.wording}" for row in rows)]
    notes += [*outside, *layout.terms(pair)]
    return [
        _bold(markdown(layout.title(suite, pair))),
        "",
        *_table([layout.comparison_head(tuple(pair.curves)), *(layout.comparison_cells(row) for row in rows)]),
        "",
        *(f"- {markdown_line(line)}" for line in notes),
    ]


def _check(report: GateReport) -> list[str]:
    lines = [f"{markdown_line(layout.counts(report))}, {markdown(layout.against(report))}", ""]
    lines += [*_table([layout.GATE_HEAD, *(layout.gate_cells(judged) for judged in report.judged)]), ""]
    notes = [f"{judged.verdict}: {full.sentence(judged)}" for judged in report.failing]
    notes += waivers.waived(report)
    notes += [f"note: {note}" for note in report.notes]
    notes += [f"warning: {line}" for line in layout.too_noisy(report)]
    lines += [f"- {markdown_line(note)}" for note in notes]
    if pasted := waivers.to_paste(report):
        lines += ["", markdown_line(pasted[0]), "", "```toml", *pasted[2:], "```"]
    return lines


def _update(update: BaselineUpdate) -> list[str]:
    moved = [change for change in update.changes if change.before != change.after]
    lines = [f"reason: {update.reason}"] if update.reason else []
    return [
        *(f"- {markdown_line(line)}" for line in (*lines, *update.notes)),
        *(f"- {code(change.gate.test)}: {markdown(moved_gate(change))}" for change in moved),
    ]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = rows
    written = ["| " + " | ".join(markdown(cell) for cell in row) + " |" for row in (head, *body)]
    return [written[0], "| " + " | ".join(["---", *("---:" for _ in head[1:])]) + " |", *written[1:]]


def _bold(escaped: str) -> str:
    return f"**{escaped}**"
