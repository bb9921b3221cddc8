"""Cost per token and tokens per megawatt, with the built-in prices and power of each hardware.

Input: throughput per GPU, price, power. Output: $/M tokens and tok/s/MW. Invariant: every price has a source and a
date, and settings override it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pytest_precgate.analysis.quantity import one_line, positive
from pytest_precgate.documents import nearest
from pytest_precgate.errors import InvalidValueError

_PUBLISHED = "as published with InferenceX's comparison (hyperscaler, all-in), mid-2026"


@dataclass(frozen=True)
class Hardware:
    """A GPU with its price in $ per GPU-hour and its all-in power in kW per GPU, and the source of both."""

    name: str
    price_per_gpu_hour: float
    power_kw_per_gpu: float
    source: str

    def __post_init__(self) -> None:
        one_line("Hardware", "name", self.name)
        one_line("Hardware", "source", self.source)
        for field, unit in (("price_per_gpu_hour", "$ per GPU-hour"), ("power_kw_per_gpu", "kW per GPU")):
            object.__setattr__(self, field, positive("Hardware", field, getattr(self, field), unit))


HARDWARE: Mapping[str, Hardware] = MappingProxyType(
    {
        name: Hardware(name, price, power, _PUBLISHED)
        for name, price, power in (
            ("h100", 1.30, 1.73),
            ("h200", 1.41, 1.73),
            ("b200", 1.95, 2.17),
            ("b300", 2.34, 2.17),
            ("gb200", 2.21, 2.10),
            ("gb300", 2.652, 2.10),
            ("mi300x", 1.12, 1.79),
            ("mi325x", 1.28, 2.18),
            ("mi355x", 1.48, 2.65),
        )
    }
)


def hardware_named(hardware: str, table: Mapping[str, Hardware] = HARDWARE) -> Hardware:
    """Return the row of ``table``; raise InvalidValueError naming the known ones."""
    if hardware not in table:
        raise InvalidValueError(
            f"hardware: no price and power known for {hardware!r}; {nearest(hardware, table)}. Add "
            f"[tool.precgate.hardware.{hardware}] with price_per_gpu_hour and power_kw_per_gpu"
        )
    return table[hardware]


def cost_per_million_tokens(price_per_gpu_hour: float, throughput_per_gpu: float) -> float:
    """Return $ per million tokens: price * 1e6 / (3600 * throughput), throughput in tok/s/GPU."""
    return price_per_gpu_hour * 1e6 / (3600 * throughput_per_gpu)


def tokens_per_second_per_megawatt(throughput_per_gpu: float, power_kw_per_gpu: float) -> float:
    """Return tok/s per MW of all-in power: throughput * 1000 / power."""
    return throughput_per_gpu * 1000 / power_kw_per_gpu
