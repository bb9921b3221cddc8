"""Servers whose answers do not end: the run does, in time, with the cause."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.repository import Repository

HOSTILE = Path(__file__).parents[1] / "engines" / "hostile_server.py"
SETTINGS = """\
[tool.precgate.suites.kimi]
hardware = "b200"
workload = {{ isl = 16, osl = 10 }}
interactivity = [100]

[tool.precgate.suites.kimi.fp4]
engine = "command"
model = "model"
gpus = 1
argv = ["{python}", "-S", "{server}", "{{port}}", "{path}", "{how}"]
start_timeout_s = {limit_s}
stop_timeout_s = 1

[tool.precgate.suites.kimi.int4]
engine = "recorded"
path = "points.csv"
"""


@pytest.mark.parametrize(
    ("path", "how", "limit_s", "why"),
    [
        ("/health", "dribbles", 1, "EngineNotReadyError: fp4 (command): not ready after 1 s (start_timeout_s)*"),
        ("/health", "floods", 1, "EngineNotReadyError: fp4 (command): not ready after 1 s (start_timeout_s)*"),
        ("/v1/models", "floods", 60, "EngineStartError: fp4 (command): /v1/models *larger than 1048576 bytes*"),
        ("/v1/models", "announces", 60, "EngineStartError: fp4 (command): /v1/models *larger than 1048576 bytes*"),
    ],
)
def test_an_answer_that_does_not_end_does_not_hold_the_run(
    repository: Repository, path: str, how: str, limit_s: int, why: str
) -> None:
    """A dribbled, endless or immense answer of a server that starts: refused by its cause, the server stopped."""
    repository.write_settings(
        SETTINGS.format(python=sys.executable, server=HOSTILE, path=path, how=how, limit_s=limit_s)
    )
    repository.write_test("def test_it(precgate):\n    precgate.sweep('fp4')\n")
    result = repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"E *{why}"])
