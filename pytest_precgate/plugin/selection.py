"""Which tests were selected, and which of them ran.

Input: the command line, the configuration and the reports of tests. Output: the tests that should have checked their
gates. Invariant: narrowing on the command line is a choice; narrowing in a configuration file leaves gates unused."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import pytest

from pytest_precgate.errors import SettingsError

MARK = "precgate"
_NARROWING = (
    *("-k", "-m", "--deselect", "--lf", "--last-failed", "--sw", "--stepwise", "--pyargs"),
    *("--splits", "--group", "--num-shards", "--shard-id"),  # pytest-split, pytest-shard
)


def marked(node: pytest.Item | pytest.Collector, where: str) -> dict[str, object]:
    """Return the mark's keywords, those of the module and class included; the closest one wins for each."""
    keywords: dict[str, object] = {}
    for mark in reversed(list(node.iter_markers(MARK))):
        if mark.args:
            raise SettingsError(where, "", f"takes keywords only (suite=...), got {mark.args[0]!r}")
        keywords |= mark.kwargs
    return keywords


@dataclass
class Selection:
    """The tests of a run, by node id, and their outcomes.

    ``seen`` reported any phase, a skip included; ``failed`` failed in some phase; ``xfailed`` failed as expected."""

    config: pytest.Config
    seen: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    xfailed: set[str] = field(default_factory=set)

    def note(self, report: pytest.TestReport) -> None:
        """Record the outcome of one phase of a test."""
        self.seen.add(report.nodeid)
        if report.failed:
            self.failed.add(report.nodeid)
        elif report.skipped and hasattr(report, "wasxfail"):
            self.xfailed.add(report.nodeid)

    def includes(self, nodeid: str) -> bool:
        """Whether a test, existing or not, lies inside the paths of this run and outside those it ignores."""
        path = (self.config.rootpath / nodeid.split("::", maxsplit=1)[0]).resolve()
        family = {path, *path.parents}
        here = self.config.invocation_params.dir
        if family & {(here / ignored).resolve() for ignored in _values(self._typed, "--ignore")}:
            return False
        if any(fnmatch(str(path), str(here / pattern)) for pattern in _values(self._typed, "--ignore-glob")):
            return False
        return bool(family & self._asked)

    @cached_property
    def _asked(self) -> frozenset[Path]:
        """The paths of this run: as many as tests, if each was named."""
        here = self.config.invocation_params.dir
        return frozenset((here / arg.split("::", maxsplit=1)[0]).resolve() for arg in self.config.args)

    def holds(self, nodeid: str) -> bool:
        """Whether a test must check its stored gates in this run: it was run, or the command line did not leave it
        out."""
        return nodeid in self.seen or (self.includes(nodeid) and not self.is_narrowed)

    @property
    def covers_root(self) -> bool:
        """Whether the run has the whole root directory and was not narrowed."""
        here = self.config.invocation_params.dir
        return not self.is_narrowed and self.config.rootpath.resolve() in {
            (here / arg).resolve() for arg in self.config.args
        }

    @property
    def is_narrowed(self) -> bool:
        """Whether the command line leaves tests out other than by a path."""
        by_node = any("::" in arg for arg in self.config.args)
        from_file = any(typed.startswith("@") for typed in self._typed)
        return by_node or from_file or any(_is_option(typed, name) for typed in self._typed for name in _NARROWING)

    def was_typed(self, flag: str) -> bool:
        """Whether a flag stands on the command line rather than in a configuration file."""
        return any(_is_option(typed, flag) for typed in self._typed)

    @property
    def _typed(self) -> Sequence[str]:
        """The command line as typed, and PYTEST_ADDOPTS, which also belongs to one command."""
        typed = [str(argument) for argument in self.config.invocation_params.args]
        return [*shlex.split(os.environ.get("PYTEST_ADDOPTS", "")), *typed]


def _is_option(typed: str, name: str) -> bool:
    """``-k expr``, ``-kexpr`` and ``-xk expr``; ``--deselect id`` and ``--deselect=id``."""
    if name.startswith("--"):
        return typed == name or typed.startswith(f"{name}=")
    return re.match(f"-[vqxsl]*{name[1]}", typed) is not None


def _values(typed: Sequence[str], name: str) -> list[str]:
    """Return the values given to an option of the command line."""
    joined = [argument.removeprefix(f"{name}=") for argument in typed if argument.startswith(f"{name}=")]
    return joined + [value for argument, value in pairwise(typed) if argument == name]
