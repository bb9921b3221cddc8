"""What `precgate noise` prints of a study."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given

from pytest_precgate.analysis.accepted.baseline import Launch
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.gating.gates import Metric
from pytest_precgate.analysis.gating.noise_study import study
from pytest_precgate.reports import noise
from tests.builders.launches import POLICY, asked, gates, launched, seeds, sigmas


def studied(seed: int, sigma: float, tolerances: Mapping[Metric, float | None] | None = None) -> noise.Studied:
    curves = launched(seed, sigma)
    launches = [
        Launch(curve.sweep, Fingerprint.of(curve.sweep, ("trtllm",), {}, None))
        for launches in curves.values()
        for curve in launches
    ]
    return noise.Studied("kimi", study(gates(tolerances), curves, POLICY), launches, "a-run", "--precgate-replay=a-run")


@given(seeds, sigmas, asked)
def test_every_gate_has_its_line_and_every_refusal_its_advice(
    seed: int, sigma: float, tolerances: Mapping[Metric, float | None]
) -> None:
    """One line a gate, in the study's order, and its outcome at the end of it."""
    found = studied(seed, sigma, tolerances)
    words = {"kept": "%  kept", "widened": "%  widened to ", "refused": "%  refused: "}
    lines = [line for line in noise.render(found) if line.startswith(("fp4", "int4"))]
    for line, each in zip(lines, found.study.gates, strict=True):
        assert line.startswith(each.gate.key.quantity)
        assert words[each.outcome] in line
    text = "\n".join(noise.render(found))
    assert ("    tolerance = { " in text) == bool(found.study.advised)
    assert ("cannot keep their tolerance" in text) == any(each.outcome == "refused" for each in found.study.gates)


@given(seeds, sigmas, asked)
def test_json_holds_the_same_figures(seed: int, sigma: float, tolerances: Mapping[Metric, float | None]) -> None:
    """Plain JSON, no NaN, to the last digit."""
    found = studied(seed, sigma, tolerances)
    document = json.loads(json.dumps(noise.document(found), allow_nan=False))
    assert document["step_sigma"] == found.study.step_sigma
    for row, each in zip(document["gates"], found.study.gates, strict=True):
        assert row["values"] == list(each.launches.values)
        assert (row["sigma"], row["centre"]) == (each.noise.sigma, each.noise.centre)
        assert (row["minimum_detectable_drop"], row["outcome"]) == (each.limits.minimum_detectable_drop, each.outcome)
    assert document["advised_tolerance"] == {metric.value: share for metric, share in found.study.advised.items()}


def test_what_was_launched_is_counted() -> None:
    """Launches by precision, and every point of them."""
    found = studied(0, 0.01)
    points = sum(len(sweep.points) for sweep in found.sweeps)
    assert found.launched == f"10 launches (5 of fp4, 5 of int4), {points} points"
    assert f"measured: {found.launched}" in noise.render(found)


def test_a_resumed_launch_is_said() -> None:
    """Points of two starts are no single draw of the noise."""
    found = studied(0, 0.01)
    assert not any("resumed" in line for line in noise.render(found))
    sweep = found.sweeps[0]
    again = Launch(sweep, Fingerprint.of(sweep, ("trtllm",), {"resumed.1": 1}, None))
    resumed = noise.Studied("kimi", found.study, [again, *found.launches[1:]], "a-run", "")
    assert any(line.startswith("1 of these launches were resumed") for line in noise.render(resumed))


def test_an_endpoint_is_said_to_be_no_fresh_start() -> None:
    """Its server ran all along: the noise from start to start, the larger one, was not seen."""
    found = studied(0, 0.01)
    attached = replace(found, attached=("int4",))
    assert any(line.startswith("INT4: a running server is swept again") for line in noise.render(attached))


@pytest.mark.parametrize(
    ("sigma", "word"), [(0.03, "or the median of "), (0.2, "no tolerance below implausible (50%)")]
)
def test_a_refusal_names_the_ways_out(sigma: float, word: str) -> None:
    """A tolerance to ask for, a number of launches; or that there is neither."""
    found = studied(0, sigma, {Metric.THROUGHPUT_PER_GPU: 0.1})
    assert any(word in line for line in noise.render(found))
