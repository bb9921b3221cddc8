"""Files are whole or as they were, whoever is killed or refused while they are written."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable
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


def temporary_of(path: Path, number: int = 0) -> Path:
    """The name that a writer of ``path`` uses while it writes."""
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]
    return path.with_name(f".precgate-{digest}-{number}.tmp")


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    """It is no part of the file either."""
    path = tmp_path / "x.json"
    temporary_of(path).write_text("a longer text than the next one", encoding="utf-8")
    files.replace(path, "short")
    assert path.read_text(encoding="utf-8") == "short"
    assert [*tmp_path.iterdir()] == [path]


def test_what_a_living_writer_writes_is_left_to_it(tmp_path: Path) -> None:
    """Its temporary file is locked; the second writer takes another name."""
    path = tmp_path / "x.json"
    descriptor = os.open(temporary_of(path), os.O_RDWR | os.O_CREAT)
    try:
        assert files.try_lock(descriptor)
        files.replace(path, "text")
        assert {*tmp_path.iterdir()} == {path, temporary_of(path)}
    finally:
        os.close(descriptor)
    assert path.read_text(encoding="utf-8") == "text"


def test_a_planted_link_under_the_temporary_name_is_not_followed(tmp_path: Path) -> None:
    """Neither the file it leads to nor the link is touched."""
    path, victim = tmp_path / "x.json", tmp_path / "victim"
    victim.write_text("kept", encoding="utf-8")
    temporary_of(path).symlink_to(victim)
    files.replace(path, "text")
    assert path.read_text(encoding="utf-8") == "text"
    assert not path.is_symlink()
    assert victim.read_text(encoding="utf-8") == "kept"


def test_a_private_text_is_never_in_a_file_that_others_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The temporary file has the mode of the file before the first byte is written."""
    path, write = tmp_path / "x.json", os.write
    path.touch(0o600)
    modes = []

    def seen(descriptor: int, data: bytes) -> int:
        modes.append(os.fstat(descriptor).st_mode & 0o777)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", seen)
    files.replace(path, "secret")
    assert modes == [0o600]


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    """Also through a second link, and where the file is not there yet."""
    (tmp_path / "real").mkdir()
    target, link, second = tmp_path / "real" / "x.json", tmp_path / "link", tmp_path / "second"
    link.symlink_to(Path("real") / "x.json")
    second.symlink_to("link")
    for text in ("first", "next"):
        files.replace(second, text)
        assert target.read_text(encoding="utf-8") == text
        assert not target.is_symlink()
    assert link.is_symlink()
    assert second.is_symlink()
    assert [*target.parent.iterdir()] == [target]


def test_a_circle_of_links_is_an_error(tmp_path: Path) -> None:
    """It is named, and nothing is written."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        files.replace(tmp_path / "a", "text")


@pytest.mark.parametrize("write", [files.replace, files.write])
def test_a_file_that_is_open_under_a_name_in_proc_is_written_to(
    tmp_path: Path, write: Callable[[Path, str], None]
) -> None:
    """As /dev/stdout redirected to a file is: the file keeps its identity, and later output follows the text."""
    out, link = tmp_path / "out", tmp_path / "stdout"
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT)
    try:
        link.symlink_to(f"/proc/self/fd/{descriptor}")
        before = out.stat().st_ino
        os.write(descriptor, b"before ")
        write(link, "text")
        os.write(descriptor, b" after")
    finally:
        os.close(descriptor)
    assert out.read_text(encoding="utf-8") == "before text after"
    assert out.stat().st_ino == before
    assert link.is_symlink()
    assert {*tmp_path.iterdir()} == {out, link}


def test_a_name_as_long_as_a_name_can_be_is_written(tmp_path: Path) -> None:
    """255 bytes; one more is the file system's refusal."""
    path = tmp_path / ("x" * 255)
    files.replace(path, "text")
    assert path.read_text(encoding="utf-8") == "text"
    with pytest.raises(OSError, match="File name too long"):
        files.write(tmp_path / ("x" * 256), "text")


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EPERM, errno.EXDEV])
def test_a_file_that_cannot_be_replaced_is_written_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """A bind mount: ``replace`` refuses and leaves it, ``write`` writes into it. No temporary file is left."""
    path = tmp_path / "x.json"
    path.write_text("an old and longer text", encoding="utf-8")

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(OSError, match=os.strerror(code)):
        files.replace(path, "new")
    assert path.read_text(encoding="utf-8") == "an old and longer text"
    files.write(path, "new")
    assert path.read_text(encoding="utf-8") == "new"
    assert [*tmp_path.iterdir()] == [path]


def test_a_directory_that_takes_no_new_file_lets_its_file_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is not there cannot be made, and the error says so."""
    path, opened = tmp_path / "x.json", os.open
    path.write_text("old", encoding="utf-8")

    def refuse(name: str | Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(name, flags, mode)

    monkeypatch.setattr(os, "open", refuse)
    files.write(path, "new")
    assert path.read_text(encoding="utf-8") == "new"
    with pytest.raises(PermissionError):
        files.write(tmp_path / "none.json", "new")


def test_a_directory_that_cannot_be_flushed_fails_no_written_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file has changed by then: an error would say that it has not."""
    path = tmp_path / "x.json"
    path.write_text("old", encoding="utf-8")

    def broken(_: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files, "flush_directory", broken)
    files.replace(path, "new")
    assert path.read_text(encoding="utf-8") == "new"


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
