"""The support table: which engine runs which quantization on which GPUs.

Input: engine, quantization method, model type, hardware. Output: a row with its published source, or None for unknown,
which is neither yes nor no."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Generation = Literal["blackwell", "hopper", "amd"]

GENERATIONS: Mapping[str, Generation] = {
    **dict.fromkeys(("b200", "b300", "gb200", "gb300"), "blackwell"),
    **dict.fromkeys(("h100", "h200"), "hopper"),
    **dict.fromkeys(("mi300x", "mi325x", "mi355x"), "amd"),
}
"""The generation of a GPU by a suite's name for its hardware. A name that is not listed is the user's own."""

NAMES: Mapping[str, str] = {"trtllm": "TensorRT-LLM", "vllm": "vLLM"}


ANY = ("any",)


@dataclass(frozen=True)
class Row:
    """One statement: ``methods`` on GPUs of ``generations`` (or ANY), for models of ``kind`` "moe", "dense" or "any".

    ``instead`` is an engine that supports it, if one is known."""

    engine: str
    methods: tuple[str, ...]
    kind: str
    generations: tuple[str, ...]
    supported: bool
    source: str
    instead: str | None = None


_NVIDIA = ("blackwell", "hopper")
_TRTLLM_MATRIX = "TensorRT-LLM docs, features/quantization, hardware support matrix"
_TRTLLM_LOADER = "TensorRT-LLM main, tensorrt_llm/models/quant_config_utils.py"
_VLLM_DOCS = "vLLM docs, features/quantization"
_INFERENCEX = "InferenceX, benchmarks/single_node/fixed_seq_len"

ROWS: tuple[Row, ...] = (
    Row("trtllm", ANY, "any", ("amd",), False, "TensorRT-LLM docs, supported hardware: NVIDIA GPUs"),
    Row(
        *("trtllm", ("modelopt nvfp4",), "moe", ("blackwell",), True),
        "TensorRT-LLM docs, deployment guide for Kimi K2 Thinking on Blackwell: nvidia/Kimi-K2-Thinking-NVFP4",
    ),
    Row("trtllm", ("modelopt nvfp4", "mxfp4"), "any", ("blackwell",), True, _TRTLLM_MATRIX),
    Row("trtllm", ("modelopt nvfp4",), "any", ("hopper",), False, _TRTLLM_MATRIX, "vllm"),
    Row("trtllm", ("modelopt fp8", "fp8"), "any", _NVIDIA, True, _TRTLLM_MATRIX),
    Row("trtllm", ("none",), "any", _NVIDIA, True, "TensorRT-LLM docs, supported hardware"),
    Row("trtllm", ("compressed-tensors int4",), "any", ANY, False, f"{_TRTLLM_LOADER}: 4 bits must be float", "vllm"),
    Row("trtllm", ("compressed-tensors int8",), "any", ANY, False, f"{_TRTLLM_LOADER}: 8 bits are read as FP8"),
    Row("trtllm", ("awq int4", "gptq int4"), "any", ("blackwell",), False, _TRTLLM_MATRIX, "vllm"),
    Row("trtllm", ("modelopt int4",), "any", ("blackwell",), False, _TRTLLM_MATRIX),
    Row("trtllm", ("awq int4", "gptq int4", "modelopt int4"), "any", ("hopper",), True, _TRTLLM_MATRIX),
    Row(
        *("vllm", ("modelopt nvfp4",), "any", ("blackwell",), True),
        f"{_INFERENCEX}/kimik2.5_fp4_b200.sh: published runs of nvidia/Kimi-K2.5-NVFP4",
    ),
    Row(
        *("vllm", ("compressed-tensors int4",), "moe", ("blackwell",), True),
        f"{_INFERENCEX}/kimik2.5_int4_b200.sh: published runs of moonshotai/Kimi-K2.5",
    ),
    Row(
        *("vllm", ("modelopt nvfp4", "compressed-tensors nvfp4"), "any", ("hopper",), True),
        f"{_VLLM_DOCS}, supported hardware: Marlin (GPTQ/AWQ/FP8/FP4)",
    ),
    Row(
        *("vllm", ("compressed-tensors int4", "awq int4", "gptq int4"), "any", _NVIDIA, True),
        f"{_VLLM_DOCS}/int4: Ampere, Ada Lovelace, Hopper, Blackwell",
    ),
    Row(
        *("vllm", ("modelopt int4",), "any", ANY, False),
        "vLLM 0.20.2 and 0.33.0, layers/quantization/modelopt.py, QUANT_ALGOS",
    ),
    Row(
        *("vllm", ("compressed-tensors int8",), "any", ("blackwell",), False),
        f"{_VLLM_DOCS}/int8: INT8 is not supported on compute capability >= 10.0",
    ),
    Row("vllm", ("compressed-tensors int8",), "any", ("hopper",), True, f"{_VLLM_DOCS}, supported hardware"),
    Row(
        *("vllm", ("compressed-tensors fp8", "modelopt fp8", "fp8"), "any", _NVIDIA, True),
        f"{_VLLM_DOCS}/fp8: Ada Lovelace, Hopper, Blackwell",
    ),
    Row("vllm", ("awq int4", "gptq int4"), "any", ("amd",), False, f"{_VLLM_DOCS}, supported hardware"),
    Row("vllm", ("none",), "any", ANY, True, "vLLM docs, getting_started/installation/gpu"),
)
"""The first matching row applies."""


def stated(engine: str, method: str, *, is_moe: bool, hardware: str) -> Row | None:
    """Return the row of ``engine`` with ``method`` on the suite's hardware, or None."""
    kind, generation = "moe" if is_moe else "dense", GENERATIONS.get(hardware)
    for row in ROWS:
        fits = row.engine == engine and row.kind in ("any", kind)
        if fits and _covers(row.methods, method) and _covers(row.generations, generation):
            return row
    return None


def _covers(cell: tuple[str, ...], value: str | None) -> bool:
    return cell == ANY or value in cell
