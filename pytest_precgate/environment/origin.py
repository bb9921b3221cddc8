"""The origin of a run: the commit under test, the version of this tool, and whether it runs under CI."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_CI = ("CI", "BUILD_NUMBER")


def git_commit(directory: Path, baselines: Path | None = None) -> str:
    """Return the commit checked out in ``directory``, with the suffix ``-dirty`` if files differ, or ``unknown``.

    JSON files in the directory ``baselines`` do not count: a run rewrites them itself, and they affect no figure."""
    commit = _git(directory, "describe", "--always", "--abbrev=40", "--exclude=*")
    if not commit:
        return "unknown"
    paths = [":/"]
    if baselines is not None and baselines.resolve().is_relative_to(directory.resolve()):
        within = baselines.resolve().relative_to(directory.resolve()).as_posix()
        paths.append(f":(exclude,glob){within}/*.json")
    changed = _git(directory, "status", "--porcelain", "--untracked-files=no", "--", *paths)
    return "unknown" if changed is None else f"{commit}-dirty" if changed else commit


def _git(directory: Path, *words: str) -> str | None:
    """The output of git, None when it cannot be run or fails."""
    # Without optional locks: a status must not disturb work in the repository.
    command = ["git", "--no-optional-locks", *words]
    try:
        found = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, errors="replace", timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def tool_version() -> str:
    """Return the installed version of pytest-precgate, or ``unknown`` when it runs from loose files."""
    try:
        return version("pytest-precgate")
    except PackageNotFoundError:
        return "unknown"


def in_ci(environ: Mapping[str, str]) -> bool:
    """Whether the run is under CI: CI or BUILD_NUMBER is set and not empty, the same rule as pytest's."""
    return any(environ.get(name) for name in _CI)
