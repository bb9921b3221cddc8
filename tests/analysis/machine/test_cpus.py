"""Lists of cores: read as taskset writes them, written as short as they can be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.machine.cpus import MOST_CPU, cpus_of, cpus_text, distinct
from pytest_precgate.errors import InvalidValueError

CORES = st.sets(st.integers(0, 300), min_size=1)


@given(CORES)
def test_what_is_written_is_read_as_the_same_cores(cores: set[int]) -> None:
    """In order, each once."""
    assert cpus_of(cpus_text(cores)) == tuple(sorted(cores))


@given(st.text(max_size=30))
def test_any_text_is_cores_or_is_refused(text: str) -> None:
    """Never another exception, and never more than there can be."""
    try:
        found = cpus_of(text)
    except InvalidValueError:
        return
    assert found
    assert list(found) == sorted(set(found))
    assert found[-1] <= MOST_CPU


@pytest.mark.parametrize(
    ("text", "cores"),
    [("0", (0,)), ("0-3,8", (0, 1, 2, 3, 8)), ("8, 0-1", (0, 1, 8)), ("0-6:2", (0, 2, 4, 6)), ("3-3", (3,))],
)
def test_the_forms_of_taskset_are_read(text: str, cores: tuple[int, ...]) -> None:
    """Single cores, ranges, ranges with a step."""
    assert cpus_of(text) == cores


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "got '', wanted cores like 0-15,32"),
        ("0-", "got '0-', wanted cores like"),
        ("all", "got 'all', wanted cores like"),
        ("-1", "got '-1', wanted cores like"),
        ("3-1", "got '3-1', wanted a first core, a last one from there"),
        ("0-4:0", "a step of at least 1"),
        ("0-999999999", f"a last one from there to {MOST_CPU}"),
        ("0-3,2", "core 2 is named twice"),
    ],
)
def test_what_is_no_list_of_cores_is_refused(text: str, why: str) -> None:
    """With what was wanted; a range of a billion cores fills no memory."""
    with pytest.raises(InvalidValueError, match=why.replace("(", r"\(")):
        cpus_of(text)


@pytest.mark.parametrize(("cores", "why"), [((), "got no core"), ((1, 1), "named twice"), ((-1,), "wanted 0 to")])
def test_numbers_that_are_no_cores_are_refused(cores: tuple[int, ...], why: str) -> None:
    """As of a list in the settings."""
    with pytest.raises(InvalidValueError, match=why):
        distinct(cores)


def test_no_core_is_written_as_none() -> None:
    """For a message."""
    assert cpus_text(()) == "none"
