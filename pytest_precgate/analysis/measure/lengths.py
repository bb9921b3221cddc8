"""Request lengths of the steady window: evenly spread, so that any sequence of requests asks for nearly the same work,
with staggered first requests, so that the slots end one after another.

Input: request number, workload, concurrency. Output: token counts. Reason: random lengths make short points noisy
(tokens per request vary by 4.5% at a range ratio of 0.8), and slots that begin together end together and prefill
together for dozens of requests, which biases the point."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from pytest_precgate.analysis.curves.workload import Workload


def even_lengths(workload: Workload, position: int) -> tuple[int, int]:
    """Return input and output tokens at ``position`` of an endless sequence, each uniform in [range_ratio * L, L].

    Input and output vary independently of each other. The mean of n consecutive lengths is off by about 1 / n of their
    spread, that of random ones by 1 / sqrt(n). J. H. Halton 1960, Numerische Mathematik 2, 84: the bases 2 and 3.
    """
    return (
        _length(workload.isl, workload.range_ratio, _radical_inverse(position, 2)),
        _length(workload.osl, workload.range_ratio, _radical_inverse(position, 3)),
    )


def _length(full: int, ratio: float, share: float) -> int:
    shortest = math.ceil(ratio * full)
    return shortest + int(share * (full - shortest + 1))


def _radical_inverse(number: int, base: int) -> float:
    """Return the digits of ``number`` mirrored at the point: 6 is 110 in base 2, and gives 0.011."""
    mirrored, digits = 0, 0
    while number:
        number, digit = divmod(number, base)
        mirrored = mirrored * base + digit
        digits += 1
    return float(mirrored / base**digits)


def first_output_tokens(output_tokens: int, slot: int, slots: int) -> int:
    """Return the output tokens of the first request of ``slot`` (from 0): (slot + 1) / slots of the usual ones.

    After these requests the slots are as far apart as after a long time. At least two tokens, because one has no tpot.
    """
    return max(min(2, output_tokens), output_tokens * (slot + 1) // slots)


def closed_loop_lengths(workload: Workload, slots: int, position: int) -> Iterator[tuple[int, int]]:
    """Yield the lengths of the requests that ``slots`` slots share, endlessly: the even sequence from ``position``."""
    for number in itertools.count():
        isl, osl = even_lengths(workload, position + number)
        yield isl, first_output_tokens(osl, number, slots) if number < slots else osl
