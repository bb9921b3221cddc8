"""A run's picture as one SVG: for each comparison its verdict in words, its curves, and the changes of its gates.

Input: the report of a run, and what stands behind it. Output: one SVG document that needs no script, no font file and
no network. Invariants: the picture has its own light background, so it reads alike on every page; text from outside is
escaped; the title says what the picture shows for who does not see it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_precgate.analysis.curves.comparison import Comparison
from pytest_precgate.analysis.gating.verdict import JudgedGate
from pytest_precgate.analysis.report import GateReport, RunReport, SuiteBackground
from pytest_precgate.errors import SweepMismatchError
from pytest_precgate.reports import failure, layout, terminal
from pytest_precgate.reports.html.markup import Markup, element
from pytest_precgate.reports.svg import changes, curves
from pytest_precgate.reports.svg.parts import EDGE, MUTED, RULE, TEXT, WIDTH, colour_of, text

_COLUMNS, _COLUMNS_OF_TITLE, _HEADLINE, _MOST_LINES = 108, 84, 18, 6
_STYLE = (
    "svg{font-family:-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,'DejaVu Sans',sans-serif;font-size:13px}"
    ".on{paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round}"
)


@dataclass(frozen=True)
class _Block:
    """What the picture shows of one pair of precisions of one suite."""

    suite: str
    pair: Comparison
    targets: tuple[float, ...]
    checks: tuple[GateReport, ...]

    @property
    def judged(self) -> list[JudgedGate]:
        return [gate for check in self.checks for gate in check.judged]

    @property
    def headline(self) -> list[tuple[str, str]]:
        """What happened in words, each line with its colour: the first lines of the terminal."""
        told: list[tuple[str, str]] = []
        for check in self.checks:
            if check.outcome == "failed":
                told += [(line.text, line.colour) for line in failure.headline(check, _COLUMNS)]
            else:
                told.append((terminal.outcome(check), "green" if check.passed else "yellow"))
        told = told or [("compared without a check: nothing is gated here", "yellow")]
        wrapped = [(part, colour) for line, colour in told for part in textwrap.wrap(line, _COLUMNS) or [""]]
        return wrapped if len(wrapped) <= _MOST_LINES else [*wrapped[: _MOST_LINES - 1], ("...", "")]

    @property
    def title(self) -> list[str]:
        return textwrap.wrap(layout.title(self.suite, self.pair), _COLUMNS_OF_TITLE)

    @property
    def height(self) -> int:
        return (
            16
            + _HEADLINE * (len(self.title) + len(self.headline))
            + 12
            + curves.HEIGHT
            + 12
            + changes.height(self.judged)
            + 12
        )


def render(run: RunReport, backgrounds: Sequence[SuiteBackground]) -> str:
    """Return the picture of a run as one document that ends in a newline."""
    behind = {each.suite: each for each in backgrounds}
    parts: list[Markup] = []
    top = 12
    blocks = list(_blocks(run))
    for number, block in enumerate(blocks):
        drawn = _block(block, behind.get(block.suite, SuiteBackground(block.suite, {})), number)
        parts.append(element("g", *drawn, transform=f"translate(0 {top})"))
        top += block.height
    if not blocks:
        parts.append(text(EDGE, top + 18, "precgate: nothing was compared in this run", fill=colour_of("yellow")))
        top += 36
    return _document(parts, [line for block in blocks for line in _described(block)], top)


def _document(parts: Sequence[Markup], described: Sequence[str], height: int) -> str:
    size = {"width": WIDTH, "height": height, "viewBox": f"0 0 {WIDTH} {height}"}
    card = {"width": WIDTH - 1, "height": height - 1, "rx": 8, "fill": "#fff", "stroke": RULE}
    whole = element(
        "svg",
        element("title", "; ".join(described) or "precgate: nothing was compared in this run", id="what"),
        element("style", Markup(_STYLE)),
        element("rect", x="0.5", y="0.5", **card),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        role="img",
        aria_labelledby="what",
        **size,
    )
    return f"{whole}\n"


def _blocks(run: RunReport) -> Iterator[_Block]:
    found: dict[tuple[str, tuple[str, ...]], _Block] = {}
    for check in run.checks:
        key = check.suite, tuple(check.comparison.curves)
        known = found.get(key, _Block(check.suite, check.comparison, (), ()))
        targets = tuple(sorted({*known.targets, *check.points}))
        found[key] = _Block(check.suite, known.pair, targets, (*known.checks, check))
    for made in run.compared:
        found.setdefault(
            (made.suite, tuple(made.comparison.curves)),
            _Block(made.suite, made.comparison, made.points or _quartiles(made.comparison), ()),
        )
    yield from found.values()


def _quartiles(pair: Comparison) -> tuple[float, ...]:
    try:
        return tuple(float(point) for point in pair.quartile_points())
    except SweepMismatchError:  # a band too narrow for them
        return ()


def _described(block: _Block) -> Iterator[str]:
    yield layout.title(block.suite, block.pair)
    yield from (line for line, _ in block.headline)


def _block(block: _Block, behind: SuiteBackground, number: int) -> Iterator[Markup]:
    y = 24.0 - _HEADLINE
    for words in block.title:
        y += _HEADLINE
        yield text(EDGE, y, words, font_weight=700, fill=TEXT)
    for line, colour in block.headline:
        y += _HEADLINE
        weight = 600 if colour else 400
        yield text(EDGE, y, line.strip(), fill=colour_of(colour) if colour else MUTED, font_weight=weight)
    y += 22
    plot = curves.plot_of(block.pair, block.targets, block.judged, behind, str(number))
    yield element("g", curves.draw(plot), transform=f"translate(0 {y:g})")
    y += curves.HEIGHT + 12
    yield element("g", *changes.draw(block.judged), transform=f"translate(0 {y:g})")
