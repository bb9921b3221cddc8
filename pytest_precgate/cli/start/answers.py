"""What ``precgate init`` is told, by its flags or on a terminal.

Input: parsed flags, and a function that asks a person, None without a terminal. Output: frozen answers.
Invariant: an answer is given or has a default that is shown; nothing is guessed, and all missing flags are named at
once."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar, cast

from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.documents import nearest
from pytest_precgate.engines.simulated.calibration import shipped
from pytest_precgate.errors import PrecgateError
from pytest_precgate.settings.tolerances import PRECISIONS

T = TypeVar("T")
Ci = Literal["github", "gitlab", "none"]
CI_KINDS: tuple[Ci, ...] = ("github", "gitlab", "none")
ENGINES: Mapping[str, str] = {
    "trtllm": "start trtllm-serve",
    "vllm": "start vllm serve",
    "endpoint": "load a server that runs already",
    "recorded": "read files of recorded points",
    "simulated": "a simulated GPU, to try this tool",
}
"""The engines that init writes settings for, and what they do. ``command`` needs a command line: docs/settings.md."""
STARTED = ("trtllm", "vllm")
QUARTILES = "quartiles"


@dataclass(frozen=True)
class Side:
    """One precision and its engine; ``values`` are the further keys of its table, in order."""

    precision: str
    engine: str
    values: Mapping[str, str | int | list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Answers:
    """A suite as it is to be written. ``points`` is None for the quartiles, ``range_ratio`` a share of the lengths."""

    suite: str
    hardware: str
    isl: int
    osl: int
    range_ratio: float
    points: tuple[float, ...] | None
    candidate: Side
    reference: Side
    ci: Ci

    @property
    def sides(self) -> tuple[Side, Side]:
        """The candidate, and what it is compared with."""
        return self.candidate, self.reference

    @property
    def starts_servers(self) -> bool:
        """Whether a run of the suite starts servers, which need GPUs."""
        return any(side.engine in STARTED for side in self.sides)


class Questions:
    """Asks for what the flags leave open. ``ask`` prints a question and returns the line that is typed, None where
    there is no terminal; ``say`` prints why a typed answer is none."""

    def __init__(self, ask: Callable[[str], str] | None, say: Callable[[str], None]) -> None:
        self._ask = ask
        self._say = say

    def begin(self) -> None:
        """Say what the answers to the question for engines mean, where a person is asked."""
        if self._ask is not None:
            self._say("Empty takes the answer in brackets. Engines:")
            for name, about in ENGINES.items():
                self._say(f"  {name:10} {about}")

    def value(self, flag: str, given: str | None, question: str, default: str | None, read: Callable[[str], T]) -> T:
        """Return what was given, what is answered, or the default; ``read`` raises ValueError for a bad one."""
        if given is not None:
            try:
                return read(given)
            except ValueError as exc:
                raise PrecgateError(f"{flag}: {exc}") from exc
        if self._ask is None:
            if default is None:
                raise _MissingError(flag)
            return read(default)
        while True:
            typed = self._ask(f"{question}{'' if default is None else f' [{default}]'}: ").strip() or default
            try:
                return read(typed or "")
            except ValueError as exc:
                self._say(f"  {exc}")


class _MissingError(PrecgateError):
    """A flag without a default was not given, and there is no terminal to ask at."""


def answers(options: argparse.Namespace, questions: Questions, found_ci: Ci | None) -> Answers:
    """Return the answers. ``found_ci`` is the CI that the repository shows. Raises PrecgateError for a bad value, or
    naming every flag that is missing."""
    precisions = _precisions(options.precisions)
    each = {name: _by_precision(name, getattr(options, name), precisions) for name in _PER_PRECISION}
    missing: list[str] = []
    questions.begin()

    def asked(flag: str, given: str | None, question: str, default: str | None, read: Callable[[str], T]) -> T:
        try:
            return questions.value(flag, given, question, default, read)
        except _MissingError:
            missing.append(flag)
            return cast(T, None)  # nothing is built of it: the missing flags are named below

    if options.suite is None:
        told = "a name for the suite, also of its baseline and test"
        options.suite = asked("SUITE", None, told, "-".join(precisions), _text)
    hardware = asked("--hardware", options.hardware, "hardware, a row of the price table", "b200", _text)
    sides = []
    for precision in precisions:
        given = {name: values.get(precision) for name, values in each.items()}
        sides.append(_side(precision, hardware, given, asked))
    lengths = "tokens of prompt, of output, and the least share of both that a request has"
    isl, osl, ratio = asked("--workload", options.workload, lengths, "1024,1024,0.8", _workload)
    at = "interactivity to gate, tok/s/user, as 55,73,91"
    points = asked("--points", options.points, at, QUARTILES, _points)
    ci = asked("--ci", options.ci, f"a CI job: {', '.join(CI_KINDS)}", found_ci or "none", _ci)
    if missing:
        raise PrecgateError(
            f"init asks on a terminal only; here give {', '.join(missing)} (for one precision: "
            f"--engine {precisions[0]}=KIND); 'precgate init --help' has an example"
        )
    return Answers(options.suite, hardware, isl, osl, ratio, points, sides[0], sides[1], ci)


_PER_PRECISION = ("engine", "model", "gpus", "url", "recorded", "calibration")
_Asked = Callable[[str, "str | None", str, "str | None", Callable[[str], T]], T]


def _side(precision: str, hardware: str, given: Mapping[str, str | None], asked: _Asked[object]) -> Side:
    engine = asked(
        f"--engine {precision}=KIND", given["engine"], f"engine of {precision}: {', '.join(ENGINES)}", None, _engine
    )
    values: dict[str, str | int | list[str]] = {}

    def add(key: str, flag: str, question: str, default: str | None, read: Callable[[str], object]) -> None:
        spelled = f"--{flag} {precision}={flag.upper()}"
        found = asked(spelled, given[flag], f"{precision}: {question}", default, read)
        values[key] = cast("str | int | list[str]", found)

    if engine == "endpoint":
        add("url", "url", "address of the server, as http://host:8000", None, _text)
    if engine in (*STARTED, "endpoint"):
        add("model", "model", "model, a directory or a name on the hub", None, _text)
        add("gpus", "gpus", "GPUs of one server", None, _count)
    if engine == "recorded":
        add("path", "recorded", "file of points, or a pattern", None, _text)
    if engine == "simulated":
        shipped_one = _calibration(precision, hardware)
        if given["calibration"] is None and shipped_one is not None:
            values["calibration"] = shipped_one
        else:
            add("calibration", "calibration", "calibration, a shipped name or a .json file", None, _text)
    unused = [flag for flag in _PER_PRECISION[1:] if given[flag] is not None and flag not in _USED[str(engine)]]
    if unused and engine is not None:
        raise PrecgateError(
            f"--{unused[0]}: engine {engine} of {precision} has no such setting; leave it out, or give it for the "
            f"other precision alone, as --{unused[0]} PRECISION=VALUE"
        )
    return Side(precision, str(engine), values)


_USED: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(STARTED, ("model", "gpus")),
    "endpoint": ("url", "model", "gpus"),
    "recorded": ("recorded",),
    "simulated": ("calibration",),
    "None": _PER_PRECISION,
}


def _calibration(precision: str, hardware: str) -> str | None:
    """The only shipped calibration of a precision on a hardware."""
    names = [name for name, each in shipped().items() if each.hardware == hardware and precision in name.split("-")]
    return names[0] if len(names) == 1 else None


def _precisions(text: str) -> tuple[str, str]:
    names = tuple(name.strip() for name in text.split(","))
    unknown = [name for name in names if name not in PRECISIONS]
    if unknown or len(set(names)) != 2 or len(names) != 2:
        raise PrecgateError(
            f"--precisions: got {text!r}, wanted two, as fp4,int4: the candidate and what it is compared with (known: "
            f"{', '.join(PRECISIONS)})"
        )
    return names[0], names[1]


def _by_precision(flag: str, given: Sequence[str], precisions: Sequence[str]) -> dict[str, str]:
    """Sort ``fp4=VALUE`` by precision; a value without a precision is of both."""
    found: dict[str, str] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if separator and name in PRECISIONS:
            if name not in precisions:
                raise PrecgateError(f"--{flag} {text}: the suite has no {name}; it has {' and '.join(precisions)}")
            found[name] = value
        else:
            found = {**dict.fromkeys(precisions, text), **found}
    return found


def _text(text: str) -> str:
    if not text.strip() or any(character < " " or character == "\x7f" for character in text):
        raise ValueError(f"got {text!r}, wanted a text of one line")
    return text


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text[:9]) < 1:
        raise ValueError(f"got {text!r}, wanted a whole number above 0")
    return int(text)


def _engine(text: str) -> str:
    if text not in ENGINES:
        raise ValueError(f"got {text!r}; {nearest(text, ENGINES)}")
    return text


def _ci(text: str) -> Ci:
    for known in CI_KINDS:
        if text == known:
            return known
    raise ValueError(f"got {text!r}, wanted one of {', '.join(CI_KINDS)}")


def _workload(text: str) -> tuple[int, int, float]:
    cells = text.split(",")
    try:
        isl, osl, ratio = int(cells[0]), int(cells[1]), float(cells[2]) if len(cells) > 2 else 1.0
    except (ValueError, IndexError):
        cells = []
    if len(cells) not in (2, 3):
        raise ValueError(f"got {text!r}, wanted ISL,OSL or ISL,OSL,RATIO, as 1024,1024,0.8")
    return isl, osl, ratio


def _points(text: str) -> tuple[float, ...] | None:
    if text == QUARTILES:
        return None
    try:
        return tuple(float(cell) for cell in text.split(","))
    except ValueError:
        raise ValueError(f"got {text!r}, wanted numbers of tok/s/user, as 55,73,91, or {QUARTILES}") from None


def hardware_names() -> str:
    """Return the hardware that has a price, for the help."""
    return ", ".join(HARDWARE)
