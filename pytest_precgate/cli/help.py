"""The help of the command: groups of commands, one example each, at 80 columns.

Input: the parsers of all commands. Output: the same, with their help finished. Invariant: a command that no group names
is listed all the same, at the end."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_WIDTH = 76
_COLUMN = 18

GROUPS: Sequence[tuple[str, Sequence[str]]] = (
    ("start", ("init", "doctor", "completion")),
    ("runs and points", ("show", "report", "open", "compare", "history")),
    ("noise and baselines", ("noise", "baseline")),
    ("other tools, and the simulation", ("import", "export", "calibrate", "serve-simulated", "schema")),
)
EXAMPLES: Mapping[str, str] = {
    "init": "precgate init demo --engine simulated --points 55,73,91",
    "doctor": "precgate doctor kimi-k2-b200",
    "completion": "precgate completion fish > ~/.config/fish/completions/precgate.fish",
    "show": "precgate show latest",
    "report": "precgate report latest -o report.html",
    "open": "precgate open",
    "compare": "precgate compare points.csv:fp4 points.csv:int4 --at 55,73,91",
    "history": "precgate history kimi-k2-b200 -o history.html",
    "schema": "precgate schema > report.schema.json",
    "noise": "precgate noise kimi-k2-b200 --launches 5",
    "baseline": "precgate baseline show kimi-k2-b200",
    "baseline show": "precgate baseline show kimi-k2-b200",
    "baseline check": "precgate baseline check",
    "baseline prune": "precgate baseline prune --reason 'suite retired with the H100'",
    "import": "precgate import 'raw/*.json' -o points.csv --gpus 4 --precision fp4",
    "export": "precgate export --suite kimi-k2-b200 --format inferencex -o points.json",
    "calibrate": "precgate calibrate points.csv:fp4 --out fp4.json",
    "serve-simulated": "precgate serve-simulated --port 8000 --speed 10",
}
_FIRST = (
    "A new repository: 'precgate init', which asks; then the command that it prints. "
    "'precgate COMMAND --help' has the options and an example."
)


def finish(parser: argparse.ArgumentParser, commands: _Commands) -> None:
    """Group the commands in the help of ``parser``, and add an example to the help of each command."""
    parser.usage = "precgate [-h] [--version] COMMAND ..."
    parser.epilog = "\n\n".join([*_grouped(commands), _wrapped(_FIRST), _wrapped(parser.epilog or "")])
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    for path, command in walked(commands):
        _exemplify(command, EXAMPLES.get(path))


def walked(commands: _Commands, above: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield every command and action with its words, ``baseline show``."""
    for name, command in commands.choices.items():
        path = f"{above} {name}".strip()
        yield path, command
        for nested in actions_of(command):
            yield from walked(nested, path)


def actions_of(command: argparse.ArgumentParser) -> list[_Commands]:
    """Return the actions of a command, one at most."""
    return [each for each in command._actions if isinstance(each, argparse._SubParsersAction)]


def abouts(commands: _Commands) -> dict[str, str]:
    """Return the line of help of each command."""
    return {each.dest: each.help or "" for each in commands._choices_actions}


def _grouped(commands: _Commands) -> Iterator[str]:
    about = abouts(commands)
    grouped = {name for _, names in GROUPS for name in names}
    others = [name for name in commands.choices if name not in grouped]
    for title, names in (*GROUPS, ("other", others)):
        rows = [f"  {name:{_COLUMN}}{about.get(name, '')}" for name in names if name in commands.choices]
        if rows:
            yield "\n".join([f"{title}:", *rows])


def _exemplify(command: argparse.ArgumentParser, example: str | None) -> None:
    is_raw = command.formatter_class is argparse.RawDescriptionHelpFormatter
    if not is_raw:
        command.description = _wrapped(command.description or "")
        command.epilog = _wrapped(command.epilog or "")
        for group in command._action_groups:
            group.description = _wrapped(group.description or "") or None
        command.formatter_class = argparse.RawDescriptionHelpFormatter
    shown = "" if example is None else f"example:\n  {example}"
    command.epilog = "\n\n".join(text for text in (shown, command.epilog) if text)


def _wrapped(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), _WIDTH, break_long_words=False, break_on_hyphens=False)
