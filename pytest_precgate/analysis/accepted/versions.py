"""Which versions two launches were measured with, and whether they are the same.

Input: fingerprints. Output: a line for each version that differs. Invariant: a version that is not known is never the
same as another; an engine that tells none at all is said to tell none."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from pytest_precgate.analysis.accepted.baseline import Launch
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.text import printable

ENGINE = ("version", "engine_version")
"""Soft facts that hold the version of an engine."""
MACHINE = ("gpu.driver", "gpu.cuda", "precgate")
"""Soft facts that hold the version of what it runs on; what may change between two days of one state."""

_UNKNOWN = ("not said", "unknown")


def differing_versions(now: Fingerprint, then: Fingerprint, facts: Collection[str]) -> Iterator[str]:
    """Yield a line for each of ``facts`` that is not known to be the same; of several configurations each has one."""
    for name in sorted({*now.soft, *then.soft}):
        version = now.soft.get(name, "not known")
        if _base(name) in facts and (version != then.soft.get(name) or version in _UNKNOWN):
            was = then.soft.get(name, "not known")
            yield f"{name} is {printable(str(version))}, the baseline's is {printable(str(was))}"


def tells_version(launch: Launch) -> bool:
    """Whether its engine tells a version, be it unknown: an endpoint tells none. A simulation is this tool."""
    return launch.sweep.simulated or any(_base(name) in ENGINE for name in launch.fingerprint.soft)


def _base(name: str) -> str:
    return re.sub(r"\.\d+$", "", name)
