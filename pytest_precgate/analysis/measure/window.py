"""The part of a run that counts. ``whole``: first send to last token, the published method, ramp and drain included.
``steady``: only while every slot is busy and the effect of the start has ended.

Input: records. Output: the window and its requests. Ramp and drain are a bias, not noise: on a server of constant speed
10 requests per slot read 4.3% low over the whole run, and a drain in the middle causes the same burst as the start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from pytest_precgate.analysis.measure.records import RequestRecord
from pytest_precgate.errors import InvalidValueError

WindowKind = Literal["steady", "whole"]
WINDOW_KINDS: tuple[WindowKind, ...] = ("steady", "whole")


@dataclass(frozen=True, slots=True)
class Window:
    """The seconds of a run that count."""

    kind: WindowKind
    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """The length of the window, s."""
        return self.end_s - self.start_s


def whole_window(records: Sequence[RequestRecord]) -> Window:
    """Return first send to last token."""
    _refuse_none(records)
    return Window("whole", min(record.sent_s for record in records), max(record.last_token_s for record in records))


def steady_window(records: Sequence[RequestRecord], concurrency: int) -> Window:
    """Return the part of a closed-loop run after its ramp and before its drain.

    It starts at :func:`end_of_ramp`, and ends when the first request after the last send ends: from then on a slot is
    idle. Raises InvalidValueError when nothing is left."""
    _refuse_none(records)
    last_send = max(record.sent_s for record in records)
    # Strictly after: in virtual time the request whose end caused the last send ends in the same instant.
    end = min(record.last_token_s for record in records if record.last_token_s > last_send)
    window = Window("steady", end_of_ramp(records, concurrency), end)
    if not served_within(records, window):
        raise InvalidValueError(
            f"steady window: {len(records)} requests at concurrency {concurrency} leave none that was served between "
            "ramp and drain; send at least three requests per slot"
        )
    return window


def end_of_ramp(records: Sequence[RequestRecord], concurrency: int) -> float:
    """Return when a closed loop was close to its steady state, s.

    Every one of the first ``concurrency`` requests (by send time) had its first token, and half of them had ended. If
    they end evenly over the duration of one request, contexts are then shorter than in the steady state by an eighth of
    an output, and by half of one at the start: earlier requests would read fast."""
    first = sorted(records, key=lambda record: record.sent_s)[:concurrency]
    ends = sorted(record.last_token_s for record in first)
    return max(*(record.first_token_s for record in first), ends[len(ends) // 2])


def served_within(records: Sequence[RequestRecord], window: Window) -> Sequence[RequestRecord]:
    """Return the requests sent inside ``window``, in that order, up to the first that had not ended with it.

    No request is left out for being long: selecting all that ended in time would select the short ones."""
    sent = sorted((r for r in records if r.sent_s >= window.start_s), key=lambda record: record.sent_s)
    return tuple(takewhile(lambda record: record.last_token_s <= window.end_s, sent))


def tokens_per_second(records: Sequence[RequestRecord], window: Window) -> float:
    """Return input and output tokens per second over ``window``.

    Over the whole run: all tokens divided by the duration. In the steady part, which cuts through requests at both
    ends, by Little's law (J. D. C. Little 1961, Operations Research 9, 383): requests in flight times the tokens of a
    request divided by its latency, which no token at an edge affects."""
    served = served_within(records, window)
    tokens = sum(record.input_tokens + record.output_tokens for record in served)
    if window.kind == "whole":
        return tokens / window.length_s
    in_flight_s = sum(
        max(0.0, min(record.last_token_s, window.end_s) - max(record.sent_s, window.start_s)) for record in records
    )
    return in_flight_s / window.length_s * tokens / sum(record.request_latency_s for record in served)


def _refuse_none(records: Sequence[RequestRecord]) -> None:
    if not records:
        raise InvalidValueError("window: no request completed, so there is nothing to measure")
