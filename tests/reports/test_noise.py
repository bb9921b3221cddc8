"""What `precgate noise` prints of a study."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given

from pytest_precgate.analysis.accepted.baseline import Launch
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.gating.gates import Metric
from pytest_precgate.analysis.gating.noise_study import study
from pytest_precgate.reports import noise
from pytest_precgate.reports.layout import catches
from tests.builders.launches import POLICY, asked, gates, launched, seeds, sigmas


def studied(seed: int, sigma: float, tolerances: Mapping[Metric, float | None] | None = None) -> noise.Studied:
    curves = launched(seed, sigma)
    launches = [
        Launch(curve.sweep, Fingerprint.of(curve.sweep, ("trtllm",), {}, None))
        for launches in curves.values()
        for curve in launches
    ]
    return noise.Studied(
        "kimi", study(gates(tolerances), curves, POLICY), launches, "a-run", "pytest --precgate-replay=a-run"
    )


@given(seeds, sigmas, asked)
def test_every_gate_has_its_line_and_a_refusal_its_advice(
    seed: int, sigma: float, tolerances: Mapping[Metric, float | None]
) -> None:
    """One line a gate, in the study's order, what it catches at its end; the must_detect that refuses none below."""
    found = studied(seed, sigma, tolerances)
    lines = [line for line in noise.render(found, 400) if line.startswith(("fp4", "int4"))]
    for line, each in zip(lines, found.study.gates, strict=True):
        assert line.startswith(each.gate.key.quantity)
        assert line.endswith(catches(each.limits.minimum_detectable_drop, each.limits.largest_detectable_drop))
    text = "\n".join(noise.render(found, 400))
    assert ("in the settings of the suite: must_detect = " in text) == (found.study.must_detect is not None)
    assert ("will be INCONCLUSIVE for any launch" in text) == bool(found.study.refused)


@given(seeds, sigmas, asked)
def test_json_holds_the_same_figures(seed: int, sigma: float, tolerances: Mapping[Metric, float | None]) -> None:
    """Plain JSON, no NaN, to the last digit."""
    found = studied(seed, sigma, tolerances)
    document = json.loads(json.dumps(noise.document(found), allow_nan=False))
    assert document["step_sigma"] == found.study.step_sigma
    for row, each in zip(document["gates"], found.study.gates, strict=True):
        assert (row["sigma"], row["tolerance"]) == (each.noise.sigma, each.gate.tolerance)
        for name in ("noise_floor", "minimum_detectable_drop", "largest_detectable_drop", "must_detect", "refusal"):
            assert row[name] == getattr(each.limits, name)
    assert document["advised_must_detect"] == found.study.must_detect


def test_what_was_launched_is_counted() -> None:
    """Launches by precision, and every point of them."""
    found = studied(0, 0.01)
    points = sum(len(sweep.points) for sweep in found.sweeps)
    assert found.launched == f"10 launches (5 of fp4, 5 of int4), {points} points"
    assert f"measured: {found.launched}" in noise.render(found, 400)


def test_a_resumed_launch_is_said() -> None:
    """Points of two starts are no single draw of the noise."""
    found = studied(0, 0.01)
    assert not any("resumed" in line for line in noise.render(found, 400))
    sweep = found.sweeps[0]
    again = Launch(sweep, Fingerprint.of(sweep, ("trtllm",), {"resumed.1": 1}, None))
    resumed = noise.Studied("kimi", found.study, [again, *found.launches[1:]], "a-run", "")
    assert any(line.startswith("1 of these launches were resumed") for line in noise.render(resumed, 400))


def test_an_endpoint_is_said_to_be_no_fresh_start() -> None:
    """Its server ran all along: the noise from start to start, the larger one, was not seen."""
    found = studied(0, 0.01)
    attached = replace(found, attached=("int4",))
    assert any(line.startswith("INT4: a running server is swept again") for line in noise.render(attached, 400))


def test_a_refusal_names_the_ways_out() -> None:
    """A must_detect, and a number of launches."""
    (line,) = (
        line for line in noise.render(studied(0, 0.03, {Metric.THROUGHPUT_PER_GPU: 0.025}), 400) if "set must" in line
    )
    assert " or take the median of " in line
