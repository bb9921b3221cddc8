"""A user's repository in a temporary directory, and the means to break it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.published import POINTS

SETTINGS = """\
[tool.precgate.suites.kimi]
hardware = "b200"
workload = { isl = 1024, osl = 1024, range_ratio = 0.8 }
interactivity = [55, 73, 91]

[tool.precgate.suites.kimi.fp4]
engine = "recorded"
path = "points.csv"

[tool.precgate.suites.kimi.int4]
engine = "recorded"
path = "points.csv"
"""

TEST = """\
def test_fp4_pays_off(precgate):
    precgate.check(precgate.compare("fp4", "int4"))
"""

# Plugins of our own test run that have no business in the runs under test, and cost half a second each time.
QUIET = ("-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:hypothesispytest")


@dataclass
class Repository:
    """Files under ``pytester.path``; ``run`` is pytest as the user types it."""

    pytester: pytest.Pytester

    @property
    def path(self) -> Path:
        return self.pytester.path

    @property
    def baseline(self) -> Path:
        return self.path / "baselines" / "kimi.json"

    def write_points(self, fp4: float = 1.0, int4: float = 1.0, speed: float = 1.0, name: str = "points.csv") -> None:
        """Write the published points, throughput scaled per precision and FP4's step time by 1 / ``speed``."""
        lines = []
        for line in POINTS.read_text(encoding="utf-8").splitlines():
            if line.startswith(("fp4,", "int4,")):
                cells = line.split(",")
                is_fp4 = cells[0] == "fp4"
                pace = speed if is_fp4 else 1.0
                cells[-2] = repr(float(cells[-2]) * pace)
                cells[-1] = repr(float(cells[-1]) * (fp4 if is_fp4 else int4) * pace)
                line = ",".join(cells)  # noqa: PLW2901
            lines.append(line)
        (self.path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")

    def write_settings(self, text: str = SETTINGS) -> None:
        (self.path / "pyproject.toml").write_text(text, encoding="utf-8")

    def change_settings(self, old: str, new: str) -> None:
        text = (self.path / "pyproject.toml").read_text(encoding="utf-8")
        assert old in text
        self.write_settings(text.replace(old, new))

    def write_test(self, text: str = TEST, name: str = "test_kimi.py") -> None:
        (self.path / name).write_text(text, encoding="utf-8")

    def run(self, *arguments: str) -> pytest.RunResult:
        """Run pytest as a user who wants to see everything."""
        return self.pytester.runpytest_inprocess(*QUIET, "-v", *arguments)

    def run_short(self, *arguments: str) -> pytest.RunResult:
        """Run pytest as a user types it first."""
        return self.pytester.runpytest_inprocess(*QUIET, *arguments)

    def run_apart(self, *arguments: str) -> pytest.RunResult:
        """Run pytest in a process of its own."""
        return self.pytester.runpytest_subprocess(*QUIET, "-v", *arguments)
