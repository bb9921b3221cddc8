"""What a process of its own writes beside others, for tests of files that several runs share.

A spawned process imports the module of its function: this one loads neither hypothesis nor pytest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pytest_precgate.baselines.store import BaselineStore, Stored
from pytest_precgate.errors import BaselineBusyError
from pytest_precgate.history.entry import HistoryEntry
from pytest_precgate.history.file import append
from tests.builders.baselines import kimi_baseline


def update_often(directory: Path, worker: int, rounds: int) -> None:
    """Add one entry per round to a baseline's history, again whenever another process holds the file."""
    files = BaselineStore(directory, directory.parent)
    for number in range(rounds):
        while True:
            try:
                stored: Stored = files.read("kimi")
                recorded = replace(kimi_baseline().recorded, reason=f"{worker}.{number}")
                old = stored.baseline or kimi_baseline()
                history = (*old.history, recorded) if stored.baseline else (recorded,)
                files.write(replace(old, history=history), stored)
                break
            except BaselineBusyError:
                continue


def append_often(path: Path, entry: HistoryEntry) -> None:
    """Append an entry forty times."""
    for _ in range(40):
        append(path, [entry])
