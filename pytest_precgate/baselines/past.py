"""An earlier text of a baseline file as a revision: who recorded it, why, and the values of its gates. Pure.

Input: the bytes of a file at a commit. Output: a revision; a file that cannot be read says why, and is no error."""

from __future__ import annotations

from pytest_precgate.analysis.accepted.trend import BaselineRevision
from pytest_precgate.baselines.schema import parse, recorded_values
from pytest_precgate.errors import BaselineError, InvalidValueError


def past_revision(
    data: bytes | None, suite: str, *, commit: str, author: str, utc: str, subject: str
) -> BaselineRevision:
    """Return the revision of a commit; ``data`` is None where it removed the file.

    Values are those that the file says, at the price of that day: curves of hundreds of old states would take minutes.
    """
    if data is None:
        return BaselineRevision(commit, author, utc, subject, removed=True)
    source = f"{suite}.json of {commit[:12]}"
    try:
        text = data.decode("utf-8")
        baseline = parse(text, source)
        values = {gate.key: value for gate, value in recorded_values(text, source).gates.items()}
    except UnicodeDecodeError:
        return BaselineRevision(commit, author, utc, subject, unread=f"{source}: is not UTF-8 text")
    except (BaselineError, InvalidValueError) as exc:
        return BaselineRevision(commit, author, utc, subject, unread=str(exc))
    if baseline.suite != suite or any(value <= 0 for value in values.values()):
        why = f"belongs to suite {baseline.suite!r}" if baseline.suite != suite else "says a value that is not above 0"
        return BaselineRevision(commit, author, utc, subject, unread=f"{source}: {why}")
    simulated = any(launch.sweep.simulated for launch in baseline.launches)
    return BaselineRevision(commit, author, utc, subject, baseline.recorded.reason, values, simulated=simulated)
