"""Refuses flags that contradict each other, or that a configuration file must not set under CI.

Input: the values of the flags. Output: nothing, or a UsageError that names the flags and says what to do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_precgate.plugin.runs import FLAGS

STANDING = (
    *("update", "update-new-only", "update-add", "update-launches", "lower-anchor"),
    *("engine", "paired-with", "plan", *FLAGS),
)
"""Flags that under CI are accepted on the command line only: in a file they would switch the gate off."""

_UPDATES = ("update", "update-new-only", "update-add")
_MOST_LAUNCHES = 1_000  # analysis.gating.limits, which is not imported before a test asks for a sweep


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
    if isinstance(launches, int) and not 1 <= launches <= _MOST_LAUNCHES:
        raise pytest.UsageError(f"--precgate-update-launches: got {launches}, wanted 1 to {_MOST_LAUNCHES} launches")
    if given("lower-anchor") and not (measures_anew and reason.strip()):
        lacks = "--precgate-reason TEXT" if measures_anew else "--precgate-update or --precgate-update-add"
        raise pytest.UsageError(f"--precgate-lower-anchor: accepts a new state for good; it needs {lacks}")


def refuse_standing(option: Callable[[str], object], was_typed: Callable[[str], bool]) -> None:
    """Raise UsageError for a flag of STANDING that was given and does not stand on the command line."""
    for name in STANDING:
        flag = f"--precgate-{name}"
        if option(f"precgate_{name.replace('-', '_')}") and not was_typed(flag):
            raise pytest.UsageError(f"{flag}: under CI it must stand on the command line, not in a configuration file")
