"""Mutation tests: changes one operator, constant or branch at a time and asks whether a test notices.

    python tools/mutants.py pytest_precgate/analysis/curves [--workers 2]

The tests of a folder are those of the folder that mirrors it and the test files beside that one. A first run traces
which test executes which line; a mutant then meets only the tests that execute its line, quickest first, in a forked
process that has numpy, scipy and hypothesis loaded already. Mutants live in memory: no file is changed.

mutmut 3 is not used: it leaves constants of modules and everything with a decorator alone, every property with it."""

from __future__ import annotations

import argparse
import ast
import copy
import os
import pickle
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import hypothesis
import numpy as np  # noqa: F401  # here once, and not in every forked process
import pytest
import scipy.interpolate
import scipy.optimize  # noqa: F401

ROOT = Path(__file__).parents[1]
TIMES = 3
"""A test may take this many times the CPU seconds it took while it was traced, and one more: a mutant may loop."""
IMPORT_S = 20
BROKEN = 70
MOST_BYTES = 4 << 30
SWAPPED: Mapping[type[ast.AST], Sequence[type[Any]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.LShift: (ast.RShift,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
}
NAMES = {"min": "max", "any": "all", "floor": "ceil", "fmean": "median"}
NAMES |= {new: old for old, new in NAMES.items()}
LEFT_ALONE = ("annotation", "returns", "decorator_list")


@dataclass(frozen=True)
class Mutant:
    """One change: the module with it, compiled, and the ``lines`` of the statement that holds it."""

    path: Path
    line: int
    lines: range
    text: str
    code: CodeType


def mutants_of(path: Path) -> Iterator[Mutant]:
    """Yield every mutant of a module."""
    tree = ast.parse(path.read_bytes())
    for node, lines, put in _places(tree, range(0)):
        for new in changes(node):
            put(ast.copy_location(new, node))
            code = compile(ast.fix_missing_locations(tree), str(path), "exec")
            yield Mutant(path, node.lineno, lines, f"{_shown(node)} -> {_shown(new)}", code)
            put(node)


def _places(node: ast.AST, lines: range) -> Iterator[tuple[Any, range, Callable[[ast.AST], None]]]:
    """Yield what may be changed below ``node``, the lines of its statement, and how to put something in its place."""
    for name, value in ast.iter_fields(node):
        many = isinstance(value, list)
        for at, child in enumerate(value if many else [value]):
            if not isinstance(child, ast.AST) or name in LEFT_ALONE or _is_for_mypy(child):
                continue
            inside = lines
            if isinstance(child, ast.stmt):
                body = getattr(child, "body", None)
                inside = range(child.lineno, body[0].lineno if body else (child.end_lineno or child.lineno) + 1)

            def put(new: ast.AST, value: Any = value, at: int = at, name: str = name, many: bool = many) -> None:
                if many:
                    value[at] = new
                else:
                    setattr(node, name, new)

            if hasattr(child, "lineno"):
                yield child, inside, put
            yield from _places(child, inside)


def _is_for_mypy(node: ast.AST) -> bool:
    """Whether no run depends on it: ``if TYPE_CHECKING``, and zip(strict=True), a guard against our own mistakes."""
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return isinstance(node, ast.keyword) and node.arg == "strict"


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand in the place of ``node``."""
    yield from _other_operators(node)
    yield from _other_values(node)
    yield from _other_branches(node)


def _with(node: ast.AST, **fields: object) -> ast.AST:
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _other_operators(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(ops=ops):
            for at, op in enumerate(ops):
                yield from (_with(node, ops=[*ops[:at], new(), *ops[at + 1 :]]) for new in SWAPPED[type(op)])
        case ast.BinOp(op=op) | ast.AugAssign(op=op) | ast.BoolOp(op=op):
            yield from (_with(node, op=new()) for new in SWAPPED[type(op)])
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand


def _other_values(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield from (ast.Constant(new) for new in dict.fromkeys((value + 1, value - 1, value * 2)) if new != value)
        case ast.Name(id=name) if name in NAMES:
            yield _with(node, id=NAMES[name])
        case ast.Attribute(attr=name) if name in NAMES:
            yield _with(node, attr=NAMES[name])


def _other_branches(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.IfExp(body=body, orelse=orelse):
            yield from (body, orelse)
        case ast.If():
            yield from (_with(node, test=ast.Constant(value)) for value in (True, False))
        case ast.ListComp(generators=each) | ast.SetComp(generators=each) | ast.GeneratorExp(generators=each):
            for at, loop in enumerate(each):
                if loop.ifs:
                    whole = ast.comprehension(loop.target, loop.iter, [], 0)
                    yield _with(node, generators=[*each[:at], whole, *each[at + 1 :]])
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()


def _shown(node: ast.AST) -> str:
    text = f"if {ast.unparse(node.test)}:" if isinstance(node, ast.If) else ast.unparse(node)
    return text if len(text) <= 100 else f"{text[:97]}..."


@dataclass
class Traced:
    """A plugin that notes which test executes which line below ``folder``; "" stands for imports."""

    folder: str
    ran: dict[tuple[str, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    seconds: dict[str, float] = field(default_factory=dict)
    running: str = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Note whose lines follow, and how long they take."""
        self.running, before = item.nodeid, time.process_time()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid], self.running = time.process_time() - before, ""

    def frame(self, frame: FrameType, event: str, argument: object) -> Any:
        """Trace a frame of the folder, and no other: see sys.settrace."""
        del event, argument
        return self.line if frame.f_code.co_filename.startswith(self.folder) else None

    def line(self, frame: FrameType, event: str, argument: object) -> Any:
        """Note a line."""
        del argument
        if event == "line":
            self.ran[frame.f_code.co_filename, frame.f_lineno].add(self.running)
        return self.line

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Return the tests that may notice a mutant, quickest first."""
        found = set().union(*(self.ran.get((str(mutant.path), line), ()) for line in mutant.lines))
        if "" in found:  # what an import makes, any test may use
            found = set(self.seconds)
        return sorted(found - {""}, key=lambda test: self.seconds[test])


@dataclass(frozen=True)
class Only:
    """A plugin that runs the tests of ``seconds`` in that order and no others, each as long as it may take."""

    seconds: Mapping[str, float]

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out the others."""
        place = {test: at for at, test in enumerate(self.seconds)}
        items[:] = sorted((item for item in items if item.nodeid in place), key=lambda item: place[item.nodeid])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Let SIGPROF end this process where the test takes too long."""
        signal.setitimer(signal.ITIMER_PROF, 1 + TIMES * self.seconds[item.nodeid])


def _forked(run: Callable[[], int], output: str = os.devnull) -> int:
    """Run in a process of its own, its text to a file, and return its id."""
    child = os.fork()
    if child:
        return child
    status = BROKEN
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
        for stream in (1, 2):
            os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        status = run()
    except BaseException:  # noqa: BLE001  # this process must not return from here, whatever comes
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def _pytest(files: Iterable[str], plugin: object) -> int:
    # No conftest, which imports everything, and no plugins but the one pyproject.toml sets something of: each takes its
    # time, a thousand times over.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    only = ("-p", "pytest_timeout", "-o", "timeout=0", "-p", "no:cacheprovider", "-p", "no:unraisableexception")
    # Plain asserts: what rewrites them would load the modules under test as well, and not the mutant.
    return int(pytest.main(["-x", "-q", "--assert=plain", "--noconftest", *only, *files], plugins=[plugin]))


def traced(folder: Path, files: Sequence[str]) -> Traced:
    """Return which test of ``files`` executes which line; ends this program where one of them fails."""
    with tempfile.TemporaryDirectory() as made:
        kept, output = Path(made) / "traced", Path(made) / "output"

        def run() -> int:
            tracing = Traced(str(folder))
            sys.settrace(tracing.frame)
            status = _pytest(files, tracing)
            sys.settrace(None)
            kept.write_bytes(pickle.dumps((dict(tracing.ran), tracing.seconds)))
            return status

        _, status = os.waitpid(_forked(run, str(output)), 0)
        if status:
            sys.exit(f"{output.read_text()}\nmutants: the tests fail as they are: pytest {' '.join(files)}")
        return Traced(str(folder), *pickle.loads(kept.read_bytes()))


def survivors(mutants: Iterable[Mutant], tracing: Traced, workers: int) -> Iterator[Mutant]:
    """Yield the mutants that no test notices, at most ``workers`` of them at work at once."""
    running: dict[int, Mutant] = {}
    codes = {
        str(path): compile(path.read_bytes(), str(path), "exec")  # once, and not in every forked process
        for path in (*(ROOT / "pytest_precgate").rglob("*.py"), *(ROOT / "tests").rglob("*.py"))
    }

    def ended() -> Iterator[Mutant]:
        child, status = os.wait()
        mutant = running.pop(child)
        if os.waitstatus_to_exitcode(status) == BROKEN:
            sys.exit(f"mutants: this tool failed over {mutant.path}:{mutant.line}: {mutant.text}")
        if status == 0:
            yield mutant

    for mutant in mutants:
        tests = tracing.tests_of(mutant)
        if not tests:
            yield mutant
            continue
        if len(running) == workers:
            yield from ended()

        def run(mutant: Mutant = mutant, tests: Sequence[str] = tests) -> int:
            signal.setitimer(signal.ITIMER_PROF, IMPORT_S)  # until the first test begins
            original = SourceFileLoader.get_code
            codes[str(mutant.path)] = mutant.code

            def get_code(self: SourceFileLoader, name: str) -> CodeType | None:
                return codes.get(self.path) or original(self, name)

            SourceFileLoader.get_code = get_code  # type: ignore[assignment,method-assign]
            return _pytest(
                dict.fromkeys(test.split("::")[0] for test in tests),
                Only({test: tracing.seconds[test] for test in tests}),
            )

        running[_forked(run)] = mutant
    while running:
        yield from ended()


def main() -> None:
    """Print every survivor, then the share of them by module."""
    parser = argparse.ArgumentParser(description="Change one thing at a time and see whether a test notices.")
    parser.add_argument("folder", type=Path, help="a folder or module of pytest_precgate")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes at once; default 1")
    arguments = parser.parse_args()
    target = arguments.folder.resolve()
    modules = sorted(target.rglob("*.py")) if target.is_dir() else [target]
    folder = target if target.is_dir() else target.parent
    mirror = ROOT / "tests" / folder.relative_to(ROOT / "pytest_precgate")
    files = [str(mirror), *map(str, sorted(mirror.parent.glob("test_*.py")))]
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    # The same examples for every mutant; nothing is kept of a failure, and nobody reads the smallest one.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutants", database=None, deadline=None, derandomize=True, phases=phases)
    hypothesis.settings.load_profile("mutants")
    tracing = traced(folder, files)
    mutants = [mutant for module in modules for mutant in mutants_of(module)]
    made, left = Counter(mutant.path for mutant in mutants), Counter[Path]()
    for mutant in survivors(mutants, tracing, arguments.workers):
        left[mutant.path] += 1
        print(f"{mutant.path.relative_to(ROOT)}:{mutant.line}: {mutant.text}", flush=True)
    for path in made:
        print(f"{path.relative_to(ROOT)}: {left[path]} of {made[path]} survive, {left[path] / made[path]:.1%}")
    print(f"{sum(left.values())} of {len(mutants)} survive, {sum(left.values()) / max(len(mutants), 1):.1%}")


if __name__ == "__main__":
    main()
