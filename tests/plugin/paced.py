"""The simulated engine with a pace per launch that a test sets, and what a run of it reported."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from tests.repository import Repository

# Requests of one length and no noise of their own: two launches of one pace give the same figures to the last digit.
SETTINGS = """\
[tool.precgate.suites.kimi]
hardware = "b200"
workload = { isl = 128, osl = 64 }
interactivity = [85, 100]
metrics = ["throughput_ratio", "throughput_per_gpu"]

[tool.precgate.suites.kimi.fp4]
engine = "simulated"
calibration = "kimi-k2.5-b200-fp4-tp4"
concurrency = [4, 8, 16, 32]
requests_per_slot = 4

[tool.precgate.suites.kimi.int4]
engine = "simulated"
calibration = "kimi-k2.5-b200-int4-tp8"
concurrency = [2, 4, 8, 16]
requests_per_slot = 4
"""
QUIET = [1.0, 1.003, 0.997, 1.002, 0.998]
Paced = Callable[..., None]
JSON = "--precgate-json=found.json"


def gates(repository: Repository) -> Mapping[tuple[str, float], Mapping[str, object]]:
    """The gates of the last report, by quantity and point."""
    found = json.loads((repository.path / "found.json").read_text(encoding="utf-8"))["checks"][0]["gates"]
    return {(f"{gate['precision']} {gate['metric']}", gate["point"]): gate for gate in found}


def verdicts(repository: Repository) -> set[object]:
    return {gate["verdict"] for gate in gates(repository).values()}


def launches(repository: Repository) -> Mapping[str, int]:
    """How many launches of each precision the last run measured."""
    journal = max(repository.path.glob(".precgate/runs/*/journal.jsonl"))
    lines = [json.loads(line) for line in journal.read_text(encoding="ascii").splitlines()]
    done = [line["launch"]["precision"] for line in lines if line["event"] == "finished"]
    return {name: done.count(name) for name in ("fp4", "int4")}
