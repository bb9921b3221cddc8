"""What a person who waits is told while tests run: pytest captures what is written during a test, this goes past it.

One live line per point in a terminal, plain lines elsewhere, nothing under -q."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_precgate.analysis.metrics import Measurement
    from pytest_precgate.loadgen import Progress

_PLAIN_LINE_S = 30.0


class Said:
    """The lines of one run."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._shown_s: float | None = None

    def line(self, text: str) -> None:
        """Say how an engine goes: started, ready, stopped."""
        with self._reporter() as reporter:
            if reporter is not None:
                reporter.ensure_newline()
                reporter.write_line(f"precgate: {text}")

    def point(self, precision: str, concurrency: int, news: Progress | Measurement) -> None:
        """Say how a point goes, and at its end what it gave."""
        from pytest_precgate.analysis.metrics import Measurement  # noqa: PLC0415
        from pytest_precgate.reports import progress  # noqa: PLC0415

        with self._reporter() as reporter:
            if reporter is None:
                return
            if isinstance(news, Measurement):
                self._shown_s = None
                line = progress.measured(precision, concurrency, news)
            else:
                line = progress.under_way(
                    precision, concurrency, news.elapsed_s, news.completed, news.total, news.output_tokens
                )
                due = self._shown_s is None or news.elapsed_s - self._shown_s >= _PLAIN_LINE_S
                if not (due or reporter.isatty):
                    return
                self._shown_s = news.elapsed_s if due else self._shown_s
            if reporter.isatty:
                reporter.rewrite(line, erase=True)
            if isinstance(news, Measurement) or not reporter.isatty:
                reporter.ensure_newline()
            if not reporter.isatty:
                reporter.write_line(line)

    @contextmanager
    def _reporter(self) -> Iterator[pytest.TerminalReporter | None]:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None or self._config.get_verbosity() < 0:
            yield None
            return
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture is not None else nullcontext():
            yield reporter
