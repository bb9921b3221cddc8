"""One line of the history: what a run judged of one suite, and whether its state was accepted. No file is touched.

Input: an entry, or a line of text. Output: the other one. Invariants: a line is one JSON object in ASCII, closed by a
newline; a reader reads every older schema and refuses a newer one. Schema history, newest last:
  1  utc, commit, tool version, suite, outcome, accepted, replayed; per gate the verdict, value, baseline, anchor
     (and which state that is), sigma and the value of each launch; per launch its precision, utc, node and GPUs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from pytest_precgate.analysis.accepted.origin import LaunchOrigin
from pytest_precgate.analysis.gating.gates import GateKey, Metric
from pytest_precgate.analysis.quantity import one_line
from pytest_precgate.documents import Node, strict_json
from pytest_precgate.errors import HistoryCorruptError, HistorySchemaError, InvalidValueError

SCHEMA = 1
_LEAST, _MOST = 1e-30, 1e30  # of a figure, in any unit
_TEXTS = ("suite", "utc", "commit", "tool_version", "outcome")
_GATE = (
    "metric",
    "precision",
    "point",
    "test",
    "verdict",
    "value",
    "baseline",
    "anchor",
    "anchored",
    "sigma",
    "values",
)


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
    members = node.mapping()
    schema = members.get("schema", node.child("schema", None)).count()
    if schema > SCHEMA:
        raise HistorySchemaError(
            f"{source}: line {number}: schema {schema} was written by a newer pytest-precgate; this one reads up to "
            f"{SCHEMA}. Upgrade pytest-precgate; the file is left as it is"
        )
    members = node.table(required=["schema", *_TEXTS, "accepted", "replayed", "gates", "launches"])
    with node.building():
        return HistoryEntry(
            **{name: members[name].text() for name in _TEXTS},
            accepted=_flag(members["accepted"]),
            replayed=_flag(members["replayed"]),
            gates=[_gate(gate) for gate in members["gates"].items()],
            launches=[_launch(launch) for launch in members["launches"].items()],
        )


def _flag(node: Node) -> bool:
    if not isinstance(node.value, bool):
        node.fail(f"got {node.shown}, wanted true or false")
    return node.value


def _gate(node: Node) -> GateEntry:
    members = node.table(required=_GATE)
    metric = Metric(members["metric"].choice(metric.value for metric in Metric))
    value, baseline, anchor = (_figure(members[name]) for name in ("value", "baseline", "anchor"))
    sigma = _figure(members["sigma"], 0.0)
    anchored = None if members["anchored"].value is None else members["anchored"].text()
    values = tuple(_positive(each) for each in members["values"].items())
    with node.building():
        key = GateKey(metric, tuple(members["precision"].text().split("/")), members["point"].number())
        test, verdict = members["test"].text(), members["verdict"].text()
        return GateEntry(test, key, verdict, value, baseline, anchor, anchored, sigma, values)


def _figure(node: Node, least: float = _LEAST) -> float | None:
    return None if node.value is None else _positive(node, least)


def _positive(node: Node, least: float = _LEAST) -> float:
    """A figure that can be divided by, squared and put into a logarithm; a sigma may be 0."""
    number = node.number()
    if not least <= number <= _MOST:
        node.fail(f"got {number!r}, wanted a number from {least:g} to {_MOST:g}; remove the line, or restore the file")
    return number


def _launch(node: Node) -> tuple[str, LaunchOrigin]:
    members: Mapping[str, Node] = node.table(required=["precision", "utc", "node", "gpus"])
    utc, name = (None if members[each].value is None else members[each].text() for each in ("utc", "node"))
    gpus = tuple(gpu.text() for gpu in members["gpus"].items())
    with node.building():
        return members["precision"].text(), LaunchOrigin(utc, name, gpus)
