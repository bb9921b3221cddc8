"""The checks of `precgate baseline check` and the removals of `prune`: files without a suite, gates of tests that no
longer exist, values that do not follow from their points.

Input: baseline files, settings, test sources. Output: findings. Invariant: tests are looked up in the source; no test
code is imported or run."""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_precgate.analysis.accepted.baseline import Baseline, Provenance
from pytest_precgate.baselines.store import BaselineStore, Stored
from pytest_precgate.errors import BaselineError, PrecgateError, UnreadableCurveError

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class _Scope:
    """The names of a module, class or function, those of scopes inside it included."""

    def __init__(self, body: list[ast.stmt]) -> None:
        nodes = list(ast.walk(ast.Module(body, [])))
        self._defined: dict[str, _Definition] = {}
        for node in nodes:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                self._defined.setdefault(node.name, node)
        self._bound = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        for node in nodes:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                self._bound |= {(alias.asname or alias.name) for alias in node.names}
        self._inner: dict[str, _Scope] = {}

    def may_hold(self, names: Sequence[str]) -> bool:
        """Whether the first of ``names`` is here, and the further ones one inside the other."""
        if not names:
            return True
        first, *further = names
        found = self._defined.get(first)
        if found is None:
            return first in self._bound
        if isinstance(found, ast.ClassDef) and found.bases:
            return True
        if further and first not in self._inner:
            self._inner[first] = _Scope(found.body)
        return not further or self._inner[first].may_hold(further)


@dataclass
class Sources:
    """The test files below ``rootdir``, each read once, however many tests are looked up in it."""

    rootdir: Path
    _files: dict[str, _Scope | bool] = field(default_factory=dict)

    def may_hold(self, nodeid: str) -> bool:
        """Whether the file of a node id may hold its classes and its function.

        Where the source alone cannot tell (an inherited method, a star import, a file that does not parse now) the
        answer is yes: pruning on a guess would lose gates.
        """
        file, *names = nodeid.split("[", maxsplit=1)[0].split("::")
        if file not in self._files:
            self._files[file] = self._read(self.rootdir / file)
        found = self._files[file]
        return found if isinstance(found, bool) else found.may_hold(names)

    def _read(self, path: Path) -> _Scope | bool:
        if not path.is_file():
            return False
        try:
            return _Scope(ast.parse(path.read_bytes()).body)
        except (SyntaxError, ValueError, OSError):
            return True


def problems(store: BaselineStore, configured: Collection[str], rootdir: Path) -> list[str]:
    """Return one line per thing that is wrong with the stored baselines."""
    lines: list[str] = []
    sources = Sources(rootdir)
    for suite in store.suites(configured):
        path = store.shown(store.path(suite))
        try:
            stored = store.read(suite)
            lines += [f"{path}: {line}: edited by hand?" for line in stored.edited]
        except UnreadableCurveError as exc:
            lines.append(f"{path}: a gate cannot be read from its points: {exc}")
            continue
        except PrecgateError as exc:
            lines.append(str(exc))
            continue
        if suite not in configured:
            lines.append(f"{path}: no suite {suite!r} is configured")
        if stored.baseline is not None:
            lines += [f"{path}: {test} does not exist" for test in gone_tests(stored.baseline, sources)]
    return lines


def unrecorded(store: BaselineStore, configured: Collection[str]) -> list[str]:
    """Return the configured suites that have no file: nothing is wrong with one, and its first run fails."""
    recorded = store.suites(configured)
    return [suite for suite in configured if suite not in recorded]


def gone_tests(baseline: Baseline, sources: Sources) -> list[str]:
    """Return the tests that hold a gate of ``baseline`` and are not in the sources any more."""
    return sorted(test for test in {gate.test for gate in baseline.gates} if not sources.may_hold(test))


def prune(
    store: BaselineStore, configured: Collection[str], rootdir: Path, recorded: Provenance, *, dry_run: bool
) -> list[str]:
    """Remove what belongs to no suite or no test, and return one line per removal; ``dry_run`` only names them.

    Raises BaselineError for a file that cannot be read or written; files before it in the alphabet are done.
    """
    every = [store.read(suite) for suite in store.suites(configured)]
    _refuse_elsewhere(every, configured, rootdir)
    lines, sources = [], Sources(rootdir)
    for stored in every:
        suite = stored.path.stem
        path = store.shown(stored.path)
        gone = [] if stored.baseline is None else gone_tests(stored.baseline, sources)
        kept = set() if stored.baseline is None else {gate.test for gate in stored.baseline.gates} - {*gone}
        if suite not in configured or not kept:
            why = "no such suite is configured" if suite not in configured else "none of its tests exists"
            lines.append(f"{path}: removed, {why}")
            if not dry_run:
                store.delete(stored)
        elif stored.baseline is not None and gone:
            lines += [f"{path}: gates of {test} removed, it does not exist" for test in gone]
            if not dry_run:
                store.write(_pruned(stored.baseline, gone, recorded), stored)
    return lines


def _refuse_elsewhere(every: Sequence[Stored], configured: Collection[str], rootdir: Path) -> None:
    """In the wrong directory everything looks gone; removing all of it would be the worst reading of that."""
    gates = [gate for stored in every if stored.baseline is not None for gate in stored.baseline.gates]
    nothing_here = not any((rootdir / gate.test.split("::", maxsplit=1)[0]).is_file() for gate in gates)
    if not configured or (gates and nothing_here):
        what = "no suite is configured" if not configured else "none of the test files they name exists"
        raise BaselineError(
            f"prune: {what} in {rootdir}; run it in pytest's root directory. To drop every baseline, delete the files"
        )


def _pruned(baseline: Baseline, gone: Collection[str], recorded: Provenance) -> Baseline:
    gone_ones = {*gone}
    gates = [gate for gate in baseline.gates if gate.test not in gone_ones]
    needed = {precision for gate in gates for precision in gate.key.precisions}
    launches = [launch for launch in baseline.launches if launch.sweep.precision in needed]
    history = (*baseline.history, baseline.recorded)
    return replace(baseline, gates=gates, launches=launches, recorded=recorded, history=history)
