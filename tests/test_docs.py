"""The pages name files, modules and names that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import layers
from tests.published import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("examples*/**/*.md")])
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
DECISIONS = [line for line in ARCHITECTURE.splitlines() if line.startswith("| ") and "?" in line]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    """Links inside code blocks are no links."""
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8"))
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [target for target in targets if target and "://" not in target and not target.startswith("mailto:")]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_the_five_questions_of_a_newcomer_have_a_row() -> None:
    """Tolerance, invalid points, resume, unused gates, the next concurrency."""
    asked = "\n".join(DECISIONS)
    for words in ("with its tolerance", "called invalid", "resume skip", "unused gate fail", "concurrency comes next"):
        assert words in asked


@pytest.mark.parametrize("row", DECISIONS, ids=lambda row: row.split("|")[1].strip())
def test_where_it_is_decided_is_there(row: str) -> None:
    """Each file of a row exists, and holds the names behind it in brackets."""
    said = row.split("|")[2]
    found = re.findall(r"`((?:\w+/)*\w+\.py)`(?: \(([^)]*)\))?", said)
    assert found
    for path, names in found:
        folders = [ROOT / "pytest_precgate" / Path(other).parent for other, _ in found]
        places = [ROOT / "pytest_precgate" / path, *(folder / path for folder in folders)]
        file = next((place for place in places if place.is_file()), None)
        assert file is not None, path
        text = file.read_text(encoding="utf-8")
        for name in re.findall(r"`([\w.]+)`", names):
            assert all(re.search(rf"\b{part}\b", text) for part in name.split(".")), f"{name} in {path}"


def test_the_packages_of_the_page_are_those_there_are() -> None:
    """Each folder of the package has its row."""
    named = set(re.findall(r"^\| `(?:analysis/)?(\w+)/`", ARCHITECTURE, re.MULTILINE)) | {"baselines", "journal"}
    folders = {path.parent.name for path in (ROOT / "pytest_precgate").glob("*/__init__.py")} - {"analysis"}
    assert folders <= named
    assert {row.split(".")[0] for row in layers.ALLOWED if "." not in row} >= folders


@pytest.mark.parametrize("page", [*PAGES, ROOT / ".pre-commit-config.yaml"], ids=lambda page: page.name)
def test_every_command_of_make_is_one_a_person_may_call(page: Path) -> None:
    """A target of .PHONY: a file that make keeps for itself is half a step of it."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    known = {*re.findall(r"(?m)^\.PHONY:(.*)$", makefile)[0].split()}
    text = page.read_text(encoding="utf-8")
    calls = re.findall(r"`make ([^`]+)`|(?m:^ *make ([^#\n]+))", text)
    assert {word for call in calls for word in "".join(call).split() if "=" not in word} <= known
