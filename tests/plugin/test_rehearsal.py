"""A suite that needs a GPU runs unchanged on the simulated engine, and no baseline of the real one is touched."""

from __future__ import annotations

import json

import pytest

from tests.repository import Repository

SETTINGS = """\
[tool.precgate.suites.kimi]
hardware = "b200"
workload = { isl = 1024, osl = 1024, range_ratio = 0.8 }
interactivity = [55, 73]

[tool.precgate.suites.kimi.fp4]
engine = "endpoint"
url = "http://b200.example"
model = "nvidia/Kimi-K2.5-NVFP4"
gpus = 4
concurrency = [8, 16, 32, 64]

[tool.precgate.suites.kimi.int4]
engine = "endpoint"
url = "http://b200.example"
model = "moonshotai/Kimi-K2.5"
gpus = 8
concurrency = [4, 8, 16, 32, 64]
"""


def test_a_rehearsal_records_and_holds_baselines_of_its_own(repository: Repository) -> None:
    """First recorded below baselines/simulated, then held; the suite's own baseline is neither read nor written."""
    repository.write_settings(SETTINGS)
    assert repository.run("--precgate-engine=simulated").ret == 1
    result = repository.run("--precgate-engine=simulated", "--precgate-update")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*SIMULATED*", "*baselines/simulated/kimi.json*"])
    assert repository.run("--precgate-engine=simulated").ret == 0
    written = sorted(str(path.relative_to(repository.path)) for path in repository.path.rglob("baselines/**/*.json"))
    assert written == ["baselines/simulated/kimi.json"]
    document = json.loads((repository.path / written[0]).read_text(encoding="utf-8"))
    assert {launch["fingerprint"]["hard"]["engine"] for launch in document["launches"]} == {"simulated"}


def test_a_rehearsal_keeps_concurrencies_and_window_of_the_suite(repository: Repository) -> None:
    """What is rehearsed is the suite: the same points, measured the same way."""
    repository.write_settings(SETTINGS)
    repository.run("--precgate-engine=simulated", "--precgate-update")
    path = repository.path / "baselines" / "simulated" / "kimi.json"
    launches = json.loads(path.read_text(encoding="utf-8"))["launches"]
    found = {launch["precision"]: [point["concurrency"] for point in launch["points"]] for launch in launches}
    assert found == {"fp4": [8, 16, 32, 64], "int4": [4, 8, 16, 32, 64]}
    assert {launch["fingerprint"]["hard"]["window"] for launch in launches} == {"steady"}


def test_what_nothing_can_simulate_is_refused_with_the_key_that_says_it(repository: Repository) -> None:
    """No calibration ships for an H100: a usage error that names suite, precision and key."""
    repository.write_settings(SETTINGS.replace('hardware = "b200"', 'hardware = "h100"'))
    result = repository.run("--precgate-engine=simulated")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*no calibration ships for it; name one with calibration, *suites.kimi.fp4*"])


def test_a_rehearsal_in_a_configuration_file_is_refused_under_ci(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would pass for the gate for ever, and no engine would start."""
    monkeypatch.setenv("CI", "true")
    repository.write_settings(SETTINGS + '\n[tool.pytest.ini_options]\naddopts = "--precgate-engine=simulated"\n')
    result = repository.run()
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--precgate-engine: under CI it is accepted on the command line alone*"])


def test_a_named_calibration_is_what_is_simulated(repository: Repository) -> None:
    """``calibration`` of the precision's table wins over the only one that ships."""
    text = SETTINGS.replace("concurrency = [8, 16", 'calibration = "nothing"\nconcurrency = [8, 16')
    repository.write_settings(text)
    result = repository.run("--precgate-engine=simulated")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*nothing: no such calibration; known: kimi-k2.5-b200-fp4-tp4*"])
