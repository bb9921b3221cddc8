"""Reads vLLM's output: the cause of a failure, the quantization, and the kernels of the mixture of experts.

Texts of 0.20.2 and 0.33.0, each as the named source prints it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pytest_precgate.analysis.accepted.fingerprint import Fact
from pytest_precgate.engines.failures import COMMON, FailureText

# "Engine core initialization failed. See root cause above." comes last and states no cause, so it is searched last.
FAILURES = (
    *COMMON,
    FailureText(
        "is less than desired GPU memory utilization", "its GPUs' memory is in use by others"
    ),  # v1/worker/utils.py
    FailureText(
        "No available memory for the cache blocks", "no GPU memory is left for the KV cache"
    ),  # v1/core/kv_cache_*.py
    FailureText("is larger than the available KV cache", "no GPU memory is left for the KV cache"),
    FailureText("is larger than the number of available GPUs", "it found fewer GPUs than asked for"),
    # config/device.py
    FailureText("Failed to infer device type", "it found no GPU"),
    # argparse
    FailureText("unrecognized arguments:", "this release does not know a flag made from options"),
    # argparse
    FailureText("error: argument ", "this release does not take a value in options"),
    FailureText("is not supported for the current GPU", "the checkpoint's quantization does not run on these GPUs"),
    FailureText(
        "Unknown quantization method", "this release does not know the checkpoint's quantization"
    ),  # config/model.py
    FailureText("ModelOpt currently only supports", "this release does not know the checkpoint's quantization"),
    FailureText("does not support the deployment configuration", "the MoE backend asked for cannot run the model"),
    FailureText(
        "are not supported for now", "this release does not know the model's architecture"
    ),  # models/registry.py
    FailureText("`trust_remote_code=True`", "options lacks trust_remote_code = true"),
    FailureText("LocalEntryNotFoundError", "a file of a model is not in the cache"),
    FailureText("outgoing traffic has been disabled", "a file of a model is not in the cache"),
    # default_loader.py
    FailureText("Cannot find any model weights", "the checkpoint has no weight files"),
    FailureText("EngineCore encountered an issue", "its engine process died", general=True),
    FailureText("EngineCore encountered a fatal error", "its engine process died", general=True),
    FailureText(
        "WorkerProc initialization failed", "a worker failed while loading", general=True
    ),  # v1/executor/multiproc_executor.py
    FailureText(
        "Engine core initialization failed", "its engine process failed while loading", general=True
    ),  # v1/engine/utils.py
)

# Initializing a V1 LLM engine (v0.20.2) with config: model=..., quantization=modelopt_fp4, ... (config/vllm.py)
_QUANTIZATION = re.compile(r"Initializing a V1 LLM engine [^\n]*?\bquantization=([\w.-]+)")
_KV_CACHE = re.compile(r"Initializing a V1 LLM engine [^\n]*?\bkv_cache_dtype=([\w.-]+)")
# fused_moe/oracle/*.py, and compressed_tensors_moe_wna16_marlin.py up to 0.20
_MOE = re.compile(
    r"Using '?(?P<name>[\w ]+?)'? (?P<format>NvFp4|WNA16|Fp8|W4A8 Int8|Int8|W4A8|Mxfp4|MxFp8|Unquantized) MoE backend"
    r"|Using (?P<older>\w+) backend for WNA16 MoE"
)
INT4_VARIABLE = "VLLM_USE_FLASHINFER_MOE_INT4"


def log_facts(log: str) -> dict[str, Fact]:
    """Return the quantization, KV cache type and MoE backends in effect, as far as ``log`` says."""
    return {
        "kv_cache_effective": _said(_KV_CACHE, log),
        "moe_backend": ", ".join(dict.fromkeys(name for name, _ in _moe_backends(log))) or "not said",
        "quantization_effective": _said(_QUANTIZATION, log),
    }


def fallback_refusal(log: str, options: Mapping[str, Any], variables: Mapping[str, str]) -> str | None:
    """Return why the server must not be measured: another MoE backend runs than options or variables ask for.

    vLLM silently uses Marlin's kernels when the int4 kernels of FlashInfer cannot run."""
    chosen = str(options.get("moe-backend", "auto")).replace("-", "_")
    for got, number_format in _moe_backends(log):
        if chosen != "auto" and number_format != "Unquantized" and not _alike(chosen, got):
            return (
                f"MoE backend {chosen} was asked for and {got} runs; leave moe_backend out of options to measure that"
            )
        if variables.get(INT4_VARIABLE) == "1" and number_format == "WNA16" and not _alike("flashinfer", got):
            return f"{INT4_VARIABLE}=1 asks for FlashInfer's kernels and {got} runs; leave it out to measure that"
    return None


def _moe_backends(log: str) -> list[tuple[str, str]]:
    """The MoE backends in the order they were chosen, each with the number format of the weights it runs."""
    return [(found["name"] or found["older"], found["format"] or "WNA16") for found in _MOE.finditer(log)]


def _alike(asked: str, got: str) -> bool:
    """``cutlass`` is VLLM_CUTLASS, and ``flashinfer_trtllm`` was Flashinfer up to 0.20."""
    one, other = asked.lower(), got.lower()
    return one in other or other in one


def _said(pattern: re.Pattern[str], log: str) -> str:
    found = pattern.search(log)
    return "not said" if found is None else found[1]
