"""A journal on disk: whole after any death, one writer at a time, and an error names the file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_precgate.errors import (
    InvalidValueError,
    JournalBusyError,
    JournalCorruptError,
    JournalError,
    JournalSchemaError,
    JournalWriteError,
)
from pytest_precgate.journal.events import LaunchFinished
from pytest_precgate.journal.file import Journal, is_in_use, read
from pytest_precgate.journal.schema import SCHEMA, line
from tests.journal.test_state import KEY, LAUNCH, RUN, SMALL, point, resigned, told, written
from tests.published import ROOT


def made(path: Path, count: int = len(SMALL)) -> Journal:
    journal = Journal.create(path, RUN)
    for event in SMALL[1:count]:
        journal.append(event)
    return journal


def test_each_event_is_in_the_file_when_append_returns(tmp_path: Path) -> None:
    """Another process can read it, also after this process has ended."""
    path = tmp_path / "journal.jsonl"
    journal = Journal.create(path, RUN)
    for count, event in enumerate(SMALL[1:], 2):
        journal.append(event)
        assert path.read_bytes() == written(SMALL[:count])
        assert read(path) == journal.recorded == told(SMALL[:count])
    journal.close()


@pytest.mark.parametrize("cut", range(1, 400, 57))
def test_a_reopened_journal_loses_what_was_begun_and_goes_on(tmp_path: Path, cut: int) -> None:
    """The torn end is cut off before the next line is written: the file is what an undisturbed run would have left."""
    path = tmp_path / "journal.jsonl"
    made(path, 3).close()
    with path.open("ab") as file:
        file.write(written([point(2)])[:cut])
    journal = Journal.reopen(path, RUN)
    assert journal.recorded == told(SMALL[:3])
    for event in SMALL[3:]:
        journal.append(event)
    journal.close()
    assert path.read_bytes() == written(SMALL)


def test_a_run_killed_within_its_first_line_begins_anew(tmp_path: Path) -> None:
    """There is nothing to lose; the journal gets its first line."""
    path = tmp_path / "journal.jsonl"
    path.write_bytes(written([RUN])[:30])
    assert read(path) is None
    journal = Journal.reopen(path, RUN)
    journal.append(LAUNCH)
    journal.close()
    assert path.read_bytes() == written(SMALL[:2])


def test_a_journal_has_one_writer(tmp_path: Path) -> None:
    """A second one, and a second beginning, are refused; once it is closed the next may go on."""
    path = tmp_path / "journal.jsonl"
    journal = made(path, 3)
    assert is_in_use(path)
    with pytest.raises(JournalBusyError, match=r"journal\.jsonl: another run is appending"):
        Journal.reopen(path, RUN)
    with pytest.raises(JournalBusyError, match="another run that started in the same moment"):
        Journal.create(path, RUN)
    assert read(path) == journal.recorded
    journal.close()
    journal.close()
    assert not is_in_use(path)
    Journal.reopen(path, RUN).close()


def test_the_lock_ends_with_a_killed_process_and_its_points_stay(tmp_path: Path) -> None:
    """kill -9 right after an append: the next run has the journal and every point in it."""
    path = tmp_path / "journal.jsonl"
    code = (
        "import os, signal; from pathlib import Path; from tests.journal.test_file import made\n"
        f"made(Path({str(path)!r}), 4); os.kill(os.getpid(), signal.SIGKILL)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, env={**os.environ, "PYTHONPATH": "."})
    assert run.returncode == -signal.SIGKILL
    journal = Journal.reopen(path, RUN)
    assert journal.recorded == told(SMALL[:4])
    journal.append(LaunchFinished(KEY))
    journal.close()
    assert path.read_bytes() == written(SMALL)


def test_an_event_that_cannot_come_next_is_not_written(tmp_path: Path) -> None:
    """The file and the state stay as they were."""
    path = tmp_path / "journal.jsonl"
    journal = made(path, 3)
    with pytest.raises(InvalidValueError, match="concurrency 1 twice"):
        journal.append(point(1))
    assert path.read_bytes() == written(SMALL[:3])
    journal.append(point(2))
    journal.close()
    assert path.read_bytes() == written(SMALL[:4])


@pytest.mark.parametrize("fails", ["write", "fsync"])
def test_a_full_disk_loses_no_earlier_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    """Half a line, then no space: the half is taken back, and the error says how to go on."""
    path = tmp_path / "run" / "journal.jsonl"
    path.parent.mkdir()
    journal = made(path, 3)
    real = os.write
    taken: list[int] = []

    def half(descriptor: int, data: bytes) -> int:
        if taken:
            raise OSError(28, "No space left on device")
        taken.append(real(descriptor, data[: len(data) // 2]))
        return taken[0]

    def never(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, fails, half if fails == "write" else never)
    with pytest.raises(JournalWriteError, match=r"No space left on device; .* go on with --precgate-resume=run"):
        journal.append(point(2))
    monkeypatch.undo()
    assert path.read_bytes() == written(SMALL[:3])
    journal.append(point(2))
    journal.close()
    assert path.read_bytes() == written(SMALL[:4])


def test_a_disk_that_is_full_at_the_first_line_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured into a journal that cannot be kept; the lock is given back."""
    path = tmp_path / "journal.jsonl"

    def never(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", never)
    with pytest.raises(JournalWriteError, match=r"journal\.jsonl: cannot be written: No space left on device"):
        Journal.create(path, RUN)
    assert not is_in_use(path)


def test_a_damaged_journal_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    """Reopening it changes nothing, not even its torn end, and holds no lock."""
    path = tmp_path / "journal.jsonl"
    damaged = written(SMALL[:3]).replace(b"250.0", b"251.0") + b'{"half'
    path.write_bytes(damaged)
    with pytest.raises(JournalCorruptError, match="line 3"):
        Journal.reopen(path, RUN)
    assert path.read_bytes() == damaged
    assert not is_in_use(path)


def test_a_journal_of_an_older_schema_is_read_and_not_appended_to(tmp_path: Path) -> None:
    """An older version that reads it would meet lines it does not know under a schema that it does."""
    path = tmp_path / "journal.jsonl"
    older = resigned(line(RUN), schema=3) + b'{"half'
    path.write_bytes(older)
    found = read(path)
    assert found is not None
    assert found.run == RUN
    why = rf"schema 3 was written by an older .* appends to schema {SCHEMA} alone"
    with pytest.raises(JournalSchemaError, match=why):
        Journal.reopen(path, RUN)
    assert path.read_bytes() == older
    assert not is_in_use(path)


def test_a_path_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """Not there, no directory, a directory instead of a file, a link elsewhere."""
    with pytest.raises(JournalWriteError, match=r"none\.jsonl: cannot be opened: No such file"):
        Journal.reopen(tmp_path / "none.jsonl", RUN)
    with pytest.raises(JournalWriteError, match="cannot be made: No such file"):
        Journal.create(tmp_path / "none" / "journal.jsonl", RUN)
    with pytest.raises(JournalError, match="cannot be read: Is a directory") as caught:
        read(tmp_path)
    assert not isinstance(caught.value, JournalWriteError)
    made(tmp_path / "real.jsonl").close()
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "real.jsonl")
    with pytest.raises(JournalWriteError, match=r"link\.jsonl: cannot be opened"):
        Journal.reopen(tmp_path / "link.jsonl", RUN)
    assert is_in_use(tmp_path)
    assert not is_in_use(tmp_path / "none.jsonl")
