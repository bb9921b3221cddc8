"""Imports point one way, and each outside world has one door. Read from the source text, nothing is run."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pytest_precgate

PACKAGE = Path(pytest_precgate.__file__).parent

# Who may import whom inside the package. Everyone's are errors, documents (the reader of what people write), text
# (foreign text made printable), address (a URL of the settings taken apart), hidden (variables whose values no
# repr shows) and faults (unexpected exceptions as a named error).
EVERYONE = {"errors", "documents", "text", "address", "hidden", "faults"}
ALLOWED = {
    "analysis": set(),
    "engines": {"analysis", "http", "interop"},
    "loadgen": {"analysis", "http"},
    "baselines": {"analysis"},
    "journal": {"analysis"},
    "environment": {"analysis"},
    "interop": {"analysis"},
    "reports": {"analysis"},
    "settings": {"analysis", "engines"},
    "live": {"analysis", "engines", "loadgen", "http", "environment", "journal", "settings"},
    "trial": {"analysis", "live", "settings"},
    "planning": {"analysis", "live", "settings"},
    "recording": {"analysis", "live", "settings"},
    "gatekeeper": {
        *("analysis", "engines", "live", "baselines", "journal", "environment", "settings"),
        *("trial", "planning", "recording"),
    },
    "plugin": {
        *("analysis", "settings", "gatekeeper", "reports", "baselines", "journal", "environment", "loadgen", "live"),
    },
    "cli": {
        *("analysis", "settings", "gatekeeper", "reports", "baselines", "environment", "engines"),
        *("journal", "loadgen", "live", "interop"),
    },
    "errors": set(),
    "documents": set(),
    "text": set(),
    "address": set(),
    "hidden": set(),
    "faults": set(),
    "http": set(),
    "__init__": {"analysis", "engines", "plugin"},
}

# Which modules may import an outside one; everything not listed is free.
DOORS = {
    "pytest": {"plugin", "settings"},
    "_pytest": set(),
    "subprocess": {"engines.process", "environment"},
    "signal": {"engines.process", "live.signals"},
    "socket": {"loadgen", "http", "engines.simulated"},
    "http": {"http", "engines.simulated"},
    "urllib": {"address", "engines.simulated"},
    "asyncio": {"loadgen", "engines.simulated", "cli"},
    "ssl": {"loadgen", "http"},
    "select": {"loadgen", "engines.process"},
    "ctypes": {"loadgen.ticker", "engines.process.guardian"},
    "multiprocessing": {"loadgen.processes"},
    "psutil": {"engines.process"},
    "yaml": {"engines", "interop.content"},
    "pynvml": {"environment.nvml"},
    "numpy": {"analysis", "engines.simulated.calibration"},
    "scipy": {"analysis.interpolation", "analysis.noise", "engines.simulated.calibration"},
    "time": {"loadgen", "http", "engines", "environment", "live"},
    "random": {"engines.simulated", "loadgen.prompts"},  # seeded generators only
}
PURE = (
    *("analysis", "reports", "documents", "errors", "text", "address", "hidden", "baselines.schema"),
    *(f"journal.{name}" for name in ("events", "paid", "schema", "state")),
    *(f"loadgen.{name}" for name in ("target", "prompts", "plan", "sse", "wire", "tally")),
    *(f"engines.simulated.{name}" for name in ("model", "scheduler", "prefix_cache")),
    *(f"engines.simulated.{name}" for name in ("request_fields", "chunks", "counters")),  # of the server over HTTP
    *(f"engines.process.{name}" for name in ("failures", "variables")),
    *("engines.counters", "engines.speculation"),
    *(
        f"interop.{name}"
        for name in ("content", "export", "fields", "formats", "importers", "plausible", "rows", "sweeps")
    ),
)
IO_MODULES = {
    *("os", "pathlib", "io", "sys", "glob", "shutil", "tempfile", "time", "fcntl", "socket", "select"),
}
SOURCES = sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imports_of(path: Path) -> set[str]:
    """Every module imported anywhere in the file, under TYPE_CHECKING and inside functions included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where an arrow points"
            assert node.module is not None
            found.add(node.module)
            if node.module.startswith("pytest_precgate"):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def within(module: str, doors: set[str]) -> bool:
    return any(module == door or module.startswith(f"{door}.") for door in doors)


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_imports_point_one_way(path: Path) -> None:
    """A layer imports itself, what is below it, errors and documents; nothing else of this package."""
    layer = module_of(path).split(".")[0]
    for imported in imports_of(path):
        parts = imported.split(".")
        if parts[0] != "pytest_precgate" or len(parts) < 2:
            continue
        if parts[1] in ALLOWED and parts[1] != layer:
            assert parts[1] in ALLOWED[layer] | EVERYONE, f"{layer} must not import {imported}"


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_each_outside_world_has_one_door(path: Path) -> None:
    """pytest, processes, sockets, numpy and scipy appear only where they belong."""
    module = module_of(path)
    for imported in imports_of(path):
        top = imported.split(".")[0]
        if top in DOORS:
            assert within(module, DOORS[top]), f"{module} must not import {imported}"


@pytest.mark.parametrize("path", [p for p in SOURCES if within(module_of(p), set(PURE))], ids=module_of)
def test_the_pure_middle_has_no_clock_file_or_environment(path: Path) -> None:
    """Numbers and text in, numbers and text out."""
    assert not {name.split(".")[0] for name in imports_of(path)} & IO_MODULES
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    assert not {node.id for node in nodes if isinstance(node, ast.Name)} & {"open", "print", "input", "exec", "eval"}
    assert not {node.attr for node in nodes if isinstance(node, ast.Attribute)} & {"now", "today", "utcnow"}


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_no_module_catches_everything(path: Path) -> None:
    """Below the plugin no `except Exception`; nowhere a bare except that does not raise again."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ExceptHandler):
            continue
        names = (
            {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)} if node.type else {"BaseException"}
        )
        if names & {"Exception", "BaseException"}:
            last = node.body[-1]
            assert isinstance(last, ast.Raise), f"{path}:{node.lineno} swallows everything"
            assert last.exc is None, f"{path}:{node.lineno} turns everything into something else"


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_a_module_opens_with_its_law_and_stays_readable(path: Path) -> None:
    """A docstring first, about 350 lines at most, and functions of about 40 statements."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree)
    assert text.count("\n") <= 380
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert sum(isinstance(child, ast.stmt) for child in ast.walk(node)) <= 45, f"{path}:{node.lineno}"
