"""The findings as Markdown, for a pull request comment or a job summary."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_precgate.analysis.curves.comparison import Comparison
from pytest_precgate.analysis.report import BaselineUpdate, GateReport, RunReport
from pytest_precgate.reports import cost, layout
from pytest_precgate.reports.terminal import moved_gate


def render(run: RunReport) -> str:
    """Return the whole run as one Markdown document that ends in a newline."""
    lines = ["## precgate", ""]
    shown = set()
    for report in run.checks:
        if (key := (report.suite, report.comparison, report.points)) not in shown:
            shown.add(key)
            lines += [*_comparison(report.suite, report.comparison, report.points), ""]
        lines += [*_check(report), ""]
    for made in run.compared:
        lines += [*_comparison(made.suite, made.comparison, made.points), ""]
        lines += [f"Compared by `{made.test}`; {made.remark}.", ""]
    for update in run.updates:
        lines += [*_update(update), ""]
    lines += [f"- {_escaped(f'{costs.suite}: {line}')}" for costs in run.costs for line in cost.lines(costs)]
    lines += [f"- **FAIL** {_escaped(problem)}" for problem in run.problems]
    lines += [f"- warning: {_escaped(warning)}" for warning in run.warnings]
    lines += [f"- {_escaped(hint)}" for hint in run.hints]
    if run.is_empty:
        lines += ["No precgate test ran.", ""]
    return "\n".join(lines).rstrip() + "\n"


def _comparison(suite: str, pair: Comparison, points: Sequence[float]) -> list[str]:
    rows, outside = layout.readable_rows(pair, points)
    return [
        f"**{_escaped(layout.title(suite, pair))}**",
        "",
        *_table([layout.comparison_head(tuple(pair.curves)), *(layout.comparison_cells(row) for row in rows)]),
        "",
        f"- {_escaped(layout.COUNTED)}",
        *(f"- at {row.interactivity:g} tok/s/user: {row.wording}" for row in rows),
        *(f"- {_escaped(line)}" for line in outside),
        *(f"- {_escaped(line)}" for line in layout.terms(pair)),
    ]


def _check(report: GateReport) -> list[str]:
    verdict = {"passed": "PASS", "failed": "FAIL", "skipped": "SKIPPED", "recorded": "RECORDED", "added": "ADDED"}[
        report.outcome
    ]
    lines = [f"**{verdict}** `{report.test}`: {layout.counts(report)}, {layout.against(report)}", ""]
    lines += _table([layout.GATE_HEAD, *(layout.gate_cells(judged) for judged in report.judged)])
    reasons = dict.fromkeys(f"{judged.verdict}: {judged.reason}" for judged in report.judged if judged.reason)
    notes = [*reasons, *(f"note: {note}" for note in report.notes)]
    notes += [f"warning: {line}" for line in layout.too_noisy(report)]
    return [*lines, "", *(f"- {_escaped(note)}" for note in notes)] if notes else lines


def _update(update: BaselineUpdate) -> list[str]:
    reason = f": {_escaped(update.reason)}" if update.reason else ""
    moved = [change for change in update.changes if change.before != change.after]
    return [
        f"**`{update.path}` {update.outcome}**{reason}",
        "",
        *(f"- {_escaped(note)}" for note in update.notes),
        *(f"- `{change.gate.test}`: {_escaped(moved_gate(change))}" for change in moved),
    ]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = rows
    rule = ["---", *("---:" for _ in head[1:])]
    return ["| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in (head, rule, *body)]


def _escaped(text: str) -> str:
    """Escape the name of a test or file so that it is not markup: backslash, pipe, angle brackets, stars, backticks."""
    for character in "\\|<>*`_[]":
        text = text.replace(character, f"\\{character}")
    return text.replace("\n", " ")
