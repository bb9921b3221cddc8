"""A suite on a server that misbehaves as real ones do: every fault ends the run in time, with its own cause."""

from __future__ import annotations

import json
import math
import sys
import threading
import time

import psutil
import pytest

from pytest_precgate.analysis.measure import metrics
from pytest_precgate.servers import endpoints
from tests.engines.test_simulated_server import served
from tests.repository import Repository

SETTINGS = """\
[tool.precgate.suites.kimi]
hardware = "b200"
workload = {{ isl = 64, osl = 40, range_ratio = 0.8 }}
interactivity = [110]
metrics = ["throughput_ratio"]

[tool.precgate.suites.kimi.fp4]
engine = "endpoint"
url = "{url}"
model = "kimi-k2.5-b200-fp4-tp4"
gpus = 4
concurrency = [2]
requests_per_slot = {requests}
silence_limit_s = 1
request_timeout_s = {timeout}
point_limit_s = 90
{more}

[tool.precgate.suites.kimi.int4]
engine = "simulated"
calibration = "kimi-k2.5-b200-int4-tp8"
concurrency = [1, 4, 8]
"""
LOOK = """\
def test_fp4(precgate):
    (point,) = precgate.sweep("fp4").points
    print("pace", round(point.interactivity))
"""


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client may be as busy as this machine is."""
    monkeypatch.setattr(metrics, "MAX_LAG_OF_ITL", math.inf)
    monkeypatch.setattr(metrics, "MAX_CPU_SHARE", math.inf)
    monkeypatch.setattr(metrics, "MAX_EVENTS_PER_READ", math.inf)
    monkeypatch.setattr(metrics, "MIN_ACHIEVED_SHARE", 0.0)


def swept(repository: Repository, url: str, more: str = "", requests: int = 8, timeout: int = 60) -> pytest.RunResult:
    repository.write_settings(SETTINGS.format(url=url, more=more, requests=requests, timeout=timeout))
    repository.write_test(LOOK)
    return repository.run("-s", "test_kimi.py")


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("hang=16", "the server sent no byte on any stream for 1 s (silence_limit_s)"),
        ("freeze=400", "the server sent no byte on any stream for 1 s (silence_limit_s)"),
        ("silent=4", "silence_limit_s"),
        ("only-pings=16", "request_timeout_s"),
        ("cut=16", "the server closed the connection in the middle of its answer"),
        ("refuse=4", "HTTP 503"),
        ("redirect=307", "HTTP 307 Redirect for POST /v1/completions: a redirect to /elsewhere/v1/completions"),
        ("stream-error=16", "error in the stream"),
        ("endless-line=16", "an event exceeds 8 MiB without an end"),
        ("gzip", "compressed (Content-Encoding: gzip)"),
        ("nul", "the stream holds a NUL byte"),
        ("deep-json", "nested too deeply"),
        ("huge-integer", "an event is not JSON"),
        ("split-usage", "usage lacks"),
        ("text-usage", "usage.prompt_tokens: got '"),
        ("no-usage", "the stream ended without usage"),
    ],
)
def test_a_fault_ends_the_point_with_its_cause(repository: Repository, kind: str, cause: str) -> None:
    """Exit 1, the cause and the concurrency in the error, not a figure, and not one more run of the point."""
    with served("--speed", "20", "--misbehave", kind) as url:
        result = swept(repository, url, timeout=3 if cause == "request_timeout_s" else 60)
    assert result.ret == 1
    error = next(line for line in result.outlines if line.startswith("E ") and "Error: " in line)
    assert "InvalidPointError: concurrency 2: not a point: " in error
    assert cause in error
    assert not any(line.startswith("pace ") for line in result.outlines)


def test_a_server_that_is_stopped_under_load_ends_the_point(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGSTOP: its kernel goes on to accept and acknowledge, no byte comes, and the run ends after silence_limit_s."""
    monkeypatch.setattr(endpoints, "METRICS_S", 0.2)  # its counters are asked for afterwards
    with served("--speed", "10") as url:
        (server,) = (child for child in psutil.Process().children() if "serve-simulated" in " ".join(child.cmdline()))

        def suspend_under_load() -> None:
            while sum(each.status == psutil.CONN_ESTABLISHED for each in server.net_connections()) < 2:
                time.sleep(0.005)
            server.suspend()

        watch = threading.Thread(target=suspend_under_load, daemon=True)
        watch.start()
        try:
            result = swept(repository, url, requests=1000)
        finally:
            server.resume()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *InvalidPointError: concurrency 2: not a point: *no byte*1 s (silence_limit_s)*"])


@pytest.mark.parametrize("kind", ["pings=100", "first-burst=0.5", "empty-text=0.5", "bom", "done-blank"])
def test_a_habit_changes_no_figure(repository: Repository, kind: str) -> None:
    """Late pings, several tokens in the first event, tokens without text: the pace is that of the tokens after it.

    Of the same requests, at any pace of this machine: time per token times tokens is their time.
    """
    with served("--speed", "1", "--misbehave", kind) as url:
        result = swept(repository, url, requests=4)
    assert result.ret == 0, result.outlines
    [journal] = (repository.path / ".precgate" / "runs").glob("*/journal.jsonl")
    events = [json.loads(line) for line in journal.read_text(encoding="ascii").splitlines()]
    [point] = [event["measurement"] for event in events if event["event"] == "point"]
    after_first = (1 + 0.8) / 2 * 40 - point["tokens"]["first_event_tokens"]
    decoding_s = point["request_latency"]["mean_s"] - point["ttft"]["mean_s"]
    assert point["tpot"]["mean_s"] * after_first == pytest.approx(decoding_s, rel=0.1)


def test_hidden_tokens_are_refused_or_said(repository: Repository) -> None:
    """Three quarters of the tokens are in usage alone: no pace, unless the suite says that they are reasoning."""
    with served("--speed", "1", "--misbehave", "hidden") as url:
        refused = swept(repository, url, requests=4)
        said = swept(repository, url, 'hidden_tokens = "reasoning"', requests=4)
    assert refused.ret == 1
    refused.stdout.fnmatch_lines(["E *not a point: usage counts *hidden_tokens*reasoning*"])
    assert said.ret == 0


def test_a_reset_connection_is_tried_again_and_then_inconclusive(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that resets every other kept connection disturbs all three runs of the point.

    One slot: of two, both may be reset before the point has ended, and that is more than a network does.
    """
    monkeypatch.setattr(sys.modules[__name__], "SETTINGS", SETTINGS.replace("concurrency = [2]", "concurrency = [1]"))
    with served("--speed", "20", "--misbehave", "reset=2") as url:
        result = swept(repository, url)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *InconclusivePointError: concurrency 1: *(run 3 times)"])


CACHED = "isl = 256, osl = 16"


def test_a_second_run_on_one_server_finds_nothing_cached(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run draws a salt. With the salt of the run before, its prompts are in the cache and the point is refused."""
    drawn = iter(["first", "second", "second"])
    monkeypatch.setattr("secrets.token_hex", lambda _: next(drawn))
    with served("--speed", "20", "--prefix-cache") as url:
        results = [swept(repository, url) for _ in range(3)]
    assert [result.ret for result in results] == [0, 0, 1]
    results[2].stdout.fnmatch_lines(["E *not a point: *% of the prompt tokens came from the server's prefix cache*"])


def test_a_cache_that_does_not_tell_is_seen_by_its_counters(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """usage says nothing of cached tokens; /metrics counts them at both ends of the point."""
    monkeypatch.setattr("secrets.token_hex", lambda _: "the same")
    with served("--speed", "20", "--prefix-cache", "--misbehave", "no-cached-tokens") as url:
        results = [swept(repository, url) for _ in range(2)]
    assert [result.ret for result in results] == [0, 1]
    results[1].stdout.fnmatch_lines(["E *% of the prompt tokens came from the server's prefix cache*"])


def test_speculation_is_seen_and_held(repository: Repository) -> None:
    """Unforced: no point. Forced to what it is: one that says its acceptance. Forced to another length: none."""
    with served("--speed", "5", "--speculative-tokens", "3", "--acceptance-length", "2.5") as url:
        unforced = swept(repository, url)
        forced = swept(repository, url, "acceptance_length = 2.5")
        other = swept(repository, url, "acceptance_length = 3.0")
    assert [result.ret for result in (unforced, forced, other)] == [1, 0, 1]
    unforced.stdout.fnmatch_lines(["E *the server speculates (2.* tokens a step) and nothing forces its acceptance*"])
    forced.stdout.fnmatch_lines(["precgate: fp4 concurrency 2: *tokens per event, acceptance length 2.*"])
    other.stdout.fnmatch_lines(["E *the acceptance length was 2.*, acceptance_length forces 3.000*"])
