"""After any signal to pytest, while a server loads or serves, no process of the server is left on the machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.engines.marked import Marked, eventually, free_port, marked

DRIVER = Path(__file__).with_name("driver.py")
ROOT = DRIVER.parents[3]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Marked]:
    with marked(tmp_path) as made:
        yield made


@contextmanager
def driven(here: Marked, behave: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(DRIVER), str(here.log), str(free_port()), behave, *options]
    environ = {**here.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    with (
        (here.directory / "driver.txt").open("w") as said,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=said, text=True, env=environ, start_new_session=True
        ) as driver,
    ):
        try:
            yield driver
        finally:
            driver.kill()


def says(driver: subprocess.Popen[str], word: str) -> bool:
    assert driver.stdout is not None
    return any(line.strip() == word for line in driver.stdout)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize(("behave", "until"), [("talks", "started"), ("leaves-workers", "ready")])
def test_a_signal_to_pytest_leaves_nothing(here: Marked, number: signal.Signals, behave: str, until: str) -> None:
    """Also where no code of pytest runs any more, and the server has an hour to end by its settings."""
    with driven(here, behave) as driver:
        assert says(driver, until)
        assert eventually(lambda: len(here.servers()) >= 5)  # driver, server, three workers
        driver.send_signal(number)
        driver.wait()
        assert eventually(lambda: here.running() == [])


def test_a_killed_process_group_leaves_nothing_of_a_server_that_ignores_sigterm(here: Marked) -> None:
    """As a CI runner ends a job, without waiting for a clean end."""
    with driven(here, "ignores-sigterm") as driver:
        assert says(driver, "ready")
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
        assert eventually(lambda: here.running() == [])


def test_a_process_the_tests_forked_does_not_keep_the_server_of_a_killed_pytest(here: Marked) -> None:
    """It holds the pipe open, so the guardian looks at its parent, too."""
    with driven(here, "leaves-workers", "fork") as driver:
        assert driver.stdout is not None
        holder = int(driver.stdout.readline())
        assert says(driver, "ready")
        driver.kill()
        assert eventually(lambda: [process.pid for process in here.running()] == [holder])
        os.kill(holder, signal.SIGKILL)
        driver.wait()
