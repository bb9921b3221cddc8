"""Speculative decoding and padded steps of the simulated engine, in virtual time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.documents import Node
from pytest_precgate.engines.simulated.calibration import Calibration, shipped
from pytest_precgate.engines.simulated.model import Limits, Speculation, StepTime
from pytest_precgate.engines.simulated.scheduler import Request, Scheduler
from pytest_precgate.errors import CalibrationError, InvalidValueError

PLAIN = StepTime(constant_s=0.01, experts_s=0.0, context_s=0.0, prefill_s=0.0, overhead_s=0.0)
KIMI = StepTime(6e-3, 2e-2, 1e-8, 2e-5, 0.05)


@st.composite
def speculations(draw: st.DrawFn) -> Speculation:
    tokens = draw(st.integers(1, 8))
    return Speculation(tokens, draw(st.floats(1, tokens + 1)))


def drained(scheduler: Scheduler, requests: list[Request]) -> dict[Request, list[int]]:
    """Run until idle; the tokens each request had after each step from its first on."""
    scheduler.waiting.extend(requests)
    seen: dict[Request, list[int]] = {request: [] for request in requests}
    while not scheduler.is_idle:
        running = list(scheduler.running)
        _, _, prompted, _ = scheduler.step()
        for request in (*running, *prompted):
            seen[request].append(scheduler.tokens_of(request))
    return seen


@given(speculations(), st.floats(0, 1, exclude_max=True), st.integers(0, 500))
def test_the_last_step_of_a_request_is_the_first_that_reaches_its_length(
    speculation: Speculation, phase: float, tokens: int
) -> None:
    """steps() inverts emitted(), and a step emits between 1 and the drafts and the bonus."""
    steps = speculation.steps(tokens, phase)
    assert speculation.emitted(steps, phase) >= tokens
    assert steps == 0 or speculation.emitted(steps - 1, phase) < tokens
    assert 1 <= speculation.emitted(steps + 1, phase) - speculation.emitted(steps, phase) <= speculation.tokens + 1


@given(speculations(), st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(1, 12))
def test_every_request_gets_its_tokens(speculation: Speculation, lengths: list[int], max_batch: int) -> None:
    """One at first, more with every step, exactly as many as asked for in the end; nothing is left in the engine."""
    scheduler = Scheduler(KIMI, Limits(max_batch), lambda: 1.0, speculation)
    requests = [Request(0.0, 5, length) for length in lengths]
    for request, counts in drained(scheduler, requests).items():
        assert counts[0] == 1
        assert counts[-1] == request.output_tokens
        assert counts == sorted(set(counts))
    assert scheduler._context == 0


def test_the_acceptance_length_is_kept_in_the_mean() -> None:
    """Accepted drafts and the bonus token, over requests of many lengths."""
    scheduler = Scheduler(PLAIN, Limits(), lambda: 1.0, Speculation(3, 2.6))
    drained(scheduler, [Request(0.0, 1, length) for length in range(5, 405)])
    assert 1 + scheduler.accepted / scheduler.drafts == pytest.approx(2.6, rel=1e-3)


def test_a_speculative_step_takes_what_its_drafts_take() -> None:
    """A batch of three with four tokens each is a batch of twelve, whose KV cache is read once a request."""
    scheduler = Scheduler(KIMI, Limits(), lambda: 1.0, Speculation(3, 2.0))
    scheduler.waiting.extend(Request(0.0, 10, 100) for _ in range(3))
    scheduler.step()
    assert scheduler.step()[0] == pytest.approx(KIMI.seconds(12, 3 * 11, 0))


@pytest.mark.parametrize(("tokens", "length"), [(0, 1.0), (2, 0.99), (2, 3.01), (2, float("nan"))])
def test_an_impossible_acceptance_is_refused(tokens: int, length: float) -> None:
    """The bonus token alone is 1, all drafts and the bonus N + 1."""
    with pytest.raises(InvalidValueError, match="Speculation"):
        Speculation(tokens, length)


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 30)), min_size=1, max_size=8), st.data())
def test_an_aborted_request_leaves_nothing_behind(lengths: list[tuple[int, int]], data: st.DataObject) -> None:
    """Waiting, half prefilled, running or ended: the others end as they would, and the engine is idle."""
    speculation = data.draw(st.none() | speculations())
    scheduler = Scheduler(PLAIN, Limits(max_batch=4, max_tokens=32), lambda: 1.0, speculation)
    requests = [Request(0.0, *pair) for pair in lengths]
    gone = data.draw(st.sampled_from(requests))
    at = data.draw(st.integers(0, 40))
    scheduler.waiting.extend(requests)
    ended: list[Request] = []
    for step in range(500):
        if step == at:
            scheduler.abort(gone)
        if scheduler.is_idle:
            break
        ended += scheduler.step()[3]
    if at > step:
        scheduler.abort(gone)
    assert scheduler.is_idle
    assert scheduler.occupancy == (0, 0)
    assert scheduler._context == 0
    assert {*ended} | {gone} == {*requests}


@pytest.mark.parametrize(("batch", "padded"), [(1, 1), (2, 2), (3, 4), (5, 8), (33, 64), (64, 64)])
def test_a_padded_step_takes_its_share_of_the_next_power_of_two(batch: int, padded: int) -> None:
    """All of the extra expert time with 1, half of it with 0.5; a step that prefills is not padded."""
    plain, whole = KIMI.seconds(batch, 100, 0), KIMI.seconds(padded, 100, 0)
    assert replace(KIMI, padded_steps=1.0).seconds(batch, 100, 0) == pytest.approx(whole)
    assert replace(KIMI, padded_steps=0.5).seconds(batch, 100, 0) == pytest.approx((plain + whole) / 2)
    assert replace(KIMI, padded_steps=1.0).seconds(batch, 100, 9) == KIMI.seconds(batch, 100, 9)


def test_a_calibration_may_say_that_its_steps_are_padded() -> None:
    """And is read as it was written; a share above 1 is refused."""
    some = next(iter(shipped().values()))
    padded = replace(some, step_time=replace(some.step_time, padded_steps=0.5))
    assert Calibration.read(Node(padded.document(), "x.json", "$", CalibrationError)) == padded
    with pytest.raises(InvalidValueError, match=r"padded_steps: got 1\.5"):
        replace(KIMI, padded_steps=1.5)
