"""Suites of recorded points that gate what their files state beside interactivity and throughput, through pytest."""

from __future__ import annotations

import json

import pytest

from tests.interop import results
from tests.repository import Repository

SETTINGS = """\
[tool.precgate.suites.agentic]
hardware = "b200"
workload = { isl = 1000, osl = 500 }
interactivity = [30]
axis = "e2e"
metrics = ["throughput_per_gpu", "ttft_p90"]
tolerance = { ttft_p90 = 0.1 }
fp4 = { engine = "recorded", path = "fp4.json" }
int4 = { engine = "recorded", path = "int4.json" }
"""
TEST = """\
def test_agentic(precgate):
    precgate.check(precgate.compare("fp4", "int4"))
"""


def cloud(precision: str, speed: float = 1.0, ttft: float = 0.9, **changes: object) -> list[results.Result]:
    """Three agentic points, their end-to-end interactivity 40, 30 and 20 tok/s/user."""
    latency = "request_metrics__latency"
    return [
        results.agentic(
            precision=precision,
            conc=concurrency,
            joules_per_total_token=...,
            request_metrics__throughput__per_gpu__total_tput_tps=speed * throughput,
            **{f"{latency}__e2e_norm_intvty__p90": interactivity, f"{latency}__ttft__p90": ttft, **changes},
        )
        for concurrency, interactivity, throughput in ((10, 40.0, 280.0), (12, 30.0, 330.0), (14, 20.0, 380.0))
    ]


@pytest.fixture
def agentic(repository: Repository) -> Repository:
    repository.write_settings(SETTINGS)
    repository.write_test(TEST)
    write(repository, "fp4", cloud("fp4"))
    write(repository, "int4", cloud("int4", 0.4))
    return repository


def write(repository: Repository, name: str, points: list[results.Result]) -> None:
    (repository.path / f"{name}.json").write_text(json.dumps(points), encoding="utf-8")


def test_agentic_results_are_gated_at_their_end_to_end_interactivity(agentic: Repository) -> None:
    """InferenceX's e2e_norm_intvty is the axis; a later ttft fails its gate; a file without it is refused by point."""
    assert agentic.run("--precgate-update").ret == 0
    assert agentic.run("--precgate-json=g.json").ret == 0
    (check,) = json.loads((agentic.path / "g.json").read_text(encoding="utf-8"))["checks"]
    read = {(gate["metric"], gate["precision"]): gate["value"] for gate in check["gates"]}
    assert read["throughput_per_gpu", "fp4"] == pytest.approx(330.0)
    assert read["ttft_p90", "int4"] == pytest.approx(0.9)
    write(agentic, "fp4", cloud("fp4", ttft=1.2))
    late = agentic.run()
    assert late.ret == 1
    late.stdout.fnmatch_lines(["*REGRESSED*ttft_p90*"])
    write(agentic, "fp4", cloud("fp4", request_metrics__latency__e2e_norm_intvty=...))
    lacking = agentic.run()
    assert lacking.ret == 1
    lacking.stdout.fnmatch_lines(["*the point at concurrency 10 has no end-to-end interactivity*"])
