"""A secret of the environment, of a key's variable, of a suite's variables is in no output and in no file."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Callable

import pytest

import pytest_precgate.analysis.measure.metrics
import pytest_precgate.baselines.store
import pytest_precgate.plugin.run
import pytest_precgate.reports.terminal
import pytest_precgate.run.launches
import pytest_precgate.run.measuring
from pytest_precgate.errors import ReadFailedError
from tests.plugin.sites import SETTINGS, Site
from tests.repository import Repository

SECRET = "hf_hunter2hunter2"
LOUD = ("-l", "--tb=long", "-vv", "--full-trace", "-rA")
RECORDED_SECRETLY = f"""
[tool.precgate.suites.kimi.fp8]
engine = "vllm"
model = "org/model"
gpus = 1
variables = {{ HF_TOKEN = "{SECRET}" }}

[tool.precgate.suites.kimi.bf16]
engine = "endpoint"
url = "http://127.0.0.1:9"
model = "org/model"
gpus = 1
api_key_env = "OUR_KEY"
"""


def key_error(*_arguments: object, **_options: object) -> None:
    """As a look-up by a secret would."""
    raise KeyError(SECRET)


def assertion_error(*_arguments: object, **_options: object) -> None:
    """As pytest words a failed comparison with the environment."""
    raise AssertionError(f"assert {dict(os.environ)} == {{}}")


def recursion_error(*_arguments: object, **_options: object) -> None:
    """As a value that is nested too deeply does."""
    secret = SECRET
    recursion_error(secret)


def value_error(*_arguments: object, **_options: object) -> None:
    """Raised from another one, which names the secret too."""
    try:
        key_error()
    except KeyError as exc:
        raise ValueError(SECRET) from exc


def unicode_error(*_arguments: object, **_options: object) -> None:
    """Its object is the whole text."""
    (SECRET + "\udcff").encode()


def our_own(*_arguments: object, **_options: object) -> None:
    """An error of the plugin's, whose frames hold a secret."""
    key = SECRET
    raise ReadFailedError(f"a key of {len(key)} characters")


RAISED = (key_error, assertion_error, recursion_error, value_error, unicode_error, our_own)
PLACES = {
    "while a test checks": (pytest_precgate.baselines.store.BaselineStore, "read"),
    "while a sweep is read": (pytest_precgate.run.launches.Launches, "_sweep"),
    "while tests are collected": (pytest_precgate.plugin.run.Run, "suite"),
    "while the policy is read": (pytest_precgate.plugin.run.Run, "_policy"),
    "when the run is finished": (pytest_precgate.run.launches.Launches, "costs"),
    "when engines are stopped": (pytest_precgate.run.launches.Launches, "close"),
    "in the summary": (pytest_precgate.reports.terminal, "summary"),
    "in a failure's text": (pytest_precgate.reports.terminal, "failure"),
}


@pytest.fixture
def keeper(accepted: Repository, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository whose suite and environment hold secrets; its gates fail where nothing else does."""
    monkeypatch.setenv("HF_TOKEN", SECRET)
    monkeypatch.setenv("OUR_KEY", SECRET)
    text = (accepted.path / "pyproject.toml").read_text(encoding="utf-8")
    accepted.write_settings(text + RECORDED_SECRETLY)
    accepted.write_points(fp4=0.5)
    return accepted


def assert_untold(repository: Repository, result: pytest.RunResult) -> None:
    said = result.stdout.str() + result.stderr.str()
    assert SECRET not in said, said
    written = [path for path in repository.path.rglob("*") if path.is_file() and path.name != "pyproject.toml"]
    assert not [path for path in written if SECRET.encode() in path.read_bytes()]


def run_loudly(repository: Repository, *more: str) -> pytest.RunResult:
    names = {"json": "report.json", "markdown": "report.md", "svg": "report.svg", "junit": "gates.xml"}
    wanted = [f"--precgate-{kind}={repository.path / name}" for kind, name in names.items()]
    wanted.append(f"--junitxml={repository.path / 'junit.xml'}")
    return repository.run(*LOUD, *wanted, *more)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("raised", RAISED, ids=lambda raised: raised.__name__)
def test_no_exception_shows_a_secret(
    keeper: Repository, monkeypatch: pytest.MonkeyPatch, place: str, raised: Callable[..., None]
) -> None:
    """Every local variable is asked for, and of the plugin's frames none is shown: not in output, junit or a report."""
    owner, name = PLACES[place]
    monkeypatch.setattr(owner, name, raised)
    result = run_loudly(keeper)
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.INTERNAL_ERROR)
    assert_untold(keeper, result)
    said = result.stdout.str() + result.stderr.str()
    assert "pytest_precgate/run" not in said
    if raised is not our_own:
        wanted = {"value_error": "ValueError", "unicode_error": "UnicodeEncodeError"}
        kind = wanted.get(raised.__name__, raised.__name__.title().replace("_", ""))
        assert f"{kind}, which is a fault of pytest-precgate itself" in said
        assert f"test_secrets.py:{raised.__code__.co_firstlineno + (6 if raised is value_error else 1)}" in said or (
            raised is recursion_error or "test_secrets.py" in said
        )


def test_a_failed_gate_shows_no_frame_of_the_plugin(keeper: Repository) -> None:
    """--full-trace shows pytest's own frames, and those alone."""
    result = run_loudly(keeper)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*REGRESSED*"])
    assert_untold(keeper, result)
    result.stdout.no_fnmatch_line("*plugin/__init__.py:*")


def test_what_a_test_raises_from_an_error_of_ours_shows_no_frame_of_ours(
    keeper: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cause is shown by its message."""
    monkeypatch.setattr(pytest_precgate.run.launches.Launches, "_sweep", key_error)
    keeper.write_test(
        "def test_it(precgate):\n"
        "    try:\n        precgate.sweep('fp4')\n"
        "    except Exception as exc:\n        raise RuntimeError('mine') from exc\n"
    )
    result = run_loudly(keeper)
    result.stdout.fnmatch_lines(["*KeyError, which is a fault of pytest-precgate itself*", "*RuntimeError: mine*"])
    assert_untold(keeper, result)


def test_an_error_of_the_user_s_own_is_shown_whole(keeper: Repository) -> None:
    """With its message, its frames and its cause: it did not pass through the plugin."""
    keeper.write_test(
        "def helper():\n    mine = 'seen'\n    {}['gone']\n\ndef test_it(precgate):\n"
        "    try:\n        helper()\n    except KeyError as exc:\n        raise ValueError('bad') from exc\n"
    )
    result = keeper.run("-l")
    result.stdout.fnmatch_lines(["E*KeyError: 'gone'", "mine * = 'seen'", "E*ValueError: bad"])


INTERRUPTS = """
import os
from pytest_precgate.run.launches import Launches

def interrupted(self, key):
    raise KeyboardInterrupt(len(key))

Launches.of = lambda self, *_: interrupted(self, os.environ["OUR_KEY"])
"""


def test_an_interrupted_run_shows_no_frame_of_the_plugin(keeper: Repository) -> None:
    """--full-trace prints the arguments of every frame there was."""
    (keeper.path / "conftest.py").write_text(INTERRUPTS, encoding="utf-8")
    result = keeper.run_apart(*LOUD)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert_untold(keeper, result)


def test_no_object_a_test_holds_shows_a_secret(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A started server's settings, its command, its run folder: by the names of variables and no value."""
    monkeypatch.setenv("HF_TOKEN", SECRET)
    site.repository.write_settings(
        SETTINGS.replace(
            "[tool.precgate.suites.kimi.fp4]\n",
            f'[tool.precgate.suites.kimi.fp4]\nvariables = {{ OUR_KEY = "{SECRET}" }}\n',
        )
    )
    site.repository.write_test(
        "def test_it(precgate, fp4_engine, request):\n"
        "    run = request.config.pluginmanager.get_plugin('precgate-run')\n"
        "    suite, launches = precgate._suite, run.gatekeeper.launches\n"
        "    keeper, pool = run.gatekeeper, launches._pool\n"
        "    servers, facts = pool._up, fp4_engine.facts\n"
        "    request = next(iter(servers.values())).request\n"
        "    command = request.engine.command(next(iter(servers.values())).slot, pool.host)\n"
        "    print(suite, launches, keeper, pool, servers, facts, request, command, precgate, run)\n"
        "    print('all of them')\n"
        "    assert not [suite, launches, keeper, pool, servers, facts, request, command]\n"
    )
    result = run_loudly(site.repository, "-s")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*variables, values not shown*", "all of them", "*AssertionError*"])
    assert_untold(site.repository, result)
    assert site.running() == []


class Refusing(http.server.BaseHTTPRequestHandler):
    """Answers every request with an error."""

    def do_GET(self) -> None:
        self.send_error(500)

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.mark.parametrize("raised", [None, *RAISED], ids=lambda raised: getattr(raised, "__name__", "refused"))
def test_a_key_is_shown_by_no_exception_of_the_load(
    keeper: Repository, monkeypatch: pytest.MonkeyPatch, raised: Callable[..., None] | None
) -> None:
    """The key is in the frames that load a server; the journal of that run holds no trace of it either."""
    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            result = _loaded(keeper, monkeypatch, server.server_port, raised)
        finally:
            server.shutdown()
            thread.join()
    assert result.ret == 1
    assert_untold(keeper, result)


def _loaded(
    keeper: Repository, monkeypatch: pytest.MonkeyPatch, port: int, raised: Callable[..., None] | None
) -> pytest.RunResult:
    keeper.write_settings(
        "[tool.precgate.suites.kimi]\n"
        'hardware = "b200"\nworkload = { isl = 16, osl = 10 }\ninteractivity = [100]\n'
        '[tool.precgate.suites.kimi.int4]\nengine = "recorded"\npath = "points.csv"\n'
        '[tool.precgate.suites.kimi.fp4]\nengine = "endpoint"\nmodel = "m"\ngpus = 1\napi_key_env = "OUR_KEY"\n'
        f'url = "http://127.0.0.1:{port}"\n'
    )
    keeper.write_test("def test_it(precgate):\n    precgate.sweep('fp4')\n")
    if raised is not None:
        monkeypatch.setattr(pytest_precgate.run.measuring, "run_point", raised)
    return run_loudly(keeper)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("variables = { OUR_KEY = 12345678901 }", "wanted a non-empty text"),
        (f'variables = "{SECRET}"', "wanted a table"),
        (f'variables = ["{SECRET}"]', "wanted a table"),
        (f'variables = {{ OUR_KEY = ["{SECRET}"] }}', "wanted a non-empty text"),
        (f'variables = {{ OUR_KEY = "{SECRET}\\u0000" }}', "NUL"),
        (f'api_key_env = "{SECRET} "', "wanted the name of an environment variable"),
        (f'api_key_env = ["{SECRET}"]', "wanted the name of an environment variable"),
        (f'url = ["{SECRET}"]', "wanted a text"),
    ],
)
def test_a_setting_that_may_hold_a_secret_is_refused_unseen(keeper: Repository, written: str, why: str) -> None:
    """A value of the wrong type is named by its key."""
    key = written.partition(" ")[0]
    where = "bf16" if key in ("url", "api_key_env") else "fp8"
    text = (keeper.path / "pyproject.toml").read_text(encoding="utf-8")
    head, table, body = text.partition(f"[tool.precgate.suites.kimi.{where}]\n")
    kept = [line for line in body.splitlines() if not (line.startswith(key) and where == "bf16")]
    if where == "fp8":
        kept = [line for line in kept if not line.startswith("variables")]
    keeper.write_settings(head + table + written + "\n" + "\n".join(kept) + "\n")
    result = run_loudly(keeper)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: precgate: *{why}* @ tool.precgate.suites.kimi.{where}.{key}*"])
    said = result.stdout.str() + result.stderr.str()
    assert SECRET not in said
    assert "12345678901" not in said
