"""A server's output on the disk: its beginning and its end, with the middle of too much left out.

Used by the guardian: only the standard library, and nothing of this package."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

# Its beginning, which says what was started, and at least so much of its end.
HEAD_BYTES, TAIL_BYTES = 8 << 20, 4 << 20
_BLOCK_BYTES, _BLOCKS_A_LOOK = 1 << 16, 64


def _append(descriptor: int, data: bytes) -> None:
    """Write everything, or what a full disk takes: a server does not end for want of its log."""
    with suppress(OSError):
        while data:
            data = data[os.write(descriptor, data) :]


class Output:
    """What a server writes, taken from its pipe block by block into ``path``; the middle of too much is left out.

    The end is kept in two files beside it that take turns, and is put behind the beginning when all is over.
    """

    def __init__(self, path: str, read_end: int) -> None:
        self.source: int | None = read_end
        self._path = path
        self._room = HEAD_BYTES
        self._head = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._tail: int | None = None
        self._tail_room = 0
        self._beyond = 0
        os.set_blocking(read_end, False)

    def pump(self) -> None:
        """Take in what there is, without waiting, and no more than so many blocks of it."""
        for _ in range(_BLOCKS_A_LOOK):
            try:
                block = b"" if self.source is None else os.read(self.source, _BLOCK_BYTES)
            except BlockingIOError:
                return
            if not block:
                self._close_source()
                return
            _append(self._head, block[: self._room])
            self._keep(block[self._room :])
            self._room = max(0, self._room - len(block))

    def finish(self) -> None:
        """Take in what is left, which is no more than a pipe holds, and put the end behind the beginning."""
        self.pump()
        self._close_source()
        if self._tail is not None:
            os.close(self._tail)
            self._join()
        os.close(self._head)

    def _close_source(self) -> None:
        if self.source is not None:
            os.close(self.source)
            self.source = None

    def _keep(self, data: bytes) -> None:
        """Append to the newer of the two files of the end; once it is full it is the older one."""
        if not data:
            return
        self._beyond += len(data)
        if self._tail_room < len(data):
            with suppress(OSError):
                if self._tail is not None:
                    os.close(self._tail)
                    Path(f"{self._path}.tail").replace(f"{self._path}.tail-before")
                self._tail = os.open(f"{self._path}.tail", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            self._tail_room = TAIL_BYTES
        if self._tail is not None:
            _append(self._tail, data)
        self._tail_room -= len(data)

    def _join(self) -> None:
        parts = [Path(f"{self._path}.tail-before"), Path(f"{self._path}.tail")]
        kept = [part for part in parts if part.exists()]
        left_out = self._beyond - sum(part.stat().st_size for part in kept)
        if left_out:
            _append(self._head, f"\n[precgate: {left_out} bytes of output are left out here]\n".encode())
        for part in kept:
            _append(self._head, part.read_bytes())
            part.unlink()
