"""Checks the points of a journal by the rules that applied when they were measured.

Input: a recorded launch and the suite that reuses it. Output: nothing, or an InvalidPointError at the first point that
the load client would have refused. Invariant: a valid digest is not enough, and a point that lacks a value for a rule
is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from pytest_precgate.analysis.measure.measurement import Measurement
from pytest_precgate.analysis.measure.metrics import require_believable
from pytest_precgate.analysis.measure.stopping import StopRule
from pytest_precgate.analysis.measure.tokens import Expected
from pytest_precgate.engines.load import LoadSettings, SweepSettings
from pytest_precgate.errors import InvalidPointError
from pytest_precgate.journal.events import LaunchKey, RunOpened
from pytest_precgate.journal.state import RecordedLaunch
from pytest_precgate.settings import Suite

# Where the load settings lie among the settings of an engine: simulated; started; attached.
_LOADS = ("load", "settings.load", "endpoint.load")
_NAMES: Mapping[type, set[str]] = {each: {field.name for field in fields(each)} for each in (SweepSettings, StopRule)}


def _of(owner: type, name: str) -> str:
    """The name of a field of ``owner``, which must exist: a renamed field fails the import of this module."""
    if name not in _NAMES[owner]:
        raise AssertionError(f"{owner.__name__} has no field {name}")
    return name


_POINT_ERROR = f"{_of(SweepSettings, 'stop_rule')}.{_of(StopRule, 'point_error')}"


def require_believed(suite: Suite, run: RunOpened, launch: RecordedLaunch) -> None:
    """Raise InvalidPointError, naming the point, for one that was not measured as ``suite`` asks.

    Journals up to schema 2, which have no salt, do not record the tokens of a point and the error asked for: there
    both may be missing.
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
        }
        if missing := [what for what, is_missing in lacks.items() if is_missing]:
            raise InvalidPointError(measured.concurrency, f"its record does not say {', '.join(missing)}")
        _require_error_asked(run, key, measured)


def _require_error_asked(run: RunOpened, key: LaunchKey, measured: Measurement) -> None:
    """Refuse a point that was to be known to another error than the settings of its own run say."""
    if not run.salt and measured.asked_error is None:
        return
    place = f"{key.precision}[{key.configuration}]" if run.configurations[key.precision] > 1 else key.precision
    names = [name for load in _LOADS if (name := f"{place}.{load}.{_POINT_ERROR}") in run.settings]
    if not names:
        raise InvalidPointError(measured.concurrency, "the settings of its run do not say when a point ends")
    asked, recorded = run.settings[names[0]], measured.asked_error
    if asked == recorded:
        return
    if recorded is None:
        raise InvalidPointError(measured.concurrency, "its record does not say the error it was to be known to")
    wanted = "a number of requests" if asked is None else f"an error of {asked}"
    raise InvalidPointError(measured.concurrency, f"it was to be known to {recorded:g}, its run asked for {wanted}")
