"""Files are whole or as they were, whoever is killed or refused while they are written."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from pytest_precgate import files


def test_a_file_is_replaced_and_keeps_its_mode(tmp_path: Path) -> None:
    """Nothing else is left in the directory."""
    path = tmp_path / "x.json"
    files.replace(path, "old")
    path.chmod(0o640)
    files.replace(path, "n\u00e9w")
    assert path.read_text(encoding="utf-8") == "n\u00e9w"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [*tmp_path.iterdir()] == [path]


def test_a_disk_that_is_full_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no temporary one."""
    path = tmp_path / "x.json"
    files.replace(path, "old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.replace(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_what_a_killed_writer_left_is_no_part_of_the_file(tmp_path: Path) -> None:
    """Its longer text is cut off."""
    (tmp_path / ".x.json.tmp").write_text("a longer text than the next one", encoding="utf-8")
    files.replace(tmp_path / "x.json", "short")
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == "short"
    assert len([*tmp_path.iterdir()]) == 1


def test_writers_at_once_leave_one_whole_text(tmp_path: Path) -> None:
    """Each text is one letter many times."""
    path = tmp_path / "x.json"
    texts = [letter * 100_000 for letter in "abcdefgh"]
    writers = [threading.Thread(target=files.replace, args=(path, text)) for text in texts]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert path.read_text(encoding="utf-8") in texts
    assert [*tmp_path.iterdir()] == [path]


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """As /dev/stdout is."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        files.replace(pipe, "text")
        assert os.read(reader, 10) == b"text"
    finally:
        os.close(reader)
    assert not pipe.is_file()


def test_a_part_that_was_appended_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk took three bytes and no more."""
    path = tmp_path / "journal"
    path.write_bytes(b"kept")
    descriptor, write = os.open(path, os.O_RDWR | os.O_APPEND), os.write

    def some(to: int, data: bytes) -> int:
        if len(data) < 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(to, data[:3])

    monkeypatch.setattr(os, "write", some)
    try:
        with pytest.raises(OSError, match="No space left"):
            files.append(descriptor, b"whole line")
    finally:
        os.close(descriptor)
    assert path.read_bytes() == b"kept"


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    """The second is told so, until the first is closed."""
    path = tmp_path / "lock"
    first, second = (os.open(path, os.O_RDWR | os.O_CREAT) for _ in range(2))
    assert files.try_lock(first)
    assert not files.try_lock(second)
    os.close(first)
    assert files.try_lock(second)
    os.close(second)


def test_a_lock_file_goes_away_with_its_lock(tmp_path: Path) -> None:
    """Also where what it was held for failed."""
    lock = tmp_path / ".lock"

    def fail_under_lock() -> None:
        with files.locked(lock):
            assert lock.exists()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_under_lock()
    assert not lock.exists()


def test_what_cannot_be_a_directory_says_why(tmp_path: Path) -> None:
    """A file, a dangling link, a name that is too long; what is not there may be made."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert files.why_no_directory(tmp_path) is None
    assert files.why_no_directory(tmp_path / "new") is None
    assert files.why_no_directory(tmp_path / "file") == "is not a directory"
    assert files.why_no_directory(tmp_path / "link") == "is not a directory"
    assert files.why_no_directory(tmp_path / ("x" * 5000)) == "cannot be read: File name too long"
