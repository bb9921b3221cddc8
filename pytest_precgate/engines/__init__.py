"""The engines under test and their replacements (recorded, simulated). Each kind is one module and one row of
``ENGINES``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pytest_precgate.documents import Node
from pytest_precgate.engines.base import Engine
from pytest_precgate.engines.command import CommandEngine
from pytest_precgate.engines.endpoint import EndpointEngine
from pytest_precgate.engines.recorded import RecordedEngine
from pytest_precgate.engines.simulated import SimulatedEngine
from pytest_precgate.engines.trtllm import TrtllmEngine
from pytest_precgate.engines.vllm import VllmEngine

ENGINES: dict[str, Callable[[Node, Path], Engine]] = {
    "command": CommandEngine.read,
    "endpoint": EndpointEngine.read,
    "recorded": RecordedEngine.read,
    "simulated": SimulatedEngine.read,
    "trtllm": TrtllmEngine.read,
    "vllm": VllmEngine.read,
}
"""How a kind of engine is read from a precision's table; relative paths start at the second argument."""

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
