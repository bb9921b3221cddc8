"""The vLLM engine: options become flags, and its output tells whose kernels run the experts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.engines.base import Engine, SelfSweeping
from pytest_precgate.engines.server import Started
from pytest_precgate.engines.vllm import VllmEngine, flags_of
from pytest_precgate.errors import PreflightError, SettingsError
from pytest_precgate.http import Answer
from tests.engines.hosts import INT4, NVFP4, CannedNetwork, host, kimi_host, said, slot, table


def spec(**keys: object) -> VllmEngine:
    return VllmEngine.read(table(**{"engine": "vllm", "model": INT4, "gpus": 8, **keys}), Path())


def engine(**keys: object) -> VllmEngine:
    return spec(**keys)


# --- settings ---------------------------------------------------------------------------------------------------------


def test_it_is_an_engine_that_is_a_server() -> None:
    """Both protocols hold, and it gives no sweep by itself."""
    opened = engine(gpus=8, pp=2)
    assert isinstance(opened, Started)
    as_engine: Engine = opened
    assert (as_engine.kind, opened.tp, opened.pp) == ("vllm", 4, 2)
    assert dict(opened.identity()) == {"api": "completions", "model": INT4, "window": "steady"}
    assert dict(opened.facts()) == {"concurrency": "4, 8", "point_error": 0.005, "window_limit_s": 120, "seed": 0}
    assert not isinstance(opened, SelfSweeping)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"tp": 4}, r"tp \* pp is 4, and gpus is 8: they must be the same @ fp4\.tp"),
        ({"ep": 8}, r"unknown key 'ep'"),
        ({"options": {"tensor_parallel_size": 8}}, r"tensor-parallel-size is set by tp; nothing is set in two places"),
        ({"options": {"served-model-name": "x"}}, r"served-model-name is set by model; nothing is set in two places"),
        ({"options": {"port": 1}}, r"port is set by this tool; nothing is set in two places @ fp4\.options\.port"),
        ({"options": {"max_num_seqs": 1, "max-num-seqs": 2}}, r"max-num-seqs is set twice; nothing is set in two pl"),
        ({"options": {"no_enable_prefix_caching": True}}, r"write enable-prefix-caching = false"),
        ({"options": {"compilation_config.pass_config": 1}}, r"wanted the name of a flag; write a table for a dotted"),
        ({"options": {"--x": 1}}, r"got '--x', wanted the name of a flag"),
        ({"options": {"data_parallel_size": 8}}, r"data-parallel-size is not supported: a server has tp \* pp = gpus"),
        ({"options": {"api-key": "k"}}, r"api-key is not supported: .* plain HTTP"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_at_its_spot(keys: dict[str, object], why: str) -> None:
    """Above all what would be set in two places."""
    with pytest.raises(SettingsError, match=why):
        spec(**keys)


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_line_serves_the_model_under_the_suites_name(tmp_path: Path) -> None:
    """Prefix caching is off, cached tokens are reported, usage statistics are off, and nothing is downloaded."""
    command = engine(options={"max_num_seqs": 64}, revision="v2").command(slot(tmp_path), kimi_host(tmp_path))
    assert command.argv == (
        *("vllm", "serve", INT4, "--host", "127.0.0.1", "--port", "8000", "--served-model-name", INT4),
        *("--tensor-parallel-size", "8", "--revision", "v2", "--no-enable-prefix-caching"),
        *("--enable-prompt-tokens-details", "--max-num-seqs", "64"),
    )
    assert command.variables == {"DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    assert command.files[tmp_path / "command.txt"].startswith("DO_NOT_TRACK=1 HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 v")
    assert not command.keeps_scheduler


def test_the_settings_variables_and_devices_are_handed_on(tmp_path: Path) -> None:
    """VLLM_USE_FLASHINFER_MOE_INT4 is one of them."""
    variables = {"VLLM_USE_FLASHINFER_MOE_INT4": "1"}
    command = engine(gpus=2, variables=variables).command(slot(tmp_path, ("0", "GPU-1")), host(tmp_path))
    assert command.variables["VLLM_USE_FLASHINFER_MOE_INT4"] == "1"
    assert command.variables["CUDA_VISIBLE_DEVICES"] == "0,GPU-1"


def test_a_directory_is_named_by_its_whole_path_and_served_under_the_settings_name(tmp_path: Path) -> None:
    """Requests keep the name a person knows."""
    (tmp_path / "kimi").mkdir()
    argv = engine(model="./kimi").command(slot(tmp_path), host(tmp_path)).argv
    assert (argv[2], argv[argv.index("--served-model-name") + 1]) == (str(tmp_path / "kimi"), "./kimi")


def test_pipeline_parallelism_stands_on_the_command_line(tmp_path: Path) -> None:
    """Beside the tensor parallelism it leaves."""
    argv = engine(pp=2).command(slot(tmp_path), host(tmp_path)).argv
    assert argv[argv.index("--tensor-parallel-size") :][:4] == (
        *("--tensor-parallel-size", "4", "--pipeline-parallel-size", "2"),
    )


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({"trust-remote-code": True}, ["--trust-remote-code"]),
        ({"enable-prefix-caching": False}, ["--no-enable-prefix-caching"]),
        ({"gpu-memory-utilization": 0.95}, ["--gpu-memory-utilization", "0.95"]),
        ({"seed": -1}, ["--seed=-1"]),
        ({"cudagraph-capture-sizes": [1, 2]}, ["--cudagraph-capture-sizes", "1", "2"]),
        (
            {"compilation-config": {"pass_config": {"fuse_allreduce_rms": True}}},
            ["--compilation-config", '{"pass_config": {"fuse_allreduce_rms": true}}'],
        ),
        ({"lora-modules": [{"name": "a", "path": "b"}]}, ["--lora-modules", '{"name": "a", "path": "b"}']),
    ],
)
def test_options_become_flags(options: dict[str, Any], flags: list[str]) -> None:
    """As argparse and vLLM's JSON arguments take them."""
    assert flags_of(options) == flags


_names = st.from_regex(r"[a-z]{1,5}(-[a-z]{1,5})?", fullmatch=True).filter(lambda name: not name.startswith("no-"))
_scalars = st.integers() | st.text(max_size=5) | st.booleans()
_values = _scalars | st.dictionaries(st.text(max_size=3), _scalars, max_size=3)


@given(options=st.dictionaries(_names, _values, max_size=5))
def test_flags_read_back_are_the_options(options: dict[str, Any]) -> None:
    """No value can pass for a flag, and no flag for a value."""
    words, read = flags_of(options), {}
    while words:
        flag, joined, value = words.pop(0).partition("=")
        assert flag.startswith("--")
        if not joined and words and not words[0].startswith("-"):
            value, joined = words.pop(0), "="
        read[flag] = value if joined else None
    for name, value in options.items():
        if isinstance(value, bool):
            assert read[f"--{name}" if value else f"--no-{name}"] is None
        elif isinstance(value, dict):
            assert json.loads(read[f"--{name}"] or "") == value
        else:
            assert read[f"--{name}"] == str(value)


def test_options_may_switch_prefix_caching_on(tmp_path: Path) -> None:
    """Then it stands once on the command line."""
    argv = engine(options={"enable_prefix_caching": True}).command(slot(tmp_path), host(tmp_path)).argv
    assert [word for word in argv if "prefix" in word] == ["--enable-prefix-caching"]


def test_options_may_switch_the_report_of_cached_tokens_off(tmp_path: Path) -> None:
    """It then stands once on the command line, and nothing is refused."""
    opened = engine(options={"enable_prompt_tokens_details": False})
    assert opened.preflight("int4", "b200", kimi_host(tmp_path))
    argv = opened.command(slot(tmp_path), host(tmp_path)).argv
    assert [word for word in argv if "details" in word] == ["--no-enable-prompt-tokens-details"]


# --- before the start -------------------------------------------------------------------------------------------------


def test_int4_kimi_is_accepted(tmp_path: Path) -> None:
    """With the hash of its command, and of its quantization config."""
    facts = engine(options={"stream_interval": 20}).preflight("int4", "b200", kimi_host(tmp_path))
    assert facts.hard["quantization"] == "compressed-tensors int4, group 32"
    assert facts.soft["stream_interval"] == 20
    other = engine(options={"max_num_seqs": 8}).preflight("int4", "b200", host(tmp_path))
    assert other.soft["command_sha256"] != facts.soft["command_sha256"]
    assert "stream_interval" not in other.soft


@pytest.mark.parametrize(
    ("keys", "precision", "why"),
    [
        ({"model": NVFP4}, "int4", "fp4 weights, and the suite claims int4"),
        ({"model": NVFP4, "allow_unsupported": True}, "int4", "fp4 weights, and the suite claims int4"),
        ({"model": "moonshotai/None"}, "int4", "hf download moonshotai/None"),
        ({"gpus": 16}, "int4", "int4 asks for 16 GPUs, more than there are"),
        ({"program": "./vllm"}, "int4", "/vllm is no program"),
    ],
)
def test_what_cannot_work_is_refused_before_any_launch(
    tmp_path: Path, keys: dict[str, object], precision: str, why: str
) -> None:
    """By name, with what to do."""
    with pytest.raises(PreflightError, match=why):
        engine(**keys).preflight(precision, "b200", kimi_host(tmp_path))


# --- a server that runs -----------------------------------------------------------------------------------------------

READY = {"/version": said({"version": "0.20.2"}), "/v1/models": said({"data": [{"id": INT4}]})}
STARTED = (
    "INFO 12-01 10:00:00 [core.py:109] Initializing a V1 LLM engine (v0.20.2) with config: model='x', "
    "trust_remote_code=True, quantization=compressed-tensors, quantization_config=None, kv_cache_dtype=auto, seed=0\n"
)


@pytest.mark.parametrize(("answer", "ready"), [(None, False), (Answer(503, b""), False), (Answer(200, b""), True)])
def test_only_a_200_of_health_is_ready(tmp_path: Path, answer: Answer | None, ready: bool) -> None:
    """503 is an engine that died."""
    assert engine().is_ready(slot(tmp_path), CannedNetwork({"/health": answer})) is ready


@pytest.mark.parametrize(
    ("line", "backend"),
    [
        ("Using Flashinfer backend for WNA16 MoE (group_size=32, num_bits=4)", "Flashinfer"),
        ("Using 'FLASHINFER_TRTLLM' WNA16 MoE backend.", "FLASHINFER_TRTLLM"),
        ("Using 'FLASHINFER_TRTLLM' NvFp4 MoE backend out of potential backends: ['MARLIN'].", "FLASHINFER_TRTLLM"),
        ("Using DEEPGEMM Fp8 MoE backend out of potential backends: [].", "DEEPGEMM"),
        ("", "not said"),
    ],
)
def test_a_ready_server_says_what_it_is(tmp_path: Path, line: str, backend: str) -> None:
    """Version, quantization, KV cache and MoE backend."""
    confirmed = engine().confirm(slot(tmp_path), CannedNetwork(READY), f"{STARTED}{line}\n")
    assert (confirmed.model, confirmed.refusal) == (INT4, None)
    assert dict(confirmed.facts) == {
        "engine_version": "0.20.2",
        "kv_cache_effective": "auto",
        "moe_backend": backend,
        "quantization_effective": "compressed-tensors",
    }


FALLEN = "Using Marlin backend for WNA16 MoE (group_size=32, num_bits=4)\n"
INT4_ON = {"VLLM_USE_FLASHINFER_MOE_INT4": "1"}


@pytest.mark.parametrize(
    ("keys", "log", "refusal"),
    [
        (
            {"variables": INT4_ON},
            FALLEN,
            "VLLM_USE_FLASHINFER_MOE_INT4=1 asks for FlashInfer's kernels and Marlin runs",
        ),
        ({"variables": INT4_ON}, "Using 'FLASHINFER_TRTLLM' WNA16 MoE backend.", None),
        ({"variables": INT4_ON}, "Using 'TRITON' Unquantized MoE backend out of []", None),
        ({"options": {"moe_backend": "triton"}}, FALLEN, "MoE backend triton was asked for and Marlin runs"),
        ({"options": {"moe_backend": "marlin"}}, FALLEN, None),
        ({"options": {"moe-backend": "cutlass"}}, "Using 'VLLM_CUTLASS' NvFp4 MoE backend out of []", None),
        ({"options": {"moe-backend": "auto"}}, FALLEN, None),
        ({}, FALLEN, None),
    ],
)
def test_another_moe_backend_than_asked_for_is_not_measured(
    tmp_path: Path, keys: dict[str, object], log: str, refusal: str | None
) -> None:
    """FlashInfer's int4 kernels give way to Marlin's without a word."""
    found = engine(**keys).confirm(slot(tmp_path), CannedNetwork(READY), STARTED + log).refusal
    assert (found is None) is (refusal is None)
    assert (found or "").startswith(refusal or "")


def test_a_server_of_another_model_is_not_measured(tmp_path: Path) -> None:
    """Two models, and none of them the suite's."""
    answers = {**READY, "/v1/models": said({"data": [{"id": "a"}, {"id": "b"}]})}
    confirmed = engine().confirm(slot(tmp_path), CannedNetwork(answers), "")
    assert confirmed.refusal == f"/v1/models must name one model, or {INT4} among several; it names a, b"


# --- why it failed ----------------------------------------------------------------------------------------------------

LAST = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}\n"


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("OSError: [Errno 98] Address already in use", "the port is taken"),
        ("ValueError: Free memory on device cuda:0 is less than desired GPU memory utilization", "its GPUs' memory is"),
        ("ValueError: No available memory for the cache blocks. Try", "no GPU memory is left for the KV cache"),
        ("cache is needed, which is larger than the available KV cache memory", "no GPU memory is left for the KV c"),
        ("torch.OutOfMemoryError: CUDA out of memory.", "out of GPU memory"),
        ("World size (8) is larger than the number of available GPUs (4) in this node.", "it found fewer GPUs than"),
        ("vllm: error: unrecognized arguments: --disable-log-requests", "this release does not know a flag"),
        ("vllm serve: error: argument --dtype: invalid choice: 'x'", "this release does not take a value in options"),
        ("The quantization method awq is not supported for the current GPU.", "the checkpoint's quantization does not"),
        ("Model architectures ['X'] are not supported for now.", "this release does not know the model's architect"),
        ("by setting `trust_remote_code=True` in LLM or", "options lacks trust_remote_code = true"),
        ("huggingface_hub.errors.LocalEntryNotFoundError: x", "a file of a model is not in the cache"),
        ("EngineCore encountered a fatal error.", "its engine process died"),
    ],
)
def test_a_failure_is_recognised_above_the_last_line(line: str, cause: str) -> None:
    """The last line only points upwards; a started engine's own configuration is no failure."""
    found = engine().cause(f"{STARTED}{line}\n{LAST}")
    assert found is not None
    assert found.startswith(cause)
    assert found.endswith(f"({line})")


def test_the_last_line_is_a_cause_where_nothing_better_is_known() -> None:
    """And a port that was taken only once is none beside it."""
    assert (engine().cause(LAST) or "").startswith("its engine process failed while loading")
    survived = STARTED + "INFO Address already in use. Retrying with a new port.\n"
    assert (engine().cause(f"{survived}ValueError: Cannot find any model weights\n") or "").startswith("the checkpoint")
