"""Speculative decoding in the settings of a server: whether it is on, and how the engine is made to force the
acceptance length of the suite. One module per engine; this one holds what they share. Pure.

Input: options, command lines and variables of the settings. Output: options and variables of the start, or a
PreflightError that names the key, the engine and the remedy. Invariant: no server that is known to speculate is started
without a forced acceptance length, because random tokens give an acceptance that no real text has."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NoReturn

from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.errors import PreflightError

Refuse = Callable[[str], NoReturn]
"""Raises PreflightError with its argument, after the model and the key of the settings."""


def refusing(model: str, place: str) -> Refuse:
    """Return the function that refuses the key ``place`` of the settings of ``model``."""

    def refuse(why: str) -> NoReturn:
        raise PreflightError(f"{model}: {place}: {why}")

    return refuse


def refuse_unforced(refuse: Refuse, engine: str) -> NoReturn:
    """Refuse speculative decoding without an ``acceptance_length``."""
    refuse(
        f"{engine} would decode speculatively, and random tokens give an acceptance that no real text has. Set "
        "acceptance_length, for instance to a published golden length of the model and draft length, and the engine is "
        "made to force it; or leave speculative decoding out"
    )


def refuse_idle(model: str, length: float, engine: str, key: str) -> NoReturn:
    """Refuse an ``acceptance_length`` for a server without speculative decoding."""
    refusing(model, "acceptance_length")(
        f"got {decimal_text(length)}, and {engine} is started without speculative decoding; set {key} in options, or "
        "leave acceptance_length out"
    )


def refuse_out_of_range(refuse: Refuse, length: float, draft_tokens: object) -> None:
    """Refuse a length that drafts of ``draft_tokens`` cannot have: a step gives at most one token more.

    A number of draft tokens that is not a whole number of at least 1 is not checked here; the engine refuses it."""
    if not isinstance(draft_tokens, int) or isinstance(draft_tokens, bool) or draft_tokens < 1:
        return
    if length > draft_tokens + 1:
        refuse(
            f"a draft has {draft_tokens} tokens, so a step gives 1 to {draft_tokens + 1}, and acceptance_length is "
            f"{decimal_text(length)}; lower it, or draft more"
        )


def acceptance_facts(length: float | None) -> Fingerprint:
    """Return the acceptance length as a fact that must agree with the baseline's; nothing without one."""
    return Fingerprint({} if length is None else {"acceptance_length": length})


def is_length(value: object, length: float) -> bool:
    """Whether a value of the settings, a number or its text, is ``length``."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return False
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return False
    return math.isclose(number, length, rel_tol=0, abs_tol=1e-9)


def are_rates_of(rates: object, length: float) -> bool:
    """Whether acceptance rates by position, each that of all positions up to it, have ``length`` as their mean."""
    if not isinstance(rates, (list, tuple)) or not all(isinstance(rate, (int, float)) for rate in rates):
        return False
    try:
        return is_length(1 + math.fsum(rates), length)
    except (OverflowError, ValueError):  # numbers out of range, infinities of both signs
        return False


def decimal_text(number: float | Decimal) -> str:
    """Return a number as its shortest decimal text: 3.24, and 3 for 3.0."""
    text = format(Decimal(repr(number)) if isinstance(number, float) else Decimal(number), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def members(value: object) -> Mapping[str, Any] | None:
    """Return ``value`` where it is a table, None otherwise."""
    return value if isinstance(value, Mapping) else None
