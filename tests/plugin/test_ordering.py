"""Tests that use one engine stand together, and nothing else moves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.plugin.ordering import in_order, rank

RANKS = st.dictionaries(st.integers(0, 20), st.tuples(st.integers(0, 2), st.sampled_from([0.0, 0.5, 1.0, 2.0])))


@given(st.permutations(range(20)), RANKS)
def test_tests_of_other_suites_keep_their_places(items: list[int], ranks: dict[int, tuple[int, float]]) -> None:
    """Only tests that start servers move, each into a place of another."""
    ordered = in_order(items, ranks)
    assert sorted(ordered) == sorted(items)
    assert all(now == before for now, before in zip(ordered, items, strict=True) if before not in ranks)


@given(st.permutations(range(20)), RANKS)
def test_tests_of_one_rank_stand_together_in_their_own_order(
    items: list[int], ranks: dict[int, tuple[int, float]]
) -> None:
    """Ranks only rise, and within one nothing is shuffled."""
    moved = [item for item in in_order(items, ranks) if item in ranks]
    assert [ranks[item] for item in moved] == sorted(ranks[item] for item in moved)
    for value in set(ranks.values()):
        assert [i for i in moved if ranks[i] == value] == [i for i in items if ranks.get(i) == value]


def test_one_engine_comes_before_what_chooses_and_before_what_compares() -> None:
    """FP4 alone, FP4 with a comparison that then moves on to INT4, INT4 alone, engines by name, comparisons."""
    precisions = ["fp4", "int4"]
    ranks = [
        rank(precisions, ["fp4"], chooses=False, compares=False),
        rank(precisions, ["fp4"], chooses=False, compares=True),
        rank(precisions, ["int4"], chooses=False, compares=False),
        rank(precisions, [], chooses=True, compares=False),
        rank(precisions, [], chooses=False, compares=True),
    ]
    assert ranks == sorted(set(ranks))
    assert rank(precisions, ["fp4", "int4"], chooses=False, compares=False) == ranks[-1]
