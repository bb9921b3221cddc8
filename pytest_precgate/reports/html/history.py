"""The page of a history: every gate over time, its change points, who changed the baseline and why. It has no script.

Input: the trend of a suite, and when the page was made. Output: one self-contained HTML file. Invariant: text
from elsewhere, names of authors and reasons as well, is escaped (markup.py)."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_precgate.analysis.accepted.baseline import Provenance
from pytest_precgate.analysis.accepted.trend import GateTrend, SuiteTrend
from pytest_precgate.analysis.gating.gates import GateKey
from pytest_precgate.reports import layout
from pytest_precgate.reports.history import COMMIT_SHOWN, ChangeGroup, change_groups, headlines, title, why
from pytest_precgate.reports.html.assets import Assets, assets
from pytest_precgate.reports.html.frame import framed
from pytest_precgate.reports.html.markup import Markup, element, joined, table
from pytest_precgate.reports.html.trend import DOTS, picture

_LEGEND = (
    "vertical lines: change points, with the change of the level",
    "strong horizontal lines: the levels between them",
    "dashed: the baseline that the runs were held against; ticks below: commits that changed the baseline file",
    f"of more than {DOTS} runs a column is several: the area is their span, the line their median; of fewer each run "
    "is a dot, red where its gate did not pass",
)


def render(trend: SuiteTrend, made: Provenance, files: Assets | None = None) -> str:
    """Return the page; ``files`` are the package's unless others are given."""
    used = assets() if files is None else files
    return framed(
        used.template,
        title=f"History: {trend.suite}",
        tool_version=made.tool_version,
        style=used.style + used.history,
        body=_body(trend, made),
    )


def _body(trend: SuiteTrend, made: Provenance) -> Markup:
    groups = change_groups(trend)
    told = [element("li", line) for line in headlines(trend, groups)]
    remarks = [element("li", line, class_="problem") for line in trend.remarks]
    simulated = element("p", "SIMULATED: these figures were measured on no machine", class_="simulated")
    return joined(
        (
            element("a", "Skip to the gates", href="#main", class_="skip"),
            element(
                "header",
                element("p", "precgate", class_="product"),
                element("h1", f"History: {trend.suite}"),
                element("p", f"{title(trend)} · {made.utc} · pytest-precgate {made.tool_version}"),
                simulated if trend.simulated else Markup(),
                element("ul", *told, class_="headlines") if told else Markup(),
            ),
            element(
                "main",
                _section("Gates", *(_figure(gate, trend) for gate in trend.gates), _legend()),
                _section("Change points", _changes(groups)),
                _section("Who changed the baseline", _revisions(trend)),
                id="main",
            ),
            element(
                "footer",
                element("ul", *remarks) if remarks else Markup(),
                element("p", "One file: it opens from disk, asks no network and has no script."),
            ),
        )
    )


def _section(name: str, *parts: Markup) -> Markup:
    return element("section", element("h2", name), *parts, class_="suite")


def _figure(gate: GateTrend, trend: SuiteTrend) -> Markup:
    last = layout.figure(gate.key.metric, gate.readings[-1].value)
    told = f"{gate.key}: last {last}" + (
        "" if gate.shift is None else f", level {layout.change(gate.shift)} since the first"
    )
    drawn = element(
        "div", picture(gate, trend.revisions), class_="scroll", tabindex="0", role="region", aria_label=told
    )
    return element("figure", element("figcaption", told), drawn)


def _legend() -> Markup:
    return element("ul", *(element("li", line) for line in _LEGEND), class_="terms")


def _changes(groups: Sequence[ChangeGroup]) -> Markup:
    if not groups:
        return element("p", "No gate changed its level.", class_="note")
    rows = []
    for group in reversed(groups):
        for gate, change in group.gates:
            before, after = (layout.figure(gate.key.metric, value) for value in (change.before, change.after))
            share = layout.change(change.after / change.before - 1)
            word = "worse" if gate.gain(change) < 0 else "better"
            place = f"{gate.key.point:g}", str(change.index + 1)
            rows.append((group.utc, group.commit[:COMMIT_SHOWN], gate.key.quantity, *place, before, after, share, word))
    head = (
        "first run after it (UTC)",
        "commit",
        "gate",
        "tok/s/user",
        "run",
        "level before",
        "level after",
        "change",
        "",
    )
    return table(head, rows, "Change points, newest first", class_="figures")


def _revisions(trend: SuiteTrend) -> Markup:
    if not trend.revisions:
        return element("p", "No commit of the baseline file can be read.", class_="note")
    before: dict[GateKey, float] = {}
    rows = []
    for each in trend.revisions:
        moved = [
            f"{key.quantity} at {key.point:g} {layout.change(value / before[key] - 1)}"
            for key, value in each.values.items()
            if key in before and before[key] != value
        ]
        before.update(each.values)
        rows.append((each.utc, each.commit[:COMMIT_SHOWN], each.author, why(each), ", ".join(moved) or "-"))
    head = ("committed (UTC)", "commit", "author", "reason", "values that changed")
    return table(head, reversed(rows), "Commits that changed the baseline file, newest first")
