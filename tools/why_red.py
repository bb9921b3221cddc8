"""Writes the outputs of docs/why_red.md: five gates that do not simply pass, run on the simulated engine.

    python tools/why_red.py            # write; a test compares

Input: the package. Output: the text of each check between the marks of the page. Invariant: seeds fix every figure, and
only the name of a run, which is a time, is replaced by RUN."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "why_red.md"
TEST = 'def test_fp4_pays_off(precgate):\n    precgate.check(precgate.compare("fp4", "int4"))\n'
HEAD = """\
[tool.precgate.suites.kimi]
hardware = "b200"
workload = { isl = 1024, osl = 1024, range_ratio = 0.8 }
interactivity = [55, 73, 91]
"""
ENGINE = """
[tool.precgate.suites.kimi.%s]
engine = "simulated"
calibration = "kimi-k2.5-b200-%s"
noise = { launch_sigma = %s }
slowdown = %s
seed = %s
"""
SIDE = "\n[tool.precgate.suites.kimi.paired.accepted.%s]\nslowdown = %s\n"
WAIVER = """
[[tool.precgate.waive]]
suite = "kimi"
metric = "%s"
ceiling = 0.15
reason = "safer attention kernel, recovery planned in PR 812"
expires = 2099-12-31
"""
CONFIGURATIONS = {"fp4": "fp4-tp4", "int4": "int4-tp8"}


class Repository:
    """A user's repository with one suite of a simulated server, and pytest as it is typed there."""

    def __init__(self, home: Path, sigma: float = 0.003) -> None:
        self.home, self.sigma = home, sigma
        home.mkdir()
        (home / "test_serving.py").write_text(TEST, encoding="utf-8")
        self.state()

    def state(self, fp4: float = 0.0, int4: float = 0.0, day: int = 0, more: str = "") -> None:
        """Make each step of the servers slower by these shares, on another day."""
        engines = [
            ENGINE % (name, CONFIGURATIONS[name], self.sigma, slowdown, day)
            for name, slowdown in (("fp4", fp4), ("int4", int4))
        ]
        (self.home / "pyproject.toml").write_text(f"{HEAD}{''.join(engines)}{more}", encoding="utf-8")

    def run(self, *arguments: str, code: int) -> str:
        """Return what pytest prints on 88 columns; exit where it ends with another code."""
        environ = {name: value for name, value in os.environ.items() if name not in ("CI", "BUILD_NUMBER")}
        environ |= {"COLUMNS": "88", "NO_COLOR": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        command = [sys.executable, "-m", "pytest", "-p", "precgate", "-p", "no:cacheprovider", *arguments]
        run = subprocess.run(command, cwd=self.home, capture_output=True, text=True, check=False, env=environ)
        if run.returncode != code:
            sys.exit(f"exit {run.returncode}, wanted {code}:\n{run.stdout}{run.stderr}")
        return run.stdout

    def record(self, *arguments: str) -> None:
        """Accept the present state."""
        self.run("--precgate-update", *arguments, code=0)


def failed(home: Path) -> str:
    """FP4's steps take 5% longer."""
    repository = Repository(home)
    repository.record()
    repository.state(fp4=0.05, day=1)
    return _check(repository.run(code=1))


def inconclusive(home: Path) -> str:
    """Launches scatter so much that the gate would miss what it is to find."""
    repository = Repository(home, sigma=0.015)
    repository.record()
    repository.state(fp4=0.02, day=3)
    return _check(repository.run(code=1))


def drifted(home: Path) -> str:
    """A loss inside the tolerance was accepted, and another one follows."""
    repository = Repository(home, sigma=0.001)
    repository.record()
    repository.state(fp4=0.009, day=1)
    repository.record("--precgate-reason=safer attention kernel")
    repository.state(fp4=0.018, day=2)
    return _check(repository.run(code=1))


def environment_changed(home: Path) -> str:
    """The machine is 5% slower: the state of the baseline, started now, loses as much."""
    repository = Repository(home)
    repository.record()
    sides = "".join(SIDE % (name, 0.049) for name in CONFIGURATIONS)
    repository.state(fp4=0.05, int4=0.05, day=1, more=sides)
    return _check(repository.run(code=1))


def waived(home: Path) -> str:
    """The failed gate, accepted for a while."""
    repository = Repository(home)
    repository.record()
    waivers = (WAIVER % metric for metric in ("throughput_ratio", 'throughput_per_gpu"\nprecision = "fp4'))
    repository.state(fp4=0.05, day=1, more="".join(waivers))
    text = repository.run(code=0)
    start = text.index("test_serving.py::test_fp4_pays_off: passed")
    return text[start : text.index("\nnote:", start)]


def _check(text: str) -> str:
    """The text of the failed check, without pytest's frame."""
    _, _, text = text.partition("test_fp4_pays_off ___")
    text = text.partition("\n")[2]
    return re.sub(r"precgate show \S+", "precgate show RUN", text[: re.search(r"^=====", text, re.MULTILINE).start()])  # type: ignore[union-attr]  # pytest's next section


CASES: dict[str, Callable[[Path], str]] = {
    "failed": failed,
    "inconclusive": inconclusive,
    "drifted": drifted,
    "environment changed": environment_changed,
    "waived": waived,
}


def outputs() -> Iterator[tuple[str, str]]:
    """Yield the name and the output of each case."""
    with tempfile.TemporaryDirectory() as temporary:
        for name, case in CASES.items():
            yield name, case(Path(temporary) / name.replace(" ", "-")).strip()


def written(text: str) -> str:
    """Return the page with the outputs as they are now; exit where a mark is missing."""
    for name, output in outputs():
        start, end = f"<!-- {name}: written by tools/why_red.py -->\n", f"<!-- end of {name} -->"
        head, found, rest = text.partition(start)
        _, closed, tail = rest.partition(end)
        if not (found and closed):
            sys.exit(f"{PAGE}: has no marks of {name!r}, wanted {start.strip()} and {end}")
        text = f"{head}{start}\n```text\n{output}\n```\n\n{end}{tail}"
    return text


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(PAGE)
