"""A gate's launches on one line: the gain of every launch over the baseline, with tolerance and noise floor.

Input: shares, better is positive. Output: a small SVG with its text for a screen reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_precgate.reports.html.markup import Markup, element

_WIDTH, _HEIGHT, _EDGE = 150, 22, 6
_LEAST_HALF_WIDTH = 0.01
_MOST_TICKS = 30


def strip(values: Mapping[str, Any] | None, passes: bool) -> Markup:
    """Return the strip of a gate, "-" where there is no baseline."""
    if values is None:
        return element("td", "-")
    old, run, before = values["baseline"][:_MOST_TICKS], values["run"][:_MOST_TICKS], values["old_state"][:_MOST_TICKS]
    limits = [values["tolerance"] or 0.0, values["noise_floor"] or 0.0]
    reach = 1.15 * max([_LEAST_HALF_WIDTH, *limits, *(abs(value) for value in (*old, *run, *before))])

    def x(share: float) -> str:
        return f"{_EDGE + (_WIDTH - 2 * _EDGE) * (share + reach) / (2 * reach):.1f}"

    middle = _HEIGHT // 2
    parts = [element("path", d=f"M{_EDGE},{middle}H{_WIDTH - _EDGE}", class_="axis")]
    parts.append(element("path", d=f"M{x(0)},3V{_HEIGHT - 3}", class_="axis"))
    for share, kind in zip(limits, ("tolerance", "floor"), strict=True):
        if share:
            parts.append(element("path", d=f"M{x(-share)},2V{_HEIGHT - 2}", class_=kind))
    parts += [element("path", d=f"M{x(value)},{middle - 4}v8", class_="old") for value in old]
    parts += [
        element("rect", x=f"{float(x(value)) - 3:.1f}", y=middle - 3, width=6, height=6, class_="before")
        for value in before
    ]
    parts += [element("circle", cx=x(value), cy=middle, r=4, class_="good" if passes else "bad") for value in run]
    size = {"width": _WIDTH, "height": _HEIGHT, "viewBox": f"0 0 {_WIDTH} {_HEIGHT}"}
    label = _said(old, run, before, values["tolerance"])
    return element("td", element("svg", *parts, role="img", aria_label=label, class_="strip", **size))


def _said(old: Sequence[float], run: Sequence[float], before: Sequence[float], tolerance: float | None) -> str:
    words = [f"this run {_listed(run)}" if run else "no launch of this run"]
    words += [f"baseline launches {min(old):+.1%} to {max(old):+.1%}"] if old else []
    words += [f"old state launched again {_listed(before)}"] if before else []
    return "; ".join([*words, "only recorded" if tolerance is None else f"tolerance {tolerance * 100:g}%"])


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:+.1%}" for value in values)
