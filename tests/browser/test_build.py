"""The script in the package is what its sources and its lock file give, byte by byte, with its licences."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.published import ROOT

pytestmark = pytest.mark.browser

SOURCES = ROOT / "tools" / "report"
DATA = ROOT / "pytest_precgate" / "reports" / "html" / "data"


def test_a_build_from_the_lock_file_gives_the_committed_script(tmp_path: Path) -> None:
    """In a fresh folder, from the registry's packages as the lock file names them."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("no npm here: the committed script is used as it is")
    here = tmp_path / "report"
    shutil.copytree(SOURCES, here, ignore=shutil.ignore_patterns("node_modules"))
    got = subprocess.run([npm, "ci", "--ignore-scripts"], cwd=here, capture_output=True, text=True, check=False)
    if got.returncode and "E404" not in got.stderr and "EINTEGRITY" not in got.stderr:
        pytest.skip(f"npm cannot fetch the packages here: {got.stderr.strip()[-300:]}")
    assert got.returncode == 0, got.stderr
    subprocess.run([node, "build.mjs", str(tmp_path)], cwd=here, capture_output=True, check=True)
    for name in ("report.js", "report.css", "THIRD_PARTY_LICENSES"):
        assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes(), f"{name}: run node build.mjs in {SOURCES}"


def test_the_pictures_of_the_docs_can_be_made_again(chromium: object, tmp_path: Path) -> None:
    """From the repository's examples, each small, none blank, and as many as the docs have."""
    assert chromium is not None
    script = [sys.executable, str(ROOT / "tools" / "report_screenshots.py"), str(tmp_path)]
    made = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {path.name for path in (ROOT / "docs" / "images").glob("report-*.png")}
    assert all(20_000 < (tmp_path / name).stat().st_size < 150_000 for name in names)
