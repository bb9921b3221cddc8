"""A journal file: appending events and reading them.

Invariant: each event is one write and one flush to the disk; one run at a time may append. The kernel holds the lock,
so it is released however its holder ends."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_precgate import files
from pytest_precgate.errors import JournalBusyError, JournalError, JournalWriteError
from pytest_precgate.journal.events import Event, LaunchKey, RunOpened
from pytest_precgate.journal.schema import line, refuse_older
from pytest_precgate.journal.state import JournalState, Recorded, RecordedLaunch, parse


class Journal:
    """The journal of one suite's run, open for appending and locked."""

    def __init__(self, path: Path, descriptor: int, state: JournalState) -> None:
        self.path = path
        self._state = state
        self._descriptor: int | None = descriptor

    @property
    def run(self) -> RunOpened:
        """The run it is of."""
        assert self._state.run is not None, "a journal begins with its run"
        return self._state.run

    @property
    def recorded(self) -> Recorded:
        """What it holds, every launch as far as it came."""
        found = self._state.recorded()
        assert found is not None, "a journal begins with its run"
        return found

    def launch(self, key: LaunchKey) -> RecordedLaunch | None:
        """Return one launch as far as it came, None where it was never opened."""
        return self._state.launch(key)

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

        Raises JournalBusyError while another run appends, JournalCorruptError, JournalSchemaError for a journal of a
        newer schema or of an older one, JournalWriteError.
        """
        try:
            descriptor = _locked(path, 0)
        except OSError as exc:
            raise JournalWriteError(f"{path}: cannot be opened: {exc.strerror}") from exc
        try:
            with path.open("rb") as file:
                state, size = parse(file, str(path))
                if size:
                    file.seek(0)
                    refuse_older(file.readline(), str(path))
            os.ftruncate(descriptor, size)
        except BaseException:
            os.close(descriptor)
            raise
        return _begun(path, descriptor, run) if size == 0 else Journal(path, descriptor, state)

    def append(self, event: Event) -> None:
        """Write one event through to the disk; after an error the file holds what it held before.

        Raises InvalidValueError for an event that cannot come next, JournalWriteError.
        """
        assert self._descriptor is not None, "closed"
        self._state.refuse(event)
        _write(self.path, self._descriptor, line(event))
        self._state.add(event)

    def close(self) -> None:
        """Let another run have it. A second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def read(path: Path) -> Recorded | None:
    """Return what a journal holds, whether or not a run still appends to it.

    Raises JournalError for a file that cannot be read, and as ``parse`` does.
    """
    try:
        with path.open("rb") as file:
            state, _ = parse(file, str(path))
    except OSError as exc:
        raise JournalError(f"{path}: cannot be read: {exc.strerror}") from exc
    return state.recorded()


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
        files.flush_directory(path.parent)
    except OSError as exc:
        os.close(descriptor)
        raise JournalWriteError(f"{path}: cannot be written: {exc.strerror}") from exc
    except BaseException:
        os.close(descriptor)
        raise
    state = JournalState()
    state.add(run)
    return Journal(path, descriptor, state)


def _locked(path: Path, flags: int) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o666)
    try:
        if files.try_lock(descriptor):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    raise JournalBusyError(f"{path}: another run is appending to it; wait for that one to end")


def _write(path: Path, descriptor: int, text: str) -> None:
    try:
        files.append(descriptor, text.encode("ascii"))
    except OSError as exc:
        raise JournalWriteError(
            f"{path}: cannot be written: {exc.strerror}; it holds every point before. Make room, then go on with "
            f"--precgate-resume={path.parent.name}"
        ) from exc
