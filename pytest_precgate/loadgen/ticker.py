"""The timer of the event loop, a file descriptor like the others: it measures how late the loop handles a due event.

A timeout of epoll counts whole milliseconds, and its rounding would look like lag; set again for every read, it also
costs about 5% of the client's capacity."""

from __future__ import annotations

import ctypes
import os
import time

_ABSOLUTE = 1  # TFD_TIMER_ABSTIME


class Ticker:
    """Due every ``period_s`` from ``start_s`` (of the monotonic clock) on; ``fd`` is readable from then until read."""

    def __init__(self, start_s: float, period_s: float) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd: int = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        parts = [part for seconds in (period_s, start_s + period_s) for part in divmod(round(seconds * 1e9), 10**9)]
        if self.fd < 0 or libc.timerfd_settime(self.fd, _ABSOLUTE, (ctypes.c_long * 4)(*parts), None):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        self._period_s = period_s
        self._due_s = start_s + period_s

    def late_s(self, now_s: float) -> float:
        """Return for how long the earliest unhandled tick has been due, s, and handle all that are due."""
        late_s = now_s - self._due_s
        self._due_s += self._period_s * int.from_bytes(os.read(self.fd, 8), "little")
        return late_s

    def close(self) -> None:
        """Stop ticking."""
        os.close(self.fd)
