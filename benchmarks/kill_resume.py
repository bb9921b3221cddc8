"""kill -9 at random moments of many runs, then --precgate-resume: what is lost, and does the verdict change?

    python benchmarks/kill_resume.py [--runs 50] [--seed 0] [--sweep search]

Each run has another seed of the simulated engine's noise, so that its figures and its verdict are its own. It runs
once undisturbed, and once more in a repository of its own, where it is killed at a random moment of its measuring and
resumed; half of the resumptions are killed and resumed again. A moment is a random size of the journal, awaited, and up
to a fiftieth of a second more. A witness writes down every line that `append` promised to keep: each must be there
afterwards, byte for byte, and every gate must come out as it did undisturbed."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SETTINGS = """\
[tool.precgate.suites.kimi]
hardware = "b200"
workload = {{ isl = 512, osl = 512, range_ratio = 0.8 }}
interactivity = [75, 105]

[tool.precgate.suites.kimi.fp4]
engine = "simulated"
calibration = "kimi-k2.5-b200-fp4-tp4"
{sweep}
slowdown = {slowdown}
seed = {seed}
noise = {{ launch_sigma = 0.004, step_sigma = 0.02 }}

[tool.precgate.suites.kimi.int4]
engine = "simulated"
calibration = "kimi-k2.5-b200-int4-tp8"
{sweep}
seed = {seed}
noise = {{ launch_sigma = 0.004, step_sigma = 0.02 }}
"""
TEST = "def test_fp4_pays_off(precgate):\n    precgate.check(precgate.compare('fp4', 'int4'))\n"
WITNESS = """\
import os
from pytest_precgate.journal.file import Journal
from pytest_precgate.journal.schema import line

append = Journal.append
promised = os.open("promised", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def witnessed(self, event):
    append(self, event)
    os.write(promised, line(event).encode())

Journal.append = witnessed
"""
QUIET = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly", "-p", "no:hypothesispytest")
SWEEPS = {
    "grid": "concurrency = [1, 2, 4, 6, 8, 12, 16, 24, 32]\nrequests_per_slot = 10",
    "search": "min_concurrency = 1\npoint_error = 0.0002",  # hardly ever known to that: as long as a point may be
}


def repository(path: Path, sweep: str, seed: int, baseline: str | None = None) -> Path:
    """A user's repository in a fresh directory, with its baseline where there is one."""
    path.mkdir(parents=True)
    slowdown = 0.04 if seed and seed % 2 == 0 else 0.0  # every other run is a regression, and takes three launches
    settings = SETTINGS.format(seed=seed, slowdown=slowdown, sweep=SWEEPS[sweep])
    (path / "pyproject.toml").write_text(settings, encoding="utf-8")
    (path / "test_gate.py").write_text(TEST, encoding="utf-8")
    (path / "conftest.py").write_text(WITNESS, encoding="utf-8")
    if baseline is not None:
        (path / "baselines").mkdir()
        (path / "baselines" / "kimi.json").write_text(baseline, encoding="utf-8")
    return path


def started(path: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """pytest as its user types it, in a process of its own."""
    command = [sys.executable, "-m", "pytest", *QUIET, "--precgate-json=found.json", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def journal(path: Path) -> Path | None:
    """The one journal of a repository, once there is one."""
    return next(path.glob(".precgate/runs/*/journal.jsonl"), None)


def size(path: Path) -> int:
    """How much of its journal a repository has."""
    found = journal(path)
    return 0 if found is None else found.stat().st_size


def checks(path: Path) -> object:
    """Every gate's value, baseline and verdict."""
    return json.loads((path / "found.json").read_text(encoding="utf-8"))["checks"]


@dataclass
class Outcome:
    """What became of one run: whether it passes and its points undisturbed, and what was found after each kill."""

    passes: bool
    points: int
    kept: list[int]
    torn: int = 0
    lost: int = 0
    corrupt: int = 0
    same: bool = False


def points(data: bytes) -> list[bytes]:
    """Whole lines of finished points."""
    return [line for line in data.split(b"\n")[:-1] if b'"event": "point"' in line]


def all_points(path: Path) -> list[bytes]:
    """The points of a repository's one finished run, in the order they were measured."""
    found = journal(path)
    assert found is not None
    return points(found.read_bytes())


def killed(path: Path, whole: int, rng: random.Random, *arguments: str) -> bool:
    """Start a run and kill it at a random moment on the way to a ``whole`` journal; False when it was done before."""
    wanted, delay_s = rng.uniform(size(path) + 1, whole), rng.uniform(0.0, 0.02)
    run = started(path, *arguments)
    while run.poll() is None and size(path) < wanted:
        time.sleep(0.001)
    time.sleep(delay_s)
    run.send_signal(signal.SIGKILL)
    return run.wait() == -signal.SIGKILL


def look(path: Path, outcome: Outcome) -> None:
    """Hold what a killed run left against what it had promised to keep."""
    from pytest_precgate.errors import JournalError  # noqa: PLC0415  # the package under test, not this process's
    from pytest_precgate.journal.file import read  # noqa: PLC0415

    found = journal(path)
    assert found is not None
    data, promised = found.read_bytes(), (path / "promised").read_bytes().splitlines(keepends=True)
    outcome.kept.append(len(points(data)))
    outcome.torn += not data.endswith(b"\n")
    outcome.lost += sum(line not in data for line in promised)
    try:
        read(found)
    except JournalError:
        outcome.corrupt += 1


def one(home: Path, sweep: str, seed: int, baseline: str, rng: random.Random) -> Outcome:
    """One run, undisturbed and killed: what became of it."""
    whole = repository(home / "whole", sweep, seed, baseline)
    passes = started(whole).wait() == 0
    path = repository(home / "killed", sweep, seed, baseline)
    outcome = Outcome(passes, len(all_points(whole)), [])
    while not killed(path, size(whole), rng):  # done before the moment came: once more
        path = repository(home / f"killed-{len(list(home.iterdir()))}", sweep, seed, baseline)
    look(path, outcome)
    if rng.random() < 0.5 and killed(path, size(whole), rng, "--precgate-resume=latest"):
        look(path, outcome)
    resumed = started(path, "--precgate-resume=latest").wait()
    outcome.lost += len({*all_points(whole)} - {*all_points(path)})
    outcome.same = (resumed == 0) == passes and checks(path) == checks(whole)
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--sweep", choices=SWEEPS, default="grid", help="the concurrencies: fixed, or searched for")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    sys.path.insert(0, str(ROOT))
    print(f"{'run':>4}{'points kept at each kill':>28}{'torn':>6}{'lost':>6}{'corrupt':>9}{'verdict':>9}{'same':>6}")
    found: list[Outcome] = []
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        recording = repository(home / "baseline", options.sweep, 0)
        assert started(recording, "--precgate-update").wait() == 0
        baseline = (recording / "baselines" / "kimi.json").read_text(encoding="utf-8")
        for seed in range(1, options.runs + 1):
            outcome = one(home / str(seed), options.sweep, seed, baseline, rng)
            found.append(outcome)
            kept = ", ".join(f"{number} of {outcome.points}" for number in outcome.kept)
            verdict = "pass" if outcome.passes else "fail"
            print(
                f"{seed:>4}{kept:>28}{outcome.torn:>6}{outcome.lost:>6}{outcome.corrupt:>9}{verdict:>9}"
                f"{'yes' if outcome.same else 'NO':>6}",
                flush=True,
            )
    kills = sum(len(outcome.kept) for outcome in found)
    print(
        f"{kills} kills in {len(found)} runs: {sum(outcome.lost for outcome in found)} finished points lost, "
        f"{sum(outcome.corrupt for outcome in found)} corrupt files, "
        f"{sum(not outcome.same for outcome in found)} other verdicts "
        f"({sum(outcome.passes for outcome in found)} runs pass)"
    )


if __name__ == "__main__":
    main()
