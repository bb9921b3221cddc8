"""Where a process runs, and what of the machine is changed while it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pytest_precgate.analysis.machine.placement import ANYWHERE, Placement


@dataclass(frozen=True)
class Surroundings:
    """The cores and memory nodes of a server, and a change of the machine.

    ``change`` makes the change once the guardian is there; the guardian runs the command ``undo`` when nothing of the
    server is left."""

    placement: Placement = ANYWHERE
    change: Callable[[], None] = lambda: None
    undo: tuple[str, ...] = ()


PLAIN = Surroundings()
