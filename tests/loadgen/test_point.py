"""Whole points against real servers on loopback, those that behave and those that do not."""

from __future__ import annotations

import gc
import resource
import ssl
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_precgate.analysis.metrics import measure
from pytest_precgate.analysis.records import PointRun
from pytest_precgate.analysis.window import end_of_ramp
from pytest_precgate.analysis.workload import Workload
from pytest_precgate.errors import ConnectFailedError, InvalidPointError, InvalidValueError, LoadStoppedError
from pytest_precgate.loadgen import Limits, LoadPlan, Progress, Prompts, Target, run_point
from tests.loadgen.servers import Behave, Exchange, StandIn, standing_in
from tests.loadgen.streams import STREAM, chunk, delta, event, finish, head, sized, token, tokens, until_close, usage

CERTIFICATE = Path(__file__).parent / "localhost.pem"
PLAN = LoadPlan(Prompts(Workload(isl=12, osl=6, range_ratio=0.5), token_high=900), 3, 12, limits=Limits(silence_s=20))
ONE = replace(PLAN, concurrency=1, requests=3)


def run(behave: Behave, plan: LoadPlan = PLAN, **target: str) -> tuple[PointRun, StandIn]:
    with standing_in(behave) as server:
        return run_point(Target(server.url, "m", **target), plan), server  # type: ignore[arg-type]


def causes(point: PointRun) -> list[str]:
    return [failure.cause for failure in point.failures]


def first_fails(misbehave: Behave) -> Behave:
    """The first request meets the fault, the others a good server."""
    return lambda exchange: misbehave(exchange) if exchange.number == 0 else exchange.answer()


def test_a_point_holds_every_request_as_the_plan_asked() -> None:
    """Lengths of the plan, times in order, one connection per slot kept, and a client that checked itself."""
    point, server = run(Exchange.answer)
    assert point.failures == ()
    asks = [PLAN.ask(number) for number in range(12)]
    wanted = sorted((len(ask.prompt), ask.output_tokens) for ask in asks)
    assert sorted((record.input_tokens, record.output_tokens) for record in point.records) == wanted
    assert len({exchange.connection for exchange in server.heard}) == 3
    assert all(exchange.body["prompt"] in [ask.prompt for ask in asks] for exchange in server.heard)
    assert point.client is not None
    assert 0 < point.client.achieved_concurrency <= 3
    assert point.client.events_per_read >= 1


def test_the_concurrency_is_held_until_the_last_send() -> None:
    """Three requests are in flight whenever a fourth could be: the server answers only when it has three."""
    gate = threading.Barrier(3, timeout=30)

    def together(exchange: Exchange) -> None:
        gate.wait()
        exchange.answer()

    point, _ = run(together)
    assert len(point.records) == 12


def test_a_drained_warm_up_leaves_no_record_but_runs() -> None:
    """Two requests per slot first, then the point."""
    point, server = run(Exchange.answer, replace(PLAN, warmup="drained"))
    assert len(point.records) == 12
    assert len(server.heard) == 18
    assert min(record.sent_s for record in point.records) > 0


def test_a_server_that_fails_in_the_warm_up_fails_the_point() -> None:
    """Its failures are kept though its records are not."""
    point, _ = run(
        first_fails(lambda exchange: exchange.send(sized(b"", "503 Loading"))), replace(PLAN, warmup="drained")
    )
    assert causes(point) == ["HTTP 503 Loading: (empty)"]
    with pytest.raises(InvalidPointError, match="1 of 13 requests failed"):
        measure(point, 1)


def test_a_chat_point_counts_reasoning_and_the_template() -> None:
    """Role first, reasoning, content, usage in a last chunk of its own."""

    def chat(exchange: Exchange) -> None:
        events = [
            event(delta(role="assistant", content="")),
            event(delta(reasoning_content="a")),
            event(delta(content="b")),
        ]
        last = [event(usage(40, exchange.asked[1])), event("[DONE]")]
        exchange.send(head() + b"".join(map(chunk, [*events, *last])) + b"0\r\n\r\n")

    plan = replace(PLAN, prompts=replace(PLAN.prompts, detokenize=lambda ids: " ".join(map(str, ids))))
    point, server = run(chat, plan, api="chat", api_key="key")
    assert {record.input_tokens for record in point.records} == {40}
    assert "Authorization: Bearer key\r\n" in server.heard[0].head


def closes_after_each(exchange: Exchange) -> None:
    exchange.answer()
    exchange.close()


def until_closed(exchange: Exchange) -> None:
    prompt, output = exchange.asked
    exchange.send(until_close(tokens(output, prompt)))
    exchange.close()


def usage_in_the_finish_chunk(exchange: Exchange) -> None:
    """As llama-server: CRLF here, and fewer chunks than tokens."""
    prompt, output = exchange.asked
    exchange.send(sized(b": hi\r\n\r\n" + event(token(), "\r\n") + event(finish(prompt, output)) + event("[DONE]")))


@pytest.mark.parametrize("behave", [closes_after_each, until_closed, usage_in_the_finish_chunk])
def test_a_server_s_habits_fail_no_request(behave: Behave) -> None:
    """A keep-alive connection closed between requests is opened again; framing and places of usage are the server's."""
    point, _ = run(behave, ONE)
    assert causes(point) == []
    assert len(point.records) == 3


def test_a_stale_connection_is_reopened_once_and_only_once() -> None:
    """The second request meets an end before a byte, twice: that is a failure. The third is served."""

    def dies_twice(exchange: Exchange) -> None:
        if exchange.number in (1, 2):
            exchange.reset()
        else:
            exchange.answer()

    point, server = run(dies_twice, ONE)
    assert len(server.heard) == 4
    assert server.heard[1].body == server.heard[2].body
    assert len(point.records) == 2
    assert causes(point) in (
        ["reading: Connection reset by peer"],
        ["the server closed the connection before it answered"],
    )


def wrong_output(exchange: Exchange) -> None:
    exchange.send(sized(event(token()) + event(usage(exchange.asked[0], 1))))


def no_usage(exchange: Exchange) -> None:
    exchange.send(sized(event(token()) + event("[DONE]")))


def cut_mid_event(exchange: Exchange) -> None:
    exchange.send(head() + chunk(event(token())) + chunk(event(token()))[:20])
    exchange.close()


def reset_mid_stream(exchange: Exchange) -> None:
    exchange.send(head() + chunk(event(token())))
    exchange.reset()


FAULTS: Sequence[tuple[Behave, str]] = [
    (lambda e: e.send(sized(b'{"error":"slow down"}', "429 Too Many Requests")), "HTTP 429 Too Many Requests: "),
    (lambda e: e.send(sized(b"no such field", "400 Bad Request")), "HTTP 400 Bad Request: no such field"),
    (lambda e: e.send(sized(b"", "502 Bad Gateway")), "HTTP 502 Bad Gateway: (empty)"),
    (lambda e: e.send(head() + chunk(event({"error": {"message": "died"}}))), "error in the stream: died"),
    (lambda e: e.send(head() + b"zz\r\n"), "the chunks of the answer are broken: "),
    (wrong_output, "wrong output length: usage says 1 tokens, asked for "),
    (no_usage, "the stream ended without usage; "),
    (cut_mid_event, "the server closed the connection in the middle of its answer"),
    (reset_mid_stream, "reading: Connection reset by peer"),
]


@pytest.mark.parametrize(("fault", "cause"), FAULTS, ids=[cause[:20] for _, cause in FAULTS])
def test_a_fault_is_recorded_with_its_cause_and_the_slot_goes_on(fault: Behave, cause: str) -> None:
    """Every other request completes, over a new connection where the old one is spent."""
    point, _ = run(first_fails(fault))
    assert len(point.records) == 11
    assert [recorded[: len(cause)] for recorded in causes(point)] == [cause]


def test_a_server_that_dies_fails_what_is_left_and_the_run_ends() -> None:
    """Refused connections are failures, each with its cause, and not an endless wait."""

    def dies(exchange: Exchange) -> None:
        exchange.server.shut_down()

    point, _ = run(dies, ONE)
    assert len(point.failures) == 3
    assert causes(point)[-1].endswith("cannot connect: Connection refused")


def hangs(exchange: Exchange) -> None:
    exchange.server.ended.wait()


def hangs_mid_stream(exchange: Exchange) -> None:
    exchange.send(head() + chunk(event(token())))
    hangs(exchange)


def drips(exchange: Exchange) -> None:
    """One byte at a time, for ever, never silent for long."""
    exchange.send(head())
    while not exchange.server.ended.wait(0.02):
        exchange.send(b"0")


@pytest.mark.parametrize(
    ("fault", "limits", "cause"),
    [
        (hangs, Limits(silence_s=0.2), "the server was silent for 0.2 s"),
        (hangs_mid_stream, Limits(silence_s=0.2), "the server was silent for 0.2 s"),
        (drips, Limits(silence_s=5, request_s=0.3), "the request was not complete after 0.3 s"),
    ],
)
def test_a_server_that_goes_silent_or_drips_is_timed_out(fault: Behave, limits: Limits, cause: str) -> None:
    """Silence has a limit, and so has a request that is never silent."""
    point, _ = run(first_fails(fault), replace(ONE, limits=limits))
    assert causes(point) == [cause]
    assert len(point.records) == 2


def test_an_early_refusal_of_a_large_request_is_read() -> None:
    """A server may answer before it has read everything."""

    def refuses(exchange: Exchange) -> None:
        exchange.send(sized(b"too long", "413 Content Too Large"))

    long = replace(ONE, prompts=Prompts(Workload(isl=200_000, osl=2), token_high=90000), requests=1)
    point, _ = run(refuses, long)
    assert causes(point) == ["HTTP 413 Content Too Large: too long"]


def test_a_point_that_cannot_begin_raises() -> None:
    """Nobody listens, or nobody can be found: no point, and no failures to count."""
    with standing_in() as server:
        url = server.url
    with pytest.raises(
        ConnectFailedError, match=r"http://localhost:\d+: cannot connect: Connection refused; is the server"
    ):
        run_point(Target(url, "m"), PLAN)


def test_more_slots_than_files_may_be_open_is_said_so() -> None:
    """Not a raw error of the operating system, and not a server at fault; everything opened is closed again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with standing_in() as server:
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 20, hard))
        try:
            with pytest.raises(ConnectFailedError, match="no socket: Too many open files; see `ulimit -n`"):
                run_point(Target(server.url, "m"), replace(PLAN, concurrency=200, requests=200))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("processes", [0, 4])
def test_every_process_has_a_slot(processes: int) -> None:
    """More processes than slots would idle and count as clients."""
    with pytest.raises(InvalidValueError, match=f"processes: got {processes}, wanted 1 to 3"):
        run_point(Target("http://localhost:1", "m"), PLAN, processes=processes)


def tls_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def test_https_carries_a_point() -> None:
    """With a stream larger than a TLS record in one send, and the server's name checked."""

    def large(exchange: Exchange) -> None:
        prompt, output = exchange.asked
        exchange.send(head() + b"".join(chunk(event(token("x" * 9000))) for _ in range(output)))
        exchange.send(chunk(event(usage(prompt, output))) + chunk(event("[DONE]")) + b"0\r\n\r\n")

    with standing_in(large, tls_context()) as server:
        point = run_point(Target(server.url, "m", ca_file=str(CERTIFICATE)), PLAN)
    assert causes(point) == []
    assert len(point.records) == 12


def test_a_certificate_nobody_vouches_for_is_refused() -> None:
    """Named as what it is: not a slow server, not a dead one."""
    with (
        standing_in(tls=tls_context()) as server,
        pytest.raises(ConnectFailedError, match=r"no TLS connection: self.signed certificate"),
    ):
        run_point(Target(server.url, "m"), PLAN)


def test_stop_closes_every_connection_at_once() -> None:
    """While all requests hang, stop is asked, and the server sees every connection end."""
    with standing_in(hangs_mid_stream) as server:
        with pytest.raises(LoadStoppedError, match="stopped after 0 of 12 requests"):
            run_point(Target(server.url, "m"), PLAN, stop=lambda: len(server.heard) == 3)
        server.ended.set()
        assert server.wait_for(lambda: server.open == 0)


def test_progress_is_told_about_once_a_second() -> None:
    """Elapsed seconds, requests ended and planned, tokens generated by those that ended."""
    told: list[Progress] = []
    enough = threading.Event()

    def last_waits(exchange: Exchange) -> None:
        if exchange.number == 2:
            assert enough.wait(30)
        exchange.answer()

    def on_progress(progress: Progress) -> None:
        told.append(progress)
        enough.set()

    with standing_in(last_waits) as server:
        point = run_point(Target(server.url, "m"), ONE, on_progress=on_progress)
    assert told[0].elapsed_s >= 1
    assert (told[0].completed, told[0].total) == (2, 3)
    assert told[0].output_tokens == sum(record.output_tokens for record in point.records[:2])


@pytest.mark.parametrize("collects", [True, False])
def test_garbage_is_collected_afterwards_as_before(collects: bool) -> None:
    """Off during the point, and then as it was."""
    seen: list[bool] = []

    def looks(exchange: Exchange) -> None:
        seen.append(gc.isenabled())
        exchange.answer()

    (gc.enable if collects else gc.disable)()
    try:
        run(looks)
        assert gc.isenabled() is collects
        assert set(seen) == {False}
    finally:
        gc.enable()


def test_what_two_slots_share_is_not_mixed_up() -> None:
    """Streams interleaved over many connections give each request its own counts."""
    plan = replace(PLAN, concurrency=32, requests=160)
    step = threading.Barrier(32, timeout=30)

    def interleaved(exchange: Exchange) -> None:
        step.wait()
        prompt, output = exchange.asked
        exchange.send(head(headers=STREAM + b"Transfer-Encoding: chunked\r\n"))
        for part in tokens(output, prompt):
            exchange.send(chunk(part))
        exchange.send(b"0\r\n\r\n")

    point, _ = run(interleaved, plan)
    assert causes(point) == []
    assert len(point.records) == 160


def test_a_point_ends_once_enough_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent after that, what is in flight ends, and its end is not told before."""
    monkeypatch.setattr(LoadPlan, "is_enough", lambda plan: lambda records: len(records) >= 7 + plan.concurrency)
    point, server = run(Exchange.answer, replace(PLAN, requests=None, point_error=0.7))
    assert 10 <= len(point.records) == len(server.heard) <= 12
    assert point.failures == ()


def test_a_point_that_is_never_known_ends_with_its_time() -> None:
    """After more requests than were prepared; what is in flight ends."""
    plan = replace(PLAN, requests=None, point_error=1e-9, window_limit_s=0.5)
    point, _ = run(Exchange.answer, plan)
    assert len(point.records) > plan.prepared
    assert point.failures == ()
    began_s = end_of_ramp(point.records, plan.concurrency)
    assert max(record.last_token_s for record in point.records) >= began_s + 0.4


def test_the_end_of_an_open_point_is_not_told() -> None:
    """Stopped, it says how many have ended, and not of how many."""
    with (
        standing_in(hangs_mid_stream) as server,
        pytest.raises(LoadStoppedError, match="stopped after 0 requests"),
    ):
        run_point(
            Target(server.url, "m"), replace(PLAN, requests=None, point_error=0.5), stop=lambda: len(server.heard) == 3
        )
