"""Environment variables whose values no repr shows: a traceback with locals, a report or a log gets a count of them.

A mapping in, the same mapping out; only what it looks like differs. Whoever needs a value asks for it by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class Variables(Mapping[str, str]):
    """A view of ``values``, which it follows when they change."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<{len(self)} variables, values not shown>"
