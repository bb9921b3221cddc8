"""Draws the figures of docs/concepts.md, each from what the package itself computes.

    python tools/figures.py            # write docs/images/*.svg; a test compares

Input: the recorded points of examples/points, the simulated engine, the functions of the gates. Output: SVG text.
Invariant: coordinates are rounded, so every machine writes the same files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_precgate.analysis.curves.comparison import compare
from pytest_precgate.analysis.curves.search import SweepTargets
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.gating.power import Design, failing_share, noise_line
from pytest_precgate.analysis.measure.point import MeasuredPoint
from pytest_precgate.documents import Node
from pytest_precgate.engines.simulated import SimulatedEngine
from pytest_precgate.errors import SettingsError
from pytest_precgate.interop.files import read_rows
from pytest_precgate.interop.sweeps import sweep_of

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
POINTS = ROOT / "examples" / "points" / "kimi_k2_b200_1k1k.csv"
WORKLOAD = Workload(isl=1024, osl=1024, range_ratio=0.8)
TARGETS = (55, 73, 91)
TOLERANCE = 0.025
FP4, INT4, GREY, RED = "#1d6fb8", "#b8611d", "#6b7280", "#b91c1c"
LEFT, TOP, WIDE, HIGH = 64, 30, 600, 270


@dataclass(frozen=True)
class Axes:
    """Linear axes of a figure, from their ranges to its pixels."""

    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the pixel of a value."""
        right = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return round(LEFT + right * WIDE, 1), round(TOP + (1 - up) * HIGH, 1)

    def drawn(
        self, labels: tuple[str, str], ticks: tuple[Sequence[float], Sequence[float]], unit: str = ""
    ) -> Iterator[str]:
        """Yield grid, ticks and labels."""
        for value in ticks[0]:
            x, y = self.at(value, self.y[0])
            yield text(x, y + 18, f"{value:g}{unit}", "middle")
            yield line((x, y), (x, y + 4), GREY)
        for value in ticks[1]:
            x, y = self.at(self.x[0], value)
            yield text(x - 8, y + 4, f"{value:g}{unit}", "end")
            yield line((x, y), (x + WIDE, y), "#e5e7eb")
        yield text(LEFT + WIDE / 2, TOP + HIGH + 40, labels[0], "middle")
        yield text(LEFT - 50, TOP - 14, labels[1], "start")


def text(x: float, y: float, words: str, anchor: str = "start", colour: str = "#1f2937") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{colour}">{words}</text>'


def line(start: tuple[float, float], end: tuple[float, float], colour: str, dash: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="M{start[0]:g} {start[1]:g}L{end[0]:g} {end[1]:g}" stroke="{colour}"{dashed}/>'


def curve(points: Sequence[tuple[float, float]], colour: str) -> str:
    path = "L".join(f"{x:g} {y:g}" for x, y in points)
    return f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>'


def dot(place: tuple[float, float], colour: str, radius: float = 4) -> str:
    return f'<circle cx="{place[0]:g}" cy="{place[1]:g}" r="{radius:g}" fill="{colour}"/>'


def figure(title: str, parts: Iterator[str], high: int = TOP + HIGH + 52) -> str:
    """Return the whole file; light in dark pages too."""
    wide = LEFT + WIDE + 30
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" role="img" font-family="sans-serif" '
        f'font-size="13"><title>{title}</title>\n<rect width="{wide}" height="{high}" rx="6" fill="#fff"/>\n'
        f"{body}\n</svg>\n"
    )


def interactivity() -> str:
    """Both recorded curves, read at the targets."""
    rows = read_rows(POINTS)
    pair = compare(*(sweep_of(rows, name, WORKLOAD, "b200") for name in ("fp4", "int4")))
    axes = Axes((30, 130), (0, 1700))

    def parts() -> Iterator[str]:
        labels = "interactivity: what one user gets, tok/s/user", "throughput per GPU, tok/s/GPU"
        yield from axes.drawn(labels, (range(40, 131, 20), range(0, 1601, 400)))
        for each, name, colour in ((pair.candidate, "FP4", FP4), (pair.reference, "INT4", INT4)):
            low, high = max(each.span[0], 30), min(each.span[1], 130)
            steps = [low + (high - low) * step / 120 for step in range(121)]
            shown = [(x, each.throughput(x)) for x in steps if each.throughput(x) <= axes.y[1]]
            yield curve([axes.at(*place) for place in shown], colour)
            for point in each.frontier:
                if low <= point.interactivity <= high and point.throughput_per_gpu <= axes.y[1]:
                    yield dot(axes.at(point.interactivity, point.throughput_per_gpu), colour)
            x, y = axes.at(*shown[0])
            yield text(x + 14, y - 4, name, "start", colour)
        for target in TARGETS:
            row = pair.at(target)
            top, low_end = (axes.at(target, each.throughput_per_gpu) for each in (row.candidate, row.reference))
            yield line(top, low_end, GREY, "4 3")
            yield text(top[0] + 7, (top[1] + low_end[1]) / 2, f"{row.throughput_ratio:.2f}x", "start", GREY)

    return figure("Throughput per GPU against interactivity, Kimi K2.5 on B200, FP4 above INT4", parts())


def launch() -> str:
    """One launch on the simulated engine: its start, then the concurrencies that the search measures."""
    table = {"engine": "simulated", "calibration": "kimi-k2.5-b200-fp4-tp4", "start_s": 900}
    engine = SimulatedEngine.read(Node(table, "figure", "", SettingsError), ROOT)
    measured: list[MeasuredPoint] = []
    engine.sweep("fp4", WORKLOAD, "b200", on_measured=measured.append, sweep_targets=SweepTargets(TARGETS))
    lengths = [point.gpu_seconds / point.measurement.gpus for point in measured]
    begin = 900.0
    whole = begin + sum(lengths)
    most = max(point.measurement.concurrency for point in measured)
    axes = Axes((0, whole / 60), (0, most * 1.25))

    def parts() -> Iterator[str]:
        labels = "minutes since the start", "concurrency: requests in flight"
        yield from axes.drawn(labels, (range(0, int(whole / 60) + 1, 5), range(0, int(most * 1.25) + 1, 20)))
        base = axes.at(0, 0)[1]
        x, y = axes.at(0, most * 0.12)
        end = axes.at(15, 0)[0]
        yield f'<rect x="{x:g}" y="{y:g}" width="{end - x:g}" height="{base - y:g}" fill="#d1d5db"/>'
        yield text((x + end) / 2, y - 8, "start: load the model", "middle", GREY)
        since = begin
        for point, length in zip(measured, lengths, strict=True):
            concurrency = point.measurement.concurrency
            x, y = axes.at(since / 60, concurrency)
            end = axes.at((since + length) / 60, 0)[0]
            yield (
                f'<rect x="{x:g}" y="{y:g}" width="{round(end - x, 1):g}" height="{round(base - y, 1):g}" fill="{FP4}" '
                'stroke="#fff"/>'
            )
            yield text((x + end) / 2, y - 6, str(concurrency), "middle", FP4)
            since += length

    return figure("One launch: a start, then points at the concurrencies around the targets", parts())


def gate() -> str:
    """One gate: launches of the baseline, its tolerance, and fresh launches of three states."""
    sigma = 0.008

    def value(seed: int, number: int, slowdown: float) -> float:
        table = {"engine": "simulated", "calibration": "kimi-k2.5-b200-fp4-tp4", "slowdown": slowdown, "seed": seed}
        table["noise"] = {"launch_sigma": sigma / 2}
        engine = SimulatedEngine.read(Node(table, "figure", "", SettingsError), ROOT)
        sweep = engine.sweep("fp4", WORKLOAD, "b200", sweep_targets=SweepTargets((55,)), launch=number)
        reference = sweep_of(read_rows(POINTS), "int4", WORKLOAD, "b200")
        return compare(sweep, reference).candidate.throughput(55)

    states = (("baseline", 0, 5, 0.0, GREY), ("unchanged", 2, 1, 0.0, "#15803d"), ("steps 5% longer", 1, 2, 0.05, RED))
    values = {
        name: [value(seed, number + 1, slow) for number in range(launches)] for name, seed, launches, slow, _ in states
    }
    centre = sorted(values["baseline"])[2]
    axes = Axes((0, 100), (centre * 0.86, centre * 1.04))

    def parts() -> Iterator[str]:
        ticks = range(900, 1051, 50)
        yield from axes.drawn(("launches", "FP4 throughput per GPU at 55 tok/s/user"), ((), ticks))
        top, low = axes.at(0, centre), axes.at(100, centre * (1 - TOLERANCE))
        yield (
            f'<rect x="{top[0]:g}" y="{top[1]:g}" width="{WIDE}" height="{low[1] - top[1]:.1f}" fill="#15803d" '
            'opacity=".12"/>'
        )
        yield line(top, (top[0] + WIDE, top[1]), GREY, "6 4")
        yield text(LEFT + WIDE - 6, top[1] - 6, "baseline", "end", GREY)
        yield text(LEFT + WIDE - 6, low[1] - 5, "tolerance 2.5%", "end", "#15803d")
        place = 8.0
        for name, _, _, _, colour in states:
            first = place
            for each in values[name]:
                yield dot(axes.at(place, each), colour, 5)
                place += 6
            yield text(
                axes.at((first + place - 6) / 2, 0)[0], axes.at(0, min(values[name]))[1] + 22, name, "middle", colour
            )
            place += 14
        loss = 1 - max(values["steps 5% longer"]) / centre
        yield text(LEFT + 8, TOP + HIGH - 8, f"the best of the red launches lost {loss:.1%}: REGRESSED", "start", RED)

    return figure("A gate: launches of the baseline, its tolerance, a launch inside it and two beyond it", parts())


def noise() -> str:
    """The chance that a true drop fails the gate, at three scatters of launches."""
    design = Design(launches=3, good=1, baseline=5, gates=6)
    axes = Axes((0, 12), (0, 100))

    def parts() -> Iterator[str]:
        labels = "true drop of a gate", "runs that fail"
        yield from axes.drawn(labels, (range(0, 13, 2), range(0, 101, 20)), "%")
        for sigma, colour in ((0.005, "#15803d"), (0.01, FP4), (0.02, RED)):
            limit = max(TOLERANCE / sigma, noise_line(design))
            shares = [(drop / 10, 100 * failing_share(design, limit, drop / 1000 / sigma)) for drop in range(121)]
            yield curve([axes.at(*place) for place in shares], colour)
            drop = next(x for x, share in shares if share >= 80)
            yield dot(axes.at(drop, 80), colour)
            place = axes.at(7.4, {0.005: 52, 0.01: 44, 0.02: 36}[sigma])
            yield text(*place, f"sigma {sigma:.1%}: a drop of {drop:g}% fails in 80%", "start", colour)
        start, end = axes.at(0, 80), axes.at(12, 80)
        yield line(start, end, GREY, "6 4")
        x = axes.at(100 * TOLERANCE, 0)[0]
        yield line((x, TOP), (x, TOP + HIGH), GREY, "2 3")
        yield text(x - 5, TOP + 150, "tolerance", "end", GREY)

    return figure("How likely a true drop fails the gate, by the scatter of launches (sigma)", parts())


FIGURES: dict[str, Callable[[], str]] = {
    "interactivity.svg": interactivity,
    "launch.svg": launch,
    "gate.svg": gate,
    "noise.svg": noise,
}


if __name__ == "__main__":
    for name, draw in FIGURES.items():
        (IMAGES / name).write_text(draw(), encoding="utf-8")
        print(IMAGES / name)
