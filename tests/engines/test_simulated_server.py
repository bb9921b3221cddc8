"""The simulated engine in real time, over real sockets, against its own virtual time and through the whole gate."""

from __future__ import annotations

import math
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from pytest_precgate import http
from pytest_precgate.analysis.curves.search import Grid
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure import metrics
from pytest_precgate.analysis.measure.records import PointRun
from pytest_precgate.engines.base import Endpoint
from pytest_precgate.engines.endpoint import EndpointEngine
from pytest_precgate.engines.load import LoadSettings
from pytest_precgate.loadgen import LoadPlan, Prompts, Target, run_point
from tests.repository import Repository

NAME = "kimi-k2.5-b200-fp4-tp4"
SMALL = Workload(isl=64, osl=48, range_ratio=0.8)


@contextmanager
def served(*options: str) -> Iterator[str]:
    """The command in a process of its own, on a free port; its address."""
    command = [sys.executable, "-m", "pytest_precgate.cli", "serve-simulated", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("SIMULATED ")
            yield line.split()[-1]
        finally:
            process.kill()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No limits on the client's own load: a busy test machine must not decide whether the plumbing works."""
    monkeypatch.setattr(metrics, "MAX_LAG_OF_ITL", math.inf)
    monkeypatch.setattr(metrics, "MAX_CPU_SHARE", math.inf)
    monkeypatch.setattr(metrics, "MAX_EVENTS_PER_READ", math.inf)
    monkeypatch.setattr(metrics, "MIN_ACHIEVED_SHARE", 0.0)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served() as address:
        yield address


def swept(url: str, concurrency: int, api: str = "completions") -> PointRun:
    return run_point(Target(url, NAME, api), plan(concurrency, api))  # type: ignore[arg-type]


def plan(concurrency: int, api: str = "completions") -> LoadPlan:
    return LoadPlan(prompts(api), concurrency, requests=6 * concurrency)


def prompts(api: str = "completions") -> Prompts:
    return Prompts(SMALL, token_high=1000, detokenize=None if api == "completions" else _words)


def _words(ids: object) -> str:
    return " ".join(str(number) for number in ids)  # type: ignore[attr-defined]


def test_a_closed_loop_over_sockets_is_served_in_full(url: str) -> None:
    """Each request once, with the lengths asked for; how fast is benchmarks/realtime.py's business."""
    run = swept(url, 8)
    asked = [plan(8).ask(number) for number in range(6 * 8)]
    assert not run.failures
    assert sorted((record.input_tokens, record.output_tokens) for record in run.records) == sorted(
        (len(ask.prompt), ask.output_tokens) for ask in asked
    )


def test_the_chat_api_streams_a_role_first(url: str) -> None:
    """The role-only event is no token; usage alone counts."""
    run = swept(url, 4, "chat")
    assert not run.failures
    assert sorted(record.output_tokens for record in run.records) == sorted(
        plan(4, "chat").ask(number).output_tokens for number in range(6 * 4)
    )
    assert all(record.ttft_s > 0.01 for record in run.records)


SETTINGS = """\
[tool.precgate.suites.kimi]
hardware = "b200"
workload = {{ isl = 16, osl = 10, range_ratio = 0.8 }}
interactivity = [110, 120]

[tool.precgate.suites.kimi.fp4]
engine = "endpoint"
url = "{url}"
model = "kimi-k2.5-b200-fp4-tp4"
gpus = 4
concurrency = [1, 4]
requests_per_slot = 12
api_key_env = "PRECGATE_TEST_KEY"

[tool.precgate.suites.kimi.int4]
engine = "simulated"
calibration = "kimi-k2.5-b200-int4-tp8"
concurrency = [1, 4, 8]
"""
LOOK = """\
def test_fp4(precgate):
    points = precgate.sweep("fp4").points
    assert [point.concurrency for point in points] == [1, 4]
"""


@pytest.mark.usefixtures("patient")
def test_a_running_server_is_swept_through_pytest(
    repository: Repository, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """engine = "endpoint": two points measured, progress in plain lines, the key nowhere on the screen."""
    monkeypatch.setenv("PRECGATE_TEST_KEY", "sk-very-secret")
    repository.write_settings(SETTINGS.format(url=url))
    repository.write_test(LOOK)
    result = repository.run("test_kimi.py")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "precgate: fp4 concurrency *: */* requests, * s*",
            "precgate: fp4 concurrency 4: * tok/s/user, * tok/s/GPU, ttft * ms (p99 *), steady window * s, *%",
        ]
    )
    result.stdout.no_fnmatch_line("*sk-very-secret*")
    quiet = repository.run_short("-q", "test_kimi.py")
    assert quiet.ret == 0
    quiet.stdout.no_fnmatch_line("*precgate: fp4 concurrency*")


@pytest.mark.usefixtures("patient")
def test_a_running_server_is_searched_and_each_point_ends_by_itself(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without concurrencies and numbers of requests: points inside the limits, none with a number to reach."""
    monkeypatch.setenv("PRECGATE_TEST_KEY", "sk-very-secret")
    fixed = "concurrency = [1, 4]\nrequests_per_slot = 12"
    with served("--speed", "4") as url:
        settings = SETTINGS.format(url=url).replace("[110, 120]", "[450]")
        repository.write_settings(settings.replace(fixed, "max_concurrency = 8\npoint_error = 0.2\nwindow_limit_s = 2"))
        repository.write_test(
            "def test_fp4(precgate):\n"
            "    measured = [point.concurrency for point in precgate.sweep('fp4').points]\n"
            "    assert measured and max(measured) <= 8\n"
        )
        result = repository.run("test_kimi.py")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["precgate: fp4 concurrency *: * tok/s/user, *, steady window * s, known to *%"])


@pytest.mark.usefixtures("patient")
def test_a_name_of_several_addresses_is_loaded_at_each(
    repository: Repository, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections are shared out; their number is said while it runs, in the report once, and kept as a fact."""
    monkeypatch.setenv("PRECGATE_TEST_KEY", "x")
    port = int(url.rpartition(":")[2])
    replicas = [(int(socket.AF_INET), (host, port)) for host in ("127.0.0.1", "127.0.0.2")]
    monkeypatch.setattr(http, "resolve", lambda *_: replicas)
    settings = SETTINGS.format(url=f"http://serving.test:{port}")
    repository.write_settings(settings.replace("concurrency = [1, 4]\nr", "concurrency = [2, 4]\nr"))
    repository.write_test(LOOK.replace("[1, 4]", "[2, 4]"))
    with served("--host", "127.0.0.2", "--port", str(port)):
        result = repository.run("test_kimi.py")
    assert result.ret == 0
    said = "2 addresses behind serving.test: connections are shared out"
    assert result.outlines.count(f"precgate: {said}") == 1
    assert result.outlines.count(f"warning: {said}") == 1
    (journal,) = repository.path.glob(".precgate/runs/*/journal.jsonl")
    assert '"addresses": 2' in journal.read_text(encoding="utf-8")
    refused = repository.run("test_kimi.py")
    assert refused.ret == 1
    refused.stdout.fnmatch_lines(["E *ConnectFailedError: 1 of the 2 addresses behind serving.test accept no *"])


@pytest.mark.usefixtures("patient")
def test_prompts_become_text_with_a_tokenizer(
    repository: Repository, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the chat API, from the checkpoint's tokenizer.json; without one the settings are refused."""
    monkeypatch.setenv("PRECGATE_TEST_KEY", "x")
    words = Tokenizer(WordLevel({f"w{number}": number for number in range(100)}, unk_token="w0"))
    words.save(str(repository.path / "tokenizer.json"))
    chat = 'gpus = 4\napi = "chat"\nvocabulary = 100\ntokenizer = "tokenizer.json"'
    repository.write_settings(SETTINGS.format(url=url).replace("gpus = 4", chat))
    repository.write_test(LOOK)
    assert repository.run("test_kimi.py").ret == 0
    (repository.path / "tokenizer.json").unlink()
    result = repository.run("test_kimi.py")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *SettingsError: *tokenizer.json: is no file; wanted the checkpoint's *"])


def test_another_model_is_another_identity() -> None:
    """A baseline of one served model is none for another; nothing of address or key is kept."""
    engine = EndpointEngine(
        Endpoint("http://x", "kimi", 4, LoadSettings(Grid((1, 2))), api_key_env="PRECGATE_TEST_KEY")
    )
    assert engine.identity() == {"api": "completions", "model": "kimi", "window": "steady"}
    assert not {"http://x", "PRECGATE_TEST_KEY"} & {str(fact) for fact in engine.facts().values()}


def test_another_acceptance_is_another_identity() -> None:
    """A baseline of one acceptance length is none for another, nor for a server that does not speculate."""
    load = LoadSettings(Grid((1, 2)), acceptance_length=3.24)
    assert EndpointEngine(Endpoint("http://x", "kimi", 4, load)).identity()["acceptance_length"] == 3.24
    assert "acceptance_length" not in EndpointEngine(Endpoint("http://x", "kimi", 4, LoadSettings())).identity()


def test_a_key_that_is_not_set_is_said_by_its_variable(
    repository: Repository, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is sent."""
    monkeypatch.delenv("PRECGATE_TEST_KEY", raising=False)
    repository.write_settings(SETTINGS.format(url=url))
    repository.write_test(LOOK)
    result = repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *environment variable PRECGATE_TEST_KEY, which is not set; export it *api_key_env"])


STARTS_ONE = """\
[tool.precgate.suites.kimi]
hardware = "laptop"
workload = { isl = 16, osl = 10 }
interactivity = [110]

[tool.precgate.hardware.laptop]
price_per_gpu_hour = 1
power_kw_per_gpu = 1
source = "an example"

[tool.precgate.suites.kimi.fp4]
engine = "command"
model = "kimi"
gpus = 1
argv = ["sh", "-c", "touch started", "{port}"]

[tool.precgate.suites.kimi.int4]
engine = "endpoint"
url = "http://127.0.0.1:9"
model = "kimi"
gpus = 1
api_key_env = "PRECGATE_TEST_KEY"
"""


@pytest.mark.parametrize("value", [None, "", "sk-1\n"], ids=["not set", "empty", "no header"])
@pytest.mark.parametrize("asked", ["precgate.sweep('fp4')", "precgate_engine('fp4')"])
def test_a_missing_key_is_found_before_the_other_engine_is_started(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, value: str | None, asked: str
) -> None:
    """Also where a test only wants to talk to that engine, and another one to sweep both."""
    if value is None:
        monkeypatch.delenv("PRECGATE_TEST_KEY", raising=False)
    else:
        monkeypatch.setenv("PRECGATE_TEST_KEY", value)
    repository.write_settings(STARTS_ONE)
    repository.write_test(
        f"def test_fp4(precgate, precgate_engine):\n    {asked}\n\n\n"
        "def test_both(precgate):\n    precgate.compare('fp4', 'int4')\n"
    )
    result = repository.run()
    state = {None: "is not set; export it", "": "is empty; export it"}.get(
        value, "holds a character that no HTTP header"
    )
    result.stdout.fnmatch_lines([f"E *environment variable PRECGATE_TEST_KEY, which {state} *api_key_env"])
    result.stdout.no_fnmatch_line("*sk-1*")
    assert result.parseoutcomes().get("passed") is None
    assert not (repository.path / "started").exists()
    result.stdout.no_fnmatch_line("*starting fp4*")


def test_nothing_listening_is_said_by_address(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong port is a named error, not a slow server."""
    monkeypatch.setenv("PRECGATE_TEST_KEY", "x")
    repository.write_settings(SETTINGS.format(url="http://127.0.0.1:9"))
    repository.write_test(LOOK)
    result = repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *ConnectFailedError: *127.0.0.1:9*"])


def test_a_model_the_server_has_not_is_no_point(
    repository: Repository, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every request fails, with the server's words counted; no number comes of it."""
    monkeypatch.setenv("PRECGATE_TEST_KEY", "x")
    repository.write_settings(SETTINGS.format(url=url).replace('model = "kimi', 'model = "gemi'))
    repository.write_test(LOOK)
    result = repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *InvalidPointError: concurrency 1: not a point: 1 of 1 requests failed*404*"])


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("gpus = 4", "gpus = 0", "got 0, wanted at least 1 @ tool.precgate.suites.kimi.fp4.gpus"),
        ("gpus = 4", 'gpus = 4\napi_key = "sk"', "unknown key 'api_key'; did you mean 'api_key_env'*"),
        ("gpus = 4", 'gpus = 4\napi = "chat"', "chat takes text, not token ids*"),
        ("concurrency = [1, 4]\nreq", "concurrency = [4, 4]\nreq", "*wanted different concurrencies*"),
        ("gpus = 4", "gpus = 4\nignore_eos = 1", "got 1, wanted true or false*"),
    ],
)
def test_settings_of_an_endpoint_that_cannot_be_used_exit_4(
    repository: Repository, old: str, new: str, why: str
) -> None:
    """By key, before anything is connected."""
    repository.write_settings(SETTINGS.format(url="http://x").replace(old, new))
    result = repository.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: precgate: *{why}"])
