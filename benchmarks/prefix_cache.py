"""Two runs of a suite on one long-lived server that keeps its prefix cache: with the salt of every run, and without it.

    python benchmarks/prefix_cache.py [--concurrency 4 16] [--speed 4]

The server is SIMULATED (``precgate serve-simulated --prefix-cache``), in real time. Each run sweeps it with the load
client as a suite would. "The same salt" is what a tool without one does: the second run asks the prompts of the first,
which the server has kept. Its figures are shown as if they were no matter, and then what the product says of them."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.measurement import Measurement
from pytest_precgate.analysis.measure.metrics import measure
from pytest_precgate.analysis.measure.tokens import Expected
from pytest_precgate.errors import InvalidPointError
from pytest_precgate.loadgen import LoadPlan, Prompts, Target, run_point

NAME = "kimi-k2.5-b200-fp4-tp4"
WORKLOAD = Workload(isl=1024, osl=64, range_ratio=0.8)
PER_SLOT = 8
GPUS = 4
# What the point would be believed to be, were nothing held against its prompts.
ANYTHING = Expected(cached_share=0.999)


@contextmanager
def serving(speed: float) -> Iterator[str]:
    """The simulated server, and its address."""
    command = [sys.executable, "-m", "pytest_precgate.cli", "serve-simulated", "--port", "0", "--prefix-cache"]
    with subprocess.Popen([*command, "--speed", str(speed)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.kill()


def run(url: str, concurrency: int, salt: str) -> tuple[Measurement, str]:
    """One point: its figures, and what the product makes of it."""
    prompts = Prompts(WORKLOAD, token_high=32000, seed=f"{salt}/{concurrency}")
    found = run_point(Target(url, NAME), LoadPlan(prompts, concurrency, PER_SLOT * concurrency))
    found = replace(found, client=None)  # a busy machine is not what is shown here
    try:
        measure(found, GPUS)
        said = "a point"
    except InvalidPointError as exc:
        said = exc.why.partition(":")[0]
    return measure(found, GPUS, expected=ANYTHING), said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--speed", type=float, default=4.0, help="2 makes every second of the model half a second")
    options = parser.parse_args()
    print(f"SIMULATED server at {options.speed:g} times its speed, {WORKLOAD}, {PER_SLOT} requests per slot\n")
    print("| concurrency | run | tok/s/user | tok/s/GPU | ttft median, ms | against the first | the product says |")
    print("|---|---|---|---|---|---|---|")
    with serving(options.speed) as url:
        for concurrency in options.concurrency:
            first, said = run(url, concurrency, "one")
            print(row(concurrency, "first", first, first, said))
            for name, salt in (("second, a salt of its own", "two"), ("second, the same salt", "one")):
                again, said = run(url, concurrency, salt)
                print(row(concurrency, name, again, first, said), flush=True)


def row(concurrency: int, name: str, point: Measurement, first: Measurement, said: str) -> str:
    against = point.throughput_per_gpu / first.throughput_per_gpu - 1
    return (
        f"| {concurrency} | {name} | {point.interactivity:.1f} | {point.throughput_per_gpu:.1f} | "
        f"{1000 * point.ttft.median_s:.0f} | {against:+.1%} | {said} |"
    )


if __name__ == "__main__":
    main()
