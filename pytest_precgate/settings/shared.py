"""The keys that a suite gives once for the engines of all its precisions: the objective of goodput, and the axis.

Input: the members of a suite's table. Output: the precisions' tables with these keys. Invariant: precisions that are
compared never differ in one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pytest_precgate.analysis.curves.sweep import AXES
from pytest_precgate.documents import Node
from pytest_precgate.engines.load import read_slo
from pytest_precgate.settings.tolerances import PRECISIONS

SHARED = ("slo", "axis")


def with_shared(members: Mapping[str, Node]) -> dict[str, Node]:
    """Return the tables of the precisions with the suite's keys in them; an invalid value is refused at the suite's."""
    if "slo" in members:
        read_slo(members["slo"])
    if "axis" in members:
        members["axis"].choice(AXES)
    shared = {key: members[key].value for key in SHARED if key in members}
    return {name: _with(node, shared) for name, node in members.items() if name in PRECISIONS}


def _with(node: Node, shared: Mapping[str, object]) -> Node:
    if not isinstance(node.value, Mapping):
        return node
    for key in SHARED:
        if key in node.value:
            node.child(key, node.value[key]).fail("is of the whole suite, and cannot differ between precisions")
    return replace(node, value={**node.value, **shared})


def require_slo(members: Mapping[str, Node], suite: Node) -> None:
    """Refuse goodput without the objective that it counts."""
    if "slo" not in members:
        members.get("metrics", suite).fail(
            "goodput counts the requests that keep an objective; give slo = { ttft_ms = 500, tpot_ms = 20 }"
        )
