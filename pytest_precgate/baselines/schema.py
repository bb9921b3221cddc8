"""The text of a baseline file: reviewed in a diff, and read back by this tool. Pure: no file is touched.

Invariant: a reader reads every older schema and refuses a newer one with its number. Schema history, newest last:
  1  suite, raw points and fingerprint of every launch, the gates with their values, author and reason of the record.
  2  the gates' noise ("sigma", null with too few launches), and the cost of each configuration of a launch in
     GPU-seconds; a null start is unknown, and a launch without cost has no entry.
  3  the acceptance length of a point that was measured with speculation, and the error of a point whose error is larger
     than was asked for.
  4  a launch that cannot be repeated, and one that is simulated, say so (to 3 the kind of the engine says it).
     When and where a launch was measured: "utc" of its begin, "node", "gpus" (their UUIDs); each only where known.
     "oldest_accepted": the states that gates are anchored at, with their launches, null where these are the file's own.
     Required, and every gate is of exactly one of these states: without them a gate would be its own anchor. A state
     without gates is kept for gates that come back.
  5  the details of a point: latencies, goodput, energy, the engine's own times; each only where known.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import NoReturn, TypeVar, cast

from pytest_precgate.analysis.accepted.baseline import (
    SIGNIFICANT_DIGITS,
    AnchorState,
    Baseline,
    Launch,
    Provenance,
    RecordedGate,
)
from pytest_precgate.analysis.accepted.fingerprint import Fact, Fingerprint
from pytest_precgate.analysis.accepted.origin import LaunchOrigin
from pytest_precgate.analysis.cost import LaunchCost
from pytest_precgate.analysis.curves.comparison import COST_MODES, CostMode
from pytest_precgate.analysis.curves.details import FIGURES, PointDetails
from pytest_precgate.analysis.curves.economics import Hardware
from pytest_precgate.analysis.curves.sweep import AXES, Axis, Sweep, SweepPoint
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.gating.gates import GateKey, Metric
from pytest_precgate.documents import Fields, Node, strict_json
from pytest_precgate.errors import BaselineCorruptError, BaselineSchemaError
from pytest_precgate.values import TableReader

T = TypeVar("T")
SCHEMA = 5
SIGMA_DECIMALS = 5
_TOP_FIELDS = ("cost", "gates", "hardware", "history", "launches", "recorded", "schema", "suite")
_LAUNCH_OPTIONAL = ("costs", "gpus", "node", "repeatable", "simulated", "utc")
_ANCHORS = "oldest_accepted"
_ANCHORED = 4  # the first schema with anchors
_RESTORE = "edited by hand or merged badly? Restore the file from version control"
_HARDWARE = TableReader(Hardware)
_COST = TableReader(LaunchCost)
_DETAILS = TableReader(PointDetails, optional=FIGURES)
# A point without one of these lacks its key; null would say that it was asked and not known, which no writer says.
_POINT = TableReader(
    SweepPoint,
    optional=("acceptance_length", "short_error", "details"),
    acceptance_length=Fields.number,
    short_error=Fields.number,
    details=_DETAILS.at,
)
_PROVENANCE = TableReader(Provenance, reason=lambda members, name: _reason(members[name]))


def dump(baseline: Baseline) -> str:
    """Return the file's text: sorted keys, one gate, point or line of history per line, no noise digits."""
    fields = {
        "cost": _line(baseline.cost),
        "gates": _block([_line(fields) for fields in _gates_fields(baseline)], "  "),
        "hardware": _line(asdict(baseline.hardware)),
        "history": _block([_line(asdict(entry)) for entry in baseline.history], "  "),
        "launches": _launches_text(baseline.launches),
        _ANCHORS: _block([_anchor_text(baseline, state) for state in baseline.anchors], "  "),
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
            **_key_fields(gate.key),
            "sigma": None if noise is None else round(noise.sigma, SIGMA_DECIMALS),
            "test": gate.test,
            "value": _digits(values[gate.key]),
        }


def _anchor_text(baseline: Baseline, state: AnchorState) -> str:
    """An anchor: its gates with the values it gives them, who recorded it, and its launches."""
    values = state.at(baseline.hardware, baseline.cost).values(state.keys)
    gates = [{**_key_fields(key), "value": _digits(values[key])} for key in state.keys]
    here = AnchorState(state.recorded, baseline.launches, state.keys).launches
    is_here = state.launches == here and _details(state.launches) == _details(here)
    fields = {
        "gates": _block([_line(fields) for fields in gates], "     "),
        "launches": "null" if is_here else _launches_text(state.launches, "     "),
        "recorded": _line(asdict(state.recorded)),
    }
    return "{" + ",\n     ".join(f'"{key}": {text}' for key, text in fields.items()) + "}"


def _details(launches: Sequence[Launch]) -> list[PointDetails | None]:
    """The details of all points, without which points are equal."""
    return [point.details for launch in launches for point in launch.sweep.points]


def _launches_text(launches: Sequence[Launch], indent: str = "  ") -> str:
    return _block([_launch_text(launch, f"{indent}   ") for launch in launches], indent)


def _key_fields(key: GateKey) -> dict[str, object]:
    return {"metric": key.metric.value, "point": key.point, "precision": "/".join(key.precisions)}


def _digits(value: float) -> float:
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def _point_fields(point: SweepPoint) -> dict[str, object]:
    known = {name: value for name, value in asdict(point).items() if value is not None}
    return known if point.details is None else {**known, "details": point.details.known}


def _launch_text(launch: Launch, indent: str) -> str:
    fingerprint = {"hard": dict(launch.fingerprint.hard), "soft": dict(launch.fingerprint.soft)}
    points = [_line(_point_fields(point)) for point in launch.sweep.points]
    fields = {
        "fingerprint": _line(fingerprint),
        "points": _block(points, indent),
        "precision": _line(launch.sweep.precision),
    }
    if launch.costs:
        fields["costs"] = _block([_line(asdict(cost)) for cost in launch.costs], indent)
    if not launch.is_repeatable:
        fields["repeatable"] = "false"
    if launch.sweep.simulated:
        fields["simulated"] = "true"
    origin = {"utc": launch.origin.utc, "node": launch.origin.node, "gpus": list(launch.origin.gpus)}
    fields |= {name: _line(value) for name, value in origin.items() if value}
    return "{" + f",\n{indent}".join(f'"{key}": {text}' for key, text in sorted(fields.items())) + "}"


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
    members = root.table(required=_TOP_FIELDS, optional=[_ANCHORS])
    if _ANCHORS not in members and schema >= _ANCHORED:
        root.child(_ANCHORS, None).fail(
            f"required field missing: the states that the gates are anchored at; {_RESTORE}"
        )
    launches = [_launch(node, schema) for node in members["launches"].items()]
    with root.building():
        baseline = Baseline(
            suite=members["suite"].text(),
            launches=launches,
            anchors=[_anchor(node, launches, schema) for node in members[_ANCHORS].items()]
            if _ANCHORS in members
            else (),
            gates=[_gate(node) for node in members["gates"].items()],
            recorded=_built(_PROVENANCE, members["recorded"]),
            hardware=_built(_HARDWARE, members["hardware"]),
            cost=cast(CostMode, members["cost"].choice(COST_MODES)),
            history=[_built(_PROVENANCE, node) for node in members["history"].items()],
        )
    if schema >= _ANCHORED:
        _refuse_unanchored(members[_ANCHORS], {gate.key for gate in baseline.gates})
    return baseline


def _refuse_unanchored(states: Node, gated: Collection[GateKey]) -> None:
    """Refuse a gate without an anchor, and an anchor without a gate: no writer leaves either. Two anchors of one gate
    are refused by the baseline."""
    named = [_key(node.mapping()) for state in states.items() for node in state.mapping()["gates"].items()]
    without = sorted({*gated} - {*named}, key=lambda key: key.order)
    surplus = [key for key in named if key not in gated]
    if without or surplus:
        what = f"no state anchors {without[0]}" if without else f"a state anchors {surplus[0]}, which is no gate of it"
        states.fail(f"{what}; wanted each gate of the file in exactly one state: {_RESTORE}")


@dataclass(frozen=True)
class WrittenValues:
    """The values that stand in a file, for its readers: of its gates, and of the gates of each anchor, in order."""

    gates: Mapping[RecordedGate, float] = field(default_factory=dict)
    anchors: Sequence[Mapping[GateKey, float]] = ()


def recorded_values(text: str, source: str) -> WrittenValues:
    """Return the value each gate had when the file was written, for `precgate baseline check`."""
    members = Node(_document(text, source), source, "$", BaselineCorruptError).mapping()
    return WrittenValues(
        {_gate(node): node.mapping()["value"].number() for node in members["gates"].items()},
        [
            {_key(node.mapping()): node.mapping()["value"].number() for node in state.mapping()["gates"].items()}
            for state in (members[_ANCHORS].items() if _ANCHORS in members else ())
        ],
    )


def _anchor(node: Node, launches: Sequence[Launch], schema: int) -> AnchorState:
    members = node.table(required=["gates", "launches", "recorded"])
    keys = []
    for gate in members["gates"].items():
        fields = gate.table(required=["metric", "point", "precision", "value"])
        with gate.building():
            keys.append(_key(fields))
    own = members["launches"]
    with node.building():
        read = launches if own.value is None else [_launch(launch, schema) for launch in own.items()]
        return AnchorState(_built(_PROVENANCE, members["recorded"]), read, keys)


def _key(members: Mapping[str, Node]) -> GateKey:
    metric = Metric(members["metric"].choice(metric.value for metric in Metric))
    return GateKey(metric, tuple(members["precision"].text().split("/")), members["point"].number())


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
    with node.building():
        return RecordedGate(members["test"].text(), _key(members))


def _reason(node: Node) -> str:
    """The reason given: a text that may be empty."""
    if not isinstance(node.value, str):
        node.fail(f"got {node.value!r}, wanted a text")
    return node.value


def _built(reader: TableReader[T], node: Node) -> T:
    """Read a table; what its value refuses is refused at its spot."""
    with node.building():
        return reader.read(node)


def _launch(node: Node, schema: int) -> Launch:
    members = node.table(required=["fingerprint", "points", "precision"], optional=_LAUNCH_OPTIONAL)
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
        if schema < 4:
            simulated, repeatable = "simulated" in fingerprint.engines, fingerprint.engines != ("recorded",)
        else:
            simulated = "simulated" in members and members["simulated"].flag()
            repeatable = "repeatable" not in members or members["repeatable"].flag()
        axis = cast(Axis, hard["axis"].choice(AXES)) if "axis" in hard else "tpot"
        sweep = Sweep(members["precision"].text(), workload, hard["hardware"].text(), points, simulated, axis)
        costs = [_built(_COST, cost) for cost in members["costs"].items()] if "costs" in members else []
        return Launch(sweep, fingerprint, tuple(costs), _origin(members), is_repeatable=repeatable)


def _origin(members: Mapping[str, Node]) -> LaunchOrigin:
    gpus = members["gpus"].items() if "gpus" in members else ()
    utc, node = (members[name].text() if name in members else None for name in ("utc", "node"))
    return LaunchOrigin(utc, node, tuple(gpu.text() for gpu in gpus))


def _facts(members: Mapping[str, Node]) -> dict[str, Fact]:
    return {key: cast(Fact, node.value) for key, node in members.items()}
