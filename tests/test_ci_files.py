"""The action and the GitLab job of this repository, and the script of docs/ci.md: their shell steps, run as a runner
runs them, in a user's repository."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.published import ROOT
from tests.repository import Repository

ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
GITLAB: dict[str, Any] = yaml.safe_load((ROOT / "ci" / "gitlab.yml").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"(?s)```yaml\n(.*?)```", PAGE)]
INSTALL, GATE = ACTION["runs"]["steps"]
REPORTS = {"precgate.md", "precgate.svg", "precgate.html", "precgate.json", "gates.xml", "junit.xml"}
RUNNER = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")
# Only this plugin: to load every other one of our own environment takes longer than the run.
ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def shell(script: str, where: Path, environ: Mapping[str, str], runner: tuple[str, ...] = RUNNER) -> Any:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [*runner, script], cwd=where, env={**kept, **environ}, capture_output=True, text=True, check=False, timeout=200
    )


def step(step: Mapping[str, Any], where: Path, given: dict[str, str], environ: Mapping[str, str]) -> Any:
    """Run a step of the action with the inputs ``given``, the others at their defaults."""
    inputs = {name: str(each.get("default", "")) for name, each in ACTION["inputs"].items()} | given
    known = {f"inputs.{name}": value for name, value in inputs.items()} | {"github.action_path": "/the/action"}
    filled = {
        name: re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda found: known[found[1]], value)
        for name, value in step["env"].items()
    }
    return shell(step["run"], where / inputs["working-directory"], {**environ, **filled})


def gate(where: Path, **given: str) -> tuple[Any, dict[str, str]]:
    """Run the gate of the action; return the process and its outputs."""
    output = where / "github_output"
    output.write_text("", encoding="utf-8")
    environ = {**ALONE, "GITHUB_OUTPUT": str(output), "GITHUB_ACTIONS": "true", "CI": "true"}
    environ |= {"GITHUB_STEP_SUMMARY": str(where / "summary.md"), "GITHUB_WORKSPACE": str(where)}
    arguments = {"python": sys.executable, "paths": ".", "arguments": "-p\nprecgate\n\n-p\nno:cacheprovider\n"}
    done = step(GATE, where, {**arguments, **given}, environ)
    return done, dict(line.split("=", 1) for line in output.read_text(encoding="utf-8").splitlines())


def test_no_input_is_pasted_into_a_script() -> None:
    """An expression in a script is code of who wrote the pull request; in env it is text."""
    for each in (INSTALL, GATE):
        assert "${{" not in each["run"]
        assert each["shell"] == "bash"
    assert {name for each in (INSTALL, GATE) for name in re.findall(r"inputs\.([\w-]+)", json.dumps(each))} == {
        *ACTION["inputs"]
    }


@pytest.mark.parametrize(("version", "wanted"), [("", "/the/action"), ("1.2.3", "pytest-precgate==1.2.3")])
def test_the_action_installs_its_own_checkout_or_a_version(tmp_path: Path, version: str, wanted: str) -> None:
    """With the Python it was given."""
    python = tmp_path / "a python"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > called\n', encoding="utf-8")
    python.chmod(0o755)
    done = step(INSTALL, tmp_path, {"python": str(python), "version": version}, {})
    assert done.returncode == 0, done.stderr
    called = (tmp_path / "called").read_text(encoding="utf-8").splitlines()
    assert called[:3] == ["-m", "pip", "install"]
    assert called[-1] == wanted


def test_the_action_passes_a_green_run_and_fails_a_red_one(accepted: Repository) -> None:
    """With every report, the outputs, the summary, and annotations that the runner reads."""
    done, outputs = gate(accepted.path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert outputs["verdict"] == "passed"
    accepted.write_points(fp4=0.92)
    done, outputs = gate(accepted.path)
    assert done.returncode == 1
    assert outputs == {
        "verdict": "failed",
        "comment": "./precgate-report/precgate.md",
        "directory": "./precgate-report",
    }
    assert {path.name for path in (accepted.path / "precgate-report").iterdir()} == REPORTS
    text = (accepted.path / outputs["comment"]).read_text(encoding="utf-8")
    assert "precgate: failed" in text.splitlines()[1]
    assert "](precgate.svg)" in text
    assert "precgate: failed" in (accepted.path / "summary.md").read_text(encoding="utf-8")
    assert re.search(r"(?m)^::error file=pyproject\.toml,line=1,", done.stdout)
    assert set(ACTION["outputs"]) == set(outputs)


def test_the_action_does_not_show_an_earlier_report_as_that_of_a_run_that_wrote_none(accepted: Repository) -> None:
    """Invalid settings: the comment says that there is no report, and has no marker that replaces another one."""
    report = accepted.path / "precgate-report" / "precgate.md"
    report.parent.mkdir()
    report.write_text("precgate: passed\n", encoding="utf-8")
    accepted.write_settings("[tool.precgate]\nnonsense = 1\n")
    done, outputs = gate(accepted.path)
    assert (done.returncode, outputs["verdict"]) == (4, "failed")
    text = report.read_text(encoding="utf-8")
    assert "precgate: failed" in text
    assert "passed" not in text
    assert "<!--" not in text


@pytest.mark.parametrize("paths", ["", " \n "])
def test_the_action_without_a_path_fails(tmp_path: Path, paths: str) -> None:
    """pytest would run whatever it finds."""
    done, outputs = gate(tmp_path, paths=paths)
    assert (done.returncode, outputs) == (4, {})
    assert "names no gate test" in done.stderr


def test_a_path_is_never_a_command(tmp_path: Path) -> None:
    """Nor is an argument expanded."""
    gate(tmp_path, paths="none; touch made $(touch made)", arguments="-p\nprecgate\n--co\n`touch made`")
    assert not (tmp_path / "made").exists()


def gitlab(where: Path, runner: tuple[str, ...], **variables: str) -> Any:
    job = GITLAB[".precgate"]
    arguments = "-p precgate -p no:cacheprovider"
    given = {
        "PRECGATE_PYTHON": sys.executable,
        "PRECGATE_PACKAGE": "",
        "PRECGATE_PATHS": ".",
        "PRECGATE_ARGUMENTS": arguments,
    }
    script = "\n".join(job["script"])
    return shell(script, where, {**job["variables"], **ALONE, "CI": "true", **given, **variables}, runner)


@pytest.mark.parametrize("runner", [RUNNER, ("sh", "-ec")], ids=["bash", "sh"])
def test_the_gitlab_job_fails_a_red_run_with_a_case_for_each_gate(
    accepted: Repository, runner: tuple[str, ...]
) -> None:
    """In the shell that GitLab's runner finds, bash or sh; the reports are where the artifacts are taken from."""
    accepted.write_points(fp4=0.92)
    done = gitlab(accepted.path, runner)
    assert done.returncode == 1, done.stdout + done.stderr
    artifacts = GITLAB[".precgate"]["artifacts"]
    assert {path.name for path in (accepted.path / artifacts["paths"][0]).iterdir()} == REPORTS
    cases = ET.parse(accepted.path / artifacts["reports"]["junit"]).getroot()
    assert len(list(cases.iter("failure"))) == 6


def test_the_gitlab_job_passes_a_green_run_and_needs_a_path(accepted: Repository) -> None:
    """Without one it fails at once."""
    done = gitlab(accepted.path, RUNNER)
    assert done.returncode == 0, done.stdout + done.stderr
    assert gitlab(accepted.path, RUNNER, PRECGATE_PATHS="").returncode == 4


GH = """\
#!/bin/sh
printf '%s\\n' "$*" >> "$CALLS"
case "$*" in *--paginate*) printf '%s' "$FOUND";; esac
"""


def comment(where: Path, text: str, found: str) -> list[str]:
    """Run the commenting step of docs/ci.md with a gh that finds the comments ``found``; return its calls."""
    (posted,) = [each["run"] for each in BLOCKS[0]["jobs"]["comment"]["steps"] if "run" in each]
    (where / "bin").mkdir()
    (where / "bin" / "gh").write_text(GH, encoding="utf-8")
    (where / "bin" / "gh").chmod(0o755)
    (where / "precgate.md").write_text(text, encoding="utf-8")
    environ = {"PATH": f"{where / 'bin'}:{os.environ['PATH']}", "CALLS": str(where / "calls"), "FOUND": found}
    done = shell(posted, where, {**environ, "GITHUB_REPOSITORY": "a/b", "NUMBER": "7"})
    assert done.returncode == 0, done.stderr
    return (where / "calls").read_text(encoding="utf-8").splitlines()


MARKED = "<!-- pytest-precgate report of kimi -->\n## x\n"


@pytest.mark.parametrize(
    ("text", "found", "last", "calls"),
    [
        (MARKED, "", "api --method POST repos/a/b/issues/7/comments --field body=@precgate.md", 2),
        (MARKED, "11\n12\n", "api --method PATCH repos/a/b/issues/comments/11 --field body=@precgate.md", 2),
        ("## no report\n", "11\n", "api --method POST repos/a/b/issues/7/comments --field body=@precgate.md", 1),
    ],
)
def test_the_script_of_the_manual_updates_its_one_comment(
    tmp_path: Path, text: str, found: str, last: str, calls: int
) -> None:
    """The first one with the marker is changed, without one a comment is made; no marker replaces no comment."""
    called = comment(tmp_path, text, found)
    assert called[-1] == last
    assert len(called) == calls


def test_the_blocks_of_the_manual_fit_the_files_they_use() -> None:
    """Inputs and variables that exist, and a template that is there."""
    workflow, pipeline = BLOCKS[:2]
    (used,) = [each["with"] for each in workflow["jobs"]["gate"]["steps"] if "pytest-precgate@" in each.get("uses", "")]
    assert used.keys() <= ACTION["inputs"].keys()
    required = {name for name, each in ACTION["inputs"].items() if each.get("required")}
    assert required <= used.keys()
    job = pipeline["precision-gate"]
    assert job["extends"] in GITLAB
    assert job["variables"].keys() <= GITLAB[".precgate"]["variables"].keys()
    assert (ROOT / pipeline["include"][0]["file"]).is_file()
