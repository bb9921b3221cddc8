"""One reader for everything a person or a file tells us: each key is known or refused by name, and every
refusal points at the spot. TOML settings, marks, JSON baselines and recorded points all go through it."""

from __future__ import annotations

import difflib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import NoReturn

from pytest_precgate.errors import DocumentError, InvalidValueError


def strict_json(text: str, refuse: Callable[[str], NoReturn], *, allow_constants: bool = False) -> object:
    """Return what JSON text holds; ``refuse`` is told of NaN, infinities, and a key that stands twice in one place.

    ``allow_constants`` lets NaN and infinities through, for files of other tools in which they mark what is not a
    measurement. Raises json.JSONDecodeError for text that is no JSON, ValueError for a number of thousands of digits,
    RecursionError for nesting deeper than the interpreter allows.
    """

    def constant(name: str) -> NoReturn:
        refuse(f"holds {name}, which is no measurement")

    def pairs(members: list[tuple[str, object]]) -> dict[str, object]:
        table = dict(members)
        if len(table) != len(members):
            times = Counter(name for name, _ in members)
            twice = next(name for name, number in times.items() if number > 1)
            refuse(f"holds the key {twice!r} twice in one place: a merge gone wrong?")
        return table

    return json.loads(text, parse_constant=None if allow_constants else constant, object_pairs_hook=pairs)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``known: a, b, c``, led by the nearest known name when one is close."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(names) if names else 'none'}"


@dataclass(frozen=True)
class Node:
    """A value inside a document, with the place it stands at.

    ``error`` is the leaf raised by every refusal, so that a baseline and a setting fail as what they are.
    """

    value: object
    source: str
    spot: str
    error: type[DocumentError]

    def fail(self, why: str) -> NoReturn:
        """Refuse this node, naming source and spot."""
        raise self.error(self.source, self.spot, why)

    def child(self, key: str | int, value: object) -> Node:
        """Return the node of one member."""
        step = f"[{key}]" if isinstance(key, int) else f".{key}" if self.spot else key
        return Node(value, self.source, f"{self.spot}{step}", self.error)

    @contextmanager
    def building(self) -> Iterator[None]:
        """Turn the refusal of a value built from this node into a refusal at this spot."""
        try:
            yield
        except InvalidValueError as exc:
            raise self.error(self.source, self.spot, str(exc)) from exc

    def mapping(self) -> dict[str, Node]:
        """Return the members of a table whose keys are free names."""
        if not isinstance(self.value, Mapping):
            self.fail(f"got {_shown(self.value)}, wanted a table")
        return {str(key): self.child(str(key), value) for key, value in self.value.items()}

    def table(self, *, required: Iterable[str] = (), optional: Iterable[str] = ()) -> dict[str, Node]:
        """Return the members of a table with a fixed set of keys; unknown and missing ones are refused by name."""
        members = self.mapping()
        needed = tuple(required)
        known = (*needed, *optional)
        for key in members:
            if key not in known:
                self.fail(f"unknown key {key!r}; {nearest(key, known)}")
        for key in needed:
            if key not in members:
                self.child(key, None).fail("required field missing")
        return members

    def items(self) -> list[Node]:
        """Return the members of a list."""
        if not isinstance(self.value, (list, tuple)):
            self.fail(f"got {_shown(self.value)}, wanted a list")
        return [self.child(index, value) for index, value in enumerate(self.value)]

    def text(self) -> str:
        """Return a non-empty string."""
        if not isinstance(self.value, str) or not self.value.strip():
            self.fail(f"got {_shown(self.value)}, wanted a non-empty text")
        return self.value

    def choice(self, known: Iterable[str]) -> str:
        """Return a string out of a fixed set."""
        text = self.text()
        names = tuple(known)
        if text not in names:
            self.fail(f"unknown value {text!r}; {nearest(text, names)}")
        return text

    def integer(self) -> int:
        """Return a whole number; 4.0 and True are not whole numbers."""
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            self.fail(f"got {_shown(self.value)}, wanted a whole number")
        return self.value

    def count(self) -> int:
        """Return a whole number of at least 1."""
        number = self.integer()
        if number < 1:
            self.fail(f"got {number}, wanted at least 1")
        return number

    def day(self) -> date:
        """Return a day, written 2026-12-31 without quotes."""
        if isinstance(self.value, datetime) or not isinstance(self.value, date):
            self.fail(f"got {_shown(self.value)}, wanted a day, written 2026-12-31 without quotes")
        return self.value

    def flag(self) -> bool:
        """Return true or false."""
        if not isinstance(self.value, bool):
            self.fail(f"got {_shown(self.value)}, wanted true or false")
        return self.value

    def number(self) -> float:
        """Return a finite number."""
        if isinstance(self.value, bool) or not isinstance(self.value, (int, float)):
            self.fail(f"got {_shown(self.value)}, wanted a number")
        try:
            number = float(self.value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            self.fail(f"got {_shown(self.value)}, wanted a finite number")
        return number


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
