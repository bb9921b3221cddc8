"""Locks GPUs against other runs. A lock is a locked file, so it is released however its holder ends.

Invariant: all GPUs of a suite are locked at once, in one order, so that two runs cannot deadlock."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pytest_precgate import files
from pytest_precgate.errors import GpuBusyError
from pytest_precgate.text import printable

DIRECTORY = Path("/tmp")  # the one place every user and every job of a machine shares
_PREFIX, _SUFFIX = "pytest-precgate-gpu-", ".lock"
_PAUSE_S = 1.0


def directory_of(environ: Mapping[str, str]) -> Path:
    """Return the directory of the locks: that of PRECGATE_LOCK_DIR, else the one that is the same for everybody."""
    return Path(environ.get("PRECGATE_LOCK_DIR", DIRECTORY))


def holders(directory: Path) -> dict[str, str]:
    """Return who holds which GPU now, by the name of the GPU; a file that cannot be opened has an unknown holder.

    A lock that is free is held for the moment of the look; a run that meets it tries again a second later."""
    found = {}
    for path in sorted(directory.glob(f"{_PREFIX}*{_SUFFIX}")):
        gpu = path.name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as exc:
            found[gpu] = f"an unknown run: {path} cannot be opened: {exc.strerror}"
            continue
        try:
            if not files.try_lock(descriptor):
                found[gpu] = printable(os.pread(descriptor, 200, 0)) or "another run"
        finally:
            os.close(descriptor)
    return found


class GpuLocks:
    """The locks of one run, as files of ``directory``. ``who`` is written into them for a run that waits."""

    def __init__(self, directory: Path, who: str, clock: Callable[[], float], pause: Callable[[float], object]) -> None:
        self._directory = directory
        self._who = who
        self._clock = clock
        self._pause = pause
        self._held: dict[str, int] = {}

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The open lock files: who inherits them holds the locks, too."""
        return tuple(self._held.values())

    @property
    def held(self) -> frozenset[str]:
        """The devices this run holds."""
        return frozenset(self._held)

    def take(self, devices: Sequence[str], wait_s: float, say: Callable[[str], None]) -> None:
        """Hold ``devices`` and no others, waiting up to ``wait_s`` for each.

        ``say`` is told once for whom it waits. Raises GpuBusyError naming the holder when the time is over.
        """
        if set(devices) == set(self._held):
            return
        self.release()
        try:
            for device in sorted(set(devices)):
                self._held[device] = self._take(device, wait_s, say)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give every lock back."""
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()

    def _take(self, device: str, wait_s: float, say: Callable[[str], None]) -> int:
        path = self._directory / f"{_PREFIX}{re.sub(r'[^A-Za-z0-9-]', '_', device)}{_SUFFIX}"
        descriptor = _opened(path)
        try:
            self._wait_for(device, descriptor, path, wait_s, say)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{printable(self._who)}\n".encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _wait_for(self, device: str, descriptor: int, path: Path, wait_s: float, say: Callable[[str], None]) -> None:
        since_s, told = self._clock(), False
        while not files.try_lock(descriptor):
            holder = printable(os.pread(descriptor, 200, 0)) or "another run"
            waited_s = self._clock() - since_s
            if waited_s >= wait_s:
                raise GpuBusyError(
                    f"GPU {device} is held by {holder} ({path}) after {waited_s:.0f} s of waiting; wait for that run, "
                    "or give this suite other GPUs with devices"
                )
            if not told:
                say(f"waiting for GPU {device}, held by {holder}")
                told = True
            self._pause(_PAUSE_S)


def _opened(path: Path) -> int:
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        try:
            return os.open(path, flags)
        except FileNotFoundError:
            descriptor = os.open(path, flags | os.O_CREAT, 0o666)
            os.fchmod(descriptor, 0o666)  # not the umask's mode: the next run may be another user's
            return descriptor
    except OSError as exc:
        raise GpuBusyError(
            f"{path}: the lock of a GPU cannot be opened: {exc.strerror}; name another directory, the same for every "
            "run on this machine, with the environment variable PRECGATE_LOCK_DIR"
        ) from exc
