"""Checks the points of a journal by the rules that applied when they were measured.

Input: a recorded launch and the suite that reuses it. Output: nothing, or an InvalidPointError at the first point that
the load client would have refused. Invariant: a valid digest is not enough, and a point that lacks a value for a rule
is refused."""

from __future__ import annotations

from pytest_precgate.analysis.measure.metrics import require_believable
from pytest_precgate.analysis.measure.tokens import Expected
from pytest_precgate.engines.load import LoadSettings
from pytest_precgate.errors import InvalidPointError
from pytest_precgate.journal.events import RunOpened
from pytest_precgate.journal.state import RecordedLaunch
from pytest_precgate.settings import Suite


def require_believed(suite: Suite, run: RunOpened, launch: RecordedLaunch) -> None:
    """Raise InvalidPointError, naming the point, for one that was not measured as ``suite`` asks.

    A run from before points told their tokens and the error they were to be known to (one without a salt) has neither.
    """
    key = launch.opened.key
    load = suite.configurations(key.precision)[key.configuration].load
    loaded = isinstance(load, LoadSettings)  # by the client; the simulated engine in virtual time has none
    max_failures, expected = 0, Expected()
    if isinstance(load, LoadSettings):
        max_failures = load.max_failures
        expected = Expected(
            hidden_tokens=load.hidden_tokens,
            cached_share=load.cached_share,
            acceptance_length=load.acceptance_length,
        )
    for finished in launch.points:
        measured = finished.measurement
        require_believable(measured, max_failures, expected)
        lacks = {
            "what the client measured of itself": loaded and measured.client is None,
            "what its tokens were": bool(run.salt) and measured.tokens is None,
            "the error it was to be known to": _asked_for_error(run, key.precision) and measured.asked_error is None,
        }
        if missing := [what for what, is_missing in lacks.items() if is_missing]:
            raise InvalidPointError(measured.concurrency, f"its record does not say {', '.join(missing)}")


def _asked_for_error(run: RunOpened, precision: str) -> bool:
    """Whether every configuration of a precision was measured until it was known well enough."""
    asked = [
        value
        for name, value in run.settings.items()
        if name.startswith((f"{precision}.", f"{precision}[")) and name.endswith("extent.point_error")
    ]
    return bool(run.salt) and bool(asked) and all(value is not None for value in asked)
