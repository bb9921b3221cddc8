"""What the plugin costs a pytest run that does not use it: a one-test run with and without it, paired.

    python benchmarks/startup.py [--pairs 40]

Each pair is two fresh interpreters in random order; the table shows medians and the median paired difference."""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SUITE = """
[tool.precgate.suites.kimi]
hardware = "b200"
workload = { isl = 1024, osl = 1024 }
interactivity = [55]
fp4 = { engine = "recorded", path = "points.csv" }
int4 = { engine = "recorded", path = "points.csv" }
"""
CASES = {
    "installed, unused": "[project]\nname = 'x'\n",
    "suites configured, no gate in the run": f"[project]\nname = 'x'\n{SUITE}",
}
OTHERS = ("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly", "-p", "no:hypothesispytest")


def seconds(directory: Path, *options: str) -> float:
    """Wall time of one run in a fresh interpreter."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "pytest", "-q", *OTHERS, *options, "test_one.py"]
    start = time.perf_counter()
    subprocess.run(command, cwd=directory, env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=40)
    pairs = parser.parse_args().pairs
    order = random.Random(0)
    print(f"one-test pytest run, {pairs} pairs of fresh interpreters, Python {sys.version.split()[0]}")
    print(f"{'case':<40}{'without, ms':>12}{'with, ms':>12}{'difference, ms':>16}{'ratio':>8}")
    for case, project in CASES.items():
        with tempfile.TemporaryDirectory() as temporary:
            directory = Path(temporary)
            (directory / "pyproject.toml").write_text(project, encoding="utf-8")
            (directory / "test_one.py").write_text("def test_one():\n    pass\n", encoding="utf-8")
            variants: dict[str, tuple[str, ...]] = {"without": ("-p", "no:precgate"), "with": ()}
            times: dict[str, list[float]] = {name: [] for name in variants}
            for options in variants.values():  # compile and cache once, so that no timed run does
                seconds(directory, *options)
            for _ in range(pairs):
                for name in order.sample(sorted(variants), k=2):
                    times[name].append(1000 * seconds(directory, *variants[name]))
        without, with_plugin = (statistics.median(times[name]) for name in ("without", "with"))
        difference = statistics.median(b - a for a, b in zip(times["without"], times["with"], strict=True))
        print(f"{case:<40}{without:>12.1f}{with_plugin:>12.1f}{difference:>16.1f}{with_plugin / without:>8.3f}")


if __name__ == "__main__":
    main()
