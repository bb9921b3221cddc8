"""What a point tells beside its interactivity and throughput, derived by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.curves.details import Slo
from pytest_precgate.analysis.measure.gpu import Gpu, GpuPower, GpuSample, power_of
from pytest_precgate.analysis.measure.metrics import measure
from pytest_precgate.analysis.measure.records import Gaps, PointRun
from pytest_precgate.analysis.measure.tokens import ServerCounts
from tests.loops import closed_loop

GPU = Gpu(0, "GPU-0", "NVIDIA B200")
FAST, SLOW = closed_loop([(50, 100)] * 40, 4, 0.01), closed_loop([(50, 100)] * 40, 4, 0.02)


def run(records: object = FAST) -> PointRun:
    return PointRun(4, records, gaps=Gaps.of([0.01] * 50))  # type: ignore[arg-type]


def test_a_server_of_constant_speed_has_every_percentile_alike() -> None:
    """Steps of 10 ms: ttft 10 ms, tpot 10 ms, 100 tokens in 1 s, two thirds of the tokens are output."""
    measured = measure(run(), 2)
    details = measured.details
    assert details is not None
    for name in ("ttft", "tpot"):
        for what in ("mean", "p50", "p90", "p99"):
            assert getattr(details, f"{name}_{what}_s") == pytest.approx(0.01)
    assert details.itl_mean_s == pytest.approx(0.01, rel=0.011)  # buckets of 2%
    assert details.request_latency_p99_s == pytest.approx(1.0)
    assert details.e2e_interactivity == pytest.approx(100)
    assert details.output_throughput_per_gpu == pytest.approx(measured.throughput_per_gpu * 2 / 3)
    assert details.goodput is None
    assert (details.queue_s, details.joules_per_token, details.batch) == (None, None, None)


def test_goodput_counts_the_requests_that_met_both_objectives() -> None:
    """4 requests in flight of 1 s each on 2 GPUs are 2 requests/s/GPU; none of them is good where tpot is missed."""
    for slo, wanted in ((Slo(0.02, 0.011), 2.0), (Slo(0.02, 0.009), 0.0), (Slo(0.009, 0.011), 0.0)):
        details = measure(run(), 2, slo=slo).details
        assert details is not None
        assert details.goodput == pytest.approx(wanted)
        assert (details.slo_ttft_s, details.slo_tpot_s) == (slo.ttft_s, slo.tpot_s)


@given(st.floats(0.001, 0.1), st.floats(0.001, 0.1))
def test_goodput_never_rises_with_a_stricter_objective(ttft_s: float, tpot_s: float) -> None:
    """And is never more than the requests there were."""
    records = sorted((*FAST, *SLOW), key=lambda record: record.sent_s)
    loose, strict = (
        measure(PointRun(8, records), 1, "whole", slo=Slo(ttft_s * by, tpot_s * by)).details for by in (1.0, 0.7)
    )
    assert loose is not None
    assert strict is not None
    assert loose.goodput is not None
    assert strict.goodput is not None
    assert 0 <= strict.goodput <= loose.goodput


def test_the_end_to_end_axis_counts_the_ttft_in() -> None:
    """A request of 2 s for 100 tokens is 50 tok/s/user, whatever its tpot was."""
    late = closed_loop([(50, 100)] * 40, 4, 0.01, ttft_steps=101)
    measured = replace(measure(run(late), 1), axis="e2e")
    assert measured.interactivity == pytest.approx(50)
    assert measured.point().interactivity == pytest.approx(50)
    assert replace(measured, axis="tpot").interactivity == pytest.approx(100)


def test_the_engine_s_own_times_give_its_batch() -> None:
    """Of 4 requests in flight, each a quarter of its time in the queue or in prefill, 3 are in decode."""
    server = ServerCounts(queue_s=0.1, prefill_s=0.15, decode_s=0.75, preemptions=2.0)
    details = measure(run(), 1, server=server).details
    assert details is not None
    assert (details.queue_s, details.prefill_s, details.decode_s, details.preemptions) == (0.1, 0.15, 0.75, 2.0)
    assert details.batch == pytest.approx(3.0)
    unknown = measure(run(), 1, server=replace(server, prefill_s=None)).details
    assert unknown is not None
    assert unknown.batch is None


def test_energy_per_token_is_power_over_throughput() -> None:
    """Both per GPU; unknown power is no energy."""
    measured = measure(run(), 2).with_power(GpuPower(600.0, 1900.0))
    assert measured.details is not None
    assert measured.details.joules_per_token == pytest.approx(600 / measured.throughput_per_gpu)
    assert measured.details.sm_clock_mhz == 1900
    blind = measure(run(), 2).with_power(GpuPower()).details
    assert blind is not None
    assert blind.joules_per_token is None


def samples(*energy_j: float | None, power_w: float | None = None) -> list[GpuSample]:
    return [GpuSample(float(at), energy_j=joules, power_w=power_w) for at, joules in enumerate(energy_j)]


def test_power_is_the_rise_of_the_counter_between_the_ends_of_the_window() -> None:
    """100 W while warming up and 500 W in the window from 1.5 to 3.5 s: the warm-up does not count."""
    counter = samples(0, 100, 600, 1100, 1600)
    assert power_of({GPU: counter}, 1.5, 3.5).mean_power_w == pytest.approx(500)
    assert power_of({GPU: counter}, 0.0, 4.0).mean_power_w == pytest.approx(400)


def test_without_a_counter_the_power_samples_of_the_window_count() -> None:
    """Mean of those inside; none inside, or a window that the samples do not reach, is unknown."""
    assert power_of({GPU: samples(None, None, None, power_w=300.0)}, 0.5, 1.5).mean_power_w == 300
    assert power_of({GPU: samples(None, None, None, power_w=300.0)}, 0.5, 2.5).mean_power_w is None
    assert power_of({GPU: samples(None, None, power_w=300.0)}, 0.2, 0.8).mean_power_w is None
    assert power_of({GPU: samples(0, 100, 200)}, 1.0, 5.0).mean_power_w is None
    assert power_of({GPU: samples(0, 0, 0)}, 0.0, 2.0).mean_power_w is None


def test_one_gpu_of_unknown_power_makes_the_mean_unknown() -> None:
    """The mean of the others would be that of another machine."""
    other = Gpu(1, "GPU-1", "NVIDIA B200")
    assert power_of({GPU: samples(0, 100, 200), other: samples(0, 300, 600)}, 0.0, 2.0).mean_power_w == 200
    assert power_of({GPU: samples(0, 100, 200), other: samples(None, None)}, 0.0, 2.0).mean_power_w is None
    assert power_of({}, 0.0, 2.0) == GpuPower()
