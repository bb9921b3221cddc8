"""kill -9 at random moments of many runs, then --precgate-resume: what is lost, and does the verdict change?

    python benchmarks/kill_resume.py [--runs 50] [--seed 0]

Each run has another seed of the simulated engine's noise, so that its figures and its verdict are its own. It runs
once undisturbed, and once more in a repository of its own, where it is killed at a random moment of its measuring and
resumed; half of the resumptions are killed and resumed again. A moment is a random size of the journal, awaited, and up
to a tenth of a second more. A witness writes down every line that `append` promised to keep: each must be there
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
from dataclasses import dataclass, field
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
concurrency = [1, 2, 4, 6, 8, 12, 16, 24, 32]
seed = {seed}
noise = {{ launch_sigma = 0.015, step_sigma = 0.02 }}

[tool.precgate.suites.kimi.int4]
engine = "simulated"
calibration = "kimi-k2.5-b200-int4-tp8"
concurrency = [1, 2, 4, 6, 8, 12, 16, 24, 32]
seed = {seed}
noise = {{ launch_sigma = 0.015, step_sigma = 0.02 }}
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


def repository(path: Path, seed: int, baseline: str | None = None) -> Path:
    """A user's repository in a fresh directory, with its baseline where there is one."""
    path.mkdir(parents=True)
    (path / "pyproject.toml").write_text(SETTINGS.format(seed=seed), encoding="utf-8")
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
    """What became of one run."""

    whole: int
    """Points of the undisturbed run: one launch of each precision, or more where the rule asks for them."""
    kept: list[int] = field(default_factory=list)
    torn: int = 0
    lost: int = 0
    corrupt: int = 0


def points(data: bytes) -> int:
    """Whole lines of finished points."""
    return sum(b'"event": "point"' in line for line in data.split(b"\n")[:-1])


def killed(path: Path, whole: int, rng: random.Random, *arguments: str) -> bool:
    """Start a run and kill it at a random moment on the way to a ``whole`` journal; False when it was done before."""
    wanted, delay_s = rng.uniform(size(path) + 1, whole), rng.uniform(0.0, 0.1)
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
    outcome.kept.append(points(data))
    outcome.torn += not data.endswith(b"\n")
    outcome.lost += sum(line not in data for line in promised)
    try:
        read(found)
    except JournalError:
        outcome.corrupt += 1


def one(home: Path, seed: int, baseline: str, rng: random.Random) -> tuple[Outcome, bool, bool]:
    """One run, undisturbed and killed: its outcome, whether it passes, and whether both verdicts are the same."""
    whole = repository(home / "whole", seed, baseline)
    passes = started(whole).wait() == 0
    path = repository(home / "killed", seed, baseline)
    undisturbed = journal(whole)
    assert undisturbed is not None
    outcome = Outcome(points(undisturbed.read_bytes()))
    while not killed(path, size(whole), rng):  # done before the moment came: once more
        path = repository(home / f"killed-{len(list(home.iterdir()))}", seed, baseline)
    look(path, outcome)
    if rng.random() < 0.5 and killed(path, size(whole), rng, "--precgate-resume=latest"):
        look(path, outcome)
    resumed = started(path, "--precgate-resume=latest").wait()
    last = journal(path)
    assert last is not None
    outcome.lost += outcome.whole - points(last.read_bytes())
    return outcome, passes, (resumed == 0) == passes and checks(path) == checks(whole)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    sys.path.insert(0, str(ROOT))
    print(f"{'run':>4}{'points kept at each kill':>28}{'torn':>6}{'lost':>6}{'corrupt':>9}{'verdict':>9}{'same':>6}")
    found: list[tuple[Outcome, bool, bool]] = []
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        recording = repository(home / "baseline", 0)
        assert started(recording, "--precgate-update").wait() == 0
        baseline = (recording / "baselines" / "kimi.json").read_text(encoding="utf-8")
        for seed in range(1, options.runs + 1):
            outcome, passes, same = one(home / str(seed), seed, baseline, rng)
            found.append((outcome, passes, same))
            kept = ", ".join(f"{number} of {outcome.whole}" for number in outcome.kept)
            verdict = "pass" if passes else "fail"
            print(
                f"{seed:>4}{kept:>28}{outcome.torn:>6}{outcome.lost:>6}{outcome.corrupt:>9}{verdict:>9}"
                f"{'yes' if same else 'NO':>6}",
                flush=True,
            )
    kills = sum(len(outcome.kept) for outcome, _, _ in found)
    print(
        f"{kills} kills in {len(found)} runs: {sum(outcome.lost for outcome, _, _ in found)} finished points lost, "
        f"{sum(outcome.corrupt for outcome, _, _ in found)} corrupt files, "
        f"{sum(not same for _, _, same in found)} other verdicts ({sum(passes for _, passes, _ in found)} runs pass)"
    )


if __name__ == "__main__":
    main()
