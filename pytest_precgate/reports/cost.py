"""The cost of a run, in words. Virtual seconds are marked SIMULATED; an unknown cost is never shown as zero."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_precgate.analysis.cost import KindCost, SuiteCost, dollars
from pytest_precgate.analysis.curves.economics import Hardware
from pytest_precgate.reports.layout import counted

UNKNOWN = "not known"


def lines(cost: SuiteCost) -> Iterator[str]:
    """Yield the cost of one suite, a line per kind of engine, then the earlier cost of the launches it reused."""
    hardware = cost.hardware
    yield from (f"cost of this run: {_sentence(costs, hardware)}" for costs in cost.costs)
    if not cost.costs:
        reused = "everything was reused" if cost.reused else "its points take no GPU"
        yield f"cost of this run: nothing, {'judged again' if cost.replayed else reused}"
    elif cost.is_without_gpu:
        yield "its other points take no GPU and cost this run nothing"
    had = "the judged run had cost" if cost.replayed else "reused, paid for by an earlier run"
    yield from (f"{had}: {_sentence(costs, hardware)}" for costs in cost.reused)


def of_verdicts(cost: SuiteCost) -> Iterator[str]:
    """Yield what the verdicts of a suite took, and what every launch that their rule allows takes."""
    found = cost.verdict
    if found is None:
        return
    unit = "virtual GPU-minutes, SIMULATED" if found.simulated else "GPU-minutes"

    def said(launches: int, gpu_s: float) -> str:
        return f"{counted(launches, 'launch')}, {gpu_minutes(gpu_s)} {unit}, {money(gpu_s, cost.hardware)}"

    taken, full = said(found.launches, found.gpu_s), said(found.full_launches, found.full_gpu_s)
    left_out = "" if found.is_whole else "; starts that are not known are not counted"
    yield f"the verdicts took {taken}; the full rule ({found.rule}) takes {full}{left_out}"


def brief(cost: SuiteCost) -> Iterator[str]:
    """Yield the cost of one suite without its parts and its price; nothing where it cost nothing."""
    yield from (f"cost of this run: {_sentence(costs, cost.hardware, in_full=False)}" for costs in cost.costs)
    had = "the judged run had cost" if cost.replayed else "reused, paid for by an earlier run"
    yield from (f"{had}: {_sentence(costs, cost.hardware, in_full=False)}" for costs in cost.reused)


def gpu_minutes(gpu_s: float | None) -> str:
    """Return GPU-seconds as GPU-minutes with one digit; below a tenth two more."""
    if gpu_s is None:
        return UNKNOWN
    minutes = gpu_s / 60
    return f"{minutes:.1f}" if minutes >= 0.1 or not minutes else f"{minutes:.3f}"


def money(gpu_s: float | None, hardware: Hardware) -> str:
    """Return the dollars of GPU-seconds."""
    return UNKNOWN if gpu_s is None else amount(dollars(gpu_s, hardware))


def amount(of_dollars: float) -> str:
    """Return dollars in whole cents; below a cent four digits."""
    return f"${of_dollars:.2f}" if of_dollars >= 0.01 or not of_dollars else f"${of_dollars:.4f}"


def _sentence(costs: KindCost, hardware: Hardware, *, in_full: bool = True) -> str:
    launches = [] if costs.kind == "endpoint" else [counted(costs.launches, "launch")]
    time = f"{_time(costs)}{_parts(costs) * in_full}"
    parts = [*launches, f"{counted(costs.points, 'point')}{_where(costs)}", time]
    price = f"{money(costs.gpu_s, hardware)}{f' at ${hardware.price_per_gpu_hour:g} per GPU-hour' * in_full}"
    return ", ".join(parts) + f", {price}{_left_out(costs)}"


def _where(costs: KindCost) -> str:
    return " on a server it did not start" if costs.kind == "endpoint" else ""


def _time(costs: KindCost) -> str:
    unit = "virtual GPU-minutes, SIMULATED" if costs.kind == "simulated" else "GPU-minutes"
    held = " held" if costs.kind == "started" and costs.held_gpu_s is not None else ""
    return f"{gpu_minutes(costs.gpu_s)} {unit}{held}"


def _parts(costs: KindCost) -> str:
    named = [("starting", costs.starting_gpu_s), ("measuring", costs.measuring_gpu_s), ("idle", costs.idle_gpu_s)]
    if costs.kind == "endpoint":
        named = [("measuring", costs.measuring_gpu_s), ("failed or waiting", costs.idle_gpu_s)]
    return " (" + ", ".join(f"{gpu_minutes(part)} {name}" for name, part in named if part is not None) + ")"


def _left_out(costs: KindCost) -> str:
    """Return the parts of the cost that are unknown."""
    if costs.kind == "endpoint":
        return "; its start and its idle time are unknown to this run"
    if costs.starting_gpu_s is None:
        return "; starts not counted: " + ("no start_s is set" if costs.kind == "simulated" else "not known")
    return ""
