"""Writes docs/reference.md: the lists between its marks, from the tables of the readers and parsers themselves.

    python tools/reference.py            # write; a test compares

Input: the package, and JSON of the repository's examples, run in a copy. Output: Markdown between marks. Invariant:
nothing depends on the version of Python (no help text of argparse), so every machine writes the same page."""

from __future__ import annotations

import argparse
import inspect
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest_precgate
from pytest_precgate.cli import command_parser, exits
from pytest_precgate.documents import Node
from pytest_precgate.engines import ENGINES
from pytest_precgate.errors import SettingsError
from pytest_precgate.plugin import pytest_addoption
from pytest_precgate.settings import settings_from

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference.md"
COPIED = ("pyproject.toml", "baselines", "examples", "examples_blocked")
PYTEST_EXITS = (
    (0, "every selected test and gate passed"),
    (1, "a test or gate failed, an update was refused, a gate went unchecked, or a report could not be written"),
    (2, "interrupted, or stopped by `--sw`; reports are written, baselines are not"),
    (4, "settings, marks or flags are invalid, or the history is missing under CI"),
    (5, "no test was collected, and nothing failed the run"),
)
ENGINE_PAGES = {kind: f"{kind}.md" for kind in ("recorded", "simulated", "endpoint", "trtllm", "vllm")}
ENGINE_PAGES["command"] = "command_engine.md"
STARTED = ("command", "trtllm", "vllm")
# The least table of each kind of engine that its reader takes.
LEAST: dict[str, dict[str, object]] = {
    "recorded": {"path": "points.csv"},
    "simulated": {"calibration": "kimi-k2.5-b200-fp4-tp4"},
    "endpoint": {"url": "http://127.0.0.1:8000", "model": "m", "gpus": 1},
    "trtllm": {"model": "m", "gpus": 1},
    "vllm": {"model": "m", "gpus": 1},
    "command": {"model": "m", "gpus": 1, "argv": ["server", "{host}", "{port}"]},
}


class _Asked:
    """Notes which keys each reader asks for, by the place of its table."""

    def __init__(self) -> None:
        self.keys: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}

    def of(self, document: object, spot: str = "") -> None:
        """Read ``document`` as settings."""
        reads = Node.table
        asked = self.keys

        def noting(node: Node, *, required: Sequence[str] = (), optional: Sequence[str] = ()) -> dict[str, Node]:
            asked[node.spot] = tuple(required), tuple(optional)
            return reads(node, required=required, optional=optional)

        Node.table = noting  # type: ignore[method-assign,assignment]
        try:
            settings_from(Node(document, "reference", spot, SettingsError), ROOT)
        finally:
            Node.table = reads  # type: ignore[method-assign]


def _keys() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    asked = _Asked()
    for kind, least in LEAST.items():
        suite = {
            "hardware": "b200",
            "workload": {"isl": 8, "osl": 8},
            "interactivity": [55],
            "slo": {"ttft_ms": 500, "tpot_ms": 20},
            "fp4": {"engine": kind, **least},
            "int4": {"engine": "recorded", "path": "points.csv"},
        }
        waiver = {"suite": kind, "metric": "throughput_ratio", "ceiling": 0.1, "reason": "r", "expires": date.max}
        asked.of({"suites": {kind: suite}, "hardware": {"b200": {}}, "waive": [waiver]})
    return asked.keys


def _row(title: str, keys: tuple[tuple[str, ...], tuple[str, ...]]) -> str:
    required, optional = (", ".join(f"`{key}`" for key in names) or "-" for names in keys)
    return f"| {title} | {required} | {optional} |"


def settings() -> Iterator[str]:
    """Yield the tables of the settings and their keys."""
    assert set(LEAST) == set(ENGINES)
    keys = _keys()
    yield "| table | required | optional |"
    yield "|---|---|---|"
    yield _row("`[tool.precgate]`", keys[""])
    yield _row("`[tool.precgate.suites.NAME]`", keys["suites.recorded"])
    yield _row("`.workload`", keys["suites.recorded.workload"])
    yield _row("`.slo`", keys["suites.recorded.slo"])
    yield _row("`[tool.precgate.hardware.NAME]`", keys["hardware.b200"])
    yield _row("`[[tool.precgate.waive]]`", keys["waive[0]"])
    started = [keys[f"suites.{kind}.fp4"][1] for kind in STARTED]
    shared = tuple(key for key in started[0] if all(key in other for other in started))
    for kind in sorted(LEAST):
        required, optional = keys[f"suites.{kind}.fp4"]
        own = tuple(key for key in optional if key not in shared) if kind in STARTED else optional
        yield _row(f'a precision, [`engine = "{kind}"`]({ENGINE_PAGES[kind]})', (required, own))
    yield _row(f"a precision of {', '.join(f'`{kind}`' for kind in STARTED)}", ((), shared))


class _Flags:
    """What pytest's parser is asked to add."""

    def __init__(self) -> None:
        self.flags: list[tuple[str, dict[str, Any]]] = []
        self.ini: list[tuple[str, str, str]] = []

    def getgroup(self, *_: str) -> _Flags:
        return self

    def addoption(self, name: str, **about: Any) -> None:
        self.flags.append((name, about))

    def addini(self, name: str, about: str, default: str = "") -> None:
        self.ini.append((name, about, default))


def flags() -> Iterator[str]:
    """Yield pytest's flags and ini keys."""
    asked = _Flags()
    pytest_addoption(asked)  # type: ignore[arg-type]  # it answers the three calls that are made
    yield "| flag of pytest | does |"
    yield "|---|---|"
    for name, about in sorted(asked.flags, key=lambda flag: flag[0]):
        value = "\\|".join(about["choices"]) if "choices" in about else about.get("metavar", "")
        yield f"| `{name}{'=' if value else ''}{value}` | {about['help'].replace('%%', '%')} |"
    yield ""
    yield "| ini key of pytest | is | default |"
    yield "|---|---|---|"
    for name, text, default in sorted(asked.ini):
        yield f"| `{name}` | {text} | {f'`{default}`' if default else '-'} |"


def _subcommands(parser: argparse.ArgumentParser, path: str) -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            about = {each.dest: each.help or "" for each in action._choices_actions}
            for name, child in action.choices.items():
                inner = list(_subcommands(child, f"{path} {name}"))
                yield from inner or [(f"{path} {name}", child, about.get(name, ""))]


def commands() -> Iterator[str]:
    """Yield each subcommand with its arguments."""
    for path, parser, about in _subcommands(command_parser(), "precgate"):
        yield f"### `{path}`"
        yield ""
        yield f"{about[:1].upper()}{about[1:].rstrip('.')}."
        shown = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
        shown = [action for action in shown if action.help is not argparse.SUPPRESS]
        if shown:
            yield ""
            yield "| argument | is |"
            yield "|---|---|"
        for action in shown:
            yield f"| `{_spelled(action)}` | {(action.help or '-').replace('|', chr(92) + '|').replace('%%', '%')} |"
        yield ""


def _spelled(action: argparse.Action) -> str:
    value = action.metavar if isinstance(action.metavar, str) else ""
    if not value and action.choices:
        value = "\\|".join(map(str, action.choices))
    if not action.option_strings:
        return value or action.dest
    if action.nargs == 0:
        return ", ".join(action.option_strings)
    return f"{', '.join(action.option_strings)} {value or action.dest.upper()}"


def exit_codes() -> Iterator[str]:
    """Yield the codes of pytest, then those of the command, from the comments of their module."""
    yield "| exit code of pytest | means |"
    yield "|---|---|"
    for code, means in PYTEST_EXITS:
        yield f"| {code} | {means} |"
    yield ""
    yield "| exit code of `precgate` | means |"
    yield "|---|---|"
    source = inspect.getsource(exits)
    for name, code, about in re.findall(r'(?m)^(EXIT_\w+) = (\d+)(?:\n"""(.*?)""")?', source):
        yield f"| {code} | {about or name.removeprefix('EXIT_').lower()} |"


def api() -> Iterator[str]:
    """Yield the public names, each with the first sentence of its docstring."""
    yield "| name | is |"
    yield "|---|---|"
    for name in sorted(pytest_precgate.__all__):
        value = getattr(pytest_precgate, name)
        text = (
            " ".join((inspect.getdoc(value) or "-").split("\n\n")[0].split()).replace("``", "`").replace(":func:", "")
        )
        yield f"| `{name}` | {text} |"


def json_keys() -> Iterator[str]:
    """Yield the members of the JSON report, as runs of the examples write them."""
    members: dict[str, set[str]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, home / name)
        tests = ("examples_blocked", "examples/test_kimi_k2_b200_simulated.py")
        for number, extra in enumerate(((), ("--precgate-update", "--precgate-reason=reference"))):
            path = home / f"{number}.json"
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, *extra]
            command.append(f"--precgate-json={path}")
            run = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
            if not path.is_file():
                sys.exit(f"the examples wrote no JSON:\n{run.stdout}{run.stderr}")
            _note(json.loads(path.read_text(encoding="utf-8")), "", members)
    yield "| member | value |"
    yield "|---|---|"
    for member, kinds in sorted(members.items()):
        if kinds != {"object"}:
            yield f"| `{member}` | {' or '.join(sorted(kinds))} |"


def _note(value: object, path: str, members: dict[str, set[str]]) -> None:
    kinds = {dict: "object", list: "list", str: "text", bool: "true or false", int: "number", float: "number"}
    if path:
        members.setdefault(path, set()).add(kinds.get(type(value), "null"))
    if isinstance(value, dict):
        for key, member in value.items():
            _note(member, f"{path}.{key}" if path else key, members)
    for member in value if isinstance(value, list) else ():
        if isinstance(member, (dict, list)):
            _note(member, f"{path}[]", members)


PARTS = {
    "settings": settings,
    "flags": flags,
    "commands": commands,
    "exit codes": exit_codes,
    "json": json_keys,
    "api": api,
}


def marked(text: str, name: str, lines: Iterator[str]) -> str:
    """Return ``text`` with ``lines`` between the marks of ``name``; exit where a mark is missing."""
    start, end = f"<!-- {name}: written by tools/reference.py -->\n", f"<!-- end of {name} -->"
    head, found, rest = text.partition(start)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        sys.exit(f"{PAGE}: has no marks of {name!r}, wanted {start.strip()} and {end}")
    return f"{head}{start}\n{chr(10).join(lines).strip()}\n\n{end}{tail}"


def written(text: str, names: Sequence[str] = tuple(PARTS)) -> str:
    """Return the page with these parts as they are now."""
    for name in names:
        text = marked(text, name, PARTS[name]())
    return text


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(PAGE)
