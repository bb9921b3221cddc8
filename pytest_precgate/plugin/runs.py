"""Chooses the run that a session measures, resumes, or judges again."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_precgate import files
from pytest_precgate.text import printable

if TYPE_CHECKING:
    from pytest_precgate.journal.directory import RunDirectory
    from pytest_precgate.run.journaling import Record

FLAGS = ("resume", "replay")


def refuse_no_directory(path: Path) -> None:
    """Raise UsageError when the directory of the baselines is not a directory."""
    why = files.why_no_directory(path)
    if why is not None:
        raise pytest.UsageError(
            f"--precgate-baselines or ini key precgate_baselines: {printable(str(path))}: {why}; wanted the directory "
            "of the baselines"
        )


def earlier_run(config: pytest.Config) -> RunDirectory | None:
    """Return the recorded run that a flag names, None without one.

    Raises UsageError for two flags that contradict, RunNotFoundError for a run that does not exist."""
    named = [config.getoption(f"precgate_{flag}") for flag in FLAGS]
    given = [name for name in named if name is not None]
    if len(given) > 1:
        raise pytest.UsageError("--precgate-resume and --precgate-replay: give one of them")
    if not given:
        return None
    from pytest_precgate.journal.directory import RunDirectory  # noqa: PLC0415

    return RunDirectory.find(config.rootpath, config.invocation_params.dir, given[0])


def record_of(
    config: pytest.Config,
    earlier: RunDirectory | None,
    clock: Callable[[], datetime],
    commit: Callable[[], str],
    tool_version: str,
    say: Callable[[str], None],
) -> Record:
    """Return what this session stores, and reuses of the ``earlier`` run."""
    import secrets  # noqa: PLC0415

    from pytest_precgate.journal.directory import RunDirectory  # noqa: PLC0415
    from pytest_precgate.run.journaling import Mode, Record  # noqa: PLC0415

    root = config.rootpath
    mode: Mode = "measure" if earlier is None else "resume" if config.getoption("precgate_replay") is None else "replay"
    directory = RunDirectory.new(root, clock(), os.getpid()) if earlier is None else earlier
    return Record(directory, root, mode, commit, clock, tool_version, say, salt=secrets.token_hex(8))
