"""A series on one line of text.

Input: figures, oldest first, and a number of columns. Output: one character a column. Invariant: a column of several
figures is their median, and the scale spans at least LEAST_SPAN, so that noise draws no mountains."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
PLAIN = "_.-~=+*#"
"""For a terminal that cannot write the blocks."""

LEAST_SPAN = 0.04
"""Of the middle of the scale."""


def sparkline(values: Sequence[float], columns: int, marks: str = BLOCKS) -> str:
    """Return ``values`` as at most ``columns`` characters, the lowest first of ``marks``."""
    if not values:
        return ""
    width = min(columns, len(values))
    heights = [
        statistics.median(values[column * len(values) // width : (column + 1) * len(values) // width])
        for column in range(width)
    ]
    low, high = span(heights)
    steps = len(marks)
    return "".join(marks[min(steps - 1, int((height - low) / (high - low) * steps))] for height in heights)


def span(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of a scale for positive figures."""
    low, high = min(values), max(values)
    middle = (low + high) / 2
    half = max(high - low, LEAST_SPAN * middle) / 2
    return middle - half, middle + half


def column_of(index: int, length: int, columns: int) -> int:
    """Return the column of the value number ``index`` of ``length``."""
    width = min(columns, length)
    return min(width - 1, next(column for column in range(width) if index < (column + 1) * length // width))
