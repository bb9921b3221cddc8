"""Where a run comes from: the commit under test, the tool that measures it, a person or CI."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_CI = ("CI", "BUILD_NUMBER")


def git_commit(directory: Path) -> str:
    """Return the commit checked out in ``directory``, with ``-dirty`` behind it where files differ, or ``unknown``."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        found = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip() or "unknown"


def tool_version() -> str:
    """Return the installed version of pytest-precgate, or ``unknown`` when it runs from loose files."""
    try:
        return version("pytest-precgate")
    except PackageNotFoundError:
        return "unknown"


def in_ci(environ: Mapping[str, str]) -> bool:
    """Whether nobody is watching: CI or BUILD_NUMBER is set and not empty, as pytest itself tells."""
    return any(environ.get(name) for name in _CI)
