"""Which part of a run counts. ``whole``: first send to last token, the published method, ramp and drain included.
``steady``: only while every slot was busy and past its first request.

Ramp and drain are not noise but a bias: on a server of constant speed 10 requests per slot read 4.3% low over the whole
run, and a drain in the middle re-creates the burst of the start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_precgate.analysis.records import RequestRecord
from pytest_precgate.errors import InvalidValueError

WindowKind = Literal["steady", "whole"]
WINDOW_KINDS: tuple[WindowKind, ...] = ("steady", "whole")
_PARTS = 5


@dataclass(frozen=True)
class Window:
    """The seconds of a run that count, and how evenly tokens arrived in them.

    ``instability`` is (largest - smallest) / mean throughput of five equal parts of the window.
    """

    kind: WindowKind
    start_s: float
    end_s: float
    instability: float

    @property
    def length_s(self) -> float:
        """The length of the window, s."""
        return self.end_s - self.start_s


def tokens_between(records: Sequence[RequestRecord], start_s: float, end_s: float) -> float:
    """Return the tokens of ``records`` that belong to [start_s, end_s).

    Input tokens and the first output token count when the first token arrives; the others evenly between first and
    last token, which is how a decoding request emits them.
    """
    total = 0.0
    for record in records:
        first, last = record.first_token_s, record.last_token_s
        if start_s <= first < end_s:
            total += record.input_tokens + 1
        if last > first:
            overlap = min(last, end_s) - max(first, start_s)
            if overlap > 0:
                total += (record.output_tokens - 1) * overlap / (last - first)
        elif start_s <= first < end_s:
            total += record.output_tokens - 1
    return total


def whole_window(records: Sequence[RequestRecord]) -> Window:
    """Return first send to last token."""
    _refuse_none(records)
    start = min(record.sent_s for record in records)
    end = max(record.last_token_s for record in records)
    return Window("whole", start, end, _instability(records, start, end))


def steady_window(records: Sequence[RequestRecord], concurrency: int) -> Window:
    """Return the part of a closed-loop run in which every slot was busy and past its first request.

    It starts when the last of the first ``concurrency`` requests (by send time) has ended, and ends when the first
    request after the last send ends: from then on a slot stands idle. Raises InvalidValueError when nothing is left.
    """
    _refuse_none(records)
    by_send = sorted(records, key=lambda record: record.sent_s)
    start = max(record.last_token_s for record in by_send[:concurrency])
    last_send = by_send[-1].sent_s
    # Strictly after: in virtual time the request whose end caused the last send ends in the same instant.
    end = min(record.last_token_s for record in records if record.last_token_s > last_send)
    if end <= start:
        raise InvalidValueError(
            f"steady window: {len(records)} requests at concurrency {concurrency} leave no time in which every slot "
            "was busy and past its first request; send at least three requests per slot"
        )
    return Window("steady", start, end, _instability(records, start, end))


def _instability(records: Sequence[RequestRecord], start: float, end: float) -> float:
    step = (end - start) / _PARTS
    parts = [tokens_between(records, start + i * step, start + (i + 1) * step) for i in range(_PARTS)]
    mean = sum(parts) / _PARTS
    if mean <= 0:
        raise InvalidValueError("window: no token arrived in it")
    return (max(parts) - min(parts)) / mean


def _refuse_none(records: Sequence[RequestRecord]) -> None:
    if not records:
        raise InvalidValueError("window: no request completed, so there is nothing to measure")
