"""Sigma of llama-server's launches on a busy and on a quiet machine, with and without cores of their own.

    make llama                                          # once: the server and its models
    python benchmarks/quiet_machine.py [--launches 5] [--neighbours 1] [--quiet-cgroup DIRECTORY]

Four conditions: nothing else or ``--neighbours`` processes that compute all the time, each with ``cpus`` (server on
core 0, client on the rest) and without. A launch is one start of each precision (4 and 8 bits, one thread) and its
sweep; the conditions take turns, so that a slow change of the machine meets all of them. Sigma is the standard
deviation of the logarithms over the launches: of the two throughputs and their ratio at one interactivity inside the
band of all launches of a condition, and of the interactivity of single points. Each launch's points go to stderr.

Other load before each launch is looked at as in a run, and its mean is printed per condition: on a shared machine that
column says how quiet "quiet" was. ``--quiet-cgroup`` is a directory of the cgroup controller cpu with a large weight,
into which this process moves for the launches without neighbours: other work of the machine hardly delays them then.
The client's self-check is off: it would refuse the busy machine, and here that machine is the subject."""

from __future__ import annotations

import argparse
import math
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from statistics import fmean, stdev

from pytest_precgate.analysis.accepted.baseline import Launch
from pytest_precgate.analysis.curves.comparison import Comparison, compare
from pytest_precgate.analysis.curves.economics import Hardware
from pytest_precgate.analysis.curves.sweep import SweepPoint
from pytest_precgate.analysis.machine.load import HostLoad
from pytest_precgate.analysis.measure import metrics
from pytest_precgate.environment.host import allowed_cpus
from pytest_precgate.environment.host_load import load_now
from pytest_precgate.errors import PrecgateError
from pytest_precgate.journal.directory import RunDirectory
from pytest_precgate.reports.layout import columns
from pytest_precgate.run.journaling import Record
from pytest_precgate.run.launches import Launches
from pytest_precgate.settings import load

ROOT = Path(__file__).parents[1]
LLAMA = ROOT / ".llama"
NEIGHBOUR = "while True:\n    pass\n"
SUITE = """\
[hardware.machine]
price_per_gpu_hour = 1.0
power_kw_per_gpu = 1.0

"""
TABLE = """\
[suites.{suite}]
hardware = "machine"
workload = {{ isl = 32, osl = 32 }}
interactivity = "quartiles"
metrics = ["throughput_ratio"]

"""
ENGINE = """\
[suites.{suite}.{precision}]
engine = "command"
model = "{model}"
gpus = 1
vocabulary = 8192
concurrency = {concurrency}
requests_per_slot = 4
start_timeout_s = 300
stop_timeout_s = 10
{cpus}argv = [
    "{server}", "-m", "{{model}}", "--host", "{{host}}", "--port", "{{port}}", "-t", "1", "-tb", "1", "-np", "16",
    "-c", "8192", "--no-kv-unified", "--cache-ram", "0", "--no-cache-prompt", "--offline",
]

"""
PRECISIONS = {"int4": ("q4_0", "[2, 8]"), "int8": ("q8_0", "[2, 8]")}
MACHINE = Hardware("machine", 1.0, 1.0, "invented: no price is compared")
SUITES = {"plain": "", "placed": 'cpus = "0"\n'}


@dataclass
class Condition:
    """One of the four, and what was measured under it."""

    name: str
    suite: str
    is_busy: bool
    pairs: list[tuple[Launch, Launch]] = field(default_factory=list)
    loads: list[HostLoad] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def write_settings(directory: Path) -> None:
    text = SUITE
    for suite, cpus in SUITES.items():
        text += TABLE.format(suite=suite)
        for precision, (model, concurrency) in PRECISIONS.items():
            text += ENGINE.format(
                suite=suite,
                precision=precision,
                model=LLAMA / f"random-{model}.gguf",
                concurrency=concurrency,
                cpus=cpus,
                server=LLAMA / "llama-server",
            )
    (directory / "precgate.toml").write_text(text, encoding="utf-8")


@contextmanager
def neighbours(number: int) -> Iterator[None]:
    """Have processes compute all the time, each as any other program of the machine."""
    started = [subprocess.Popen([sys.executable, "-S", "-c", NEIGHBOUR]) for _ in range(number)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


@contextmanager
def inside(cgroup: Path | None) -> Iterator[None]:
    """Have this process and what it starts in a cgroup, and in that of its parent folder afterwards."""
    if cgroup is None:
        yield
        return
    (cgroup / "cgroup.procs").write_text(str(os.getpid()), encoding="utf-8")
    try:
        yield
    finally:
        (cgroup.parent / "cgroup.procs").write_text(str(os.getpid()), encoding="utf-8")


def launched(directory: Path, suite: str, number: int) -> tuple[Launch, Launch]:
    """Start, load and stop both precisions once, in a run of its own."""
    utc = datetime.now(timezone.utc)
    settings = load(directory)
    record = Record(
        directory=RunDirectory.new(directory, utc, number),
        root=directory,
        mode="measure",
        commit=lambda: "unknown",
        clock=lambda: utc,
        tool_version="benchmark",
        say=lambda _text: None,
        salt=secrets.token_hex(8),
    )
    launches = Launches(directory, lambda: record, os.environ, lambda *_: None, lambda _text: None)
    try:
        int4, int8 = (launches.of(settings.suites[suite], precision) for precision in PRECISIONS)
    finally:
        launches.close()
    return int4, int8


def measure(condition: Condition, directory: Path, options: argparse.Namespace, number: int) -> None:
    cgroup = None if condition.is_busy else options.quiet_cgroup
    with neighbours(options.neighbours if condition.is_busy else 0), inside(cgroup):
        found = load_now(allowed_cpus(), time.monotonic, time.sleep)
        condition.loads += [] if found is None else [found]
        try:
            condition.pairs.append(pair := launched(directory, condition.suite, number))
            print(condition.name, found, *(list(map(figures, launch.sweep.points)) for launch in pair), file=sys.stderr)
        except PrecgateError as exc:
            condition.refused.append(str(exc))
            print(f"{condition.name}, launch {number}: {exc}", file=sys.stderr)


def figures(point: SweepPoint) -> tuple[int, float, float]:
    return point.concurrency, round(point.interactivity, 3), round(point.throughput_per_gpu, 3)


# --- figures ----------------------------------------------------------------------------------------------------------


def target(pairs: Sequence[Comparison]) -> float | None:
    """The middle of the interactivities that every launch of a condition can be read at."""
    low, high = max(pair.band[0] for pair in pairs), min(pair.band[1] for pair in pairs)
    return math.sqrt(low * high) if low < high else None


def sigma(values: Sequence[float]) -> str:
    return f"{stdev(map(math.log, values)):.1%}" if len(values) > 1 else "-"


def mean(values: Sequence[float]) -> str:
    return f"{fmean(values):.3g}" if values else "-"


def gate_cells(condition: Condition) -> list[str]:
    """Sigma of the ratio, of both throughputs and of points, as cells of the table's column."""
    pairs = [compare(int4.sweep, int8.sweep, hardware=MACHINE) for int4, int8 in condition.pairs]
    at = target(pairs) if pairs else None
    rows = [] if at is None else [pair.at(at) for pair in pairs]
    cells = ["-" if at is None else f"{at:.0f} tok/s/user"]
    for values in (
        [row.throughput_ratio for row in rows],
        [row.candidate.throughput_per_gpu for row in rows],
        [row.reference.throughput_per_gpu for row in rows],
        *points_of(condition),
    ):
        cells.append(f"{sigma(values)} ({mean(values)})")
    return cells


def points_of(condition: Condition) -> Iterator[list[float]]:
    for side in (0, 1):
        sweeps = [pair[side].sweep for pair in condition.pairs]
        for place in (0, -1):
            yield [sorted(sweep.points, key=lambda each: each.concurrency)[place].interactivity for sweep in sweeps]


LABELS = (
    "read at",
    "gate int4/int8 throughput_ratio",
    "gate int4 throughput_per_gpu",
    "gate int8 throughput_per_gpu",
    "point int4 c=2, tok/s/user",
    "point int4 c=8, tok/s/user",
    "point int8 c=2, tok/s/user",
    "point int8 c=8, tok/s/user",
)


def table(conditions: Sequence[Condition]) -> list[str]:
    rows: list[tuple[str, ...]] = [("sigma (mean)", *(condition.name for condition in conditions))]
    cells = [gate_cells(condition) for condition in conditions]
    rows += [(label, *(each[number] for each in cells)) for number, label in enumerate(LABELS)]
    loads = [fmean(load.share for load in condition.loads) for condition in conditions]
    rows.append(("other load before a launch", *(f"{share:.0%} of all cores" for share in loads)))
    counts = [(len(each.pairs) + len(each.refused), len(each.refused)) for each in conditions]
    rows.append(("launches, of them refused", *(f"{number}, {refused}" for number, refused in counts)))
    return columns(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--launches", type=int, default=5, help="of each condition; default 5")
    parser.add_argument("--neighbours", type=int, default=1, help="processes that compute beside the busy launches")
    parser.add_argument("--quiet-cgroup", type=Path, help="a heavy cgroup for the launches without neighbours")
    options = parser.parse_args()
    if not (LLAMA / "llama-server").is_file():
        sys.exit("no .llama/llama-server here: make llama")
    for limit in ("MAX_LAG_OF_ITL", "MAX_CPU_SHARE", "MAX_EVENTS_PER_READ"):
        setattr(metrics, limit, math.inf)
    metrics.MIN_ACHIEVED_SHARE = 0.0
    conditions = [
        Condition(f"{'busy' if is_busy else 'quiet'}, {words}", suite, is_busy)
        for is_busy in (False, True)
        for suite, words in (("plain", "no cpus"), ("placed", "cpus"))
    ]
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        write_settings(Path(temporary))
        for number in range(1, options.launches + 1):
            for condition in conditions:
                measure(condition, Path(temporary), options, number)
            print(f"launch {number} of {options.launches}, {time.monotonic() - began_s:.0f} s", file=sys.stderr)
    print("\n".join(table(conditions)))


if __name__ == "__main__":
    main()
