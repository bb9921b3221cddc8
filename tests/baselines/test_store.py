"""Baseline files: text that a person can review, whole or left alone."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.accepted.baseline import AnchorState, Baseline, Launch, Provenance, RecordedGate
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.origin import LaunchOrigin
from pytest_precgate.analysis.cost import LaunchCost
from pytest_precgate.analysis.curves.details import PointDetails
from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.analysis.curves.sweep import Sweep
from pytest_precgate.analysis.gating.gates import GateKey, Metric
from pytest_precgate.baselines.schema import SCHEMA, dump, parse, recorded_values
from pytest_precgate.baselines.store import BaselineStore
from pytest_precgate.errors import BaselineBusyError, BaselineCorruptError, BaselineError, BaselineWriteError
from tests import clouds
from tests.builders.baselines import kimi_baseline, launch, scaled
from tests.calls import calls_of
from tests.published import kimi
from tests.test_files import temporary_of
from tests.writers import update_often


@given(fp4=clouds.sweeps("fp4"), int4=clouds.sweeps("int4"), point=st.floats(40.0, 90.0), reason=st.text(max_size=20))
def test_what_is_written_is_read_back(fp4: Sweep, int4: Sweep, point: float, reason: str) -> None:
    """Any baseline survives its own file, with any figures and any reason."""
    key = GateKey(Metric.COST_RATIO, ("fp4", "int4"), point)
    launches = [
        Launch(sweep, Fingerprint.of(sweep, ("recorded",), {"source": "ü|,"})).rounded() for sweep in (fp4, int4)
    ]
    recorded = Provenance("abc", "2026-11-24T06:00:00Z", "0.1.0", reason.replace("\n", " "))
    baseline = Baseline("s", launches, [RecordedGate("t.py::t[a/b]", key)], recorded, HARDWARE["b200"])
    text = dump(baseline)
    again = parse(text, "s.json")
    assert again == baseline
    assert dump(again) == text


def test_a_diff_of_the_file_is_one_line_per_point_and_gate() -> None:
    """Sorted keys, a point a line, six digits: what a reviewer reads."""
    text = dump(kimi_baseline())
    lines = text.splitlines()
    assert sum('"concurrency"' in line for line in lines) == 21
    assert sum('"metric"' in line for line in lines) == 4  # two of gates, two of their anchor
    assert (
        '       {"concurrency": 4, "configuration": "vllm-tp4-ep1", "gpus": 4, "interactivity": 124.702, '
        '"throughput_per_gpu": 241.637},'
    ) in lines
    top = [line.split('"')[1] for line in lines if line.startswith('  "')]
    assert top == sorted(top)
    assert json.loads(text)["gates"][0]["value"] == 2.84622


def test_an_edited_value_is_refused_however_often_it_is_asked_for(tmp_path: Path) -> None:
    """The values are computed once, and every test of the suite is told."""
    store = BaselineStore(tmp_path, tmp_path)
    store.write(kimi_baseline(), store.read("kimi"))
    sound = store.read("kimi")
    first, second = calls_of(sound.refuse_edited), calls_of(sound.refuse_edited)
    assert second < 10 < first
    store.path("kimi").write_text(dump(kimi_baseline()).replace("2.84622", "1.0"), encoding="utf-8")
    edited = store.read("kimi")
    for _ in range(2):
        with pytest.raises(BaselineCorruptError, match=r"says 1, its points give 2\.84622; edited by hand"):
            edited.refuse_edited()
    sound.refuse_edited()


FAR = {"metric": "cost", "point": 9999, "precision": "fp4", "value": 1.0}


def test_an_anchor_that_its_points_do_not_give_is_refused_by_name(tmp_path: Path) -> None:
    """Another value, or points that do not reach its gate: the file is named, whatever states stand before it."""
    files = BaselineStore(tmp_path, tmp_path)
    files.write(replace(kimi_baseline(), anchors=[_state_without_gates()]), files.read("kimi"))
    whole = json.loads(files.text("kimi"))
    assert [len(state["gates"]) for state in whole["oldest_accepted"]] == [0, 2]
    files.read("kimi").refuse_edited()
    held = whole["oldest_accepted"][1]
    first, *others = held["gates"]
    narrow = [
        {**each, "points": [point for point in each["points"] if point["interactivity"] > 60]}
        for each in whole["launches"]
    ]
    for state, why in (
        ({**held, "gates": [{**first, "value": 3.0}, *others]}, r"says 3, its points give 2\.84622"),
        ({**held, "launches": narrow}, r"says 2\.84622, its points give none: .* lies outside the measured range"),
    ):
        _write(files, {**whole, "oldest_accepted": [whole["oldest_accepted"][0], state]})
        with pytest.raises(
            BaselineCorruptError, match=r"^kimi\.json: the anchor of fp4/int4 throughput_ratio at 55 .*" + why
        ):
            files.read("kimi").refuse_edited()


def test_an_anchor_of_nothing_in_an_older_file_is_passed_over(tmp_path: Path) -> None:
    """In whatever order its states stand, each value is compared with the state of its own gate."""
    files = BaselineStore(tmp_path, tmp_path)
    files.write(kimi_baseline(), files.read("kimi"))
    whole = {**json.loads(files.text("kimi")), "schema": 3}
    _write(
        files,
        {**whole, "oldest_accepted": [{**whole["oldest_accepted"][0], "gates": [FAR]}, *whole["oldest_accepted"]]},
    )
    assert files.read("kimi").edited == ()


def _state_without_gates() -> AnchorState:
    return AnchorState(kimi_baseline().recorded, [launch(scaled(kimi("fp4"), 1.1)).rounded()], [])


def _write(files: BaselineStore, document: object) -> None:
    files.path("kimi").write_text(json.dumps(document), encoding="utf-8")


@pytest.mark.parametrize(
    ("written", "is_edited"),
    [("2.84623", False), ("2.84621", False), ("2.84626", True), ("2.84618", True)],
)
def test_a_value_is_edited_where_it_is_off_by_more_than_its_last_digit(
    tmp_path: Path, written: str, is_edited: bool
) -> None:
    """Six digits are written, so rounding moves a value by one in the last of them, and nothing moves it by more."""
    store = BaselineStore(tmp_path, tmp_path)
    store.write(kimi_baseline(), store.read("kimi"))
    store.path("kimi").write_text(dump(kimi_baseline()).replace("2.84622", written), encoding="utf-8")
    assert bool(store.read("kimi").edited) is is_edited


@pytest.mark.parametrize("name", ["acceptance_length", "short_error"])
def test_a_figure_of_a_point_may_be_left_out_and_not_be_null(name: str) -> None:
    """Only a figure is ever written there; null is another hand's."""
    text = dump(kimi_baseline()).replace('"concurrency":', f'"{name}": null, "concurrency":', 1)
    with pytest.raises(BaselineCorruptError, match=f"wanted a number.*{name}"):
        parse(text, "kimi.json")


COSTS = (LaunchCost("vllm-tp4-ep1", 7, 980.5, 3600.0), LaunchCost("vllm-tp8", 6, 870.25, None))


def test_a_launch_keeps_what_it_cost() -> None:
    """A line per configuration, six digits; an unknown start is null and never a zero."""
    first, *others = kimi_baseline().launches
    told = replace(kimi_baseline(), launches=[replace(first, costs=COSTS), *others])
    text = dump(told)
    assert parse(text, "kimi.json") == told
    assert (
        '       {"configuration": "vllm-tp8", "measuring_gpu_s": 870.25, "points": 6, "starting_gpu_s": null}'
    ) in text.splitlines()
    with pytest.raises(BaselineCorruptError, match=r"LaunchCost\.starting_gpu_s: got 0\.0.*launches\[0\]\.costs\[0\]"):
        parse(text.replace("3600.0", "0"), "kimi.json")


def test_a_launch_keeps_when_and_where_it_was_measured() -> None:
    """Each in a line of its own, and none where nothing is known; a time in another format is refused at its spot."""
    first, *others = kimi_baseline().launches
    origin = LaunchOrigin("2026-11-24T06:10:00Z", "b200-7", ("GPU-8932f937-d72c", "GPU-1"))
    told = replace(kimi_baseline(), launches=[replace(first, origin=origin), *others], anchors=())
    text = dump(told)
    again = parse(text, "kimi.json")
    assert [launch.origin for launch in again.launches] == [launch.origin for launch in told.launches]
    assert '     "gpus": ["GPU-8932f937-d72c", "GPU-1"],' in text.splitlines()
    assert text.count('"utc": ') == 3  # its own, that of the record, and that of the anchor
    with pytest.raises(BaselineCorruptError, match=r"LaunchOrigin\.utc: got 'noon'.*launches\[0\]"):
        parse(text.replace("2026-11-24T06:10:00Z", "noon"), "kimi.json")


def test_a_file_of_the_first_schema_is_read() -> None:
    """It knows no cost, and what cannot be launched again is told by the kind of its engine."""
    text = dump(kimi_baseline()).replace(f'"schema": {SCHEMA}', '"schema": 1').replace('"repeatable": false', "")
    text = text.replace(",\n     }", "}")
    assert "costs" not in text
    assert parse(text, "kimi.json") == kimi_baseline()


@pytest.mark.parametrize(("simulated", "repeatable"), [(False, False), (False, True), (True, True)])
def test_a_launch_says_what_it_is_whatever_its_engine_is_called(simulated: bool, repeatable: bool) -> None:
    """Whether it can be launched again and is simulated is kept, and said only where it is out of the ordinary."""
    launches = [
        Launch(replace(each.sweep, simulated=simulated), each.fingerprint, is_repeatable=repeatable)
        for each in (launch(kimi(name), "mine").rounded() for name in ("fp4", "int4"))
    ]
    told = replace(kimi_baseline(), launches=launches, anchors=())
    text = dump(told)
    assert parse(text, "kimi.json") == told
    assert text.count('"repeatable": false') == 2 * (not repeatable)
    assert text.count('"simulated": true') == 2 * simulated


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (lambda file: file.pop("oldest_accepted"), r"required field missing: the states .* @ \$\.oldest_accepted"),
        (lambda file: file["oldest_accepted"].clear(), "no state anchors fp4/int4 throughput_ratio at 55 tok/s/user; "),
        (lambda file: file["oldest_accepted"][0]["gates"].pop(), "no state anchors fp4 throughput_per_gpu at 55"),
        (
            lambda file: file["oldest_accepted"].append(file["oldest_accepted"][0]),
            "a gate has two anchors",
        ),
        (
            lambda file: file["oldest_accepted"].insert(0, {**file["oldest_accepted"][0], "gates": [FAR]}),
            "a state anchors fp4 cost at 9999 tok/s/user, which is no gate of it; .*Restore the file from version",
        ),
    ],
)
def test_a_gate_without_its_anchor_is_refused(edit: Callable[[Any], object], why: str) -> None:
    """Left out by hand, a drifted gate would be its own anchor and pass. Older schemas have no anchors."""
    document = json.loads(dump(kimi_baseline()))
    edit(document)
    with pytest.raises(BaselineCorruptError, match=why):
        parse(json.dumps(document), "kimi.json")
    older = json.loads(dump(kimi_baseline()))
    del older["oldest_accepted"]
    assert parse(json.dumps({**older, "schema": 3}), "kimi.json").anchors == kimi_baseline().anchors


def test_gate_values_in_the_file_are_for_readers() -> None:
    """They are not part of the value; one that does not follow from the points is found when it is judged."""
    text = dump(kimi_baseline())
    edited = text.replace("2.84622", "1.0")
    assert parse(edited, "kimi.json") == parse(text, "kimi.json")
    assert 1.0 in recorded_values(edited, "kimi.json").gates.values()


@given(st.data())
def test_a_truncated_file_is_never_read(data: st.DataObject) -> None:
    """Cut anywhere, it is refused as corrupt."""
    text = dump(kimi_baseline())
    cut = data.draw(st.integers(0, len(text) - 3))
    with pytest.raises(BaselineCorruptError, match="kimi"):
        parse(text[:cut], "kimi.json")


def store(tmp_path: Path) -> BaselineStore:
    return BaselineStore(tmp_path / "baselines", tmp_path)


def test_a_file_that_is_not_there_is_no_baseline(tmp_path: Path) -> None:
    """Missing is not corrupt."""
    assert store(tmp_path).read("kimi").baseline is None
    assert store(tmp_path).suites() == ()


def test_what_is_written_is_stored_under_the_suite_s_name(tmp_path: Path) -> None:
    """The directory is made, no temporary or lock file stays, and permissions are those of any new file."""
    files = store(tmp_path)
    files.write(kimi_baseline(), files.read("kimi"))
    assert files.read("kimi").baseline == kimi_baseline()
    assert [path.name for path in files.directory.iterdir()] == ["kimi.json"]
    plain = tmp_path / "plain"
    plain.touch()
    assert files.path("kimi").stat().st_mode == plain.stat().st_mode


def test_a_file_another_run_rewrote_is_left_alone(tmp_path: Path) -> None:
    """What was read at the start is what may be replaced at the end."""
    files = store(tmp_path)
    seen = files.read("kimi")
    files.write(kimi_baseline(), seen)
    text = files.text("kimi")
    with pytest.raises(BaselineBusyError, match=r"baselines/kimi\.json: was rewritten by another run"):
        files.write(replace(kimi_baseline(), cost="interpolated"), seen)
    assert files.text("kimi") == text


def test_a_write_that_fails_half_way_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full when the data is flushed: old file, no temporary file, the system's words."""
    files = store(tmp_path)
    files.write(kimi_baseline(), files.read("kimi"))
    text = files.text("kimi")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BaselineWriteError, match="cannot be written: No space left on device"):
        files.write(replace(kimi_baseline(), cost="interpolated"), files.read("kimi"))
    assert files.text("kimi") == text
    assert [path.name for path in files.directory.iterdir()] == ["kimi.json"]


def test_a_leftover_temporary_file_is_no_obstacle(tmp_path: Path) -> None:
    """The process that left it has ended: the lock is free."""
    files = store(tmp_path)
    files.directory.mkdir()
    temporary_of(files.path("kimi")).write_text("torn", encoding="utf-8")
    files.write(kimi_baseline(), files.read("kimi"))
    assert [path.name for path in files.directory.iterdir()] == ["kimi.json"]


def test_a_symlinked_baseline_is_written_where_it_points(tmp_path: Path) -> None:
    """And a file keeps its permissions."""
    files = store(tmp_path)
    files.write(kimi_baseline(), files.read("kimi"))
    real = tmp_path / "real.json"
    files.path("kimi").rename(real)
    files.path("kimi").symlink_to(real)
    real.chmod(0o640)
    files.write(replace(kimi_baseline(), cost="interpolated"), files.read("kimi"))
    assert files.path("kimi").is_symlink()
    assert '"interpolated"' in real.read_text(encoding="utf-8")
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_file_another_run_rewrote_is_not_deleted(tmp_path: Path) -> None:
    """Pruning looks again under the lock."""
    files = store(tmp_path)
    files.write(kimi_baseline(), files.read("kimi"))
    seen = files.read("kimi")
    files.write(replace(kimi_baseline(), cost="interpolated"), seen)
    with pytest.raises(BaselineBusyError, match="was rewritten by another run"):
        files.delete(seen)
    assert files.path("kimi").exists()


def test_a_file_system_that_cannot_flush_a_directory_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rename has happened; saying "left as it was" would be untrue."""
    files, flush = store(tmp_path), os.fsync

    def some(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", some)
    files.write(kimi_baseline(), files.read("kimi"))
    assert files.read("kimi").baseline == kimi_baseline()


def test_an_unreadable_file_is_an_error_and_not_a_missing_baseline(tmp_path: Path) -> None:
    """A directory in the file's place, and bytes that are no text."""
    files = store(tmp_path)
    files.path("kimi").mkdir(parents=True)
    with pytest.raises(BaselineError, match="cannot be read"):
        files.read("kimi")
    files.path("other").write_bytes(b"\xff")
    with pytest.raises(BaselineCorruptError, match="not UTF-8"):
        files.read("other")


def test_many_writers_at_once_lose_no_update(tmp_path: Path) -> None:
    """Four processes of five updates each: every one is in the history, and the file was never half-written."""
    directory = tmp_path / "baselines"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=update_often, args=(directory, number, 5)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * 4
    baseline = store(tmp_path).read("kimi").baseline
    assert baseline is not None
    assert {entry.reason for entry in baseline.history} == {f"{w}.{n}" for w in range(4) for n in range(5)}
    assert [path.name for path in directory.iterdir()] == ["kimi.json"]


@pytest.mark.parametrize("more", [{}, {"ttft_p99_s": 0.4}])
def test_an_anchor_keeps_its_own_latencies_where_no_throughput_moved(more: dict[str, float]) -> None:
    """Points are equal without their details, and an anchor's are not those of later launches."""

    def of(ttft_s: float | None) -> Baseline:
        details = PointDetails(ttft_p99_s=ttft_s)
        launches = [launch(kimi(name)).rounded() for name in ("fp4", "int4")]
        sweeps = [each.sweep for each in launches]
        told = [replace(s, points=[replace(p, details=details) for p in s.points]) for s in sweeps]
        launches = [replace(each, sweep=sweep) for each, sweep in zip(launches, told, strict=True)]
        return replace(kimi_baseline(), launches=launches, anchors=())

    first, later = of(0.2), of(more.get("ttft_p99_s"))
    kept = replace(later, anchors=first.anchors)
    read = parse(dump(kept), "kimi.json")
    for state in (kept, read):
        points = state.anchors[0].launches[0].sweep.points
        assert {point.figure("ttft_p99_s") for point in points} == {0.2}
