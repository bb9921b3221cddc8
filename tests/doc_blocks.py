"""The code blocks of the pages, and the settings that a block of TOML stands for.

Input: Markdown. Output: blocks with their place. Invariant: a block of a language that is not in LANGUAGES is
refused, so that none goes unchecked.

The first line of a block may name the file that the block is: `# test_serving.py`."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sybil import Document
from sybil.parsers.markdown import CodeBlockParser

from tests.published import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
LANGUAGES = ("python", "toml", "console", "sh", "yaml", "json", "text", "mermaid", "{toctree}")
_FILE = re.compile(r"\A# ([\w./-]+\.(?:py|toml|yml|yaml))\n")
_PRECISIONS = ("fp4", "int4", "fp8", "int8", "bf16", "fp16")
_SUITE_KEYS = (*_PRECISIONS, "interactivity", "workload", "hardware")
_SUITE = {"hardware": "b200", "workload": {"isl": 1024, "osl": 1024, "range_ratio": 0.8}, "interactivity": [55, 73, 91]}
_ENDPOINT = {"engine": "endpoint", "url": "http://127.0.0.1:8000", "model": "m", "gpus": 4}


@dataclass(frozen=True)
class Block:
    """One code block: its page, line, language and text."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file that the block is, None where it is a part of one."""
        found = _FILE.match(self.text)
        return found[1] if found else None

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command line of a console or sh block, without prompts, comments and output."""
        lines = self.text.replace("\\\n", " ").splitlines()
        if self.language == "console":
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def _refuse(example: object) -> None:
    raise AssertionError(f"{example}: blocks are checked by the tests that ask for them")


@cache
def blocks(page: Path) -> tuple[Block, ...]:
    """Return the blocks of a page in their order."""
    document = Document.parse(str(page), *(CodeBlockParser(re.escape(name), _refuse) for name in LANGUAGES))
    found = [
        Block(page, example.line, example.region.lexemes["arguments"], str(example.parsed))
        for example in document.examples()
    ]
    return tuple(sorted(found, key=lambda block: block.line))


def of(*languages: str) -> list[Block]:
    """Return the blocks of all pages in these languages."""
    return [block for page in PAGES for block in blocks(page) if block.language in languages]


def table(block: Block) -> dict[str, object]:
    """Return the table that the block is of, completed to one that the settings reader takes.

    A block that begins with keys continues the page's block before it, as a person reads it: keys of a suite, or of
    its precision. A suite without the required keys gets those of the example, and other precisions of a server."""
    read = tomllib.loads(block.text)
    tool = read.get("tool", {}).get("precgate")
    if tool is None:
        found = [_precision_before(block)] if not set(read) & set(_SUITE_KEYS) else []
        engine = {**found[0], **read} if found else {}
        if "nodes" in read:  # other GPUs than the block before has
            engine = {key: value for key, value in engine.items() if key not in ("devices", "tp", "pp", "ep")}
        tool = {"suites": {"mine": {"fp4": engine} if found else read}}
    elif bare := {key: value for key, value in read.items() if key != "tool"}:
        suite, precision = _place(tool)
        tool["suites"][suite][precision] = {**_precision_before(block), **bare, **tool["suites"][suite][precision]}
    suites = tool.setdefault("suites", {})
    for waiver in tool.get("waive", []):
        suites.setdefault(waiver["suite"], {})
        waiver["reason"] = waiver["reason"].replace("...", "the reader's own")
    for suite in suites.values():
        _complete(suite)
    return dict(tool)


def _complete(suite: dict[str, object]) -> None:
    for key, value in _SUITE.items():
        suite.setdefault(key, value)
    paired = suite.get("paired", {})
    assert isinstance(paired, Mapping)
    started = {"engine": "trtllm", "model": "m", "gpus": 4}
    for side in paired.values():
        for precision in side:
            suite.setdefault(precision, dict(started))
    precisions = [name for name in _PRECISIONS if name in suite]
    for name in precisions:
        engine = suite[name]
        assert isinstance(engine, dict)
        is_recorded = not paired and ("path" in engine or "configurations" in engine)
        engine.setdefault("engine", "recorded" if is_recorded else "trtllm")
        if engine["engine"] in ("trtllm", "vllm"):
            engine.setdefault("model", "m")
            engine.setdefault("gpus", 4)
        if "configurations" in engine and engine["engine"] == "recorded":
            engine.setdefault("path", "points.csv")
    for name in ("fp4", "int4"):
        if len(precisions) < 2 and name not in precisions:
            suite[name] = dict(_ENDPOINT)
            precisions.append(name)


def _place(tool: Mapping[str, dict[str, dict[str, object]]]) -> tuple[str, str]:
    suite = next(iter(tool["suites"]))
    return suite, next(name for name in _PRECISIONS if name in tool["suites"][suite])


def _precision_before(block: Block) -> dict[str, object]:
    """The precision of the page's first block of TOML, a server's where there is none."""
    first = next(each for each in blocks(block.page) if each.language == "toml")
    if first.line == block.line:
        return dict(_ENDPOINT)
    tool = tomllib.loads(first.text)["tool"]["precgate"]
    suite, precision = _place(tool)
    return dict(tool["suites"][suite][precision])
