"""The text of a journal: one JSON object a line, in ASCII, closed by a newline. Pure: no file is touched.

Each line carries a digest of itself: a figure that was damaged or edited is refused, never judged.

Schema history, newest last; a reader reads every older one and refuses a newer one by name.
  1  run, launch, point and finished, each with what `pytest_precgate.journal.events` says of it.
  2  a launch says what its engine took to start, in GPU-seconds; null where that is not known.
  3  a run has a salt; a point says what its tokens were, how many requests were sent again, and the error it was to be
     known to; its own error is the half-width of a 90% interval, and was a standard error; runs of points that gave
     nothing are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import NoReturn, cast

from pytest_precgate.analysis.accepted.fingerprint import Fact, Fingerprint
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.metrics import Measurement, Spread
from pytest_precgate.analysis.measure.point import MeasuredPoint
from pytest_precgate.analysis.measure.records import ClientCheck
from pytest_precgate.analysis.measure.tokens import TokenFacts
from pytest_precgate.analysis.measure.uncertainty import Uncertainty
from pytest_precgate.analysis.measure.window import WINDOW_KINDS, Window, WindowKind
from pytest_precgate.documents import Node, strict_json
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

SCHEMA = 3
_DIGEST = "sha256"
_INTERVAL_OF_STANDARD_ERROR = 1.645  # 90% of a normal distribution
_RUN = ("suite", "utc", "commit", "tool_version", "hardware", "workload", "configurations", "settings")
_KEY = ("precision", "number", "attempt")
_SPREAD = ("mean_s", "median_s", "p90_s", "p99_s")
_WINDOW = ("kind", "start_s", "end_s")
_ERROR = ("throughput", "interactivity")
_CLIENT = ("cpu_share", "events_per_read", "loop_lag_p99_s", "achieved_concurrency", "processes")
_TOKENS = ("tokens_per_event", "first_event_tokens", "cached_share", "acceptance_length")
_TRIED = ("configuration", "concurrency", "cause", "gpu_seconds")
_MEASUREMENT = (
    *("concurrency", "gpus", "completed", "failed", "window", "ttft", "tpot", "request_latency"),
    *("itl_median_s", "itl_p99_s", "throughput_per_gpu", "error", "client"),
)


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
    members = node.mapping()
    event = members.get("event", node.child("event", None)).choice(_READERS)
    if event == "run":
        _refuse_newer(node)
    fields = {name: member.value for name, member in members.items() if name != _DIGEST}
    if not _follows(fields, members):
        refuse("does not follow from its own digest: damaged, or edited by hand? It is left as it is")
    with node.building():
        return _READERS[event](replace(node, value=fields))


def _follows(fields: Mapping[str, object], members: Mapping[str, Node]) -> bool:
    try:
        return _DIGEST in members and members[_DIGEST].value == _digest(fields)
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
    settings = {key: _setting(member) for key, member in members["settings"].mapping().items()}
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
    start = _number_or_none(members["starting_gpu_s"]) if "starting_gpu_s" in members else None
    return LaunchOpened(_key(members["launch"]), members["engine"].text(), Fingerprint(hard, soft), start)


def _point(node: Node) -> PointMeasured:
    members = node.table(required=["event", "launch", "measurement", "gpu_seconds", "configuration"])
    measurement = _measurement(members["measurement"])
    point = MeasuredPoint(measurement, members["gpu_seconds"].number(), members["configuration"].text())
    return PointMeasured(_key(members["launch"]), point)


def _tried(node: Node) -> PointTried:
    members = node.table(required=["event", "launch", *_TRIED])
    return PointTried(
        _key(members["launch"]),
        configuration=members["configuration"].text(),
        concurrency=members["concurrency"].count(),
        cause=members["cause"].text(),
        gpu_seconds=members["gpu_seconds"].number(),
    )


def _finished(node: Node) -> LaunchFinished:
    return LaunchFinished(_key(node.table(required=["event", "launch"])["launch"]))


_READERS: Mapping[str, Callable[[Node], Event]] = {
    "run": _run,
    "launch": _launch,
    "point": _point,
    "tried": _tried,
    "finished": _finished,
}


def _key(node: Node) -> LaunchKey:
    members = node.table(required=_KEY)
    return LaunchKey(members["precision"].text(), members["number"].integer(), members["attempt"].count())


def _measurement(node: Node) -> Measurement:
    members = node.table(required=_MEASUREMENT, optional=["asked_error", "tokens", "resent", "reopened"])
    tokens = members.get("tokens")
    window = members["window"].table(required=_WINDOW)
    return Measurement(
        concurrency=members["concurrency"].count(),
        gpus=members["gpus"].count(),
        completed=members["completed"].integer(),
        failed=members["failed"].integer(),
        window=Window(
            cast(WindowKind, window["kind"].choice(WINDOW_KINDS)),
            *(window[name].number() for name in ("start_s", "end_s")),
        ),
        ttft=_spread(members["ttft"]),
        tpot=_spread(members["tpot"]),
        request_latency=_spread(members["request_latency"]),
        itl_median_s=_number_or_none(members["itl_median_s"]),
        itl_p99_s=_number_or_none(members["itl_p99_s"]),
        throughput_per_gpu=members["throughput_per_gpu"].number(),
        error=None if members["error"].value is None else _error(members["error"], "asked_error" in members),
        client=None if members["client"].value is None else _client(members["client"]),
        asked_error=_number_or_none(members["asked_error"]) if "asked_error" in members else None,
        tokens=None if tokens is None or tokens.value is None else _tokens(tokens),
        resent=members["resent"].integer() if "resent" in members else 0,
        reopened=members["reopened"].integer() if "reopened" in members else 0,
    )


def _tokens(node: Node) -> TokenFacts:
    members = node.table(required=_TOKENS)
    return TokenFacts(
        tokens_per_event=members["tokens_per_event"].number(),
        first_event_tokens=members["first_event_tokens"].number(),
        cached_share=_number_or_none(members["cached_share"]),
        acceptance_length=_number_or_none(members["acceptance_length"]),
    )


def _spread(node: Node) -> Spread:
    members = node.table(required=_SPREAD)
    return Spread(*(members[name].number() for name in _SPREAD))


def _error(node: Node, is_interval: bool) -> Uncertainty:
    """Half-widths of 90% intervals; up to schema 2 the figures are standard errors."""
    members = node.table(required=_ERROR)
    scale = 1.0 if is_interval else _INTERVAL_OF_STANDARD_ERROR
    return Uncertainty(*(scale * members[name].number() for name in _ERROR))


def _client(node: Node) -> ClientCheck:
    members = node.table(required=_CLIENT)
    figures = {name: members[name].number() for name in _CLIENT if name != "processes"}
    return ClientCheck(**figures, processes=members["processes"].count())


def _number_or_none(node: Node) -> float | None:
    return None if node.value is None else node.number()
