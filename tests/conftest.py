"""Every test runs as on a developer's machine: no CI variable, no job summary, unless it sets them."""

from __future__ import annotations

import importlib
import pkgutil
import signal

import hypothesis
import pytest
import scipy.special  # noqa: F401  # see below
import yaml  # noqa: F401

import pytest_precgate
from tests.repository import Repository

pytest_plugins = ["pytester"]

# pytester forgets every module that a run inside this process imports: the next run would load it again, numpy refuses
# to be imported twice, and what is patched must be what runs.
for _module in pkgutil.walk_packages(pytest_precgate.__path__, "pytest_precgate."):
    if not _module.name.endswith(".__main__"):
        importlib.import_module(_module.name)

# Under nohup, or in the background of a shell without job control, SIGHUP or SIGINT is ignored, and every process that
# a test starts would inherit that. A handler that does nothing ignores them here too, and exec sets it to the default.
for _number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)

# A deadline is a timed assertion: on a shared machine it fails for what others do.
hypothesis.settings.register_profile("precgate", deadline=None)
hypothesis.settings.load_profile("precgate")


# A hang fails its test; the longest takes a fifteenth of it. Not a setting in pyproject.toml: `make demo` installs no
# pytest-timeout, and an unknown setting is an error.
_LIMIT_S = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test its limit, unless it has one of its own."""
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_LIMIT_S))


@pytest.fixture(autouse=True)
def _nobody_s_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "BUILD_NUMBER", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    # Text is fitted to the terminal; what it says is tested unbroken, and its fit in tests/reports/.
    monkeypatch.setenv("COLUMNS", "2000")


@pytest.fixture
def repository(pytester: pytest.Pytester) -> Repository:
    """A user's repository with one suite on recorded points and one test; no baseline yet."""
    made = Repository(pytester)
    made.write_points()
    made.write_settings()
    made.write_test()
    return made


@pytest.fixture
def accepted(repository: Repository) -> Repository:
    """The same repository with its baseline recorded."""
    repository.record()
    return repository
