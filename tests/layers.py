"""The rules of the layers, read from source text: a module's name and text in, sentences about what it must not do out.

Everything is allowed by name: who may import what of this package, of other packages and of the standard library. What
no table knows is refused, so that a new module or a new dependency is a decision written down here."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

PACKAGE = "pytest_precgate"

# Everyone's: errors, documents (the reader of what people write), text (foreign text made printable), address (a URL of
# the settings taken apart), hidden (variables whose values no repr shows), faults (unexpected exceptions by name),
# files (written and locked in one step), values (dataclasses read from tables).
EVERYONE = {"errors", "documents", "text", "address", "hidden", "faults", "files", "values"}

# Who may import whom inside the package, the nearest entry counts. A package may import itself.
ALLOWED: Mapping[str, set[str]] = {
    "__init__": {"analysis", "engines.base", "errors", "plugin"},
    "errors": set(),
    "text": set(),
    "hidden": set(),
    "files": set(),
    "address": {"errors"},
    "documents": {"errors"},
    "faults": {"errors"},
    "values": {"documents"},
    "analysis.__init__": set(),
    "analysis.quantity": set(),
    "analysis.curves": {"analysis.quantity"},
    "analysis.measure": {"analysis.curves", "analysis.quantity"},
    "analysis.gating": {"analysis.curves", "analysis.quantity"},
    "analysis.machine": {"analysis.measure", "analysis.quantity"},
    "analysis.cost": {"analysis.curves", "analysis.quantity"},
    "analysis.accepted": {"analysis.curves", "analysis.gating", "analysis.cost", "analysis.quantity"},
    "analysis.plan": {"analysis.accepted", "analysis.cost", "analysis.curves", "analysis.quantity"},
    "analysis.report": {"analysis.accepted", "analysis.cost", "analysis.curves", "analysis.gating"},
    "http": set(),
    "interop": {"analysis"},
    "reports": {"analysis"},
    "baselines": {"analysis"},
    "journal": {"analysis"},
    "history": {"analysis"},
    "environment": {"analysis"},
    "loadgen": {"analysis", "http"},
    "engines": {"analysis", "http", "interop"},
    "settings": {"analysis", "engines"},
    "servers": {"analysis", "engines", "environment", "http", "journal"},
    "run": {"analysis", "baselines", "engines", "history", "journal", "loadgen", "servers", "settings"},
    "plugin": {"analysis", "baselines", "environment", "journal", "loadgen", "reports", "run", "servers", "settings"},
    "cli": {
        *("analysis", "baselines", "engines", "environment", "history", "http", "interop", "journal", "loadgen"),
        *("reports", "run", "servers", "settings"),
    },
}

# The standard library that touches nothing outside: free for all.
HARMLESS = {
    *(
        "__future__",
        "ast",
        "base64",
        "bisect",
        "collections",
        "contextlib",
        "dataclasses",
        "decimal",
        "difflib",
        "enum",
        "errno",
    ),
    *(
        "fnmatch",
        "functools",
        "hashlib",
        "html",
        "itertools",
        "json",
        "math",
        "numbers",
        "operator",
        "re",
        "reprlib",
    ),
    *("shlex", "statistics", "string", "struct", "textwrap", "types", "typing", "warnings"),
}
# Everything else: which modules may import it. ``datetime`` is a clock only where ``now`` is called, see CLOCKS.
DOORS: Mapping[str, set[str]] = {
    "argparse": {"cli"},
    "asyncio": {"engines.simulated", "cli.serve"},
    "csv": {"interop.content"},
    "ctypes": {"loadgen.ticker", "servers.process.guardian"},
    "datetime": {"analysis", "cli", "documents", "journal.directory", "plugin", "run"},
    "fcntl": {"files", "loadgen.processes"},
    "gc": {"loadgen.closed_loop"},
    "glob": {"interop.files"},
    "http": {"http"},
    "importlib": {
        *("__init__", "engines.simulated.calibration", "environment.nvml", "environment.origin"),
        *("cli.schema", "reports.html.assets"),
    },
    "io": {"http"},
    "multiprocessing": {"loadgen.processes"},
    "numpy": {"analysis.gating.power", "engines.simulated.calibration"},
    "os": {
        *(
            "baselines.store",
            "files",
            "journal.file",
            "servers.gpu_locks",
            "cli",
            "engines.command",
            "environment.facts",
            "environment.host",
            "environment.host_load",
            "plugin",
            "servers.process",
        ),
        *("loadgen.connection", "loadgen.processes", "loadgen.ticker"),
    },
    "pathlib": {
        *(
            "baselines",
            "cli",
            "engines",
            "environment",
            "faults",
            "files",
            "history.file",
            "interop.files",
            "journal.directory",
            "journal.file",
        ),
        *("plugin", "run", "servers", "settings"),
    },
    "platform": {"environment.facts"},
    "psutil": {"servers.process"},
    "pynvml": {"environment.nvml"},
    "pytest": {"plugin"},
    "random": {"engines.simulated", "loadgen.prompts"},  # seeded generators only, see SEEDED
    "scipy": {
        *("analysis.gating.change_points", "analysis.gating.noise", "analysis.gating.power"),
        "engines.simulated.calibration",
    },
    "secrets": {"cli.noise", "plugin.runs"},
    "select": {"loadgen", "servers.process"},
    "shutil": {
        "cli.needs",
        "cli.output",
        "engines.command",
        "engines.preflight",
        "journal.directory",
        "servers.process",
    },
    "signal": {"cli.serve", "servers.process"},
    "socket": {"engines.simulated", "http", "loadgen"},
    "ssl": {"http", "loadgen"},
    "stat": {"interop.files"},
    "subprocess": {"environment.origin", "environment.revisions", "servers.process"},
    "sys": {"cli", "engines.simulated.served", "environment.gpu_settings", "plugin", "servers.process", "settings"},
    "threading": {"environment.telemetry", "http", "servers.process"},
    "time": {
        "cli.doctor",
        *("engines.simulated.server", "environment.telemetry", "http", "loadgen", "run.launches", "servers.endpoints"),
        *("servers.machine", "servers.process.guardian"),
    },
    "tokenizers": {"run.tokenizer"},
    "tomli": {"settings"},
    "tomllib": {"settings"},
    "urllib": {"address"},
    "webbrowser": {"cli.page"},
    "yaml": {"engines.trtllm", "interop.content"},
    "zlib": {"engines.simulated.connection"},
}
# Who may import a module by a name that is no import statement. The public door does, so that pytest starts fast.
DYNAMIC = {"__init__"}
_DYNAMIC = {
    *("importlib.import_module", "importlib.__import__", "importlib.reload", "importlib.util.module_from_spec"),
    *("__import__", "exec", "eval", "compile"),
}
# Who may ask what time or date it is, and who may read the process's environment.
CLOCKS = {"cli", "plugin"}
ENVIRONMENTS = {"cli", "plugin"}

# Which modules are pure: no clock, no file, no environment, nothing printed.
PURE = (
    *("analysis", "reports", "documents", "errors", "text", "values", "address", "hidden", "baselines.schema"),
    *(f"journal.{name}" for name in ("events", "paid", "schema", "state")),
    *("history.entry", "history.readings", "baselines.past"),
    *(f"loadgen.{name}" for name in ("target", "prompts", "plan", "sse", "wire", "tally", "events")),
    *(f"engines.simulated.{name}" for name in ("model", "scheduler", "prefix_cache")),
    *(f"engines.simulated.{name}" for name in ("request_fields", "chunks", "counters")),  # of the server over HTTP
    *("engines.counters", "engines.failures", "engines.speculation", "servers.process.variables", "run.counted"),
    *(
        f"interop.{name}"
        for name in ("content", "export", "fields", "figures", "formats", "importers", "plausible", "rows", "sweeps")
    ),
)
IO_MODULES = {
    *("os", "pathlib", "io", "sys", "glob", "shutil", "tempfile", "time", "fcntl", "socket", "select", "subprocess"),
}
MOST_LINES = 380
MOST_STATEMENTS = 45


def modules(package: Path) -> dict[str, str]:
    """Return the text of every module below ``package``, by its name within it."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        found[".".join(parts)] = path.read_text(encoding="utf-8")
    return found


def name_of(module: str) -> str:
    """Return a module's dotted name: a package is called by its folder."""
    return module.removesuffix(".__init__") if module != "__init__" else module


@cache
def parsed(text: str) -> ast.Module:
    """Return a text's tree, which no rule changes."""
    return ast.parse(text)


def origins(tree: ast.AST) -> dict[str, str]:
    """Return what the names stand for that a text imports, anywhere in it: ``{"d": "datetime.datetime"}``."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def meant(node: ast.AST, known: Mapping[str, str]) -> str:
    """Return the dotted name of a name or an attribute, its first part as imported; "" for anything else."""
    if isinstance(node, ast.Name):
        return known.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        inner = meant(node.value, known)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def uses_of(text: str) -> Iterator[tuple[int, str]]:
    """Yield every name and attribute that a text uses, with its line, as ``meant``."""
    tree = parsed(text)
    known = origins(tree)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)) and (said := meant(node, known)):
            yield node.lineno, said


def imports_of(text: str) -> Iterator[tuple[int, str]]:
    """Yield every module imported anywhere in a text, with its line; also under TYPE_CHECKING and inside functions.

    What is reached as an attribute of this package (``pytest_precgate.run.x``) counts as imported."""
    yield from ((line, said) for line, said in uses_of(text) if said.startswith(f"{PACKAGE}."))
    for node in ast.walk(parsed(text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield node.lineno, "."
            elif node.module is not None:
                yield node.lineno, node.module
                if node.module.split(".")[0] == PACKAGE:
                    yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def within(module: str, doors: set[str] | tuple[str, ...]) -> bool:
    """Whether a module is one of ``doors`` or lies below one."""
    return any(module == door or module.startswith(f"{door}.") for door in doors)


def _row(module: str) -> str | None:
    """The entry of ALLOWED a module is ruled by: the nearest one above it."""
    parts = module.split(".")
    rows = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((row for row in rows if row in ALLOWED), None)


def arrows(module: str, text: str) -> Iterator[str]:
    """A module imports its own package, what its row names, and what is everyone's."""
    row = _row(module)
    if row is None:
        yield f"{module}: no row of ALLOWED says what it may import; give it one"
        return
    for line, imported in imports_of(text):
        if imported == ".":
            yield f"{module}:{line}: a relative import hides where an arrow points"
        if imported.split(".")[0] != PACKAGE or imported == PACKAGE:
            continue
        name = imported.removeprefix(f"{PACKAGE}.")
        known = ALLOWED[row] | (EVERYONE if row not in EVERYONE else set()) | {row.removesuffix(".__init__")}
        if not within(name, known) and not any(door.startswith(f"{name}.") for door in known):
            yield f"{module}:{line}: must not import {imported}"


def doors(module: str, text: str) -> Iterator[str]:
    """What is neither of this package nor harmless is imported only where DOORS says."""
    for line, imported in imports_of(text):
        top = imported.split(".")[0]
        if top in (PACKAGE, ".") or top in HARMLESS:
            continue
        if top not in DOORS:
            yield f"{module}:{line}: {top} is in no list; say in HARMLESS or DOORS who may import it"
        elif not within(name_of(module), DOORS[top]):
            yield f"{module}:{line}: must not import {imported}"


def borrowed(module: str, text: str) -> Iterator[str]:
    """Nothing foreign is taken from a module of this package that imports it for itself, ``os`` from ``files``."""
    for line, said in sorted({*imports_of(text)}):
        parts = said.split(".")
        if parts[0] != PACKAGE:
            continue
        for length in range(len(parts) - 1, 0, -1):
            name = ".".join(parts[1:length])
            foreign = foreign_names().get(name)
            if foreign is not None:
                if parts[length] in foreign and f"{name}.{parts[length]}".lstrip(".") not in foreign_names():
                    yield f"{module}:{line}: takes {foreign[parts[length]]} from {name}; import it from where it is"
                break


@cache
def foreign_names() -> Mapping[str, Mapping[str, str]]:
    """What each module of the package imports from outside of it: name there, and what that stands for."""
    return {
        "" if module == "__init__" else name_of(module): {
            name: origin
            for name, origin in origins(parsed(text)).items()
            if origin.split(".")[0] not in (PACKAGE, "__future__")
        }
        for module, text in modules(Path(__file__).parent.parent / PACKAGE).items()
    }


def dynamic(module: str, text: str) -> Iterator[str]:
    """A module is imported by a statement, which the other rules read, and no text is run."""
    if not within(name_of(module), DYNAMIC):
        yield from (f"{module}:{line}: must not use {said}" for line, said in uses_of(text) if said in _DYNAMIC)


def clocks(module: str, text: str) -> Iterator[str]:
    """The date, the environment and unseeded randomness come in as parameters."""
    name = name_of(module)
    for line, said in uses_of(text):
        if said.startswith("datetime.") and said.endswith((".now", ".today", ".utcnow")):
            if not within(name, CLOCKS):
                yield f"{module}:{line}: {said} asks the clock; take the time as a parameter"
        elif said in ("os.environ", "os.getenv", "os.environb", "os.getenvb"):
            if not within(name, ENVIRONMENTS):
                yield f"{module}:{line}: {said} reads the environment; take it as a parameter"
        elif said.startswith("random.") and not said.startswith("random.Random"):
            yield f"{module}:{line}: {said} is not seeded; take a random.Random"
    tree = parsed(text)
    known = origins(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and meant(node.func, known) == "random.Random":
            seeds = [*node.args, *(keyword.value for keyword in node.keywords)]
            if not seeds or any(isinstance(seed, ast.Constant) and seed.value is None for seed in seeds):
                yield f"{module}:{node.lineno}: random.Random() is not seeded; give it a seed"


def purity(module: str, text: str) -> Iterator[str]:
    """Numbers and text in, numbers and text out."""
    if not within(name_of(module), PURE):
        return
    for line, imported in imports_of(text):
        if imported.split(".")[0] in IO_MODULES or within(imported, {f"{PACKAGE}.files"}):
            yield f"{module}:{line}: is pure and must not import {imported}"
    for node in ast.walk(parsed(text)):
        if isinstance(node, ast.Name) and node.id in ("open", "print", "input"):
            yield f"{module}:{node.lineno}: is pure and must not use {node.id}"
        if isinstance(node, ast.Attribute) and node.attr in ("now", "today", "utcnow"):
            yield f"{module}:{node.lineno}: is pure and must not ask for {node.attr}"


def catches(module: str, text: str) -> Iterator[str]:
    """No `except Exception`, under any name, and no bare one, without raising the same again; nor is it suppressed."""
    tree = parsed(text)
    known, every = origins(tree), _every_exception(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and meant(node.func, known) == "contextlib.suppress":
            if any(_names_in(argument) & every for argument in node.args):
                yield f"{module}:{node.lineno}: suppresses every exception"
            continue
        if not isinstance(node, ast.ExceptHandler) or not (node.type is None or _names_in(node.type) & every):
            continue
        last = node.body[-1]
        if not isinstance(last, ast.Raise):
            yield f"{module}:{node.lineno}: swallows every exception"
        elif last.exc is not None:
            yield f"{module}:{node.lineno}: turns every exception into another one"


def _names_in(node: ast.AST) -> set[str]:
    return {
        each.id if isinstance(each, ast.Name) else each.attr
        for each in ast.walk(node)
        if isinstance(each, (ast.Name, ast.Attribute))
    }


def _every_exception(tree: ast.AST) -> set[str]:
    """The names that stand for every exception: the builtin ones, and those that are set to one of them or a tuple."""
    every = {"Exception", "BaseException"}
    found = [
        ({name.id for name in node.targets if isinstance(name, ast.Name)}, _names_in(node.value))
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, (ast.Name, ast.Attribute, ast.Tuple))
    ]
    for _ in found:  # a name of a name of a name
        every |= {name for names, values in found if values & every for name in names}
    return every


def shape(module: str, text: str) -> Iterator[str]:
    """A docstring first, and no module or function too long to be read at once."""
    tree = parsed(text)
    if not ast.get_docstring(tree):
        yield f"{module}: opens without a docstring"
    if (lines := text.count("\n")) > MOST_LINES:
        yield f"{module}: {lines} lines, at most {MOST_LINES}"
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            statements = sum(isinstance(child, ast.stmt) for child in ast.walk(node))
            if statements > MOST_STATEMENTS:
                yield f"{module}:{node.lineno}: {node.name} has {statements} statements, at most {MOST_STATEMENTS}"


ENGINES_TOLD_APART = {"run.launches"}
"""The one module that composes a launch of an engine, and asks which of the three it is."""
_ENGINES = ("Engine", "SelfSweeping", "Attached", "Started")
KINDS_COMPARED = {"engines.support"}
"""Whose ``kind`` is another: that of a row in the table of supported hardware."""


def engines(module: str, text: str) -> Iterator[str]:
    """Elsewhere an engine is asked what it is through its protocol, and never by its class or the name of its kind."""
    name = name_of(module)
    if name in ENGINES_TOLD_APART:
        return
    tree, row = parsed(text), _row(module)
    known = origins(tree)
    knows_engines = row is not None and "engines" in {row, *ALLOWED[row]} and name not in KINDS_COMPARED
    for node in ast.walk(tree):
        asked: list[ast.expr] = []
        if (
            isinstance(node, ast.Call)
            and meant(node.func, known) in ("isinstance", "issubclass")
            and len(node.args) > 1
        ):
            asked = [node.args[1]]
        elif isinstance(node, ast.MatchClass):
            asked = [node.cls]
        elif isinstance(node, ast.Compare) and any(_is_type_call(each) for each in (node.left, *node.comparators)):
            asked = node.comparators
        parts = [part for each in asked for part in ast.walk(each) if isinstance(part, (ast.Name, ast.Attribute))]
        for part in parts:
            if (said := meant(part, known).rpartition(".")[2]).endswith(_ENGINES):
                yield f"{module}:{part.lineno}: asks whether an engine is a {said}; ask it through its protocol"
        compared = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
        compared += [node.subject] if isinstance(node, ast.Match) else []
        if knows_engines and any(isinstance(each, ast.Attribute) and each.attr == "kind" for each in compared):
            yield f"{module}:{compared[0].lineno}: asks an engine for its kind; ask it through its protocol"


def _is_type_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "type"


def circles(texts: Mapping[str, str]) -> Iterator[str]:
    """No module imports itself, directly or through others."""
    known = {name_of(module): text for module, text in texts.items()}
    after = {
        module: {
            name
            for _, imported in imports_of(text)
            if (name := imported.removeprefix(f"{PACKAGE}.")) in known and name != module
        }
        for module, text in known.items()
    }
    done: set[str] = set()
    for start in after:
        trail: list[str] = []

        def walk(module: str, trail: list[str] = trail) -> Iterator[str]:
            if module in trail:
                yield " -> ".join([*trail[trail.index(module) :], module])
                return
            if module in done:
                return
            trail.append(module)
            for following in sorted(after[module]):
                yield from walk(following, trail)
            trail.pop()
            done.add(module)

        yield from walk(start)
