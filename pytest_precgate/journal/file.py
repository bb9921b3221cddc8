"""A journal on disk. Each event is one write and one flush to the disk; one run at a time may append.

The lock is the kernel's, so it ends with its holder, however that ends."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from pytest_precgate.errors import JournalBusyError, JournalWriteError
from pytest_precgate.journal.events import Event, RunOpened
from pytest_precgate.journal.schema import line
from pytest_precgate.journal.state import Recorded, advanced, parse, whole_lines


class Journal:
    """The journal of one suite's run, open for appending and locked; ``state`` is what it holds."""

    def __init__(self, path: Path, descriptor: int, state: Recorded) -> None:
        self.path = path
        self.state = state
        self._descriptor: int | None = descriptor

    @staticmethod
    def create(path: Path, run: RunOpened) -> Journal:
        """Begin a journal. Raises JournalBusyError when there is one already, JournalWriteError."""
        try:
            descriptor = _locked(path, os.O_CREAT | os.O_EXCL)
        except FileExistsError as exc:
            raise JournalBusyError(f"{path}: is the journal of another run that started in the same moment") from exc
        except OSError as exc:
            raise JournalWriteError(f"{path}: cannot be made: {exc.strerror}") from exc
        return _begun(path, descriptor, run)

    @staticmethod
    def reopen(path: Path, run: RunOpened) -> Journal:
        """Go on with a journal; what a killed run began to write is cut off. One without a whole line gets ``run``.

        Raises JournalBusyError while another run appends, JournalCorruptError, JournalSchemaError, JournalWriteError.
        """
        try:
            descriptor = _locked(path, 0)
        except OSError as exc:
            raise JournalWriteError(f"{path}: cannot be opened: {exc.strerror}") from exc
        try:
            data = path.read_bytes()
            state = parse(data, str(path))
            os.ftruncate(descriptor, whole_lines(data))
        except BaseException:
            os.close(descriptor)
            raise
        return _begun(path, descriptor, run) if state is None else Journal(path, descriptor, state)

    def append(self, event: Event) -> None:
        """Write one event through to the disk; after an error the file holds what it held before.

        Raises InvalidValueError for an event that cannot come next, JournalWriteError.
        """
        assert self._descriptor is not None, "closed"
        state = advanced(self.state, event)
        _write(self.path, self._descriptor, line(event))
        self.state = state

    def close(self) -> None:
        """Let another run have it. A second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def read(path: Path) -> Recorded | None:
    """Return what a journal holds, whether or not a run still appends to it. Raises as ``parse`` does."""
    try:
        return parse(path.read_bytes(), str(path))
    except OSError as exc:
        raise JournalWriteError(f"{path}: cannot be read: {exc.strerror}") from exc


def is_in_use(path: Path) -> bool:
    """Whether a run holds the journal; one that cannot be opened counts as held, one that is not there does not."""
    try:
        descriptor = _locked(path, 0)
    except FileNotFoundError:
        return False
    except (OSError, JournalBusyError):
        return True
    os.close(descriptor)
    return False


def _begun(path: Path, descriptor: int, run: RunOpened) -> Journal:
    try:
        _write(path, descriptor, line(run))
        _flush_directory(path.parent)
    except OSError as exc:
        os.close(descriptor)
        raise JournalWriteError(f"{path}: cannot be written: {exc.strerror}") from exc
    except BaseException:
        os.close(descriptor)
        raise
    return Journal(path, descriptor, advanced(None, run))


def _locked(path: Path, flags: int) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(descriptor)
        if exc.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
            raise JournalBusyError(f"{path}: another run is appending to it; wait for that one to end") from exc
        raise
    return descriptor


def _write(path: Path, descriptor: int, text: str) -> None:
    """One write, one flush; where the disk takes only a part of it, the part is taken back."""
    data, before = text.encode("ascii"), os.fstat(descriptor).st_size
    try:
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    except OSError as exc:
        os.ftruncate(descriptor, before)
        raise JournalWriteError(
            f"{path}: cannot be written: {exc.strerror}; it holds every point before. Make room, then go on with "
            f"--precgate-resume={path.parent.name}"
        ) from exc


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as exc:
        if exc.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot, and need not
            raise
    finally:
        os.close(descriptor)
