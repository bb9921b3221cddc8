"""When and where a launch was measured, and what is not known of it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from pytest_precgate.analysis.accepted.origin import UNKNOWN, LaunchOrigin, utc_text
from pytest_precgate.errors import InvalidValueError

NOON = "2026-11-24T12:00:00Z"


def test_a_time_is_written_in_utc() -> None:
    """Whatever zone it comes in; the day is that of UTC."""
    tokyo = datetime(2026, 11, 25, 1, 30, tzinfo=timezone(timedelta(hours=9)))
    assert utc_text(tokyo) == "2026-11-24T16:30:00Z"
    assert LaunchOrigin(utc_text(tokyo)).day == "2026-11-24"
    assert UNKNOWN.day is None


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
