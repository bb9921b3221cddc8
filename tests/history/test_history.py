"""The history of judged runs: lines that are whole, read back as written, appended by several runs at once."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.accepted.origin import LaunchOrigin
from pytest_precgate.analysis.gating.gates import GateKey, Metric
from pytest_precgate.errors import HistoryCorruptError, HistoryError, HistorySchemaError, InvalidValueError
from pytest_precgate.history.entry import SCHEMA, GateEntry, HistoryEntry, line, read_line
from pytest_precgate.history.file import append, read
from tests.journal.journals import figures, origins, texts
from tests.writers import append_often

KEY = GateKey(Metric.THROUGHPUT_PER_GPU, ("fp4",), 55)
GATE = GateEntry("t.py::t", KEY, "PASS", 100.0, 101.0, 102.0, "2026 (commit c)", 0.005, (100.0, 99.0))
ORIGIN = LaunchOrigin("2026-11-24T06:00:00Z", "b200-7", ("GPU-1",))
ENTRY = HistoryEntry("kimi", "2026-11-24T06:29:02Z", "abc", "0.1.0", "passed", False, [GATE], [("fp4", ORIGIN)])
entries = st.builds(
    HistoryEntry,
    *(texts, texts, texts, texts, texts, st.booleans()),
    st.lists(
        st.builds(
            GateEntry,
            *(texts, st.builds(GateKey, st.just(Metric.COST_RATIO), st.just(("fp4", "int4")), figures), texts),
            *(st.none() | figures, st.none() | figures, st.none() | figures, st.none() | texts, st.none() | figures),
            st.lists(figures, max_size=3).map(tuple),
        ),
        max_size=3,
    ),
    st.lists(st.tuples(texts, origins), max_size=2),
    st.booleans(),
)


@given(entries)
def test_what_is_written_is_read_back(entry: HistoryEntry) -> None:
    """Any names, figures to the last digit, one line of ASCII."""
    text = line(entry)
    assert text.isascii()
    assert text.count("\n") == 1
    assert read_line(text, 1, "h") == entry


def test_lines_are_appended_and_the_folder_is_made(tmp_path: Path) -> None:
    """What was there stays, byte for byte; no lock or temporary file is left."""
    path = tmp_path / "trends" / "precgate.jsonl"
    assert read(path) == []
    append(path, [ENTRY])
    first = path.read_bytes()
    append(path, [replace(ENTRY, suite="llama"), ENTRY])
    assert path.read_bytes().startswith(first)
    assert [entry.suite for entry in read(path)] == ["kimi", "llama", "kimi"]
    assert [each.name for each in path.parent.iterdir()] == ["precgate.jsonl"]


@pytest.mark.parametrize("cut", [1, 40, 300])
def test_what_a_killed_run_began_is_cut_off(tmp_path: Path, cut: int) -> None:
    """And not read; a whole line whose end an editor removed is kept."""
    path = tmp_path / "h"
    whole = line(ENTRY)
    path.write_text(whole + whole[:cut], encoding="ascii")
    assert read(path) == [ENTRY]
    append(path, [ENTRY])
    assert path.read_text(encoding="ascii") == whole + whole
    path.write_text(whole + whole.rstrip("\n"), encoding="ascii")
    assert read(path) == [ENTRY, ENTRY]
    append(path, [ENTRY])
    assert path.read_text(encoding="ascii") == whole * 3


def test_a_disk_that_is_full_leaves_the_lines_that_were_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole line or none."""
    path = tmp_path / "h"
    append(path, [ENTRY])
    before, write = path.read_bytes(), os.write
    wrote: list[int] = []

    def some(descriptor: int, data: bytes) -> int:
        if wrote:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        wrote.append(write(descriptor, data[:10]))
        return wrote[0]

    monkeypatch.setattr(os, "write", some)
    with pytest.raises(
        HistoryError, match=r"h: the history cannot be written: No space left on device; nothing was ap"
    ):
        append(path, [ENTRY])
    assert path.read_bytes() == before


def test_runs_at_once_append_whole_lines(tmp_path: Path) -> None:
    """Four processes, forty lines each: none is lost, none is mixed."""
    path = tmp_path / "h"
    spawn = multiprocessing.get_context("spawn")
    workers = [
        spawn.Process(target=append_often, args=(path, replace(ENTRY, suite=f"s{number}"))) for number in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    suites = [entry.suite for entry in read(path)]
    assert sorted(suites) == sorted(f"s{number}" for number in range(4) for _ in range(40))


@pytest.mark.parametrize(
    ("text", "error", "why"),
    [
        ("{", HistoryCorruptError, "h: is not JSON .* @ line 1"),
        ("[]", HistoryCorruptError, "wanted a table @ line 1"),
        (
            line(ENTRY).replace('"accepted": false', '"accepted": 1'),
            HistoryCorruptError,
            r"got 1, wanted true or false",
        ),
        (line(ENTRY).replace('"utc": "2026-11-24T06:00:00Z"', '"utc": "noon"'), HistoryCorruptError, "got 'noon'"),
        (
            line(ENTRY).replace('"commit": "abc", ', ""),
            HistoryCorruptError,
            r"required field missing @ line 1: \$\.commit",
        ),
        (
            line(ENTRY).replace('"anchor": 102.0', '"anchor": -1'),
            HistoryCorruptError,
            r"^h: got -1\.0, wanted a number from 1e-30 to 1e\+30; remove .* @ line 1: \$\.gates\[0\]\.anchor",
        ),
        (line(ENTRY).replace('"value": 100.0', '"value": 0'), HistoryCorruptError, r"got 0\.0, .*gates\[0\]\.value"),
        (line(ENTRY).replace('"baseline": 101.0', '"baseline": -5'), HistoryCorruptError, r"got -5\.0, .*\.baseline"),
        (line(ENTRY).replace("[100.0, 99.0]", "[100.0, 0.0]"), HistoryCorruptError, r"got 0\.0, .*\.values\[1\]"),
        (line(ENTRY).replace('"sigma": 0.005', '"sigma": -0.1'), HistoryCorruptError, r"got -0\.1, .*0 to .*\.sigma"),
        (line(ENTRY).replace('"sigma": 0.005', '"sigma": 1e200'), HistoryCorruptError, r"got 1e\+200, .*\.sigma"),
        (
            line(ENTRY).replace(f'"schema": {SCHEMA}', f'"schema": {SCHEMA + 1}, "more": 1'),
            HistorySchemaError,
            f"line 1: schema {SCHEMA + 1} was written by a newer pytest-precgate; this one reads up to {SCHEMA}",
        ),
    ],
)
def test_a_line_that_is_no_entry_is_refused_at_its_spot(text: str, error: type[HistoryError], why: str) -> None:
    """File and line are named, and what to do."""
    with pytest.raises(error, match=why):
        read_line(text, 1, "h")


def test_what_cannot_be_written_or_read_is_named(tmp_path: Path) -> None:
    """A folder in its place; a figure that is none."""
    with pytest.raises(HistoryError, match="the history cannot be written: Is a directory"):
        append(tmp_path, [ENTRY])
    with pytest.raises(HistoryError, match="the history cannot be read: Is a directory"):
        read(tmp_path)
    with pytest.raises(InvalidValueError, match="a history holds finite figures only"):
        line(replace(ENTRY, gates=[replace(GATE, value=float("nan"))]))
    assert json.loads(line(ENTRY))["schema"] == SCHEMA
