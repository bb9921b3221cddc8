"""The keys that a suite gives once for the engines of all its precisions: the objective of goodput, and the axis.

Input: the members of a suite's table. Output: the precisions' tables with these keys. Invariant: precisions that are
compared, their configurations and their sides never differ in one of them."""

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
    refuse_own(node)
    return replace(node, value={**node.value, **shared})


def refuse_own(table: Node) -> None:
    """Refuse these keys in the table of a precision, or of a side's, and in each of its configurations."""
    members = table.mapping()
    for key in SHARED:
        if key in members:
            members[key].fail("is of the whole suite, and cannot differ between precisions, configurations or sides")
    entries = members.get("configurations")
    for entry in entries.items() if entries is not None and isinstance(entries.value, list) else ():
        if isinstance(entry.value, Mapping):
            refuse_own(entry)


def refuse_goodput(node: Node) -> None:
    """Refuse goodput where the suite has no objective that it counts."""
    node.fail(
        "goodput counts the requests that keep an objective; give the suite slo = { ttft_ms = 500, tpot_ms = 20 }"
    )
