"""Reads settings into frozen values.

Input: TOML, ini, flags and marks. Output: suites and policy. Invariant: an unknown key is refused by name with the
nearest known one, and a suite that gates nothing is refused."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_precgate.analysis.curves.economics import HARDWARE, Hardware
from pytest_precgate.analysis.gating.gates import Metric
from pytest_precgate.analysis.gating.waiver import Waiver
from pytest_precgate.documents import TOO_DEEP, TOO_LONG, Node, nearest
from pytest_precgate.errors import SettingsError
from pytest_precgate.settings.policy import Policy, policy_from
from pytest_precgate.settings.suite import MARKED, Suite, suite_from

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Policy", "Settings", "Suite", "load", "policy_from", "read_text", "settings_from"]


@dataclass(frozen=True)
class Settings:
    """Every suite of one configuration file, and the hardware table with its overrides.

    ``source`` is that file, or says where none was found."""

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
        """Return the suite that a test's mark selects, with the values of the mark in place of the suite's own."""
        root = Node(mark, where, "", SettingsError)
        members = root.table(optional=["suite", *MARKED])
        suite = self.suite(members["suite"].text() if "suite" in members else None, where)
        return suite.marked(root, members)


def load(rootdir: Path, *, in_ci: bool = False) -> Settings:
    """Read ``precgate.toml`` or ``[tool.precgate]`` of ``pyproject.toml`` in ``rootdir``; without either there is no
    suite.

    ``in_ci`` turns warnings into errors, because warnings are not read under CI. Raises SettingsError with file and key
    for anything that cannot be used, two sources at once included."""
    own, project = rootdir / "precgate.toml", rootdir / "pyproject.toml"
    in_project = _tool_table(project)
    if own.is_file():
        if in_project is not None:
            raise SettingsError(str(own), "", f"{project} has a [tool.precgate] too; keep one of them")
        return _strict(settings_from(Node(_toml(own), str(own), "", SettingsError), rootdir), in_ci=in_ci)
    if in_project is None:
        return Settings(f"looked for precgate.toml and [tool.precgate] of pyproject.toml in {rootdir}", {}, HARDWARE)
    found = settings_from(Node(in_project, str(project), "tool.precgate", SettingsError), rootdir)
    return _strict(found, in_ci=in_ci)


def read_text(path: Path, text: str) -> Settings:
    """Read the settings that ``path``, a precgate.toml or a pyproject.toml, would hold with ``text`` in it.

    Relative paths start in its directory. Raises SettingsError as ``load`` does."""
    root: object = _parsed(path, text)
    spot = "" if path.name == "precgate.toml" else "tool.precgate"
    for key in filter(None, spot.split(".")):
        root = root.get(key) if isinstance(root, dict) else None
    return settings_from(Node(root, str(path), spot, SettingsError), path.parent)


def _strict(settings: Settings, *, in_ci: bool) -> Settings:
    if not in_ci:
        return settings
    return replace(settings, suites={name: suite.under_ci() for name, suite in settings.suites.items()})


def _tool_table(project: Path) -> object | None:
    if not project.is_file():
        return None
    tool = _toml(project).get("tool")
    return tool.get("precgate") if isinstance(tool, dict) else None


def _toml(path: Path) -> dict[str, object]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise SettingsError(str(path), "", f"cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise SettingsError(str(path), "", "is not TOML: it is not UTF-8 text") from exc
    return _parsed(path, text)


def _parsed(path: Path, text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise SettingsError(str(path), "", f"is not TOML: {exc}") from exc
    except RecursionError as exc:
        raise SettingsError(str(path), "", TOO_DEEP) from exc
    except ValueError as exc:  # Python reads no whole number of more than 4300 digits, and no day like 2026-02-30
        why = TOO_LONG if "digits" in str(exc) else f"is not TOML: {exc}"
        raise SettingsError(str(path), "", why) from exc


def settings_from(root: Node, base: Path) -> Settings:
    """Build the settings from the table at ``root``; relative paths in it start at ``base``."""
    _refuse_nul(root)
    members = root.table(required=["suites"], optional=["hardware", "waive"])
    hardware = dict(HARDWARE)
    if "hardware" in members:
        hardware |= {name: _hardware(name, node) for name, node in members["hardware"].mapping().items()}
    suites = members["suites"].mapping()
    if not suites:
        members["suites"].fail("holds no suite")
    found = {name: suite_from(name, node, hardware, base) for name, node in suites.items()}
    waivers = [_waiver(node, found) for node in members["waive"].items()] if "waive" in members else []
    return Settings(root.source, found, hardware, tuple(waivers))


def _refuse_nul(node: Node) -> None:
    """Refuse a text with a NUL, which no process, file or server accepts. Its value is not repeated."""
    if isinstance(node.value, str) and "\0" in node.value:
        node.hidden().fail("holds a NUL character, wanted text without one")
    if isinstance(node.value, Mapping):
        for name, member in node.mapping().items():
            _refuse_nul(node.child("a key", name))
            _refuse_nul(member)
    elif isinstance(node.value, list):
        for member in node.items():
            _refuse_nul(member)


def _waiver(node: Node, suites: Mapping[str, Suite]) -> Waiver:
    members = node.table(required=["suite", "metric", "ceiling", "reason", "expires"], optional=["point", "precision"])
    metric = Metric(members["metric"].choice(metric.value for metric in Metric))
    precisions = None
    if "precision" in members:
        precisions = tuple(members["precision"].text().split("/"))
        if len(precisions) != (2 if metric.is_ratio else 1):
            members["precision"].fail(f"got {'/'.join(precisions)}, wanted {'fp4/int4' if metric.is_ratio else 'fp4'}")
    if not members["reason"].text().strip(".\u2026 "):
        members["reason"].fail("got the placeholder of a proposed waiver, wanted why the loss is accepted")
    with node.building():
        return Waiver(
            suite=members["suite"].choice(suites),
            metric=metric,
            points=_points(members["point"]) if "point" in members else None,
            ceiling=members["ceiling"].number(),
            reason=members["reason"].text(),
            expires=members["expires"].day(),
            precisions=precisions,
        )


def _points(node: Node) -> tuple[float, ...]:
    """Read one point or a list of them."""
    nodes = node.items() if isinstance(node.value, list) else [node]
    return tuple(each.number() for each in nodes)


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
