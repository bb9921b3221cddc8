"""The text of a journal: one JSON object a line, in ASCII, closed by a newline. Pure: no file is touched.

Invariants: each line carries a digest of itself, and a damaged or edited line is refused; a reader reads every older
schema and refuses a newer one with its number. Schema history, newest last:
  1  run, launch, point and finished, each with the fields of `pytest_precgate.journal.events`.
  2  a launch has the cost of its engine's start, in GPU-seconds; null when unknown.
  3  a run has a salt; a point has its token counts, the number of requests sent again, and the error asked for; its own
     error is the half-width of a 90% interval (before: a standard error); disturbed runs of points are kept.
  4  a launch has the names configuration and launch (to 3: number and attempt); settings say stop_rule (extent).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import NoReturn, cast

from pytest_precgate.analysis.accepted.fingerprint import Fact, Fingerprint
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.metrics import Measurement, Spread
from pytest_precgate.analysis.measure.point import MeasuredPoint
from pytest_precgate.analysis.measure.records import ClientCheck
from pytest_precgate.analysis.measure.tokens import TokenFacts
from pytest_precgate.analysis.measure.uncertainty import Uncertainty
from pytest_precgate.analysis.measure.window import WINDOW_KINDS, Window, WindowKind
from pytest_precgate.documents import Fields, Keys, Node, strict_json
from pytest_precgate.errors import InvalidValueError, JournalCorruptError, JournalSchemaError
from pytest_precgate.journal.events import (
    Event,
    LaunchFinished,
    LaunchKey,
    LaunchOpened,
    PointMeasured,
    PointTried,
    RunOpened,
    Setting,
)

SCHEMA = 4
_DIGEST = "sha256"
_INTERVAL_OF_STANDARD_ERROR = 1.645  # 90% of a normal distribution
_RUN = ("suite", "utc", "commit", "tool_version", "hardware", "workload", "configurations", "settings")
_TRIED = ("configuration", "concurrency", "cause", "gpu_seconds")
_SPREAD = ("mean_s", "median_s", "p90_s", "p99_s")
_ERROR = ("throughput", "interactivity")
_CLIENT = ("cpu_share", "events_per_read", "loop_lag_p99_s", "achieved_concurrency")
_MEASUREMENT = (
    *("concurrency", "gpus", "completed", "failed", "window", "ttft", "tpot", "request_latency"),
    *("itl_median_s", "itl_p99_s", "throughput_per_gpu", "error", "client"),
)
_POINT_KEYS = Keys("event", "launch", "measurement", "gpu_seconds", "configuration")
_LAUNCH_KEYS = Keys("event", "launch", "engine", "hard", "soft", optional=("starting_gpu_s",))
_TRIED_KEYS = Keys("event", "launch", *_TRIED)
_FINISHED_KEYS = Keys("event", "launch")
_KEY_KEYS = Keys("precision", "configuration", "launch")
_KEY_KEYS_TO_3 = Keys("precision", "number", "attempt")
_MEASUREMENT_KEYS = Keys(*_MEASUREMENT, optional=("asked_error", "tokens", "resent", "reopened"))
_SPREAD_KEYS = Keys(*_SPREAD)
_WINDOW_KEYS = Keys("kind", "start_s", "end_s")
_ERROR_KEYS = Keys(*_ERROR)
_CLIENT_KEYS = Keys(*_CLIENT, "processes")
_TOKENS_KEYS = Keys("tokens_per_event", "first_event_tokens", "cached_share", "acceptance_length")


def line(event: Event) -> str:
    """Return the event's line with its newline. Raises InvalidValueError for a figure that is not finite."""
    try:
        fields = _fields(event)
        return _canonical({**fields, _DIGEST: _digest(fields)}) + "\n"
    except ValueError as exc:
        raise InvalidValueError(f"a journal holds finite figures only: {exc}: {event!r}") from exc


def _fields(event: Event) -> dict[str, object]:
    if isinstance(event, RunOpened):
        return {
            **{name: getattr(event, name) for name in ("suite", "utc", "commit", "tool_version", "hardware")},
            "event": "run",
            "schema": SCHEMA,
            **({"salt": event.salt} if event.salt else {}),
            "workload": asdict(event.workload),
            "configurations": dict(event.configurations),
            "settings": dict(event.settings),
        }
    key = asdict(event.key)
    if isinstance(event, LaunchOpened):
        facts = {"hard": dict(event.facts.hard), "soft": dict(event.facts.soft)}
        start = {"starting_gpu_s": event.starting_gpu_s}
        return {"event": "launch", "launch": key, "engine": event.engine, **facts, **start}
    if isinstance(event, PointMeasured):
        return {"event": "point", "launch": key, **asdict(event.point)}
    if isinstance(event, PointTried):
        return {"event": "tried", "launch": key, **{name: getattr(event, name) for name in _TRIED}}
    return {"event": "finished", "launch": key}


def _canonical(fields: Mapping[str, object]) -> str:
    return json.dumps(fields, sort_keys=True, allow_nan=False)


def _digest(fields: Mapping[str, object]) -> str:
    return hashlib.sha256(_canonical(fields).encode()).hexdigest()[:16]


def read_line(text: str, number: int, source: str) -> Event:
    """Return the event of line ``number`` of ``source``.

    Raises JournalCorruptError with file, line and spot, JournalSchemaError for a journal of a newer version.
    """

    def refuse(why: str) -> NoReturn:
        raise JournalCorruptError(source, f"line {number}", why)

    try:
        document = strict_json(text, refuse)
    except ValueError as exc:  # JSONDecodeError, or a whole number too long to be one
        refuse(f"is not JSON ({exc}); it is left as it is")
    node = Node(document, source, f"line {number}: $", JournalCorruptError)
    if not isinstance(document, dict):
        node.fail(f"got {node.shown}, wanted a table")
    event = document.get("event")
    if not (isinstance(event, str) and event in _READERS):
        event = node.child("event", event).choice(_READERS)  # which refuses it
    if event == "run":
        _refuse_newer(node)
    digest = document.pop(_DIGEST, None)
    if digest is None or not (_follows_as_written(text, digest) or _follows(document, digest)):
        refuse("does not follow from its own digest: damaged, or edited by hand? It is left as it is")
    try:
        return _READERS[event](node)
    except InvalidValueError as exc:
        raise JournalCorruptError(source, node.spot, str(exc)) from exc


def _follows_as_written(text: str, digest: object) -> bool:
    """Whether a line that ends in its digest, as all but few do, is what was hashed when it was written."""
    end = f', "{_DIGEST}": "{digest}"}}'
    return text.endswith(end) and hashlib.sha256(f"{text[: -len(end)]}}}".encode()).hexdigest()[:16] == digest


def _follows(fields: Mapping[str, object], digest: object) -> bool:
    try:
        return digest == _digest(fields)
    except ValueError:  # 1e999 is read as infinity and never written
        return False


def _refuse_newer(node: Node) -> None:
    schema = node.mapping().get("schema", node.child("schema", None)).count()
    if schema > SCHEMA:
        raise JournalSchemaError(
            f"{node.source}: schema {schema} was written by a newer pytest-precgate; this one reads up to {SCHEMA}. "
            "Upgrade pytest-precgate; the file is left as it is"
        )


def _run(node: Node) -> RunOpened:
    members = node.table(required=["event", "schema", *_RUN], optional=["salt"])
    is_old = members["schema"].count() < 4
    settings = {
        key.replace(".extent.", ".stop_rule.") if is_old else key: _setting(member)
        for key, member in members["settings"].mapping().items()
    }
    workload = members["workload"].table(required=["isl", "osl", "range_ratio"])
    return RunOpened(
        **{name: members[name].text() for name in ("suite", "utc", "commit", "tool_version", "hardware")},
        workload=Workload(workload["isl"].count(), workload["osl"].count(), workload["range_ratio"].number()),
        configurations={name: member.count() for name, member in members["configurations"].mapping().items()},
        settings=settings,
        salt=members["salt"].text() if "salt" in members else "",
    )


def _setting(node: Node) -> Setting:
    if node.value is not None and not isinstance(node.value, (str, int, float, bool)):
        node.fail("wanted a text, a number, true, false or null")
    return node.value


def _launch(node: Node) -> LaunchOpened:
    members = node.table(required=["event", "launch", "engine", "hard", "soft"], optional=["starting_gpu_s"])
    hard, soft = (
        {name: cast(Fact, member.value) for name, member in members[part].mapping().items()}
        for part in ("hard", "soft")
    )
    start = members.get("starting_gpu_s")
    starting_gpu_s = None if start is None or start.value is None else start.number()
    key = _key(node.fields(_LAUNCH_KEYS))
    return LaunchOpened(key, members["engine"].text(), Fingerprint(hard, soft), starting_gpu_s)


def _point(node: Node) -> PointMeasured:
    fields = node.fields(_POINT_KEYS)
    measurement = _measurement(fields.fields("measurement", _MEASUREMENT_KEYS))
    point = MeasuredPoint(measurement, fields.number("gpu_seconds"), fields.text("configuration"))
    return PointMeasured(_key(fields), point)


def _tried(node: Node) -> PointTried:
    fields = node.fields(_TRIED_KEYS)
    return PointTried(
        _key(fields),
        configuration=fields.text("configuration"),
        concurrency=fields.count("concurrency"),
        cause=fields.text("cause"),
        gpu_seconds=fields.number("gpu_seconds"),
    )


def _finished(node: Node) -> LaunchFinished:
    return LaunchFinished(_key(node.fields(_FINISHED_KEYS)))


_READERS: Mapping[str, Callable[[Node], Event]] = {
    "run": _run,
    "launch": _launch,
    "point": _point,
    "tried": _tried,
    "finished": _finished,
}


def _key(line: Fields) -> LaunchKey:
    launch = line.value("launch")
    if isinstance(launch, dict) and "attempt" in launch:
        fields = line.fields("launch", _KEY_KEYS_TO_3)
        return LaunchKey(fields.text("precision"), fields.integer("number"), fields.count("attempt"))
    fields = line.fields("launch", _KEY_KEYS)
    return LaunchKey(fields.text("precision"), fields.integer("configuration"), fields.count("launch"))


def _measurement(fields: Fields) -> Measurement:
    is_interval = "asked_error" in fields
    return Measurement(
        concurrency=fields.count("concurrency"),
        gpus=fields.count("gpus"),
        completed=fields.integer("completed"),
        failed=fields.integer("failed"),
        window=_window(fields.fields("window", _WINDOW_KEYS)),
        ttft=_spread(fields.fields("ttft", _SPREAD_KEYS)),
        tpot=_spread(fields.fields("tpot", _SPREAD_KEYS)),
        request_latency=_spread(fields.fields("request_latency", _SPREAD_KEYS)),
        itl_median_s=_number_or_none(fields, "itl_median_s"),
        itl_p99_s=_number_or_none(fields, "itl_p99_s"),
        throughput_per_gpu=fields.number("throughput_per_gpu"),
        error=_error(fields.fields("error", _ERROR_KEYS), is_interval) if fields.has("error") else None,
        client=_client(fields.fields("client", _CLIENT_KEYS)) if fields.has("client") else None,
        asked_error=_number_or_none(fields, "asked_error"),
        tokens=_tokens(fields.fields("tokens", _TOKENS_KEYS)) if fields.has("tokens") else None,
        resent=fields.integer("resent") if "resent" in fields else 0,
        reopened=fields.integer("reopened") if "reopened" in fields else 0,
    )


def _window(fields: Fields) -> Window:
    kind = cast(WindowKind, fields.choice("kind", WINDOW_KINDS))
    return Window(kind, fields.number("start_s"), fields.number("end_s"))


def _tokens(fields: Fields) -> TokenFacts:
    return TokenFacts(
        tokens_per_event=fields.number("tokens_per_event"),
        first_event_tokens=fields.number("first_event_tokens"),
        cached_share=_number_or_none(fields, "cached_share"),
        acceptance_length=_number_or_none(fields, "acceptance_length"),
    )


def _spread(fields: Fields) -> Spread:
    return Spread(*map(fields.number, _SPREAD))


def _error(fields: Fields, is_interval: bool) -> Uncertainty:
    """Half-widths of 90% intervals; up to schema 2 the figures are standard errors."""
    scale = 1.0 if is_interval else _INTERVAL_OF_STANDARD_ERROR
    return Uncertainty(*(scale * fields.number(name) for name in _ERROR))


def _client(fields: Fields) -> ClientCheck:
    return ClientCheck(**{name: fields.number(name) for name in _CLIENT}, processes=fields.count("processes"))


def _number_or_none(fields: Fields, name: str) -> float | None:
    return fields.number(name) if fields.has(name) else None
