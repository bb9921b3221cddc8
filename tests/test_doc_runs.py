"""The pages that are run: their files are written, their commands run in order, and the output is what is printed.

Also what is generated into the docs by runs, and the strict build."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_precgate.analysis.curves.search import SweepTargets
from pytest_precgate.analysis.plan import Asked
from pytest_precgate.documents import Node
from pytest_precgate.errors import SettingsError
from pytest_precgate.run.planning import plans_of
from pytest_precgate.settings import Policy, Suite, settings_from
from tests.doc_blocks import PAGES, Block, blocks, of, table
from tests.published import ROOT
from tools import figures, why_red

pytestmark = pytest.mark.docs

READ = {"python", "toml", "console", "sh", "yaml"}
NOT_RUN = {"command.md"}
"""Pages with commands and output that need files, servers or a machine that is not here."""


def ran(page: Path) -> bool:
    return any(block.language == "console" for block in blocks(page)) and page.name not in NOT_RUN


@pytest.mark.parametrize("page", [page for page in PAGES if ran(page)], ids=lambda page: page.name)
def test_a_page_runs_as_it_is_written(page: Path, tmp_path: Path) -> None:
    """In an empty directory, from top to bottom; `../pytest-precgate` is the checkout."""
    (tmp_path / "pytest-precgate").symlink_to(ROOT)
    home = tmp_path / "mine"
    home.mkdir()
    for block in blocks(page):
        if block.file is not None:
            (home / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "console":
            run(block, home)


def run(block: Block, home: Path) -> None:
    """Run each command of a block and compare its output; a line of three dots stands for any lines."""
    environ = {name: value for name, value in os.environ.items() if name not in ("CI", "BUILD_NUMBER")}
    environ |= {"COLUMNS": "80", "NO_COLOR": "1", "PATH": f"{Path(sys.executable).parent}:{environ['PATH']}"}
    for part in re.split(r"(?m)^\$ ", block.text)[1:]:
        command, _, wanted = part.replace("\\\n", "").partition("\n")
        done = subprocess.run(
            command, shell=True, cwd=home, env=environ, capture_output=True, text=True, check=False, timeout=120
        )
        got = done.stdout + done.stderr
        pattern = "".join(r"(?:.*\n)*?" if line == "..." else re.escape(line) + r" *\n" for line in wanted.splitlines())
        assert re.fullmatch(pattern, got), f"{block}: $ {command}\n{got}"


@pytest.mark.parametrize("block", [each for each in of("toml") if "[tool.pytest" not in each.text], ids=str)
def test_a_run_of_the_settings_is_planned(block: Block, tmp_path: Path) -> None:
    """Each suite of a page has launches to plan, whatever hardware they need."""
    settings = settings_from(Node(table(block), str(block), "tool.precgate", SettingsError), tmp_path)
    for suite in settings.suites.values():
        asked = Asked("test_it", compares=True)
        (planned, *_) = plans_of(Policy(), [(suite, asked)], None, tmp_path, lambda suite, _: targets_of(suite))
        assert {launch.candidate.precision for launch in planned.launches} == set(suite.engines)


def targets_of(suite: Suite) -> SweepTargets:
    """What a launch is searched for."""
    return SweepTargets(suite.points or (55,))


def test_the_pages_that_are_not_run_are_told() -> None:
    """docs/verified.md names each page whose settings, commands or Python are read and not run, and no other."""
    docs = ROOT / "docs"
    checked = [page for page in PAGES if docs in page.parents and not ran(page)]
    wanted = {str(page.relative_to(docs)) for page in checked if {each.language for each in blocks(page)} & READ}
    section = (docs / "verified.md").read_text(encoding="utf-8").partition("| for want of |")[2]
    assert set(re.findall(r"\]\(([\w/]+\.md)\)", section)) == wanted


def test_the_outputs_of_red_gates_are_those_of_today() -> None:
    """`python tools/why_red.py` writes them again."""
    text = why_red.PAGE.read_text(encoding="utf-8")
    assert why_red.written(text) == text


@pytest.mark.parametrize("name", figures.FIGURES)
def test_the_figures_are_those_of_today(name: str) -> None:
    """`python tools/figures.py` draws them again."""
    assert figures.FIGURES[name]() == (figures.IMAGES / name).read_text(encoding="utf-8")


@pytest.mark.skipif(importlib.util.find_spec("furo") is None, reason="no Sphinx here: pip install -e '.[docs]'")
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Dead links, dead anchors, pages outside every toctree and unknown languages are errors; nothing is loaded from
    elsewhere."""
    options = ("-n", "-W", "--keep-going", "-q")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, "-d", str(tmp_path / "trees"), "docs", str(tmp_path / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    for page in (tmp_path / "html").rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert re.findall(r'(?:<script|<link|<img)[^>]*(?:src|href)="(?:https?:)?//[^"]*"', text) == [], page.name
