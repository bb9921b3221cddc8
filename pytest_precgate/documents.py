"""Reads documents with named keys: TOML settings, marks, JSON baselines and recorded points.

Input: parsed documents. Output: checked values. Invariant: an unknown key is refused by name, and every error names the
location."""

from __future__ import annotations

import difflib
import json
import math
import reprlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import NoReturn

from pytest_precgate.errors import DocumentError, InvalidValueError

TOO_DEEP = "is nested too deeply to be read"
TOO_LONG = "holds a number of more digits than can be read"
_MOST = 2**63 - 1
MOST_SECONDS = 604_800.0
"""A week: the longest time a setting may ask a run to wait."""
# A few lines of YAML can expand to a list of billions of equal members.
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxtuple, _SHORT.maxdict, _SHORT.maxset = 4, 20, 20, 20, 20
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 200


def strict_json(text: str | bytes, refuse: Callable[[str], NoReturn], *, allow_constants: bool = False) -> object:
    """Return the value of JSON text, or of its UTF-8 bytes.

    ``refuse`` is called for NaN and infinities unless they are allowed, a repeated key in one object, a number of
    thousands of digits, lists or tables nested hundreds deep, and bytes that are not UTF-8. Raises json.JSONDecodeError
    for text that is not JSON."""

    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8")
        return (_LENIENT if allow_constants else _STRICT).decode(decoded)
    except InvalidValueError as exc:
        refuse(str(exc))
    except UnicodeDecodeError:
        refuse("is not UTF-8 text")
    except RecursionError:
        refuse(TOO_DEEP)
    except json.JSONDecodeError:
        raise
    except ValueError:  # Python reads no whole number of more than 4300 digits
        refuse(TOO_LONG)


def _constant(name: str) -> NoReturn:
    raise InvalidValueError(f"holds {name}, which is no measurement")


def _pairs(members: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(members)
    if len(table) != len(members):
        times = Counter(name for name, _ in members)
        twice = next(name for name, number in times.items() if number > 1)
        raise InvalidValueError(f"holds the key {twice!r} twice in one place: a merge gone wrong?")
    return table


_STRICT = json.JSONDecoder(parse_constant=_constant, object_pairs_hook=_pairs)
_LENIENT = json.JSONDecoder(object_pairs_hook=_pairs)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``known: a, b, c``, preceded by the nearest known name when one is close."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(names) if names else 'none'}"


@dataclass(frozen=True)
class Node:
    """A value inside a document, with its location.

    ``error`` is the class of every refusal, so that a baseline and a setting have their own errors. A refusal of a node
    that ``hides``, or of any below it, does not repeat its value, which may be a secret."""

    value: object = field(repr=False)  # it may contain the whole settings
    source: str
    spot: str
    error: type[DocumentError]
    hides: bool = False

    def fail(self, why: str) -> NoReturn:
        """Refuse this node, naming source and spot."""
        raise self.error(self.source, self.spot, why)

    def child(self, key: str | int, value: object) -> Node:
        """Return the node of one member."""
        step = f"[{key}]" if isinstance(key, int) else f".{key}" if self.spot else key
        return Node(value, self.source, f"{self.spot}{step}", self.error, self.hides)

    def hidden(self) -> Node:
        """Return the node in a mode in which no refusal shows its value."""
        return replace(self, hides=True)

    @property
    def shown(self) -> str:
        """The value as a refusal shows it, in at most 60 characters."""
        if self.hides:
            return "a value that is not shown"
        try:
            text = _SHORT.repr(self.value)
        except (ValueError, RecursionError):  # a number of more digits than Python writes, deeply nested tables
            return f"a {type(self.value).__name__} that is too large to show"
        return text if len(text) <= 60 else f"{text[:57]}..."

    @contextmanager
    def building(self) -> Iterator[None]:
        """Turn the refusal of a value built from this node into a refusal at this location."""
        try:
            yield
        except InvalidValueError as exc:
            raise self.error(self.source, self.spot, str(exc)) from exc

    def mapping(self) -> dict[str, Node]:
        """Return the members of a table whose keys are free names."""
        if not isinstance(self.value, Mapping):
            self.fail(f"got {self.shown}, wanted a table")
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

    def fields(self, keys: Keys) -> Fields:
        """Return the members of a table as ``table`` does, to be read one by one without a node for each."""
        return Fields(keys, self.value, lambda: self)

    def items(self) -> list[Node]:
        """Return the members of a list."""
        if not isinstance(self.value, (list, tuple)):
            self.fail(f"got {self.shown}, wanted a list")
        return [self.child(index, value) for index, value in enumerate(self.value)]

    def text(self) -> str:
        """Return a non-empty string."""
        if not isinstance(self.value, str) or not self.value.strip():
            self.fail(f"got {self.shown}, wanted a non-empty text")
        try:
            self.value.encode()
        except UnicodeEncodeError:  # half of a surrogate pair, which is valid in JSON and not in a file
            self.fail(f"got {self.shown}, wanted Unicode text")
        return self.value

    def name(self, most: int = 100) -> str:
        """Return a text of at most ``most`` characters that is allowed as a file name."""
        text = self.text()
        if len(text) > most or not text.isprintable() or "/" in text:
            self.fail(
                f"got {self.shown}, wanted at most {most} printable characters without /: files are named after it"
            )
        return text

    def path(self) -> str:
        """Return a text that may be a path: a file system takes 4096 bytes, 255 of them a part."""
        text = self.text()
        if len(text.encode()) > 4096 or any(len(part) > 255 for part in text.encode().split(b"/")):
            self.fail(f"got {self.shown}, wanted at most 4096 bytes, and 255 between two slashes")
        return text

    def choice(self, known: Iterable[str]) -> str:
        """Return a string out of a fixed set."""
        text = self.text()
        names = tuple(known)
        if text not in names:
            self.fail(f"unknown value {self.shown}; {nearest(text, names)}")
        return text

    def integer(self) -> int:
        """Return a whole number; 4.0 and True are not whole numbers."""
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            self.fail(f"got {self.shown}, wanted a whole number")
        if abs(self.value) > _MOST:
            self.fail(f"got {self.shown}, wanted a whole number of at most 63 bits")
        return self.value

    def count(self, most: int = _MOST) -> int:
        """Return a whole number from 1 to ``most``."""
        number = self.integer()
        if number < 1:
            self.fail(f"got {number}, wanted at least 1")
        if number > most:
            self.fail(f"got {number}, wanted at most {most}")
        return number

    def seconds(self, most: float = MOST_SECONDS) -> float:
        """Return a time above 0 s and of at most ``most``."""
        number = self.number()
        if not 0 < number <= most:
            self.fail(f"got {number:g}, wanted seconds above 0 and at most {most:g}")
        return number

    def day(self) -> date:
        """Return a day, written 2026-12-31 without quotes."""
        if isinstance(self.value, datetime) or not isinstance(self.value, date):
            self.fail(f"got {self.shown}, wanted a day, written 2026-12-31 without quotes")
        return self.value

    def flag(self) -> bool:
        """Return true or false."""
        if not isinstance(self.value, bool):
            self.fail(f"got {self.shown}, wanted true or false")
        return self.value

    def number(self) -> float:
        """Return a finite number."""
        if isinstance(self.value, bool) or not isinstance(self.value, (int, float)):
            self.fail(f"got {self.shown}, wanted a number")
        try:
            number = float(self.value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            self.fail(f"got {self.shown}, wanted a finite number")
        return number


class Keys:
    """The fixed set of keys of a table."""

    def __init__(self, *required: str, optional: Sequence[str] = ()) -> None:
        self.required = required
        self.optional = optional
        self.needed = frozenset(required)
        self.known = frozenset((*required, *optional))


class Fields:
    """The members of a table with a fixed set of keys, for files of millions of figures.

    A valid value is returned directly. For any other a node is created, and the node's method of the same name returns
    it or refuses it with its location: this reader accepts nothing that a node would not."""

    __slots__ = ("_node", "_values")

    def __init__(self, keys: Keys, value: object, node: Callable[[], Node]) -> None:
        self._node = node
        if isinstance(value, dict) and keys.needed <= value.keys() <= keys.known:
            self._values: Mapping[str, object] = value
        else:
            members = node().table(required=keys.required, optional=keys.optional)
            self._values = {name: member.value for name, member in members.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __getitem__(self, name: str) -> Node:
        """Return one member as a node."""
        return self._node().child(name, self._values[name])

    def value(self, name: str) -> object:
        """Return a member unchanged."""
        return self._values[name]

    def fields(self, name: str, keys: Keys) -> Fields:
        """Return the members of a table in this one."""
        return Fields(keys, self._values[name], lambda: self[name])

    def has(self, name: str) -> bool:
        """Whether a member exists and is not null."""
        return self._values.get(name) is not None

    def number(self, name: str) -> float:
        """Return a finite number."""
        value = self._values[name]
        if type(value) is float and -math.inf < value < math.inf:
            return value
        return self[name].number()

    def integer(self, name: str) -> int:
        """Return a whole number."""
        value = self._values[name]
        if type(value) is int and -_MOST <= value <= _MOST:
            return value
        return self[name].integer()

    def count(self, name: str) -> int:
        """Return a whole number of at least 1."""
        value = self._values[name]
        if type(value) is int and 1 <= value <= _MOST:
            return value
        return self[name].count()

    def text(self, name: str) -> str:
        """Return a non-empty string."""
        value = self._values[name]
        if type(value) is str and value.isascii() and value and not value.isspace():
            return value
        return self[name].text()

    def choice(self, name: str, known: Sequence[str]) -> str:
        """Return a string out of a fixed set."""
        value = self._values[name]
        return value if type(value) is str and value in known else self[name].choice(known)
