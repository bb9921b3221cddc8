"""A machine with GPUs, acted out: ``nvml(gpus=4, answers={...})`` puts the stand-in in pynvml's place for one test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.stand_ins import load

STAND_IN = Path(__file__).parent.parent / "stand_ins" / "pynvml.py"

Nvml = Callable[..., ModuleType]


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Nvml:
    """Make a stand-in that acts out a script of its own."""

    def made(**script: object) -> ModuleType:
        monkeypatch.setenv("STAND_IN_NVML", json.dumps(script))
        return load("pynvml", STAND_IN, monkeypatch)

    return made
