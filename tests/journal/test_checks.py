"""What a run checked, as text and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.gating.gates import Metric, Tolerance
from pytest_precgate.errors import JournalCorruptError
from pytest_precgate.journal.checks import RunCheck, RunChecks, dump, parse

shares = st.floats(0.001, 0.9)
points = st.floats(0.1, 500)
tolerances = st.builds(
    Tolerance,
    shares,
    st.dictionaries(points, shares, max_size=3),
    st.dictionaries(st.sampled_from(["fp4", "int4"]), shares),
    st.booleans(),
)
checks = st.builds(
    RunCheck,
    st.text("abc_:.", min_size=1),
    st.just("fp4"),
    st.just("int4"),
    st.none() | st.lists(points, min_size=1, max_size=3).map(tuple),
    st.dictionaries(st.sampled_from(Metric), tolerances, min_size=1),
    st.none() | st.integers(1, 9),
)


@given(st.lists(checks, max_size=3).map(tuple), st.none() | st.sampled_from(["first-good", "median"]))
def test_what_is_kept_is_what_is_read(each: tuple[RunCheck, ...], rule: str | None) -> None:
    """Every digit of a target and a tolerance, and which metrics hold nothing."""
    kept = RunChecks("baselines", each, "warn", rule, 5, None)
    assert parse(dump(kept), "checks.json") == kept


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", dump(RunChecks("baselines", ())).replace('"format": 1', '"format": 2')]
)
def test_text_of_another_kind_is_refused_by_name(text: str) -> None:
    """Damaged, or of another version."""
    with pytest.raises(JournalCorruptError, match=r"^checks\.json: "):
        parse(text, "checks.json")
