"""A real engine: llama-server with a random model in 4 and in 8 bits, started by the words of the example's suite and
loaded by the product's client. Where it is not there these tests are skipped and say how to get it."""

from __future__ import annotations

import gc
import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from pytest_precgate import http
from pytest_precgate.analysis.curves.comparison import compare
from pytest_precgate.analysis.curves.search import NO_TARGETS, follow
from pytest_precgate.analysis.curves.sweep import Sweep, SweepPoint
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.metrics import measure
from pytest_precgate.engines import CommandEngine
from pytest_precgate.engines.server import HostContext, ServerSlot
from pytest_precgate.errors import InvalidPointError
from pytest_precgate.loadgen import LoadPlan, Prompts, Target, run_point
from pytest_precgate.servers.process.readiness import wait_until_ready
from pytest_precgate.servers.process.supervised import start
from pytest_precgate.settings import Suite, load
from tests.engines.marked import marked
from tests.engines.undisturbed import undisturbed
from tests.published import ROOT

pytestmark = [
    pytest.mark.real_server,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not (ROOT / ".llama" / "made-by").is_file(), reason="no llama-server in .llama; to get it: make llama"
    ),
]

SMALL = Prompts(Workload(isl=8, osl=12, range_ratio=0.5), token_high=8192)
DEADLINE_S = 120.0


def the_suite() -> Suite:
    return load(ROOT).suites["llama-cpp-4-bit"]


def the_engine(precision: str) -> CommandEngine:
    (engine,) = the_suite().configurations(precision)
    assert isinstance(engine, CommandEngine)
    return engine


@dataclass
class Started:
    """A process of the server, where it is to answer, and the file it writes to."""

    engine: CommandEngine
    process: subprocess.Popen[bytes]
    slot: ServerSlot
    log: Path

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not self.engine.is_ready(self.slot, http):
            assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.02)

    @property
    def target(self) -> Target:
        """The server under the name it gives itself."""
        confirmed = self.engine.confirm(self.slot, http, self.log.read_text(encoding="utf-8"))
        assert confirmed.refusal is None
        return Target(self.slot.url, confirmed.model)


@contextmanager
def started(engine: CommandEngine, directory: Path, port: int | None = None) -> Iterator[Started]:
    """Start what the engine says, and end it however the test ends."""
    host = "127.0.0.1"
    context = HostContext({"PATH": "/nowhere"}, http, ROOT)
    slot = ServerSlot(host, http.free_port(host) if port is None else port, (), directory)
    command = engine.command(slot, context)
    log = directory / f"{slot.port}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command.argv, stdout=file, stderr=subprocess.STDOUT, cwd=command.cwd, env=dict(command.variables)
        )
    try:
        yield Started(engine, process, slot, log)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """One server in 4 bits for every test that only asks."""
    with started(the_engine("int4"), tmp_path_factory.mktemp("llama")) as running:
        running.wait_until_ready()
        yield running


# --- the command engine on it -----------------------------------------------------------------------------------------


def test_the_suite_s_command_line_starts_it_and_it_says_what_it_is(server: Started) -> None:
    """Program and model are found before the start; ready, it lists one model and its build."""
    facts = server.engine.preflight("int4", "laptop", HostContext({}, http, ROOT))
    assert facts.soft["program"] == ".llama/llama-server"
    assert str(facts.soft["model_file"]).startswith(
        f"{(ROOT / '.llama' / 'random-q4_0.gguf').stat().st_size} bytes, sha256 "
    )
    confirmed = server.engine.confirm(server.slot, http, "")
    assert confirmed.refusal is None
    assert confirmed.model == ".llama/random-q4_0.gguf"
    assert str(confirmed.facts["version"]).startswith("b")


def test_it_is_one_process_that_ends_when_told(tmp_path: Path) -> None:
    """The starting script becomes the server: nothing stands between a signal and it."""
    with started(the_engine("int4"), tmp_path) as running:
        assert not running.engine.is_ready(running.slot, http)
        running.wait_until_ready()
        assert psutil.Process(running.process.pid).children(recursive=True) == []
        running.process.terminate()
        assert running.process.wait(timeout=DEADLINE_S) == 0
        assert not http.listens(running.slot.host, running.slot.port)


@pytest.mark.parametrize(
    ("argv", "model", "cause"),
    [
        (["--no-such-option"], None, "error: invalid argument: --no-such-option"),
        ([], "no-such.gguf", "failed to open GGUF file 'no-such.gguf'"),
        ([], "pyproject.toml", "error loading model"),
    ],
    ids=["unknown option", "missing model", "not a model"],
)
def test_its_failures_are_recognised(tmp_path: Path, argv: Sequence[str], model: str | None, cause: str) -> None:
    """The line that says why, not the last one, which says that it ends."""
    known = the_engine("int4")
    settings = known.settings if model is None else replace(known.settings, model=model)
    engine = replace(known, argv=(*known.argv, *argv), settings=settings)
    with started(engine, tmp_path) as running:
        assert running.process.wait(timeout=DEADLINE_S) != 0
        assert cause in str(engine.cause(running.log.read_text(encoding="utf-8")))


def test_a_taken_port_is_recognised(tmp_path: Path) -> None:
    """Another program answers there."""
    engine = the_engine("int4")
    with socket.create_server(("127.0.0.1", 0)) as taken, started(engine, tmp_path, taken.getsockname()[1]) as running:
        assert running.process.wait(timeout=DEADLINE_S) != 0
        assert "couldn't bind HTTP server socket" in str(engine.cause(running.log.read_text(encoding="utf-8")))


# --- the client on it -------------------------------------------------------------------------------------------------


def events_of(server: Started, path: str, body: dict[str, object]) -> list[dict[str, object]]:
    """The JSON events of one streamed answer, [DONE] left out."""
    shared = {"max_tokens": 8, "ignore_eos": True, "stream": True, "stream_options": {"include_usage": True}}
    request = urllib.request.Request(
        server.slot.url + path, json.dumps(body | shared).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=DEADLINE_S) as response:
        lines = response.read().decode().splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def test_usage_stands_where_each_api_puts_it(server: Started) -> None:
    """Completions: in the chunk that has the finish reason. Chat: in one more chunk, without choices."""
    completion = events_of(server, "/v1/completions", {"prompt": [300, 301, 302]})
    chat = events_of(server, "/v1/chat/completions", {"messages": [{"role": "user", "content": "ab cd"}]})
    assert [event["choices"] == [] for event in (completion[-1], chat[-1])] == [False, True]
    assert '"finish_reason": "length"' in json.dumps(completion[-1])
    for last in (completion[-1], chat[-1]):
        assert isinstance(last["usage"], dict)
        assert last["usage"]["completion_tokens"] == 8


def words(ids: Sequence[int]) -> str:
    """As many tokens as ids: a blank and two letters are one token of the random model's vocabulary."""
    return " ab" * len(ids)


@pytest.mark.parametrize(
    ("api", "prompts"),
    [
        ("completions", SMALL),
        ("completions", replace(SMALL, min_tokens=True)),
        ("completions", replace(SMALL, detokenize=words)),
        ("chat", replace(SMALL, detokenize=words)),
    ],
    ids=["token ids", "min_tokens, which it ignores", "text", "chat"],
)
def test_the_client_gets_exactly_the_tokens_it_asks_for(server: Started, api: str, prompts: Prompts) -> None:
    """On both APIs, as ids and as text, every request ends with the lengths of the plan, as the server counted them."""
    target = replace(server.target, api=api)  # type: ignore[arg-type]
    plan = LoadPlan(prompts, concurrency=4, requests=12)
    run = run_point(target, plan)
    assert run.failures == ()
    asks = [plan.ask(number) for number in range(12)]
    lengths = [len(ask.prompt.split()) if isinstance(ask.prompt, str) else len(ask.prompt) for ask in asks]
    got = sorted((record.input_tokens, record.output_tokens) for record in run.records)
    assert got == sorted(zip(lengths, (ask.output_tokens for ask in asks), strict=True))


def test_a_server_that_dies_under_load_gives_no_point(tmp_path: Path) -> None:
    """Killed in the middle of a point: every request that was cut or refused is counted, and the point is refused."""
    plan = LoadPlan(replace(SMALL, workload=Workload(isl=8, osl=400)), concurrency=4, requests=12)
    with started(the_engine("int8"), tmp_path) as running:
        running.wait_until_ready()
        run = run_point(running.target, plan, on_progress=lambda _: running.process.kill())
    with pytest.raises(InvalidPointError, match="requests failed, at most 0 may"):
        measure(run, gpus=1)


def test_fifty_starts_and_stops_leave_no_process_port_or_descriptor(tmp_path: Path) -> None:
    """Through the product's own supervision: what one cycle leaked, a week of CI would add up."""
    engine, open_before = the_engine("int4"), len(list(Path("/proc/self/fd").iterdir()))
    with marked(tmp_path) as mark:
        context = HostContext(mark.environ, http, ROOT)
        for _ in range(50):
            slot = ServerSlot("127.0.0.1", http.free_port("127.0.0.1"), (), tmp_path)
            process = start(engine.command(slot, context), mark.log, mark.environ, 10.0)
            wait_until_ready(
                process,
                "llama-server",
                partial(engine.is_ready, slot, http),
                engine.cause,
                start_timeout_s=DEADLINE_S,
                stall_timeout_s=DEADLINE_S,
                clock=time.monotonic,
                pause=time.sleep,
            )
            process.stop()
            assert mark.running() == []
            assert not http.listens(slot.host, slot.port)
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


# --- 4 bits against 8 -------------------------------------------------------------------------------------------------


def swept(precision: str, directory: Path) -> Sweep:
    """One launch, loaded as the suite says."""
    suite, engine = the_suite(), the_engine(precision)
    loaded = engine.settings.load
    with started(engine, directory) as running:
        running.wait_until_ready()

        def measured(concurrency: int) -> SweepPoint:
            prompts = Prompts(suite.workload, loaded.vocabulary)
            plan = LoadPlan(prompts, concurrency, loaded.stop_rule.requests(concurrency))
            process = psutil.Process(running.process.pid)
            run = undisturbed(process, partial(run_point, running.target, plan))
            return measure(run, gpus=1).point()

        points = follow(loaded.concurrency.schedule(NO_TARGETS), measured)
    return Sweep(precision, suite.workload, suite.hardware.name, points)


def test_four_bits_and_eight_are_compared_at_matched_interactivity(tmp_path: Path) -> None:
    """Both curves give a figure at every quartile of the shared band; how far apart they are, the machine decides."""
    pair = compare(swept("int4", tmp_path), swept("int8", tmp_path), hardware=the_suite().hardware)
    ratios = {point: pair.at(point).throughput_ratio for point in pair.quartile_points()}
    assert len(ratios) == 3
    assert all(0.1 < ratio < 10 for ratio in ratios.values()), ratios
