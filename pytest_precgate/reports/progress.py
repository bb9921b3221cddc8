"""Progress lines of a live point: how far it is, and its figures when it is done."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_precgate.analysis.measure.measurement import Measurement

_LINE_S = 30.0


@dataclass
class Spacing:
    """Which progress lines are shown when every line stays on the screen: the first, and one each half minute."""

    _shown_s: float | None = None

    def is_due(self, elapsed_s: float) -> bool:
        """Whether the present line is shown; the next one is then due half a minute later."""
        due = self._shown_s is None or elapsed_s - self._shown_s >= _LINE_S
        self._shown_s = elapsed_s if due else self._shown_s
        return due

    def end(self) -> None:
        """Note that the point has ended."""
        self._shown_s = None


def under_way(
    precision: str, concurrency: int, elapsed_s: float, completed: int, total: int | None, output_tokens: int
) -> str:
    """Return the line of a running point; the remaining time is estimated if the number of requests is known."""
    rate = f"{output_tokens / elapsed_s:.0f} tok/s" if elapsed_s > 0 and output_tokens else "first requests"
    left, done = "", f"{completed} requests"
    if total is not None:
        left = f", about {elapsed_s * (total - completed) / completed:.0f} s left" if completed else ""
        done = f"{completed}/{total} requests"
    return f"precgate: {precision} concurrency {concurrency}: {done}, {elapsed_s:.0f} s{left}, {rate}"


def measured(precision: str, concurrency: int, point: Measurement) -> str:
    """Return the line of a finished point: its figures, its window, and their error."""
    window = point.window
    return (
        f"precgate: {precision} concurrency {concurrency}: {point.interactivity:.1f} tok/s/user, "
        f"{point.throughput_per_gpu:.1f} tok/s/GPU, ttft {1000 * point.ttft.median_s:.0f} ms (p99 "
        f"{1000 * point.ttft.p99_s:.0f}), {window.kind} window {window.length_s:.1f} s, {known(point)}{_unusual(point)}"
    )


def _unusual(point: Measurement) -> str:
    """Return unusual token statistics of a point: shared events, cached prompts, speculation, requests sent again."""
    parts = [f"{point.resent} requests sent again"] if point.resent else []
    parts += [f"{point.reopened} connections reopened"] if point.reopened else []
    if (tokens := point.tokens) is not None:
        parts += [f"{tokens.tokens_per_event:.2f} tokens per event"] if tokens.tokens_per_event > 1.005 else []
        parts += [f"{tokens.cached_share:.1%} of the prompts cached"] if tokens.cached_share else []
        accepted = tokens.acceptance_length
        parts += [] if accepted is None else [f"acceptance length {accepted:.2f}"]
    return "".join(f", {part}" for part in parts)


def known(point: Measurement) -> str:
    """Return how well a point is known, and what was asked for where it is not known as well."""
    well = "too short to tell its error" if point.error is None else f"known to {_percent(point.error.worst)}"
    if point.asked_error is None or not point.is_short:
        return well
    return f"{well}, asked for {_percent(point.asked_error)}"


def _percent(share: float) -> str:
    """A share in percent, three digits: one that is a little above another does not look the same."""
    return f"{100 * share:.3g}%" if share < 9.995 else f"{share:.0%}"
