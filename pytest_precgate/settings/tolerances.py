"""The tolerances of a suite or a mark, by metric, and within a metric by point and precision.

Input: the tables of the settings. Output: a Tolerance for each metric to gate. Invariant: a tolerance that no gate has
is refused by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from pytest_precgate.analysis.gating.gates import GateKey, Metric, Tolerance
from pytest_precgate.documents import Node, nearest

PRECISIONS = ("fp4", "int4", "fp8", "int8", "bf16", "fp16")
"""Names of precisions: tables of a suite, and keys of its tolerances."""

GATES = ("hold", "record")
"""What a metric's gates do: hold the value to its tolerance, or only record it."""


def for_all(members: Mapping[str, Node]) -> Tolerance:
    """The tolerance of every metric, also of those a mark adds, if it is one number."""
    node = members.get("tolerance")
    return Tolerance() if node is None or isinstance(node.value, Mapping) else Tolerance(node.number())


def tolerances_of(
    members: Mapping[str, Node], inherited: Mapping[Metric, Tolerance], for_all: Tolerance
) -> Mapping[Metric, Tolerance]:
    """The metrics to gate with their tolerances: ``metrics`` chooses them, ``tolerance`` is one share or one each."""
    table = dict(inherited)
    if "metrics" in members:
        names = [member.choice(metric.value for metric in Metric) for member in members["metrics"].items()]
        if not names:
            members["metrics"].fail("got an empty list: without a metric there is no gate")
        for member, name in zip(members["metrics"].items(), names, strict=True):
            if names.count(name) > 1:
                member.fail(f"{name} is repeated")
        table = {metric: table.get(metric, unsaid(metric, for_all)) for metric in map(Metric, names)}
    if "tolerance" in members:
        node = members["tolerance"]
        if isinstance(node.value, Mapping):
            each = node.table(optional=[metric.value for metric in table])
            table |= {
                Metric(name): _tolerance(member, Metric(name), table[Metric(name)]) for name, member in each.items()
            }
        else:
            # One share for all is that of a throughput: a latency needs one of its own.
            share = node.number()
            table = {metric: Tolerance(share) if metric.follows_steps else own for metric, own in table.items()}
    return table


def unsaid(metric: Metric, for_all: Tolerance) -> Tolerance:
    """Return the tolerance of a metric without one of its own; a latency, goodput or energy is then only recorded."""
    return for_all if metric.follows_steps else replace(for_all, record_only=True)


def _tolerance(node: Node, metric: Metric, inherited: Tolerance) -> Tolerance:
    """One share, or a table of shares by point and precision; without ``default`` in it, the ``inherited`` one."""
    if not isinstance(node.value, Mapping):
        return Tolerance(node.number())
    default, record_only = inherited.default, False
    points: dict[float, float] = {}
    precisions: dict[str, float] = {}
    for key, member in node.mapping().items():
        if key == "gate":
            record_only = member.choice(GATES) == "record"
        elif key == "default":
            default = member.number()
        elif key in PRECISIONS and not metric.is_ratio:
            precisions[key] = member.number()
        elif _is_point(key):
            if float(key) in points:
                member.fail(f"{float(key):g} tok/s/user is given twice")
            points[float(key)] = member.number()
        else:
            wanted = "default, gate or a point" if metric.is_ratio else "default, gate, a precision or a point"
            member.fail(f'got the key {key!r}, wanted {wanted}, such as "91"')
    if not metric.follows_steps and not record_only and "default" not in node.mapping() and inherited.record_only:
        node.child("default", None).fail(f'{metric.value} has no tolerance of its own: give one, or gate = "record"')
    return Tolerance(default, points, precisions, record_only)


def refuse_unheld(
    tolerances: Mapping[Metric, Tolerance], points: Collection[float] | None, precisions: Collection[str], node: Node
) -> None:
    """Refuse a tolerance of a point or precision that no gate has: it would be thought to hold."""
    for metric, tolerance in tolerances.items():
        for point in tolerance.points:
            if points is None or point not in points:
                why = f"{metric.value} has a tolerance at {point:g} tok/s/user, where the suite has no point"
                _at(node, metric, _of_point(point)).fail(why)
        for precision in tolerance.precisions:
            if precision not in precisions:
                why = f"{metric.value} has a tolerance of {precision}; {nearest(precision, precisions)}"
                _at(node, metric, precision.__eq__).fail(why)


def node_of(node: Node, key: GateKey, tolerance: Tolerance) -> Node:
    """Return where under ``node`` (``tolerance`` of a suite or mark) the share of a gate stands."""
    if key.point in tolerance.points:
        return _at(node, key.metric, _of_point(key.point))
    own = not key.metric.is_ratio and key.precisions[0] in tolerance.precisions
    return _at(node, key.metric, (key.precisions[0] if own else "default").__eq__)


def _of_point(point: float) -> Callable[[str], bool]:
    return lambda key: _is_point(key) and float(key) == point


def _at(node: Node, metric: Metric, wanted: Callable[[str], bool]) -> Node:
    """Return the member of the metric's table that is ``wanted``, else the nearest one around it."""
    if not isinstance(node.value, Mapping) or metric.value not in node.value:
        return node
    table = node.mapping()[metric.value]
    if not isinstance(table.value, Mapping):
        return table
    return next((member for key, member in table.mapping().items() if wanted(key)), table)


def _is_point(key: str) -> bool:
    return re.fullmatch(r"[0-9]+(\.[0-9]+)?", key) is not None
