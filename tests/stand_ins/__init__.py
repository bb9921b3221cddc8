"""What stands in for the outside: modules and libraries that act out a script."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def load(name: str, path: Path, patch: pytest.MonkeyPatch) -> ModuleType:
    """Run a module's file anew under ``name``, until the end of the test."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    patch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module
