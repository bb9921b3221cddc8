"""An engine of a kind that nobody here has heard of: one class and one row of ENGINES are all it takes.

What it costs, how it is planned, studied and recorded follows from its protocol, ``paid`` and ``is_repeatable``; no
name of a kind decides anything."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from pytest_precgate.analysis.accepted.fingerprint import Fact
from pytest_precgate.analysis.cost import Kind
from pytest_precgate.analysis.curves.search import NO_TARGETS, SweepTargets
from pytest_precgate.analysis.curves.sweep import Sweep
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure import metrics
from pytest_precgate.analysis.measure.measurement import Measurement, Spread
from pytest_precgate.analysis.measure.point import MeasuredPoint
from pytest_precgate.analysis.measure.window import Window
from pytest_precgate.cli import main
from pytest_precgate.documents import Node
from pytest_precgate.engines import ENGINES
from pytest_precgate.engines.base import Endpoint, EngineDefaults, OnMeasured, untold
from pytest_precgate.engines.load import LoadSettings, read_load
from tests.engines.test_simulated_server import served
from tests.plugin.test_cost import costs, said
from tests.plugin.test_plan import plan
from tests.repository import Repository


@dataclass(frozen=True)
class LabEngine(EngineDefaults):
    """A server of a laboratory that runs already: Attached."""

    kind: ClassVar[str] = "lab"
    paid: ClassVar[Kind] = "endpoint"
    configuration: ClassVar[str] = "default"

    endpoint: Endpoint

    @staticmethod
    def read(table: Node, base: Path) -> LabEngine:
        members = table.table(
            required=["engine", "url", "model"], optional=["concurrency", "requests_per_slot", "point_limit_s"]
        )
        return LabEngine(Endpoint(members["url"].text(), members["model"].text(), 4, read_load(members, base)))

    @property
    def load(self) -> LoadSettings:
        return self.endpoint.load

    def identity(self) -> Mapping[str, Fact]:
        return {"model": self.endpoint.model}

    def facts(self) -> Mapping[str, Fact]:
        return {}


@dataclass(frozen=True)
class PowerLawEngine(EngineDefaults):
    """Points of a formula: SelfSweeping, without a GPU."""

    kind: ClassVar[str] = "powerlaw"
    paid: ClassVar[Kind | None] = None
    configuration: ClassVar[str] = "default"
    load: ClassVar[None] = None

    fastest: float

    @classmethod
    def read(cls, table: Node, base: Path) -> PowerLawEngine:  # noqa: ARG003  # it has no path
        return cls(table.table(required=["engine", "fastest"])["fastest"].number())

    def identity(self) -> Mapping[str, Fact]:
        return {}

    def facts(self) -> Mapping[str, Fact]:
        return {"fastest": self.fastest}

    def sweep(
        self,
        precision: str,
        workload: Workload,
        hardware: str,
        known: Sequence[MeasuredPoint] = (),
        on_measured: OnMeasured = untold,
        sweep_targets: SweepTargets = NO_TARGETS,  # noqa: ARG002  # its concurrencies are fixed
        *,
        launch: int = 1,
    ) -> Sweep:
        points = [self._point(concurrency, launch) for concurrency in (1, 4, 16, 64)]
        for point in points[len(known) :]:
            on_measured(point)
        return Sweep(precision, workload, hardware, [each.point for each in points], self.paid == "simulated")

    def served(self) -> None:
        return None

    def _point(self, concurrency: int, launch: int) -> MeasuredPoint:
        tpot = concurrency**0.5 / self.fastest * (1 + 0.002 * launch)
        spread, figure = Spread(tpot, tpot, tpot, tpot), concurrency / tpot
        return MeasuredPoint(
            Measurement(concurrency, 1, 64, 0, WINDOW, spread, spread, spread, None, None, figure, None, None),
            1.0,
        )


class TapeEngine(PowerLawEngine):
    """The same once recorded: it cannot be launched again."""

    kind: ClassVar[str] = "tape"
    is_repeatable: ClassVar[bool] = False


class ToyEngine(PowerLawEngine):
    """The same in virtual time."""

    kind: ClassVar[str] = "toy"
    paid: ClassVar[Kind | None] = "simulated"


WINDOW = Window("steady", 0.0, 1.0)
SUITE = """\
[tool.precgate.suites.kimi]
hardware = "b200"
workload = { isl = 64, osl = 16, range_ratio = 0.8 }
interactivity = [60]
metrics = ["throughput_ratio"]
tolerance = 0.9
implausible = 9.0
"""


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind has its row; the load client may be as busy as this machine is."""
    monkeypatch.setitem(ENGINES, "lab", LabEngine.read)
    for each in (PowerLawEngine, TapeEngine, ToyEngine):
        monkeypatch.setitem(ENGINES, each.kind, each.read)
    monkeypatch.setattr(metrics, "MAX_LAG_OF_ITL", math.inf)
    monkeypatch.setattr(metrics, "MAX_CPU_SHARE", math.inf)
    monkeypatch.setattr(metrics, "MAX_EVENTS_PER_READ", math.inf)
    monkeypatch.setattr(metrics, "MIN_ACHIEVED_SHARE", 0.0)


def formulas(repository: Repository, fp4: str, int4: str) -> None:
    """Write a suite of two kinds that sweep themselves."""
    tables = "\n".join(
        f'[tool.precgate.suites.kimi.{name}]\nengine = "{kind}"\nfastest = {fastest}\n'
        for name, kind, fastest in (("fp4", fp4, 180), ("int4", int4, 150))
    )
    repository.write_settings(f"{SUITE}\n{tables}")


@pytest.fixture
def lab(repository: Repository) -> Iterator[Repository]:
    """A suite of one server of the laboratory, which runs, and a formula."""
    with served() as url:
        repository.write_settings(
            f'{SUITE}\n[tool.precgate.suites.kimi.fp4]\nengine = "lab"\nurl = "{url}"\n'
            'model = "kimi-k2.5-b200-fp4-tp4"\nconcurrency = [1, 64]\nrequests_per_slot = 4\npoint_limit_s = 60\n'
            '\n[tool.precgate.suites.kimi.int4]\nengine = "powerlaw"\nfastest = 150\n'
        )
        yield repository


def test_a_server_that_runs_already_is_paid_for_once_as_what_it_is(lab: Repository) -> None:
    """One line: its time under load, no start; the same in the journal, in the plan and by a replay."""
    lab.write_test('def test_sweep(precgate):\n    precgate.sweep("fp4")\n')
    result = lab.run("--precgate-json=g.json", "--precgate-unused=ignore")
    assert result.ret == 0
    (line,) = said(result)
    assert "2 points on a server it did not start, " in line
    assert line.endswith("; its start and its idle time are unknown to this run")
    (spent,) = costs(lab)[0]["cost"]
    assert (spent["launches"], spent["points"], spent["starting_gpu_s"]) == (0, 2, None)
    assert spent["held_gpu_s"] >= spent["measuring_gpu_s"] > 0
    (path,) = lab.path.glob(".precgate/runs/*/journal.jsonl")
    opened = [json.loads(each) for each in path.read_text(encoding="ascii").splitlines()][1]
    assert (opened["engine"], opened["paid"]) == ("lab", "endpoint")
    (told,) = (each for each in plan(lab.run("--precgate-plan")) if each.startswith("fp4 (lab)"))
    assert told.split()[2:5] == ["1", "2", "-"]


def test_points_without_a_gpu_cost_nothing_and_no_file_is_spoken_of(repository: Repository) -> None:
    """Planned and reported in the same words; the baseline keeps no cost, and nothing of it is SIMULATED."""
    formulas(repository, "powerlaw", "tape")
    told = plan(repository.run("--precgate-plan"))
    assert told[4].strip() == "fp4 (powerlaw) 0 - - - - - takes no GPU"
    assert told[5].strip() == "int4 (tape) 0 - - - - - takes no GPU"
    result = repository.run("--precgate-update")
    assert result.ret == 0
    assert said(result) == ["kimi: cost of this run: nothing, its points take no GPU"]
    launches = json.loads(repository.baseline.read_text(encoding="utf-8"))["launches"]
    assert [(each["precision"], each.get("repeatable", True)) for each in launches] == [
        *[("fp4", True)] * 5,
        ("int4", False),
    ]
    assert not any("costs" in each or "simulated" in each for each in launches)
    held = repository.run()
    assert held.ret == 0  # the one tape stands beside each of the five launches
    held.stdout.no_fnmatch_line("*recorded*")


def test_a_kind_in_virtual_time_is_marked_simulated_and_so_is_its_baseline(repository: Repository) -> None:
    """By what it says of its seconds."""
    formulas(repository, "toy", "toy")
    result = repository.run("--precgate-update")
    assert result.ret == 0
    (line,) = said(result)
    assert "virtual GPU-minutes, SIMULATED" in line
    launches = json.loads(repository.baseline.read_text(encoding="utf-8"))["launches"]
    assert all(each["simulated"] is True for each in launches)
    again = repository.run()
    assert again.ret == 0
    again.stdout.no_fnmatch_line("*these are the baseline's own points*")  # a simulation repeats them by design


def test_a_kind_that_cannot_be_launched_again_has_no_noise(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named by its own name."""
    formulas(repository, "powerlaw", "tape")
    repository.pytester.chdir()
    assert main(["noise", "--launches=3"]) == 2
    assert 'engine = "tape" cannot be launched again, so it has no noise to measure' in capsys.readouterr().err


def test_the_noise_of_a_server_that_runs_already_is_said_to_lack_its_starts(
    lab: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """The formula beside it is launched again as far as anyone can tell."""
    lab.pytester.chdir()
    assert main(["noise", "--launches=3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "a running server is swept again" in line] == [
        "FP4: a running server is swept again, not started again; the noise from start to start is not in"
    ]
