"""A point whose connections are shared over several addresses, two listeners on loopback."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from functools import partial

import pytest

from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.loadgen import LoadPlan, Prompts, Target, run_point
from tests.loadgen.servers import StandIn, standing_in

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


def replicas(stack: ExitStack) -> list[StandIn]:
    """Servers at one port of three addresses."""
    first = stack.enter_context(standing_in())
    return [first, *(stack.enter_context(standing_in(address=(host, first.port))) for host in HOSTS[1:])]


SHARES = [(6, 1, [2, 2, 2]), (7, 2, [3, 2, 2]), (9, 4, [3, 3, 3])]


@pytest.mark.parametrize(("concurrency", "processes", "shares"), SHARES)
def test_connections_are_shared_out_evenly(concurrency: int, processes: int, shares: list[int]) -> None:
    """Over all client processes together, as evenly as whole connections go."""
    plan = LoadPlan(Prompts(Workload(8, 4), token_high=100), concurrency=concurrency, requests=4 * concurrency)
    with ExitStack() as stack:
        servers = replicas(stack)
        addresses = tuple((int(socket.AF_INET), (host, servers[0].port)) for host in HOSTS)
        target = Target(f"http://serving.test:{servers[0].port}", "m", addresses=addresses)
        point = run_point(target, plan, processes=processes)
        assert not point.failures
        for server, share in zip(servers, shares, strict=True):
            assert server.wait_for(partial(has_connections, server, share))
    heads = [exchange.head for server in servers for exchange in server.heard]
    assert all(f"\r\nHost: {target.origin.host_header}\r\n" in head for head in heads)


def has_connections(server: StandIn, number: int) -> bool:
    return len(server.connections) == number
