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
_OTHERS = ("cacheprovider", "randomly", "hypothesispytest", "anyio", "pytest_cov", "timeout")
QUIET = tuple(word for name in _OTHERS for word in ("-p", f"no:{name}"))

# What a first update writes, by the files of the repository it was run in.
_RECORDED: dict[tuple[object, ...], dict[str, bytes]] = {}


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
        """Run pytest as a user who wants to see everything, in this process and with this plugin alone: to load the
        others takes a third of a short run."""
        return self.run_short("-v", *arguments)

    def run_short(self, *arguments: str) -> pytest.RunResult:
        """Run pytest as a user types it first."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
            return self.pytester.runpytest_inprocess("-p", "precgate", *QUIET, *arguments)

    def run_apart(self, *arguments: str) -> pytest.RunResult:
        """Run pytest in a process of its own, with every plugin that is installed and not in QUIET."""
        return self.pytester.runpytest_subprocess(*QUIET, "-v", *arguments)

    def record(self, about: object = None) -> None:
        """Accept what is measured now, as `--precgate-update` does.

        The same files, and the same of what else decides, give the same baseline: it is recorded once per process, and
        written where it is wanted again."""
        before = self._files()
        key = (repr(about), *sorted(before.items()))
        if key not in _RECORDED:
            assert self.run("--precgate-update").ret == 0
            after = self._files()
            assert {name: after[name] for name in before} == before
            _RECORDED[key] = {name: after[name] for name in after if name not in before}
        for name, content in _RECORDED[key].items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_bytes(content)

    def _files(self) -> dict[str, bytes]:
        found = (path for path in self.path.rglob("*") if path.is_file() and path.suffix != ".pyc")
        return {str(path.relative_to(self.path)): path.read_bytes() for path in found}
