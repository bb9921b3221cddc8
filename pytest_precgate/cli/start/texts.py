"""The texts that ``precgate init`` writes: a suite, a test, a CI job.

Input: answers. Output: text. Invariant: every text is read back before it is written, by ``cli.start.command`` and the
tests; a value is quoted, so that it can hold any character."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from pytest_precgate.cli.start.answers import QUARTILES, STARTED, Answers, Side

_REPORTS = "--junitxml=gate.xml --precgate-json=gate.json --precgate-markdown=gate.md --precgate-html=gate.html"
SLOWDOWN = 0.04
"""What a simulated suite shows a regression with: about 9% of throughput at an interactivity."""
_INSTALL = "python3 -m venv .venv && .venv/bin/pip install"


def suite_table(answers: Answers, prefix: str) -> str:
    """Return the suite's tables; ``prefix`` is ``tool.precgate.`` in pyproject.toml, empty in precgate.toml."""
    name = answers.suite if re.fullmatch(r"[A-Za-z0-9_-]+", answers.suite) else _quoted(answers.suite)
    table = f"{prefix}suites.{name}"
    points = _quoted(QUARTILES) if answers.points is None else f"[{', '.join(f'{each:g}' for each in answers.points)}]"
    lines = [
        f"[{table}]",
        f"hardware = {_quoted(answers.hardware)}",
        f"workload = {{ isl = {answers.isl}, osl = {answers.osl}, range_ratio = {answers.range_ratio:g} }}  # tokens",
        f"interactivity = {points}  # tok/s/user",
    ]
    for side in answers.sides:
        lines += ["", f"[{table}.{side.precision}]", f"engine = {_quoted(side.engine)}", *_keys(side)]
        if side.engine == "simulated" and side is answers.candidate:
            lines.append(f"# slowdown = {SLOWDOWN}  # every step {SLOWDOWN:.0%} longer: what a regression looks like")
    return "\n".join(lines) + "\n"


def _keys(side: Side) -> Iterator[str]:
    yield from (f"{key} = {value if isinstance(value, int) else _quoted(value)}" for key, value in side.values.items())
    if side.engine == "endpoint":
        yield '# api_key_env = "SERVER_KEY"  # the environment variable that holds the key, where one is needed'


def test_module(answers: Answers) -> str:
    """Return the test of the suite."""
    candidate, reference = (side.precision for side in answers.sides)
    return f'''"""The gate of suite {answers.suite}: {candidate} against {reference}, and each against its baseline."""

import pytest

from pytest_precgate import Precgate


@pytest.mark.precgate(suite={_quoted(answers.suite)})
def test_{candidate}_pays_off(precgate: Precgate) -> None:
    """No gate is worse than its baseline in baselines/."""
    precgate.check(precgate.compare("{candidate}", "{reference}"))
'''


def github_job(answers: Answers) -> str:
    """Return a workflow of GitHub Actions that runs the gates on every pull request."""
    runner = f"[self-hosted, linux, {_label(answers.hardware)}]" if answers.starts_servers else "ubuntu-latest"
    return f"""\
name: precision-gate
on:
  pull_request:

permissions:
  contents: read

concurrency: # one gate at a time on these GPUs
  group: precgate-{_label(answers.hardware)}
  cancel-in-progress: false

jobs:
  gate:
    runs-on: {runner}
    timeout-minutes: 180
    steps:
      - uses: actions/checkout@v4
      - run: {_INSTALL} {_package(answers)}
      - run: .venv/bin/pytest perf/ {_REPORTS}
      - if: always()
        uses: actions/upload-artifact@v4
        with:
          name: gate
          path: gate.*
"""


def gitlab_job(answers: Answers) -> str:
    """Return a GitLab job that runs the gates on every merge request; ``.gitlab-ci.yml`` includes it."""
    runner = f"tags: [{_label(answers.hardware)}]" if answers.starts_servers else "image: python:3.12"
    return f"""\
precision-gate:
  stage: test
  {runner}
  resource_group: precgate-{_label(answers.hardware)} # one gate at a time on these GPUs
  timeout: 3h
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
  script:
    - {_INSTALL} {_package(answers)}
    - .venv/bin/pytest perf/ {_REPORTS}
  artifacts:
    when: always
    paths: ["gate.*"]
    reports:
      junit: gate.xml
"""


def gitlab_include(path: str) -> str:
    """Return what ``.gitlab-ci.yml`` needs for the job in ``path``."""
    return f"include:\n  - local: {path}\n"


def _package(answers: Answers) -> str:
    return "'pytest-precgate[gpu]'" if any(side.engine in STARTED for side in answers.sides) else "pytest-precgate"


def _label(hardware: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", hardware)


def _quoted(value: object) -> str:
    """A text in double quotes, as TOML and Python both read it."""
    return json.dumps(value, ensure_ascii=False)
