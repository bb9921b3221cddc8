"""The page: one self-contained HTML file that opens from disk, made of a document and the package's files.

Input: the document of model.py. Output: HTML. Invariants: no address of a network is in it, and its policy refuses
every request and every script but its own; text from elsewhere is text or JSON, never markup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_precgate.reports import layout
from pytest_precgate.reports.html.assets import Assets, assets
from pytest_precgate.reports.html.frame import framed
from pytest_precgate.reports.html.markup import Markup, data_script, element, escaped, joined, table
from pytest_precgate.reports.html.points import TOLD
from pytest_precgate.reports.html.sections import Values, sections, verdict

DATA_ID = "precgate-data"
_WORDS = {
    "failed": ("FAILED", False),
    "skipped": ("SKIPPED", False),
    "inconclusive": ("INCONCLUSIVE", False),
    "recorded": ("RECORDED", True),
    "added": ("ADDED", True),
    "passed": ("PASSED", True),
    "compared": ("COMPARED", True),
}
_UNSURE = ("INCONCLUSIVE", "MISSING")
_COMMIT_SHOWN = 12


def render(document: Mapping[str, Any], files: Assets | None = None) -> str:
    """Return the page of a document; ``files`` are the package's unless others are given."""
    used = assets() if files is None else files
    data = {"what": document.get("what", "this run"), "pictures": [_drawn(each) for each in _pictures(document)]}
    return framed(
        used.template,
        title=_answer(document)[0],
        tool_version=document["made"]["tool_version"],
        style=used.style,
        body=joined((_licences(used), _body(document), data_script(data, DATA_ID), _script(used)), "\n"),
        script=used.script,
    )


def _licences(used: Assets) -> Markup:
    told = escaped(used.licences).replace("--", "- -")
    return Markup(f"<!--\nThe script of this page holds software of others:\n\n{told}\n-->")


def _script(used: Assets) -> Markup:
    return Markup(f"<script>{used.script}</script>")


def _pictures(document: Mapping[str, Any]) -> list[Values]:
    return [picture for suite in document["suites"] for picture in suite["pictures"]]


def _drawn(picture: Values) -> dict[str, Any]:
    """What the script needs of a picture: the rest stands in the tables.

    The names of columns, which many launches share, stand once; a series has their number."""
    known: list[list[str]] = []
    series = []
    for each in picture["series"]:
        kept = [number for number, name in enumerate(each["columns"]) if name in TOLD]
        columns = [each["columns"][number] for number in kept]
        if columns not in known:
            known.append(columns)
        points = [[row[number] for number in kept] for row in each["points"]]
        series.append({**each, "columns": known.index(columns), "points": points})
    rest = {key: value for key, value in picture.items() if key not in ("rows", "terms", "left_out")}
    return {**rest, "series": series, "columns": known}


def _body(document: Mapping[str, Any]) -> Markup:
    answer, good = _answer(document)
    suites = document["suites"]
    links = [element("a", suite["name"], " ", _badge(suite), href=f"#{_anchor(suite)}") for suite in suites]
    simulated = sorted({name for picture in _pictures(document) for name in picture["simulated"]})
    warning = f"SIMULATED: the figures of {' and '.join(simulated)} were measured on no machine"
    return joined(
        (
            element("a", "Skip to the first picture", href="#main", class_="skip"),
            element(
                "header",
                element("p", "precgate", class_="product"),
                element("h1", answer, class_=_kind(document, good)),
                element("p", " · ".join(_made(document["made"]))),
                element("p", warning, class_="simulated") if simulated else Markup(),
                _lines(document["problems"], "problem"),
                element("nav", *links, aria_label="Suites") if len(suites) > 1 else Markup(),
            ),
            element("main", *_numbered(suites), id="main"),
            element(
                "footer",
                _lines([each["line"] for each in document["updates"]], "update"),
                _lines([line for each in document["updates"] for line in each["lines"]], "update"),
                _lines(document["warnings"], "warning"),
                element("p", "One file: it opens from disk and asks no network."),
            ),
        )
    )


def _kind(document: Mapping[str, Any], good: bool | None) -> str:
    if good is None:
        return "unsure" if any(suite["checks"] for suite in document["suites"]) else "plain"
    return "good" if good else "bad"


def _made(made: Mapping[str, str]) -> Iterator[str]:
    commit, dirty, _ = made["commit"].partition("-dirty")
    yield made["utc"]
    if commit:
        yield f"commit {commit[:_COMMIT_SHOWN]}{' with local changes' * bool(dirty)}"
    yield f"pytest-precgate {made['tool_version']}"


def _answer(document: Mapping[str, Any]) -> tuple[str, bool | None]:
    """Return what a reader wants to know first, and whether it is good; None where nothing could be told."""
    suites = document["suites"]
    outcomes = [_outcome(suite) for suite in suites]
    for word, good in (("failed", False), ("inconclusive", None), ("skipped", None)):
        if word in outcomes:
            return f"{word.capitalize()}: {_named(suites, word)}", good
    if document["problems"]:
        return "Failed: the run has problems", False
    if not outcomes:
        return "No gate ran", None
    words = {"passed": "Passed", "recorded": "Baseline recorded", "added": "Passed, with new gates recorded"}
    for word in ("recorded", "added", "passed"):
        if word in outcomes:
            return f"{words[word]}: {_named(suites, word)}", True
    return document.get("title") or f"Compared: {_named(suites, 'compared')}", None


def _named(suites: Sequence[Values], word: str) -> str:
    """Which suites have this outcome: by name where it is one, by number where there are several."""
    found = [suite["name"] for suite in suites if _outcome(suite) == word]
    return str(found[0]) if len(suites) == 1 else f"{len(found)} of {len(suites)} suites"


def _outcome(suite: Values) -> str:
    """A suite that fails for gates that could not be told is inconclusive: it blocks as well, and reads otherwise."""
    words = {gate["verdict"] for check in suite["checks"] for gate in check["gates"] if not gate["passes"]}
    is_unsure = suite["outcome"] == "failed" and bool(words) and words <= {*_UNSURE}
    return "inconclusive" if is_unsure else str(suite["outcome"])


def _badge(suite: Values) -> Markup:
    return verdict(*_WORDS[_outcome(suite)])


def _anchor(suite: Values) -> str:
    return f"suite-{suite['name']}"


def _lines(lines: Sequence[str], kind: str) -> Markup:
    return element("ul", *(element("li", line, class_=kind) for line in lines)) if lines else Markup()


def _numbered(suites: Sequence[Values]) -> Iterator[Markup]:
    """Yield each suite; its pictures are found by their number in the data."""
    number = 0
    for suite in suites:
        figures = []
        for picture in suite["pictures"]:
            figures.append(_figure(picture, number))
            number += 1
        lines = element("ul", *(element("li", line) for line in suite["headlines"]), class_="headlines")
        yield element(
            "section",
            element("h2", suite["name"], " ", _badge(suite)),
            lines if suite["headlines"] else Markup(),
            *figures,
            sections(suite),
            id=_anchor(suite),
            class_="suite",
        )


def _figure(picture: Values, number: int) -> Markup:
    """The frame of a picture, which the script fills, and its table as Python reads it."""
    head = layout.comparison_head(picture["precisions"])
    width = len(head)
    rows = [
        (*row["cells"], *(element("td", row["wording"], colspan=width - 1) for _ in range(len(row["cells"]) == 1)))
        for row in picture["rows"]
    ]
    words = [element("li", f"at {row['cells'][0]} tok/s/user: {row['wording']}") for row in picture["rows"]]
    return element(
        "figure",
        element("figcaption", picture["title"]),
        element("div", element("noscript", element("p", "The picture needs JavaScript.")), class_="picture"),
        element(
            "div",
            table(head, rows, "Comparison at the same interactivity", class_="figures"),
            element("ul", *words),
            class_="published",
        ),
        element("ul", *(element("li", line) for line in (*picture["terms"], *picture["left_out"])), class_="terms"),
        data_picture=number,
    )
