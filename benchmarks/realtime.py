"""The simulated server in real time, swept by the real client, against its own virtual time.

    python benchmarks/realtime.py [--speed 1.0]

The same requests go through both. The client's check of itself is shown beside the figures: on a busy machine it is the
client that is late, and the check says so."""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import replace

from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.metrics import measure
from pytest_precgate.engines.simulated.calibration import shipped
from pytest_precgate.engines.simulated.model import Limits
from pytest_precgate.engines.simulated.scheduler import simulate
from pytest_precgate.loadgen import LoadPlan, Prompts, Target, run_point

NAME = "kimi-k2.5-b200-fp4-tp4"
WORKLOAD = Workload(isl=256, osl=128, range_ratio=0.8)
PER_SLOT = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", type=float, default=1.0)
    speed = parser.parse_args().speed
    command = [sys.executable, "-m", "pytest_precgate.cli", "serve-simulated", "--port", "0", "--speed", str(speed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            table(process.stdout.readline().split()[-1], speed)
        finally:
            process.kill()


def table(url: str, speed: float) -> None:
    print(f"SIMULATED server at {speed:g} times its speed, {WORKLOAD}, {PER_SLOT} requests per slot, steady window")
    head = (
        "concurrency",
        "tpot, ms",
        "virtual",
        "difference",
        "tok/s/GPU",
        "virtual",
        "difference",
        "CPU",
        "lag p99, ms",
    )
    print("".join(f"{name:>13}" for name in head))
    step_time, prompts = shipped()[NAME].step_time, Prompts(WORKLOAD, token_high=32000)
    model = replace(step_time, overhead_s=step_time.overhead_s / speed)  # the pace below is that of steps alone
    for concurrency in (1, 2, 4, 8, 16, 32, 64):
        count = PER_SLOT * concurrency
        plan = LoadPlan(prompts, concurrency, count)
        run = run_point(Target(url, NAME), plan)
        asked = [plan.ask(number) for number in range(count)]
        lengths = [(len(ask.prompt), ask.output_tokens) for ask in asked]
        check = run.client
        assert check is not None
        real = measure(replace(run, client=None), 4)
        virtual = measure(simulate(model, Limits(), lengths, concurrency, lambda: 1 / speed), 4)
        tpot, tokens = real.tpot.median_s, real.throughput_per_gpu
        print(
            f"{concurrency:>13}{1000 * tpot:>13.2f}{1000 * virtual.tpot.median_s:>13.2f}"
            f"{tpot / virtual.tpot.median_s - 1:>13.1%}{tokens:>13.1f}{virtual.throughput_per_gpu:>13.1f}"
            f"{tokens / virtual.throughput_per_gpu - 1:>13.1%}{check.cpu_share:>13.0%}"
            f"{1000 * check.loop_lag_p99_s:>13.2f}"
        )


if __name__ == "__main__":
    main()
