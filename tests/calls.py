"""How much work something is, without a clock: how many calls of Python and C functions it makes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType


def calls_of(act: Callable[[], object]) -> int:
    """Return how many calls ``act`` makes."""
    made = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal made
        made += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(before)
    return made


def per_further_unit(work: Callable[[int], Callable[[], object]], small: int, large: int) -> float:
    """Return how many calls a unit beyond ``small`` makes, as a multiple of one up to there; 1 is linear work.

    ``work`` makes ready what is counted, for so many units; the work for none is taken off both.
    """
    empty = calls_of(work(0))
    few, many = calls_of(work(small)), calls_of(work(large))
    return (many - few) / (large - small) / ((few - empty) / small)
