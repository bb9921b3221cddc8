"""What a person reads of a point, under way and at its end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_precgate.analysis.measure.measurement import Measurement, Spread
from pytest_precgate.analysis.measure.uncertainty import Uncertainty
from pytest_precgate.analysis.measure.window import Window
from pytest_precgate.reports.progress import measured

SPREAD = Spread(0.02, 0.02, 0.03, 0.04)
POINT = Measurement(8, 4, 90, 0, Window("steady", 4.0, 124.0), SPREAD, SPREAD, SPREAD, None, None, 900.0, None, None)


@pytest.mark.parametrize(
    ("error", "asked", "said"),
    [
        (Uncertainty(0.004, 0.001), 0.005, "window 120.0 s, known to 0.4%"),
        (Uncertainty(0.004, 0.001), None, "window 120.0 s, known to 0.4%"),
        (Uncertainty(0.001, 0.0231), 0.005, "known to 2.31%, asked for 0.5%"),
        (Uncertainty(0.00503, 0.0), 0.005, "known to 0.503%, asked for 0.5%"),
        (Uncertainty(1.2, 0.0), 0.005, "known to 120%, asked for 0.5%"),
        (None, 0.005, "too short to tell its error, asked for 0.5%"),
        (None, None, "too short to tell its error"),
    ],
)
def test_a_point_says_how_well_it_is_known_and_what_was_asked_for(
    error: Uncertainty | None, asked: float | None, said: str
) -> None:
    """The second only where the first is not as good."""
    assert measured("fp4", 8, replace(POINT, error=error, asked_error=asked)).endswith(said)
