"""Text and tables fitted to a width."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.reports.lines import table, wrapped

words = st.lists(st.from_regex(r"[a-z/.=-]{1,30}", fullmatch=True), min_size=1, max_size=20)


@given(words, st.integers(40, 120))
def test_no_word_is_broken_and_no_line_is_longer_than_asked(each: list[str], width: int) -> None:
    """Paths and flags with dashes included."""
    lines = [line.text for line in wrapped(" ".join(each), width)]
    assert " ".join(lines).split() == each
    assert all(len(line) <= width for line in lines)


def test_the_richest_table_that_fits_is_taken_and_the_poorest_where_none_does() -> None:
    """The first choice is the richest."""
    rich, poor = [("gate", "value"), ("fp4", "1028.1")], [("gate",), ("fp4",)]
    assert table([rich, poor], 12) == ["gate   value", "fp4   1028.1"]
    assert table([rich, poor], 5) == ["gate", "fp4"]
    assert table([rich, poor], 1) == ["gate", "fp4"]
