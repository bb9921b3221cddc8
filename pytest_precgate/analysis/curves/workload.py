"""The workload of a request: input and output length, and their range. Different workloads are never compared."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_precgate.analysis.quantity import count, positive
from pytest_precgate.errors import InvalidValueError


@dataclass(frozen=True)
class Workload:
    """``isl`` input and ``osl`` output tokens; lengths are uniform in [range_ratio * L, L].

    Raises InvalidValueError when a length is not a whole number above zero or the ratio is outside (0, 1].
    """

    isl: int
    osl: int
    range_ratio: float = 1.0

    def __post_init__(self) -> None:
        count("Workload", "isl", self.isl, "tokens")
        count("Workload", "osl", self.osl, "tokens")
        ratio = positive("Workload", "range_ratio", self.range_ratio, "share of the full length")
        if ratio > 1:
            raise InvalidValueError(f"Workload.range_ratio: got {ratio!r}, wanted at most 1")
        object.__setattr__(self, "range_ratio", ratio)

    def __str__(self) -> str:
        spread = "" if self.range_ratio == 1 else f", lengths {self.range_ratio:g}-1x"
        return f"isl {self.isl}, osl {self.osl}{spread}"
