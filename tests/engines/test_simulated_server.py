"""The simulated engine in real time, over real sockets, against its own virtual time and through the whole gate."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from pytest_precgate.analysis import metrics
from pytest_precgate.analysis.records import PointRun
from pytest_precgate.analysis.schedule import Grid
from pytest_precgate.analysis.workload import Workload
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


def fetched(url: str, body: object = None) -> tuple[int, str]:
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.read().decode()


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        ({"model": NAME, "prompt": [1], "max_tokens": 1, "stream": True, "ignore_EOS": True}, 400, "ignore_EOS"),
        ({"model": "other", "prompt": [1], "max_tokens": 1, "stream": True}, 404, "no model 'other'"),
        ({"model": NAME, "prompt": [1], "max_tokens": 0, "stream": True}, 400, "max_tokens: got 0"),
        ({"model": NAME, "prompt": [], "max_tokens": 1, "stream": True}, 400, "no prompt"),
        ({"model": NAME, "prompt": [1], "max_tokens": 1}, 400, "only stream: true"),
        ([1], 400, "unknown fields"),
    ],
)
def test_a_request_that_cannot_be_served_is_refused(url: str, body: object, status: int, why: str) -> None:
    """With the status and the words of a strict engine."""
    code, text = fetched(f"{url}/v1/completions", body)
    assert code == status
    assert why in text


def test_readiness_version_and_models_are_answered(url: str) -> None:
    """What a launcher asks first; anything else is 404."""
    assert fetched(f"{url}/health")[0] == 200
    assert json.loads(fetched(f"{url}/version")[1]) == {"version": "simulated"}
    assert json.loads(fetched(f"{url}/v1/models")[1])["data"][0]["id"] == NAME
    assert fetched(f"{url}/metrics")[0] == 404


def test_a_client_that_goes_away_does_not_stop_the_server(url: str) -> None:
    """Its request is finished for nobody, the next one is served."""
    body = json.dumps({"model": NAME, "prompt": [1] * 50, "max_tokens": 400, "stream": True}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/completions", data=body), timeout=30) as response:
        assert response.read(10)
    assert not swept(url, 2).failures


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
    quiet = repository.run("-q", "test_kimi.py")
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


def test_a_key_that_is_not_set_is_said_by_its_variable(
    repository: Repository, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is sent."""
    monkeypatch.delenv("PRECGATE_TEST_KEY", raising=False)
    repository.write_settings(SETTINGS.format(url=url))
    repository.write_test(LOOK)
    result = repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *environment variable PRECGATE_TEST_KEY, which is not set"])


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
    result.stdout.fnmatch_lines(["E *InvalidPointError: concurrency 1: not a point: 12 of 12 requests failed*404*"])


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


def test_the_command_refuses_an_impossible_speed() -> None:
    """Exit 2, one line."""
    command = [sys.executable, "-m", "pytest_precgate.cli", "serve-simulated", "--speed", "0"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert run.returncode == 2
    assert "--speed: got 0, wanted a finite number above 0" in run.stderr
