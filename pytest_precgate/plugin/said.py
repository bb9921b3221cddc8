"""Progress messages while tests run, written past pytest's capture.

Output: one live line per point in a terminal, plain lines elsewhere, nothing under -q."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import pytest

from pytest_precgate.text import printable_lines

if TYPE_CHECKING:
    from pytest_precgate.analysis.measure.measurement import Measurement
    from pytest_precgate.loadgen import Progress
    from pytest_precgate.reports.progress import Spacing

_LINE_SHOWN = 10_000


class ProgressReporter:
    """The lines of one run."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._spacing: Spacing | None = None

    def line(self, text: str) -> None:
        """Report the state of an engine: started, ready, stopped."""
        with self._reporter() as reporter:
            if reporter is not None:
                reporter.ensure_newline()
                reporter.write_line(printable_lines(f"precgate: {text}", _LINE_SHOWN))

    def point(self, precision: str, concurrency: int, news: Progress | Measurement) -> None:
        """Report the progress of a point, and its figures at the end."""
        from pytest_precgate.analysis.measure.measurement import Measurement  # noqa: PLC0415
        from pytest_precgate.reports import progress  # noqa: PLC0415

        with self._reporter() as reporter:
            if reporter is None:
                return
            self._spacing = progress.Spacing() if self._spacing is None else self._spacing
            if isinstance(news, Measurement):
                self._spacing.end()
                line = progress.measured(precision, concurrency, news)
            else:
                line = progress.under_way(
                    precision, concurrency, news.elapsed_s, news.completed, news.total, news.output_tokens
                )
                if not (self._spacing.is_due(news.elapsed_s) or reporter.isatty):
                    return
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
