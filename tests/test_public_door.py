"""What `from pytest_precgate import ...` offers, and what loading the plugin costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pytest_precgate
from tests.repository import Repository

HEAVY = ("numpy", "scipy", "socket", "ssl", "http", "urllib.request", "asyncio", "multiprocessing", "hypothesis")


def test_every_public_name_can_be_imported() -> None:
    """Each is imported on first use and is what it says."""
    for name in pytest_precgate.__all__:
        assert getattr(pytest_precgate, name).__name__ == name
    assert set(pytest_precgate.__all__) <= set(dir(pytest_precgate))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """As with any module."""
    with pytest.raises(AttributeError, match="no attribute 'Banana'"):
        _ = pytest_precgate.Banana


def loaded(code: str) -> set[str]:
    """The heavy modules a fresh interpreter has loaded after ``code``."""
    report = f"{code}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split() if run.stdout.splitlines() else ())


def test_loading_the_plugin_loads_nothing_heavy() -> None:
    """No numpy, scipy or network module, and none through the settings or the baselines either."""
    assert loaded("import pytest_precgate, pytest_precgate.plugin") <= loaded("import pytest")
    assert loaded("import pytest, pytest_precgate.run.gatekeeper, pytest_precgate.reports.terminal") <= loaded(
        "import pytest"
    )


@pytest.mark.parametrize("configured", [False, True])
def test_a_run_without_gates_loads_nothing_heavy(repository: Repository, configured: bool) -> None:
    """Plugin installed and unused: the same heavy modules as without it. With suites configured, still no numpy."""
    if not configured:
        (repository.path / "pyproject.toml").unlink()
    repository.write_test(
        f"import sys\ndef test_loaded():\n    print('LOADED', *[n for n in {HEAVY!r} if n in sys.modules])\n"
    )
    off = "-p", "no:precgate"
    lines = []
    for extra in (("-p", "no:xdist"), ("-p", "no:xdist", *off)):
        result = repository.run_apart("-s", "test_kimi.py", *extra)
        assert result.ret == 0
        lines.append(next(line for line in result.stdout.lines if "LOADED" in line).split("LOADED")[1].split())
    with_plugin, without = lines
    assert set(with_plugin) <= set(without)
    assert "numpy" not in with_plugin


def test_the_plugin_can_be_switched_off(repository: Repository) -> None:
    """-p no:precgate leaves no fixture behind."""
    result = repository.run_apart("-p", "no:precgate")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *fixture 'precgate' not found"])
