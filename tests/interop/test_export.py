"""What is written is read back as the same points."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.curves.details import FIGURES, PointDetails
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.errors import RecordedPointsError
from pytest_precgate.interop.export import inferencex_json, points_csv
from pytest_precgate.interop.importers import imported
from pytest_precgate.interop.rows import NOTHING
from pytest_precgate.interop.sweeps import sweeps_of
from tests.published import kimi

SLO = {"slo_ttft_s", "slo_tpot_s"}
HAVE_A_NAME = {
    *(f"{kind}_{name}_s" for kind in ("ttft", "tpot", "request_latency") for name in ("mean", "p50", "p90", "p99")),
    *("output_throughput_per_gpu", "mean_power_w", "joules_per_token"),
}
"""The details that InferenceX's format has a name for."""
NAMES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8)


@st.composite
def sweeps(draw: st.DrawFn) -> Sweep:
    """A sweep of points that can be, under names that a CSV must quote."""
    points = []
    workload = Workload(draw(st.integers(1, 9999)), draw(st.integers(1, 9999)))
    for concurrency in draw(st.sets(st.integers(1, 512), min_size=1, max_size=4)):
        interactivity, gpus = draw(st.floats(1.0, 500.0)), draw(st.integers(1, 16))
        throughput = draw(st.floats(0.01, 1.0)) * concurrency * interactivity / gpus
        point = SweepPoint(concurrency, gpus, interactivity, throughput, draw(NAMES))
        points.append(replace(point, details=draw(st.none() | details(point, workload))))
    return Sweep(draw(NAMES), workload, draw(NAMES), points)


@st.composite
def details(draw: st.DrawFn, point: SweepPoint, workload: Workload) -> PointDetails:
    """Any of the figures, such as the point may have."""
    decode = workload.osl / point.interactivity
    slowness = draw(st.lists(st.floats(0.1, 2.0), min_size=3, max_size=3).map(sorted))
    figures: dict[str, float] = {}
    for kind, typical in (("ttft", decode / 100), ("tpot", 1 / point.interactivity), ("itl", 0.02)):
        figures |= {
            f"{kind}_p{p}_s": typical * slow / slowness[0] for p, slow in zip((50, 90, 99), slowness, strict=True)
        }
        figures[f"{kind}_mean_s"] = typical * 1.1
    figures |= {f"request_latency_{name}_s": decode * (1 + n) for n, name in enumerate(("mean", "p50", "p90", "p99"))}
    power = draw(st.floats(100.0, 1500.0))
    figures |= {"mean_power_w": power, "joules_per_token": power / point.throughput_per_gpu}
    figures |= {"output_throughput_per_gpu": draw(st.floats(0.01, 0.99)) * point.throughput_per_gpu}
    figures |= {"e2e_interactivity": point.interactivity / 2, "batch": 3.0, "preemptions": 0.0}
    figures |= {"goodput": 0.0, "slo_ttft_s": 0.5, "slo_tpot_s": 0.02, "cached_share": draw(st.floats(0.0, 1.0))}
    chosen = draw(st.sets(st.sampled_from(sorted(figures.keys() & {*FIGURES} - SLO))))
    chosen |= SLO if "goodput" in chosen else set()
    return PointDetails(**{name: figures[name] for name in chosen})


def known(point: SweepPoint) -> dict[str, float]:
    return {} if point.details is None else point.details.known


@given(sweeps(), st.lists(st.text(), max_size=3))
def test_our_csv_is_read_back_to_the_last_digit(sweep: Sweep, remarks: list[str]) -> None:
    """Names with commas, quotes and number signs, and remarks of any text, included."""
    (back,) = sweeps_of(imported(points_csv([sweep], remarks), "f").rows, NOTHING)
    assert back == sweep
    assert [known(point) for point in back.points] == [known(point) for point in sweep.points]


@given(sweeps())
def test_inferencex_s_json_is_read_back_as_the_same_points(sweep: Sweep) -> None:
    """Interactivity goes through the tpot, which costs the last digit."""
    (back,) = sweeps_of(imported(inferencex_json([sweep]), "f").rows, NOTHING)
    assert (back.precision, back.hardware, back.workload) == (sweep.precision, sweep.hardware, sweep.workload)
    for ours, theirs in zip(sweep.points, back.points, strict=True):
        assert ours.key == theirs.key
        assert ours.throughput_per_gpu == theirs.throughput_per_gpu
        assert abs(ours.interactivity / theirs.interactivity - 1) < 1e-12
        kept = {name: figure for name, figure in known(ours).items() if name in HAVE_A_NAME}
        median = {"tpot_p50_s": 1 / ours.interactivity}
        assert known(theirs) == pytest.approx(kept | median)


def test_an_end_to_end_sweep_is_exported_with_its_median_tpot() -> None:
    """1 / its interactivity is no tpot; a point that does not know its own is refused."""
    point = SweepPoint(8, 4, 30.0, 200.0, details=PointDetails(tpot_p50_s=0.02))
    sweep = Sweep("fp4", Workload(1024, 1024), "b200", [point], axis="e2e")
    (told,) = json.loads(inferencex_json([sweep]))
    assert (told["median_tpot"], told["median_intvty"]) == (0.02, 50.0)
    with pytest.raises(RecordedPointsError, match="concurrency 8 has an end-to-end interactivity and no median tpot"):
        inferencex_json([replace(sweep, points=[replace(point, details=None)])])


def test_inferencex_s_objects_have_its_names_and_units() -> None:
    """One object per point; seconds; input and output tokens per GPU."""
    document = json.loads(inferencex_json([kimi("int4")]))
    assert len(document) == 5
    assert document[0] == {
        "hw": "b200",
        "conc": 4,
        "precision": "int4",
        "configuration": "vllm-tp8-ep1",
        "disagg": False,
        "isl": 1024,
        "osl": 1024,
        "is_multinode": False,
        "tp": 8,
        "tput_per_gpu": 107.62577653479391,
        "median_tpot": 1 / 111.9877449002234,
        "median_intvty": 111.9877449002234,
    }
