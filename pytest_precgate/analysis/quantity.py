"""A quantity is a finite number above zero, or it is refused by name, with its unit."""

from __future__ import annotations

import math

from pytest_precgate.errors import InvalidValueError


def positive(owner: str, name: str, value: object, unit: str) -> float:
    """Return ``value`` as a float; raise InvalidValueError unless it is finite and above zero."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        raise InvalidValueError(f"{owner}.{name}: got {value!r}, wanted a finite number above 0 ({unit})")
    return float(value)


def count(owner: str, name: str, value: object, unit: str) -> int:
    """Return ``value`` as an int; raise InvalidValueError unless it is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidValueError(f"{owner}.{name}: got {value!r}, wanted a whole number of at least 1 ({unit})")
    return value


def one_line(owner: str, field: str, value: object) -> str:
    """Return ``value``; raise InvalidValueError unless it is a non-empty text on one line."""
    if not isinstance(value, str) or not value.strip() or "\n" in value:
        raise InvalidValueError(f"{owner}.{field}: got {value!r}, wanted a non-empty text on one line")
    return value
