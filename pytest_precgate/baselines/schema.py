"""The text of a baseline file: reviewed in a diff, and read back by this tool. Pure: no file is touched.

Invariant: a reader reads every older schema and refuses a newer one with its number. Schema history, newest last:
  1  suite, raw points and fingerprint of every launch, the gates with their values, author and reason of the record.
  2  the gates' noise ("sigma", null with too few launches), and the cost of each configuration of a launch in
     GPU-seconds; a null start is unknown, and a launch without cost has no entry.
  3  the acceptance length of a point that was measured with speculation, and the error of a point whose error is larger
     than was asked for.
  4  when and where a launch was measured: "utc" of its begin, "node", "gpus" (their UUIDs); each only where known.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import NoReturn, TypeVar, cast

from pytest_precgate.analysis.accepted.baseline import SIGNIFICANT_DIGITS, Baseline, Launch, Provenance, RecordedGate
from pytest_precgate.analysis.accepted.fingerprint import Fact, Fingerprint
from pytest_precgate.analysis.accepted.origin import LaunchOrigin
from pytest_precgate.analysis.cost import LaunchCost
from pytest_precgate.analysis.curves.comparison import COST_MODES, CostMode
from pytest_precgate.analysis.curves.economics import Hardware
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.gating.gates import GateKey, Metric
from pytest_precgate.documents import Node, strict_json
from pytest_precgate.errors import BaselineCorruptError, BaselineSchemaError
from pytest_precgate.values import TableReader

T = TypeVar("T")
SCHEMA = 4
SIGMA_DECIMALS = 5
_TOP_FIELDS = ("cost", "gates", "hardware", "history", "launches", "recorded", "schema", "suite")
_HARDWARE = TableReader(Hardware)
_COST = TableReader(LaunchCost)
_POINT = TableReader(SweepPoint, optional=("acceptance_length", "short_error"))
_PROVENANCE = TableReader(Provenance, reason=lambda members, name: _reason(members[name]))


def dump(baseline: Baseline) -> str:
    """Return the file's text: sorted keys, one gate, point or line of history per line, no noise digits."""
    fields = {
        "cost": _line(baseline.cost),
        "gates": _block([_line(fields) for fields in _gates_fields(baseline)], "  "),
        "hardware": _line(asdict(baseline.hardware)),
        "history": _block([_line(asdict(entry)) for entry in baseline.history], "  "),
        "launches": _block([_launch_text(launch) for launch in baseline.launches], "  "),
        "recorded": _line(asdict(baseline.recorded)),
        "schema": str(SCHEMA),
        "suite": _line(baseline.suite),
    }
    return "{\n" + ",\n".join(f'  "{key}": {text}' for key, text in fields.items()) + "\n}\n"


def _line(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _block(lines: list[str], indent: str) -> str:
    return "[\n" + ",\n".join(f"{indent}  {line}" for line in lines) + f"\n{indent}]" if lines else "[]"


def _gates_fields(baseline: Baseline) -> Iterator[dict[str, object]]:
    priced = (baseline.hardware, baseline.cost)
    values, noises = baseline.values([gate.key for gate in baseline.gates], *priced), baseline.noises(*priced)
    for gate in baseline.gates:
        noise = noises.get(gate.key)
        yield {
            "metric": gate.key.metric.value,
            "point": gate.key.point,
            "precision": "/".join(gate.key.precisions),
            "sigma": None if noise is None else round(noise.sigma, SIGMA_DECIMALS),
            "test": gate.test,
            "value": float(f"{values[gate.key]:.{SIGNIFICANT_DIGITS}g}"),
        }


def _point_fields(point: SweepPoint) -> dict[str, object]:
    return {name: value for name, value in asdict(point).items() if value is not None}


def _launch_text(launch: Launch) -> str:
    fingerprint = {"hard": dict(launch.fingerprint.hard), "soft": dict(launch.fingerprint.soft)}
    points = [_line(_point_fields(point)) for point in launch.sweep.points]
    fields = {
        "fingerprint": _line(fingerprint),
        "points": _block(points, "     "),
        "precision": _line(launch.sweep.precision),
    }
    if launch.costs:
        fields["costs"] = _block([_line(asdict(cost)) for cost in launch.costs], "     ")
    origin = {"utc": launch.origin.utc, "node": launch.origin.node, "gpus": list(launch.origin.gpus)}
    fields |= {name: _line(value) for name, value in origin.items() if value}
    return "{" + ",\n     ".join(f'"{key}": {text}' for key, text in sorted(fields.items())) + "}"


def parse(text: str, source: str) -> Baseline:
    """Return the baseline a file's text holds. Gate values in it are for readers; they are computed from the points.

    Raises BaselineCorruptError naming the spot, BaselineSchemaError for a newer schema.
    """
    document = _document(text, source)
    root = Node(document, source, "$", BaselineCorruptError)
    schema = root.mapping().get("schema", root.child("schema", None)).integer()
    if schema < 1:
        root.child("schema", schema).fail(f"got {schema}, wanted a schema from 1 to {SCHEMA}")
    if schema > SCHEMA:
        raise BaselineSchemaError(
            f"{source}: schema {schema} was written by a newer pytest-precgate; this one reads up to {SCHEMA}. Upgrade "
            "pytest-precgate; the file is left as it is"
        )
    members = root.table(required=_TOP_FIELDS)
    with root.building():
        return Baseline(
            suite=members["suite"].text(),
            launches=[_launch(node) for node in members["launches"].items()],
            gates=[_gate(node) for node in members["gates"].items()],
            recorded=_built(_PROVENANCE, members["recorded"]),
            hardware=_built(_HARDWARE, members["hardware"]),
            cost=cast(CostMode, members["cost"].choice(COST_MODES)),
            history=[_built(_PROVENANCE, node) for node in members["history"].items()],
        )


def recorded_values(text: str, source: str) -> dict[RecordedGate, float]:
    """Return the value each gate had when the file was written, for `precgate baseline check`."""
    root = Node(_document(text, source), source, "$", BaselineCorruptError)
    gates = root.table(required=_TOP_FIELDS)["gates"].items()
    return {_gate(node): node.mapping()["value"].number() for node in gates}


def _document(text: str, source: str) -> object:
    def refuse(why: str) -> NoReturn:
        raise BaselineCorruptError(source, "", why)

    try:
        return strict_json(text, refuse)
    except json.JSONDecodeError as exc:
        raise BaselineCorruptError(
            source,
            f"line {exc.lineno}",
            f"is not whole JSON ({exc.msg}); it is left as it is. Restore it from version control, or delete it and "
            "record again with --precgate-update",
        ) from exc


def _gate(node: Node) -> RecordedGate:
    members = node.table(required=["metric", "point", "precision", "test", "value"], optional=["sigma"])
    metric = Metric(members["metric"].choice(metric.value for metric in Metric))
    with node.building():
        key = GateKey(metric, tuple(members["precision"].text().split("/")), members["point"].number())
        return RecordedGate(members["test"].text(), key)


def _reason(node: Node) -> str:
    """The reason given: a text that may be empty."""
    if not isinstance(node.value, str):
        node.fail(f"got {node.value!r}, wanted a text")
    return node.value


def _built(reader: TableReader[T], node: Node) -> T:
    """Read a table; what its value refuses is refused at its spot."""
    with node.building():
        return reader.read(node)


def _launch(node: Node) -> Launch:
    members = node.table(required=["fingerprint", "points", "precision"], optional=["costs", "gpus", "node", "utc"])
    parts = members["fingerprint"].table(required=["hard", "soft"])
    hard, soft = parts["hard"].mapping(), parts["soft"].mapping()
    for key in ("engine", "hardware", "isl", "osl", "range_ratio"):
        if key not in hard:
            parts["hard"].child(key, None).fail("required field missing")
    with node.building():
        workload = Workload(hard["isl"].integer(), hard["osl"].integer(), hard["range_ratio"].number())
        points = [_built(_POINT, point) for point in members["points"].items()]
        _ = hard["engine"].text()
        fingerprint = Fingerprint(_facts(hard), _facts(soft))
        simulated = "simulated" in fingerprint.engines
        sweep = Sweep(members["precision"].text(), workload, hard["hardware"].text(), points, simulated)
        costs = [_built(_COST, cost) for cost in members["costs"].items()] if "costs" in members else []
        return Launch(sweep, fingerprint, tuple(costs), _origin(members))


def _origin(members: Mapping[str, Node]) -> LaunchOrigin:
    gpus = members["gpus"].items() if "gpus" in members else ()
    utc, node = (members[name].text() if name in members else None for name in ("utc", "node"))
    return LaunchOrigin(utc, node, tuple(gpu.text() for gpu in gpus))


def _facts(members: Mapping[str, Node]) -> dict[str, Fact]:
    return {key: cast(Fact, node.value) for key, node in members.items()}
