"""What a gate run costs as it grows: tests of one suite, suites, journal lines, points of a baseline.

    python benchmarks/scaling.py [--beside COMMIT] [--limit 120] [--only tests suites launch launches points] [--most N]

Each figure is of a fresh process, Python's start included: wall seconds, CPU seconds, and the most memory that was
resident, in MB.
Repositories and journals are made before, by the checkout that is measured, and are in no figure:

- tests, suites: recorded CSV points, N tests of one suite or N suites of one test, recorded with --precgate-update;
  the pytest run that judges them, which must pass
- launch, launches: a journal of N points, all of one launch or twelve to a launch; reading it
- points: one test of a suite with N points of each precision, all on the frontier; the pytest run that judges it

The exponent is that of N in the CPU time between the two largest sizes measured, the smallest size's time taken away
first: 1 is work that grows like N. --beside measures another commit the same way, in turn with this tree; what takes
longer than --limit seconds is killed and said to be over it, and so is everything larger. --only narrows what is
measured."""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SIZES: Mapping[str, tuple[int, ...]] = {  # the first is the run that is as good as empty
    "tests": (1, 10, 30, 100, 300, 1000),
    "suites": (1, 10, 30, 100, 300, 1000),
    "launch": (1, 1_000, 10_000, 100_000, 1_000_000),
    "launches": (1, 1_000, 10_000, 100_000, 1_000_000),
    "points": (10, 100, 1_000, 10_000),
}
TITLES = {
    "tests": "tests of one suite",
    "suites": "suites of one test",
    "launch": "journal lines, points of one launch",
    "launches": "journal lines, twelve points a launch",
    "points": "points of each precision of a baseline",
}
POINTS_PER_LAUNCH = 12
POINTS_PER_SWEEP = 12
SUITE = """\
[tool.precgate.suites.{name}]
hardware = "b200"
workload = {{ isl = 1024, osl = 1024 }}
interactivity = [55, 73, 91]
fp4 = {{ engine = "recorded", path = "points.csv" }}
int4 = {{ engine = "recorded", path = "points.csv" }}
"""
TEST = """\
import pytest


@pytest.mark.precgate(suite="{suite}")
def test_{number}(precgate):
    precgate.check(precgate.compare("fp4", "int4"))
"""
HEAD = "precision,configuration,gpus,hardware,isl,osl,concurrency,interactivity,throughput_per_gpu"
QUIET = ("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly", "-p", "no:hypothesispytest")


@dataclass(frozen=True)
class Cost:
    """What one process took."""

    wall_s: float
    cpu_s: float
    peak_mb: float

    def __str__(self) -> str:
        return f"{self.wall_s:.2f} | {self.cpu_s:.2f} | {self.peak_mb:.0f} |"


# --- what is measured, made in a process of its own by the checkout under test --------------------------------------


def write_repository(directory: Path, dimension: str, number: int) -> None:
    suites = number if dimension == "suites" else 1
    points = number if dimension == "points" else POINTS_PER_SWEEP
    tests = number if dimension == "tests" else suites
    lines = [HEAD]
    for precision, pace in (("fp4", 1.3), ("int4", 0.9)):
        for concurrency in range(1, points + 1):
            step = 300 * concurrency / points  # the same curve, however many points are on it
            interactivity = pace * 150 / (1 + step / 100)
            throughput = 5 * pace * (1 + step)
            lines.append(f"{precision},default,4,b200,1024,1024,{concurrency * 8},{interactivity:.9g},{throughput:.9g}")
    (directory / "points.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    settings = "\n".join(SUITE.format(name=f"suite{index}") for index in range(suites))
    (directory / "pyproject.toml").write_text(settings, encoding="utf-8")
    text = "\n\n".join(TEST.format(suite=f"suite{index % suites}", number=index) for index in range(tests))
    (directory / "test_gates.py").write_text(text, encoding="utf-8")


def write_journal(path: Path, dimension: str, number: int) -> None:
    from pytest_precgate.analysis.accepted.fingerprint import Fingerprint  # noqa: PLC0415  # those of the checkout under test
    from pytest_precgate.analysis.curves.workload import Workload  # noqa: PLC0415
    from pytest_precgate.analysis.measure.measurement import Measurement, Spread  # noqa: PLC0415
    from pytest_precgate.analysis.measure.point import MeasuredPoint  # noqa: PLC0415
    from pytest_precgate.analysis.measure.window import Window  # noqa: PLC0415
    from pytest_precgate.journal.events import LaunchKey, LaunchOpened, PointMeasured, RunOpened  # noqa: PLC0415
    from pytest_precgate.journal.schema import line  # noqa: PLC0415

    def point(concurrency: int) -> MeasuredPoint:
        spread = Spread(0.0123456 + concurrency * 1e-9, 0.0112345, 0.0156789, 0.0234567)
        measurement = Measurement(
            concurrency=concurrency,
            gpus=4,
            completed=320,
            failed=0,
            window=Window("steady", 1.234567, 61.234567),
            ttft=spread,
            tpot=spread,
            request_latency=spread,
            itl_median_s=0.0112233,
            itl_p99_s=0.0334455,
            throughput_per_gpu=1234.56789,
            error=None,
            client=None,
        )
        return MeasuredPoint(measurement, 240.0)

    per_launch = number if dimension == "launch" else POINTS_PER_LAUNCH
    facts = Fingerprint({"engine": "trtllm", "model": "kimi"}, {"version": "1.2.0"})
    with path.open("w", encoding="ascii") as file:
        workload = Workload(1024, 1024)
        run = RunOpened("kimi", "2026-11-24T08:30:01Z", "4f2e9ab", "0.1.0", "b200", workload, {"fp4": 1}, {})
        file.write(line(run))
        for index in range(number):
            key = LaunchKey("fp4", 0, index // per_launch + 1)
            if index % per_launch == 0:
                file.write(line(LaunchOpened(key, "trtllm", facts)))
            file.write(line(PointMeasured(key, point(index % per_launch + 1))))


def read_journal(path: Path, number: int) -> None:
    from pytest_precgate.journal.file import read  # noqa: PLC0415

    found = read(path)
    points = 0 if found is None else sum(len(launch.points) for launch in found.launches.values())
    if points != number:
        raise SystemExit(f"{path}: read {points} points, wanted {number}")


# --- one cell of the table ------------------------------------------------------------------------------------------


def run(command: Sequence[str], checkout: Path, directory: Path, limit_s: float) -> Cost | None:
    """Run a command on a checkout's package; None where it took longer than ``limit_s`` and was killed."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    for name in ("CI", "BUILD_NUMBER", "GITHUB_STEP_SUMMARY"):
        environment.pop(name, None)
    with (directory / "output").open("wb") as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=directory, env=environment, stdout=output, stderr=subprocess.STDOUT)
        timer = threading.Timer(limit_s, process.kill)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start
    timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    if wall_s >= limit_s:
        return None
    if process.returncode != 0:
        said = (directory / "output").read_text(encoding="utf-8", errors="replace")
        raise SystemExit(f"{' '.join(command)} in {checkout}: exit {process.returncode}\n{said[-4000:]}")
    return Cost(
        wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
    )


def measured(checkout: Path, dimension: str, number: int, limit_s: float) -> Cost | None:
    """Make one case and measure it; None where either takes longer than it may."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        if dimension in ("launch", "launches"):
            own = [sys.executable, str(Path(__file__).resolve())]
            write_s = 60 + number / 500
            if run([*own, "--write", dimension, str(number)], checkout, directory, write_s) is None:
                raise SystemExit(f"a journal of {number} lines took longer than {write_s:.0f} s to write")
            return run([*own, "--read", dimension, str(number)], checkout, directory, limit_s)
        write_repository(directory, dimension, number)
        judge = [sys.executable, "-m", "pytest", "-q", *QUIET]
        if run([*judge, "--precgate-update"], checkout, directory, 2 * limit_s) is None:
            return None
        # The points are the baseline's own: every gate passes, and the reports say so.
        return run(judge, checkout, directory, limit_s)


@contextmanager
def checkout_of(commit: str) -> Iterator[Path]:
    """A work tree of another commit, gone afterwards."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "checkout"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--detach", str(path), commit], check=True, capture_output=True)
        try:
            yield path
        finally:
            subprocess.run([*git, "remove", "--force", str(path)], check=True, capture_output=True)


def exponent(costs: Mapping[int, Cost | None]) -> str:
    known = [(number, cost.cpu_s) for number, cost in costs.items() if cost is not None]
    if len(known) < 3:
        return "not known"
    (_, empty), *_, (few, less), (many, more) = known
    if less - empty < 0.2 * empty:  # too little to be told from the start of Python
        return "not known"
    return f"{math.log((more - empty) / (less - empty)) / math.log(many / few):.2f}"


def table(dimension: str, checkouts: Mapping[str, Path], limit_s: float, most: int) -> None:
    print(f"\n### {TITLES[dimension]}\n")
    print("| N |" + "".join(f" {name}, s | CPU s | MB |" for name in checkouts))
    print("|---|" + "---|---|---|" * len(checkouts))
    costs: dict[str, dict[int, Cost | None]] = {name: {} for name in checkouts}
    for number in (each for each in SIZES[dimension] if each <= most):
        row = f"| {number} |"
        for name, checkout in checkouts.items():
            is_over = None in costs[name].values()
            cost = costs[name][number] = None if is_over else measured(checkout, dimension, number, limit_s)
            row += f" over {limit_s:g} | - | - |" if cost is None else f" {cost}"
        print(row, flush=True)
    print("| exponent |" + "".join(f" | {exponent(each)} | |" for each in costs.values()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", metavar="COMMIT", help="measure this commit as well")
    parser.add_argument("--limit", type=float, default=120.0, metavar="S")
    parser.add_argument("--only", nargs="+", choices=tuple(SIZES), default=tuple(SIZES))
    parser.add_argument("--most", type=int, default=max(map(max, SIZES.values())), metavar="N", help="no larger size")
    parser.add_argument("--write", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--read", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write is not None:
        write_journal(Path("journal.jsonl"), options.write[0], int(options.write[1]))
        return
    if options.read is not None:
        read_journal(Path("journal.jsonl"), int(options.read[1]))
        return
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores; wall seconds and peak MB of one process")
    if options.beside is None:
        for dimension in options.only:
            table(dimension, {"this tree": ROOT}, options.limit, options.most)
        return
    with checkout_of(options.beside) as other:
        for dimension in options.only:
            table(dimension, {options.beside: other, "this tree": ROOT}, options.limit, options.most)


if __name__ == "__main__":
    main()
