"""``precgate completion``: prints a script that completes the command in bash, zsh or fish.

Input: the parsers of all commands. Output: a script. Invariant: the script starts no Python: suites are read from the
settings by sed and runs are a directory's names, so that a key press takes milliseconds."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_precgate.cli.exits import EXIT_DONE
from pytest_precgate.cli.help import abouts, actions_of

SHELLS = ("bash", "zsh", "fish")
_FILES = ("FILE", "PATH", "DIR", "POINTS", "CANDIDATE", "REFERENCE", "SOURCE")


@dataclass(frozen=True)
class Values:
    """What a word may be: one of ``words``, or of what the directory holds, or a file; nothing of it for a number."""

    words: tuple[str, ...] = ()
    held: Literal["", "suites", "runs"] = ""
    files: bool = False


@dataclass(frozen=True)
class Option:
    """One option with all its spellings; ``values`` is None for a flag."""

    flags: tuple[str, ...]
    about: str
    values: Values | None


@dataclass(frozen=True)
class Command:
    """One command: its words, its actions with a line about each, its options, what its arguments may be."""

    path: str
    actions: dict[str, str]
    options: tuple[Option, ...]
    arguments: Values


def add_completion(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], whole: argparse.ArgumentParser
) -> None:
    """Add the command to the others; ``whole`` is the parser that it completes."""
    about = "Print a script that completes commands, options, suites and runs. It starts no Python."
    parser = commands.add_parser("completion", help="print a script that completes this command", description=about)
    parser.add_argument("shell", choices=SHELLS, help="the shell to print it for")

    def run(options: argparse.Namespace) -> int:
        print(script(whole, options.shell), end="")
        return EXIT_DONE

    parser.set_defaults(run=run)


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the script for one of SHELLS."""
    known = list(read(parser, ""))
    lines = {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](known)
    return "\n".join(lines) + "\n"


def read(parser: argparse.ArgumentParser, path: str) -> Iterator[Command]:
    """Yield a parser's command and those below it."""
    options, arguments = [], Values()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) or action.help == argparse.SUPPRESS:
            continue
        if action.option_strings:
            takes = None if action.nargs == 0 else _values(action)
            options.append(Option(tuple(action.option_strings), _about(action.help), takes))
        else:
            each = _values(action)
            held = each.held or arguments.held
            arguments = Values((*arguments.words, *each.words), held, arguments.files or each.files)
    nested = actions_of(parser)
    yield Command(path, abouts(nested[0]) if nested else {}, tuple(options), arguments)
    for name, command in nested[0].choices.items() if nested else ():
        yield from read(command, f"{path} {name}".strip())


def _values(action: argparse.Action) -> Values:
    """By its choices, else by its metavar."""
    if action.choices is not None:
        return Values(tuple(map(str, action.choices)))
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    if "SUITE" in metavar or "--suite" in action.option_strings:
        return Values(held="suites")
    is_run = "RUN" in metavar or "SOURCE" in metavar
    return Values(held="runs" if is_run else "", files=any(word in metavar for word in _FILES))


def _about(text: str | None) -> str:
    """The first clause of a help."""
    return re.split(r"[;:] ", (text or "").replace("%%", "%"))[0]


# --- bash and zsh -----------------------------------------------------------------------------------------------------

_SUITES = r"s/^\[\(tool\.precgate\.\)\{0,1\}suites\.\([A-Za-z0-9_-]\{1,\}\)\] *\(#.*\)\{0,1\}$/\2/p"
_READ_SUITES = f"sed -n '{_SUITES}' precgate.toml pyproject.toml 2>/dev/null"
_HELD = f"""
_precgate_suites() {{
    {_READ_SUITES}
}}
_precgate_runs() {{
    [ -d .precgate/runs ] && ls .precgate/runs && echo latest
}}
""".strip()


def _bash(known: Sequence[Command]) -> Iterator[str]:
    yield "# Completes precgate in bash: source this file, or put it into ~/.local/share/bash-completion/completions/"
    yield _HELD
    yield "_precgate() {"
    yield '    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" command="" part words=""'
    yield '    [ "$before" = "=" ] && before="${COMP_WORDS[COMP_CWORD-2]}"'
    yield '    [ "$word" = "=" ] && word=""'
    yield '    for part in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do'
    yield from _stepping(known)
    yield "    done"
    yield from _choosing(known)
    yield '    COMPREPLY=($(compgen -W "$words" -- "$word"))'
    yield "}"
    yield "complete -o bashdefault -o default -F _precgate precgate"


def _zsh(known: Sequence[Command]) -> Iterator[str]:
    yield "#compdef precgate"
    yield "# Completes precgate in zsh: a file _precgate in a directory of $fpath, or source it after compinit."
    yield _HELD
    yield "_precgate() {"
    yield '    local before="${words[CURRENT-1]}" command="" part found=""'
    yield '    for part in "${(@)words[2,CURRENT-1]}"; do'
    yield from _stepping(known)
    yield "    done"
    yield from (line.replace("words=", "found=") for line in _choosing(known))
    yield "    compadd -- ${=found}"
    yield "    [[ -n $files ]] && _files"
    yield "    return 0"
    yield "}"
    yield "(( $+functions[compdef] )) && compdef _precgate precgate"


def _stepping(known: Sequence[Command]) -> Iterator[str]:
    """Lines that find the command among the words before."""
    steps = "|".join(shlex.quote(f"{each.path}>{name}") for each in known for name in each.actions)
    yield f'        case "$command>$part" in {steps}) command="${{command:+$command }}$part" ;; esac'


def _choosing(known: Sequence[Command]) -> Iterator[str]:
    """Lines that set the words that may follow, and whether files may."""
    yield '    local files=""'
    yield '    case "$command>$before" in'
    for each in known:
        for option in each.options:
            if option.values is not None:
                spelled = "|".join(shlex.quote(f"{each.path}>{flag}") for flag in option.flags)
                yield f"        {spelled}) {_set(option.values)} ;;"
    yield '        *) case "$command" in'
    for each in known:
        flags = " ".join([*each.actions, *(flag for option in each.options for flag in option.flags)])
        yield f"            {shlex.quote(each.path)}) {_set(each.arguments, flags)} ;;"
    yield "        esac ;;"
    yield "    esac"


def _set(values: Values, flags: str = "") -> str:
    words = " ".join(filter(None, [*values.words, flags, f"$(_precgate_{values.held})" if values.held else ""]))
    return f'words="{words}"; files={"yes" if values.files else ""}'


# --- fish -------------------------------------------------------------------------------------------------------------

_FISH = f"""
function __precgate_suites
    {_READ_SUITES}
end
function __precgate_runs
    test -d .precgate/runs; and ls .precgate/runs; and echo latest
end
""".strip()


def _fish(known: Sequence[Command]) -> Iterator[str]:
    yield "# Completes precgate in fish: put this file as precgate.fish into ~/.config/fish/completions/"
    yield _FISH
    yield "function __precgate_at"
    yield "    set -l command ''"
    yield "    for part in (commandline -opc)[2..-1]"
    steps = " ".join(_fished(f"{each.path}>{name}") for each in known for name in each.actions)
    yield f'        contains -- "$command>$part" {steps}; and set command (string trim "$command $part")'
    yield "    end"
    yield '    test "$command" = "$argv"'
    yield "end"
    yield "complete -c precgate -f"
    for each in known:
        at = f"complete -c precgate -n {_fished(f'__precgate_at {_fished(each.path)}')}"
        for name, about in each.actions.items():
            yield f"{at} -a {name} -d {_fished(about)}"
        if each.arguments.files:
            yield f"{at} -F"
        if each.arguments != Values(files=each.arguments.files):
            yield f"{at} -a {_fish_words(each.arguments)}"
        for option in each.options:
            names = " ".join(f"-{'l' if flag.startswith('--') else 's'} {flag.lstrip('-')}" for flag in option.flags)
            takes = "" if option.values is None else " -r -F" if option.values.files else " -x"
            words = "" if option.values in (None, Values(), Values(files=True)) else f" -a {_fish_words(option.values)}"
            yield f"{at} {names}{takes}{words} -d {_fished(option.about)}"


def _fish_words(values: Values | None) -> str:
    assert values is not None
    return _fished(" ".join([*values.words, *([f"(__precgate_{values.held})"] if values.held else [])]))


def _fished(text: str) -> str:
    """Quoted for fish, where a backslash in single quotes escapes itself and the quote."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
