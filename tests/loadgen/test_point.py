"""Whole points against real servers on loopback, those that behave and those that do not."""

from __future__ import annotations

import gc
import resource
import socket
import ssl
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.metrics import measure
from pytest_precgate.analysis.measure.records import PointRun, RequestRecord
from pytest_precgate.analysis.measure.window import end_of_ramp
from pytest_precgate.errors import ConnectFailedError, InvalidPointError, InvalidValueError, LoadStoppedError
from pytest_precgate.loadgen import Limits, LoadPlan, Progress, Prompts, Target, client, run_point
from pytest_precgate.loadgen.closed_loop import opened
from pytest_precgate.loadgen.plan import Requests
from tests.loadgen.servers import Behave, Exchange, StandIn, standing_in
from tests.loadgen.streams import STREAM, chunk, delta, event, finish, head, sized, token, tokens, until_close, usage

CERTIFICATE = Path(__file__).parent / "localhost.pem"
LIMITS = Limits(silence_s=20, max_failures=12)
PLAN = LoadPlan(Prompts(Workload(isl=12, osl=6, range_ratio=0.5), token_high=900), 3, 12, limits=LIMITS)
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
    assert causes(point) == ["HTTP 503 Loading"]
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


@pytest.mark.parametrize(("after_s", "counted"), [(0.0, (0, 1)), (1.5, (1, 0))])
def test_a_connection_closed_for_its_age_is_told_from_one_that_broke(
    after_s: float, counted: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closed in order right behind the request it is reopened, and counted as that; later it has cost the request."""
    monkeypatch.setattr(client, "CLOSED_FOR_AGE_S", 1.0)  # a busy machine takes its time to close

    def closes_under_the_second(exchange: Exchange) -> None:
        if exchange.number == 1:
            exchange.server.ended.wait(after_s)
            exchange.close()
        else:
            exchange.answer()

    point, _ = run(closes_under_the_second, replace(ONE, requests=30))
    assert (point.resent, point.reopened) == counted
    assert len(point.records) == 30
    assert (point.lost_s > 0) is bool(point.reopened)


def test_connections_that_are_reopened_may_cost_one_percent() -> None:
    """Beyond that the throughput would be the server's habit, and not the engine's."""
    records = [RequestRecord(n, n + 0.5, n + 0.9, 5, 10) for n in range(100)]
    assert measure(PointRun(1, records, reopened=40, lost_s=0.8), 1).reopened == 40
    with pytest.raises(InvalidPointError, match=r"60 connections were closed by the server .* cost the slots 1\.20 s"):
        measure(PointRun(1, records, reopened=60, lost_s=1.2), 1)


def test_a_connection_seen_to_be_closed_is_not_used() -> None:
    """The server closes between two answers, as it may: nothing is sent again and nothing is counted."""
    closed = threading.Event()

    def closes_the_first(exchange: Exchange) -> None:
        exchange.answer()
        if exchange.number == 0:
            exchange.close()
            closed.set()

    plan = replace(ONE, requests=2)
    with standing_in(closes_the_first) as server, opened(Target(server.url, "m"), plan, 1, lambda *_: None) as loop:
        requests = Requests(Target(server.url, "m"), plan, 0, 1, 2)
        assert len(loop.run(requests.at_most(1)).records) == 1
        assert closed.wait(30)
        assert server.wait_for(lambda: server.open == 0)
        tally = loop.run(requests.at_most(1))
    assert (len(tally.records), tally.failures, tally.resent) == (1, [], 0)


def test_a_request_is_sent_again_once_and_only_once_and_that_is_counted() -> None:
    """The second request meets an end before a byte, twice: sent again once, then failed. The third is served."""

    def dies_twice(exchange: Exchange) -> None:
        if exchange.number in (1, 2):
            exchange.reset()
        else:
            exchange.answer()

    point, server = run(dies_twice, ONE)
    assert len(server.heard) == 4
    assert server.heard[1].body == server.heard[2].body
    assert len(point.records) == 2
    assert point.resent == 1
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
    (lambda e: e.send(sized(b"", "502 Bad Gateway")), "HTTP 502 Bad Gateway"),
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


def test_a_request_that_is_never_silent_is_timed_out() -> None:
    """One stream has a limit of its own, and the others go on."""
    limits = replace(LIMITS, request_s=0.3)
    point, _ = run(first_fails(drips), replace(ONE, limits=limits))
    assert causes(point) == ["the request was not complete after 0.3 s (request_timeout_s)"]
    assert len(point.records) == 2


ENDLESS: Sequence[tuple[Behave, Limits, str]] = [
    (hangs, Limits(silence_s=0.3), "no byte on any stream for 0.3 s"),
    (hangs_mid_stream, Limits(silence_s=0.3), "no byte on any stream for 0.3 s"),
    (drips, Limits(silence_s=5, point_s=0.5), "the point was not complete after 0.5 s"),
    (drips, Limits(silence_s=5, request_s=0.3), "the failure beyond max_failures = 0"),
]


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(("fault", "limits", "why"), ENDLESS)
def test_a_point_that_would_not_end_is_given_up(fault: Behave, limits: Limits, why: str, processes: int) -> None:
    """A server that is silent on every stream, or feeds the streams for ever, holds the GPUs for a limited time."""
    plan = replace(PLAN, limits=limits, requests=1000)
    with standing_in(fault) as server:
        point = run_point(Target(server.url, "m"), plan, processes=processes)
        assert point.ended is not None
        assert why in point.ended
        assert point.froze is ("no byte" in why)
        assert len(server.heard) <= 6
    with pytest.raises(InvalidPointError, match=why) as caught:
        measure(point, 1)
    assert not caught.value.is_outside


@pytest.mark.parametrize("processes", [1, 2])
def test_the_first_failure_beyond_what_may_fail_ends_the_point(processes: int) -> None:
    """Of a thousand requests that would each fail, the server hears no more than were in flight."""
    refuses: Behave = lambda exchange: exchange.send(sized(b"", "429 Too Many Requests"))  # noqa: E731
    plan = replace(PLAN, limits=replace(LIMITS, max_failures=2), requests=1000)
    with standing_in(refuses) as server:
        point = run_point(Target(server.url, "m"), plan, processes=processes)
        assert 3 <= len(point.failures) <= len(server.heard) < 500
    assert point.ended == "ended at the failure beyond max_failures = 2"
    with pytest.raises(InvalidPointError, match=r"at most 2 may: \d+ x HTTP 429"):
        measure(point, 1, max_failures=2)


def test_requests_that_are_sent_again_are_limited_like_failures() -> None:
    """A server that resets kept connections gives no point: its throughput would be booked as the engine's."""

    def resets_every_other(exchange: Exchange) -> None:
        if exchange.number % 2:
            exchange.reset()
        else:
            exchange.answer()

    plan = replace(ONE, requests=40, limits=replace(LIMITS, max_failures=3))
    point, _ = run(resets_every_other, plan)
    assert point.resent == 4
    assert point.reopened == 0
    with pytest.raises(InvalidPointError, match="4 x sent again after the server closed the connection") as caught:
        measure(point, 1, max_failures=3)
    assert caught.value.is_outside


def test_an_early_refusal_of_a_large_request_is_read() -> None:
    """A server may answer before it has read everything."""

    def refuses(exchange: Exchange) -> None:
        exchange.send(sized(b"too long", "413 Content Too Large"))

    long = replace(ONE, prompts=Prompts(Workload(isl=200_000, osl=2), token_high=90000), requests=1)
    point, _ = run(refuses, long)
    assert causes(point) == ["HTTP 413 Content Too Large: too long"]


def test_a_point_that_cannot_begin_raises() -> None:
    """No server listens, or the name is unknown: no point, and no failures to count."""
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


def test_an_untrusted_certificate_is_refused() -> None:
    """Named as what it is: not a slow server, not a dead one."""
    with (
        standing_in(tls=tls_context()) as server,
        pytest.raises(ConnectFailedError, match=r"no TLS connection: self.signed certificate"),
    ):
        run_point(Target(server.url, "m"), PLAN)


def test_https_to_a_server_that_speaks_plain_http_is_named() -> None:
    """Not a limit of connections, and not a server that is slow to answer."""

    def answers_in_plain_text(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answers_in_plain_text, args=(listener,), daemon=True)
        thread.start()
        url = f"https://localhost:{listener.getsockname()[1]}"
        with pytest.raises(ConnectFailedError, match="does not answer in TLS; does it speak plain HTTP"):
            run_point(Target(url, "m", ca_file=str(CERTIFICATE)), ONE)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(30)


def test_a_server_that_never_finishes_tls_is_named() -> None:
    """It accepts connections and says nothing: the port may not speak TLS at all."""
    limits = replace(LIMITS, connect_s=0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://localhost:{listener.getsockname()[1]}"
        with pytest.raises(ConnectFailedError, match=r"not open within 0\.3 s; does the server speak TLS at this port"):
            run_point(Target(url, "m", ca_file=str(CERTIFICATE)), replace(ONE, limits=limits))


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
