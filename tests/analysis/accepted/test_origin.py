"""When and where a launch was measured, and what is not known of it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from pytest_precgate.analysis.accepted.origin import UNKNOWN, LaunchOrigin, days_of, utc_text
from pytest_precgate.errors import InvalidValueError

NOON = "2026-11-24T12:00:00Z"


def test_a_time_is_written_in_utc() -> None:
    """Whatever zone it comes in; the day is that of UTC, and not known without a time."""
    tokyo = datetime(2026, 11, 25, 1, 30, tzinfo=timezone(timedelta(hours=9)))
    assert utc_text(tokyo) == "2026-11-24T16:30:00Z"
    assert days_of([LaunchOrigin(utc_text(tokyo)), UNKNOWN]) == ["2026-11-24", None]


@pytest.mark.parametrize("utc", ["", "yesterday", "2026-11-24", "2026-11-24 12:00:00", "2026-02-30T12:00:00Z"])
def test_a_time_in_another_format_is_refused(utc: str) -> None:
    """Two formats would be two days."""
    with pytest.raises(InvalidValueError, match=r"LaunchOrigin\.utc: got .*wanted a time like 2026-11-24T06:29:02Z"):
        LaunchOrigin(utc)


@pytest.mark.parametrize("origin", [{"node": ""}, {"node": "a\nb"}, {"gpus": ("",)}])
def test_a_name_is_one_line_of_text(origin: dict[str, object]) -> None:
    """An empty name is no name."""
    with pytest.raises(InvalidValueError, match=r"LaunchOrigin\.(node|gpus): got "):
        LaunchOrigin(NOON, **origin)  # type: ignore[arg-type]


def test_configurations_on_one_node_are_a_launch_of_that_node() -> None:
    """The first time counts, and every GPU once."""
    origins = [LaunchOrigin(NOON, "n", ("GPU-1",)), LaunchOrigin("2026-11-24T11:00:00Z", "n", ("GPU-2", "GPU-1"))]
    assert LaunchOrigin.joint(origins) == LaunchOrigin("2026-11-24T11:00:00Z", "n", ("GPU-1", "GPU-2"))


def test_what_one_configuration_does_not_know_the_launch_does_not() -> None:
    """No time and no node are guessed from the others."""
    assert LaunchOrigin.joint([LaunchOrigin(NOON, "n"), LaunchOrigin(None, "m")]) == UNKNOWN
    assert LaunchOrigin.joint([]) == UNKNOWN


def days(*utc: str) -> list[str | None]:
    """The days of launches in November 2026, each given as day, hour and minute."""
    return days_of([LaunchOrigin(f"2026-11-{each[:2]}T{each[3:]}:00Z") for each in utc])


def test_a_run_beyond_midnight_is_of_one_day() -> None:
    """Of the day on which it began, in any order; the next night is another day, though it begins on the same date."""
    assert days("24 23:30", "25 00:40", "25 01:50") == ["2026-11-24"] * 3
    assert days("25 00:40", "24 23:30") == ["2026-11-24"] * 2
    assert days("24 23:30", "25 00:40", "25 23:30", "26 00:40") == ["2026-11-24"] * 2 + ["2026-11-25"] * 2


def test_launches_six_hours_apart_are_of_their_own_dates() -> None:
    """Two runs of one date are of one day; no chain of launches is longer than a day."""
    assert days("24 06:00", "24 20:00", "25 02:30") == ["2026-11-24", "2026-11-24", "2026-11-25"]
    every_five_hours = [f"{24 + hour // 24} {hour % 24:02}:00" for hour in range(0, 50, 5)]
    assert days(*every_five_hours) == ["2026-11-24"] * 5 + ["2026-11-25"] * 5
