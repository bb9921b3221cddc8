"""A gate on a real server: llama.cpp's, 4 bits against 8, started, loaded and stopped by the suite.

Figures of a shared machine spread widely, so what is held is a direction: on one core 4 bits deliver two to three times
what 8 do at the same interactivity, and the gate allows a loss of half. Of the recorded points the lowest is held: a
machine that became half as fast, or half as fast again, still reaches it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_precgate.analysis.measure.records import PointRun
from pytest_precgate.loadgen import LoadPlan, Target, run_point
from tests.engines.marked import Marked, marked
from tests.engines.undisturbed import undisturbed
from tests.published import ROOT
from tests.repository import Repository

LLAMA = ROOT / ".llama"
pytestmark = [
    pytest.mark.real_server,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not (LLAMA / "llama-server").is_file(), reason="no .llama/llama-server here; `make llama` fetches it"
    ),
]
TABLE = """
[tool.precgate.suites.llama.{precision}]
engine = "command"
model = "{precision}.gguf"
gpus = 1
vocabulary = 8192
concurrency = {concurrency}
requests_per_slot = 4
start_timeout_s = 120
stop_timeout_s = 10
argv = [
    "{server}", "-m", "{{model}}", "--host", "{{host}}", "--port", "{{port}}", "-t", "1", "-tb", "1", "-np", "16",
    "-c", "8192", "--no-kv-unified", "--cache-ram", "0", "--no-cache-prompt", "--offline",
]
"""
SETTINGS = """\
[tool.precgate.hardware.machine]
price_per_gpu_hour = 1.0
power_kw_per_gpu = 1.0

[tool.precgate.suites.llama]
hardware = "machine"
workload = { isl = 32, osl = 32 }
interactivity = "quartiles"
metrics = ["throughput_ratio"]
tolerance = 0.5
max_launches = 1
baseline_launches = 1
implausible = 4.0
"""
TEST = """\
def test_four_bits_pay_off(precgate):
    precgate.check(precgate.compare("int4", "int8"))
"""


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Marked]:
    with marked(tmp_path) as made:
        yield made


@pytest.fixture
def llama(repository: Repository, mark: Marked, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository that measures llama-server, each point on an undisturbed core."""
    monkeypatch.setenv("PRECGATE_TEST_MARK", mark.mark)
    monkeypatch.setenv("PRECGATE_LOCK_DIR", str(mark.directory))

    def run_undisturbed(target: Target, plan: LoadPlan, **more: Any) -> PointRun:
        if plan.concurrency == 1:  # the probe before the load, of which no figure is taken
            return run_point(target, plan, **more)
        (process,) = mark.servers()
        return undisturbed(process, lambda: run_point(target, plan, **more))

    monkeypatch.setattr("pytest_precgate.run.measuring.run_point", run_undisturbed)
    server = LLAMA / "llama-server"
    int4 = TABLE.format(precision="int4", concurrency="[2, 4, 16]", server=server)
    int8 = TABLE.format(precision="int8", concurrency="[2, 4, 16]", server=server)
    repository.write_settings(SETTINGS + int4 + int8)
    repository.write_test(TEST)
    link(repository, int4="q4_0", int8="q8_0")
    return repository


def link(repository: Repository, **models: str) -> None:
    """Put a model under each precision's name."""
    for precision, quantization in models.items():
        path = repository.path / f"{precision}.gguf"
        path.unlink(missing_ok=True)
        path.symlink_to(LLAMA / f"random-{quantization}.gguf")


def measured(repository: Repository, *arguments: str) -> pytest.RunResult:
    """Run pytest; skip where the run inside had to be skipped, on a machine that is too busy."""
    result = repository.run(*arguments, "-rs")
    for line in result.outlines:
        if "too busy to compare speeds" in line:
            pytest.skip(line)
    return result


def hold_the_lowest_point(repository: Repository) -> None:
    document = json.loads((repository.path / "baselines" / "llama.json").read_text(encoding="utf-8"))
    point = min(gate["point"] for gate in document["gates"])
    mark = f"import pytest\npytestmark = pytest.mark.precgate(points=[{point}])\n\n"
    repository.write_test(mark + TEST)


def test_a_real_server_is_recorded_held_and_told_from_another(llama: Repository, mark: Marked) -> None:
    """Recorded, then held; with the two models swapped the report says what changed.

    Whether the gate sees the swap is the machine's matter: four bits are a fifth faster on a quiet one.
    """
    result = measured(llama, "--precgate-update")
    assert result.ret == 0
    assert mark.running() == []
    hold_the_lowest_point(llama)
    measured(llama, "--precgate-unused=warn").stdout.fnmatch_lines(["*int4/int8 throughput_ratio*"])
    link(llama, int4="q8_0", int8="q4_0")
    result = measured(llama, "--precgate-unused=warn")
    result.stdout.fnmatch_lines(["*int4/int8 throughput_ratio*"])
    result.stdout.fnmatch_lines(["*int4: model_file is *"])
    assert mark.running() == []
