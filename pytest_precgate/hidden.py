"""Environment variables whose values no repr shows: a traceback with locals, a report or a log shows only their number.

Input: a mapping. Output: the same mapping with another repr; a value is returned only by its name. Quoted output of a
server has the values replaced."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_TELLING = re.compile("KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH", re.IGNORECASE)
_SHORTEST = 8
"""Shorter values are numbers and switches, and occur in any text by chance."""


class Variables(Mapping[str, str]):
    """A view of ``values``, which follows their changes."""

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


def secrets_of(environ: Mapping[str, str], variables: Mapping[str, str]) -> Variables:
    """Return the possible secrets of a server: variables of ``environ`` with such a name, and all of ``variables``."""
    named = {name: value for name, value in environ.items() if _TELLING.search(name)}
    return Variables({name: value for name, value in {**named, **variables}.items() if len(value) >= _SHORTEST})


def without(secrets: Mapping[str, str], text: bytes) -> bytes:
    """Return the text with ``$NAME`` in place of each of the values, the longest first."""
    for name, value in sorted(secrets.items(), key=lambda item: -len(item[1])):
        text = text.replace(value.encode("utf-8", "surrogateescape"), f"${name}".encode("utf-8", "surrogateescape"))
    return text
