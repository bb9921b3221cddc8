"""Which frames of an error a test's author is shown."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

_PACKAGE = Path(__file__).parents[1]


def without_ours(traceback: TracebackType) -> TracebackType:
    """Return the traceback up to the last frame before this package's own; whole when it begins in there."""
    frames: list[TracebackType] = []
    following: TracebackType | None = traceback
    while following is not None and _PACKAGE not in Path(following.tb_frame.f_code.co_filename).parents:
        frames.append(following)
        following = following.tb_next
    cut: TracebackType | None = None
    for frame in reversed(frames):
        cut = TracebackType(cut, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return traceback if cut is None else cut
