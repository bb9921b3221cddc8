"""The cores and the memory nodes of a server and of its load client.

Input: what the settings ask for, and what the machine has. Output: a placement. Invariant: server and client share no
core, and nothing is placed on a core that this process may not use: such a wish is refused, never trimmed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pytest_precgate.analysis.machine.cpus import cpus_text
from pytest_precgate.errors import InvalidValueError


@dataclass(frozen=True)
class Topology:
    """Cores of a machine: ``allowed`` to this process (affinity and cgroup), ``online`` at all, and by node.

    ``online`` and ``nodes`` are empty where the kernel does not tell."""

    allowed: tuple[int, ...]
    online: tuple[int, ...] = ()
    nodes: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.allowed:
            raise InvalidValueError("Topology.allowed: got no core, wanted at least one")
        object.__setattr__(self, "nodes", MappingProxyType(dict(self.nodes)))

    def __str__(self) -> str:
        nodes = [f"node {node} has {cpus_text(cpus)}" for node, cpus in sorted(self.nodes.items())]
        return ", ".join([f"this process may use {cpus_text(self.allowed)}", *nodes])

    def require(self, key: str, cpus: tuple[int, ...]) -> None:
        """Refuse cores that are not there or not allowed. Raises InvalidValueError."""
        if self.online and (missing := set(cpus) - set(self.online)):
            raise InvalidValueError(
                f"{key}: cores {cpus_text(missing)} are not there or offline; online are {cpus_text(self.online)}"
            )
        if missing := set(cpus) - set(self.allowed):
            raise InvalidValueError(
                f"{key}: cores {cpus_text(missing)} are outside what this process may use, {cpus_text(self.allowed)} "
                "(its affinity or its cgroup's cpuset); name some of those, or start pytest with more"
            )


@dataclass(frozen=True)
class Placement:
    """The cores of a server and of its client, and the nodes of the server's memory; empty is wherever the kernel puts
    it."""

    cpus: tuple[int, ...] = ()
    client: tuple[int, ...] = ()
    nodes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if shared := set(self.cpus) & set(self.client):
            raise InvalidValueError(f"server and client share the cores {cpus_text(shared)}; give each its own")

    @property
    def facts(self) -> Mapping[str, str]:
        """What of it was set, for a fingerprint."""
        told = {"client.cpus": self.client, "server.cpus": self.cpus, "server.numa": self.nodes}
        return {key: cpus_text(numbers) for key, numbers in told.items() if numbers}


ANYWHERE = Placement()


def placement_of(
    cpus: tuple[int, ...], nodes: tuple[int, ...], client: tuple[int, ...], topology: Topology
) -> Placement:
    """Return where server and client run. Empty is not set.

    ``nodes`` alone gives the server the nodes' cores without the client's. Where one of the two sides is placed, the
    other one gets the rest of what this process may use. Raises InvalidValueError for cores or nodes that are not there
    or not allowed, cores outside ``nodes``, shared ones, and where one side is left without any."""
    topology.require("cpus", cpus)
    topology.require("client_cpus", client)
    of_nodes = _cores_of(nodes, topology)
    if nodes and (outside := set(cpus) - of_nodes):
        raise InvalidValueError(
            f"cpus: cores {cpus_text(outside)} are not of node {cpus_text(nodes)}, which numa names: {topology}"
        )
    if not (cpus or nodes or client):
        return ANYWHERE
    usable = set(topology.allowed)
    server = set(cpus) or ((of_nodes or usable) & usable) - set(client)
    if not server:
        beside = f" beside client_cpus = {cpus_text(client)}" if client else ""
        raise InvalidValueError(
            f"no core is left for the server{beside}: {topology}; name other ones, or start pytest with more"
        )
    rest = set(client) or usable - server
    if not rest:
        raise InvalidValueError(
            f"no core is left for the load client beside the server's {cpus_text(server)}: {topology}; leave some out "
            "with cpus, or name some with client_cpus"
        )
    return Placement(tuple(sorted(server)), tuple(sorted(rest)), nodes)


def _cores_of(nodes: tuple[int, ...], topology: Topology) -> set[int]:
    for node in nodes:
        if node not in topology.nodes:
            known = cpus_text(topology.nodes) if topology.nodes else "none that the kernel tells of"
            raise InvalidValueError(f"numa: got node {node}, wanted one of this machine's: {known}")
    return {cpu for node in nodes for cpu in topology.nodes[node]}
