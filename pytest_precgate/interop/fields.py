"""Reads fields of result files. Pure.

Input: nodes. Output: numbers and text, or a RecordedPointsError that names the missing or impossible field."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.documents import Node

MOST = 10**9
"""Larger than any count of a result: requests, GPUs, tokens of a prompt."""
MS = 1000.0
"""Milliseconds in a second."""

_PRECISIONS = {
    **dict.fromkeys(("fp4", "nvfp4", "mxfp4", "modelopt_fp4", "modelopt_mxfp4"), "fp4"),
    **dict.fromkeys(("fp8", "modelopt_fp8", "w8a8_fp8", "fp8_block_scales"), "fp8"),
    **dict.fromkeys(("int4", "w4a16", "w4a16_awq", "w4a16_gptq", "awq"), "int4"),
    **dict.fromkeys(("int8", "w8a8_int8", "w8a16"), "int8"),
}
_CLUSTER = "cluster:"
_TOKENS_PER_S = ("tokens/sec", "tokens/s")


def field(node: Node, *path: str) -> Node:
    """Return the member at ``path``; refuse the node at the location of the missing member."""
    for key in path:
        if not isinstance(node.value, Mapping) or key not in node.value:
            node.child(key, None).fail("required field missing")
        node = node.child(key, node.value[key])
    return node


def optional(node: Node, *path: str) -> Node | None:
    """Return the member at ``path``, None where it or one above it is missing or null."""
    for key in path:
        if not isinstance(node.value, Mapping) or node.value.get(key) is None:
            return None
        node = node.child(key, node.value[key])
    return node


def text_at(node: Node, *path: str) -> str | None:
    """Return the text at ``path``, None where there is none."""
    found = optional(node, *path)
    return None if found is None or found.value == "" else found.text()


def number_at(node: Node, *path: str) -> float | None:
    """Return the number at ``path``, None where there is none."""
    found = optional(node, *path)
    return None if found is None else found.number()


def per_second(node: Node, unit: float = 1.0) -> float:
    """Return the interactivity of a tpot in seconds, or with ``unit`` of them in a second; refuse 0 and less."""
    tpot = node.number()
    if tpot <= 0:
        node.fail(f"got {tpot!r}, wanted a time above 0")
    rate = unit / tpot
    if not math.isfinite(rate):
        node.fail(f"got {tpot!r}, wanted a time per token")
    return rate


def whole(node: Node) -> int:
    """Return a whole number, which some tools write as 16.0."""
    number = node.number()
    if not number.is_integer() or abs(number) > MOST:
        node.fail(f"got {number!r}, wanted a whole number of at most {MOST}")
    return int(number)


def counted(node: Node) -> int:
    """Return a whole number of at least 1."""
    number = whole(node)
    if number < 1:
        node.fail(f"got {number}, wanted at least 1")
    return number


def held(concurrency: Node, requests: float | None) -> int:
    """Return a concurrency; refuse null, which is no limit, and one that was never reached with so few ``requests``.

    ``requests`` is None when they are unknown."""
    if concurrency.value is None:
        concurrency.fail("got null: no limit of the concurrency was set, so it was not constant")
    number = whole(concurrency)
    if requests is not None and requests < number:
        concurrency.fail(f"got a concurrency of {number} and {requests:g} requests, so it was never reached")
    return number


def tokens_per_second(metric: Node, value: Node) -> float:
    """Return a throughput; refuse it when its metric names another unit than tokens per second."""
    unit = optional(metric, "unit") or optional(metric, "units")
    if unit is not None:
        unit.choice(_TOKENS_PER_S)
    return value.number()


def fixed_length(least: Node | None, most: Node | None) -> int | None:
    """Return the length that every request had, None when they differ or are unknown."""
    if least is None or most is None:
        return None
    length = least.number()
    return int(length) if length == most.number() and length.is_integer() else None


def is_yes(node: Node | None) -> bool:
    """Whether a flag is set, which some files write as a text; refuse any other value."""
    if node is None or node.value in (False, "false", "False", "none", "off"):
        return False
    if node.value not in (True, "true", "True", "on"):
        node.fail(f"got {node.shown}, wanted true or false")
    return True


def refuse_unless_zero(node: Node | None, what: str) -> None:
    """Refuse a non-empty list or a positive count of errors."""
    if node is not None and node.value not in (0, 0.0, [], {}, "{}"):
        node.fail(f"got {node.shown}: {what}; a point with failed requests is not valid")


def refuse_incomplete(node: Node | None) -> None:
    """Refuse a positive count of requests that were cut off when the run ended."""
    if node is not None and node.value not in (None, 0, 0.0):
        node.fail(
            f"got {node.shown} incomplete requests, whose tokens are not in the throughput; end the run after a number "
            "of requests, not after a time"
        )


def precision_named(quantization: str | None) -> str | None:
    """Return the precision of a quantization's name (NVFP4, modelopt_fp4, W4A16_AWQ), None for an unknown name."""
    return None if quantization is None else _PRECISIONS.get(quantization.lower())


def runner_hardware(name: str) -> str | None:
    """Return the hardware of an InferenceX runner: ``h200``, ``b200-trt``, ``cluster:h100-dgxc``.

    None for a cluster whose name contains no known hardware."""
    key = name.removeprefix(_CLUSTER).partition("-")[0].lower()
    if key in HARDWARE:
        return key
    return None if name.startswith(_CLUSTER) else name


def device_hardware(name: str | None) -> str | None:
    """Return the hardware of a GPU's own name: ``NVIDIA H100 80GB HBM3`` is ``h100``; None for an unknown name."""
    words = [] if name is None else name.lower().removeprefix("nvidia").replace("-", " ").split()
    return words[0] if words and re.fullmatch(r"[a-z]+\d+[a-z]*", words[0]) else None
