"""One line of the history: what a run judged of one suite, and whether its state was accepted. No file is touched.

Input: an entry, or a line of text. Output: the other one. Invariants: a line is one JSON object in ASCII, closed by a
newline; a reader reads every older schema and refuses a newer one. Schema history, newest last:
  1  utc, commit, tool version, suite, outcome, accepted, replayed; per gate the verdict, value, baseline, anchor
     (and which state that is), sigma and the value of each launch; per launch its precision, utc, node and GPUs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NoReturn, TypeVar

from pytest_precgate.analysis.accepted.origin import LaunchOrigin
from pytest_precgate.analysis.gating.gates import GateKey, Metric
from pytest_precgate.analysis.quantity import one_line
from pytest_precgate.documents import Fields, Keys, Node, strict_json
from pytest_precgate.errors import HistoryCorruptError, HistorySchemaError, InvalidValueError

T = TypeVar("T")
SCHEMA = 1
_LEAST, _MOST = 1e-30, 1e30  # of a figure, in any unit
_TEXTS = ("suite", "utc", "commit", "tool_version", "outcome")
_ENTRY = Keys("schema", *_TEXTS, "accepted", "replayed", "gates", "launches")
_GATE = Keys(
    *("metric", "precision", "point", "test", "verdict", "value", "baseline", "anchor", "anchored", "sigma", "values")
)
_LAUNCH = Keys("precision", "utc", "node", "gpus")
_METRICS = tuple(metric.value for metric in Metric)


@dataclass(frozen=True)
class GateEntry:
    """A gate of a judged run; figures are None where there was none.

    ``value`` is what was judged, or of an accepted state its centre; ``values`` that of each launch, in order.
    ``anchored`` says which state the anchor is, so that a new one can be told."""

    test: str
    key: GateKey
    verdict: str
    value: float | None = None
    baseline: float | None = None
    anchor: float | None = None
    anchored: str | None = None
    sigma: float | None = None
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        one_line("GateEntry", "test", self.test)
        one_line("GateEntry", "verdict", self.verdict)


@dataclass(frozen=True)
class HistoryEntry:
    """A judged run of one suite. ``accepted`` says that its launches were written to the baseline, ``replayed`` that
    they had been measured by an earlier run, of whose time and commit the entry is."""

    suite: str
    utc: str
    commit: str
    tool_version: str
    outcome: str
    accepted: bool
    gates: Sequence[GateEntry]
    launches: Sequence[tuple[str, LaunchOrigin]] = ()
    replayed: bool = False

    def __post_init__(self) -> None:
        for field in _TEXTS:
            one_line("HistoryEntry", field, getattr(self, field))
        object.__setattr__(self, "gates", tuple(self.gates))
        object.__setattr__(self, "launches", tuple(self.launches))


def line(entry: HistoryEntry) -> str:
    """Return the entry's line with its newline. Raises InvalidValueError for a figure that is not finite."""
    fields = {
        "schema": SCHEMA,
        **{name: getattr(entry, name) for name in _TEXTS},
        "accepted": entry.accepted,
        "replayed": entry.replayed,
        "gates": [_gate_fields(gate) for gate in entry.gates],
        "launches": [
            {"precision": precision, "utc": origin.utc, "node": origin.node, "gpus": list(origin.gpus)}
            for precision, origin in entry.launches
        ],
    }
    try:
        return json.dumps(fields, sort_keys=True, allow_nan=False) + "\n"
    except ValueError as exc:
        raise InvalidValueError(f"a history holds finite figures only: {exc}: {entry!r}") from exc


def _gate_fields(gate: GateEntry) -> dict[str, object]:
    key = {"metric": gate.key.metric.value, "point": gate.key.point, "precision": "/".join(gate.key.precisions)}
    own = {
        name: getattr(gate, name) for name in ("test", "verdict", "value", "baseline", "anchor", "anchored", "sigma")
    }
    return {**key, **own, "values": list(gate.values)}


def read_line(text: str, number: int, source: str) -> HistoryEntry:
    """Return the entry of line ``number`` of ``source``.

    Raises HistoryCorruptError with file, line and spot, HistorySchemaError for a line of a newer version."""

    def refuse(why: str) -> NoReturn:
        raise HistoryCorruptError(source, f"line {number}", why)

    try:
        document = strict_json(text, refuse)
    except ValueError as exc:
        refuse(f"is not JSON ({exc}); remove the line, or restore the file")
    node = Node(document, source, f"line {number}: $", HistoryCorruptError)
    table = document if isinstance(document, dict) else node.mapping()
    schema = node.child("schema", table.get("schema")).count()
    if schema > SCHEMA:
        raise HistorySchemaError(
            f"{source}: line {number}: schema {schema} was written by a newer pytest-precgate; this one reads up to "
            f"{SCHEMA}. Upgrade pytest-precgate; the file is left as it is"
        )
    members = node.fields(_ENTRY)
    gates = _each(members, "gates", _GATE, _gate)
    launches = _each(members, "launches", _LAUNCH, _launch)
    texts = {name: members.text(name) for name in _TEXTS}
    with node.building():
        return HistoryEntry(
            **texts,
            accepted=members["accepted"].flag(),
            replayed=members["replayed"].flag(),
            gates=gates,
            launches=launches,
        )


def _each(members: Fields, name: str, keys: Keys, read: Callable[[Fields], T]) -> list[T]:
    """What every table of a list holds; what its value refuses is refused at its spot."""
    listed, found = members.value(name), list[T]()
    if not isinstance(listed, list):
        members[name].fail(f"got {members[name].shown}, wanted a list")
    place = members[name]
    for number, each in enumerate(listed):
        node = partial(place.child, number, each)
        try:
            found.append(read(Fields(keys, each, node)))
        except InvalidValueError:
            with node().building():
                raise
    return found


def _gate(members: Fields) -> GateEntry:
    point, precision = members.number("point"), members.text("precision")
    metric = members.choice("metric", _METRICS)
    anchored = members.text("anchored") if members.has("anchored") else None
    value, baseline, anchor = (_figure(members, name) for name in ("value", "baseline", "anchor"))
    sigma = _figure(members, "sigma", 0.0)
    values = _values(members)
    test, verdict = members.text("test"), members.text("verdict")
    return GateEntry(test, _key(metric, precision, point), verdict, value, baseline, anchor, anchored, sigma, values)


@lru_cache(maxsize=4096)
def _key(metric: str, precision: str, point: float) -> GateKey:
    """The keys of a suite stand in every line of its history."""
    return GateKey(Metric(metric), tuple(precision.split("/")), point)


def _figure(members: Fields, name: str, least: float = _LEAST) -> float | None:
    """A figure that can be divided by, squared and put into a logarithm, None for null; a sigma may be 0."""
    value = members.value(name)
    if value is None or (type(value) is float and least <= value <= _MOST):
        return value
    return _positive(members[name], least)


def _values(members: Fields) -> tuple[float, ...]:
    listed = members.value("values")
    if isinstance(listed, list) and all(type(each) is float and _LEAST <= each <= _MOST for each in listed):
        return tuple(listed)
    return tuple(_positive(each) for each in members["values"].items())


def _positive(node: Node, least: float = _LEAST) -> float:
    number = node.number()
    if not least <= number <= _MOST:
        node.fail(f"got {number!r}, wanted a number from {least:g} to {_MOST:g}; remove the line, or restore the file")
    return number


def _launch(members: Fields) -> tuple[str, LaunchOrigin]:
    utc, name = (members.text(each) if members.has(each) else None for each in ("utc", "node"))
    precision, gpus = members.text("precision"), tuple(gpu.text() for gpu in members["gpus"].items())
    return precision, LaunchOrigin(utc, name, gpus)
