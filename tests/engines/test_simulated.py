"""The simulated engine: step model, scheduler in virtual time, noise, calibration, settings."""

from __future__ import annotations

import itertools
import json
import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_precgate.analysis.curves.comparison import Curve
from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.analysis.curves.search import SweepTargets
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.metrics import measure
from pytest_precgate.analysis.measure.point import MeasuredPoint
from pytest_precgate.analysis.measure.stopping import IsEnough
from pytest_precgate.documents import Node
from pytest_precgate.engines.simulated import SimulatedEngine
from pytest_precgate.engines.simulated.calibration import (
    Calibration,
    fit,
    load_calibration,
    point_errors,
    shipped,
    simulated_measurement,
)
from pytest_precgate.engines.simulated.model import Limits, Noise, StepTime
from pytest_precgate.engines.simulated.scheduler import draw_lengths, simulate
from pytest_precgate.errors import CalibrationError, InvalidValueError, SettingsError
from tests.published import PUBLISHED, WORKLOAD, kimi

PLAIN = StepTime(constant_s=0.01, experts_s=0.0, context_s=0.0, prefill_s=0.0, overhead_s=0.0)
KIMI = StepTime(6e-3, 2e-2, 1e-8, 2e-5, 0.05)
TEN: IsEnough = lambda records: len(records) >= 10  # noqa: E731
lengths = st.lists(st.tuples(st.integers(1, 300), st.integers(1, 200)), min_size=1, max_size=30)


def test_coverage_without_skew_is_the_textbook_formula() -> None:
    """1 - (1 - 8/384)^n."""
    for tokens in (0, 1, 7, 64, 5000):
        assert KIMI.coverage(tokens) == pytest.approx(1 - (1 - 8 / 384) ** tokens)


@given(st.floats(0.0, 4.0), st.integers(1, 400))
def test_coverage_rises_ever_more_slowly(skew: float, tokens: int) -> None:
    """Each further token touches fewer new experts; one token touches as many as the model says."""
    model = replace(KIMI, expert_skew=skew)
    first, second, third = (model.coverage(tokens + more) for more in range(3))
    assert 0 < first <= second <= third <= 1
    assert second - first >= third - second - 1e-12
    assert model.coverage(1) == pytest.approx(8 / 384)


@pytest.mark.parametrize("field", ["constant_s", "experts_s", "context_s", "prefill_s", "overhead_s", "expert_skew"])
@pytest.mark.parametrize("value", [-1e-9, math.nan, math.inf])
def test_a_coefficient_below_zero_is_refused(field: str, value: float) -> None:
    """No step gives time back."""
    with pytest.raises(InvalidValueError, match=rf"StepTime\.{field}"):
        replace(KIMI, **{field: value})  # type: ignore[arg-type]


def test_a_model_without_time_is_refused() -> None:
    """A step of zero seconds would loop for ever."""
    with pytest.raises(InvalidValueError, match="would take no time"):
        StepTime(0.0, 0.0, 0.0, 1e-5, 0.1)


@given(lengths, st.integers(1, 12), st.integers(1, 8), st.integers(8, 400))
def test_every_request_is_served_in_full(
    requests: list[tuple[int, int]], concurrency: int, max_batch: int, max_tokens: int
) -> None:
    """With any limits: each request once, with its lengths, and one gap per token after the first."""
    run = simulate(KIMI, Limits(max_batch, max(max_tokens, max_batch)), requests, concurrency)
    assert sorted((r.input_tokens, r.output_tokens) for r in run.records) == sorted(requests)
    assert run.gaps.total == sum(output - 1 for _, output in requests)


@given(lengths, st.integers(1, 12))
def test_never_more_requests_are_in_flight_than_asked(requests: list[tuple[int, int]], concurrency: int) -> None:
    """The loop is closed: a slot sends only when its last request has ended."""
    run = simulate(KIMI, Limits(), requests, concurrency)
    events = sorted([(r.sent_s, 1) for r in run.records] + [(r.last_token_s, -1) for r in run.records])
    in_flight = peak = 0
    for _, change in events:
        in_flight += change
        peak = max(peak, in_flight)
    assert peak == min(concurrency, len(requests))


def test_a_lone_request_takes_one_step_per_token() -> None:
    """Overhead, a step that prefills and gives the first token, then a step per further token."""
    model = replace(PLAIN, overhead_s=0.5, prefill_s=0.001)
    (record,) = simulate(model, Limits(), [(100, 11)], 1).records
    assert record.ttft_s == pytest.approx(0.5 + 0.01 + 0.1)
    assert record.tpot_s == pytest.approx(0.01)


def test_a_prompt_longer_than_the_budget_is_prefilled_in_chunks() -> None:
    """250 tokens under a budget of 100 are three steps."""
    (record,) = simulate(PLAIN, Limits(max_tokens=100), [(250, 2)], 1).records
    assert record.ttft_s == pytest.approx(0.03)


def test_a_full_batch_makes_requests_wait() -> None:
    """With a batch of one, four slots are served one after the other."""
    run = simulate(PLAIN, Limits(max_batch=1), [(10, 10)] * 4, 4)
    assert [record.last_token_s for record in run.records] == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.02)


def test_a_longer_context_makes_longer_steps() -> None:
    """The KV cache of every running request is read each step."""
    model = replace(PLAIN, context_s=1e-6)
    short, long = (simulate(model, Limits(), [(isl, 50)], 1).records[0].tpot_s for isl in (100, 10_000))
    assert short < long == pytest.approx(0.01 + 1e-6 * 10_025, rel=1e-3)


def test_lengths_are_uniform_between_ratio_and_full() -> None:
    """Input and output drawn separately, both ends included, the same for a seed."""
    drawn = draw_lengths(5000, 100, 50, 0.8, random.Random(1))
    assert {isl for isl, _ in drawn} == set(range(80, 101))
    assert {osl for _, osl in drawn} == set(range(40, 51))
    assert drawn == draw_lengths(5000, 100, 50, 0.8, random.Random(1))


def table(**keys: object) -> Node:
    base: dict[str, object] = {"engine": "simulated", "calibration": "kimi-k2.5-b200-int4-tp8"}
    return Node(base | keys, "pyproject.toml", "suites.kimi.int4", SettingsError)


def engine(**keys: object) -> SimulatedEngine:
    keys = {"requests_per_slot": 4, "concurrency": [4, 8]} | keys
    return SimulatedEngine.read(table(**keys), Path())


def sweep(**keys: object) -> Sweep:
    return engine(**keys).sweep("int4", WORKLOAD, "b200")


def test_the_same_seed_gives_the_same_sweep_and_another_one_another() -> None:
    """With noise too: a rehearsal can be repeated."""
    noise = {"launch_sigma": 0.02, "step_sigma": 0.01, "outlier_rate": 0.5}
    assert sweep(noise=noise, seed=7) == sweep(noise=noise, seed=7)
    assert sweep(noise=noise, seed=7) != sweep(noise=noise, seed=8)


@pytest.mark.parametrize(("range_ratio", "repeats"), [(1.0, True), (0.8, False)])
def test_launches_without_noise_differ_by_the_lengths_they_draw(range_ratio: float, repeats: bool) -> None:
    """All that is left of the noise of a baseline; with prompts of one length there is none."""
    workload = Workload(64, 32, range_ratio)
    points = [engine().sweep("fp4", workload, "b200", launch=number).points for number in (1, 2)]
    assert (points[0] == points[1]) is repeats


def test_a_further_concurrency_does_not_change_the_others() -> None:
    """Each point draws from a generator of its own."""
    noise = {"step_sigma": 0.05}
    assert set(sweep(noise=noise).points) < set(sweep(noise=noise, concurrency=[4, 8, 16]).points)


def searched(earlier: Sequence[SweepPoint] = (), **keys: object) -> Sweep:
    swept = SimulatedEngine.read(table(**keys), Path())
    return swept.sweep("int4", WORKLOAD, "b200", sweep_targets=SweepTargets((55, 73, 91), earlier))


def test_by_default_a_sweep_is_searched_for_what_it_is_for() -> None:
    """Neighbours around 55, 73 and 91 tok/s/user, in a handful of points; a baseline's points save two of them."""
    found = searched()
    measured = [point.concurrency for point in found.points]
    assert len(measured) <= 8
    for target in (55, 73, 91):
        faster = max(point.concurrency for point in found.points if point.interactivity >= target)
        assert faster + 1 in measured
    assert len(searched(found.points, seed=1).points) <= 7


def test_without_targets_the_calibrated_concurrencies_are_doubled() -> None:
    """As they were recorded, when that is asked for or the targets are unknown."""
    for keys in ({}, {"concurrency": "doubling"}):
        swept = SimulatedEngine.read(table(requests_per_slot=3, **keys), Path()).sweep("int4", WORKLOAD, "b200")
        assert [point.concurrency for point in swept.points] == [4, 8, 16, 32, 64]


@pytest.mark.parametrize("concurrency", [7, 26])
def test_a_short_point_reads_what_a_long_one_reads(concurrency: int) -> None:
    """Each within half a percent of 200 random requests per slot, and without a bias: within 0.2% over eight seeds."""
    rng = random.Random(1)
    lengths = draw_lengths(200 * concurrency, 1024, 1024, 0.8, rng)
    fitted = shipped()["kimi-k2.5-b200-int4-tp8"]
    long = measure(simulate(fitted.step_time, Limits(), lengths, concurrency), 8).point()
    errors = []
    for seed in range(8):
        spec = SimulatedEngine.read(table(concurrency=[concurrency], seed=seed), Path())
        (short,) = spec.sweep("int4", WORKLOAD, "b200").points
        errors.append(
            (short.throughput_per_gpu / long.throughput_per_gpu - 1, short.interactivity / long.interactivity - 1)
        )
    for of_figure in zip(*errors, strict=True):
        assert max(map(abs, of_figure)) < 0.005
        assert abs(statistics.fmean(of_figure)) < 0.002


def test_a_simulation_ends_once_enough_is_known() -> None:
    """Nothing is sent after that, and what is in flight is served."""
    requests = [(10, 20 + number) for number in range(100)]
    run = simulate(PLAIN, Limits(), requests, 4, is_enough=TEN)
    assert len(run.records) == 10 + 3
    assert max(r.sent_s for r in run.records) == sorted(r.last_token_s for r in run.records)[8]


def test_requests_without_end_are_taken_as_they_are_sent() -> None:
    """One for each record, and not one more."""
    taken = itertools.count()
    run = simulate(PLAIN, Limits(), ((10, 20 + next(taken) % 7) for _ in itertools.count()), 4, is_enough=TEN)
    assert len(run.records) == next(taken) == 10 + 3


@pytest.mark.parametrize("concurrency", [1, 4, 64])
@pytest.mark.parametrize("limit_s", [30, 120])
def test_a_point_that_is_not_known_as_asked_ends_with_its_time(concurrency: int, limit_s: int) -> None:
    """Requests of 10 to 20 s, noise on every step: the window ends less than a request after its limit."""
    keys = {"concurrency": [concurrency], "point_error": 1e-6, "window_limit_s": limit_s}
    spec = SimulatedEngine.read(table(**keys, noise={"step_sigma": 0.1}), Path())
    finished: list[MeasuredPoint] = []
    spec.sweep("int4", WORKLOAD, "b200", on_measured=finished.append)
    (point,) = (one.measurement for one in finished)
    assert point.is_short
    assert limit_s <= point.window.length_s <= limit_s + point.request_latency.p99_s


def test_a_slowdown_makes_every_point_slower_by_its_share() -> None:
    """10% longer steps: tpot by 10%."""
    for plain, slow in zip(sweep().points, sweep(slowdown=0.1).points, strict=True):
        assert plain.interactivity / slow.interactivity == pytest.approx(1.1)


def test_launch_noise_moves_a_whole_launch_and_has_the_sigma_asked_for() -> None:
    """Both points of a launch move alike; over many seeds the spread is the one set."""
    paces = []
    for seed in range(60):
        first, second = sweep(seed=seed, noise={"launch_sigma": 0.05}, requests_per_slot=3).points
        paces.append((math.log(first.interactivity), math.log(second.interactivity)))
    spread = statistics.stdev(first for first, _ in paces)
    assert 0.035 < spread < 0.065
    assert statistics.correlation([a for a, _ in paces], [b for _, b in paces]) > 0.95


def test_an_outlier_launch_is_slower_by_the_drop() -> None:
    """With a rate near one every launch is an outlier."""
    plain, outlier = sweep().points[0], sweep(noise={"outlier_rate": 0.999, "outlier_drop": 0.2}).points[0]
    assert outlier.interactivity / plain.interactivity == pytest.approx(0.8)


def test_a_simulated_sweep_says_so() -> None:
    """And its engine is no other engine's."""
    assert sweep().simulated
    assert engine().kind == "simulated"
    assert engine(slowdown=0.08).facts()["slowdown"] == 0.08


def test_the_shipped_calibrations_reproduce_every_published_point() -> None:
    """13 points: median error under 2%, worst under 5%, tpot and throughput each."""
    errors = [
        error
        for name, precision, configuration in (
            ("kimi-k2.5-b200-fp4-tp4", "fp4", "vllm-tp4-ep1"),
            ("kimi-k2.5-b200-int4-tp8", "int4", "vllm-tp8-ep1"),
        )
        for error in point_errors(
            shipped()[name].step_time,
            WORKLOAD,
            [point for point in kimi(precision).points if point.configuration == configuration],
        )
    ]
    assert len(errors) == 13
    for values in ([abs(tpot) for _, tpot, _ in errors], [abs(throughput) for _, _, throughput in errors]):
        assert statistics.median(values) < 0.02
        assert max(values) < 0.05


@pytest.mark.parametrize(("name", "precision"), [("fp4-tp4", "fp4"), ("int4-tp8", "int4")])
def test_the_simulated_comparison_is_near_the_recorded_one(name: str, precision: str) -> None:
    """Throughput at 55, 73, 91 tok/s/user: within 3% of the recorded curve, 8% of the published table."""
    fitted = shipped()[f"kimi-k2.5-b200-{name}"]
    points = [simulated_measurement(fitted.step_time, WORKLOAD, c, fitted.gpus).point() for c in fitted.concurrency]
    ours = Curve(Sweep(precision, WORKLOAD, "b200", points), HARDWARE["b200"])
    recorded = Curve(kimi(precision), HARDWARE["b200"])
    for row in PUBLISHED:
        throughput = ours.at(row.interactivity).throughput_per_gpu
        assert throughput == pytest.approx(recorded.at(row.interactivity).throughput_per_gpu, rel=0.03)
        assert throughput == pytest.approx(row.throughput[0 if precision == "fp4" else 1], rel=0.08)


def test_a_fit_finds_back_a_model_it_was_given() -> None:
    """Points simulated from known coefficients are reproduced, though not always the coefficients themselves."""
    small = Workload(64, 32, 0.8)
    truth = StepTime(5e-3, 3e-2, 1e-8, 1e-5, 0.02, 1.0)
    points = [simulated_measurement(truth, small, c, 4).point() for c in (1, 2, 4, 8, 16)]
    fitted = fit(points, small, "b200", "a test")
    for _, tpot, throughput in point_errors(fitted.step_time, small, points):
        assert abs(tpot) < 0.02
        assert abs(throughput) < 0.02


def test_a_fit_needs_three_points_of_one_configuration() -> None:
    """Six coefficients through two points would be a guess."""
    with pytest.raises(InvalidValueError, match="wanted at least three of one configuration"):
        fit(kimi("int4").points[:2], WORKLOAD, "b200", "a test")
    with pytest.raises(InvalidValueError, match=r"on \[4, 8\] GPUs"):
        fit(kimi("fp4").points, WORKLOAD, "b200", "a test")


def test_a_calibration_survives_its_own_file(tmp_path: Path) -> None:
    """What `precgate calibrate --out` writes, the setting reads."""
    known = shipped()["kimi-k2.5-b200-fp4-tp4"]
    (tmp_path / "mine.json").write_text(json.dumps(known.document()), encoding="utf-8")
    assert load_calibration("mine.json", tmp_path) == known


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("kimi-k2.5-b200-fp4", None, "no such calibration; did you mean 'kimi-k2.5-b200-fp4-tp4'"),
        ("gone.json", None, r"gone\.json: cannot be read: No such file"),
        ("torn.json", "{", r"torn\.json: is not JSON"),
        ("short.json", "{}", r"required field missing @ \$\.step_time"),
    ],
)
def test_a_calibration_that_cannot_be_used_is_refused(tmp_path: Path, name: str, text: str | None, why: str) -> None:
    """Unknown, missing, torn, incomplete; in the settings it is an error at its key."""
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(CalibrationError, match=why):
        load_calibration(name, tmp_path)
    with pytest.raises(SettingsError, match=r"@ suites\.kimi\.int4\.calibration"):
        SimulatedEngine.read(table(calibration=name), tmp_path)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"concurrency": []}, r"@ suites\.kimi\.int4\.concurrency"),
        ({"concurrency": [4, 4]}, r"wanted different concurrencies"),
        ({"concurrency": [0]}, r"got 0, wanted at least 1 @ .*concurrency\[0\]"),
        ({"window": "all"}, r"unknown value 'all'; .*steady, whole"),
        ({"concurrency": "halving"}, r"unknown value 'halving'; .*doubling, search"),
        ({"max_concurrency": 2}, r"from 4 to 2, which are none @ suites\.kimi\.int4\.max_concurrency"),
        ({"concurrency": [4, 8], "max_concurrency": 9}, "concurrency is a list here"),
        ({"requests_per_slot": 0}, "got 0, wanted at least 1"),
        ({"point_error": 2}, r"wanted a share below 1 @ suites\.kimi\.int4\.point_error"),
        ({"point_error": 0.01, "requests_per_slot": 5}, "give one of the two"),
        ({"point_error": 0.01, "window": "whole"}, "give requests_per_slot instead"),
        ({"window_limit_s": 0}, r"got 0, wanted seconds above 0 .* @ suites\.kimi\.int4\.window_limit_s"),
        ({"window_limit_s": "1"}, r"wanted a number @ suites\.kimi\.int4\.window_limit_s"),
        ({"window_limit_s": 9, "requests_per_slot": 5}, "is only for point_error"),
        ({"window_limit_s": 9, "window": "whole"}, "is only for point_error"),
        ({"noise": {"sigma": 1}}, r"unknown key 'sigma'; .*@ suites\.kimi\.int4\.noise"),
        ({"noise": {"launch_sigma": 1.5}}, r"Noise\.launch_sigma: got 1\.5"),
        ({"slowdown": -1}, r"Noise\.slowdown: got -1"),
        ({"max_batch": 0}, "got 0, wanted at least 1 @ .*max_batch"),
        ({"gpus": 4}, "unknown key 'gpus'"),
        ({"start_s": -1}, r"got -1, wanted seconds from 0 to 604800 @ .*start_s"),
    ],
)
def test_settings_of_the_simulation_that_cannot_be_used_are_refused(keys: dict[str, object], why: str) -> None:
    """By name and spot, before anything runs."""
    with pytest.raises(SettingsError, match=why):
        SimulatedEngine.read(table(**keys), Path())


def test_a_start_costs_and_changes_no_figure() -> None:
    """Virtual seconds on every GPU before a launch answers; nothing is claimed without the setting, nor by 0."""
    slow = engine(start_s=900)
    assert slow.starting_gpu_s == 900 * slow.calibration.gpus
    assert slow.sweep("int4", WORKLOAD, "b200") == engine().sweep("int4", WORKLOAD, "b200")
    assert (slow.identity(), slow.facts()) == (engine().identity(), engine().facts())
    assert engine().starting_gpu_s is None
    assert engine(start_s=0).starting_gpu_s is None


def test_a_calibration_is_for_its_hardware() -> None:
    """What was fitted on B200 says nothing of H200."""
    with pytest.raises(CalibrationError, match="was fitted on b200, the suite runs on h200"):
        engine().sweep("int4", WORKLOAD, "h200")


@settings(max_examples=25)
@given(st.floats(0.0, 0.5), st.integers(1, 32))
def test_the_closed_loop_identity_bounds_the_throughput(overhead: float, concurrency: int) -> None:
    """A slot cannot deliver faster than its own latency allows: tokens <= concurrency * tokens / latency."""
    model = replace(KIMI, overhead_s=overhead)
    measured = simulated_measurement(model, Workload(64, 64), concurrency, 1)
    assert measured.throughput_per_gpu <= concurrency * 128 / measured.request_latency.mean_s * (1 + 1e-9)


def test_noise_and_limits_refuse_nonsense() -> None:
    """Shares from 0 to below 1, at least one request and token."""
    with pytest.raises(InvalidValueError, match=r"Noise\.step_sigma"):
        Noise(step_sigma=-0.1)
    with pytest.raises(InvalidValueError, match="Limits"):
        Limits(max_batch=4, max_tokens=0)


def test_every_shipped_calibration_names_its_source() -> None:
    """Where the points came from, and on what they were measured."""
    for calibration in shipped().values():
        assert isinstance(calibration, Calibration)
        assert "InferenceX" in calibration.source
        assert calibration.hardware == "b200"
