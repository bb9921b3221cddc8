"""Tests that talk to an engine: it is started once for all of them, and stopped with the run."""

from __future__ import annotations

import psutil
import pytest

from tests.repository import Repository

SETTINGS = """\
[tool.precgate.suites.kimi]
hardware = "b200"
workload = { isl = 1024, osl = 1024, range_ratio = 0.8 }
interactivity = [55, 73]

[tool.precgate.suites.kimi.fp4]
engine = "simulated"
calibration = "kimi-k2.5-b200-fp4-tp4"

[tool.precgate.suites.kimi.int4]
engine = "simulated"
calibration = "kimi-k2.5-b200-int4-tp8"
"""
ASKS = """\
import json
import urllib.request

def models(engine):
    with urllib.request.urlopen(engine.url + "/v1/models") as answer:
        return [entry["id"] for entry in json.load(answer)["data"]]
"""


@pytest.fixture
def served(repository: Repository) -> Repository:
    """A repository whose engines are simulated, and a module that talks to one."""
    repository.write_settings(SETTINGS)
    repository.write_test(ASKS, "asks.py")
    return repository


def left_over(repository: Repository) -> list[str]:
    """Every process on this machine whose command line or directory is of this repository's run."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        words = process.info["cmdline"] or []
        if any(str(repository.path) in word for word in words):
            found.append(" ".join(words))
    return found


def test_an_engine_is_up_once_for_every_test_and_module(served: Repository) -> None:
    """Two modules and the factory talk to one server; nothing of it is left."""
    asks = (
        "from asks import models\n\ndef test_model(fp4_engine):\n    assert models(fp4_engine) == [fp4_engine.model]\n"
    )
    served.write_test(asks, "test_one.py")
    served.write_test(asks, "test_two.py")
    served.write_test(
        "def test_same(fp4_engine, precgate_engine):\n    assert precgate_engine('fp4').url == fp4_engine.url\n",
        "test_three.py",
    )
    result = served.run_apart("test_one.py", "test_two.py", "test_three.py")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["precgate: starting fp4 (simulated), log *server.log", "*fp4 (simulated) is ready *"])
    assert str(result.stdout).count("starting fp4") == 1
    assert left_over(served) == []


def test_engines_that_need_no_gpu_are_up_together(served: Repository) -> None:
    """One test may talk to both."""
    served.write_test(
        "from asks import models\n\n"
        "def test_both(fp4_engine, int4_engine):\n"
        "    assert fp4_engine.url != int4_engine.url\n"
        "    assert models(fp4_engine) and models(int4_engine)\n"
    )
    assert served.run_apart("test_kimi.py").ret == 0
    assert left_over(served) == []


def test_a_recorded_engine_is_no_server(repository: Repository) -> None:
    """Who asks to talk to it is told, by suite and precision."""
    repository.write_test("def test_it(fp4_engine): pass\n")
    result = repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*suite kimi: an engine of kind recorded is no server a test could talk to @ fp4*"])


def test_an_engine_of_several_configurations_is_asked_for_by_name(served: Repository) -> None:
    """Without a name the engine is ambiguous; with it, it is up and reports its facts."""
    table = "\n[[tool.precgate.suites.kimi.fp4.configurations]]\nconfiguration = "
    text = SETTINGS.replace(
        'calibration = "kimi-k2.5-b200-fp4-tp4"\n',
        f'calibration = "kimi-k2.5-b200-fp4-tp4"\n{table}"one"\n{table}"two"\n',
    )
    served.write_settings(text)
    served.write_test(
        "def test_named(precgate_engine):\n    assert precgate_engine('fp4', 'two').configuration == 'two'\n\n"
        "def test_unnamed(precgate_engine):\n    precgate_engine('fp4')\n"
    )
    result = served.run("test_kimi.py")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E *SettingsError: suite kimi: has several configurations; ask *one, two) @ fp4*"])
    assert left_over(served) == []
