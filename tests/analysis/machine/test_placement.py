"""Server and client never share a core, and what cannot be given is refused."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_precgate.analysis.machine.placement import ANYWHERE, Placement, Topology, placement_of
from pytest_precgate.errors import InvalidValueError

TWO_NODES = Topology(tuple(range(8)), tuple(range(8)), {0: (0, 1, 2, 3), 1: (4, 5, 6, 7)})
CORES = st.sets(st.integers(0, 9), max_size=6).map(lambda found: tuple(sorted(found)))


@given(CORES, st.sampled_from([(), (0,), (1,), (0, 1), (2,)]), CORES, CORES)
def test_a_placement_is_disjoint_and_allowed_or_refused(
    cpus: tuple[int, ...], nodes: tuple[int, ...], client: tuple[int, ...], allowed: tuple[int, ...]
) -> None:
    """Whatever is asked for, of whatever machine; what was named is given whole."""
    assume(allowed)
    topology = Topology(allowed, TWO_NODES.online, TWO_NODES.nodes)
    try:
        found = placement_of(cpus, nodes, client, topology)
    except InvalidValueError:
        return
    assert not set(found.cpus) & set(found.client)
    assert set(found.cpus) | set(found.client) <= set(allowed)
    assert found.cpus == cpus or not cpus
    assert found.client == client or not client
    assert found.nodes == nodes
    if nodes:
        assert set(found.cpus) <= {cpu for node in nodes for cpu in TWO_NODES.nodes[node]}


def test_nothing_asked_for_is_nothing_set() -> None:
    """The kernel puts both where it likes, and no fact says otherwise."""
    assert placement_of((), (), (), TWO_NODES) == ANYWHERE
    assert ANYWHERE.facts == {}


def test_the_other_side_gets_the_rest() -> None:
    """One setting is enough, for either side."""
    assert placement_of((0, 1), (), (), TWO_NODES).client == (2, 3, 4, 5, 6, 7)
    assert placement_of((), (), (7,), TWO_NODES).cpus == (0, 1, 2, 3, 4, 5, 6)


def test_a_node_gives_its_cores_without_the_client_s() -> None:
    """And its memory; all of it is told."""
    found = placement_of((), (1,), (6, 7), TWO_NODES)
    assert found == Placement((4, 5), (6, 7), (1,))
    assert found.facts == {"client.cpus": "6-7", "server.cpus": "4-5", "server.numa": "1"}


@pytest.mark.parametrize(
    ("cpus", "nodes", "client", "allowed", "why"),
    [
        ((8, 9), (), (), 8, "cpus: cores 8-9 are not there or offline; online are 0-7"),
        ((3,), (), (), 2, "cpus: cores 3 are outside what this process may use, 0-1 .its affinity or its cgroup's"),
        ((), (), (5,), 2, "client_cpus: cores 5 are outside what this process may use, 0-1"),
        ((0, 1), (), (1, 2), 8, "server and client share the cores 1; give each its own"),
        (
            (0, 4),
            (0,),
            (),
            8,
            "cpus: cores 4 are not of node 0, which numa names: this process may use 0-7, node 0 ",
        ),
        ((), (2,), (), 8, "numa: got node 2, wanted one of this machine's: 0-1"),
        ((), (1,), (), 4, "no core is left for the server: this process may use 0-3, node 0 has 0-3"),
        ((), (0,), (0, 1, 2, 3), 8, "no core is left for the server beside client_cpus = 0-3"),
        (tuple(range(8)), (), (), 8, "no core is left for the load client beside the server's 0-7"),
    ],
)
def test_what_cannot_be_given_is_refused_with_what_there_is(
    cpus: tuple[int, ...], nodes: tuple[int, ...], client: tuple[int, ...], allowed: int, why: str
) -> None:
    """Missing cores, forbidden cores, shared cores, wrong nodes, no core left."""
    topology = Topology(tuple(range(allowed)), TWO_NODES.online, TWO_NODES.nodes)
    with pytest.raises(InvalidValueError, match=why):
        placement_of(cpus, nodes, client, topology)


def test_a_node_is_refused_where_the_kernel_tells_of_none() -> None:
    """Rather than ignored."""
    with pytest.raises(InvalidValueError, match="wanted one of this machine's: none that the kernel tells of"):
        placement_of((), (0,), (), Topology((0, 1)))


def test_a_machine_without_a_core_is_refused() -> None:
    """It cannot run this."""
    with pytest.raises(InvalidValueError, match="wanted at least one"):
        Topology(())
