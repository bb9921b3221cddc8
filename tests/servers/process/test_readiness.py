"""Waiting for a server: every way a start can go wrong ends in a named error with a cause, and with nothing left."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.engines.failures import COMMON, PORT_IN_USE, FailureText, recognise
from pytest_precgate.errors import EngineDiedError, EngineNotReadyError, EngineStartError, PortInUseError
from pytest_precgate.servers.process.readiness import require_alive, wait_until_ready
from pytest_precgate.servers.process.supervised import Process
from tests.engines.marked import Marked, answers_200, eventually, free_port, marked
from tests.engines.stand_in_server import FAILURES, LAST_LINE

GENERAL = FailureText("Executor worker returned error", "a worker failed", general=True)
SOON = 60.0


def cause(log: str) -> str | None:
    return recognise(log, (*COMMON, GENERAL))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Marked]:
    with marked(tmp_path) as made:
        yield made


def await_ready(process: Process, port: int, stall_timeout_s: float = SOON, start_timeout_s: float = SOON) -> None:
    wait_until_ready(
        process,
        "fp4",
        lambda: answers_200(port),
        cause,
        start_timeout_s=start_timeout_s,
        stall_timeout_s=stall_timeout_s,
        clock=time.monotonic,
        pause=time.sleep,
    )


def test_refused_then_503_then_200_is_ready(here: Marked) -> None:
    """Each of the three was seen, and only the last one ended the wait."""
    port, seen = free_port(), set()

    def is_ready() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"GET /health HTTP/1.1\r\n\r\n")
                seen.add(client.recv(12)[-3:].decode())
        except ConnectionRefusedError:
            seen.add("refused")
        return "200" in seen

    process = here.stand_in("serves", "--load-s", "0.4", "--unhealthy-s", "0.4", port=port)
    wait_until_ready(
        process,
        "fp4",
        is_ready,
        cause,
        start_timeout_s=SOON,
        stall_timeout_s=SOON,
        clock=time.monotonic,
        pause=lambda _: time.sleep(0.02),
    )
    assert seen == {"refused", "503", "200"}
    require_alive(process, "fp4", cause)
    process.stop()


@pytest.mark.parametrize("failure", FAILURES)
def test_a_death_while_loading_names_its_cause(here: Marked, failure: str) -> None:
    """The specific text where there is one, not the last line; nothing is left of its workers."""
    port = free_port()
    process = here.stand_in("fails", "--failure", failure, "--load-s", "0", port=port)
    with pytest.raises(EngineStartError) as error:
        await_ready(process, port)
    assert here.running() == []
    expected = recognise(FAILURES[failure].format(host="127.0.0.1", port=port)) or f"a worker failed ({LAST_LINE})"
    assert error.value.cause == expected
    assert isinstance(error.value, PortInUseError) == (failure == "port")
    assert error.value.tail.endswith(LAST_LINE)
    assert str(error.value).startswith(f"fp4: {expected}; its output: {here.log}\n")


def test_a_port_that_is_taken_is_an_error_of_its_own(here: Marked) -> None:
    """So that the caller can start again on another port."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        with pytest.raises(PortInUseError, match=rf"fp4: {PORT_IN_USE} .*Failed to bind socket to 127.0.0.1:{port}"):
            await_ready(here.stand_in("serves", port=port), port)
    assert here.running() == []


def test_a_kill_while_loading_says_so(here: Marked) -> None:
    """As the kernel does to a server that takes too much of the host's memory."""
    port = free_port()
    process = here.stand_in("is-killed", "--load-s", "0", port=port)
    with pytest.raises(EngineStartError, match=r"fp4: it was killed by SIGKILL, as the kernel .* none of the known"):
        await_ready(process, port)
    assert here.running() == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--served_model_name", "x"), "No such option: --served_model_name"),
        (("--port", "80", "other"), r"Got unexpected extra argument \(other\)"),
        (("--extra_llm_api_options", "config.yaml"), "moe_config.backed\n  Extra inputs are not permitted"),
    ],
)
def test_an_option_the_server_refuses_is_in_the_message(here: Marked, words: tuple[str, ...], complaint: str) -> None:
    """The tail of the log holds it: a flag or a key of another version."""
    (here.directory / "config.yaml").write_text("kv_cache_config:\n  dtype: fp8\nmoe_config:\n  backed: TRTLLM\n")
    process = here.stand_in("serves", "trtllm-serve", "org/model", *words)
    with pytest.raises(EngineStartError, match=rf"(?s)fp4: it ended with exit code [12] .*{complaint}"):
        await_ready(process, 1)


def test_a_server_that_hangs_in_silence_is_given_up(here: Marked) -> None:
    """A worker was killed and its parent waits for ever: the log stands still."""
    port = free_port()
    process = here.stand_in("hangs", "--load-s", "0", port=port)
    with pytest.raises(EngineNotReadyError, match=r"fp4: not ready, and its log has stood still for 0.5 s"):
        await_ready(process, port, stall_timeout_s=0.5)
    assert here.running() == []


def test_a_server_that_loads_for_ever_is_given_up(here: Marked) -> None:
    """However much it prints."""
    port = free_port()
    process = here.stand_in("talks", "--load-s", "0", port=port)
    with pytest.raises(EngineNotReadyError, match=r"fp4: not ready after 1 s \(start_timeout_s\); its output"):
        await_ready(process, port, start_timeout_s=1.0)
    assert here.running() == []


def test_a_failure_s_text_does_not_end_a_server_that_copes(here: Marked) -> None:
    """An autotuner ran out of memory and took another tactic."""
    port = free_port()
    process = here.stand_in("recovers", port=port)
    await_ready(process, port)
    assert cause(process.log_text()) is not None
    process.stop()


@pytest.mark.parametrize(
    ("behave", "how"),
    [("dies-serving", "ended with exit code 1"), ("is-killed-serving", "was killed by SIGKILL")],
)
def test_a_death_between_requests_is_an_error_of_its_own(here: Marked, behave: str, how: str) -> None:
    """By itself or killed; the tail says what it said last."""
    port = free_port()
    process = here.stand_in(behave, "--after", "0", port=port)
    await_ready(process, port)
    body = json.dumps({"model": "org/model", "prompt": "a b", "max_tokens": 9, "stream": True}).encode()
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert eventually(lambda: not process.is_alive())
    with pytest.raises(EngineDiedError, match=rf"fp4: it {how}.* while it was in use"):
        require_alive(process, "fp4", cause)
    assert here.running() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_any_interruption_of_the_wait_stops_the_server(here: Marked, error: type[BaseException]) -> None:
    """Ctrl-C, or a probe that fails in a way of its own."""

    def interrupts() -> bool:
        raise error

    process = here.stand_in("serves")
    with pytest.raises(error):
        wait_until_ready(
            process, "fp4", interrupts, cause, start_timeout_s=1, stall_timeout_s=1, clock=lambda: 0.0, pause=time.sleep
        )
    assert here.running() == []


@dataclass
class Scripted:
    """A process in virtual time: when it is ready, when it ends, and when its log grows."""

    ready_s: float
    ends_s: float
    grows_s: tuple[float, ...]
    log: Path = Path("engine.log")
    now_s: float = 0.0
    stopped: int = 0
    asked: list[float] = field(default_factory=list)

    def is_alive(self) -> bool:
        return self.now_s < self.ends_s and not self.stopped

    def is_ready(self) -> bool:
        self.asked.append(self.now_s)
        return self.now_s >= self.ready_s

    def exit_text(self) -> str:
        return "ended with exit code 7"

    def log_size(self) -> int:
        return sum(grows_s <= self.now_s for grows_s in self.grows_s)

    def log_text(self) -> str:
        return "CUDA out of memory"

    def tail(self, lines: int) -> str:
        return f"the last {lines} lines"

    def stop(self) -> None:
        self.stopped += 1

    def pause(self, seconds: float) -> None:
        self.now_s += seconds


MOMENTS = st.one_of(st.floats(0, 200), st.just(1e9))


@given(MOMENTS, MOMENTS, st.lists(st.floats(0, 200)).map(tuple), st.floats(1, 50), st.floats(1, 300))
def test_the_wait_ends_for_the_first_reason_there_is(
    ready_s: float, ends_s: float, grows_s: tuple[float, ...], stall_timeout_s: float, start_timeout_s: float
) -> None:
    """Ready, dead, silent or late, whichever comes first, told within the longest pause; and stopped unless ready."""
    process = Scripted(ready_s, ends_s, grows_s)
    silences = [
        a for a, b in zip([0.0, *sorted(grows_s)], [*sorted(grows_s), 1e9], strict=True) if b - a >= stall_timeout_s + 2
    ]
    silent_s = silences[0] + stall_timeout_s + 1.0 if silences else 1e9
    first = min(ready_s, ends_s, start_timeout_s, silent_s)
    raised: EngineStartError | None = None
    try:
        wait_until_ready(
            process,
            "fp4",
            process.is_ready,
            cause,
            start_timeout_s=start_timeout_s,
            stall_timeout_s=stall_timeout_s,
            clock=lambda: process.now_s,
            pause=process.pause,
        )
    except EngineStartError as exc:
        raised = exc
    assert process.now_s <= first + 2.0
    assert process.stopped == (raised is not None)
    if raised is None:
        assert ready_s <= process.now_s < ends_s
    elif isinstance(raised, EngineNotReadyError):
        if "stood still" in raised.cause:
            grown_s = [0.0, *(grows_s for grows_s in process.grows_s if grows_s <= process.now_s)]
            assert process.now_s - max(grown_s) >= stall_timeout_s
        else:
            assert process.now_s >= start_timeout_s
        assert "Its output names a cause: out of GPU memory" in raised.cause
    else:
        assert ends_s <= process.now_s
        assert raised.cause.startswith("out of GPU memory")


def test_a_fast_start_is_not_waited_for_and_a_slow_one_not_pestered() -> None:
    """The pauses grow from a twentieth of a second to one second."""
    process = Scripted(ready_s=100.0, ends_s=1e9, grows_s=tuple(range(200)))
    wait_until_ready(
        process,
        "fp4",
        process.is_ready,
        cause,
        start_timeout_s=1e6,
        stall_timeout_s=1e6,
        clock=lambda: process.now_s,
        pause=process.pause,
    )
    assert process.asked[:4] == pytest.approx([0.0, 0.05, 0.15, 0.35])
    assert 100 <= len(process.asked) < 110
