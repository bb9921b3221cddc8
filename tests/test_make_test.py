"""The project's own tests pass however they are started: in the background, under nohup, beside other work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.published import ROOT

SENDS_SIGINT = "tests/engines/test_serve_command.py::test_every_option_reaches_the_server_and_ctrl_c_ends_it_quietly"


@pytest.mark.parametrize("signals", ["INT", "HUP INT QUIT"])
def test_tests_that_send_signals_pass_where_the_shell_ignores_them(signals: str) -> None:
    """As in the background of a shell without job control, and under nohup."""
    command = f'trap "" {signals}; exec "$0" -m pytest -q -p no:cacheprovider "$1"'
    run = subprocess.run(
        ["sh", "-c", command, sys.executable, SENDS_SIGINT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout


def test_no_test_waits_without_a_limit(request: pytest.FixtureRequest) -> None:
    """A hang fails its test."""
    limit = request.node.get_closest_marker("timeout")
    assert limit is not None
    assert limit.args[0] > 0


def test_the_demo_needs_no_plugin_but_this_one() -> None:
    """`make demo` installs the package alone: a setting of another plugin in pyproject.toml would be refused."""
    others = ("randomly", "xdist", "xdist.looponfail", "timeout", "pytest_cov", "hypothesispytest", "anyio")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *(f"-pno:{name}" for name in others), "examples/", "--collect-only", "-q"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(("blocked", "is_shown"), [(0, False), (1, True), (2, False)])
def test_the_demo_ends_with_the_gates_that_must_fail(blocked: int, is_shown: bool, tmp_path: Path) -> None:
    """Exit 1 of pytest alone is a red gate: a demo whose last gates pass, or cannot run, fails. The pages are named."""
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\ncase "$*" in *examples_blocked*) exit {blocked} ;; esac\n', encoding="utf-8")
    python.chmod(0o755)
    pages, made = tmp_path / "pages", f"{tmp_path / 'venv'}/installed-demo"
    Path(made).touch()
    command = ["make", "demo", "-o", made, f"VENV={tmp_path / 'venv'}", f"PAGES={pages}"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert (run.returncode == 0) == is_shown, run.stderr
    assert (f"  file://{pages}/passed.html\n  file://{pages}/blocked.html\n" in run.stdout) == is_shown
