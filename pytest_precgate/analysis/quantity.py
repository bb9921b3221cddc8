"""Checks that a number is finite and above zero, or refuses it with its name and unit."""

from __future__ import annotations

import math
from numbers import Integral, Real

from pytest_precgate.errors import InvalidValueError


def positive(owner: str, name: str, value: object, unit: str) -> float:
    """Return ``value`` as a float; raise InvalidValueError unless it is finite and above zero."""
    if type(value) is float and 0 < value < math.inf:  # the usual case, fast
        return value
    number = math.nan
    if not isinstance(value, bool) and isinstance(value, Real):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
    if not (math.isfinite(number) and number > 0):
        raise InvalidValueError(f"{owner}.{name}: got {value!r}, wanted a finite number above 0 ({unit})")
    return number


def count(owner: str, name: str, value: object, unit: str) -> int:
    """Return ``value`` as an int; raise InvalidValueError unless it is a whole number of at least 1."""
    if type(value) is int and value >= 1:
        return value
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise InvalidValueError(f"{owner}.{name}: got {value!r}, wanted a whole number of at least 1 ({unit})")
    return int(value)


def share(owner: str, name: str, value: object) -> float:
    """Return ``value`` as a float; raise InvalidValueError unless it is a number from 0 to below 1."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) < 1:
        raise InvalidValueError(f"{owner}.{name}: got {value!r}, wanted a share from 0 to below 1")
    return float(value)


def one_line(owner: str, field: str, value: object) -> str:
    """Return ``value``; raise InvalidValueError unless it is a non-empty text on one line."""
    if not isinstance(value, str) or not value.strip() or "\n" in value:
        raise InvalidValueError(f"{owner}.{field}: got {value!r}, wanted a non-empty text on one line")
    return value
