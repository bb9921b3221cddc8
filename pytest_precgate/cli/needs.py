"""Looks for what the suites need of this machine: the I/O of ``precgate doctor`` besides the noise.

Input: settings, environment. Output: findings. Invariant: nothing is started, loaded or written; endpoints are asked
whether they answer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from pytest_precgate import http
from pytest_precgate.analysis.machine.findings import Finding
from pytest_precgate.analysis.machine.needs import (
    Directory,
    directory_findings,
    driver_finding,
    engine_finding,
    git_finding,
    locks_finding,
    port_finding,
    programs_finding,
    settings_finding,
)
from pytest_precgate.cli.preflight import problems
from pytest_precgate.environment import git_commit
from pytest_precgate.environment.gpu_state import driver_versions
from pytest_precgate.errors import PrecgateError
from pytest_precgate.servers.gpu_locks import directory_of, holders
from pytest_precgate.servers.pool import HOST
from pytest_precgate.settings import Suite

_PROGRAMS = ("trtllm-serve", "vllm", "nvidia-smi")


def needs(suites: list[Suite], source: str, root: Path, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what ``suites`` need; ``source`` is where they are configured, or says where that was looked for."""
    is_configured = bool(suites)
    yield settings_finding(source, len(suites))
    for suite in suites:
        yield from _engines(suite, root, environ)
    found = {name: shutil.which(name, path=environ.get("PATH", "")) for name in _PROGRAMS}
    yield programs_finding(found, is_configured=is_configured)
    try:
        versions = driver_versions()
        if versions is not None:
            yield driver_finding(*versions)
    except PrecgateError as exc:
        yield engine_finding("NVIDIA driver", str(exc))
    yield port_finding(_no_port(), is_configured=is_configured)
    for place in _directories(root, environ):
        yield from directory_findings(place, is_configured=is_configured)
    yield locks_finding(holders(directory_of(environ)))
    yield git_finding(git_commit(root))


def _engines(suite: Suite, root: Path, environ: Mapping[str, str]) -> Iterator[Finding]:
    for what, found in problems(suite, root, environ):
        yield from (engine_finding(what, each) for each in found or (None,))


def _no_port() -> str | None:
    try:
        http.free_port(HOST)
    except PrecgateError as exc:
        return str(exc)
    return None


def _directories(root: Path, environ: Mapping[str, str]) -> Iterator[Directory]:
    yield _directory(
        "run directory",
        root / ".precgate" / "runs",
        "Every point is kept there as it is measured; without it none is.",
        "Give the user of the run write permission, or run elsewhere.",
        has_room=True,
    )
    yield _directory(
        "baselines",
        root / "baselines",
        "pytest --precgate-update writes baselines there.",
        "Give the user who records baselines write permission.",
    )
    yield _directory(
        "lock directory",
        directory_of(environ),
        "GPUs are locked against other runs by files there.",
        "Name one that exists and every user may write, with the variable PRECGATE_LOCK_DIR.",
        must_exist=True,
    )


def _directory(
    what: str, path: Path, why: str, remedy: str, *, has_room: bool = False, must_exist: bool = False
) -> Directory:
    there = path if must_exist else next(each for each in (path, *path.absolute().parents) if each.exists())
    refusal = None
    if not there.is_dir():
        refusal = "is not a directory" if there.exists() else "is not there"
    elif not os.access(there, os.W_OK | os.X_OK):
        refusal = "cannot be written by this user"
    free = shutil.disk_usage(there).free if has_room and refusal is None else None
    return Directory(what, str(there), why, remedy, refusal, free)
