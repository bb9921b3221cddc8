"""What is asked of a running server before any load, on loopback: whether it answers, and at how many addresses."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_precgate import http
from pytest_precgate.analysis.curves.search import Grid, Range
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.engines.base import Endpoint
from pytest_precgate.engines.load import LoadSettings
from pytest_precgate.errors import ConnectFailedError, LoadStoppedError, SettingsError
from pytest_precgate.http import Answer
from pytest_precgate.loadgen import LoadPlan, Target
from pytest_precgate.run import measuring as load
from pytest_precgate.run.measuring import Loaded
from pytest_precgate.servers import endpoints
from pytest_precgate.servers.endpoints import Endpoints, replicas, require_answer
from tests.run.kept import Kept

LookUp = Callable[..., list[tuple[object, ...]]]


def endpoint(port: int, *, gpus: int = 8, load: LoadSettings | None = None, path: str = "") -> Endpoint:
    return Endpoint(f"http://serving.test:{port}{path}", "m", gpus, load or LoadSettings(Grid((4, 8))))


def resolving(port: int, *hosts: str) -> LookUp:
    """A resolver that answers with these addresses, as socket.getaddrinfo does."""

    def look_up(host: str, asked: int, **_: object) -> list[tuple[object, ...]]:
        assert (host, asked) == ("serving.test", port)
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(family[":" in each], socket.SOCK_STREAM, 6, "", (each, port)) for each in hosts]

    return look_up


def resolved(port: int, *hosts: str) -> list[tuple[object, ...]]:
    return resolving(port, *hosts)("serving.test", port)


@contextmanager
def listening(*hosts: str) -> Iterator[int]:
    """Listeners at one port of several addresses of this machine."""
    with ExitStack() as stack:
        first = stack.enter_context(socket.create_server((hosts[0], 0)))
        port = first.getsockname()[1]
        for host in hosts[1:]:
            stack.enter_context(socket.create_server((host, port)))
        yield int(port)


def test_every_address_behind_a_name_is_found() -> None:
    """In the resolver's order, each once."""
    with listening("127.0.0.1", "127.0.0.2") as port:
        found = replicas(endpoint(port), resolving(port, "127.0.0.2", "127.0.0.1", "127.0.0.2"))
    assert found == ((socket.AF_INET, ("127.0.0.2", port)), (socket.AF_INET, ("127.0.0.1", port)))


@pytest.mark.parametrize("hosts", [["127.0.0.1"], ["::1", "127.0.0.1"], ["127.0.0.1", "::1"]])
def test_one_host_of_two_families_is_no_two_replicas(hosts: list[str]) -> None:
    """localhost is 127.0.0.1 and ::1; for any gpus and concurrency there is one address."""
    assert replicas(endpoint(1, gpus=1, load=LoadSettings(Grid((1,)))), resolving(1, *hosts)) == ()


def test_replicas_of_two_families_are_counted_once() -> None:
    """The addresses of the family that can be reached stand for all."""
    with listening("127.0.0.1", "127.0.0.2") as port:
        nobody = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", number, 0, 0)) for number in (1, 2)]
        found = replicas(endpoint(port), lambda *_, **__: [*nobody, *resolved(port, "127.0.0.1", "127.0.0.2")])
    assert [address[1][0] for address in found] == ["127.0.0.1", "127.0.0.2"]


def test_an_address_that_accepts_no_connection_is_no_replica_to_leave_out() -> None:
    """Its GPUs are among those the throughput is divided by."""
    with listening("127.0.0.1") as port, pytest.raises(ConnectFailedError) as refused:
        replicas(endpoint(port), resolving(port, "127.0.0.1", "127.0.0.2"))
    assert str(refused.value) == (
        "1 of the 2 addresses behind serving.test accept no connection: "
        f"http://127.0.0.2:{port}: cannot connect: Connection refused; "
        "start every replica, or give url the address of one"
    )


@pytest.mark.parametrize(
    ("gpus", "concurrency", "why"),
    [
        (3, Grid((4, 8)), "2 addresses, .* and gpus is 3: give those of all, or give url the address of one.* @ gpus"),
        (8, Grid((1, 8)), "2 addresses, .* a concurrency of 1 leaves some of them idle: begin at 2 .* @ concurrency"),
        (8, Range(1, 64), "2 addresses, .* a concurrency of 1 leaves some of them idle: begin at 2 .* @ concurrency"),
    ],
)
def test_gpus_and_concurrency_must_go_into_the_addresses(gpus: int, concurrency: Grid | Range, why: str) -> None:
    """Else the throughput per GPU would be that of no deployment."""
    with listening("127.0.0.1", "127.0.0.2") as port:
        asked = endpoint(port, gpus=gpus, load=LoadSettings(concurrency))
        with pytest.raises(SettingsError, match=f"serving.test:{port}: .*{why}"):
            replicas(asked, resolving(port, "127.0.0.1", "127.0.0.2"))


def test_several_addresses_are_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it runs and in the report, however many launches there are."""
    said: list[str] = []
    mine = Endpoints(said.append)
    with listening("127.0.0.1", "127.0.0.2") as port:
        found = resolved(port, "127.0.0.1", "127.0.0.2")
        monkeypatch.setattr(http, "resolve", lambda *_: [(entry[0], entry[4]) for entry in found])
        assert len(mine.addresses(endpoint(port))) == len(mine.addresses(endpoint(port))) == 2
    assert said == [*mine.remarks()] == ["2 addresses behind serving.test: connections are shared out"]


@pytest.mark.parametrize("status", [200, 401, 404])
def test_any_answer_counts_as_present(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """A server need not know /health, nor answer it without a key; it is asked once per run."""
    asked: list[str] = []

    def get(url: str, total_s: float, *, ca_file: str | None) -> Answer:
        asked.append(url)
        assert total_s == endpoints.ANSWER_S
        assert ca_file is None
        return Answer(status, b"")

    monkeypatch.setattr(http, "get", get)
    monkeypatch.setattr(endpoints, "replicas", lambda _: ())
    mine = Endpoints(lambda _: None)
    for _ in range(2):
        mine.require(endpoint(8000, path="/serving/v1/"))
    assert asked == ["http://serving.test:8000/serving/health"]


def test_a_proxy_without_a_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """And so is a server that still loads: 503."""
    monkeypatch.setattr(http, "get", lambda *_, **__: Answer(503, b""))
    with pytest.raises(
        ConnectFailedError, match=r"http://serving\.test:8000/health answers HTTP 503; nothing was started"
    ):
        require_answer(endpoint(8000))


def test_a_point_goes_where_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Path, certificates and addresses reach the load client."""
    targets: list[Target] = []

    def run_point(target: Target, plan: LoadPlan, **_: object) -> None:
        targets.append(target)
        raise LoadStoppedError(f"before {plan.concurrency} requests")

    monkeypatch.setattr(load, "run_point", run_point)
    asked = replace(endpoint(8443), url="https://serving.test:8443", path="/v3/completions", ca_file=Path("ca.pem"))
    addresses = ((int(socket.AF_INET), ("127.0.0.1", 8443)), (int(socket.AF_INET), ("127.0.0.2", 8443)))
    loaded = Loaded(
        *(asked, "fp4", Workload(8, 8), {}, lambda *_: None, lambda _: None, lambda: 0.0, Kept(), lambda: None),
        addresses=addresses,
    )
    with pytest.raises(LoadStoppedError):
        loaded.sweep("b200")
    (target,) = targets
    assert target.path == "/v3/completions"
    assert target.origin.ca_file == "ca.pem"
    assert target.addresses == addresses
