"""What a run was asked to run, and what of it ran. A stored gate counts as unused only where its test should have
held it: narrowing on the command line is a person's choice, in a configuration file it is a gate gone missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

_NARROWING = ("-k", "-m", "--deselect", "--lf", "--last-failed", "--sw", "--stepwise", "--ignore-glob", "--pyargs")


@dataclass
class Selection:
    """The tests a run was asked for, by node id. ``passed``: they ran to their end; ``failed``: some phase failed."""

    config: pytest.Config
    passed: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)

    def note(self, report: pytest.TestReport) -> None:
        """Remember how one phase of a test went."""
        if report.failed:
            self.failed.add(report.nodeid)
        elif report.when == "call" and report.passed:
            self.passed.add(report.nodeid)

    def includes(self, nodeid: str) -> bool:
        """Whether a test, existing or not, lies inside the paths this run was given and outside those it ignores."""
        path = (self.config.rootpath / nodeid.split("::", maxsplit=1)[0]).resolve()
        family = {path, *path.parents}
        here = self.config.invocation_params.dir
        if family & {(here / ignored).resolve() for ignored in _values(self._typed, "--ignore")}:
            return False
        return bool(family & {(here / arg).resolve() for arg in self.config.args})

    def holds(self, nodeid: str) -> bool:
        """Whether a test must hold its stored gates in this run: it ran, or nobody chose to leave it out."""
        return nodeid in self.passed or (self.includes(nodeid) and not self.is_narrowed)

    @property
    def is_narrowed(self) -> bool:
        """Whether the command line leaves tests out by something else than a path."""
        by_node = any("::" in arg for arg in self.config.args)
        return by_node or any(_is_option(typed, name) for typed in self._typed for name in _NARROWING)

    @property
    def _typed(self) -> Sequence[str]:
        """The command line as typed, without what a configuration file adds to it."""
        return [str(argument) for argument in self.config.invocation_params.args]


def _is_option(typed: str, name: str) -> bool:
    """``-k expr``, ``-kexpr`` and ``-xk expr``; ``--deselect id`` and ``--deselect=id``."""
    if name.startswith("--"):
        return typed == name or typed.startswith(f"{name}=")
    return re.match(f"-[vqxsl]*{name[1]}", typed) is not None


def _values(typed: Sequence[str], name: str) -> list[Path]:
    """Return the values given to an option of the command line."""
    joined = [Path(argument.removeprefix(f"{name}=")) for argument in typed if argument.startswith(f"{name}=")]
    apart = [Path(value) for argument, value in pairwise(typed) if argument == name]
    return joined + apart
