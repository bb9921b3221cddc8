"""A machine with GPUs and engines for the plugin's tests, acted out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_precgate.analysis import metrics
from tests.engines.marked import marked
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
    monkeypatch.setenv("PYTHONPATH", f"{PYNVML.parent}:{Path(__file__).parents[2]}")
    with marked(tmp_path) as mark:
        yield make_site(repository, mark, monkeypatch)
