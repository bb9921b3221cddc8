"""However pytest ends while an engine loads or is swept: seconds later no process of it is left on the machine."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.engines.marked import eventually
from tests.plugin.sites import Site
from tests.repository import QUIET

PATIENT = """\
import math
from pytest_precgate.analysis.measure import metrics

metrics.MAX_LAG_OF_ITL = metrics.MAX_CPU_SHARE = metrics.MAX_EVENTS_PER_READ = math.inf
metrics.MIN_ACHIEVED_SHARE = 0.0
"""
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]


@contextmanager
def running(site: Site) -> Iterator[subprocess.Popen[str]]:
    """Pytest in a process of its own, as a person or a CI job starts it; this machine may be as busy as it is."""
    (site.path / "conftest.py").write_text(PATIENT, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", *QUIET, "-p", "no:xdist", "test_kimi.py"]
    with subprocess.Popen(
        command, cwd=site.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], found: Callable[[str], bool]) -> None:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if found(line):
            return
    pytest.fail("".join(lines))


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_an_engine_loads_leaves_nothing(site: Site, number: signal.Signals) -> None:
    """Ctrl-C, a CI's SIGTERM, and SIGKILL, after which no code of pytest runs any more."""
    site.behave("trtllm-serve", "--behave talks")
    with running(site) as process:
        read_until(process, lambda line: "starting fp4" in line)
        assert eventually(lambda: len(site.servers()) >= 3)  # the server and its workers
        process.send_signal(number)
        assert eventually(lambda: site.running() == [])
        process.wait()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_an_engine_is_swept_leaves_nothing(site: Site, number: signal.Signals) -> None:
    """The same with requests under way, on a server whose workers outlive it and that drains its streams for ever."""
    site.behave("trtllm-serve", "--behave drains")
    with running(site) as process:
        read_until(process, lambda line: "requests, 1 s" in line or "first requests" in line)
        process.send_signal(number)
        assert eventually(lambda: site.running() == [])
        process.wait()


def test_an_interrupted_run_ends_as_pytest_ends_and_writes_no_baseline(site: Site) -> None:
    """Exit code 2 after Ctrl-C: the engine is stopped first, then the run is over."""
    site.behave("trtllm-serve", "--behave talks")
    with running(site) as process:
        read_until(process, lambda line: "starting fp4" in line)
        assert eventually(lambda: len(site.servers()) >= 3)
        process.send_signal(signal.SIGINT)
        assert process.wait() == 2
    assert not site.repository.baseline.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_run_that_is_told_to_stop_says_how_it_goes_on(site: Site, number: signal.Signals) -> None:
    """By a CI's SIGTERM or a closed terminal as by Ctrl-C: exit code 2, nothing left, and the flag that resumes it."""
    site.repository.change_settings("concurrency = [1, 8]\n", "concurrency = [1, 8, 9, 10, 11, 12, 13]\n")
    with running(site) as process:
        read_until(process, lambda line: "fp4 concurrency 1:" in line or "fp4 concurrency 8:" in line)
        process.send_signal(number)
        said = [] if process.stdout is None else process.stdout.readlines()
        assert process.wait() == 2
    [home] = (site.path / ".precgate" / "runs").iterdir()
    told = [number for number, line in enumerate(said) if f"go on with --precgate-resume={home.name}" in line]
    assert told
    if number is not signal.SIGINT:  # before anything is waited for: SIGKILL may follow
        assert f"precgate: stopped by {number.name}\n" in said[: told[0]]
        assert said[told[0]].startswith("precgate: suite kimi: fp4 not finished")
    assert eventually(lambda: site.running() == [])


def test_a_run_under_nohup_is_not_ended_by_the_end_of_its_terminal(site: Site) -> None:
    """A signal that was ignored stays ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with running(site) as process:
            read_until(process, lambda line: "fp4 concurrency 1:" in line)
            process.send_signal(signal.SIGHUP)
            read_until(process, lambda line: "int4 concurrency 8:" in line)
            assert process.wait() in (0, 1)
    finally:
        signal.signal(signal.SIGHUP, before)
