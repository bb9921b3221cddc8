"""The text of a journal: one JSON object a line, in ASCII, closed by a newline. Pure: no file is touched.

Invariants: each line carries a digest of itself, and a damaged or edited line is refused; a reader reads every older
schema and refuses a newer one with its number. Schema history, newest last:
  1  run, launch, point and finished, each with the fields of `pytest_precgate.journal.events`.
  2  a launch has the cost of its engine's start, in GPU-seconds; null when unknown.
  3  a run has a salt; a point has its token counts, the number of requests sent again, and the error asked for; its own
     error is the half-width of a 90% interval (before: a standard error); disturbed runs of points are kept.
  4  a launch has the names configuration and launch (to 3: number and attempt); settings say stop_rule (extent).
  5  a launch has what its GPU-seconds are, null where it takes none ("paid"; to 4 the kind of the engine says it).
     It has the time of its opening, the node and the UUIDs of its GPUs ("utc", "node", "gpus"), where known.
  6  a point has its details: latencies, goodput, energy, the engine's own times; each only where known. It has its
     axis of interactivity (to 5 tpot).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import NoReturn, cast

from pytest_precgate.analysis.accepted.fingerprint import Fact, Fingerprint
from pytest_precgate.analysis.accepted.origin import LaunchOrigin
from pytest_precgate.analysis.cost import KINDS, Kind
from pytest_precgate.analysis.curves.details import FIGURES, PointDetails
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.measurement import Measurement
from pytest_precgate.analysis.measure.point import MeasuredPoint
from pytest_precgate.analysis.measure.records import ClientCheck
from pytest_precgate.analysis.measure.uncertainty import Uncertainty
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
from pytest_precgate.values import TableReader

SCHEMA = 6
_DIGEST = "sha256"
_INTERVAL_OF_STANDARD_ERROR = 1.645  # 90% of a normal distribution
_RUN = ("suite", "utc", "commit", "tool_version", "hardware", "workload", "configurations", "settings")
_TRIED = ("configuration", "concurrency", "cause", "gpu_seconds")
_POINT_KEYS = Keys("event", "launch", "measurement", "gpu_seconds", "configuration")
_LAUNCH_OPTIONAL = ("starting_gpu_s", "paid", "utc", "node", "gpus")
_LAUNCH_KEYS = Keys("event", "launch", "engine", "hard", "soft", optional=_LAUNCH_OPTIONAL)
_PAID_TO_4: Mapping[str, Kind] = {"endpoint": "endpoint", "simulated": "simulated"}  # every other kind was started
_TRIED_KEYS = Keys("event", "launch", *_TRIED)
_FINISHED_KEYS = Keys("event", "launch")
_KEY = TableReader(LaunchKey, counts=("launch",))
_KEY_KEYS_TO_3 = Keys("precision", "number", "attempt")
# Of the load settings alone, wherever an engine has them: an option of an engine may have any name.
_EXTENT_TO_3 = re.compile(r"^([^.]+\.(?:settings\.|endpoint\.)?load\.)extent\.")
_WORKLOAD = TableReader(Workload, counts=("isl", "osl"))
_CLIENT = TableReader(ClientCheck, counts=("processes",))
_DETAILS = TableReader(PointDetails, optional=FIGURES)
_MEASUREMENT = TableReader(
    Measurement,
    optional=("asked_error", "tokens", "resent", "reopened", "details", "axis"),
    counts=("concurrency", "gpus"),
    client=lambda members, name: _CLIENT.at(members, name) if members.has(name) else None,
    details=lambda members, name: _DETAILS.at(members, name) if members.has(name) else None,
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
        cost = {"starting_gpu_s": event.starting_gpu_s, "paid": event.paid}
        return {"event": "launch", "launch": key, "engine": event.engine, **facts, **cost, **_origin_fields(event)}
    if isinstance(event, PointMeasured):
        return {"event": "point", "launch": key, **_point_fields(event.point)}
    if isinstance(event, PointTried):
        return {"event": "tried", "launch": key, **{name: getattr(event, name) for name in _TRIED}}
    return {"event": "finished", "launch": key}


def _point_fields(point: MeasuredPoint) -> dict[str, object]:
    fields = asdict(point)
    details = point.measurement.details
    fields["measurement"]["details"] = None if details is None else details.known
    return fields


def _origin_fields(event: LaunchOpened) -> dict[str, object]:
    """What is known of when and where, and nothing of what is not."""
    known = {"utc": event.origin.utc, "node": event.origin.node, "gpus": list(event.origin.gpus)}
    return {name: value for name, value in known.items() if value}


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


def refuse_older(first_line: bytes, source: str) -> None:
    """Raise JournalSchemaError for a journal of an older schema: a later line would not be of the schema it names."""
    schema = json.loads(first_line)["schema"]
    if schema < SCHEMA:
        raise JournalSchemaError(
            f"{source}: schema {schema} was written by an older pytest-precgate; this one reads it, and appends to "
            f"schema {SCHEMA} alone. Finish the run with the version that began it, or start a new run"
        )


def _run(node: Node) -> RunOpened:
    members = node.table(required=["event", "schema", *_RUN], optional=["salt"])
    is_old = members["schema"].count() < 4
    settings = {
        _EXTENT_TO_3.sub(r"\1stop_rule.", key) if is_old else key: _setting(member)
        for key, member in members["settings"].mapping().items()
    }
    return RunOpened(
        **{name: members[name].text() for name in ("suite", "utc", "commit", "tool_version", "hardware")},
        workload=_WORKLOAD.read(members["workload"]),
        configurations={name: member.count() for name, member in members["configurations"].mapping().items()},
        settings=settings,
        salt=members["salt"].text() if "salt" in members else "",
    )


def _setting(node: Node) -> Setting:
    if node.value is not None and not isinstance(node.value, (str, int, float, bool)):
        node.fail("wanted a text, a number, true, false or null")
    return node.value


def _launch(node: Node) -> LaunchOpened:
    members = node.table(required=["event", "launch", "engine", "hard", "soft"], optional=_LAUNCH_OPTIONAL)
    hard, soft = (
        {name: cast(Fact, member.value) for name, member in members[part].mapping().items()}
        for part in ("hard", "soft")
    )
    start = members.get("starting_gpu_s")
    starting_gpu_s = None if start is None or start.value is None else start.number()
    key, engine = _key(node.fields(_LAUNCH_KEYS)), members["engine"].text()
    origin = LaunchOrigin(
        members["utc"].text() if "utc" in members else None,
        members["node"].text() if "node" in members else None,
        tuple(gpu.text() for gpu in members["gpus"].items()) if "gpus" in members else (),
    )
    return LaunchOpened(key, engine, Fingerprint(hard, soft), starting_gpu_s, _paid(members, engine), origin)


def _paid(members: Mapping[str, Node], engine: str) -> Kind | None:
    if "paid" not in members:
        return _PAID_TO_4.get(engine, "started")
    return None if members["paid"].value is None else cast(Kind, members["paid"].choice(KINDS))


def _point(node: Node) -> PointMeasured:
    fields = node.fields(_POINT_KEYS)
    point = MeasuredPoint(_measurement(fields), fields.number("gpu_seconds"), fields.text("configuration"))
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
    return _KEY.at(line, "launch")


def _measurement(line: Fields) -> Measurement:
    """Return the measurement of a point; its errors are half-widths of 90% intervals, up to schema 2 standard
    errors."""
    measured = _MEASUREMENT.at(line, "measurement")
    if measured.error is None or "asked_error" in line.fields("measurement", _MEASUREMENT.keys):
        return measured
    scale = _INTERVAL_OF_STANDARD_ERROR
    error = Uncertainty(scale * measured.error.throughput, scale * measured.error.interactivity)
    return replace(measured, error=error)
