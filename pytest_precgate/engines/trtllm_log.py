"""Reads TensorRT-LLM's output: the cause of a failure, the quantization, and whether the mixture of experts runs on
another backend than requested.

Texts of 1.0 to main, each as the named source prints it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pytest_precgate.analysis.accepted.fingerprint import Fact
from pytest_precgate.engines.failures import COMMON, FailureText

# The last line is usually only "RuntimeError: Executor worker returned error", so the specific texts come first.
FAILURES = (
    *COMMON,
    FailureText(
        "Executor creation failed due to insufficient GPU memory", "out of GPU memory"
    ),  # py_executor_creator.py
    FailureText("Executor creation failed with NCCL error", "NCCL failed between its GPUs"),
    FailureText(
        "Unsupported quantization_config:", "the checkpoint's quantization is not supported"
    ),  # llmapi/llm_utils.py
    # quant_config_utils.py
    FailureText("Unsupported quant_bits:", "the checkpoint's quantization is not supported"),
    FailureText("Pre-quantized checkpoint must have quant_algo", "the checkpoint does not say how it is quantized"),
    FailureText("Unknown architecture for AutoModelForCausalLM", "this release does not know the model's architecture"),
    FailureText(
        "no MoE implementation can serve this layer", "no MoE backend can run the model"
    ),  # fused_moe/resolution
    # click
    FailureText("No such option", "this release does not know a flag of its command line"),
    FailureText(
        "Extra inputs are not permitted", "this release does not know a key of options"
    ),  # pydantic, StrictBaseModel
    FailureText("LocalEntryNotFoundError", "a file of a model is not in the cache"),
    FailureText("outgoing traffic has been disabled", "a file of a model is not in the cache"),
    # transformers
    FailureText("`trust_remote_code=True`", "options lacks trust_remote_code = true"),
    # Open MPI
    FailureText("not enough slots available", "mpirun has fewer slots than GPUs"),
    FailureText(
        "Executor worker died during initialization", "a worker died while loading", general=True
    ),  # executor/proxy.py
    FailureText("Executor worker initialization error:", "a worker failed while loading", general=True),
)

_QUANT_ALGO = re.compile(r"Setting quant_algo=(?:QuantAlgo\.)?(\w+) from HF quant config")
_KV_CACHE = re.compile(r"Setting kv_cache_quant_algo=(?:QuantAlgo\.)?(\w+) from HF quant config")
# create_moe.py of 1.0 to 1.3, and the resolution report of main.
_FALLBACKS = (
    re.compile(r"(?P<asked>\w+) only supports [^\n]*?Using (?P<got>\w+) instead"),
    re.compile(r"MoE backend (?P<asked>\w+) cannot serve this layer[^\n]*?; running (?P<got>\w+) instead"),
    re.compile(r"(?P<asked>\w*MoE)\b[^.\n]*\.?\s+Using (?P<got>\w*MoE) instead"),
    re.compile(r"(?P<asked>)Using (?P<got>\w*MoE) instead"),  # with any beginning of the sentence
)
_CLASSES: Mapping[str, str] = {
    "TRTLLMGenFusedMoE": "TRTLLM",
    "CutlassFusedMoE": "CUTLASS",
    "CuteDslFusedMoE": "CUTEDSL",
    "DeepGemmFusedMoE": "DEEPGEMM",
    "DenseGEMMFusedMoE": "DENSEGEMM",
    "TritonFusedMoE": "TRITON",
    "MarlinFusedMoE": "MARLIN",
    "VanillaMoE": "VANILLA",
    "WideEPMoE": "WIDEEP",
}


def log_facts(log: str, asked: str) -> dict[str, Fact]:
    """Return the quantization and MoE backend in effect, as far as ``log`` says; ``asked`` is moe_config's backend."""
    fallback = _fallback(log)
    return {
        "kv_cache_effective": _said(_KV_CACHE, log),
        "moe_backend": fallback[1] if fallback is not None else f"{asked} (asked for)",
        "quantization_effective": _said(_QUANT_ALGO, log),
    }


def fallback_refusal(log: str, asked: str) -> str | None:
    """Return why the server must not be measured: another MoE backend runs than asked for, or than AUTO chose."""
    fallback = _fallback(log)
    if fallback is None or fallback[1] == asked:
        return None
    wanted = asked if asked != "AUTO" else f"{fallback[0] or 'another one'}, chosen by AUTO,"
    return (
        f"MoE backend {wanted} was asked for and {fallback[1]} runs: its figures would be reported as the other's. "
        f'Set moe_config = {{ backend = "{fallback[1]}" }} in options to measure that one'
    )


def _fallback(log: str) -> tuple[str, str] | None:
    for pattern in _FALLBACKS:
        found = pattern.search(log)
        if found is not None:
            asked, got = found["asked"], found["got"]
            return _CLASSES.get(asked, asked), _CLASSES.get(got, got)
    return None


def _said(pattern: re.Pattern[str], log: str) -> str:
    found = pattern.search(log)
    return "not said" if found is None else found[1]
