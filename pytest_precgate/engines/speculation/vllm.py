"""vLLM's speculative decoding: recognised in its options, forced by ``rejection_sample_method = "synthetic"`` in its
speculative config (vLLM 0.20 or later), and compared with the output of the started server.

Source: vllm/config/speculative.py."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pytest_precgate.documents import strict_json
from pytest_precgate.engines.speculation import (
    Refuse,
    are_rates_of,
    decimal_text,
    is_length,
    refuse_idle,
    refuse_out_of_range,
    refuse_unforced,
    refusing,
)

CONFIG = "speculative-config"
SHORT: Mapping[str, str] = {"spec-method": "method", "spec-model": "model", "spec-tokens": "num_speculative_tokens"}
"""Flags of newer releases that stand for one key of the config."""
_NAME = "vLLM"
_METHOD, _LENGTH, _RATES = "rejection_sample_method", "synthetic_acceptance_length", "synthetic_acceptance_rates"
# Initializing a V1 LLM engine (v0.26.0) with config: model=..., speculative_config=None, ... (config/vllm.py)
_SAID = re.compile(r"Initializing a V1 LLM engine [^\n]*?\bspeculative_config=(\w+)")


def is_speculative(flag: str) -> bool:
    """Whether a flag, without its dashes, is about speculative decoding.

    The config and its short forms, their abbreviations, which argparse takes, and the flags of releases before 0.20.
    """
    abbreviated = flag.startswith("spec") and CONFIG.startswith(flag)
    return abbreviated or flag.startswith(("spec-", "speculative-")) or flag == "num-speculative-tokens"


def forced_options(options: Mapping[str, Any], length: float | None, model: str) -> dict[str, Any]:
    """Return the options of a start of ``model`` with speculative decoding that accepts ``length``.

    Raises PreflightError when only one of the two is set, or when they contradict each other."""
    found = [key for key in options if is_speculative(key)]
    if not found:
        if length is not None:
            refuse_idle(model, length, _NAME, "speculative_config")
        return dict(options)
    refuse = refusing(model, f"options.{found[0].replace('-', '_')}")
    if length is None:
        refuse_unforced(refuse, _NAME)
    for key in found:
        if key != CONFIG and key not in SHORT:
            refusing(model, f"options.{key.replace('-', '_')}")(
                "is an abbreviation, or a flag of a release that cannot force an acceptance; vLLM 0.20 and later read "
                "speculative_config = { method = ..., num_speculative_tokens = ... }"
            )
    config = read_config(options.get(CONFIG, {}), refuse)
    short = {SHORT[key]: options[key] for key in found if key in SHORT}
    if twice := sorted({*config} & {*short}):
        refuse(f"{twice[0]} is set twice; nothing is set in two places")
    rest = {key: value for key, value in options.items() if key not in found}
    return {**rest, CONFIG: forced_config({**config, **short}, length, refuse)}


def read_config(value: object, refuse: Refuse) -> dict[str, Any]:
    """Return a speculative config that is a table or JSON text."""
    read = value
    if isinstance(value, str):
        try:
            read = strict_json(value, refuse)
        except ValueError:
            read = None
    if not isinstance(read, Mapping):
        refuse(f"got {str(value)[:60]!r}, wanted a table, or one as JSON text")
    return dict(read)


def forced_config(config: Mapping[str, Any], length: float, refuse: Refuse) -> dict[str, Any]:
    """Return the config with the values that force ``length``; equal values of its own stay."""
    refuse_out_of_range(refuse, length, config.get("num_speculative_tokens"))
    method, own, rates = config.get(_METHOD), config.get(_LENGTH), config.get(_RATES)
    if method is not None and method != "synthetic":
        refuse(f'{_METHOD} is {method!r}, and acceptance_length is forced by "synthetic"; leave {_METHOD} out')
    if own is not None and not is_length(own, length):
        refuse(f"{_LENGTH} is {own!r}, and acceptance_length is {decimal_text(length)}; leave {_LENGTH} out")
    if rates is not None and (own is not None or not are_rates_of(rates, length)):
        refuse(
            f"{_RATES} must stand without {_LENGTH}, and 1 + their sum be acceptance_length, {decimal_text(length)}; "
            f"leave {_RATES} out"
        )
    how = {} if rates is not None else {_LENGTH: length}
    return {**config, _METHOD: "synthetic", **how}


def contradiction(log: str, *, is_forced: bool) -> str | None:
    """Return why a server must not be measured: its output and the settings disagree about speculation.

    A checkpoint of the speculators format contains its own draft model, with any options."""
    said = _SAID.search(log)
    if said is None or (said[1] != "None") is is_forced:
        return None
    if is_forced:
        return "acceptance_length is set, and vLLM says that it runs without speculative decoding"
    return (
        "vLLM says that it decodes speculatively, and options do not: the checkpoint brings a draft model of its own. "
        "Set speculative_config in options, and acceptance_length"
    )


def config_text(config: Mapping[str, Any]) -> str:
    """Return a config as the JSON text of a command line."""
    return json.dumps(config, sort_keys=True)
