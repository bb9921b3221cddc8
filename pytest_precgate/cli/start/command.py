"""``precgate init``: asks, checks, writes a suite with its test and CI job, and says the next command.

Input: flags, or answers on a terminal. Output: files, and text. Invariant: nothing is written before the settings were
read, the preflight has passed (or was left out) and the run was planned; an error leaves no file."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_precgate.cli.exits import EXIT_DONE, EXIT_INTERRUPTED
from pytest_precgate.cli.output import print_lines, width
from pytest_precgate.cli.preflight import preflight, problems
from pytest_precgate.cli.start.answers import (
    CI_KINDS,
    ENGINES,
    Answers,
    Questions,
    answers,
    hardware_names,
)
from pytest_precgate.cli.start.planned import plan
from pytest_precgate.cli.start.written import Changes, changes, found_ci, settings_file, write
from pytest_precgate.errors import PrecgateError
from pytest_precgate.reports.plan import lines
from pytest_precgate.settings import Suite, load, read_text
from pytest_precgate.text import printable_lines

Ask = Callable[[str], str]
_PRECISION = "[PRECISION=]"


def add_init(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the others."""
    about = (
        "Write the first suite of a repository: its settings (pyproject.toml or precgate.toml), its test "
        "(perf/test_SUITE.py), a CI job and a line of .gitignore. On a terminal it asks for what the flags leave open. "
        "Before anything is written the settings are read, the engines are checked as before a start, and the first "
        "run is planned. A file that is there is appended to (settings, .gitignore) or left, never overwritten."
    )
    parser = commands.add_parser("init", help="write a suite, its test and a CI job", description=about)
    parser.add_argument("suite", metavar="SUITE", nargs="?", help="its name; default: the two precisions, as fp4-int4")
    parser.add_argument(
        "--precisions", metavar="A,B", default="fp4,int4", help="the candidate, and what it is compared with"
    )
    parser.add_argument("--hardware", metavar="NAME", help=f"default b200; known: {hardware_names()}")
    each = parser.add_argument_group(
        "engines", "A value is of both precisions, or of one: --gpus fp4=4 --gpus int4=8. Give each flag again."
    )
    for flag, value, text in (
        ("engine", "KIND", f"one of {', '.join(ENGINES)}"),
        ("model", "MODEL", "of trtllm, vllm, endpoint: a directory or a name on the hub"),
        ("gpus", "N", "of trtllm, vllm, endpoint: GPUs of one server"),
        ("url", "URL", "of endpoint: as http://host:8000"),
        ("recorded", "FILE", "of recorded: a file of points, or a pattern"),
        ("calibration", "NAME", "of simulated: default the one that ships for the hardware"),
    ):
        each.add_argument(f"--{flag}", metavar=f"{_PRECISION}{value}", action="append", default=[], help=text)
    parser.add_argument("--workload", metavar="ISL,OSL[,RATIO]", help="tokens; default 1024,1024,0.8")
    parser.add_argument("--points", metavar="X,Y,Z", help="tok/s/user to gate; default: quartiles of the shared band")
    parser.add_argument("--ci", choices=CI_KINDS, help="the CI job; default: by what the repository has")
    parser.add_argument(
        "--no-preflight", action="store_true", help="the suite runs on another machine: do not check engines here"
    )
    parser.set_defaults(run=_init)


def _init(options: argparse.Namespace) -> int:
    ask = _typed if sys.stdin.isatty() and sys.stdout.isatty() else None
    try:
        return initialise(options, Path.cwd(), ask)
    except KeyboardInterrupt:
        print("\nprecgate: interrupted; nothing was written", file=sys.stderr)
        return EXIT_INTERRUPTED


def _typed(question: str) -> str:
    try:
        return input(question)
    except EOFError as exc:
        raise PrecgateError("the questions were not answered; nothing was written") from exc


def initialise(options: argparse.Namespace, root: Path, ask: Ask | None) -> int:
    """Do what the command does in ``root``; ``ask`` is None without a terminal. Raises PrecgateError."""
    known = load(root).suites  # settings that cannot be read are named before a person answers questions
    told = answers(options, Questions(ask, print), found_ci(root))
    if told.suite in known:
        raise PrecgateError(
            f"suite {told.suite} is configured in {settings_file(root).name} already, and stays as it is; nothing was "
            "written. Give the new suite another name, or edit that one"
        )
    planned = changes(told, root)
    suite = read_text(planned.settings.path, planned.settings.text).suite(told.suite, "init")
    _check(suite, root, skip=options.no_preflight, ask=ask)
    test = planned.test.relative_to(root)
    plans = plan(suite, f"{test}::test_{told.candidate.precision}_pays_off", root)
    write(planned.writes)
    for text in _done(planned, root):
        print(printable_lines(text))
    print("\nWhat recording its baseline takes:")
    print_lines(lines(plans, width()))
    for text in _next(told, planned, root, checked=not options.no_preflight):
        print(text)
    return EXIT_DONE


def _check(suite: Suite, root: Path, *, skip: bool, ask: Ask | None) -> None:
    """Refuse what cannot start here; a person may have the files all the same, for another machine."""
    if skip:
        return
    lacking = [f"  {what}: {each}" for what, found in problems(suite, root, os.environ) for each in found]
    if not lacking:
        preflight(suite, root, os.environ, lambda text: print(f"precgate: {text}", file=sys.stderr))
        return
    if ask is not None:
        print(printable_lines("\n".join(["the suite cannot run on this machine:", *lacking])))
        if ask("Write the files all the same, for another machine? [y/N]: ").strip().lower() in ("y", "yes"):
            return
    raise PrecgateError(
        "\n".join(
            [
                "the suite cannot run on this machine, and nothing was written:",
                *lacking,
                "Give --no-preflight where it runs on another machine.",
            ]
        )
    )


def _done(planned: Changes, root: Path) -> Sequence[str]:
    rows = [
        f"{'appended to' if change.before is not None else 'wrote':12}{change.path.relative_to(root)}"
        for change in planned.writes
    ]
    return [*rows, *(f"{'left':12}{text}" for text in planned.left)]


def _next(told: Answers, planned: Changes, root: Path, *, checked: bool) -> Sequence[str]:
    test = shlex.quote(str(planned.test.relative_to(root)))
    added = " ".join([*(shlex.quote(str(change.path.relative_to(root))) for change in planned.writes), "baselines"])
    there = "" if checked else " (on the machine that is measured: precgate doctor first)"
    found = [
        "",
        f"Next{there}:",
        f"  pytest {test} --precgate-update",
        f"      measures, and writes baselines/{told.suite}.json",
        f"  git add {added}",
        "  pytest perf/",
        "      from then on: exit 1 when a gate is worse than its baseline",
    ]
    if told.candidate.engine == "simulated":
        where = planned.settings.path.name
        found.append(f"To see it fail, take the # before slowdown in {where} away and run pytest perf/.")
    return found
