"""A machine with GPUs and engines for the plugin's tests, acted out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pytest_precgate.analysis.machine.load import HostLoad
from pytest_precgate.analysis.measure import metrics
from pytest_precgate.engines.simulated.engine import SimulatedEngine
from pytest_precgate.servers.machine import Machine
from tests.engines.marked import marked
from tests.plugin.paced import Paced
from tests.plugin.sites import PYNVML, Site, make_site
from tests.repository import Repository


@pytest.fixture
def site(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A suite that starts TensorRT-LLM and vLLM on eight B200; at the end nothing of it may be left."""
    # No limits on the client's own load: a busy test machine must not decide whether the plumbing works.
    monkeypatch.setattr(metrics, "MAX_LAG_OF_ITL", math.inf)
    monkeypatch.setattr(metrics, "MAX_CPU_SHARE", math.inf)
    monkeypatch.setattr(metrics, "MAX_EVENTS_PER_READ", math.inf)
    monkeypatch.setattr(metrics, "MIN_ACHIEVED_SHARE", 0.0)
    # A test machine's other work would be told, and differ from launch to launch.
    monkeypatch.setattr(Machine, "load", lambda _machine, _cores: HostLoad((0,), 0.0, 0.0, 0, ()))
    monkeypatch.setenv("PYTHONPATH", f"{PYNVML.parent}:{Path(__file__).parents[2]}")
    with marked(tmp_path) as mark:
        yield make_site(repository, mark, monkeypatch)


@pytest.fixture
def paced(monkeypatch: pytest.MonkeyPatch) -> Paced:
    """Set how much longer every step takes, by precision, one figure per launch; the last one stands for all further.

    Engines of another side of the suite are told by their slowdown setting, which multiplies.
    """

    def set_paces(**paces: Sequence[float]) -> None:
        def pace(engine: SimulatedEngine, precision: str, launch: int) -> float:
            launches = paces.get(precision, [1.0])
            return launches[min(launch, len(launches)) - 1] * (1 + engine.noise.slowdown)

        monkeypatch.setattr(SimulatedEngine, "_launch_pace", pace)

    return set_paces
