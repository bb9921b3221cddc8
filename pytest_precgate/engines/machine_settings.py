"""The settings that keep a machine quiet for a started server: its cores, its memory, its clocks, and other load.

Input: a precision's table. Output: frozen values. Invariant: reading them asks nothing of the machine; whether the
cores are there is found out before a start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pytest_precgate.analysis.machine.cpus import cpus_of, cpus_text, distinct
from pytest_precgate.documents import Node
from pytest_precgate.errors import InvalidValueError

MACHINE_OPTIONAL = ("cpus", "numa", "lock_clocks", "persistence", "load_limit")
Numa = int | Literal["gpu"]
Clocks = int | Literal["max"]
_MOST_NODE = 4095
_MOST_MHZ = 20_000


@dataclass(frozen=True)
class MachineSettings:
    """What is asked of the machine while a server is up; the default asks for nothing.

    ``cpus`` are the server's cores. ``numa`` is the node of its memory, "gpu" that of its GPUs. ``lock_clocks`` is the
    SM clock of its GPUs in MHz, or "max"; ``persistence`` keeps the driver's state of them. Above ``load_limit``, the
    share of the cores that other work may use, it is not started."""

    cpus: tuple[int, ...] = ()
    numa: Numa | None = None
    lock_clocks: Clocks | None = None
    persistence: bool = False
    load_limit: float | None = None

    def __post_init__(self) -> None:
        if self.cpus:
            distinct(self.cpus)
        if self.load_limit is not None and not 0 < self.load_limit <= 1:
            raise InvalidValueError(
                f"load_limit: got {self.load_limit:g}, wanted a share above 0 and at most 1 (0.1 is 10%)"
            )

    @property
    def sets_gpus(self) -> bool:
        """Whether the driver is asked to change a GPU."""
        return self.lock_clocks is not None or self.persistence


def read_machine(members: Mapping[str, Node], client: tuple[int, ...]) -> MachineSettings:
    """Read the keys of MACHINE_OPTIONAL; ``client`` are the cores of the load client, which must be others."""
    given: dict[str, Any] = {}
    if "cpus" in members:
        given["cpus"] = read_cpus(members["cpus"])
        if shared := set(given["cpus"]) & set(client):
            members["cpus"].fail(f"shares the cores {cpus_text(shared)} with client_cpus; give each side its own")
    if "numa" in members:
        given["numa"] = _numa(members["numa"])
    if "lock_clocks" in members:
        given["lock_clocks"] = _clocks(members["lock_clocks"])
    if "persistence" in members:
        given["persistence"] = members["persistence"].flag()
    if "load_limit" in members:
        given["load_limit"] = members["load_limit"].number()
        with members["load_limit"].building():
            MachineSettings(load_limit=given["load_limit"])
    return MachineSettings(**given)


def read_cpus(node: Node) -> tuple[int, ...]:
    """Read cores: a text as taskset writes them, ``"0-15,32"``, or a list of numbers."""
    with node.building():
        if isinstance(node.value, str):
            return cpus_of(node.text())
        return distinct(item.integer() for item in node.items())


def _numa(node: Node) -> Numa:
    if isinstance(node.value, str):
        node.choice(["gpu"])
        return "gpu"
    number = node.integer()
    if not 0 <= number <= _MOST_NODE:
        node.fail(f'got {number}, wanted the number of a node, 0 to {_MOST_NODE}, or "gpu"')
    return number


def _clocks(node: Node) -> Clocks:
    if isinstance(node.value, str):
        node.choice(["max"])
        return "max"
    return node.count(_MOST_MHZ)
