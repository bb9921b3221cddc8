"""What a reader of a baseline must know of its launches: how many there are, and of how many days.

Input: a baseline. Output: one line of text for each remark."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_precgate.analysis.accepted.baseline import Baseline
from pytest_precgate.analysis.gating.noise import LEAST_LAUNCHES
from pytest_precgate.analysis.gating.verdict import JudgedGate

_ADD = "add launches of another day with --precgate-update-add"


def remarks(baseline: Baseline) -> tuple[str, ...]:
    """Return what to say of a baseline: too few launches for a sigma, launches of one day."""
    numbers = {name: len(baseline.launches_of(name)) for name in baseline.precisions}
    lines = []
    live = {name: number for name, number in numbers.items() if not _is_read(baseline, name)}
    if live and min(live.values()) < LEAST_LAUNCHES:
        held = ", ".join(f"{number} of {name}" for name, number in live.items())
        lines.append(f"holds {held} launches: sigma is not known before it holds {LEAST_LAUNCHES} of each; {_ADD}")
    return (*lines, *([_one_day(baseline.only_day)] if baseline.only_day is not None else []))


def days_told(baseline: Baseline, judged: Sequence[JudgedGate]) -> tuple[str, ...]:
    """Return the remark on the days of a baseline where the noise of a judged gate is told."""
    has_noise = any(each.evidence is not None and each.evidence.sigma is not None for each in judged)
    return (f"baseline: {_one_day(baseline.only_day)}",) if has_noise and baseline.only_day is not None else ()


def _one_day(day: str) -> str:
    return f"all launches are of one day ({day}): sigma holds nothing of what differs between days; {_ADD}"


def _is_read(baseline: Baseline, precision: str) -> bool:
    return any(not launch.is_repeatable for launch in baseline.launches_of(precision))
