"""What the picture is made of: axes, colours, marks, texts.

Input: numbers in the units of a figure, and pixels. Output: SVG elements as ``Markup``. Invariant: a colour never says
alone what a mark means; a sign or a word says it as well."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_precgate.analysis.gating.verdict import Verdict
from pytest_precgate.reports.html.markup import Markup, element

WIDTH = 820
EDGE = 24
"""Between the content and the picture's border."""
_COLOURS = {"red": "#c1121f", "yellow": "#8a5a00", "green": "#1a7f37"}
PRECISION_COLOURS = ("#0b5cad", "#b8500b")
"""Of candidate and reference: blue and orange, which differ for every kind of colour vision."""
TEXT, MUTED, RULE = "#1c2128", "#59636e", "#d8dee4"
_MANTISSAS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Axis:
    """A linear axis: ``low`` lies at pixel ``start``, ``high`` at ``end``."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the pixel of a value; those outside the axis lie outside its pixels."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, most: int) -> list[float]:
        """Return at most ``most`` round values on the axis."""
        least_step = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(least_step))
        step = next(mantissa * power for mantissa in _MANTISSAS if mantissa * power >= least_step)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)][:most]


def pixel(value: float) -> str:
    """Return a coordinate with two digits after the point, none where they are zero."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def colour_of(colour: str) -> str:
    """Return the colour of a terminal's colour name; that of text for others."""
    return _COLOURS.get(colour, TEXT)


def text(x: float, y: float, words: str, **attributes: object) -> Markup:
    """Return a text whose baseline lies at ``y``."""
    return element("text", words, x=pixel(x), y=pixel(y), **attributes)


def line(x1: float, y1: float, x2: float, y2: float, **attributes: object) -> Markup:
    """Return a straight line."""
    return element("path", d=f"M{pixel(x1)},{pixel(y1)}L{pixel(x2)},{pixel(y2)}", **attributes)


def sign(x: float, y: float, verdict: Verdict, colour: str) -> Markup:
    """Return a disc with a tick (passes), a cross (the engine's change) or a question mark (no answer)."""
    if verdict.passes:
        drawn = f"M{pixel(x - 3.4)},{pixel(y + 0.2)}l2.4,2.6l4.4,-5.2"
    elif verdict in (Verdict.REGRESSED, Verdict.DRIFTED, Verdict.IMPLAUSIBLE):
        drawn = f"M{pixel(x - 2.8)},{pixel(y - 2.8)}l5.6,5.6m0,-5.6l-5.6,5.6"
    else:
        drawn = f"M{pixel(x - 2.2)},{pixel(y - 1.6)}c0,-3.2 4.6,-3.2 4.6,-0.2c0,1.6 -2.3,1.5 -2.3,3.2m0,2v0.4"
    return element(
        "g",
        element("circle", cx=pixel(x), cy=pixel(y), r=7, fill=colour),
        element("path", d=drawn, fill="none", stroke="#fff", stroke_width="1.7", stroke_linecap="round"),
    )
