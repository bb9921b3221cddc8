"""Fingerprints: the facts of a launch, and how the facts of two launches differ.

Input: hard and soft facts. Output: their differences. Invariant: a difference in a hard fact is a MISMATCH; a
difference in a soft fact is reported beside the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pytest_precgate.analysis.curves.sweep import Sweep
from pytest_precgate.errors import InvalidValueError
from pytest_precgate.text import printable

Fact = str | int | float
_JOINT = "+"  # between the kinds of engines, as files have them in one text


@dataclass(frozen=True)
class Fingerprint:
    """The facts of one launch: ``hard`` (hardware, workload, engine, model) and ``soft`` (versions, sources)."""

    hard: Mapping[str, Fact]
    soft: Mapping[str, Fact] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for part in ("hard", "soft"):
            facts = getattr(self, part)
            for key, value in facts.items():
                if isinstance(value, bool) or not isinstance(value, (str, int, float)):
                    raise InvalidValueError(f"Fingerprint.{part}[{key!r}]: got {value!r}, wanted a text or a number")
            object.__setattr__(self, part, MappingProxyType(dict(facts)))

    def __hash__(self) -> int:
        return hash((frozenset(self.hard.items()), frozenset(self.soft.items())))

    def __reduce__(self) -> tuple[type[Fingerprint], tuple[dict[str, Fact], dict[str, Fact]]]:
        return Fingerprint, (dict(self.hard), dict(self.soft))

    def __or__(self, other: Fingerprint) -> Fingerprint:
        """Return the facts of both, those of ``other`` where both know one."""
        return Fingerprint({**self.hard, **other.hard}, {**self.soft, **other.soft})

    @property
    def engines(self) -> tuple[str, ...]:
        """The kinds of the engines behind a sweep, each once, in order of name."""
        return tuple(str(self.hard["engine"]).split(_JOINT))

    @staticmethod
    def of(
        sweep: Sweep, engines: tuple[str, ...], soft: Mapping[str, Fact], identity: Mapping[str, Fact] | None = None
    ) -> Fingerprint:
        """Return the fingerprint of a sweep measured on engines of these kinds, with further hard facts."""
        workload = sweep.workload
        hard: dict[str, Fact] = {
            **({} if identity is None else identity),
            "engine": _JOINT.join(sorted({*engines})),
            "hardware": sweep.hardware,
            "isl": workload.isl,
            "osl": workload.osl,
            "range_ratio": workload.range_ratio,
            **({} if sweep.axis == "tpot" else {"axis": sweep.axis}),
        }
        return Fingerprint(hard, soft)

    def mismatches(self, baseline: Fingerprint) -> tuple[str, ...]:
        """Return one line per hard fact that differs; a fact that only one side has counts as different."""
        return _differences(self.hard, baseline.hard)

    def unlike(self, other: Fingerprint, whose: str) -> tuple[str, ...]:
        """Return one line per fact, hard or soft, that differs from those of ``whose`` launch."""
        hard = _differences(self.hard, other.hard, whose)
        return (*hard, *_differences(_but_commit(self.soft), _but_commit(other.soft), whose))

    def drifts(self, baseline: Fingerprint) -> tuple[str, ...]:
        """Return one line per differing soft fact, except the commit, which always differs and is reported
        separately."""
        return _differences(_but_commit(self.soft), _but_commit(baseline.soft))


def _but_commit(facts: Mapping[str, Fact]) -> Mapping[str, Fact]:
    return {key: fact for key, fact in facts.items() if key.split(".", maxsplit=1)[0] != "commit"}


def _differences(now: Mapping[str, Fact], then: Mapping[str, Fact], whose: str = "the baseline's") -> tuple[str, ...]:
    return tuple(
        f"{printable(key)} is {_shown(now, key)}, {whose} is {_shown(then, key)}"
        for key in sorted({*now, *then})
        if now.get(key) != then.get(key)
    )


def _shown(facts: Mapping[str, Fact], key: str) -> str:
    """Return a fact as text; a fact from a file may have any value."""
    return printable(str(facts.get(key, "not known")))
