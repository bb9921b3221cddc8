"""Lists of CPU cores as taskset, numactl and the kernel write them: ``0-15,32``.

Input: text or numbers. Output: core numbers, each once, in order, and their shortest text. Invariant:
``cpus_of(cpus_text(x)) == x``."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pytest_precgate.errors import InvalidValueError
from pytest_precgate.text import printable

MOST_CPU = 65_535
"""The highest core number that is read: beyond any machine, and low enough that a typing error fills no memory."""
_PART = re.compile(r"(\d{1,9})(?:-(\d{1,9})(?::(\d{1,9}))?)?")


def cpus_of(text: str) -> tuple[int, ...]:
    """Return the cores of a list like ``0-3,8`` or, with a step, ``0-30:2``.

    Raises InvalidValueError for anything else, and for a core that is named twice."""
    found: list[int] = []
    for part in text.strip().split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise InvalidValueError(f"got {printable(text, 60)!r}, wanted cores like 0-15,32 as taskset writes them")
        first = int(match[1])
        last, step = int(match[2] or first), int(match[3] or 1)
        if last < first or step < 1 or last > MOST_CPU:
            raise InvalidValueError(
                f"got {printable(part, 60)!r}, wanted a first core, a last one from there to {MOST_CPU}, and a step "
                "of at least 1"
            )
        found += range(first, last + 1, step)
    return distinct(found)


def distinct(cpus: Iterable[int]) -> tuple[int, ...]:
    """Return the cores in order. Raises InvalidValueError for none, a repeated one, or one out of range."""
    found = sorted(cpus)
    if not found:
        raise InvalidValueError("got no core, wanted at least one")
    if len(set(found)) < len(found):
        twice = next(cpu for cpu in found if found.count(cpu) > 1)
        raise InvalidValueError(f"core {twice} is named twice")
    if found[0] < 0 or found[-1] > MOST_CPU:
        raise InvalidValueError(f"got core {found[0] if found[0] < 0 else found[-1]}, wanted 0 to {MOST_CPU}")
    return tuple(found)


def cpus_text(cpus: Iterable[int]) -> str:
    """Return the shortest text of cores, ``none`` without any."""
    runs: list[tuple[int, int]] = []
    for cpu in sorted(set(cpus)):
        if runs and runs[-1][1] == cpu - 1:
            runs[-1] = runs[-1][0], cpu
        else:
            runs.append((cpu, cpu))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs) or "none"
