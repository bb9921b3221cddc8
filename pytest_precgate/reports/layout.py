"""Formats figures, the same in every report, with enough digits to verify them by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_precgate.analysis.curves.comparison import Comparison, Row
from pytest_precgate.analysis.gating.gates import Gate, Metric
from pytest_precgate.analysis.gating.verdict import JudgedGate
from pytest_precgate.analysis.report import GateReport
from pytest_precgate.errors import OutsideSweepError

ABSENT = "-"
_FORMATS = {
    Metric.THROUGHPUT_PER_GPU: "{:.1f} tok/s/GPU",
    Metric.COST: "${:.3f}/M tokens",
    Metric.OUTPUT_THROUGHPUT_PER_GPU: "{:.1f} output tok/s/GPU",
    Metric.GOODPUT: "{:.3f} requests/s/GPU",
    Metric.JOULES_PER_TOKEN: "{:.4g} J/token",
    Metric.TOKENS_PER_SECOND_PER_MEGAWATT: "{:.0f} tok/s/MW",
}


def figure(metric: Metric, value: float | None) -> str:
    """Return a gate's value with its unit; a latency in ms."""
    if value is None:
        return ABSENT
    if metric in _FORMATS:
        return _FORMATS[metric].format(value)
    return f"{value:.3f}x" if metric.is_ratio else f"{value * 1000:.4g} ms"


def change(share: float | None) -> str:
    """Return a relative change as a signed percentage; a change that rounds to zero has no sign."""
    if share is None:
        return ABSENT
    percent = round(share * 100, 1)
    return f"{percent:+.1f}%" if percent else "0.0%"


def share(value: float | None) -> str:
    """Return a share without a sign as a percentage, ``-`` for none."""
    return ABSENT if value is None else f"{value:.2%}"


def tolerance(gate: Gate) -> str:
    """Return a tolerance as a percentage; none of a gate that is only recorded."""
    return ABSENT if gate.record_only else f"{gate.tolerance * 100:g}%"


def tolerances(gates: Sequence[Gate]) -> str:
    """Return the tolerances of gates of one quantity: one figure, or the smallest and the largest; none where they are
    only recorded."""
    if all(gate.record_only for gate in gates):
        return ABSENT
    least, widest = (f"{choose(gate.tolerance for gate in gates) * 100:g}" for choose in (min, max))
    return f"{least}%" if least == widest else f"{least} to {widest}%"


def catches(smallest: float | None, largest: float | None) -> str:
    """Return the minimum detectable drop and the upper end of its 90% interval."""
    if smallest is None or largest is None:
        return ABSENT
    return f"{smallest:.1%} (to {largest:.1%})"


def evidence(judged: JudgedGate) -> tuple[str, str]:
    """Return what the gate catches, and the launches used."""
    found = judged.evidence
    if found is None:
        return ABSENT, ABSENT
    return catches(found.minimum_detectable_drop, found.largest_detectable_drop), str(found.launches)


def columns(rows: Sequence[Sequence[str]], *, left: int = 1) -> list[str]:
    """Return the rows as aligned lines, the first ``left`` columns flush left and the others flush right."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def readable_rows(pair: Comparison, points: Sequence[float]) -> tuple[list[Row], list[str]]:
    """Return the rows of every point inside the band, and one line for each point that is not."""
    rows, outside = [], []
    for point in points:
        try:
            rows.append(pair.at(point))
        except OutsideSweepError as exc:
            outside.append(str(exc))
    return rows, outside


COUNTED = "tok/s/GPU, $/M tokens and tok/s/MW count input and output tokens"
"""What the figures of a comparison count: a note under its table."""
COMPARISON_HEAD = ("tok/s/user", "tok/s/GPU", "$/M tokens", "tok/s/MW", "concurrency", "tok/s/GPU", "$/M tokens")


def comparison_head(precisions: Sequence[str]) -> tuple[str, ...]:
    """Return the head of the published table in one line, for where lines may be long."""
    both = " / ".join(name.upper() for name in precisions)
    first, *pairs, throughput, cost = COMPARISON_HEAD
    return (first, *(f"{name} {both}" for name in pairs), f"{throughput} ratio", f"{cost} ratio")


def comparison_cells(row: Row) -> tuple[str, ...]:
    """Return one line of the published table: point, throughput, cost, power, concurrency, both ratios."""
    first, second = row.candidate, row.reference
    return (
        f"{row.interactivity:g}",
        f"{first.throughput_per_gpu:.1f} / {second.throughput_per_gpu:.1f}",
        f"{first.cost:.3f} / {second.cost:.3f}",
        f"{first.tokens_per_second_per_megawatt:.0f} / {second.tokens_per_second_per_megawatt:.0f}",
        f"~{first.concurrency} / ~{second.concurrency}",
        f"{row.throughput_ratio:.3f}x",
        f"{row.cost_ratio:.3f}x",
    )


def title(suite: str, pair: Comparison) -> str:
    """Return the title of a comparison, and whether any of it was simulated."""
    first, second = (name.upper() for name in pair.curves)
    return (
        f"{suite}: {first} against {second} on {pair.hardware.name}, {pair.candidate.sweep.workload}{simulated(pair)}"
    )


def simulated(pair: Comparison) -> str:
    """Return the mark that every report of simulated figures must carry, or an empty text."""
    names = [name.upper() for name, curve in pair.curves.items() if curve.sweep.simulated]
    return f" - SIMULATED ({' and '.join(names)}), measured on no machine" if names else ""


def terms(pair: Comparison) -> tuple[str, str]:
    """Return the conditions of a comparison: the band, and the price and power with their source."""
    low, high = pair.band
    hardware = pair.hardware
    return (
        f"shared band {low:.1f} to {high:.1f} tok/s/user; {pair.candidate.cost} cost",
        f"${hardware.price_per_gpu_hour:g} per GPU-hour, {hardware.power_kw_per_gpu:g} kW per GPU, {hardware.source}",
    )


GATE_HEAD = (
    *("gate", "tok/s/user", "value", "baseline", "change", "tolerance"),
    *("catches", "launches", "verdict"),
)


def gate_cells(judged: JudgedGate) -> tuple[str, ...]:
    """Return one line of the table of gates."""
    key = judged.gate.key
    return (
        key.quantity,
        f"{key.point:g}",
        figure(key.metric, judged.value),
        figure(key.metric, judged.baseline),
        change(judged.change),
        tolerance(judged.gate),
        *evidence(judged),
        str(judged.verdict),
    )


def against(report: GateReport) -> str:
    """Return the baseline of the gates, and the launch rule that decided."""
    return f"against {report.baseline}{report.rule and f', {report.rule}'}"


def counted(number: int, what: str) -> str:
    """Return ``1 launch``, ``2 launches``."""
    plural = f"{what}es" if what.endswith("h") else f"{what}s"
    return f"{number} {what if number == 1 else plural}"


def told_once(notes: Sequence[str]) -> list[str]:
    """Return notes, each text once: the precisions (``fp4: ...``) that share it stand before it together."""
    each: dict[str, list[str]] = {}
    for note in notes:
        name, colon, text = note.partition(": ")
        is_named = bool(colon) and name.isalnum()
        each.setdefault(text if is_named else note, []).extend([name] if is_named else [])
    return [f"{', '.join(names)}: {text}" if names else text for text, names in each.items()]


def set_aside(report: GateReport) -> Iterator[str]:
    """Yield a line when some of the launches just recorded are outliers, which centre and sigma exclude."""
    strays = [each for each in report.judged if each.evidence is not None and each.evidence.set_aside]
    if strays and report.outcome == "recorded" and strays[0].evidence is not None:
        first = strays[0].evidence
        yield (
            f"{first.set_aside} of {first.launches} launches of {strays[0].gate.key} are outliers and set aside; "
            f"{len(strays)} of {len(report.judged)} gates have such launches"
        )


def too_noisy(report: GateReport) -> Iterator[str]:
    """Yield a line when some of the gates just recorded cannot pass because of their noise."""
    noisy = [judged for judged in report.judged if judged.refusal is not None]
    if noisy and report.outcome == "recorded":
        first = noisy[0]
        yield (
            f"{len(noisy)} of {len(report.judged)} gates will be INCONCLUSIVE for any launch: "
            f"{first.gate.key}: {first.refusal}; or make the machine quieter, or record more launches "
            "(baseline_launches)"
        )


def counts(report: GateReport) -> str:
    """Return the number of gates per verdict, as ``18 gates: 14 PASS, 4 REGRESSED``."""
    verdicts = [str(judged.verdict) for judged in report.judged]
    return f"{len(verdicts)} gates: " + ", ".join(f"{verdicts.count(word)} {word}" for word in dict.fromkeys(verdicts))
