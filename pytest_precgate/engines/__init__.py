"""The server under test, or what stands in for it. A kind is one row of ``ENGINES``."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from pytest_precgate.documents import Node
from pytest_precgate.engines.base import Engine, EngineSpec
from pytest_precgate.engines.command import CommandEngine, CommandSpec
from pytest_precgate.engines.endpoint import EndpointEngine, EndpointSpec
from pytest_precgate.engines.recorded import RecordedEngine, RecordedSpec
from pytest_precgate.engines.simulated import SimulatedEngine, SimulatedSpec
from pytest_precgate.engines.trtllm import TrtllmEngine, TrtllmSpec
from pytest_precgate.engines.vllm import VllmEngine, VllmSpec


class EngineKind(Protocol):
    """How a kind of engine reads its keys from a precision's table; relative paths start at ``base``."""

    def __call__(self, table: Node, base: Path) -> EngineSpec: ...


ENGINES: dict[str, EngineKind] = {
    "command": CommandSpec.read,
    "endpoint": EndpointSpec.read,
    "recorded": RecordedSpec.read,
    "simulated": SimulatedSpec.read,
    "trtllm": TrtllmSpec.read,
    "vllm": VllmSpec.read,
}


def open_engine(spec: EngineSpec) -> Engine:
    """Return the engine a spec describes; nothing is started or read yet."""
    return spec.open()


__all__ = [
    "ENGINES",
    "CommandEngine",
    "CommandSpec",
    "EndpointEngine",
    "EndpointSpec",
    "Engine",
    "EngineSpec",
    "RecordedEngine",
    "RecordedSpec",
    "SimulatedEngine",
    "SimulatedSpec",
    "TrtllmEngine",
    "TrtllmSpec",
    "VllmEngine",
    "VllmSpec",
    "open_engine",
]
