"""Reorders tests so that tests of one engine run together, and engines that share GPUs start once each.

Invariant: only tests of suites that start servers move, and only into each other's positions: first those that need one
engine alone, precision by precision, then those that compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def rank(precisions: Sequence[str], engines: Sequence[str], *, chooses: bool, compares: bool) -> float:
    """Return the position of a test among those of its suite.

    ``precisions`` are the suite's; ``engines`` those of the test's fixtures; ``chooses`` when it requests engines by
    name as it runs, ``compares`` when it may measure any precision."""
    named = [precisions.index(engine) for engine in engines if engine in precisions]
    if len(named) == 1:
        return named[0] + (0.5 if compares or chooses else 0.0)
    return len(precisions) + (1.0 if compares or named else 0.0)


def in_order(items: Sequence[Item], ranks: Mapping[Item, tuple[int, float]]) -> list[Item]:
    """Return ``items`` with those of ``ranks`` sorted among their positions, and all others unchanged."""
    sorted_ones = iter(sorted((item for item in items if item in ranks), key=lambda item: ranks[item]))
    return [next(sorted_ones) if item in ranks else item for item in items]
