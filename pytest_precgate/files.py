"""Writes files atomically: text replaced in one step, lines appended in one step, and locks that end with their holder.

Input: paths, descriptors and text. The caller translates OSError. Invariant: after an OSError the file holds its former
content; written text is on the disk when a function returns."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
# Some network file systems cannot flush a directory, and need not.
_NO_FLUSH = (errno.EINVAL, errno.ENOTSUP)
_READ_BACK = 1 << 16


def replace(path: Path, text: str) -> None:
    """Write beside the file, flush to the disk, rename over it: a reader sees the old file or the new one.

    The file keeps its mode. A device or a pipe is written to as it is.
    """
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    temporary = path.with_name(f".{path.name}.tmp")
    descriptor = _open_locked(temporary)
    try:
        os.ftruncate(descriptor, 0)  # what a writer that was killed has left
        append(descriptor, text.encode("utf-8"))
        if path.exists():
            temporary.chmod(path.stat().st_mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    flush_directory(path.parent)


def append(descriptor: int, data: bytes) -> None:
    """Append to an open file with one flush; where the disk takes only a part of it, the part is cut off again."""
    before = os.fstat(descriptor).st_size
    try:
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, before)
        raise


def append_lines(path: Path, data: bytes, is_whole: Callable[[bytes], bool]) -> None:
    """Append whole lines to a file that other processes append to, under its lock, waiting for its present holder.

    A last line without an end gets one if it ``is_whole``; else a writer was killed in it, and it is cut off.
    """
    is_new = not path.exists()
    descriptor = _open_locked(path)
    try:
        size = os.fstat(descriptor).st_size
        start, tail = _last_line(descriptor, size)
        if tail and not is_whole(tail):
            os.ftruncate(descriptor, start)
        os.lseek(descriptor, 0, os.SEEK_END)
        append(descriptor, b"\n" + data if tail and is_whole(tail) else data)
    finally:
        os.close(descriptor)
    if is_new:
        flush_directory(path.parent)


def _last_line(descriptor: int, size: int) -> tuple[int, bytes]:
    """Where the line without an end begins that a file ends with, and its bytes; none when it ends with a line end."""
    tail, start = b"", size
    while start > 0 and b"\n" not in tail:
        length = min(start, _READ_BACK)
        start -= length
        tail = os.pread(descriptor, length, start) + tail
    last = tail.rpartition(b"\n")[2]
    return size - len(last), last


def flush_directory(directory: Path) -> None:
    """Bring the names in a directory to the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as exc:
        if exc.errno not in _NO_FLUSH:
            raise
    finally:
        os.close(descriptor)


def why_no_directory(path: Path) -> str | None:
    """Return why a path cannot be a directory that may be made or is there; None where it can."""
    try:
        path.lstat()  # raises where pathlib answers that nothing is there
        return None if path.is_dir() else "is not a directory"
    except FileNotFoundError:
        return None
    except OSError as exc:
        return f"cannot be read: {exc.strerror or type(exc).__name__}"


def try_lock(descriptor: int) -> bool:
    """Lock an open file exclusively; return False when another process holds it. Closing the file releases the lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        if exc.errno in _HELD:
            return False
        raise
    return True


@contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Hold a lock file that is removed with the lock, after waiting for its present holder.

    Waiting has no limit: a holder needs milliseconds, and giving up would throw away what a run measured.
    """
    descriptor = _open_locked(lock)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def _open_locked(path: Path) -> int:
    """Open a file that is then locked, waiting for its holder; raise OSError where it cannot be opened."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # The holder before removed or renamed its file: a lock on a file under no name protects nothing.
        if _is_same_file(descriptor, path):
            return descriptor
        os.close(descriptor)


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
