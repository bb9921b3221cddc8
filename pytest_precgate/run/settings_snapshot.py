"""The settings that affect a figure, flattened: one plain value per key, the same for the same settings on any machine.

Two runs that agree in them may share points; otherwise the key names the difference."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, time
from pathlib import Path

from pytest_precgate.errors import InvalidValueError
from pytest_precgate.journal.events import Setting
from pytest_precgate.settings import Suite

_HIDDEN = "variables"


def settings_of(suite: Suite, root: Path) -> dict[str, Setting]:
    """Return what every engine of ``suite`` is set to, by precision: ``fp4.seed``, ``int4[1].options.tp``.

    Paths below ``root`` are written from there; of environment variables only a digest is kept. A field that is marked
    to be left out unset (``engines.load.LEFT_OUT_UNSET``) has a key only where it is set. Raises InvalidValueError for
    a setting that is no plain value.
    """
    return {
        key: value
        for precision, engines in suite.engines.items()
        for number, engine in enumerate(engines)
        for key, value in _flat(engine, f"{precision}[{number}]" if len(engines) > 1 else precision, root)
    }


def variables_of(suite: Suite) -> dict[str, str]:
    """Return the environment variables that the settings of ``suite`` give to any of its engines."""
    engines = [engine for engines in suite.engines.values() for engine in engines]
    return {name: value for engine in engines for each in _variables(engine) for name, value in each.items()}


def _variables(value: object) -> Iterator[Mapping[str, str]]:
    if is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            member = getattr(value, field.name)
            if field.name == _HIDDEN and isinstance(member, Mapping):
                yield member
            else:
                yield from _variables(member)


def _flat(value: object, key: str, root: Path) -> Iterator[tuple[str, Setting]]:
    if is_dataclass(value) and not isinstance(value, type):
        members: Mapping[str, object] = {
            field.name: member
            for field in fields(value)
            if not ((member := getattr(value, field.name)) == field.default and "left_out_unset" in field.metadata)
        }
    elif isinstance(value, Mapping):
        members = {str(name): member for name, member in value.items()}
    elif isinstance(value, (list, tuple)) and not all(isinstance(member, _PLAIN) for member in value):
        members = {f"[{number}]": member for number, member in enumerate(value)}
    else:
        yield key, _plain(value, key, root)
        return
    hides = key.rpartition(".")[2] == _HIDDEN
    for name, member in members.items():
        spot = f"{key}{name}" if name.startswith("[") else f"{key}.{name}"
        if hides:
            yield spot, f"sha256 {hashlib.sha256(str(member).encode()).hexdigest()[:16]}"
        else:
            yield from _flat(member, spot, root)


_PLAIN = (str, int, float, bool, type(None))


def _plain(value: object, key: str, root: Path) -> Setting:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, (list, tuple)):
        return json.dumps(value)
    if isinstance(value, Path):
        return str(value.relative_to(root) if value.is_relative_to(root) else value)
    if isinstance(value, (date, time)):  # what TOML has beside plain values
        return value.isoformat()
    raise InvalidValueError(f"{key}: got {value!r}, which no journal can hold; wanted a plain value")
