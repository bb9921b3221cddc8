"""Ends a run on SIGTERM or SIGHUP as after Ctrl-C: engines are stopped, and the message says how to resume.

Without a handler either signal ends Python at once, without a message. The handler is installed only if the signal has
no other handler and is not ignored (nohup), and only while there is something to keep. A second signal ends Python at
once."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class StopSignals:
    """The handlers of one run."""

    def __init__(self) -> None:
        self.received: str | None = None
        """The name of the signal that came, None before."""
        self._handled: list[signal.Signals] = []

    def watch(self) -> None:
        """Handle the signals from here on; in another thread than Python's main one nothing can be handled."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, self._stop)
                self._handled.append(number)

    def forget(self) -> None:
        """Leave the signals as they were. A second call does nothing."""
        while self._handled:
            signal.signal(self._handled.pop(), signal.SIG_DFL)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name
        self.forget()
        raise KeyboardInterrupt(f"stopped by {self.received}")
