"""``precgate doctor``: names what a suite lacks on this machine and what is noisy, why it matters, and what helps.

Input: /proc, /sys, NVML, and the settings of the current directory where there are some. Output: findings. Invariant:
nothing is changed or started; the exit code is 1 where a configured suite lacks something, noise does not count."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pytest_precgate.analysis.machine.findings import Finding, host_findings
from pytest_precgate.analysis.machine.gpu_findings import gpu_findings
from pytest_precgate.analysis.machine.host import Asked, GpuState
from pytest_precgate.analysis.machine.placement import Topology, placement_of
from pytest_precgate.cli.exits import EXIT_DONE, EXIT_PROBLEMS
from pytest_precgate.cli.needs import needs
from pytest_precgate.engines.base import Engine
from pytest_precgate.environment import unread_gpus
from pytest_precgate.environment.gpu_state import gpu_states
from pytest_precgate.environment.host import host
from pytest_precgate.environment.host_load import load_now
from pytest_precgate.errors import InvalidValueError, PrecgateError
from pytest_precgate.reports import doctor
from pytest_precgate.settings import Suite, load

_ROOT = Path("/")


def add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the others."""
    about = (
        "Name what the suites lack on this machine (program, GPUs, driver, checkpoint, ports, locks, disk, "
        "permissions) and what makes the figures of launches scatter, and what helps. Changes and starts nothing. "
        "Exit 1 where a configured suite lacks something."
    )
    parser = commands.add_parser("doctor", help="name what is missing or noisy here", description=about)
    parser.add_argument("suite", metavar="SUITE", nargs="?", help="judge this suite's settings; default: every suite's")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    found = examined(Path.cwd(), options.suite, _ROOT, os.environ)
    if options.json:
        print(json.dumps(doctor.document(found), indent=2, ensure_ascii=False))
    else:
        print("\n".join(doctor.render(found)))
    return EXIT_PROBLEMS if any(each.state == "missing" for each in found) else EXIT_DONE


def examined(directory: Path, suite: str | None, root: Path, environ: Mapping[str, str]) -> tuple[Finding, ...]:
    """Return the findings for the settings in ``directory`` and the machine that /proc and /sys below ``root`` show.

    Raises PrecgateError where neither is there, SettingsError for settings that cannot be read."""
    if sys.platform != "linux" or not ((root / "proc/stat").exists() or (root / "sys/devices/system").exists()):
        raise PrecgateError(
            f"doctor looks at /proc and /sys of Linux, and neither is there (this is {sys.platform}); run it on the "
            "machine that is measured"
        )
    settings = load(directory)
    suites = list(settings.suites.values()) if suite is None else [settings.suite(suite, "doctor")]
    machine = host(root)
    asked, refused = _asked(suites, machine.topology)
    load_seen = load_now(machine.topology.allowed, time.monotonic, time.sleep, root)
    gpus, unread = _gpus(root)
    return (
        *needs(suites, settings.source, directory, environ),
        *refused,
        *host_findings(machine, load_seen, asked),
        *gpu_findings(gpus, machine, asked, unread),
    )


def _gpus(root: Path) -> tuple[tuple[GpuState, ...] | None, str | None]:
    """The GPUs, and why they cannot be asked. A driver that fails is a finding, no reason to say nothing of the
    rest."""
    try:
        found = gpu_states(root)
        return found, unread_gpus(root) if found is None else None
    except PrecgateError as exc:
        return None, str(exc)


def _asked(suites: Sequence[Suite], topology: Topology) -> tuple[list[Asked], list[Finding]]:
    """What the started servers of suites ask for, and what of it this machine cannot give."""
    asked: list[Asked] = []
    refused: list[Finding] = []
    for suite, precision, engine in _engines(suites):
        machine, load_settings = engine.machine, engine.load
        if machine is None or load_settings is None:
            continue
        what = f"{suite.name} {precision}"
        nodes = (machine.numa,) if isinstance(machine.numa, int) else ()
        client = getattr(load_settings, "client_cpus", ())
        try:
            placed = placement_of(machine.cpus, nodes, client, topology)
        except InvalidValueError as exc:
            why = "A launch with these settings is refused before anything starts."
            refused.append(Finding(f"settings of {what}", "noisy", str(exc), why, setting="cpus, client_cpus, numa"))
            continue
        asked.append(
            Asked(
                what=what,
                cpus=placed.cpus,
                client=placed.client,
                uses_gpus=engine.occupies_gpus,
                follows_gpus=machine.numa == "gpu",
                locks_clocks=machine.lock_clocks is not None,
                sets_persistence=machine.persistence,
            )
        )
    return asked, refused


def _engines(suites: Sequence[Suite]) -> Iterator[tuple[Suite, str, Engine]]:
    for suite in suites:
        for precision, engines in suite.engines.items():
            yield from ((suite, precision, engine) for engine in engines)
