"""The release workflow refuses a package that does not say where its source is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.published import ROOT

SOURCE = "https://github.com/someone/pytest-precgate"
STEP = "The package names this repository as its source"


def step() -> str:
    """The shell text of the workflow's step."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8"))
    (found,) = (each["run"] for each in workflow["jobs"]["build"]["steps"] if each.get("name") == STEP)
    assert isinstance(found, str)
    return found


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the step needs tomllib, and the workflow has Python 3.13")
@pytest.mark.parametrize(
    ("urls", "why"),
    [
        (f'[project.urls]\nSource = "{SOURCE}"\n', ""),
        (f'[project.urls]\nSource = "{SOURCE}/"\n', ""),
        (
            '[project.urls]\nSource = "https://github.com/another/pytest-precgate"\n',
            "Source is 'https://github.com/another",
        ),
        (f'[project.urls]\nHomepage = "{SOURCE}"\n', "Source is None, this repository is"),
        ("", "Source is None, this repository is"),
    ],
    ids=["this", "this with a slash", "another", "no source", "no addresses"],
)
def test_a_release_names_the_repository_that_makes_it(tmp_path: Path, urls: str, why: str) -> None:
    """As the step is written, with a sample of pyproject.toml."""
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "x"\n{urls}', encoding="utf-8")
    (tmp_path / "python").symlink_to(sys.executable)
    owner, _, name = SOURCE.removeprefix("https://github.com/").partition("/")
    environ = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": f"{owner}/{name}",
    }
    run = subprocess.run(
        ["bash", "-ec", step()], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert (run.returncode, why in run.stderr) == (1 if why else 0, True), run.stderr
