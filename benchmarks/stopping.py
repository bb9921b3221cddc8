"""How true a point is that decides itself when it ends: the stopping rule beside the one it replaced.

python benchmarks/stopping.py                  the table of docs/schedule.md: 200 points a cell, about 20 minutes
python benchmarks/stopping.py --points 40      a quick look
python benchmarks/stopping.py --point-error 0.02 --server h200-7b

Virtual time only: no figure depends on this machine. Two servers: one of the size of a 7B model on one H200 (decode
step near 4 ms, requests of half a second to a second), and the shipped Kimi K2.5 FP4 calibration (6 to 21 s). The
worlds: quiet; a pace that wanders by 5% (standard deviation of its logarithm, an Ornstein-Uhlenbeck process in the
server's time) and forgets itself within 1, 5 or 20 s; and, on the H200, host work of 15 ms before each prefill step
that wanders by 30% within 5 s and scatters by as much. The last was fitted by hand to 25 points of a real H200 with
vLLM 0.26 (issue 10 of this repository): gaps between tokens with p99 of 24 to 38 ms beside a median near 4 ms, and
points of 18 s at concurrency 32 whose ten tenths gave standard errors of 2% to 3%.

Truth is the same closed loop run for very long, twice, the second time with every random number mirrored: what moves
a figure up in one moves it down in the other, and the mean of both logarithms is left. The points of a cell are such
pairs too, so their mean shows a bias far below their scatter. Coverage is the share of points whose 90% interval holds
the truth; for the old rule, which told a standard error, 1.645 of them to either side."""

from __future__ import annotations

import argparse
import itertools
import math
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields

from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.lengths import closed_loop_lengths
from pytest_precgate.analysis.measure.measurement import Measurement
from pytest_precgate.analysis.measure.metrics import measure
from pytest_precgate.analysis.measure.records import PointRun, RequestRecord
from pytest_precgate.analysis.measure.stopping import DEFAULT_LIMIT_S, IsEnough, known_to
from pytest_precgate.analysis.measure.window import end_of_ramp, served_within
from pytest_precgate.engines.simulated.calibration import shipped
from pytest_precgate.engines.simulated.model import Limits, StepTime
from pytest_precgate.engines.simulated.scheduler import simulate

NORMAL_90 = statistics.NormalDist().inv_cdf(0.95)


@dataclass(frozen=True)
class World:
    """What disturbs a server: its pace, and the host work before a prefill step. Sigmas are of logarithms."""

    name: str
    pace_sigma: float = 0.0
    pace_tau_s: float = 1.0
    host_s: float = 0.0
    host_sigma: float = 0.0
    host_tau_s: float = 1.0
    host_scatter: float = 0.0


@dataclass(frozen=True)
class Served:
    """A server and what is asked of it."""

    name: str
    model: StepTime
    workload: Workload
    concurrencies: tuple[int, ...]
    worlds: tuple[World, ...]


QUIET = World("quiet")
WANDERS = tuple(World(f"wanders by 5% within {tau} s", pace_sigma=0.05, pace_tau_s=tau) for tau in (1, 5, 20))
HOST = World("host-bound prefill", host_s=0.015, host_sigma=0.3, host_tau_s=5.0, host_scatter=0.3)
KIMI = shipped()["kimi-k2.5-b200-fp4-tp4"]
SERVERS = (
    Served(
        "h200-7b",
        StepTime(constant_s=3.4e-3, experts_s=0.0, context_s=2e-8, prefill_s=1e-5, overhead_s=4e-3),
        Workload(256, 128, 0.8),
        (2, 8, 32),
        (QUIET, *WANDERS, HOST),
    ),
    Served("kimi-k2.5", KIMI.step_time, KIMI.workload, (2, 16, 64), (QUIET, *WANDERS)),
)


@dataclass
class Wander:
    """An Ornstein-Uhlenbeck process: its values are normal with ``sigma``, and correlated over ``tau_s``."""

    sigma: float
    tau_s: float
    value: float

    def after(self, seconds: float, normal: float) -> None:
        """Let ``seconds`` pass; exact for any step."""
        kept = math.exp(-seconds / self.tau_s)
        self.value = kept * self.value + math.sqrt(1 - kept * kept) * self.sigma * normal


@dataclass(frozen=True)
class Disturbed(StepTime):
    """The step times of a server in a ``world``. ``sign`` mirrors every random number."""

    world: World = QUIET
    rng: random.Random = field(default_factory=random.Random)
    sign: int = 1
    wanders: tuple[Wander, ...] = ()

    def __post_init__(self) -> None:
        """The model it is made of was checked when it was made."""

    @staticmethod
    def of(model: StepTime, world: World, seed: str, sign: int) -> Disturbed:
        """Return ``model`` in ``world``, each wander begun somewhere in its distribution."""
        rng = random.Random(seed)
        kinds = ((world.pace_sigma, world.pace_tau_s), (world.host_sigma, world.host_tau_s))
        wanders = tuple(Wander(sigma, tau_s, sign * rng.gauss(0.0, sigma)) for sigma, tau_s in kinds)
        steps = {each.name: getattr(model, each.name) for each in fields(model)}
        return Disturbed(**steps, world=world, rng=rng, sign=sign, wanders=wanders)

    def seconds(self, batch: int, context: int, prefill: int) -> float:
        """Return the seconds of one step, and let them pass."""
        world, (pace, host) = self.world, self.wanders
        taken = super().seconds(batch, context, prefill)
        if world.host_s and prefill:
            taken += world.host_s * math.exp(host.value + world.host_scatter * self._normal())
        if world.pace_sigma:
            taken *= math.exp(pace.value)
            pace.after(taken, self._normal())
        if world.host_sigma:
            host.after(taken, self._normal())
        return taken

    def _normal(self) -> float:
        return self.sign * self.rng.gauss(0.0, 1.0)


@dataclass(frozen=True)
class Read:
    """What a rule made of one point: figures, half-widths, the virtual seconds it took, whether it got there."""

    figures: tuple[float, float]
    widths: tuple[float, float] | None
    seconds: float
    reached: bool


class OldRule:
    """The stopping rule of commit e19db26, copied from its analysis/measure/stopping.py: 20 requests a slot at most,
    the standard error of ten batches, a look whenever there are a quarter more requests."""

    name = "e19db26"

    def read(self, served: Served, world: World, concurrency: int, seed: str, sign: int, point_error: float) -> Read:
        """Run one point until its standard error is ``point_error``."""
        most = max(20 * concurrency, 60)
        run = run_of(served, world, concurrency, seed, sign, old_known_to(point_error, concurrency), most)
        point = measure(run, 1)
        error = old_standard_error(served_within(run.records, point.window))
        widths = None if error is None else (NORMAL_90 * error[0], NORMAL_90 * error[1])
        return Read(figures_of(point), widths, length_s(run), error is not None and max(error) <= point_error)


def old_known_to(point_error: float, concurrency: int) -> IsEnough:
    """e19db26, known_to."""
    next_look = concurrency + max(10 * 3, 2 * concurrency)

    def is_enough(records: Sequence[RequestRecord]) -> bool:
        nonlocal next_look
        if len(records) < next_look:
            return False
        next_look = max(len(records) + 1, int(1.25 * len(records)))
        start_s = end_of_ramp(records, concurrency)
        error = old_standard_error(sorted((r for r in records if r.sent_s >= start_s), key=lambda r: r.sent_s))
        return error is not None and max(error) <= point_error

    return is_enough


def old_standard_error(served: Sequence[RequestRecord]) -> tuple[float, float] | None:
    """e19db26, standard_error: of throughput, and of interactivity."""
    if len(served) < 10 * 3:
        return None
    throughput, interactivity = [], []
    for number in range(10):
        batch = served[number * len(served) // 10 : (number + 1) * len(served) // 10]
        tokens = sum(record.input_tokens + record.output_tokens for record in batch)
        throughput.append(tokens / sum(record.request_latency_s for record in batch))
        tpot_s = statistics.median(record.tpot_s for record in batch)
        if tpot_s == 0:
            return None
        interactivity.append(1 / tpot_s)
    return of_mean(throughput), of_mean(interactivity)


def of_mean(values: Sequence[float]) -> float:
    """e19db26, _of_mean."""
    return statistics.stdev(values) / statistics.fmean(values) / math.sqrt(len(values))


class NewRule:
    """The rule of this version."""

    name = "now"

    def read(self, served: Served, world: World, concurrency: int, seed: str, sign: int, point_error: float) -> Read:
        """Run one point until it is known to ``point_error``, or 120 s after its ramp."""
        is_enough = known_to(point_error, DEFAULT_LIMIT_S, concurrency)
        run = run_of(served, world, concurrency, seed, sign, is_enough)
        point = measure(run, 1, asked_error=point_error)
        widths = None if point.error is None else (point.error.throughput, point.error.interactivity)
        return Read(figures_of(point), widths, length_s(run), not point.is_short)


RULES = (OldRule(), NewRule())


def run_of(
    served: Served,
    world: World,
    concurrency: int,
    seed: str,
    sign: int,
    is_enough: IsEnough,
    most: int | None = None,
) -> PointRun:
    """Simulate one point; the same seed is the same server, for any rule."""
    model = Disturbed.of(served.model, world, seed, sign)
    position = random.Random(f"lengths {seed}").randrange(1 << 20)
    lengths = itertools.islice(closed_loop_lengths(served.workload, concurrency, position), most)
    return simulate(model, Limits(), lengths, concurrency, is_enough=is_enough)


def figures_of(point: Measurement) -> tuple[float, float]:
    """Return throughput and interactivity."""
    return point.throughput_per_gpu, point.interactivity


def length_s(run: PointRun) -> float:
    """Return the virtual seconds a point took, ramp and drain included."""
    return max(record.last_token_s for record in run.records)


def truth_of(served: Served, world: World, concurrency: int, seconds: float) -> tuple[float, float]:
    """Return throughput and interactivity of a run of ``seconds`` and its mirror image, their geometric mean."""
    logs = []
    for sign in (1, -1):
        run = run_of(served, world, concurrency, "truth", sign, lambda records: records[-1].last_token_s >= seconds)
        logs.append([math.log(figure) for figure in figures_of(measure(run, 1))])
    first, second = (math.exp(statistics.fmean(of_figure)) for of_figure in zip(*logs, strict=True))
    return first, second


def row(reads: Sequence[Read], truth: tuple[float, float]) -> Iterator[str]:
    """Yield the cells of one concurrency: seconds, reached, and bias, coverage, half-width of both figures."""
    yield f"{statistics.fmean(read.seconds for read in reads):.0f}"
    yield f"{100 * statistics.fmean(read.reached for read in reads):.0f}"
    told = [read for read in reads if read.widths is not None]
    for which in (0, 1):
        off = [read.figures[which] / truth[which] - 1 for read in reads]
        yield f"{100 * statistics.fmean(off):+.2f}"
        held = [
            abs(read.figures[which] / truth[which] - 1) <= read.widths[which]
            for read in told
            if read.widths is not None
        ]
        yield f"{100 * sum(held) / len(reads):.0f}"
        widths = [read.widths[which] for read in told if read.widths is not None]
        yield f"{100 * statistics.fmean(widths):.2f}" if widths else "none"


HEAD = (
    *("server", "world", "rule", "seconds", "reached, %"),
    *("throughput: bias, %", "covered, %", "half-width, %"),
    *("interactivity: bias, %", "covered, %", "half-width, %"),
)


def main() -> None:
    """Print the table, a row per server, world and rule; in a cell one figure for each concurrency."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=200, help="points of each cell, an even number")
    parser.add_argument("--truth-s", type=float, default=10_000.0, help="virtual seconds of each long run")
    parser.add_argument("--point-error", type=float, default=0.005)
    parser.add_argument("--server", choices=[served.name for served in SERVERS], action="append")
    options = parser.parse_args()
    print(f"SIMULATED. point_error {options.point_error:g}: for e19db26 a standard error, now the half-width of a 90%")
    print(f"interval. {options.points} points a cell; the concurrencies of a server side by side, by slashes.\n")
    print("| " + " | ".join(HEAD) + " |\n" + "|---" * len(HEAD) + "|")
    for served in SERVERS:
        if options.server and served.name not in options.server:
            continue
        for world in served.worlds:
            truths = [truth_of(served, world, slots, options.truth_s) for slots in served.concurrencies]
            for rule in RULES:
                cells = [
                    row(
                        [
                            rule.read(served, world, slots, f"{world.name} {pair}", sign, options.point_error)
                            for pair in range(options.points // 2)
                            for sign in (1, -1)
                        ],
                        truth,
                    )
                    for slots, truth in zip(served.concurrencies, truths, strict=True)
                ]
                name = f"{served.name}, {' / '.join(map(str, served.concurrencies))}"
                shown = (" / ".join(of_all) for of_all in zip(*cells, strict=True))
                print("| " + " | ".join((name, world.name, rule.name, *shown)) + " |", flush=True)


if __name__ == "__main__":
    main()
