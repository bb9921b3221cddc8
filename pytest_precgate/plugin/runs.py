"""The run a session measures."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_precgate.live.record import Record


def record_of(
    root: Path,
    clock: Callable[[], datetime],
    commit: Callable[[], str],
    tool_version: str,
    say: Callable[[str], None],
) -> Record:
    """Return what this session keeps of what it measures."""
    from pytest_precgate.journal.directory import RunDirectory  # noqa: PLC0415
    from pytest_precgate.live.record import Record  # noqa: PLC0415

    return Record(RunDirectory.new(root, clock(), os.getpid()), root, "measure", commit, clock, tool_version, say)
