"""TensorRT-LLM's speculative decoding: recognised in its options, forced by an environment variable.

The variable counts only accepted draft tokens: one less than the acceptance length, which also counts the token of the
step itself. In recent releases the one-model path accepts a fraction (2.6: always two, a third with probability 0.6).
The two-model path, and older releases in both, read a whole number; a fraction is then 0, which forces nothing. Source:
tensorrt_llm/_torch/speculative/interface.py and llmapi/llm_args.py, of 2025 and 2026."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pytest_precgate.engines.speculation import (
    decimal_text,
    members,
    refuse_idle,
    refuse_out_of_range,
    refuse_unforced,
    refusing,
)

CONFIG = "speculative_config"
VARIABLE = "TLLM_SPEC_DECODE_FORCE_NUM_ACCEPTED_TOKENS"
_NAME = "TensorRT-LLM"
# The option that chooses the path of a decoding type; true is the default of each.
_ONE_MODEL: Mapping[str, str] = {
    "mtp": "mtp_eagle_one_model",
    "eagle": "eagle3_one_model",
    "eagle3": "eagle3_one_model",
}
_UNREAD = re.compile(rf"{VARIABLE} must be a valid [^\n]*")


def forced_variables(
    options: Mapping[str, Any], variables: Mapping[str, str], length: float | None, model: str
) -> dict[str, str]:
    """Return the variables that make a server of ``model`` accept ``length``; none when it does not speculate.

    Raises PreflightError when only one of the two is set, or when they, or ``variables``, contradict each other."""
    value = options.get(CONFIG)
    if value is None:
        if length is not None:
            refuse_idle(model, length, _NAME, CONFIG)
        return {}
    refuse = refusing(model, f"options.{CONFIG}")
    if length is None:
        refuse_unforced(refuse, _NAME)
    config = members(value)
    if config is None:
        refuse(f"got {value!r}, wanted a table")
    refuse_out_of_range(refuse, length, draft_length(options))
    if length == 1:
        refuse(
            f"acceptance_length is 1, which {VARIABLE} = 0 would have to force, and 0 forces nothing; leave "
            "speculative_config out to measure without it"
        )
    if length != int(length) and not _is_one_model(config):
        refuse(
            f"acceptance_length is {decimal_text(length)}, and decoding_type {config.get('decoding_type')!r} as set is "
            "not known to run in one model (MTP and Eagle3 do unless their ..._one_model is false): in two models "
            f"{VARIABLE} is read as a whole number, and a fraction forces nothing. Set a whole acceptance_length"
        )
    forced = decimal_text(Decimal(repr(float(length))) - 1)
    if variables.get(VARIABLE, forced) != forced:
        refusing(model, f"variables.{VARIABLE}")(
            f"got {variables[VARIABLE]!r}, and acceptance_length - 1 is {forced}; leave the variable out"
        )
    return {VARIABLE: forced}


def draft_length(options: Mapping[str, Any]) -> int | None:
    """Return the maximum number of tokens of a draft according to the options; None when they do not state it."""
    config = members(options.get(CONFIG)) or {}
    for key in ("max_draft_len", "num_nextn_predict_layers"):
        value = config.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def contradiction(log: str) -> str | None:
    """Return why a server must not be measured: according to its output it ignored the number of tokens to accept."""
    unread = _UNREAD.search(log)
    if unread is None:
        return None
    return (
        f"acceptance_length is not forced: {unread[0].strip()} Set a whole one, or use a release that takes fractions"
    )


def _is_one_model(config: Mapping[str, Any]) -> bool:
    key = _ONE_MODEL.get(str(config.get("decoding_type", "")).casefold())
    return key is not None and config.get(key, True) is True
