"""Speculative decoding in a command line: vLLM, SGLang and llama-server are recognised by program or flags.

Input: argv and variables. Output: nothing, or a PreflightError that shows what to write. Invariant: the command line is
not changed. When the engine is known and can force an acceptance, the words or variables that force it must be present;
for any other server the stated length is accepted."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence

from pytest_precgate.engines.speculation import (
    Refuse,
    are_rates_of,
    decimal_text,
    is_length,
    refuse_out_of_range,
    refuse_unforced,
    refusing,
)
from pytest_precgate.engines.speculation import vllm as of_vllm

_VLLM, _SGLANG, _LLAMA = "vLLM", "SGLang", "llama-server"
_PROGRAMS = (
    (_VLLM, re.compile(r"vllm([.:-].*)?")),
    (_SGLANG, re.compile(r"sglang([.:].*)?")),
    (_LLAMA, re.compile(r"llama-server.*|llama\.cpp:server.*")),
)
# A variable set within the command: by env, a shell, or the -e of a container.
_ASSIGNED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
# Flags that identify the engine when the program is a script.
_TELLING = (
    (_VLLM, re.compile(r"--speculative-config(\..*)?|--spec-(method|tokens)")),
    (_SGLANG, re.compile(r"--speculative-algo(rithm)?")),
    (_LLAMA, re.compile(r"--spec-type|--spec-draft-.*|--model-draft|-md")),
)
_SPECULATIVE = re.compile(
    r"--spec?u?|--specul.*|--spec-(method|model|tokens|type|draft|decode|synth|default|ngram).*|--num-speculative-.*|--draft.*"
    r"|--model-draft|--hf-repo-draft|-md|-hfd|-hfrd"
)
_LLAMA_VARIABLES = ("LLAMA_ARG_SPEC_", "LLAMA_ARG_DRAFT", "LLAMA_ARG_MODEL_DRAFT")
_DRAFT_MODEL = re.compile(r"-md|-hfd|-hfrd|--model-draft|--hf-repo-draft|--spec-draft-(model|hf).*|.*(MODEL|HF).*")
_SIMULATED = "SGLANG_SIMULATE_ACC_LEN"


def require_forced(words: Sequence[str], variables: Mapping[str, str], length: float | None, model: str) -> None:
    """Refuse a command line of ``model`` that speculates and does not force ``length``.

    ``words`` are what is started, ``variables`` all that the server will see. Raises PreflightError.
    """
    words = [part for word in words for part in _parts(word)]
    assigned = (_ASSIGNED.fullmatch(word) for word in words)
    variables = {**variables, **{match[1]: match[2] for match in assigned if match is not None}}
    engine = _engine(words)
    found = _speculates(words, variables, engine)
    if found is None:
        return
    refuse = refusing(model, f"argv: {found}" if found.startswith("-") else f"variables: {found}")
    if length is None:
        refuse_unforced(refuse, engine or "the server")
    if engine == _VLLM:
        _require_vllm(words, length, refuse)
    elif engine == _SGLANG:
        _require_sglang(words, variables, length, refuse)
    elif engine == _LLAMA:
        _require_llama(words, variables, length, refuse)


def _parts(word: str) -> list[str]:
    """A word, or the words of a command that is passed to a shell as one word."""
    if word.startswith(("-", "{", "[")) or not re.search(r"\s", word):
        return [word]
    try:
        return shlex.split(word)
    except ValueError:  # an unbalanced quote
        return word.split()


def _engine(words: Sequence[str]) -> str | None:
    names = [word.rsplit("/", 1)[-1] for word in words if not word.startswith("-")]
    for engine, program in _PROGRAMS:
        if any(program.fullmatch(name) for name in names):
            return engine
    flags = [_flag(word) for word in words]
    return next((engine for engine, telling in _TELLING if any(telling.fullmatch(flag) for flag in flags)), None)


def _speculates(words: Sequence[str], variables: Mapping[str, str], engine: str | None) -> str | None:
    """The first flag or variable about speculative decoding; None when there is none, or it is switched off."""
    flags = [_flag(word) for word in words]
    found = [flag for flag in flags if _SPECULATIVE.fullmatch(flag) or (engine == _VLLM and flag == "-sc")]
    if engine == _LLAMA:
        found += [name for name in sorted(variables) if name.startswith(_LLAMA_VARIABLES)]
        kind = _value(words, "--spec-type") or variables.get("LLAMA_ARG_SPEC_TYPE")
        if kind == "none":  # a draft model may still be used
            found = [name for name in found if _DRAFT_MODEL.fullmatch(name)]
    return found[0] if found else None


def _flag(word: str) -> str:
    """The flag of a word, spelled with dashes; vLLM's own reader takes both."""
    flag = word.partition("=")[0]
    return flag.replace("_", "-") if flag.startswith("--") else flag


def _value(words: Sequence[str], *flags: str) -> str | None:
    """The value of the last of ``flags``, as the next word or after an equals sign."""
    found = None
    for number, word in enumerate(words):
        if _flag(word) in flags:
            following = words[number + 1] if number + 1 < len(words) else None
            found = word.partition("=")[2] if "=" in word else following
    return found


def _draft_tokens(words: Sequence[str], *flags: str) -> int | None:
    text = _value(words, *flags)
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,9}", text) else None


def _read(text: str | None) -> object:
    """The value of a flag as JSON if it is JSON, else as text."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return text


def _require_vllm(words: Sequence[str], length: float, refuse: Refuse) -> None:
    """The config forces it, as JSON text or by dotted flags. When both are given, the precedence depends on the
    release."""
    raw = _value(words, "--speculative-config", "-sc")
    whole = {} if raw is None else of_vllm.read_config(raw, refuse)
    dotted = {
        word.partition("=")[0].partition(".")[2]: _read(_value(words[number:], _flag(word)))
        for number, word in enumerate(words)
        if _flag(word).startswith("--speculative-config.")
    }
    short = {key: _read(_value(words, f"--{flag}")) for flag, key in of_vllm.SHORT.items() if f"--{flag}" in words}
    forced = of_vllm.forced_config({**whole, **dotted, **short}, length, refuse)
    if forced not in (whole, dotted) or sum(map(bool, (whole, dotted, short))) > 1:
        text = of_vllm.config_text(forced).replace("{", "{{").replace("}", "}}")
        refuse(f"does not force acceptance_length; write all of it as \"--speculative-config\", '{text}' in argv")


def _require_sglang(words: Sequence[str], variables: Mapping[str, str], length: float, refuse: Refuse) -> None:
    """Require the method and the token mode: the default method of older releases does not reach the mean, and the
    default token mode of newer ones repeats one token."""
    steps = _draft_tokens(words, "--speculative-num-steps")
    refuse_out_of_range(refuse, length, steps)
    wanted = {
        _SIMULATED: decimal_text(length),
        "SGLANG_SIMULATE_ACC_METHOD": "match-expected",
        "SGLANG_SIMULATE_ACC_TOKEN_MODE": "real-draft-token",
    }
    agree = all(variables.get(name) == value for name, value in wanted.items() if name != _SIMULATED)
    if not agree or not is_length(variables.get(_SIMULATED), length):
        lines = ", ".join(f'{name} = "{value}"' for name, value in wanted.items())
        refuse(f"SGLang does not force acceptance_length; set variables = {{ {lines} }}")


def _require_llama(words: Sequence[str], variables: Mapping[str, str], length: float, refuse: Refuse) -> None:
    refuse_out_of_range(
        refuse, length, _draft_tokens(words, "--spec-draft-n-max", "--draft-max", "--draft-n", "--draft")
    )
    own = _value(words, "--spec-synth-len") or variables.get("LLAMA_ARG_SPEC_SYNTH_LEN")
    rates = _value(words, "--spec-synth-rates") or variables.get("LLAMA_ARG_SPEC_SYNTH_RATES")
    if own is None and rates is not None and are_rates_of(_rates(rates), length):
        return
    if rates is not None or not is_length(own, length):
        refuse(
            f'llama-server does not force acceptance_length; write "--spec-synth-len", "{decimal_text(length)}" in '
            "argv, and no --spec-synth-rates"
        )


def _rates(text: str) -> list[float] | None:
    try:
        return [float(rate) for rate in text.split(",")]
    except ValueError:
        return None
