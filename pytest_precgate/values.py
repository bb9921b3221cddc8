"""Reads dataclasses from tables: the keys of a table are the fields of the value, each of the field's type.

Input: a node or the fields of a document. Output: the value. Invariant: every refusal is the node's own, with its
location; a key without a field and a field without a key are refused."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import fields, is_dataclass
from functools import cached_property
from types import NoneType, UnionType
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pytest_precgate.documents import Fields, Keys, Node

T = TypeVar("T")
_Read = Callable[[Fields, str], object]


class TableReader(Generic[T]):
    """Reads values of one dataclass.

    float is a finite number, int a whole number, str a text that is not empty, a Literal one of its texts, a dataclass
    a table of its own; ``X | None`` may be null. ``optional`` fields may be left out, whose default then holds.
    ``counts`` are whole numbers of at least 1; ``own`` reads a field in another way.
    """

    def __init__(
        self, made: type[T], *, optional: Collection[str] = (), counts: Collection[str] = (), **own: _Read
    ) -> None:
        self._made = made
        self._optional = frozenset(optional)
        self._counts = frozenset(counts)
        self._own = own

    def read(self, table: Node | Fields) -> T:
        """Return the value a table holds; raise the document's error at the spot of what it cannot be."""
        members = table.fields(self.keys) if isinstance(table, Node) else table
        values = {name: read(members, name) for name, read in self._required}
        for name, read in self._left_out:
            if name in members:
                values[name] = read(members, name)
        return self._made(**values)

    def at(self, members: Fields, name: str) -> T:
        """Return the value of a member that is a table."""
        return self.read(members.fields(name, self.keys))

    @cached_property
    def keys(self) -> Keys:
        """The keys of the table."""
        names = [field.name for field in fields(self._made)]  # type: ignore[arg-type]  # T is a dataclass
        return Keys(*(name for name in names if name not in self._optional), optional=sorted(self._optional))

    @cached_property
    def _required(self) -> tuple[tuple[str, _Read], ...]:
        return self._plan(self.keys.required)

    @cached_property
    def _left_out(self) -> tuple[tuple[str, _Read], ...]:
        return self._plan(self.keys.optional)

    def _plan(self, names: Sequence[str]) -> tuple[tuple[str, _Read], ...]:
        hints = get_type_hints(self._made)
        return tuple((name, self._own.get(name) or self._reader(name, hints[name])) for name in names)

    def _reader(self, name: str, hint: Any) -> _Read:
        if name in self._counts:
            return Fields.count
        if get_origin(hint) in (Union, UnionType):
            (inner,) = (each for each in get_args(hint) if each is not NoneType)
            read = self._reader(name, inner)
            return lambda members, key: read(members, key) if members.has(key) else None
        if get_origin(hint) is Literal:
            known = get_args(hint)
            return lambda members, key: members.choice(key, known)
        if isinstance(hint, type) and is_dataclass(hint):
            return TableReader(hint).at
        return {float: Fields.number, int: Fields.integer, str: Fields.text}[hint]
