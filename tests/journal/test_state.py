"""A journal as text and as what it amounts to: read back as written, cut a prefix, damaged refused."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.origin import LaunchOrigin
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.measurement import Measurement, Spread
from pytest_precgate.analysis.measure.point import MeasuredPoint
from pytest_precgate.analysis.measure.uncertainty import Uncertainty
from pytest_precgate.analysis.measure.window import Window
from pytest_precgate.errors import InvalidValueError, JournalCorruptError, JournalSchemaError
from pytest_precgate.journal.events import (
    Event,
    LaunchFinished,
    LaunchKey,
    LaunchOpened,
    PointMeasured,
    PointTried,
    RunOpened,
)
from pytest_precgate.journal.schema import SCHEMA, line, read_line
from pytest_precgate.journal.state import JournalState, Recorded, parse
from tests.calls import per_further_unit
from tests.journal import journals

RUN = RunOpened(
    suite="kimi",
    utc="2026-11-24T08:30:00Z",
    commit="abc",
    tool_version="0.1.0",
    hardware="b200",
    workload=Workload(1024, 1024, 0.8),
    configurations={"fp4": 1, "int4": 1},
    settings={"fp4.seed": 1, "int4.seed": 1},
)
KEY = LaunchKey("fp4", 0, 1)
LAUNCH = LaunchOpened(KEY, "simulated", Fingerprint({"calibration": "kimi"}, {"seed": 1}), 3600.0, "simulated")


def point(concurrency: int, throughput: float = 250.0) -> PointMeasured:
    spread = Spread(0.011, 0.01, 0.02, 0.03)
    window = Window("steady", 0.5, 9.5)
    measured = Measurement(concurrency, 4, 10, 0, window, spread, spread, spread, None, None, throughput, None, None)
    return PointMeasured(KEY, MeasuredPoint(measured, 42.5))


SMALL: list[Event] = [RUN, LAUNCH, point(1), point(2), LaunchFinished(KEY)]


def told(events: list[Event]) -> Recorded | None:
    """What events amount to, by themselves."""
    state = JournalState()
    for event in events:
        state.add(event)
    return state.recorded()


def parsed(data: bytes) -> Recorded | None:
    """What the bytes of a journal amount to."""
    state, size = parse(io.BytesIO(data), "j")
    assert size == data.rfind(b"\n") + 1
    return state.recorded()


def written(events: list[Event]) -> bytes:
    return "".join(map(line, events)).encode("ascii")


@settings(max_examples=50)
@given(journals.events())
def test_what_is_written_is_read_back(events: list[Event]) -> None:
    """Any run survives its own journal, to the last digit, with any names."""
    assert parsed(written(events)) == told(events)


def folded(events: list[Event]) -> dict[LaunchKey, list[object]]:
    """What a journal holds of each launch, in the plainest words there are: the events looked through for each."""
    launches: dict[LaunchKey, list[object]] = {}
    for key in dict.fromkeys(event.key for event in events if isinstance(event, LaunchOpened)):
        own = [event for event in events if not isinstance(event, RunOpened) and event.key == key]
        openings = [index for index, event in enumerate(own) if isinstance(event, LaunchOpened)]
        parts = [own[start:end] for start, end in zip(openings, [*openings[1:], len(own)], strict=True)]
        launches[key] = [
            own[0],
            tuple(event.point for event in own if isinstance(event, PointMeasured)),
            tuple(sum(isinstance(event, PointMeasured) for event in part) for part in parts),
            any(isinstance(event, LaunchFinished) for event in own),
            tuple(event.starting_gpu_s for event in own if isinstance(event, LaunchOpened)),
            tuple(event for event in own if isinstance(event, PointTried)),
            tuple(event.origin for event in own if isinstance(event, LaunchOpened)),
        ]
    return launches


@settings(max_examples=50)
@given(journals.events())
def test_a_launch_is_what_its_events_say(events: list[Event]) -> None:
    """Points, openings, starts and tries in their order, however launches are interleaved."""
    found = parsed(written(events))
    assert found is not None
    held = {key: [getattr(launch, each.name) for each in fields(launch)] for key, launch in found.launches.items()}
    assert held == folded(events)


@pytest.mark.parametrize("per_launch", [1_000, 12])
def test_a_line_costs_no_more_the_further_down_it_stands(per_launch: int) -> None:
    """Reading and appending, whether one launch holds all points or each has a few."""

    def events(number: int) -> list[Event]:
        made: list[Event] = [RUN]
        for index in range(number):
            key = LaunchKey("fp4", 0, index // per_launch + 1)
            made += [replace(LAUNCH, key=key)] if index % per_launch == 0 else []
            made.append(replace(point(index % per_launch + 1), key=key))
        return made

    def reading(number: int) -> Callable[[], object]:
        data = written(events(number))
        return lambda: parsed(data)

    def adding(number: int) -> Callable[[], object]:
        made = events(number)
        return lambda: told(made)

    assert per_further_unit(reading, 100, 300) < 1.1
    assert per_further_unit(adding, 100, 300) < 1.1


def test_what_was_recorded_does_not_change_with_later_events() -> None:
    """A value, not a view: a resumed run remembers what it began with."""
    state = JournalState()
    for event in SMALL[:3]:
        state.add(event)
    before = state.recorded()
    state.add(point(2))
    assert before == told(SMALL[:3])
    assert state.recorded() == told(SMALL[:4])


def test_a_line_written_in_another_order_is_read_by_what_it_says() -> None:
    """The digest is of the fields: spaces and order are the writer's own."""
    text = line(point(1))
    turned = dict(reversed(json.loads(text).items()))
    assert read_line(text, 1, "j") == read_line(json.dumps(turned, indent=1), 1, "j") == point(1)


@settings(max_examples=50)
@given(journals.events(), st.data())
def test_a_journal_cut_anywhere_reads_as_a_prefix(events: list[Event], data: st.DataObject) -> None:
    """What a killed run leaves is every event whose line is whole, and nothing of the one under way."""
    whole = written(events)
    cut = data.draw(st.integers(0, len(whole)))
    assert parsed(whole[:cut]) == told(events[: whole[:cut].count(b"\n")])


def test_every_cut_of_a_journal_reads_as_a_prefix() -> None:
    """Each byte of a small one."""
    whole = written(SMALL)
    for cut in range(len(whole) + 1):
        assert parsed(whole[:cut]) == told(SMALL[: whole[:cut].count(b"\n")]), cut


@given(st.data())
def test_a_damaged_byte_never_gives_another_figure(data: st.DataObject) -> None:
    """One byte of a whole line changed, anywhere: refused, or the line's end was hit and a prefix is left."""
    whole = written(SMALL)
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != whole[at]))
    damaged = whole[:at] + bytes([byte]) + whole[at + 1 :]
    try:
        found = parsed(damaged)
    except (JournalCorruptError, JournalSchemaError):
        return
    assert found in [told(SMALL[:count]) for count in range(len(SMALL) + 1)]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("250.0", "260.0", "does not follow from its own digest.* @ line 3"),
        ('"event": "point"', '"event": "pint"', "unknown value 'pint'; did you mean 'point'"),
        ('"event": "point", ', "", "got None, wanted a non-empty text @ line 3: .*event"),
        ("250.0", "NaN", "holds NaN, which is no measurement @ line 3"),
        ("250.0", "1e999", "digest.* @ line 3"),
        ("250.0", "9" * 5000, "@ line 3"),
        ('"gpu_seconds": 42.5', '"gpu_seconds": 42.5, "gpu_seconds": 42.5', "'gpu_seconds' twice in one place.*line 3"),
        ("{", "[", "is not JSON .* @ line 1"),
        ("}", "\u00e9}", "is not ASCII text.* @ line 1"),
    ],
)
def test_damage_is_refused_by_file_line_and_cause(old: str, new: str, why: str) -> None:
    """A person can look at the spot."""
    text = written(SMALL).decode().replace(old, new, 1)
    with pytest.raises(JournalCorruptError, match=why) as refused:
        parse(io.BytesIO(text.encode()), "runs/x/journal.jsonl")
    assert str(refused.value).startswith("runs/x/journal.jsonl: ")


def resigned(text: str, **changes: object) -> bytes:
    """A line with other fields and a digest that follows from them, as another version might write it."""
    fields = {name: value for name, value in json.loads(text).items() if name != "sha256"} | changes
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]
    return (json.dumps({**fields, "sha256": digest}, sort_keys=True) + "\n").encode()


@pytest.mark.parametrize(
    ("event", "changes", "why"),
    [
        (RUN, {"colour": "red"}, "unknown key 'colour'"),
        (RUN, {"schema": 0}, "got 0, wanted at least 1 @ line 1: .*schema"),
        (RUN, {"settings": {"fp4.seed": [1]}}, "wanted a text, a number, true, false or null @ .*fp4.seed"),
        (RUN, {"workload": {"isl": 0, "osl": 1, "range_ratio": 1}}, r"got 0, wanted at least 1 @ .*workload\.isl"),
        (RUN, {"suite": " "}, "wanted a non-empty text @ .*suite"),
        (LAUNCH, {"hard": {"x": None}}, "got None, wanted a text or a number"),
        (LAUNCH, {"launch": {"precision": "fp4", "configuration": -1, "launch": 1}}, "configuration: got -1"),
        (LAUNCH, {"starting_gpu_s": 0}, "LaunchOpened.starting_gpu_s: got 0"),
        (point(1), {"gpu_seconds": 0}, "MeasuredPoint.gpu_seconds: got 0"),
        (point(1), {"measurement": {}}, "required field missing @ .*measurement.concurrency"),
    ],
)
def test_a_field_that_cannot_be_is_refused_by_its_spot(event: Event, changes: dict[str, object], why: str) -> None:
    """Also where the digest is right: another writer's mistake is no measurement."""
    before = SMALL[: SMALL.index(event)]
    with pytest.raises(JournalCorruptError, match=why):
        parsed(written(before) + resigned(line(event), **changes))


# Written by the first release's code: no launch says what its start took.
SCHEMA_1 = """\
{"commit": "abc", "configurations": {"fp4": 1, "int4": 1}, "event": "run", "hardware": "b200", "schema": 1, \
"settings": {"fp4.seed": 1, "int4.seed": 1}, "sha256": "944db528322bb980", "suite": "kimi", \
"tool_version": "0.1.0", "utc": "2026-11-24T08:30:00Z", "workload": {"isl": 1024, "osl": 1024, "range_ratio": 0.8}}
{"engine": "simulated", "event": "launch", "hard": {"calibration": "kimi"}, "launch": {"attempt": 1, "number": 0, \
"precision": "fp4"}, "sha256": "9860092464a1ecee", "soft": {"seed": 1}}
"""


def test_a_journal_of_an_older_schema_is_read() -> None:
    """What its starts took is not known, and not nothing."""
    old = replace(LAUNCH, starting_gpu_s=None)
    assert parsed(SCHEMA_1.encode("ascii") + written([point(1)])) == told([RUN, old, point(1)])


def test_an_older_journal_names_launches_and_settings_in_its_own_words() -> None:
    """Schema 3: number, attempt and a load's extent; an engine's option may be called so too."""
    settings = {
        "fp4.load.extent.point_error": 0.005,
        "int4[1].settings.load.extent.point_error": 0.005,
        "int8.endpoint.load.extent.point_error": 0.005,
        "int4[0].settings.options.extent.load.extent.a": 1,
        "fp4.extent.load.extent.a": 1,
    }
    renamed = {
        "fp4.load.stop_rule.point_error": 0.005,
        "int4[1].settings.load.stop_rule.point_error": 0.005,
        "int8.endpoint.load.stop_rule.point_error": 0.005,
        "int4[0].settings.options.extent.load.extent.a": 1,
        "fp4.extent.load.extent.a": 1,
    }
    run = resigned(line(RUN), schema=3, settings=settings)
    opened = resigned(line(LAUNCH), launch={"precision": "fp4", "number": 0, "attempt": 1})
    measured = resigned(line(point(1)), launch={"precision": "fp4", "number": 0, "attempt": 1})
    expected = replace(RUN, settings=renamed)
    assert parsed(run + opened + measured) == told([expected, LAUNCH, point(1)])


def test_an_older_journals_standard_error_is_read_as_a_90_percent_interval() -> None:
    """Schema 2: what a server tells of its tokens, retries and the error asked for are not known either."""
    wanted = replace(point(1).point.measurement, error=Uncertainty(0.01645, 0.0329))
    figures = json.loads(line(point(1)))["measurement"] | {"error": {"throughput": 0.01, "interactivity": 0.02}}
    for name in ("tokens", "resent", "reopened", "asked_error"):
        del figures[name]
    run = resigned(line(RUN), schema=2)
    old = resigned(line(point(1)), measurement=figures)
    state = parsed(run + line(LAUNCH).encode() + old)
    assert state is not None
    (read,) = state.launches[KEY].points
    assert read.measurement == wanted


def test_a_newer_schema_is_refused_by_name() -> None:
    """With any other content of the line."""
    with pytest.raises(JournalSchemaError, match=f"j: schema {SCHEMA + 1} was written by a newer pytest-precgate"):
        parsed(line(RUN).replace(f'"schema": {SCHEMA}', f'"schema": {SCHEMA + 1}, "more": true').encode())


@pytest.mark.parametrize(
    ("engine", "paid"), [("endpoint", "endpoint"), ("simulated", "simulated"), ("trtllm", "started"), ("x", "started")]
)
def test_an_older_journal_says_by_the_kind_of_engine_what_its_seconds_are(engine: str, paid: str) -> None:
    """Up to schema 4 there were no other kinds; a journal of today says it, and refuses a word it does not know."""
    fields = json.loads(line(replace(LAUNCH, engine=engine)))
    del fields["paid"]
    state = parsed(resigned(line(RUN), schema=4) + resigned(json.dumps(fields)))
    assert state is not None
    assert state.launches[KEY].opened.paid == paid
    with pytest.raises(JournalCorruptError, match=r"unknown value 'gift'; known: .*paid"):
        parsed(line(RUN).encode() + resigned(line(LAUNCH), paid="gift"))


def test_a_launch_keeps_when_and_where_it_began() -> None:
    """One that goes on on another node has none: it is no launch of either. What is not known is not written."""
    first = replace(LAUNCH, origin=LaunchOrigin("2026-11-24T08:31:00Z", "b200-7", ("GPU-1", "GPU-2")))
    again = replace(LAUNCH, origin=LaunchOrigin("2026-11-25T09:00:00Z", "b200-8", ("GPU-3",)))
    found = parsed(written([RUN, first, point(1)]))
    assert found is not None
    assert found.launches[KEY].origin == first.origin
    resumed = parsed(written([RUN, first, point(1), again, point(2)]))
    assert resumed is not None
    expected = LaunchOrigin("2026-11-24T08:31:00Z", None, ("GPU-1", "GPU-2", "GPU-3"))
    assert resumed.launches[KEY].origin == expected
    assert not {"utc", "node", "gpus"} & {*json.loads(line(LAUNCH))}


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([LAUNCH], "begins with its run"),
        ([RUN, RUN], "opens once"),
        ([RUN, point(1)], "fp4 was never opened"),
        ([RUN, LAUNCH, point(1), point(1, 260.0)], "fp4 measured concurrency 1 twice"),
        ([RUN, LAUNCH, LaunchFinished(KEY)], "finished without a point"),
        ([*SMALL, point(3)], "fp4 was finished before"),
        ([*SMALL, LAUNCH], "fp4 was finished before"),
        ([RUN, LAUNCH, replace(LAUNCH, engine="vllm")], "other facts: engine is vllm, the run's was simulated"),
        (
            [RUN, LAUNCH, replace(LAUNCH, facts=Fingerprint({"calibration": "kimi"}, {}))],
            "other facts: seed is not known, the run's was 1",
        ),
    ],
)
def test_an_event_out_of_order_is_refused_when_read_and_when_appended(events: list[Event], why: str) -> None:
    """One rule for both sides: no journal is written that would not be read."""
    with pytest.raises(JournalCorruptError, match=why):
        parsed(written(events))
    with pytest.raises(InvalidValueError, match=why):
        told(events)


def test_a_launch_knows_how_often_it_was_resumed_with_points_in_hand() -> None:
    """An opening that gave no point mixed nothing."""

    def resumed(*events: Event) -> int:
        state = told([RUN, *events])
        assert state is not None
        return state.launches[KEY].times_resumed

    assert resumed(LAUNCH) == 0
    assert resumed(LAUNCH, LAUNCH, point(1)) == 0
    assert resumed(LAUNCH, point(1), LAUNCH) == 0
    assert resumed(LAUNCH, point(1), LAUNCH, point(2), LaunchFinished(KEY)) == 1
    assert resumed(LAUNCH, point(1), LAUNCH, LAUNCH, point(2), LAUNCH, point(3)) == 2


def test_runs_that_measure_something_else_differ_by_name() -> None:
    """Each fact that decides a figure, and nothing that only judges it."""
    other = replace(RUN, utc="later", commit="def", settings={"fp4.seed": 2, "fp4.noise": 0.1})
    assert other.unlike(RUN) == (
        "commit is def, the run's was abc",
        "fp4.noise is 0.1, the run's was not known",
        "fp4.seed is 2, the run's was 1",
        "int4.seed is not known, the run's was 1",
    )
    assert other.unlike_in_kind(RUN) == ()
    bigger = replace(RUN, workload=Workload(2048, 1024, 0.8), configurations={"fp4": 2, "int4": 1})
    assert bigger.unlike_in_kind(RUN) == (
        "number of fp4 configurations is 2, the run's was 1",
        "workload is isl 2048, osl 1024, lengths 0.8-1x, the run's was isl 1024, osl 1024, lengths 0.8-1x",
    )
    assert replace(RUN, utc="later").unlike(RUN) == ()


def test_a_figure_that_is_not_finite_is_not_written() -> None:
    """A journal that could not be read is not made."""
    with pytest.raises(InvalidValueError, match="finite figures only"):
        line(replace(LAUNCH, facts=Fingerprint({}, {"x": float("nan")})))


@pytest.mark.parametrize("change", [{"gpu_seconds": -1.0}, {"configuration": ""}])
def test_a_finished_point_is_a_point(change: dict[str, object]) -> None:
    """What no sweep could hold is refused when it is built."""
    finished = point(1).point
    with pytest.raises(InvalidValueError):
        replace(finished, **change)  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError, match=r"tpot\.median_s"):
        replace(finished, measurement=replace(finished.measurement, tpot=Spread(0.0, 0.0, 0.0, 0.0)))
