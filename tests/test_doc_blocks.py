"""Every code block of the pages is checked: settings are read, commands are parsed, Python compiles."""

from __future__ import annotations

import ast
import importlib
import json
import re
from pathlib import Path

import pytest
import yaml

from pytest_precgate.cli import command_parser
from pytest_precgate.documents import Node
from pytest_precgate.errors import SettingsError
from pytest_precgate.settings import settings_from
from tests.doc_blocks import LANGUAGES, PAGES, Block, of, table
from tests.published import ROOT
from tools import reference

# Programs of others, and of the shell: not checked further.
OTHERS = {
    "cp",
    "cd",
    "git",
    "mkdir",
    "echo",
    "trtllm-serve",
    "vllm",
    "llama-server",
    "pip",
    "source",
    "docker",
    "enroot",
    "sed",
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_has_a_language_that_is_checked(page: Path) -> None:
    """No indented block and no bare fence, which nothing would check."""
    lines = page.read_text(encoding="utf-8").splitlines()
    fences = [line.strip().removeprefix("```") for line in lines if line.strip().startswith("```")]
    assert [name for name in fences[0::2] if name not in LANGUAGES] == []
    assert [name for name in fences[1::2] if name] == []
    text = re.sub(r"(?ms)^ *```.*?^ *```$", "", "\n".join(lines))
    assert re.findall(r"(?m)\n\n(?![-*\d ])[^\n]+\n\n {4}\S.*$", text) == []


@pytest.mark.parametrize("block", of("toml"), ids=str)
def test_settings_are_read(block: Block, tmp_path: Path) -> None:
    """Each suite of a page is one the settings reader takes, at the names and with the values that are written."""
    if "[tool.pytest.ini_options]" in block.text:
        return
    settings = settings_from(Node(table(block), str(block), "tool.precgate", SettingsError), tmp_path)
    assert settings.suites


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_python_compiles_and_imports_what_exists(block: Block) -> None:
    """What a block imports from the package is there; whether it runs is for the pages that are run."""
    text = f"{block.text}\ndef _of_mark(): ...\n" if block.text.startswith("@") else block.text
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pytest_precgate"):
            module = importlib.import_module(node.module or "")
            assert [name.name for name in node.names if not hasattr(module, name.name)] == []


@pytest.mark.parametrize("block", of("yaml", "json"), ids=str)
def test_documents_parse(block: Block) -> None:
    """JSON and YAML are what they say."""
    assert json.loads(block.text) if block.language == "json" else yaml.safe_load(block.text)


def pytest_flags() -> set[str]:
    """The plugin's own flags."""
    return set(re.findall(r"--precgate-[a-z-]*[a-z]", (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")))


@pytest.mark.parametrize("block", of("sh", "console"), ids=str)
def test_commands_are_ones_that_exist(block: Block) -> None:
    """Subcommands, flags, targets of make and scripts; a program that nobody has named is refused."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for words in block.commands:
        program, *arguments = words
        name = program.rpartition("/")[2]
        if name == "precgate":
            command_parser().parse_args([word for word in arguments if not re.fullmatch(r"[|>].*", word)])
        elif name == "pytest" or arguments[:2] == ["-m", "pytest"]:
            given = {word.partition("=")[0] for word in arguments if word.startswith("--precgate")}
            assert given <= pytest_flags()
        elif name == "make":
            targets = {word for word in arguments if "=" not in word}
            assert targets <= set(re.findall(r"(?m)^\.PHONY:(.*)$", makefile)[0].split())
        elif name.startswith("python") and arguments[:1] != ["-m"]:
            script = (ROOT / arguments[0]).read_text(encoding="utf-8")
            assert [word for word in arguments[1:] if word.startswith("--") and word not in script] == []
        else:
            assert name in OTHERS or name.startswith("python"), words


def test_the_reference_is_what_the_readers_and_parsers_have() -> None:
    """`python tools/reference.py` writes it again; its table of JSON is compared where runs are cheap."""
    text = reference.PAGE.read_text(encoding="utf-8")
    assert reference.written(text, [name for name in reference.PARTS if name != "json"]) == text


@pytest.mark.docs
def test_the_reference_of_the_json_report_is_what_runs_write() -> None:
    """Members and kinds of value."""
    text = reference.PAGE.read_text(encoding="utf-8")
    assert reference.written(text, ["json"]) == text
