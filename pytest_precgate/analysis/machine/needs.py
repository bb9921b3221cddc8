"""What a run needs of a machine besides quiet: programs, GPUs, checkpoints, files, ports, locks.

Input: what was found here, and whether a suite is configured. Output: findings. Invariant: "missing" is what a
configured suite cannot do without; without a suite the same is "unknown", and never fine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_precgate.analysis.machine.findings import Finding, State

LEAST_FREE = 1 << 30
"""Bytes: journals, engine logs and telemetry of one run take far less, the logs of a failing engine may not."""
_ELSEWHERE = "Give the suite what this machine has, or run it on its own machine."
_AS_SAID = "Do what it says, or run the suite on its own machine."


@dataclass(frozen=True)
class Directory:
    """A directory a run writes into. ``path`` is it, or the nearest above it that is there; ``refusal`` says why it
    cannot be written; ``free`` are the bytes left there, None where that cannot be asked. ``remedy`` helps."""

    what: str
    path: str
    why: str
    remedy: str
    refusal: str | None = None
    free: int | None = None


def engine_finding(what: str, problem: str | None) -> Finding:
    """Judge the preflight of one engine; ``problem`` is the text of its error, which says after its last semicolon
    what to do."""
    if problem is None:
        return Finding(what, "fine", "nothing is missing that can be seen without a start")
    found, separator, remedy = problem.rpartition("; ")
    if not separator:
        found, remedy = problem, _AS_SAID
    elif remedy.startswith("visible here"):
        found, remedy = problem, _ELSEWHERE
    why = "A run is refused before anything is loaded."
    return Finding(what, "missing", found, why, f"{remedy[:1].upper()}{remedy[1:]}")


def programs_finding(found: Mapping[str, str | None], *, is_configured: bool) -> Finding:
    """Judge which programs are on PATH; what a suite lacks of them is said by its engine's own finding."""
    there = [f"{name} ({path})" for name, path in found.items() if path is not None]
    absent = [name for name, path in found.items() if path is None]
    text = "; ".join([*there, f"not on PATH: {', '.join(absent)}"] if absent else there)
    if not absent or is_configured:
        return Finding("programs", "fine", text)
    why = "A suite whose engine is trtllm or vllm starts its program; nvidia-smi shows what the driver does."
    return Finding(
        "programs", "unknown", text, why, "Install those that a suite is to start, or name one with program."
    )


def settings_finding(source: str, suites: int) -> Finding:
    """Judge whether there is a suite."""
    if suites:
        return Finding("settings", "fine", f"{suites} suite{'s' * (suites != 1)} in {source}")
    why = "Which program, GPUs and checkpoint are needed is not known without a suite."
    return Finding("settings", "unknown", f"no suite is configured: {source}", why, "precgate init writes one.")


def driver_finding(version: str | None, cuda: str | None) -> Finding:
    """Judge a driver that answers."""
    if version is None or cuda is None:
        why = "An engine built for a newer CUDA than the driver's ends at its start."
        return Finding("NVIDIA driver", "unknown", "does not tell its version", why, "nvidia-smi names both.")
    return Finding("NVIDIA driver", "fine", f"{version}, CUDA up to {cuda}")


def port_finding(problem: str | None, *, is_configured: bool) -> Finding:
    """Judge whether a server could listen; ``problem`` says why none can."""
    if problem is None:
        return Finding("ports", "fine", "a server can listen on 127.0.0.1")
    why = "Servers that a run starts, and its load client, talk over 127.0.0.1."
    fix = "Bring the loopback interface up (ip link set lo up), or end what holds every port."
    return Finding("ports", _needed(is_configured), problem, why, fix)


def directory_findings(place: Directory, *, is_configured: bool) -> tuple[Finding, ...]:
    """Judge whether a directory can be written, and the room on its disk."""
    if place.refusal is not None:
        found = f"{place.path}: {place.refusal}"
        return (Finding(place.what, _needed(is_configured), found, place.why, place.remedy),)
    writable = Finding(place.what, "fine", f"{place.path} can be written")
    if place.free is None:
        return (writable,)
    subject, room = f"disk of the {place.what}", f"{place.free / 2**30:.1f} GiB free at {place.path}"
    if place.free >= LEAST_FREE:
        return writable, Finding(subject, "fine", room)
    fix = f"Remove old runs in .precgate/runs/, or other files: at least {LEAST_FREE >> 30} GiB."
    return writable, Finding(subject, _needed(is_configured), room, "A run whose disk is full ends with it.", fix)


def locks_finding(held: Mapping[str, str]) -> Finding:
    """Judge the locks of GPUs that other runs hold, by GPU."""
    if not held:
        return Finding("GPU locks", "fine", "none is held")
    found = "; ".join(f"{gpu} is held by {holder}" for gpu, holder in held.items())
    why = "A run that needs one of these GPUs waits for up to an hour."
    return Finding(
        "GPU locks", "noisy", found, why, "Wait for that run, or end it.", "devices gives a suite other GPUs"
    )


def git_finding(commit: str) -> Finding:
    """Judge whether the commit can be told."""
    if commit != "unknown":
        return Finding("git", "fine", f"commit {commit}")
    why = "Baselines and runs name the commit they are of, and a baseline is reviewed as a diff."
    return Finding(
        "git", "unknown", "no commit of this directory can be read", why, "Install git; git init and a commit."
    )


def _needed(is_configured: bool) -> State:
    return "missing" if is_configured else "unknown"
