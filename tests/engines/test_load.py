"""How a sweep is measured, as a precision's table says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_precgate.analysis.curves.search import Grid, Range
from pytest_precgate.analysis.measure.stopping import DEFAULT, PUBLISHED, StopRule
from pytest_precgate.documents import Node
from pytest_precgate.engines.load import LOAD_OPTIONAL, LoadSettings, SweepSettings, read_load, read_sweep
from pytest_precgate.errors import SettingsError


def table(**keys: object) -> dict[str, Node]:
    return Node(keys, "pyproject.toml", "suites.kimi.fp4", SettingsError).table(optional=LOAD_OPTIONAL)


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({}, SweepSettings(Range(1, 256), "steady", DEFAULT)),
        ({"concurrency": "search", "max_concurrency": 64}, SweepSettings(Range(1, 64))),
        ({"concurrency": "doubling", "min_concurrency": 4}, SweepSettings(Range(4, 256, "doubling"))),
        ({"concurrency": [8, 4]}, SweepSettings(Grid([4, 8]))),
        ({"point_error": 0.01}, SweepSettings(stop_rule=StopRule(point_error=0.01))),
        ({"window_limit_s": 30}, SweepSettings(stop_rule=StopRule(point_error=0.005, window_limit_s=30.0))),
        ({"point_error": 0.01, "window_limit_s": 9}, SweepSettings(stop_rule=StopRule(None, 0.01, 9.0))),
        ({"requests_per_slot": 6}, SweepSettings(stop_rule=StopRule(requests_per_slot=6))),
        ({"window": "whole"}, SweepSettings(window="whole", stop_rule=PUBLISHED)),
        ({"window": "whole", "requests_per_slot": 6}, SweepSettings(window="whole", stop_rule=StopRule(6))),
    ],
    ids=str,
)
def test_what_a_table_leaves_out_has_a_default(keys: dict[str, object], wanted: SweepSettings) -> None:
    """A search for what the suite reads, the steady window, each point as long as it needs; the whole window, 10."""
    assert read_sweep(table(**keys)) == wanted
    assert read_load(table(**keys), Path()) == LoadSettings(wanted.concurrency, wanted.window, wanted.stop_rule)


def test_an_engine_bounds_what_no_key_bounds() -> None:
    """A simulation stays inside what it was fitted to; a key may go beyond."""
    assert read_sweep(table(), 4, 64).concurrency == Range(4, 64)
    assert read_sweep(table(max_concurrency=128), 4, 64).concurrency == Range(4, 128)


@pytest.mark.parametrize("length", [1, 3.24, 9.0])
def test_an_acceptance_length_is_a_number_of_tokens_per_step(length: float) -> None:
    """At least the one token each verification step gives; without the key the server does not speculate."""
    assert read_load(table(acceptance_length=length), Path()).acceptance_length == length
    assert read_load(table(), Path()).acceptance_length is None


@pytest.mark.parametrize(
    ("length", "why"),
    [
        (
            0.99,
            r"got 0\.99, wanted at least 1 and at most 1000: each verification step of a request gives it one token",
        ),
        (-1, "got -1, wanted at least 1"),
        (float("nan"), "got nan, wanted a finite number"),
        (10**400, "wanted a finite number"),
        ("3.24", "got '3.24', wanted a number"),
        (True, "got True, wanted a number"),
    ],
)
def test_an_impossible_acceptance_length_is_refused(length: object, why: str) -> None:
    """By key and range."""
    with pytest.raises(SettingsError, match=rf"{why}.* @ suites\.kimi\.fp4\.acceptance_length"):
        read_load(table(acceptance_length=length), Path())
