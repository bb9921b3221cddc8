"""Lengths spread evenly over any sequence of requests, and first requests that end one after another."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.lengths import closed_loop_lengths, even_lengths, first_output_tokens

WORK = Workload(1024, 1024, 0.8)
positions = st.integers(0, 2**30)


@given(st.integers(1, 300), st.integers(1, 300), st.floats(0.01, 1.0), positions)
def test_lengths_lie_between_the_ratio_and_the_full_length(isl: int, osl: int, ratio: float, position: int) -> None:
    """Input and output each, at least one token, for any workload."""
    for length, full in zip(even_lengths(Workload(isl, osl, ratio), position), (isl, osl), strict=True):
        assert max(1, ratio * full) <= length + 1e-9
        assert length <= full


@given(positions)
def test_every_length_and_every_pair_comes_as_often(position: int) -> None:
    """8 inputs and 27 outputs: 216 requests in a row, from anywhere, ask for each pair once."""
    work = Workload(8, 27, 1 / 27)
    seen = Counter(even_lengths(work, position + number) for number in range(216))
    assert len(seen) == 216


@given(positions, st.integers(8, 400))
def test_any_sequence_asks_for_nearly_the_mean(position: int, number: int) -> None:
    """Off by a few spreads by the number of requests, where random lengths are off by its square root."""
    lengths = [even_lengths(WORK, position + n) for n in range(number)]
    for column in zip(*lengths, strict=True):
        assert abs(statistics.fmean(column) - 922) < 205 * 2.5 / number + 0.5


def test_equal_lengths_stay_equal() -> None:
    """A ratio of one leaves nothing to vary."""
    assert {even_lengths(Workload(100, 50), n) for n in range(100)} == {(100, 50)}


@given(st.integers(1, 2000), st.integers(1, 300))
def test_the_first_requests_end_one_after_another(output: int, slots: int) -> None:
    """Each slot a further share of the whole, the last in full, none without a time per token."""
    first = [first_output_tokens(output, slot, slots) for slot in range(slots)]
    assert first == sorted(first)
    assert first[-1] == output
    assert min(first) >= min(2, output)
    assert all(abs(tokens - output * (slot + 1) / slots) < 2 for slot, tokens in enumerate(first))


def test_only_the_first_request_of_each_slot_is_shortened() -> None:
    """And its prompt is as long as ever."""
    lengths = list(itertools.islice(closed_loop_lengths(WORK, 4, 100), 12))
    plain = [even_lengths(WORK, 100 + number) for number in range(12)]
    assert lengths[4:] == plain[4:]
    assert [isl for isl, _ in lengths] == [isl for isl, _ in plain]
    assert [osl for _, osl in lengths[:4]] == [plain[slot][1] * (slot + 1) // 4 for slot in range(4)]
