"""An engine whose sweep was measured by another tool: it reads files of recorded points (``interop``).

Input: paths and values that the files lack. Output: a sweep. Invariant: rows of other precisions are ignored; a row of
another workload or hardware is refused, because it may be a mistake."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, cast

from pytest_precgate.analysis.accepted.fingerprint import Fact
from pytest_precgate.analysis.cost import Kind
from pytest_precgate.analysis.curves.details import Slo
from pytest_precgate.analysis.curves.search import NO_TARGETS, SweepTargets
from pytest_precgate.analysis.curves.sweep import AXES, Axis, Sweep
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.point import MeasuredPoint
from pytest_precgate.documents import Node
from pytest_precgate.engines.base import EngineDefaults, OnMeasured, untold
from pytest_precgate.engines.load import LEFT_OUT_UNSET, read_slo
from pytest_precgate.errors import InvalidValueError, RecordedPointsError
from pytest_precgate.interop.files import file_bytes, find_files, read_rows
from pytest_precgate.interop.rows import COUNTS, FACTS, Stated
from pytest_precgate.interop.sweeps import on_axis, sweep_of


@dataclass(frozen=True)
class RecordedEngine(EngineDefaults):
    """Recorded points in files, in place of a server.

    ``patterns`` are paths or glob patterns, relative ones starting at ``base``.

    ``beside`` holds the values that the settings state beside them, by the names of ``Stated``; ``axis`` says which
    interactivity of theirs is read, ``slo`` which objective their goodput must be counted under."""

    kind: ClassVar[str] = "recorded"
    is_repeatable: ClassVar[bool] = False
    paid: ClassVar[Kind | None] = None
    configuration: ClassVar[str] = "default"
    load: ClassVar[None] = None
    _in_ci: ClassVar[bool] = False

    patterns: tuple[str, ...]
    base: Path
    beside: Mapping[str, int | str] = field(default_factory=dict)
    axis: Axis = field(default="tpot", metadata=LEFT_OUT_UNSET)
    slo: Slo | None = field(default=None, metadata=LEFT_OUT_UNSET)

    @staticmethod
    def read(table: Node, base: Path) -> RecordedEngine:
        """Read ``path`` (a text or a list of texts), and what is stated beside it, from a precision's table."""
        members = table.table(required=["engine", "path"], optional=[*FACTS, "slo", "axis"])
        node = members["path"]
        patterns = [member.text() for member in node.items()] if isinstance(node.value, list) else [node.text()]
        if not patterns:
            node.fail("got an empty list, wanted at least one file")
        given = {name: members[name] for name in FACTS if name in members}
        beside = {name: member.count() if name in COUNTS else member.text() for name, member in given.items()}
        axis = cast(Axis, members["axis"].choice(AXES)) if "axis" in members else "tpot"
        slo = read_slo(members["slo"]) if "slo" in members else None
        spec = RecordedEngine(tuple(patterns), base, beside, axis, slo)
        with table.building():
            _ = spec.stated  # a name of two lines is refused here, at its table
        return spec

    @property
    def stated(self) -> Stated:
        """The values that the settings state beside the files."""
        return Stated(**self.beside)  # type: ignore[arg-type]  # each is of the kind that ``read`` asked for

    def under_ci(self) -> RecordedEngine:
        """Return the same points in a mode that refuses files that may have been cut."""
        return _RecordedUnderCi(self.patterns, self.base, self.beside, self.axis, self.slo)

    def files(self) -> list[Path]:
        """Return the files, in a fixed order. Raises RecordedPointsError for a pattern that matches none."""
        return find_files(self.patterns, self.base)

    def identity(self) -> Mapping[str, Fact]:
        """Return nothing: hardware and workload are what a recording must agree in."""
        return {}

    def facts(self) -> Mapping[str, Fact]:
        """Return the files, the hash of their bytes and the stated values: a change is reported, not a mismatch."""
        digest = hashlib.sha256()
        for path in self.files():
            digest.update(file_bytes(path))
        stated = str(self.stated)
        facts: dict[str, Fact] = {"source": ", ".join(self.patterns), "sha256": digest.hexdigest()[:16]}
        return {**facts, "stated": stated} if stated else facts

    def sweep(
        self,
        precision: str,
        workload: Workload,
        hardware: str,
        known: Sequence[MeasuredPoint] = (),  # noqa: ARG002  # nothing is measured here
        on_measured: OnMeasured = untold,  # noqa: ARG002
        sweep_targets: SweepTargets = NO_TARGETS,  # noqa: ARG002
        *,
        launch: int = 1,
    ) -> Sweep:
        """Return all points of ``precision`` in the files, as one cloud, for any targets.

        Raises InvalidValueError for a second launch: a recording is one launch; RecordedPointsError for a row that is
        no point, and for a goodput that was counted under another objective than the suite's."""
        if launch != 1:
            raise InvalidValueError(f"{self.patterns[0]}: a recording is one launch, it has no number {launch}")
        rows = [row for path in self.files() for row in read_rows(path, in_ci=self._in_ci)]
        sweep = sweep_of(rows, precision, workload, hardware, self.stated)
        if self.slo is not None:
            self._refuse_goodput_of_another(self.slo, sweep)
        return on_axis(sweep, self.axis)

    def _refuse_goodput_of_another(self, slo: Slo, sweep: Sweep) -> None:
        for point in sweep.points:
            ttft_s, tpot_s = point.figure("slo_ttft_s"), point.figure("slo_tpot_s")
            if point.figure("goodput") is not None and (ttft_s, tpot_s) != (slo.ttft_s, slo.tpot_s):
                raise RecordedPointsError(
                    ", ".join(self.patterns),
                    "",
                    f"the goodput at concurrency {point.concurrency} was counted under a ttft of {ttft_s} s and a tpot "
                    f"of {tpot_s} s, the suite's slo is {slo.ttft_s} s and {slo.tpot_s} s; set the same slo, or drop "
                    "the column goodput",
                )

    def served(self) -> None:
        """Return nothing: files answer no request."""


class _RecordedUnderCi(RecordedEngine):
    """A type and not a field: it is no setting whether a run is under CI, and runs of both kinds may share their
    points."""

    _in_ci: ClassVar[bool] = True
