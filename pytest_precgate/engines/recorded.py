"""A sweep that something else measured: files of recorded points, of this tool or another (``interop``).

Rows of other precisions are left aside; a row of another workload or hardware is refused, since nobody can see
whether it was meant."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_precgate.analysis.fingerprint import Fact
from pytest_precgate.analysis.finished import FinishedPoint
from pytest_precgate.analysis.schedule import UNAIMED, Aim
from pytest_precgate.analysis.sweep import Sweep
from pytest_precgate.analysis.workload import Workload
from pytest_precgate.documents import Node
from pytest_precgate.engines.base import OnFinished, untold
from pytest_precgate.errors import InvalidValueError
from pytest_precgate.interop.files import file_bytes, find_files, read_rows
from pytest_precgate.interop.rows import COUNTS, FACTS, Stated
from pytest_precgate.interop.sweeps import sweep_of


@dataclass(frozen=True)
class RecordedSpec:
    """Where the points lie: paths or glob patterns, relative ones starting at ``base``.

    ``beside`` is what the settings state beside them, by the names of ``Stated``.
    """

    patterns: tuple[str, ...]
    base: Path
    beside: Mapping[str, int | str] = field(default_factory=dict)

    @staticmethod
    def read(table: Node, base: Path) -> RecordedSpec:
        """Read ``path`` (a text or a list of texts), and what is stated beside it, from a precision's table."""
        members = table.table(required=["engine", "path"], optional=FACTS)
        node = members["path"]
        patterns = [member.text() for member in node.items()] if isinstance(node.value, list) else [node.text()]
        if not patterns:
            node.fail("got an empty list, wanted at least one file")
        given = {name: members[name] for name in FACTS if name in members}
        beside = {name: member.count() if name in COUNTS else member.text() for name, member in given.items()}
        spec = RecordedSpec(tuple(patterns), base, beside)
        with table.building():
            _ = spec.stated  # a name of two lines is refused here, at its table
        return spec

    @property
    def stated(self) -> Stated:
        """What the settings state beside the files."""
        return Stated(**self.beside)  # type: ignore[arg-type]  # each is of the kind that ``read`` asked for

    def open(self) -> RecordedEngine:
        """Return the engine that reads these files."""
        return RecordedEngine(self)

    def under_ci(self) -> RecordedSpec:
        """Return the same settings with every file refused that may have been cut."""
        return _RecordedSpecUnderCi(self.patterns, self.base, self.beside)

    def files(self) -> list[Path]:
        """Return the files, in a fixed order. Raises RecordedPointsError for a pattern that matches none."""
        return find_files(self.patterns, self.base)


@dataclass(frozen=True)
class _RecordedSpecUnderCi(RecordedSpec):
    """A type and no field: where a run happens is no setting, and runs of both places may share their points."""

    def open(self) -> RecordedEngine:
        return RecordedEngine(self, in_ci=True)


@dataclass(frozen=True)
class RecordedEngine:
    """Stands where a server would: its sweep was measured elsewhere. ``in_ci`` refuses files that may have been cut."""

    spec: RecordedSpec
    kind: str = "recorded"
    in_ci: bool = False

    def identity(self) -> Mapping[str, Fact]:
        """Return nothing: hardware and workload say what a recording must agree in."""
        return {}

    def facts(self) -> Mapping[str, Fact]:
        """Return the files, the hash of their bytes and what is stated beside them: a change is told, no mismatch."""
        digest = hashlib.sha256()
        files = self.spec.files()
        for path in files:
            digest.update(file_bytes(path))
        stated = str(self.spec.stated)
        facts: dict[str, Fact] = {"source": ", ".join(self.spec.patterns), "sha256": digest.hexdigest()[:16]}
        return {**facts, "stated": stated} if stated else facts

    def fresh(self, attempt: int) -> RecordedEngine:
        """Return itself: a recording is what was measured, once. Raises InvalidValueError for a second launch."""
        if attempt != 1:
            raise InvalidValueError(f"{self.spec.patterns[0]}: a recording is one launch, it has no number {attempt}")
        return self

    def sweep(
        self,
        precision: str,
        workload: Workload,
        hardware: str,
        known: Sequence[FinishedPoint] = (),  # noqa: ARG002  # nothing is measured here
        on_finished: OnFinished = untold,  # noqa: ARG002
        aim: Aim = UNAIMED,  # noqa: ARG002
    ) -> Sweep:
        """Return all points of ``precision`` in the files, as one cloud, whatever they are for."""
        rows = [row for path in self.spec.files() for row in read_rows(path, in_ci=self.in_ci)]
        return sweep_of(rows, precision, workload, hardware, self.spec.stated)
