"""Points of a running server that are disturbed, frozen or warm, as the person who runs pytest meets them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator

import pytest

from pytest_precgate.analysis.measure import metrics
from pytest_precgate.analysis.measure.measurement import Measurement
from pytest_precgate.analysis.measure.records import PointRun
from tests.engines.test_simulated_server import served
from tests.repository import Repository

SETTINGS = """\
[tool.precgate.suites.kimi]
hardware = "b200"
workload = {{ isl = 64, osl = 16, range_ratio = 0.8 }}
interactivity = [110]
metrics = ["throughput_ratio"]

[tool.precgate.suites.kimi.fp4]
engine = "endpoint"
url = "{url}"
model = "kimi-k2.5-b200-fp4-tp4"
gpus = 4
concurrency = [1, 4]
requests_per_slot = 8
{more}

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
Disturb = Callable[..., None]


@pytest.fixture
def disturb(monkeypatch: pytest.MonkeyPatch) -> Disturb:
    """Sets which of the next runs of a point the client cannot keep up with; without a word it keeps up with all."""
    monkeypatch.setattr(metrics, "MAX_LAG_OF_ITL", math.inf)
    monkeypatch.setattr(metrics, "MAX_EVENTS_PER_READ", math.inf)
    monkeypatch.setattr(metrics, "MIN_ACHIEVED_SHARE", 0.0)
    judged = metrics._refuse_distorted

    def disturbs(*runs: bool) -> None:
        left = iter(runs)
        monkeypatch.setattr(metrics, "MAX_CPU_SHARE", math.inf)  # for points a resumed run takes from its journal

        def refuse_distorted(run: PointRun, measured: Measurement) -> None:
            monkeypatch.setattr(metrics, "MAX_CPU_SHARE", -1.0 if next(left, False) else math.inf)
            judged(run, measured)

        monkeypatch.setattr(metrics, "_refuse_distorted", refuse_distorted)

    disturbs()
    return disturbs


def write(repository: Repository, url: str, more: str = "") -> None:
    repository.write_settings(SETTINGS.format(url=url, more=more))
    repository.write_test(LOOK)


def events(repository: Repository, kind: str) -> list[dict[str, object]]:
    """The lines of the newest journal that tell of one kind of event."""
    *_, journal = sorted(repository.path.glob(".precgate/runs/*/journal.jsonl"))
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line["event"] == kind]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served("--speed", "4") as address:
        yield address


def test_a_hiccup_of_the_client_costs_a_run_of_the_point(repository: Repository, url: str, disturb: Disturb) -> None:
    """It is told while the run goes and in its report, kept in the journal, and the launch goes on."""
    disturb(False, True, False)
    write(repository, url)
    result = repository.run("test_kimi.py")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "precgate: fp4 concurrency 4: not a point: the load client could not keep up: *; running it again, 2 of 3",
            "*fp4 concurrency 4 was run 2 times (* GPU-minutes gave no point): the load client could not keep up*",
        ]
    )
    (tried,) = events(repository, "tried")
    assert (tried["concurrency"], tried["configuration"]) == (4, "default")
    assert len(events(repository, "point")) == 2


def test_a_point_that_is_always_disturbed_is_inconclusive(repository: Repository, url: str, disturb: Disturb) -> None:
    """Three runs of it, no more, exit code 1, and the word that no regression was found."""
    disturb(False, True, True, True)
    write(repository, url)
    result = repository.run("test_kimi.py")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "E *InconclusivePointError: concurrency 4: not a point: INCONCLUSIVE: the load client could not keep up*",
            "*fp4 concurrency 4 was run 3 times*",
        ]
    )
    assert len(events(repository, "tried")) == 3
    assert [event["concurrency"] for event in map(measurement, events(repository, "point"))] == [1]


def measurement(event: dict[str, object]) -> dict[str, object]:
    found = event["measurement"]
    assert isinstance(found, dict)
    return found


def test_a_resumed_point_asks_what_the_killed_run_has_not(repository: Repository, url: str, disturb: Disturb) -> None:
    """The salt stays, the opening is another: the seeds of both runs' prompts have nothing in common."""
    disturb(False, True, True, True)
    write(repository, url)
    assert repository.run("test_kimi.py").ret == 1
    disturb()
    resumed = repository.run("test_kimi.py", "--precgate-resume=latest")
    assert resumed.ret == 0
    (run,) = events(repository, "run")
    assert isinstance(run["salt"], str)
    assert len(run["salt"]) == 16
    assert len(events(repository, "launch")) == 2
    other = repository.run("test_kimi.py")
    assert other.ret == 0
    assert events(repository, "run")[0]["salt"] != run["salt"]


def test_what_a_server_tells_of_its_tokens_is_kept(repository: Repository, url: str, disturb: Disturb) -> None:
    """One token an event, one in the first: with each point in the journal."""
    del disturb  # which lets the client be as busy as it is
    write(repository, url)
    assert repository.run("test_kimi.py").ret == 0
    tokens = [measurement(event)["tokens"] for event in events(repository, "point")]
    assert all(isinstance(each, dict) and each["tokens_per_event"] == 1.0 for each in tokens)
    assert all(isinstance(each, dict) and each["first_event_tokens"] == 1.0 for each in tokens)


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        (
            "silence_limit_s = 0",
            "got 0, wanted seconds above 0 and at most 604800 @ tool.precgate.suites.kimi.fp4.silence_limit_s",
        ),
        ("request_timeout_s = -1", "got -1, wanted seconds above 0"),
        ("point_limit_s = 0.0", "got 0, wanted seconds above 0"),
        ("max_failures = -1", "got -1, wanted a whole number from 0"),
        ("cached_share = 1.0", "got 1, wanted a share from 0 to below 1"),
        ('hidden_tokens = "ignore"', "unknown value 'ignore'"),
        ("acceptance_length = 0.5", "got 0.5, wanted at least 1"),
    ],
)
def test_a_limit_that_cannot_be_is_a_usage_error(repository: Repository, setting: str, why: str) -> None:
    """By key and range, before anything is asked of a server."""
    write(repository, "http://127.0.0.1:1", more=setting)
    result = repository.run()
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*{why}*"])
