"""Writes files atomically: text replaced in one step, lines appended in one step, and locks that end with their holder.

Input: paths, descriptors and text. The caller translates OSError. Invariant: after an OSError of ``replace`` or
``append`` the file holds its former content; only ``write`` may leave a part, where a file cannot be replaced."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
# Some network file systems cannot flush a directory, and need not.
_NO_FLUSH = (errno.EINVAL, errno.ENOTSUP)
# A bind mount, a directory without write permission, a read-only file system around a writable file.
_NO_RENAME = (errno.EBUSY, errno.EACCES, errno.EPERM, errno.EROFS, errno.EXDEV)
_MOST_LINKS = 40  # as Linux follows
_READ_BACK = 1 << 16


def replace(path: Path, text: str) -> None:
    """Write beside the file, flush to the disk, rename over it: a reader sees the old file or the new one.

    A link stays, and the file it leads to is replaced; the file keeps its mode. A device, a pipe, and what is open
    under a name in /dev or /proc (/dev/stdout) is written to as it is. After a loss of power the file may have its
    former content again, where its directory could not be flushed. Raises OSError; the file then is as it was.
    """
    target, is_stream = _followed(path)
    if is_stream:
        _write_to_stream(target, text.encode("utf-8"))
    else:
        _rename_over(target, text.encode("utf-8"))


def write(path: Path, text: str) -> None:
    """Do as ``replace`` does; where the file cannot be replaced but written to, write into it.

    That is so for a bind mount and in a directory that takes no new file. It is not atomic: a reader may see a part
    of the text, and after an OSError the file may hold a part.
    """
    try:
        replace(path, text)
    except OSError as exc:
        if exc.errno not in _NO_RENAME or not path.is_file():
            raise
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            append(descriptor, text.encode("utf-8"))
        finally:
            os.close(descriptor)


def _followed(path: Path) -> tuple[Path, bool]:
    """Return where the links end, and whether that is a stream: something that is no file, or open in /dev or /proc."""
    is_special = False
    for _ in range(_MOST_LINKS):
        path = Path(os.path.realpath(path.parent), path.name)
        is_open = path.is_relative_to("/proc")  # a link to an open file; followed, it would be the file's name
        is_special = is_special or is_open or path.parent == Path("/dev")
        if is_open or not path.is_symlink():
            return path, is_special or (path.exists() and not path.is_file())
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def _write_to_stream(path: Path, data: bytes) -> None:
    """Add to what is there. A file that this process has open moves its position, so that later output follows."""
    if path.is_file() and path.parent == Path(f"/proc/{os.getpid()}/fd"):
        descriptor = os.dup(int(path.name))
    else:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)


def _rename_over(target: Path, data: bytes) -> None:
    mode = target.stat().st_mode & 0o7777 if target.exists() else None
    # A text that only its owner may read is never in a file that others may read.
    temporary, descriptor = _new_beside(target, 0o666 if mode is None else 0o600)
    try:
        if mode is not None:
            os.fchmod(descriptor, mode)
        append(descriptor, data)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    with suppress(OSError):  # the file is replaced; saying that it is not would be false
        flush_directory(target.parent)


def _new_beside(target: Path, mode: int) -> tuple[Path, int]:
    """Make and lock a file of an unused name in the directory of ``target``; what a killed writer left is removed.

    The name has a digest instead of the target's name, which may be as long as a name can be."""
    digest, number = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12], 0
    while True:
        path = target.with_name(f".precgate-{digest}-{number}.tmp")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        except FileExistsError:
            number += 0 if _remove_abandoned(path) else 1
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _is_same_file(descriptor, path):  # not removed before it was locked
            return path, descriptor
        os.close(descriptor)


def _remove_abandoned(path: Path) -> bool:
    """Remove a temporary file whose writer has ended; return whether it is gone."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:  # another user's, or a link
        return False
    try:
        if not (try_lock(descriptor) and _is_same_file(descriptor, path)):
            return False
        path.unlink()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


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
        with suppress(OSError):  # the line is written; saying that it is not would be false
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
