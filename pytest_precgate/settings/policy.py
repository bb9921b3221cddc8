"""The policy of a run: what happens when a baseline is missing, differs or is unused, how a verdict is reached, what is
written."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, cast, get_args

from pytest_precgate.analysis.gating.limits import Kind, LaunchPolicy
from pytest_precgate.analysis.gating.verdict import Verdict
from pytest_precgate.analysis.quantity import count
from pytest_precgate.documents import Node
from pytest_precgate.errors import InvalidValueError, SettingsError
from pytest_precgate.settings.suite import LaunchRule, Suite

Missing = Literal["fail", "skip", "create"]
Mismatch = Literal["fail", "skip", "warn"]
Unused = Literal["fail", "warn", "ignore"]

LAUNCHES: Mapping[Kind, int] = MappingProxyType({"first-good": 3, "median": 5, "pairs": 5})
"""The default number of launches that a verdict may take."""


@dataclass(frozen=True)
class Policy:
    """What a run does when a baseline is missing, differs or is unused, and what it may write.

    ``launch_rule`` and ``max_launches`` replace a suite's own; ``paired_with`` names the other side of every suite that
    is judged in pairs. ``update`` rewrites baselines, or with ``update_add`` adds launches to them; it takes
    ``update_launches`` launches, None for those of each suite. ``lower_anchor`` accepts a fall far below the anchor."""

    missing: Missing = "fail"
    mismatch: Mismatch = "fail"
    unused: Unused = "fail"
    update: bool = False
    update_new_only: bool = False
    update_add: bool = False
    update_launches: int | None = None
    lower_anchor: bool = False
    reason: str = ""
    in_ci: bool = False
    launch_rule: LaunchRule | None = None
    max_launches: int | None = None
    paired_with: str | None = None

    def __post_init__(self) -> None:
        if self.update_add and not self.update:
            raise InvalidValueError("Policy.update_add: adding to a baseline is an update; wanted update as well")
        if self.update_launches is not None:
            count("Policy", "update_launches", self.update_launches, "launches")

    def recorded_launches(self, suite: Suite) -> int:
        """Return how many launches of each precision an update takes."""
        return suite.baseline_launches if self.update_launches is None else self.update_launches

    def launches(self, suite: Suite) -> LaunchPolicy:
        """Return the launch rule of ``suite``, and how many launches a verdict may take.

        Raises InvalidValueError for a number of launches that the rule cannot use."""
        kind: Kind = (
            "pairs"
            if self.paired_with is not None
            else suite.launch_rule
            if self.launch_rule is None
            else self.launch_rule
        )
        own = suite.max_launches if kind == suite.launch_rule else None
        given = own if self.max_launches is None else self.max_launches
        return LaunchPolicy(kind, LAUNCHES[kind] if given is None else given, suite.must_detect)

    @property
    def _lenient(self) -> tuple[tuple[str, str, Verdict], ...]:
        return (("missing", self.missing, Verdict.MISSING), ("mismatch", self.mismatch, Verdict.MISMATCH))

    @property
    def skippable(self) -> set[Verdict]:
        """The verdicts that skip a test outside CI."""
        return {verdict for _, policy, verdict in self._lenient if policy == "skip"}

    def unheeded(self, verdicts: Collection[Verdict]) -> tuple[str, ...]:
        """Say why a lenient policy had no effect on a failed check: under CI a skipped gate would not be noticed."""
        return tuple(
            f"--precgate-{name}={policy} has no effect under CI: an unchecked gate would not be noticed"
            for name, policy, verdict in self._lenient
            if self.in_ci and policy in ("skip", "create") and verdict in verdicts
        )


def policy_from(options: Mapping[str, str], flags: Policy) -> Policy:
    """Return ``flags`` with the values of flags or ini keys in ``options``. Raises SettingsError for an unknown
    word."""
    words = {
        name: Node(options[name], f"--precgate-{name} or ini key precgate_{name}", "", SettingsError).choice(choices)
        for name, choices in (
            ("missing", get_args(Missing)),
            ("mismatch", get_args(Mismatch)),
            ("unused", get_args(Unused)),
        )
    }
    return replace(
        flags,
        missing=cast(Missing, words["missing"]),
        mismatch=cast(Mismatch, words["mismatch"]),
        unused=cast(Unused, words["unused"]),
    )
