"""Whose answer counts: a server is ready when it answers and the port is its own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.engines.load import LoadSettings
from pytest_precgate.engines.server import Confirmed, ServerCommand, ServerSettings, ServerSlot
from pytest_precgate.errors import EngineStartError, ReadFailedError
from pytest_precgate.http import Answer
from pytest_precgate.servers.readiness import Readiness, Until
from pytest_precgate.servers.running_server import RunningServer
from tests.engines.hosts import CannedNetwork


def readiness(*, answers: bool, is_ours: bool, clock: Any, keeps_scheduler: bool = False) -> Readiness:
    engine = SimpleNamespace(is_ready=lambda _seat, _network: answers)
    order: Any = SimpleNamespace(engine=engine, what="fp4 (command)")
    process: Any = SimpleNamespace(listens_on=lambda _port: is_ours, log=Path("server.log"))
    slot: Any = SimpleNamespace(port=8000)
    network: Any = None
    command = ServerCommand(("server",), keeps_scheduler=keeps_scheduler)
    return Readiness(order, slot, command, process, network, clock)


def test_a_server_is_ready_when_it_answers_on_a_port_of_its_own() -> None:
    """Neither alone is enough."""
    assert readiness(answers=True, is_ours=True, clock=lambda: 0.0)()
    assert not readiness(answers=False, is_ours=True, clock=lambda: 0.0)()
    assert not readiness(answers=True, is_ours=False, clock=lambda: 0.0)()


def test_a_stranger_on_the_port_is_refused_after_a_while() -> None:
    """Not at once, a server may bind late; and never taken for the server."""
    now_s = [0.0]
    ask = readiness(answers=True, is_ours=False, clock=lambda: now_s[0])
    assert not ask()
    now_s[0] = 31.0
    with pytest.raises(EngineStartError, match="port 8000 answers, and no process of this server listens there"):
        ask()


def test_behind_a_scheduler_s_launcher_the_answer_is_all_there_is() -> None:
    """Its tasks are no processes below ours."""
    assert readiness(answers=True, is_ours=False, clock=lambda: 0.0, keeps_scheduler=True)()


def test_a_running_server_is_an_endpoint_with_the_settings_of_its_precision() -> None:
    """Its address is the slot's, its name the server's own, its counters at the path of its kind of server."""
    settings = ServerSettings("org/model", 4, LoadSettings(acceptance_length=2.6), metrics_path="/prometheus/metrics")
    order: Any = SimpleNamespace(engine=SimpleNamespace(settings=settings))
    unused: Any = None
    up = RunningServer(
        order, ServerSlot("127.0.0.1", 8000, (), Path()), unused, Confirmed("model"), Fingerprint({}), None, unused
    )
    assert (up.endpoint.url, up.endpoint.model, up.endpoint.gpus) == ("http://127.0.0.1:8000", "model", 4)
    assert up.endpoint.load.acceptance_length == 2.6
    assert up.endpoint.metrics_path == "/prometheus/metrics"


def test_no_question_goes_on_after_the_time_a_start_may_take() -> None:
    """The last one gets what is left of it, and then there is none."""
    now_s = [0.0]
    asked: list[float] = []

    class Listening(CannedNetwork):
        def get(self, url: str, total_s: float, most_bytes: int = 1) -> Answer:
            asked.append(total_s)
            return super().get(url, total_s, most_bytes)

    network = Until(Listening({"/health": Answer(503, b"")}), lambda: now_s[0], 60.0)
    for now_s[0] in (0.0, 58.0):
        assert network.get("http://h/health", 5.0).status == 503
    assert asked == [5.0, 2.0]
    now_s[0] = 60.0
    with pytest.raises(ReadFailedError, match="http://h/health: not asked"):
        network.get("http://h/health", 5.0)
    assert asked == [5.0, 2.0]
