"""Small losses that are accepted one by one do not go on unnoticed: a small version of benchmarks/boiling_frog.py."""

from __future__ import annotations

import importlib.util
import sys
from random import Random
from types import ModuleType

import pytest

from tests.published import ROOT


@pytest.fixture(scope="module")
def frogs() -> ModuleType:
    """The benchmark, which is a script and no package."""
    spec = importlib.util.spec_from_file_location("boiling_frog", ROOT / "benchmarks" / "boiling_frog.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["boiling_frog"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_one_percent_a_merge_is_refused_by_the_fifth_and_warned_of_by_the_sixth(frogs: ModuleType) -> None:
    """Sigma 0.5%: in 95% of series and more."""
    world = frogs.World(Random(3), 0.005)
    found = [frogs.series(world, 0.01, 6) for _ in range(20)]
    assert sum(frog.refused is not None and frog.refused <= 5 for frog in found) >= 19
    assert sum(frog.warned is not None and frog.warned <= 6 for frog in found) >= 19


def test_unchanged_updates_are_seldom_asked_for_a_reason_and_never_refused(frogs: ModuleType) -> None:
    """A twelfth of them at most, where any digit had asked for one in nine of ten."""
    world = frogs.World(Random(4), 0.005, strays=0.0)
    found = [frogs.series(world, 0.0, 5) for _ in range(30)]
    asked = [each for frog in found for each in frog.asked]
    assert sum(asked) / len(asked) <= 0.15
    assert not any(frog.refused or frog.warned for frog in found)
