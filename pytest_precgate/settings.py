"""Options become frozen values here, at the door. An unknown key is refused by name with the nearest known one, and
a suite that would gate nothing is no suite."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, cast, get_args

from pytest_precgate.analysis.comparison import COST_MODES, Comparison, CostMode
from pytest_precgate.analysis.economics import HARDWARE, Hardware, hardware_named
from pytest_precgate.analysis.gates import IMPLAUSIBLE_GAIN, Gate, Metric, gates_of
from pytest_precgate.analysis.waiver import Waiver
from pytest_precgate.analysis.workload import Workload
from pytest_precgate.documents import Node, nearest
from pytest_precgate.engines import ENGINES, EngineSpec
from pytest_precgate.engines.rehearsal import rehearsal_of
from pytest_precgate.engines.server import ServerEngine
from pytest_precgate.errors import CalibrationError, SettingsError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PRECISIONS = ("fp4", "int4", "fp8", "int8", "bf16", "fp16")
DEFAULT_TOLERANCES: Mapping[Metric, float] = {metric: metric.default_tolerance for metric in Metric}

Missing = Literal["fail", "skip", "create"]
Mismatch = Literal["fail", "skip", "warn"]
Unused = Literal["fail", "warn", "ignore"]

_SUITE_REQUIRED = ("hardware", "workload", "interactivity")
_SUITE_OPTIONAL = ("cost", "metrics", "tolerance", "implausible")


@dataclass(frozen=True)
class Suite:
    """One workload on one hardware, its precisions, and what is gated. ``points`` is None for "quartiles"."""

    name: str
    hardware: Hardware
    workload: Workload
    points: tuple[float, ...] | None
    engines: Mapping[str, tuple[EngineSpec, ...]]
    cost: CostMode = "derived"
    tolerances: Mapping[Metric, float] | None = None
    tolerance_for_all: float | None = None
    implausible: float = IMPLAUSIBLE_GAIN

    def __post_init__(self) -> None:
        object.__setattr__(self, "engines", MappingProxyType(dict(self.engines)))

    def configurations(self, precision: str) -> tuple[EngineSpec, ...]:
        """Return the engines of one precision, one per configuration; raise SettingsError naming those there are."""
        if precision not in self.engines:
            raise SettingsError(
                f"suite {self.name}", "", f"unknown precision {precision!r}; {nearest(precision, self.engines)}"
            )
        return self.engines[precision]

    @property
    def starts_servers(self) -> bool:
        """Whether an engine of this suite is a server that this tool starts."""
        return any(isinstance(spec.open(), ServerEngine) for specs in self.engines.values() for spec in specs)

    def points_for(self, pair: Comparison) -> tuple[float, ...]:
        """Return the points to gate: those set, or the quartiles of the band ``pair`` spans."""
        return self.points if self.points is not None else tuple(float(point) for point in pair.quartile_points())

    def gates_for(self, candidate: str, reference: str, points: Sequence[float]) -> tuple[Gate, ...]:
        """Return every gate of one comparison at ``points``."""
        tolerances = DEFAULT_TOLERANCES if self.tolerances is None else self.tolerances
        return gates_of(candidate, reference, points, tolerances, self.implausible)


@dataclass(frozen=True)
class Settings:
    """Every suite of one configuration file, and the hardware table with its overrides.

    ``source`` is that file, or says where none was found.
    """

    source: str
    suites: Mapping[str, Suite]
    hardware: Mapping[str, Hardware]
    waivers: tuple[Waiver, ...] = ()

    def suite(self, name: str | None, where: str) -> Suite:
        """Return the named suite, or the only one. Raises SettingsError naming the known ones."""
        if not self.suites:
            raise SettingsError(
                where, "", f"no suite is configured; add [tool.precgate.suites.NAME] to pyproject.toml ({self.source})"
            )
        if name is None:
            if len(self.suites) > 1:
                raise SettingsError(
                    where, "", f"which suite? add @pytest.mark.precgate(suite=...); {nearest('', self.suites)}"
                )
            return next(iter(self.suites.values()))
        if name not in self.suites:
            raise SettingsError(where, "suite", f"unknown suite {name!r}; {nearest(name, self.suites)}")
        return self.suites[name]

    def marked(self, mark: Mapping[str, object], where: str) -> Suite:
        """Return the suite a test's mark selects, with the mark's points, metrics, tolerances in place of its own."""
        root = Node(mark, where, "", SettingsError)
        members = root.table(optional=["suite", "points", "tolerance", "metrics"])
        suite = self.suite(members["suite"].text() if "suite" in members else None, where)
        points = _points(members["points"]) if "points" in members else suite.points
        tolerances = _tolerances(members, suite.tolerances, suite.tolerance_for_all)
        changed = replace(suite, points=points, tolerances=tolerances)
        _refuse_empty(changed, members.get("tolerance", root))
        return changed


@dataclass(frozen=True)
class Policy:
    """What a run does where a baseline is missing, differs or goes unused, and what it may write."""

    missing: Missing = "fail"
    mismatch: Mismatch = "fail"
    unused: Unused = "fail"
    update: bool = False
    update_new_only: bool = False
    reason: str = ""
    in_ci: bool = False


def policy_from(options: Mapping[str, str], *, update: bool, update_new_only: bool, reason: str, in_ci: bool) -> Policy:
    """Build the policy from flags and ini keys. Raises SettingsError for a word none of them knows."""
    words = {
        name: Node(options[name], f"--precgate-{name} or ini key precgate_{name}", "", SettingsError).choice(choices)
        for name, choices in (
            ("missing", get_args(Missing)),
            ("mismatch", get_args(Mismatch)),
            ("unused", get_args(Unused)),
        )
    }
    return Policy(
        missing=cast(Missing, words["missing"]),
        mismatch=cast(Mismatch, words["mismatch"]),
        unused=cast(Unused, words["unused"]),
        update=update,
        update_new_only=update_new_only,
        reason=reason,
        in_ci=in_ci,
    )


def load(rootdir: Path) -> Settings:
    """Read ``precgate.toml`` or ``[tool.precgate]`` of ``pyproject.toml`` in ``rootdir``; neither means no suite.

    Raises SettingsError with file and key for anything that cannot be used, two sources at once included.
    """
    own, project = rootdir / "precgate.toml", rootdir / "pyproject.toml"
    in_project = _tool_table(project)
    if own.is_file():
        if in_project is not None:
            raise SettingsError(
                str(own), "", f"{project} has a [tool.precgate] too; keep one, or nobody knows which of them counts"
            )
        return settings_from(Node(_toml(own), str(own), "", SettingsError), rootdir)
    if in_project is None:
        return Settings(f"looked for precgate.toml and [tool.precgate] of pyproject.toml in {rootdir}", {}, HARDWARE)
    return settings_from(Node(in_project, str(project), "tool.precgate", SettingsError), rootdir)


def _tool_table(project: Path) -> object | None:
    if not project.is_file():
        return None
    tool = _toml(project).get("tool")
    return tool.get("precgate") if isinstance(tool, dict) else None


def _toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise SettingsError(str(path), "", f"cannot be read: {exc.strerror}") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SettingsError(str(path), "", f"is not TOML: {exc}") from exc


def rehearsed(suite: Suite, source: str, rootdir: Path) -> Suite:
    """Return the same suite with every engine played by the simulated one.

    Raises SettingsError naming the suite and precision for which nothing says what to simulate.
    """
    engines = {}
    for precision, specs in suite.engines.items():
        try:
            engines[precision] = tuple(rehearsal_of(spec, precision, suite.hardware.name, rootdir) for spec in specs)
        except CalibrationError as exc:
            raise SettingsError(source, f"suites.{suite.name}.{precision}", str(exc)) from exc
    return replace(suite, engines=engines)


def settings_from(root: Node, base: Path) -> Settings:
    """Build the settings from the table at ``root``; relative paths in it start at ``base``."""
    members = root.table(required=["suites"], optional=["hardware", "waive"])
    hardware = dict(HARDWARE)
    if "hardware" in members:
        hardware |= {name: _hardware(name, node) for name, node in members["hardware"].mapping().items()}
    suites = members["suites"].mapping()
    if not suites:
        members["suites"].fail("holds no suite")
    found = {name: _suite(name, node, hardware, base) for name, node in suites.items()}
    waivers = [_waiver(node, found) for node in members["waive"].items()] if "waive" in members else []
    return Settings(root.source, found, hardware, tuple(waivers))


def _waiver(node: Node, suites: Mapping[str, Suite]) -> Waiver:
    members = node.table(required=["suite", "metric", "point", "ceiling", "reason", "expires"], optional=["precision"])
    metric = Metric(members["metric"].choice(metric.value for metric in Metric))
    precisions = None
    if "precision" in members:
        precisions = tuple(members["precision"].text().split("/"))
        if len(precisions) != (2 if metric.is_ratio else 1):
            members["precision"].fail(f"got {'/'.join(precisions)}, wanted {'fp4/int4' if metric.is_ratio else 'fp4'}")
    with node.building():
        return Waiver(
            suite=members["suite"].choice(suites),
            metric=metric,
            point=members["point"].number(),
            ceiling=members["ceiling"].number(),
            reason=members["reason"].text(),
            expires=members["expires"].day(),
            precisions=precisions,
        )


def _hardware(name: str, node: Node) -> Hardware:
    members = node.table(optional=["price_per_gpu_hour", "power_kw_per_gpu", "source"])
    known = HARDWARE.get(name)
    figures: dict[str, float] = {}
    for key in ("price_per_gpu_hour", "power_kw_per_gpu"):
        if key in members:
            figures[key] = members[key].number()
        elif known is None:
            node.fail(f"needs {key}: there is no built-in row for {name!r}")
        else:
            figures[key] = getattr(known, key)
    source = members["source"].text() if "source" in members else f"set in {Path(node.source).name}"
    with node.building():
        return Hardware(name=name, source=source, **figures)


def _suite(name: str, node: Node, hardware: Mapping[str, Hardware], base: Path) -> Suite:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        node.fail("a suite's name becomes its baseline's file name: use letters, digits, dot, dash and underscore")
    members = node.table(required=_SUITE_REQUIRED, optional=(*_SUITE_OPTIONAL, *PRECISIONS))
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
        tolerances=_tolerances(members, None, None),
        tolerance_for_all=_for_all(members),
        implausible=members["implausible"].number() if "implausible" in members else IMPLAUSIBLE_GAIN,
    )
    _refuse_empty(suite, members.get("tolerance", members.get("implausible", node)))
    return suite


def _engines(node: Node, base: Path) -> tuple[EngineSpec, ...]:
    """One engine, or one per entry of ``configurations``, each with the precision's own keys where it has none."""
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


def _engine(node: Node, base: Path) -> EngineSpec:
    members = node.mapping()
    if "engine" not in members:
        node.child("engine", None).fail("required field missing")
    return ENGINES[members["engine"].choice(ENGINES)](node, base)


def _workload(node: Node) -> Workload:
    members = node.table(required=["isl", "osl"], optional=["range_ratio"])
    with node.building():
        return Workload(
            isl=members["isl"].integer(),
            osl=members["osl"].integer(),
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
        if point <= 0:
            member.fail(f"got {point:g}, wanted an interactivity above 0 tok/s/user")
        if points.count(point) > 1:
            member.fail(f"{point:g} stands twice")
    return tuple(points)


def _for_all(members: Mapping[str, Node]) -> float | None:
    """The tolerance of every metric, a mark's further ones included, where it is one number."""
    node = members.get("tolerance")
    return None if node is None or isinstance(node.value, Mapping) else node.number()


def _tolerances(
    members: Mapping[str, Node], inherited: Mapping[Metric, float] | None, for_all: float | None
) -> Mapping[Metric, float]:
    """The metrics to gate with their tolerances: ``metrics`` chooses them, ``tolerance`` is one share or one each."""
    table = dict(DEFAULT_TOLERANCES if inherited is None else inherited)
    if "metrics" in members:
        names = [member.choice(metric.value for metric in Metric) for member in members["metrics"].items()]
        if not names:
            members["metrics"].fail("got an empty list: without a metric there is no gate")
        for member, name in zip(members["metrics"].items(), names, strict=True):
            if names.count(name) > 1:
                member.fail(f"{name} stands twice")
        table = {metric: table.get(metric, for_all or metric.default_tolerance) for metric in map(Metric, names)}
    if "tolerance" in members:
        node = members["tolerance"]
        if isinstance(node.value, Mapping):
            gated = [metric.value for metric in table]
            table |= {Metric(name): member.number() for name, member in node.table(optional=gated).items()}
        else:
            share = node.number()
            table = dict.fromkeys(table, share)
    return table


def _refuse_empty(suite: Suite, node: Node) -> None:
    """Build one gate of each kind now, so that a tolerance nobody can use fails at the start and not after a sweep."""
    with node.building():
        suite.gates_for("candidate", "reference", suite.points or (1.0,))
