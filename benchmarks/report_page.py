"""What the HTML report costs: its bytes, the time to write it, and the time until a browser shows it.

    python benchmarks/report_page.py [--runs 20]

The page is of three suites of two precisions of 20 points, three launches of a run with every detail, and baselines of
five launches; all points are invented. Times in a browser are medians from the start of the navigation, in headless
Chromium, warm, from disk, without a network: "interactive" is when every handler is there, "painted" the second frame
after the page has loaded, "main thread" the CPU time of the browser's main thread until then. Without playwright or
Chromium they are left out."""

from __future__ import annotations

import argparse
import gzip
import os
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from pytest_precgate.analysis.accepted.baseline import Baseline, Launch, Provenance, RecordedGate
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.curves.comparison import Comparison
from pytest_precgate.analysis.curves.details import FIGURES, PointDetails
from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.gating.gates import DEFAULT_METRICS, Tolerance, gates_of
from pytest_precgate.analysis.gating.verdict import Evidence, judge
from pytest_precgate.analysis.report import GateReport, LogTail, RunReport, SuiteBackground
from pytest_precgate.reports.html.model import document
from pytest_precgate.reports.html.page import render

SUITES, POINTS, TARGETS = ("kimi", "deepseek", "qwen"), 20, (50.0, 70.0, 90.0)
B200 = HARDWARE["b200"]
MADE = Provenance("0123456789abcdef", "2026-11-28T06:00:00Z", "0.1.0", "")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
READY = "performance.getEntriesByName('precgate-ready')[0].startTime"
PAINTED = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"


def sweep(precision: str, draw: random.Random) -> Sweep:
    """Points of two configurations whose pace scatters."""
    strength, pace = 100.0 if precision == "fp4" else 35.0, 1 + draw.gauss(0, 0.004)
    points = []
    for number in range(POINTS):
        concurrency = number // 2 + 1
        speed = float(f"{150 / (1 + 0.35 * concurrency) ** 0.8 * pace:.6g}")
        throughput = float(f"{strength * (1 + concurrency) ** 0.9 * pace:.6g}")  # a run keeps six digits
        configuration = f"tp{4 + 4 * (number % 2)}"
        rising = sorted(draw.uniform(0.001, 20) for _ in FIGURES)  # as percentiles are
        details = PointDetails(**dict(zip(FIGURES, rising, strict=True)))
        points.append(SweepPoint(concurrency, 4, speed, throughput, configuration, details=details))
    return Sweep(precision, Workload(1024, 1024, 0.8), "b200", points)


def launch(precision: str, draw: random.Random) -> Launch:
    facts: dict[str, str | int | float] = {f"fact.{number}": f"value {number} of a fact" for number in range(25)}
    made = sweep(precision, draw)
    return Launch(made, Fingerprint.of(made, ("trtllm",), facts))


def checked(suite: str, draw: random.Random) -> tuple[GateReport, SuiteBackground]:
    """A suite with three launches of a run, five of a baseline, and its gates judged by the first."""
    names = ("fp4", "int4")
    gates = gates_of("fp4", "int4", TARGETS, {metric: Tolerance() for metric in DEFAULT_METRICS}, 0.9)
    test = f"tests/test_{suite}.py::test_fp4_pays_off"
    old = [launch(name, draw) for name in names for _ in range(5)]
    baseline = Baseline(suite, old, [RecordedGate(test, gate.key) for gate in gates], MADE, B200)
    launches = {name: [launch(name, draw) for _ in range(3)] for name in names}
    curves = {name: each[0].curve(B200, "derived") for name, each in launches.items()}
    values = baseline.values([gate.key for gate in gates], B200, "derived")
    judged = []
    for gate in gates:
        value = gate.key.read(curves)
        evidence = Evidence(0.004, 0.03, 3, 0.04, 0.012, values=(value,) * 3)
        found = judge(gate, value, values[gate.key])
        judged.append(type(found)(gate, found.verdict, found.value, found.baseline, found.reason, evidence))
    pair = Comparison(curves["fp4"], curves["int4"])
    report = GateReport(
        suite, test, pair, TARGETS, tuple(judged), "failed", (), f"baselines/{suite}.json", "first good"
    )
    settings = {f"{name}.options.option_{number}": number for name in names for number in range(40)}
    logs = tuple(LogTail(f"{name}/server.log", "a line of a log, as engines write them\n" * 40) for name in names)
    return report, SuiteBackground(suite, launches, baseline, settings, logs, "a-run")


def browser_times(page: Path, runs: int) -> dict[str, float] | None:
    """Median milliseconds until the page is interactive and until it is painted, and of CPU; None without a browser."""
    binary = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415
    except ImportError:
        return None
    if binary is None:
        return None
    times: dict[str, list[float]] = {"interactive": [], "painted": [], "main thread, CPU": []}
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser: Any = playwright.chromium.launch(executable_path=binary, args=arguments)
        for number in range(runs + 1):
            context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
            shown = context.new_page()
            devtools = context.new_cdp_session(shown)
            devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
            shown.goto(page.as_uri())
            painted = shown.evaluate(PAINTED)
            if number:  # the first one warms the browser
                times["interactive"].append(shown.evaluate(READY))
                times["painted"].append(painted)
                metrics = {each["name"]: each["value"] for each in devtools.send("Performance.getMetrics")["metrics"]}
                times["main thread, CPU"].append(1000 * metrics["TaskDuration"])
            context.close()
        browser.close()
    return {name: statistics.median(each) for name, each in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    draw = random.Random(0)
    made = [checked(suite, draw) for suite in SUITES]
    report = RunReport(checks=tuple(check for check, _ in made))
    behind = [each for _, each in made]
    seconds: dict[str, list[float]] = {"document": [], "page": []}
    text = ""
    for _ in range(runs):
        start = time.perf_counter()
        found = document(report, behind, MADE)
        middle = time.perf_counter()
        text = render(found)
        seconds["document"].append(middle - start)
        seconds["page"].append(time.perf_counter() - middle)
    data = text.encode()
    print(f"HTML report of {len(SUITES)} suites x 2 precisions x {POINTS} points, 3 launches and baselines of 5")
    print(f"bytes                     {len(data):>10,}   gzip {len(gzip.compress(data)):,}")
    for name, each in seconds.items():
        print(f"{f'write: {name}, ms':<26}{1000 * statistics.median(each):>10.1f}")
    with tempfile.TemporaryDirectory() as temporary:
        page = Path(temporary) / "page.html"
        page.write_text(text, encoding="utf-8")
        times = browser_times(page, runs)
    if times is None:
        print("browser: not measured: no playwright, or no Chromium")
        return
    for name, value in times.items():
        print(f"{f'browser: {name}, ms':<26}{value:>10.0f}")


if __name__ == "__main__":
    main()
