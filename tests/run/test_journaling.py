"""What a run keeps and what it takes from an earlier one: the same making or nothing; a replay never measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar, cast

import pytest

from pytest_precgate.analysis.accepted.fingerprint import Fact, Fingerprint
from pytest_precgate.analysis.accepted.origin import LaunchOrigin
from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.analysis.curves.search import Grid, Range, SweepTargets
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.records import ClientCheck, PointRun
from pytest_precgate.analysis.measure.stopping import StopRule
from pytest_precgate.engines.base import Endpoint
from pytest_precgate.engines.load import LoadSettings
from pytest_precgate.engines.server import (
    Confirmed,
    HostContext,
    Network,
    ServerCommand,
    ServerSettings,
    ServerSlot,
    StartedServer,
)
from pytest_precgate.engines.simulated.model import Limits, StepTime
from pytest_precgate.engines.simulated.scheduler import simulate
from pytest_precgate.errors import JournalBusyError, LoadStoppedError, PrecgateError, ReplayError, RunDiffersError
from pytest_precgate.journal.directory import RunDirectory
from pytest_precgate.journal.file import read
from pytest_precgate.loadgen import LoadPlan, Target
from pytest_precgate.run import measuring as load
from pytest_precgate.run.journaling import Mode, Record
from pytest_precgate.run.launches import Launches
from pytest_precgate.run.probe import Wire
from pytest_precgate.servers.gpu_time import Start
from pytest_precgate.servers.request import ServerRequest
from pytest_precgate.settings import Suite

STARTED = datetime(2026, 11, 24, 8, 30, tzinfo=timezone.utc)
RUN = "20261124T083000.000Z-kimi-7"
LOAD = LoadSettings(Grid((1, 2, 4)), stop_rule=StopRule(requests_per_slot=4))

VERSION_1 = Fingerprint({"version": "1"}, {"log": "x"})


@dataclass(frozen=True)
class Server(StartedServer):
    """A server that no test starts; ``facts`` are known before a start."""

    kind: ClassVar[str] = "stand-in"

    precision: str
    known: Fingerprint = Fingerprint({})  # noqa: RUF009  # it is frozen
    load: LoadSettings = LOAD

    @property
    def settings(self) -> ServerSettings:  # type: ignore[override]  # it is made of the load
        return ServerSettings("model", 4, self.load)

    def identity(self) -> Mapping[str, Fact]:
        return {"model": "model"}

    def facts(self) -> Mapping[str, Fact]:
        return {}

    def preflight(self, precision: str, hardware: str, host: HostContext) -> Fingerprint:  # noqa: ARG002
        return self.known

    def command(self, slot: ServerSlot, host: HostContext) -> ServerCommand:
        raise NotImplementedError

    def is_ready(self, slot: ServerSlot, network: Network) -> bool:
        raise NotImplementedError

    def confirm(self, slot: ServerSlot, network: Network, log: str) -> Confirmed:
        raise NotImplementedError

    def cause(self, log: str) -> str | None:
        raise NotImplementedError


@dataclass
class Machine:
    """A run's launches on servers that only exist on paper; ``measured`` and ``started`` say what was done."""

    launches: Launches
    said: list[str]
    measured: list[int]
    started: list[str]

    def points(self, suite: Suite, precision: str = "fp4") -> list[int]:
        return [point.concurrency for point in self.launches.of(suite, precision).sweep.points]


def suite(**changes: Server) -> Suite:
    engines = {"fp4": (Server("fp4"),), "int4": (Server("int4"),)} | {name: (spec,) for name, spec in changes.items()}
    return Suite("kimi", HARDWARE["b200"], Workload(16, 16), (55.0,), engines)


MachineOf = Callable[..., Machine]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MachineOf:
    """A run in ``tmp_path``: mode, commit, what servers say once they are up, and the concurrency they die at."""

    def made(
        mode: Mode = "measure", *, commit: str = "abc", told: Fingerprint | None = None, dies_at: int = 0
    ) -> Machine:
        said: list[str] = []
        measured: list[int] = []
        started: list[str] = []

        def run_point(target: Target, plan: LoadPlan, **_: object) -> PointRun:  # noqa: ARG001
            if plan.concurrency == dies_at:
                raise LoadStoppedError("killed")
            measured.append(plan.concurrency)
            model = StepTime(6e-3, 2e-2, 1e-8, 2e-5, 0.05)
            assert plan.requests is not None
            run = simulate(model, Limits(), [(16, 16)] * plan.requests, plan.concurrency)
            return replace(run, client=ClientCheck(0.1, 1.0, 0.0, plan.concurrency))

        def up(request: ServerRequest, family: object) -> object:  # noqa: ARG001
            started.append(request.precision)
            facts = request.engine.preflight("", "", host) | (told or VERSION_1)
            process = SimpleNamespace(is_alive=lambda: True)
            endpoint = Endpoint("http://127.0.0.1:1", "model", 4, request.engine.settings.load)
            start = Start(request, began_s=0.0, ready_s=60.0)
            return SimpleNamespace(
                origin=LaunchOrigin(None, "b200-7", ("GPU-1",)),
                request=request,
                facts=facts,
                process=process,
                endpoint=endpoint,
                hooks=lambda _machine: None,
                start=start,
            )

        monkeypatch.setattr(load, "run_point", run_point)
        monkeypatch.setattr(load, "probe", lambda *_: Wire())
        host = cast(HostContext, None)
        record = Record(
            directory=RunDirectory.new(tmp_path, STARTED, 7),
            root=tmp_path,
            mode=mode,
            commit=lambda: commit,
            clock=lambda: STARTED,
            tool_version="0.1.0",
            say=said.append,
            salt="a1",
        )
        pool = SimpleNamespace(
            up=up,
            host=host,
            started=[],
            close=lambda: None,
            machine=None,
            preflight=lambda request: request.engine.preflight(request.precision, request.hardware, host),
            require_alive=lambda _up: None,
        )
        launches = Launches(tmp_path, lambda: record, {}, lambda *_: None, said.append)
        launches._pool = pool  # type: ignore[assignment]
        return Machine(launches, said, measured, started)

    return made


def killed_run(machine: MachineOf, at: int = 4) -> None:
    """FP4 finished, INT4 with the points below ``at``."""
    killed = machine()
    killed.points(suite())
    killed.launches.close()
    dying = machine("resume", dies_at=at)
    with pytest.raises(LoadStoppedError):
        dying.points(suite(), "int4")
    dying.launches.close()


def test_a_server_s_points_are_kept_as_they_finish(machine: MachineOf, tmp_path: Path) -> None:
    """With facts, GPU seconds and everything measured; a launch that failed stays open."""
    killed_run(machine)
    recorded = read(tmp_path / ".precgate" / "runs" / RUN / "journal.jsonl")
    assert recorded is not None
    found = {str(key): (len(launch.points), launch.is_finished) for key, launch in recorded.launches.items()}
    assert found == {"fp4": (3, True), "int4": (2, False)}
    fp4 = next(iter(recorded.launches.values()))
    assert fp4.opened.facts == Fingerprint({"model": "model", "version": "1"}, {"log": "x"})
    assert all(finished.gpu_seconds > 0 for finished in fp4.points)


def test_a_resumed_run_measures_what_is_missing_and_nothing_else(machine: MachineOf) -> None:
    """A finished launch starts no server; an unfinished one starts its own and skips the points it has."""
    killed_run(machine)
    again = machine("resume")
    assert again.points(suite()) == [1, 2, 4]
    assert (again.measured, again.started) == ([], [])
    assert again.said == [f"suite kimi goes on with {RUN}: fp4 finished with 3 points, int4 unfinished with 2 points"]
    assert again.points(suite(), "int4") == [1, 2, 4]
    assert (again.measured, again.started) == ([4], ["int4"])


def aimed(machine: Machine, *targets: float) -> Machine:
    machine.launches.expect(("kimi",), lambda _suite, _precision: SweepTargets(targets))
    return machine


def test_a_search_on_a_server_goes_on_where_it_died(machine: MachineOf) -> None:
    """It asks next for what it died at, for nothing twice, and ends with the neighbours around its targets."""
    searching = suite(fp4=Server("fp4", load=LoadSettings(Range(1, 64), stop_rule=StopRule(requests_per_slot=4))))
    dying = aimed(machine(dies_at=14), 60, 90)
    with pytest.raises(LoadStoppedError):
        dying.points(searching)
    dying.launches.close()
    again = aimed(machine("resume"), 60, 90)
    again.points(searching)
    assert (dying.measured, again.measured[0]) == ([8, 11], 14)
    assert not {*dying.measured} & {*again.measured}
    points = again.launches.of(searching, "fp4").sweep.points
    for target in (60, 90):
        faster = max(point.concurrency for point in points if point.interactivity >= target)
        assert faster + 1 in {point.concurrency for point in points}
    again.launches.close()
    replay = aimed(machine("replay"), 60, 75)
    replay.points(searching)
    (remark,) = [remark for remark in replay.launches.remarks() if "searched" in remark]
    assert remark.startswith("suite kimi: fp4 was not searched for 75 tok/s/user: ")


def test_a_resumed_run_tells_its_own_cost_from_what_was_paid_before(machine: MachineOf) -> None:
    """FP4 whole and two points of INT4 were paid for; one start and one point are this run's."""
    killed_run(machine)
    again = machine("resume")
    again.points(suite())
    again.points(suite(), "int4")
    (cost,) = again.launches.costs()
    (costs,), (reused,) = cost.costs, cost.reused
    assert (costs.launches, costs.points, costs.starting_gpu_s) == (1, 1, 240.0)
    assert (reused.launches, reused.points, reused.starting_gpu_s) == (2, 5, 480.0)
    assert again.launches.of(suite(), "int4").costs[0].points == 3
    again.launches.close()
    replayed = machine("replay")
    replayed.points(suite())
    (judged,) = replayed.launches.costs()
    assert (judged.costs, judged.replayed) == ((), True)
    assert [(had.launches, had.points) for had in judged.reused] == [(1, 3)]


def test_points_of_two_starts_are_told_by_a_fact(machine: MachineOf) -> None:
    """A launch of one start has no such fact, so a baseline of one tells the difference."""
    killed_run(machine)
    again = machine("resume")
    assert "resumed" not in again.launches.of(suite(), "fp4").fingerprint.soft
    fingerprint = again.launches.of(suite(), "int4").fingerprint
    assert fingerprint.soft["resumed"] == 1
    assert fingerprint.hard["version"] == "1"
    again.launches.close()
    assert machine("replay").launches.of(suite(), "int4").fingerprint == fingerprint


def test_a_replay_gives_the_very_launch_and_starts_nothing(machine: MachineOf) -> None:
    """Points and fingerprint as they were judged; the provenance is the recorded run's."""
    first = machine()
    launch = first.launches.of(suite(), "fp4")
    first.launches.close()
    again = machine("replay", commit="def")
    assert again.launches.of(suite(), "fp4") == launch
    assert (again.measured, again.started) == ([], [])
    origin = again.launches.origin("kimi")
    assert origin is not None
    assert (origin.commit, origin.utc, origin.tool_version) == ("abc", "2026-11-24T08:30:00Z", "0.1.0")
    assert list(again.launches.remarks()) == [
        f"suite kimi: nothing was measured: replays {RUN}, measured 2026-11-24T08:30:00Z at commit abc"
    ]


def test_what_the_run_does_not_hold_is_not_measured_in_a_replay(machine: MachineOf) -> None:
    """A launch never opened, an unfinished one, an engine a test wants to talk to, a suite it never measured."""
    with pytest.raises(ReplayError, match=f"{RUN}: holds nothing of suite kimi to replay"):
        machine("replay").points(suite())
    first = machine()
    first.points(suite())
    first.launches.close()
    with pytest.raises(ReplayError, match=f"holds no launch of int4; .*--precgate-resume={RUN}"):
        machine("replay").points(suite(), "int4")
    dying = machine("resume", dies_at=4)
    with pytest.raises(LoadStoppedError):
        dying.points(suite(), "int4")
    replay = machine("replay")
    with pytest.raises(ReplayError, match="has 2 points of the unfinished int4"):
        replay.points(suite(), "int4")
    with pytest.raises(ReplayError, match="holds no launch of fp4 launch 2"):
        replay.launches.of(suite(), "fp4", number=2)
    with pytest.raises(ReplayError, match="a test asks for the fp4 engine; a replay starts nothing"):
        replay.launches.running(suite(), "fp4", None)
    assert (replay.measured, replay.started) == ([], [])


OTHER_LOAD = replace(LOAD, seed=9)


@pytest.mark.parametrize(
    ("now", "changed", "why"),
    [
        ({"commit": "def"}, {}, "points of kimi are not reused: commit is def, the run's was abc"),
        ({}, {"fp4": Server("fp4", load=OTHER_LOAD)}, r"fp4\.load\.seed is 9, the run's was 0"),
        (
            {},
            {"int4": Server("int4", Fingerprint({"driver": "2"}))},
            r"int4\.known\.hard\.driver is 2, the run's was not known",
        ),
    ],
)
def test_a_run_under_other_facts_is_not_resumed(
    machine: MachineOf, now: dict[str, str], changed: dict[str, Server], why: str
) -> None:
    """The difference is named, nothing is measured, and the journal stays free for who restores it."""
    killed_run(machine)
    again = machine("resume", **now)
    with pytest.raises(RunDiffersError, match=f"{RUN}/journal.jsonl: the .*{why}"):
        again.points(suite(**changed))
    assert (again.measured, again.started) == ([], [])
    assert machine("resume").points(suite()) == [1, 2, 4]


def test_a_server_that_says_something_else_of_itself_gets_no_further_points(machine: MachineOf) -> None:
    """Hard and soft facts alike; only a started server knows them all."""
    killed_run(machine)
    again = machine("resume", told=Fingerprint({"version": "2"}, {"log": "x"}))
    with pytest.raises(RunDiffersError, match="kimi int4 are not reused: version is 2, the run's was 1"):
        again.points(suite(), "int4")
    assert again.measured == []


@pytest.mark.parametrize("load", [{"host.load": "busy"}, {"host.load": "quiet"}])
def test_other_load_on_the_machine_does_not_keep_a_launch_from_going_on(
    machine: MachineOf, load: dict[str, str]
) -> None:
    """It is a fact of a moment, as a run from before it was looked at knows none; the server is the same."""
    killed_run(machine)
    again = machine("resume", told=VERSION_1 | Fingerprint({}, load))
    assert again.points(suite(), "int4") == [1, 2, 4]
    assert again.measured == [4]


def test_a_finished_launch_is_held_against_what_is_known_before_a_start(
    machine: MachineOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replaced checkpoint or driver is found without starting the engine."""
    killed_run(machine)
    monkeypatch.setattr(Server, "preflight", lambda *_: Fingerprint({"version": "2"}))
    again = machine("resume")
    with pytest.raises(RunDiffersError, match="kimi fp4 are not reused: version is 2, the run's was 1"):
        again.points(suite())
    assert again.started == []


def test_a_replay_allows_other_settings_and_says_so(machine: MachineOf) -> None:
    """What was measured is judged; another workload or another number of configurations is another suite."""
    first = machine()
    first.points(suite())
    first.launches.close()
    again = machine("replay", commit="def")
    assert again.points(suite(fp4=Server("fp4", load=OTHER_LOAD))) == [1, 2, 4]
    assert list(again.launches.remarks())[1:] == [
        "suite kimi: today's settings are not those of the replayed run: fp4.load.seed is 9, the run's was 0"
    ]
    for other in (
        replace(suite(), workload=Workload(16, 32)),
        replace(suite(), engines={"fp4": (Server("a"), Server("b"))}),
    ):
        with pytest.raises(RunDiffersError, match="the run measured something else than the suite asks: "):
            machine("replay").points(other)


def test_an_unfinished_run_says_how_to_go_on(machine: MachineOf) -> None:
    """At its end, where it has points to lose; a finished one says nothing."""
    first = machine(dies_at=2)
    assert first.points(suite(fp4=Server("fp4", load=replace(LOAD, concurrency=Grid((4, 8)))))) == [4, 8]
    assert list(first.launches.remarks()) == []
    with pytest.raises(LoadStoppedError):
        first.points(suite(), "int4")
    assert list(first.launches.remarks()) == [
        f"suite kimi: int4 not finished; what was measured is kept, go on with --precgate-resume={RUN}"
    ]


def test_a_run_that_never_reached_a_suite_begins_it(machine: MachineOf, tmp_path: Path) -> None:
    """Killed before the second suite's first launch: it is measured, beside the first, under the run's name."""
    killed_run(machine)
    again = machine("resume")
    other = replace(suite(), name="gpt-oss")
    assert again.points(other) == [1, 2, 4]
    names = {path.name for path in (tmp_path / ".precgate" / "runs").iterdir()}
    assert names == {RUN, RUN.replace("kimi", "gpt-oss")}


def test_two_runs_never_append_to_one_journal(machine: MachineOf) -> None:
    """The second is refused while the first lives."""
    first = machine()
    first.points(suite())
    with pytest.raises(JournalBusyError, match="another run is appending"):
        machine("resume").points(suite())
    with pytest.raises(JournalBusyError, match="started in the same moment"):
        machine().points(suite())
    first.launches.close()
    assert machine("resume").points(suite()) == [1, 2, 4]


def test_no_run_launch_or_opening_asks_what_another_one_asked(
    machine: MachineOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A server that was not started anew would answer from its cache, and look faster at every launch."""
    plans: list[LoadPlan] = []

    def watched(run: Machine) -> Machine:
        simulated = vars(load)["run_point"]

        def run_point(target: Target, plan: LoadPlan, **options: object) -> PointRun:
            plans.append(plan)
            found = simulated(target, plan, **options)
            assert isinstance(found, PointRun)
            return found

        monkeypatch.setattr(load, "run_point", run_point)
        return run

    first = watched(machine())
    for attempt in (1, 2, 3):
        first.launches.of(suite(), "fp4", attempt)
    first.launches.close()
    dying = watched(machine("resume", dies_at=4))
    with pytest.raises(LoadStoppedError):
        dying.launches.of(suite(), "int4")
    dying.launches.close()
    watched(machine("resume")).points(suite(), "int4")
    asked = [tuple(plan.prompts.ask(number).prompt) for plan in plans for number in range(4)]
    assert len(plans) == 3 * 3 + 3 + 1
    assert len({*asked}) == len(asked)
    recorded = read(tmp_path / ".precgate" / "runs" / RUN / "journal.jsonl")
    assert recorded is not None
    assert recorded.run.salt == "a1"


def test_a_journal_that_cannot_be_written_ends_the_launch(machine: MachineOf, tmp_path: Path) -> None:
    """Before a point is measured: what is not kept would be lost with the run."""
    (tmp_path / ".precgate").write_text("", encoding="utf-8")
    first = machine()
    with pytest.raises(PrecgateError, match="cannot be made: Not a directory; without it no point would be kept"):
        first.points(suite())
    assert first.measured == []
