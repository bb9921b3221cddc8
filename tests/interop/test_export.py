"""What is written is read back as the same points."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.interop.export import inferencex_json, points_csv
from pytest_precgate.interop.importers import imported
from pytest_precgate.interop.rows import NOTHING
from pytest_precgate.interop.sweeps import sweeps_of
from tests.published import kimi

NAMES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8)


@st.composite
def sweeps(draw: st.DrawFn) -> Sweep:
    """A sweep of points that can be, under names that a CSV must quote."""
    points = []
    for concurrency in draw(st.sets(st.integers(1, 512), min_size=1, max_size=4)):
        interactivity, gpus = draw(st.floats(1.0, 500.0)), draw(st.integers(1, 16))
        throughput = draw(st.floats(0.01, 1.0)) * concurrency * interactivity / gpus
        points.append(SweepPoint(concurrency, gpus, interactivity, throughput, draw(NAMES)))
    return Sweep(draw(NAMES), Workload(draw(st.integers(1, 9999)), draw(st.integers(1, 9999))), draw(NAMES), points)


@given(sweeps(), st.lists(st.text(), max_size=3))
def test_our_csv_is_read_back_to_the_last_digit(sweep: Sweep, remarks: list[str]) -> None:
    """Names with commas, quotes and number signs, and remarks of any text, included."""
    assert sweeps_of(imported(points_csv([sweep], remarks), "f").rows, NOTHING) == [sweep]


@given(sweeps())
def test_inferencex_s_json_is_read_back_as_the_same_points(sweep: Sweep) -> None:
    """Interactivity goes through the tpot, which costs the last digit."""
    (back,) = sweeps_of(imported(inferencex_json([sweep]), "f").rows, NOTHING)
    assert (back.precision, back.hardware, back.workload) == (sweep.precision, sweep.hardware, sweep.workload)
    for ours, theirs in zip(sweep.points, back.points, strict=True):
        assert ours.key == theirs.key
        assert ours.throughput_per_gpu == theirs.throughput_per_gpu
        assert abs(ours.interactivity / theirs.interactivity - 1) < 1e-12


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
