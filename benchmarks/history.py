"""What `precgate history` takes for a long history: bytes, and seconds of CPU of each part.

    python benchmarks/history.py [--runs 10000] [--commits 100]

Nine gates a run, six launches, and a repository whose baseline file was committed often; all figures are invented."""

from __future__ import annotations

import argparse
import gzip
import math
import random
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pytest_precgate.analysis.accepted.baseline import Baseline, Launch, Provenance, RecordedGate
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.origin import LaunchOrigin
from pytest_precgate.analysis.accepted.trend import BaselineRevision, suite_trend
from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.gating.gates import DEFAULT_METRICS, Tolerance, gates_of
from pytest_precgate.baselines.past import past_revision
from pytest_precgate.baselines.schema import dump
from pytest_precgate.environment.revisions import file_revisions
from pytest_precgate.history.entry import GateEntry, HistoryEntry, line
from pytest_precgate.history.file import read
from pytest_precgate.history.readings import runs_of
from pytest_precgate.reports.history import lines
from pytest_precgate.reports.html.history import render

T = TypeVar("T")
KEYS = [each.key for each in gates_of("fp4", "int4", (50, 70, 90), dict.fromkeys(DEFAULT_METRICS, Tolerance()))]
NAMES, MADE = ("fp4", "int4"), Provenance("0123456789ab", "2026-11-28T06:00:00Z", "0.1.0", "a new kernel")
ORIGIN = LaunchOrigin("2026-11-24T06:00:00Z", "b200-7", ("GPU-8932f937-d72c",))


def entry(number: int, runs: int, draw: random.Random) -> HistoryEntry:
    """A run; from two thirds of the history on the first precision is 8% slower."""
    gates = []
    for key in KEYS:
        level = 60_000 / key.point * (0.92 if 3 * number > 2 * runs and "fp4" in key.precisions else 1)
        values = tuple(level * math.exp(draw.gauss(0, 0.004)) for _ in range(3))
        gates.append(
            GateEntry("tests/test_kimi.py::test_pays_off", key, "PASS", values[0], level, sigma=0.004, values=values)
        )
    utc = f"2026-{number * 11 // runs + 1:02}-{number * 28 * 11 // runs % 28 + 1:02}T06:00:00Z"
    launches = [(name, ORIGIN) for name in NAMES for _ in range(3)]
    return HistoryEntry("kimi", utc, f"{draw.getrandbits(160):040x}", "0.1.0", "passed", False, gates, launches)


def baseline(number: int) -> str:
    """An accepted state of ten launches of twelve points."""
    launches = []
    for launch in range(10):
        factor = 1 + 0.0003 * (number % 7) + 0.0001 * launch
        points = [SweepPoint(each, 4, 150 / each**0.5, 300 * each**0.6 * factor, "tp4") for each in range(1, 13)]
        sweep = Sweep(NAMES[launch % 2], Workload(1024, 1024, 0.8), "b200", points)
        launches.append(
            Launch(sweep, Fingerprint.of(sweep, ("trtllm",), {"driver": "580.10"}), origin=ORIGIN).rounded()
        )
    gates = [RecordedGate("tests/test_kimi.py::test_pays_off", key) for key in KEYS]
    return dump(Baseline("kimi", launches, gates, replace(MADE, commit=f"{number:040x}"), HARDWARE["b200"]))


def repository(root: Path, commits: int) -> Path:
    path = root / "baselines" / "kimi.json"
    path.parent.mkdir()
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    for number in range(commits):
        path.write_text(baseline(number), encoding="utf-8")
        subprocess.run(["git", "add", "."], cwd=root, check=True)
        subprocess.run(["git", *who, "commit", "--quiet", "-m", f"state {number}"], cwd=root, check=True)
    return path


def revisions(path: Path) -> list[BaselineRevision]:
    return [
        past_revision(each.data, "kimi", commit=each.commit, author=each.author, utc="2026-06-01", subject=each.subject)
        for each in file_revisions(path)
    ]


def timed(what: str, call: Callable[[], T]) -> T:
    wall, cpu = time.perf_counter(), time.process_time()
    found = call()
    print(f"{what:<44}{time.process_time() - cpu:>8.2f}{time.perf_counter() - wall:>8.2f}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--commits", type=int, default=100)
    options = parser.parse_args()
    draw = random.Random(0)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        path, file = repository(root, options.commits), root / "runs.jsonl"
        file.write_text(
            "".join(line(entry(each, options.runs, draw)) for each in range(options.runs)), encoding="ascii"
        )
        print(
            f"{options.runs:,} runs of {len(KEYS)} gates, {file.stat().st_size / 1e6:.1f} MB; {options.commits} commits"
        )
        print(f"{'seconds':<44}{'CPU':>8}{'wall':>8}")
        entries = timed("load the file of the runs", lambda: read(file))
        runs = runs_of("kimi", entries)
        made = timed("read the baseline's revisions from git", lambda: revisions(path))
        trend = timed("order the readings, find the change points", lambda: suite_trend("kimi", runs, made))
        text = timed("terminal, 80 columns", lambda: [*lines(trend, 80)])
        page = timed("page", lambda: render(trend, MADE)).encode()
    print(f"{len(text)} lines; page {len(page):,} bytes, gzip {len(gzip.compress(page)):,}")


if __name__ == "__main__":
    main()
