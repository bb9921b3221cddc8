"""Refuses flags that contradict each other, or that a configuration file must not set under CI.

Input: the values of the flags. Output: nothing, or a UsageError that names the flags and says what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_precgate.plugin.runs import FLAGS
from pytest_precgate.text import printable

STANDING = (
    *("update", "update-new-only", "update-add", "update-launches", "lower-anchor"),
    *("engine", "paired-with", "plan", *FLAGS),
)
"""Flags that under CI are accepted on the command line only: in a file they would switch the gate off."""

_UPDATES = ("update", "update-new-only", "update-add")


def refuse_contradictions(option: Callable[[str], object], missing: str) -> None:
    """Raise UsageError for flags that contradict; ``option`` gives the value of one, ``missing`` is that policy."""

    def given(flag: str) -> object:
        return option(f"precgate_{flag.replace('-', '_')}")

    records = [f"--precgate-{flag}" for flag in _UPDATES if given(flag)]
    if len(records) > 1:
        raise pytest.UsageError(f"{' and '.join(records)}: give one of them")
    if records and given("paired-with"):
        raise pytest.UsageError("--precgate-paired-with: pairs are held against no baseline, so none is recorded")
    reason = str(given("reason") or "")
    if reason and not records and missing != "create":
        raise pytest.UsageError("--precgate-reason: nothing is recorded without --precgate-update")
    if not reason.isprintable():
        raise pytest.UsageError(f"--precgate-reason: got {reason!r}, wanted one line of text")
    measures_anew = bool(given("update") or given("update-add"))
    launches = given("update-launches")
    if launches is not None and not measures_anew:
        raise pytest.UsageError(
            "--precgate-update-launches: no baseline is measured without --precgate-update or --precgate-update-add"
        )
    if isinstance(launches, int):
        from pytest_precgate.analysis.gating.limits import MOST_LAUNCHES  # noqa: PLC0415  # only where it is asked for

        if not 1 <= launches <= MOST_LAUNCHES:
            raise pytest.UsageError(f"--precgate-update-launches: got {launches}, wanted 1 to {MOST_LAUNCHES} launches")
    if given("lower-anchor") and not (measures_anew and reason.strip()):
        lacks = "--precgate-reason TEXT" if measures_anew else "--precgate-update or --precgate-update-add"
        raise pytest.UsageError(f"--precgate-lower-anchor: accepts a new state for good; it needs {lacks}")


def history_path(config: pytest.Config, *, in_ci: bool) -> Path | None:
    """Return the file of the history, None where none is configured.

    Raises UsageError for one that cannot be a file, and under CI for one that is not there: its trend would begin anew
    with every run."""
    typed, standing = config.getoption("precgate_history"), str(config.getini("precgate_history"))
    if not (typed or standing):
        return None
    path = Path(config.invocation_params.dir / typed if typed else config.rootpath / standing)
    where = f"--precgate-history or ini key precgate_history: {printable(str(path))}"
    try:
        is_there, is_file = path.exists(), path.is_file()
    except OSError as exc:  # a name no file system could hold
        raise pytest.UsageError(f"{where}: cannot be read: {exc.strerror}; wanted the file of the history") from exc
    if is_there and not is_file:
        raise pytest.UsageError(f"{where}: is not a file; wanted the file of the history")
    if in_ci and not is_there:
        raise pytest.UsageError(
            f"{where}: is not there, and under CI it is not made: a trend that begins with every run shows nothing. "
            "Restore it before the run (an artifact, a cache, a shared disk), or make an empty file to begin"
        )
    return path


def refuse_standing(option: Callable[[str], object], was_typed: Callable[[str], bool]) -> None:
    """Raise UsageError for a flag of STANDING that was given and does not stand on the command line."""
    for name in STANDING:
        flag = f"--precgate-{name}"
        if option(f"precgate_{name.replace('-', '_')}") and not was_typed(flag):
            raise pytest.UsageError(
                f"{flag}: under CI it is accepted on the command line alone, not from a configuration file"
            )
