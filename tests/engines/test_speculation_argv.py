"""Speculative decoding in a user's command line: recognised by its flags, and only with a forced acceptance.

SGLang's variables are in sglang/srt/speculative/spec_utils.py (0.5.6 and 0.5.23), llama-server's flags in llama.cpp's
common/arg.cpp, vLLM's in vllm/config/speculative.py."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.documents import Node
from pytest_precgate.engines import CommandEngine
from pytest_precgate.engines.server import HostContext
from pytest_precgate.engines.speculation.argv import require_forced
from pytest_precgate.errors import PreflightError, SettingsError
from tests.engines.hosts import CannedNetwork

VLLM = ["/opt/bin/vllm", "serve", "m", "--port", "8000"]
SGLANG = ["python", "-m", "sglang.launch_server", "--model-path", "m"]
LLAMA = ["tools/llama-server", "-m", "m.gguf", "--port", "8000"]
SCRIPT = ["./serve.sh", "8000"]
MTP = {"method": "mtp", "num_speculative_tokens": 3}
FORCED = {**MTP, "rejection_sample_method": "synthetic", "synthetic_acceptance_length": 2.6}
SIMULATED = {
    "SGLANG_SIMULATE_ACC_LEN": "2.6",
    "SGLANG_SIMULATE_ACC_METHOD": "match-expected",
    "SGLANG_SIMULATE_ACC_TOKEN_MODE": "real-draft-token",
}


def refusal(words: Sequence[str], variables: Mapping[str, str] | None = None, length: float | None = 2.6) -> str | None:
    try:
        require_forced(words, variables or {}, length, "kimi")
    except PreflightError as exc:
        return str(exc)
    return None


@pytest.mark.parametrize(
    ("words", "found", "engine"),
    [
        ([*VLLM, "--speculative-config", json.dumps(MTP)], "--speculative-config", "vLLM"),
        ([*VLLM, f"--speculative_config={json.dumps(MTP)}"], "--speculative-config", "vLLM"),
        ([*VLLM, "-sc", json.dumps(MTP)], "-sc", "vLLM"),
        ([*VLLM, "--speculative-config.method", "mtp"], "--speculative-config.method", "vLLM"),
        ([*VLLM, "--specul", json.dumps(MTP)], "--specul", "vLLM"),
        ([*VLLM, "--spec", json.dumps(MTP)], "--spec", "vLLM"),
        (["docker", "run", "vllm/vllm-openai:v0.26", "m", "-sc", json.dumps(MTP)], "-sc", "vLLM"),
        ([*VLLM, "--spec-method", "mtp", "--spec-tokens", "3"], "--spec-method", "vLLM"),
        ([*VLLM, "--num-speculative-tokens", "3"], "--num-speculative-tokens", "vLLM"),
        (["bash", "-c", "exec vllm serve m --speculative-config '{}' --port 1"], "--speculative-config", "vLLM"),
        ([*SCRIPT, "--speculative-config", json.dumps(MTP)], "--speculative-config", "vLLM"),
        ([*SGLANG, "--speculative-algorithm", "EAGLE3"], "--speculative-algorithm", "SGLang"),
        ([*SGLANG, "--speculative-num-steps=3"], "--speculative-num-steps", "SGLang"),
        (["sglang", "serve", "--speculative-algo", "NEXTN"], "--speculative-algo", "SGLang"),
        ([*SCRIPT, "--speculative-algorithm", "EAGLE"], "--speculative-algorithm", "SGLang"),
        ([*LLAMA, "--spec-type", "draft-mtp"], "--spec-type", "llama-server"),
        ([*LLAMA, "-md", "draft.gguf"], "-md", "llama-server"),
        ([*LLAMA, "--model-draft=draft.gguf"], "--model-draft", "llama-server"),
        ([*LLAMA, "--draft-max", "8"], "--draft-max", "llama-server"),
        ([*LLAMA, "--draft-max", "8", "--spec-type", "none", "-md", "draft.gguf"], "-md", "llama-server"),
        ([*SCRIPT, "--model-draft", "draft.gguf"], "--model-draft", "llama-server"),
        ([*SCRIPT, "--draft-model", "draft"], "--draft-model", "the server"),
        (["sh", "-c", "serve --draft 'a"], "--draft", "the server"),
    ],
)
def test_a_command_line_does_not_speculate_without_an_acceptance_length(
    words: list[str], found: str, engine: str
) -> None:
    """Known by the program's name, else by the flags; any other server by what its flags are about."""
    said = refusal(words, length=None)
    assert said is not None
    assert said.startswith(
        f"kimi: argv: {found}: {engine} would decode speculatively, and random tokens give an acceptance"
    )


def test_llama_server_is_told_by_its_variables_too() -> None:
    """Each of its flags has one; of another server they say nothing."""
    draft = {"LLAMA_ARG_SPEC_DRAFT_MODEL": "draft.gguf", "PATH": "/bin"}
    said = refusal(LLAMA, draft, length=None)
    assert said is not None
    assert said.startswith("kimi: variables: LLAMA_ARG_SPEC_DRAFT_MODEL: llama-server would decode speculatively")
    assert refusal(VLLM, draft, length=None) is None
    off = {"LLAMA_ARG_SPEC_TYPE": "none", "LLAMA_ARG_SPEC_DRAFT_N_MAX": "8"}
    assert refusal(LLAMA, off, length=None) is None
    assert refusal([*LLAMA, "--spec-type", "draft-mtp"], off, length=None) is not None
    assert refusal(LLAMA, {**off, **draft}, length=None) is not None


@pytest.mark.parametrize(
    "words",
    [
        [*VLLM, "--specialize-active-lora"],
        [*LLAMA, "--spec-type", "none", "--draft-max", "8"],
        [*LLAMA, "-m", "models/draft.gguf"],
        [*SCRIPT, "--spec-file", "openapi.yaml"],
        ["llama-server-vllm", "-sc", "x"],
    ],
)
def test_other_words_are_no_speculation(words: list[str]) -> None:
    """An acceptance length that a suite states for such a server is accepted."""
    assert refusal(words, length=None) is None
    assert refusal(words) is None


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        ([*VLLM, "--speculative-config", json.dumps(FORCED)], {}),
        ([*VLLM, f"-sc={json.dumps(FORCED)}"], {}),
        (["sh", "-c", f"exec vllm serve m --speculative-config {shlex.quote(json.dumps(FORCED))}"], {}),
        ([*VLLM, *(word for key, value in FORCED.items() for word in (f"--speculative-config.{key}", str(value)))], {}),
        ([*VLLM, *(f"--speculative_config.{key}={value}" for key, value in FORCED.items())], {}),
        ([*SGLANG, "--speculative-algorithm", "EAGLE", "--speculative-num-steps", "3"], SIMULATED),
        ([*SGLANG, "--speculative-algorithm", "EAGLE"], {**SIMULATED, "SGLANG_SIMULATE_ACC_LEN": "2.60"}),
        ([*LLAMA, "--spec-type", "draft-mtp", "--spec-synth-len", "2.6"], {}),
        ([*LLAMA, "-md", "draft", "--spec-draft-n-max", "3", "--spec-synth-rates", "0.9,0.5,0.2"], {}),
        ([*LLAMA, "-md", "draft"], {"LLAMA_ARG_SPEC_SYNTH_LEN": "2.6"}),
        ([*SCRIPT, "--draft-model", "draft"], {}),
    ],
)
def test_a_command_line_that_forces_the_length_is_accepted(words: list[str], variables: dict[str, str]) -> None:
    """In any spelling; for an unknown server the stated length is accepted."""
    assert refusal(words, variables) is None


WHOLE = (
    '"--speculative-config", \'{{"method": "mtp", "num_speculative_tokens": 3, "rejection_sample_method": "synthetic", '
)


@pytest.mark.parametrize(
    ("words", "variables", "why"),
    [
        (
            [*VLLM, "--speculative-config", json.dumps(MTP)],
            {},
            WHOLE + '"synthetic_acceptance_length": 2.6}}\' in argv',
        ),
        ([*VLLM, "--spec-method", "mtp", "--spec-tokens", "3"], {}, WHOLE + '"synthetic_acceptance_length": 2.6}}\''),
        (
            [*VLLM, "--speculative-config", json.dumps(FORCED), "--spec-method", "mtp"],
            {},
            "does not force acceptance_length; write all of it as " + WHOLE,
        ),
        (
            [*VLLM, "--speculative-config", json.dumps({**FORCED, "synthetic_acceptance_length": 3})],
            {},
            "synthetic_acceptance_length is 3, and acceptance_length is 2.6",
        ),
        (
            [*VLLM, "--speculative-config", json.dumps({**FORCED, "num_speculative_tokens": 1})],
            {},
            "a draft has 1 tokens, so a step gives 1 to 2, and acceptance_length is 2.6",
        ),
        ([*VLLM, "--speculative-config", "{"], {}, "got '{', wanted a table, or one as JSON text"),
        ([*VLLM, "--speculative-config"], {}, "does not force acceptance_length; write all of it"),
        (
            [*SGLANG, "--speculative-algorithm", "EAGLE"],
            {},
            'SGLang does not force acceptance_length; set variables = { SGLANG_SIMULATE_ACC_LEN = "2.6", '
            'SGLANG_SIMULATE_ACC_METHOD = "match-expected", SGLANG_SIMULATE_ACC_TOKEN_MODE = "real-draft-token" }',
        ),
        (
            [*SGLANG, "--speculative-algorithm", "EAGLE"],
            {**SIMULATED, "SGLANG_SIMULATE_ACC_LEN": "1.6"},
            "does not force",
        ),
        (
            [*SGLANG, "--speculative-algorithm", "EAGLE"],
            {**SIMULATED, "SGLANG_SIMULATE_ACC_METHOD": "multinomial"},
            "SGLang does not force acceptance_length",
        ),
        (
            [*SGLANG, "--speculative-algorithm", "EAGLE", "--speculative-num-steps", "1"],
            SIMULATED,
            "a draft has 1 tokens, so a step gives 1 to 2",
        ),
        ([*LLAMA, "-md", "d"], {}, 'write "--spec-synth-len", "2.6" in argv, and no --spec-synth-rates'),
        ([*LLAMA, "-md", "d", "--spec-synth-len", "3"], {}, "llama-server does not force acceptance_length"),
        ([*LLAMA, "-md", "d", "--spec-synth-rates", "0.9,x"], {}, "llama-server does not force acceptance_length"),
        (
            [*LLAMA, "-md", "d", "--spec-synth-len", "2.6", "--spec-synth-rates", "0.9,0.5,0.2"],
            {},
            "and no --spec-synth-rates",
        ),
        ([*LLAMA, "-md", "d", "--draft-max", "1", "--spec-synth-len", "2.6"], {}, "a draft has 1 tokens"),
    ],
)
def test_a_command_line_that_does_not_force_the_length_says_what_to_write(
    words: list[str], variables: dict[str, str], why: str
) -> None:
    """Words of argv, with their braces doubled, or variables, ready to be pasted."""
    said = refusal(words, variables)
    assert said is not None
    assert said.startswith("kimi: argv: -")
    assert why in said


@given(words=st.lists(st.text(max_size=8) | st.sampled_from(["vllm", "--speculative-config", "-md", "--draft", "-sc"])))
def test_any_words_are_accepted_or_refused_by_name(words: list[str]) -> None:
    """No command line breaks the look at it."""
    said = refusal(words)
    assert said is None or said.startswith("kimi: argv: -")


def command(tmp_path: Path, environ: Mapping[str, str], **keys: object) -> Fingerprint:
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    table = {"engine": "command", "model": "org/model", "gpus": 1, **keys}
    spec = CommandEngine.read(Node(table, "pyproject.toml", "fp4", SettingsError), tmp_path)
    where = HostContext(environ, CannedNetwork(), tmp_path)
    return spec.preflight("fp4", "laptop", where)


def test_the_command_engine_looks_before_a_start(tmp_path: Path) -> None:
    """At the words with their placeholders filled in, and at the variables the server will see, inherited ones too."""
    drafting = ["./llama-server", "--port", "{port}", "-md", "draft"]
    with pytest.raises(PreflightError, match=r"org/model: argv: -md: llama-server would decode speculatively"):
        command(tmp_path, {}, argv=drafting)
    with pytest.raises(PreflightError, match=r"llama-server does not force acceptance_length"):
        command(tmp_path, {}, argv=drafting, acceptance_length=2.6)
    forced = command(tmp_path, {"LLAMA_ARG_SPEC_SYNTH_LEN": "2.6"}, argv=drafting, acceptance_length=2.6)
    assert forced.hard["acceptance_length"] == 2.6
    assert "acceptance_length" not in command(tmp_path, {}, argv=["./llama-server", "--port", "{port}"]).hard


@pytest.mark.parametrize("setter", [["env"], ["docker", "run", "-e"]])
def test_variables_set_within_the_command_count(setter: list[str]) -> None:
    """By env or for a container: the acceptance they force is forced."""
    assigned = [f"{name}={value}" for name, value in SIMULATED.items()]
    words = [*setter, *assigned, *SGLANG, "--speculative-algorithm", "EAGLE", "--speculative-num-steps", "3"]
    assert refusal(words) is None
    assert refusal([word for word in words if "ACC_LEN" not in word]) is not None
