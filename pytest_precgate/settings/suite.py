"""One suite of the settings: workload, hardware, precisions, gates, and the number of launches.

Invariant: a suite that gates nothing is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast, get_args

from pytest_precgate.analysis.curves.comparison import COST_MODES, WORDINGS, Comparison, CostMode, Wording
from pytest_precgate.analysis.curves.economics import Hardware, hardware_named
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.gating.gates import (
    DEFAULT_METRICS,
    IMPLAUSIBLE_GAIN,
    Gate,
    GateKey,
    Metric,
    Tolerance,
    gate_of,
    gates_of,
)
from pytest_precgate.analysis.gating.limits import MOST_LAUNCHES, LaunchPolicy
from pytest_precgate.analysis.quantity import count, positive
from pytest_precgate.documents import Node, nearest
from pytest_precgate.engines import ENGINES, Engine
from pytest_precgate.engines.rehearsal import rehearsal_of
from pytest_precgate.errors import CalibrationError, SettingsError
from pytest_precgate.settings.shared import SHARED, refuse_goodput, refuse_own, with_shared
from pytest_precgate.settings.tolerances import PRECISIONS, for_all, node_of, refuse_unheld, tolerances_of

LaunchRule = Literal["first-good", "median"]

Engines = Mapping[str, tuple[Engine, ...]]

_LONGEST_NAME = 100
_NAME = rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{_LONGEST_NAME - 1}}}"
_MOST_TOKENS = 100_000_000
_MOST_DAYS = 36_500
_MOST_INTERACTIVITY = 1e6
_SUITE_REQUIRED = ("hardware", "workload", "interactivity")
_SUITE_OPTIONAL = ("cost", "wording", "metrics", "tolerance", "implausible")
_LAUNCHES = (
    "max_launches",
    "launch_rule",
    "baseline_launches",
    "max_baseline_age_days",
    "must_detect",
    "paired",
    "confirm_with",
)
MARKED = ("points", "tolerance", "metrics", "max_launches")
"""The keys that a test's mark may override."""

BASELINE_LAUNCHES = 5
ACCEPTED = "accepted"
"""The name of the side that confirms regressions where a suite does not say."""
BESIDE = "@"
"""Separates a suite's name from that of its other side; names of configured suites must not contain it."""


@dataclass(frozen=True)
class Suite:
    """One workload on one hardware, its precisions, its gates, and the number of launches.

    ``points`` is None for "quartiles", ``max_launches`` and ``must_detect`` None for their defaults.
    ``tolerance_for_all`` is that of the metrics a mark adds.
    ``paired`` holds, by name, the engines of another side for comparisons of pairs; ``confirm_with`` is the side that
    starts the state of the baseline, None where none does; ``has_slo`` says whether goodput has an objective."""

    name: str
    hardware: Hardware
    workload: Workload
    points: tuple[float, ...] | None
    engines: Engines
    cost: CostMode = "derived"
    tolerances: Mapping[Metric, Tolerance] = field(default_factory=lambda: dict.fromkeys(DEFAULT_METRICS, Tolerance()))
    tolerance_for_all: Tolerance = field(default_factory=Tolerance)
    implausible: float = IMPLAUSIBLE_GAIN
    launch_rule: LaunchRule = "first-good"
    max_launches: int | None = None
    baseline_launches: int = BASELINE_LAUNCHES
    max_baseline_age_days: float | None = None
    must_detect: float | None = None
    paired: Mapping[str, Engines] = field(default_factory=dict)
    confirm_with: str | None = None
    wording: Wording = "ratios"
    has_slo: bool = False

    def __post_init__(self) -> None:
        for name in ("engines", "paired", "tolerances"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        count("Suite", "baseline_launches", self.baseline_launches, "launches")
        LaunchPolicy(self.launch_rule, 1 if self.max_launches is None else self.max_launches, self.must_detect)
        if self.max_baseline_age_days is not None:
            positive("Suite", "max_baseline_age_days", self.max_baseline_age_days, "days")

    def configurations(self, precision: str) -> tuple[Engine, ...]:
        """Return the engines of one precision, one per configuration; raise SettingsError naming the configured
        ones."""
        if precision not in self.engines:
            raise SettingsError(
                f"suite {self.name}", "", f"unknown precision {precision!r}; {nearest(precision, self.engines)}"
            )
        return self.engines[precision]

    def configuration_named(self, precision: str, name: str | None) -> tuple[int, Engine]:
        """Return the configuration called ``name``, the only one where it is None, with its number.

        Raises SettingsError where there are several and none is named, or none is called so.
        """
        engines = self.configurations(precision)
        names = [engine.configuration for engine in engines]
        if name is None and len(engines) == 1:
            return 0, engines[0]
        if name is None or name not in names:
            got = "several configurations" if name is None else f"no configuration {name!r}"
            raise SettingsError(
                f"suite {self.name}",
                precision,
                f"has {got}; ask precgate_engine({precision!r}, one of {', '.join(names)})",
            )
        return names.index(name), engines[names.index(name)]

    @property
    def recorded(self) -> frozenset[Metric]:
        """The metrics that are only recorded, and hold nothing."""
        return frozenset(metric for metric, tolerance in self.tolerances.items() if tolerance.record_only)

    @property
    def starts_servers(self) -> bool:
        """Whether an engine of this suite is a server that this tool starts."""
        return any(engine.paid == "started" for engines in self.engines.values() for engine in engines)

    def points_for(self, pair: Comparison) -> tuple[float, ...]:
        """Return the targets to gate: those set, or the quartiles of the band of ``pair``."""
        return self.points if self.points is not None else tuple(float(point) for point in pair.quartile_points())

    def gates_for(self, candidate: str, reference: str, points: Sequence[float]) -> tuple[Gate, ...]:
        """Return every gate of one comparison at ``points``."""
        return gates_of(candidate, reference, points, self.tolerances, self.implausible)

    @property
    def base_name(self) -> str:
        """The name of the suite itself, on either side."""
        return self.name.partition(BESIDE)[0]

    def beside(self, side: str) -> Suite:
        """Return the suite's other side: the same workload on the engines of ``paired``.

        Raises SettingsError naming the sides of the suite."""
        if side not in self.paired:
            known = nearest(side, self.paired) if self.paired else "it has none; add a table paired.NAME"
            raise SettingsError(f"suite {self.name}", "paired", f"no side {side!r} to be judged against; {known}")
        for precision, each in (*self.engines.items(), *self.paired[side].items()):
            if not all(engine.is_repeatable for engine in each):
                raise SettingsError(
                    f"suite {self.name}", precision, "recorded points are one launch; pairs need engines that run"
                )
        engines = {
            precision: tuple(engine.on_side(side) for engine in each) for precision, each in self.paired[side].items()
        }
        return replace(self, name=f"{self.name}{BESIDE}{side}", engines=engines, paired={}, confirm_with=None)

    @property
    def is_confirmed_by_itself(self) -> bool:
        """Whether the side that confirms regressions has the settings of the suite itself."""
        return self.confirm_with is not None and self.paired[self.confirm_with] == self.engines

    def under_ci(self) -> Suite:
        """Return the suite in a mode that refuses recorded files that may have been cut; otherwise they are warned
        about."""
        engines = {precision: tuple(engine.under_ci() for engine in each) for precision, each in self.engines.items()}
        return replace(self, engines=engines)

    def rehearsed(self, source: str, rootdir: Path) -> Suite:
        """Return the same suite with every engine replaced by the simulated one.

        Raises SettingsError naming the suite and precision without a calibration."""

        def played(engines: Engines, spot: str) -> Engines:
            found = {}
            for precision, each in engines.items():
                try:
                    found[precision] = tuple(rehearsal_of(e, precision, self.hardware.name, rootdir) for e in each)
                except CalibrationError as exc:
                    raise SettingsError(source, f"{spot}.{precision}", str(exc)) from exc
            return found

        spot = f"suites.{self.name}"
        paired = {side: played(engines, f"{spot}.paired.{side}") for side, engines in self.paired.items()}
        return replace(self, engines=played(self.engines, spot), paired=paired)

    def marked(self, root: Node, members: Mapping[str, Node]) -> Suite:
        """Return the suite with the values of a test's mark in place of its own; ``members`` are its keys of MARKED."""
        changed = replace(
            self,
            points=_points(members["points"]) if "points" in members else self.points,
            tolerances=tolerances_of(members, self.tolerances, self.tolerance_for_all),
        )
        if "max_launches" in members:
            with members["max_launches"].building():
                changed = replace(changed, max_launches=members["max_launches"].integer())
        _refuse_empty(changed, members.get("tolerance", root))
        if Metric.GOODPUT in changed.tolerances and not changed.has_slo:
            refuse_goodput(members.get("metrics", root))
        return changed


def suite_from(name: str, node: Node, hardware: Mapping[str, Hardware], base: Path) -> Suite:
    """Return the suite named ``name`` of the table at ``node``; relative paths in it start at ``base``."""
    if not re.fullmatch(_NAME, name):
        node.fail(
            "a suite's name becomes its baseline's file name: use letters, digits, dot, dash and underscore, at most "
            f"{_LONGEST_NAME}"
        )
    members = node.table(required=_SUITE_REQUIRED, optional=(*_SUITE_OPTIONAL, *SHARED, *_LAUNCHES, *PRECISIONS))
    members |= with_shared(members)
    engines = {key: _engines(members[key], base) for key in members if key in PRECISIONS}
    if len(engines) < 2:
        node.fail(
            f"names {len(engines)} precision(s), wanted two to compare; add a table [{node.spot}.fp4] (known: "
            f"{', '.join(PRECISIONS)})"
        )
    with members["hardware"].building():
        priced = hardware_named(members["hardware"].text(), hardware)
    suite = Suite(
        name=name,
        hardware=priced,
        workload=_workload(members["workload"]),
        points=_points(members["interactivity"]),
        engines=engines,
        cost=cast(CostMode, members["cost"].choice(COST_MODES)) if "cost" in members else "derived",
        tolerances=tolerances_of(members, dict.fromkeys(DEFAULT_METRICS, Tolerance()), Tolerance()),
        tolerance_for_all=for_all(members),
        implausible=members["implausible"].number() if "implausible" in members else IMPLAUSIBLE_GAIN,
        wording=cast(Wording, members["wording"].choice(WORDINGS)) if "wording" in members else "ratios",
        has_slo="slo" in members,
    )
    _refuse_empty(suite, members.get("tolerance", members.get("implausible", node)))
    if Metric.GOODPUT in suite.tolerances and not suite.has_slo:
        refuse_goodput(members.get("metrics", node))
    return _with_launches(suite, node, members, base)


def _with_launches(suite: Suite, node: Node, members: Mapping[str, Node], base: Path) -> Suite:
    """The launch rule, and the maximum age of a baseline."""
    given: dict[str, Any] = {}
    for key in ("max_launches", "baseline_launches"):
        if key in members:
            given[key] = members[key].count(MOST_LAUNCHES)
    if "max_baseline_age_days" in members:
        given["max_baseline_age_days"] = members["max_baseline_age_days"].number()
        if given["max_baseline_age_days"] > _MOST_DAYS:
            members["max_baseline_age_days"].fail(
                f"got {given['max_baseline_age_days']:g}, wanted at most {_MOST_DAYS}"
            )
    if "must_detect" in members:
        given["must_detect"] = members["must_detect"].number()
    if "launch_rule" in members:
        given["launch_rule"] = members["launch_rule"].choice(get_args(LaunchRule))
    if "paired" in members:
        sides = members["paired"].mapping()
        given["paired"] = {side: _side(side, table, members, suite.engines, base) for side, table in sides.items()}
    with node.building():
        return _with_confirmation(replace(suite, **given), members)


def _with_confirmation(suite: Suite, members: Mapping[str, Node]) -> Suite:
    """The side that confirms a regression: the one named, or the one called ``accepted``."""
    if "confirm_with" in members:
        side = members["confirm_with"].choice(suite.paired)
    elif ACCEPTED in suite.paired:
        side = ACCEPTED
    else:
        return suite
    suite.beside(side)  # refuses recorded points, which cannot be launched again
    return replace(suite, confirm_with=side)


def _side(side: str, node: Node, members: Mapping[str, Node], engines: Engines, base: Path) -> Engines:
    """The engines of another side: each precision's own table with the differing keys in place of its own."""
    if not re.fullmatch(_NAME, side):
        node.fail(
            "a side's name becomes part of a directory's: use letters, digits, dot, dash and underscore, at most "
            f"{_LONGEST_NAME}"
        )
    own = node.table(optional=list(engines))
    if not own:
        node.fail("has no differing key; name the keys that differ, by precision")
    for table in own.values():
        refuse_own(table)
    found = {
        precision: _engines(replace(own[precision], value=_over(own[precision], members[precision])), base)
        if precision in own
        else specs
        for precision, specs in engines.items()
    }
    confirms = members["confirm_with"].value if "confirm_with" in members else ACCEPTED
    if found == dict(engines) and side != confirms:  # the accepted state is the suite's own until a merge changes it
        node.fail("does not differ from the suite: it would be compared with itself")
    return found


def _over(own: Node, table: Node) -> dict[str, object]:
    """The table with the keys of ``own`` in place of its own; a table in it is treated alike."""
    merged = {key: node.value for key, node in table.mapping().items()}
    for key, node in own.mapping().items():
        before = table.mapping().get(key)
        both = before is not None and isinstance(before.value, Mapping) and isinstance(node.value, Mapping)
        merged[key] = _over(node, before) if both and before is not None else node.value
    return merged


def _engines(node: Node, base: Path) -> tuple[Engine, ...]:
    """One engine, or one per entry of ``configurations``, each with the precision's own keys as defaults."""
    members = node.mapping()
    if "configurations" not in members:
        return (_engine(node, base),)
    shared = {key: member.value for key, member in members.items() if key != "configurations"}
    entries = members["configurations"].items()
    if not entries:
        members["configurations"].fail("got an empty list, wanted at least one configuration")
    return tuple(
        _engine(replace(entry, value={**shared, **{key: own.value for key, own in entry.mapping().items()}}), base)
        for entry in entries
    )


def _engine(node: Node, base: Path) -> Engine:
    members = node.mapping()
    if "engine" not in members:
        node.child("engine", None).fail("required field missing")
    return ENGINES[members["engine"].choice(ENGINES)](node, base)


def _workload(node: Node) -> Workload:
    members = node.table(required=["isl", "osl"], optional=["range_ratio"])
    with node.building():
        return Workload(
            isl=members["isl"].count(_MOST_TOKENS),
            osl=members["osl"].count(_MOST_TOKENS),
            range_ratio=members["range_ratio"].number() if "range_ratio" in members else 1.0,
        )


def _points(node: Node) -> tuple[float, ...] | None:
    """A list of interactivities in tok/s/user, or the word "quartiles" (None)."""
    if isinstance(node.value, str):
        node.choice(["quartiles"])
        return None
    members = node.items()
    if not members:
        node.fail("got an empty list: without a point there is no gate")
    points = [member.number() for member in members]
    for member, point in zip(members, points, strict=True):
        if not 0 < point <= _MOST_INTERACTIVITY:
            member.fail(
                f"got {point:g}, wanted an interactivity above 0 and at most {_MOST_INTERACTIVITY:g} tok/s/user"
            )
        if points.count(point) > 1:
            member.fail(f"{point:g} is repeated")
    return tuple(points)


def _refuse_empty(suite: Suite, node: Node) -> None:
    """Build one gate of each kind now, so that an invalid tolerance fails at the start and not after a sweep."""
    refuse_unheld(suite.tolerances, suite.points, suite.engines, node)
    for precision in suite.engines:
        for metric, tolerance in suite.tolerances.items():
            for point in suite.points or (1.0,):
                key = GateKey(metric, (precision, "reference") if metric.is_ratio else (precision,), point)
                with node_of(node, key, tolerance).building():
                    gate_of(key, tolerance, suite.implausible)
    with node.building():
        suite.gates_for("candidate", "reference", suite.points or (1.0,))
