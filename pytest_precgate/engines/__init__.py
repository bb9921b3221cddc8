"""The engines under test and their replacements (recorded, simulated). Each kind is one module and one row of
``ENGINES``."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from pytest_precgate.documents import Node
from pytest_precgate.engines.base import Engine
from pytest_precgate.engines.command import CommandEngine
from pytest_precgate.engines.endpoint import EndpointEngine
from pytest_precgate.engines.recorded import RecordedEngine
from pytest_precgate.engines.simulated import SimulatedEngine
from pytest_precgate.engines.trtllm import TrtllmEngine
from pytest_precgate.engines.vllm import VllmEngine


class ReadEngine(Protocol):
    """How a kind of engine is read from a precision's table; relative paths start at ``base``."""

    def __call__(self, table: Node, base: Path) -> Engine: ...


ENGINES: dict[str, ReadEngine] = {
    "command": CommandEngine.read,
    "endpoint": EndpointEngine.read,
    "recorded": RecordedEngine.read,
    "simulated": SimulatedEngine.read,
    "trtllm": TrtllmEngine.read,
    "vllm": VllmEngine.read,
}

__all__ = [
    "ENGINES",
    "CommandEngine",
    "EndpointEngine",
    "Engine",
    "RecordedEngine",
    "SimulatedEngine",
    "TrtllmEngine",
    "VllmEngine",
]
