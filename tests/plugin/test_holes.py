"""A point that collapses, is dominated or is gone, through pytest: no suite passes by it, and the point is named."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence

import pytest

from pytest_precgate.engines.simulated.calibration import shipped
from pytest_precgate.engines.simulated.model import StepTime
from tests.published import POINTS
from tests.repository import Repository

SETTINGS = """\
[tool.precgate.suites.kimi]
hardware = "b200"
workload = { isl = 1024, osl = 1024, range_ratio = 0.8 }
interactivity = [40, 60, 80]

[tool.precgate.suites.kimi.fp4]
engine = "recorded"
path = "points.csv"

[tool.precgate.suites.kimi.int4]
engine = "recorded"
path = "points.csv"
"""
HEADER = "precision,configuration,gpus,hardware,isl,osl,concurrency,interactivity,throughput_per_gpu\n"
FP4 = ((1, 120, 60), (4, 100, 190), (16, 75, 560), (64, 45, 1300), (128, 30, 1700))
INT4 = ((1, 110, 40), (4, 90, 120), (16, 65, 300), (64, 38, 600), (128, 25, 800))
Row = tuple[int, float, float]
JSON = "--precgate-json=found.json"


def write(repository: Repository, fp4: Sequence[Row], int4: Sequence[Row] = INT4) -> None:
    rows = [(name, *row) for name, each in (("fp4", fp4), ("int4", int4)) for row in each]
    lines = [f"{name},tp4,4,b200,1024,1024,{c},{speed},{throughput}\n" for name, c, speed, throughput in rows]
    (repository.path / "points.csv").write_text(HEADER + "".join(lines), encoding="utf-8")


def verdicts(repository: Repository) -> Mapping[tuple[str, float], str]:
    """The verdicts of the last run, by quantity and point."""
    found = json.loads((repository.path / "found.json").read_text(encoding="utf-8"))["checks"][0]["gates"]
    return {(f"{gate['precision']} {gate['metric']}", gate["point"]): gate["verdict"] for gate in found}


LIVE = """\
[tool.precgate.suites.kimi]
hardware = "b200"
workload = { isl = 128, osl = 64 }
interactivity = [90, 105]
metrics = ["throughput_per_gpu"]
max_launches = 2
baseline_launches = 3

[tool.precgate.suites.kimi.fp4]
engine = "simulated"
calibration = "kimi-k2.5-b200-fp4-tp4"
concurrency = [1, 4, 10]
requests_per_slot = 4

[tool.precgate.suites.kimi.int4]
engine = "simulated"
calibration = "kimi-k2.5-b200-int4-tp8"
concurrency = [2, 4, 8, 16]
requests_per_slot = 4
"""


@pytest.fixture
def coarse(repository: Repository) -> Repository:
    """A recorded suite of five points a precision, with an accepted baseline."""
    repository.write_settings(SETTINGS)
    write(repository, FP4)
    assert repository.run("--precgate-update").ret == 0
    assert repository.run().ret == 0
    return repository


@pytest.mark.parametrize("throughput", [900, 600, 500, 300, 60])
def test_a_point_that_collapses_fails_every_gate_it_serves(coarse: Repository, throughput: float) -> None:
    """However low it falls, on the frontier or off it: REGRESSED at 40, 60 and 80 tok/s/user, and it is named."""
    write(coarse, [row if row[0] != 64 else (64, 45, throughput) for row in FP4])
    result = coarse.run(JSON)
    assert result.ret == 1
    found = verdicts(coarse)
    assert {found["fp4 throughput_per_gpu", point] for point in (40, 60, 80)} == {"REGRESSED"}
    assert {found["fp4/int4 throughput_ratio", point] for point in (40, 60, 80)} == {"REGRESSED"}
    assert {found["int4 throughput_per_gpu", point] for point in (40, 60, 80)} == {"PASS"}
    loss = f"{1 - throughput / 1300:.0%}"
    result.stdout.fnmatch_lines(
        [f"REGRESSED  fp4 throughput_per_gpu at 80 *; fp4 tp4 concurrency 64 is {loss} below its baseline"]
    )


def test_a_point_that_is_gone_makes_its_gates_inconclusive(coarse: Repository) -> None:
    """The row deleted: no gate is read across the hole, and the row is named."""
    write(coarse, [row for row in FP4 if row[0] != 64])
    result = coarse.run(JSON)
    assert result.ret == 1
    assert {verdicts(coarse)["fp4 throughput_per_gpu", point] for point in (40, 60, 80)} == {"INCONCLUSIVE"}
    result.stdout.fnmatch_lines(
        ["INCONCLUSIVE  fp4 throughput_per_gpu at 40 *fp4 tp4 concurrency 64 was not measured; *measure it as well"]
    )


def test_a_batch_size_without_a_cuda_graph(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """A grid of 1, 4 and 10, and steps eight times longer at batch 4 alone: REGRESSED in every launch, by its name."""
    repository.write_settings(LIVE)
    assert repository.run("--precgate-update").ret == 0
    seconds = StepTime.seconds

    def slow(step: StepTime, batch: int, context: int, prefill: int) -> float:
        is_fp4 = step == shipped()["kimi-k2.5-b200-fp4-tp4"].step_time
        return seconds(step, batch, context, prefill) * (8 if batch == 4 and is_fp4 else 1)

    monkeypatch.setattr(StepTime, "seconds", slow)
    result = repository.run(JSON)
    assert result.ret == 1
    assert {verdicts(repository)["fp4 throughput_per_gpu", point] for point in (90, 105)} == {"REGRESSED"}
    result.stdout.fnmatch_lines(["REGRESSED  fp4 throughput_per_gpu at 90 *fp4 default concurrency 4 is *% below*"])


def test_a_neighbour_that_lifts_the_curve_when_it_falls_lifts_no_gate(coarse: Repository) -> None:
    """1700 to 1500 raises Steffen's curve at 60 by 3.7%, and its gate fails by that very point."""
    write(coarse, [row if row[0] != 128 else (128, 30, 1500) for row in FP4])
    result = coarse.run(JSON)
    assert result.ret == 1
    assert verdicts(coarse)["fp4 throughput_per_gpu", 60] == "REGRESSED"
    result.stdout.fnmatch_lines(["REGRESSED *fp4 throughput_per_gpu at 60 *concurrency 128 is 12% below its baseline*"])


def test_a_reference_that_falls_out_of_its_own_curve_improves_no_ratio(coarse: Repository) -> None:
    """INT4's concurrency 16 loses half: with ratios alone, FP4 would look far better than it is."""
    coarse.change_settings("interactivity", 'metrics = ["throughput_ratio"]\ninteractivity')
    assert coarse.run("--precgate-update", "--precgate-reason=other gates").ret == 0
    write(coarse, FP4, [row if row[0] != 16 else (16, 65, 150) for row in INT4])
    result = coarse.run(JSON)
    assert result.ret == 1
    assert verdicts(coarse)["fp4/int4 throughput_ratio", 60] == "REGRESSED"
    result.stdout.fnmatch_lines(["REGRESSED *int4 tp4 concurrency 16 is 50% below its baseline*"])


def test_what_slows_both_precisions_alike_still_cancels_in_a_ratio(coarse: Repository) -> None:
    """Every point of both 10% down: ratios pass, the gates of each precision do not."""
    slower = [[(c, speed, 0.9 * throughput) for c, speed, throughput in each] for each in (FP4, INT4)]
    write(coarse, *slower)
    assert coarse.run(JSON).ret == 1
    found = verdicts(coarse)
    assert {verdict for (quantity, _), verdict in found.items() if "ratio" in quantity} == {"PASS"}
    assert {verdict for (quantity, _), verdict in found.items() if "ratio" not in quantity} == {"REGRESSED"}


def test_a_point_that_serves_no_target_is_held_against_nothing(coarse: Repository) -> None:
    """Gates at 40 alone: concurrency 1 is neither its neighbour nor the next one."""
    coarse.change_settings("[40, 60, 80]", "[40]")
    assert coarse.run("--precgate-update", "--precgate-reason=other gates").ret == 0
    write(coarse, [row if row[0] != 1 else (1, 120, 6) for row in FP4])
    assert coarse.run().ret == 0


def test_a_waiver_covers_no_hole(coarse: Repository) -> None:
    """A loss of up to 45% is agreed to at 60; concurrency 64 lost 60%, and the gate is REGRESSED all the same."""
    coarse.change_settings("interactivity", 'metrics = ["throughput_per_gpu"]\ninteractivity')
    coarse.change_settings("[40, 60, 80]", "[60]")
    assert coarse.run("--precgate-update", "--precgate-reason=other gates").ret == 0
    coarse.change_settings(
        "[tool.precgate.suites.kimi.fp4]",
        '[[tool.precgate.waive]]\nsuite = "kimi"\nmetric = "throughput_per_gpu"\nprecision = "fp4"\npoint = 60\n'
        'ceiling = 0.45\nreason = "agreed"\nexpires = 2999-12-31\n\n[tool.precgate.suites.kimi.fp4]',
    )
    write(coarse, [row if row[0] != 64 else (64, 45, 800) for row in FP4])
    assert coarse.run().ret == 0
    write(coarse, [row if row[0] != 64 else (64, 45, 520) for row in FP4])
    result = coarse.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["REGRESSED  fp4 throughput_per_gpu at 60 *by more than its waiver allows*"])


def test_the_published_points_with_one_cut_to_a_tenth(accepted: Repository) -> None:
    """FP4 TP4 at concurrency 64: its gates fail and name it, none reads better than its baseline."""
    rows = list(csv.reader(io.StringIO(POINTS.read_text(encoding="utf-8"))))
    for row in rows:
        if row[:2] == ["fp4", "vllm-tp4-ep1"] and row[6] == "64":
            row[8] = repr(float(row[8]) / 10)
    (accepted.path / "points.csv").write_text("".join(",".join(row) + "\n" for row in rows), encoding="utf-8")
    result = accepted.run(JSON)
    assert result.ret == 1
    found = verdicts(accepted)
    assert found["fp4 throughput_per_gpu", 55] == "REGRESSED"
    assert not {"IMPROVED", "IMPLAUSIBLE"} & {*found.values()}
    result.stdout.fnmatch_lines(
        ["REGRESSED  fp4 throughput_per_gpu at 55 *fp4 vllm-tp4-ep1 concurrency 64 is 90% below its baseline*"]
    )


def test_a_false_alarm_across_a_gap_of_one_side(repository: Repository) -> None:
    """Two unchanged sweeps of which one lacks concurrency 16: INCONCLUSIVE with its name, no regression of 16%."""
    repository.write_settings(SETTINGS.replace("[40, 60, 80]", '[81.8]\nmetrics = ["throughput_per_gpu"]'))
    int4 = ((4, 100, 100), (32, 50, 400))
    both = ((8, 92.8, 371), (9, 78.8, 354), (16, 70.5, 564), (21, 59.0, 619))
    write(repository, both, int4)
    assert repository.run("--precgate-update").ret == 0
    write(repository, [*(row for row in both if row[0] != 16), (22, 58.2, 641)], int4)
    result = repository.run(JSON)
    assert result.ret == 1
    assert verdicts(repository)["fp4 throughput_per_gpu", 81.8] == "INCONCLUSIVE"
    result.stdout.fnmatch_lines(["INCONCLUSIVE *fp4 tp4 concurrency 16 was not measured; *"])
    write(repository, [*both, (22, 58.2, 641)], int4)
    assert repository.run().ret == 0
