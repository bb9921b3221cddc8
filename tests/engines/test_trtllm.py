"""The TensorRT-LLM engine: its command line and options file, what it is asked, and what its output tells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_precgate.engines.base import Engine, SelfSweeping
from pytest_precgate.engines.server import Started
from pytest_precgate.engines.trtllm import TrtllmEngine
from pytest_precgate.errors import PreflightError, SettingsError
from pytest_precgate.http import Answer
from tests.engines.hosts import INT4, NVFP4, CannedNetwork, b200, host, kimi_host, said, slot, table

LAUNCH = ["srun", "--mpi=pmix", "-n", "8", "trtllm-llmapi-launch"]


def spec(**keys: object) -> TrtllmEngine:
    return TrtllmEngine.read(table(**{"engine": "trtllm", "model": NVFP4, "gpus": 4, **keys}), Path())


def engine(**keys: object) -> TrtllmEngine:
    return spec(**keys)


# --- settings ---------------------------------------------------------------------------------------------------------


def test_it_is_an_engine_that_is_a_server() -> None:
    """Both protocols hold, and it gives no sweep by itself."""
    opened = engine()
    assert isinstance(opened, Started)
    as_engine: Engine = opened
    assert (as_engine.kind, opened.settings.gpus, opened.tp, opened.pp) == ("trtllm", 4, 4, 1)
    assert dict(opened.identity()) == {"api": "completions", "model": NVFP4, "window": "steady"}
    assert dict(opened.facts()) == {"concurrency": "4, 8", "point_error": 0.005, "window_limit_s": 120, "seed": 0}
    assert not isinstance(opened, SelfSweeping)


def test_parallelism_fills_the_gpus() -> None:
    """tp is what pp leaves."""
    assert (spec(gpus=8, pp=2).tp, spec(gpus=8, pp=2, tp=4).tp) == (4, 4)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"gpus": 8, "tp": 4}, r"tp \* pp is 4, and gpus is 8: they must be the same @ fp4\.tp"),
        ({"gpus": 8, "pp": 3}, r"got 3, wanted a divisor of gpus, which is 8 @ fp4\.pp"),
        ({"ep": 3}, r"got 3, wanted a divisor of tp, which is 4 @ fp4\.ep"),
        ({"nodes": 2}, r"got 2, and no launch_prefix to start the others \(srun or mpirun\) @ fp4\.nodes"),
        ({"optoins": {}}, r"unknown key 'optoins'; did you mean 'options'"),
        ({"options": 3}, r"got 3, wanted a table @ fp4\.options"),
        ({"options": {"tensor_parallel_size": 4}}, r"tensor_parallel_size is set by tp; nothing is set in two places"),
        ({"options": {"moe_expert_parallel_size": 4}}, r"is set by ep; .* @ fp4\.options\.moe_expert_parallel_size"),
        ({"options": {"backend": "pytorch"}}, r"backend is set by this tool \(pytorch\); nothing is set in two places"),
        ({"options": {"host": "0.0.0.0"}}, r"host is set by this tool; nothing is set in two places"),
        ({"options": {"model": "x"}}, r"model is set by model; nothing is set in two places"),
        ({"options": {"context_parallel_size": 2}}, r"context parallelism is not supported: tp \* pp must be gpus"),
        ({"options": {"kv_cache_config": "fp8"}}, r"got 'fp8', wanted a table @ fp4\.options\.kv_cache_config"),
        ({"options": {"moe_config": []}}, r"got \[\], wanted a table @ fp4\.options\.moe_config"),
        ({"options": {"a": {"b": [float("nan")]}}}, r"got nan, wanted a finite number @ fp4\.options\.a\.b\[0\]"),
        ({"options": {"a": {"b": None}}}, r"got None, wanted a text, a number, .* @ fp4\.options\.a\.b"),
        ({"allow_unsupported": "yes"}, r"got 'yes', wanted true or false @ fp4\.allow_unsupported"),
        ({"launch_prefix": "srun"}, r"got 'srun', wanted a list @ fp4\.launch_prefix"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_at_its_spot(keys: dict[str, object], why: str) -> None:
    """Above all what would be set in two places."""
    with pytest.raises(SettingsError, match=why):
        spec(**keys)


# --- the command and the options file ---------------------------------------------------------------------------------


def test_only_model_host_port_backend_and_the_options_file_stand_on_the_command_line(tmp_path: Path) -> None:
    """MODEL first, everything else in the YAML: which of the two wins changed between releases."""
    where, run_dir = kimi_host(tmp_path), tmp_path / "run"
    command = engine(ep=4, options={"max_batch_size": 128}).command(slot(run_dir, ("2", "3")), where)
    assert command.argv == (
        *("trtllm-serve", NVFP4, "--host", "127.0.0.1", "--port", "8000", "--backend", "pytorch"),
        *("--extra_llm_api_options", str(run_dir / "trtllm.yaml")),
    )
    assert yaml.safe_load(command.files[run_dir / "trtllm.yaml"]) == {
        "kv_cache_config": {"enable_block_reuse": False},
        "max_batch_size": 128,
        "moe_expert_parallel_size": 4,
        "pipeline_parallel_size": 1,
        "tensor_parallel_size": 4,
    }
    assert command.variables == {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "2,3",
        "HF_HUB_OFFLINE": "1",
        "TRTLLM_NO_USAGE_STATS": "1",
    }
    assert not command.keeps_scheduler


def test_the_command_is_kept_beside_the_output(tmp_path: Path) -> None:
    """As a person would type it, variables first."""
    run_dir = tmp_path / "a run"
    command = engine(variables={"A": "x y"}).command(slot(run_dir), kimi_host(tmp_path))
    assert command.files[run_dir / "command.txt"] == (
        f'A="$A" '
        f"HF_HUB_OFFLINE=1 TRTLLM_NO_USAGE_STATS=1 trtllm-serve {NVFP4} --host 127.0.0.1 --port 8000 "
        f"--backend pytorch --extra_llm_api_options '{run_dir}/trtllm.yaml'\n"
    )


def test_the_settings_own_variables_win(tmp_path: Path) -> None:
    """Who wants to be counted, or online, says so."""
    command = engine(variables={"TRTLLM_NO_USAGE_STATS": "0"}).command(slot(tmp_path), kimi_host(tmp_path))
    assert command.variables["TRTLLM_NO_USAGE_STATS"] == "0"


def test_a_directory_is_named_by_its_whole_path(tmp_path: Path) -> None:
    """The server's own directory is another one."""
    (tmp_path / "kimi").mkdir()
    command = engine(model="./kimi").command(slot(tmp_path), host(tmp_path))
    assert command.argv[1] == str(tmp_path / "kimi")


def test_prefix_reuse_is_off_unless_the_settings_say_otherwise() -> None:
    """The settings' own KV cache keys stay beside it."""
    kept = engine(options={"kv_cache_config": {"dtype": "fp8"}}).options_yaml()
    assert yaml.safe_load(kept)["kv_cache_config"] == {"dtype": "fp8", "enable_block_reuse": False}
    reused = engine(options={"kv_cache_config": {"enable_block_reuse": True}}).options_yaml()
    assert yaml.safe_load(reused)["kv_cache_config"] == {"enable_block_reuse": True}


def test_a_revision_goes_into_the_options_file() -> None:
    """1.0 has no flag for it."""
    assert yaml.safe_load(engine(revision="v2").options_yaml())["revision"] == "v2"


_options: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(["max_batch_size", "stream_interval", "moe_config", "cuda_graph_config", "print_iter_log"]),
    st.dictionaries(st.sampled_from(["backend", "batch_sizes"]), st.text(max_size=5) | st.lists(st.integers())),
)


@settings(deadline=None)  # the first example imports yaml
@given(options=_options, order=st.randoms())
def test_the_options_file_says_what_the_settings_say_in_one_order(options: dict[str, Any], order: Any) -> None:
    """Read back it is the settings; written in any order it is the same text, so its hash is the same."""
    shuffled = list(options.items())
    order.shuffle(shuffled)
    text = engine(options=options).options_yaml()
    assert engine(options=dict(shuffled)).options_yaml() == text
    read = yaml.safe_load(text)
    assert {key: read[key] for key in options} == options


def test_a_launcher_stands_in_front_and_keeps_the_schedulers_variables(tmp_path: Path) -> None:
    """srun starts trtllm-llmapi-launch starts trtllm-serve, over the GPUs of two machines."""
    opened = engine(gpus=8, nodes=2, launch_prefix=LAUNCH)
    command = opened.command(slot(tmp_path), host(tmp_path, programs=["srun"]))
    assert command.argv[: len(LAUNCH) + 2] == (*LAUNCH, "trtllm-serve", NVFP4)
    assert command.keeps_scheduler
    assert opened.settings.spans_nodes


def test_a_launcher_on_one_node_counts_its_gpus() -> None:
    """Only GPUs of other machines cannot be counted here."""
    assert not engine(launch_prefix=LAUNCH).settings.spans_nodes


# --- before the start -------------------------------------------------------------------------------------------------


def test_the_kimi_example_is_accepted_with_its_facts(tmp_path: Path) -> None:
    """Hashes of command and options are told, the stream interval only where tokens share a chunk."""
    where = kimi_host(tmp_path)
    facts = engine().preflight("fp4", "b200", where)
    assert facts.hard["quantization"] == "modelopt nvfp4, group 16"
    assert "stream_interval" not in facts.soft
    slower = engine(options={"stream_interval": 10}).preflight("fp4", "b200", where)
    assert slower.soft["stream_interval"] == 10
    assert slower.soft["options_sha256"] != facts.soft["options_sha256"]
    assert slower.soft["command_sha256"] == facts.soft["command_sha256"]


@pytest.mark.parametrize(
    ("keys", "precision", "why"),
    [
        ({"model": INT4}, "int4", r'TensorRT-LLM cannot run moonshotai/Kimi-K2\.5 .*Set engine = "vllm" for int4'),
        ({}, "int4", "fp4 weights, and the suite claims int4"),
        ({"model": "nvidia/None"}, "fp4", "nvidia/None is not on this machine"),
        ({"gpus": 16}, "fp4", "fp4 asks for 16 GPUs, more than there are"),
        ({"program": "trtllm-sirv"}, "fp4", "trtllm-sirv is not on PATH"),
        ({"launch_prefix": ["mpirun"]}, "fp4", "mpirun is not on PATH"),
        ({"launch_prefix": [*LAUNCH, "env", "A=b c"]}, "fp4", "trtllm-llmapi-launch would split 'A=b c'"),
        ({"launch_prefix": LAUNCH, "model": "./my models/kimi"}, "fp4", "would split './my models/kimi'"),
    ],
)
def test_what_cannot_work_is_refused_before_any_launch(
    tmp_path: Path, keys: dict[str, object], precision: str, why: str
) -> None:
    """By name, with what to do."""
    with pytest.raises(PreflightError, match=why):
        engine(**keys).preflight(precision, "b200", kimi_host(tmp_path))


def test_a_run_directory_the_launcher_would_split_is_refused(tmp_path: Path) -> None:
    """Only known once there is one, and still before the launch."""
    with pytest.raises(PreflightError, match=r"split '.*/a run/trtllm\.yaml'"):
        engine(launch_prefix=LAUNCH).command(slot(tmp_path / "a run"), host(tmp_path))


def test_gpus_of_other_machines_are_not_counted(tmp_path: Path) -> None:
    """This one has four of the eight."""
    where = replace(kimi_host(tmp_path), gpus=b200(4))
    engine(gpus=8, nodes=2, launch_prefix=LAUNCH).preflight("fp4", "b200", where)


# --- a server that runs -----------------------------------------------------------------------------------------------

READY = {
    "/health_generate": Answer(200, b""),
    "/version": said({"version": "1.2.1"}),
    "/v1/models": said({"data": [{"id": "Kimi-K2.5-NVFP4"}]}),
}
QUANTIZED = (
    "[12/01/2026-10:00:00] [TRT-LLM] [I] Setting quant_algo=NVFP4 from HF quant config.\n"
    "[12/01/2026-10:00:00] [TRT-LLM] [I] Setting kv_cache_quant_algo=FP8 from HF quant config.\n"
)
OLDER = (
    "[TRT-LLM] [W] TRTLLMGenFusedMoE only supports fp8_block_scales and nvfp4. Check out details in quant_config: "
    "quant_algo=<QuantAlgo.W4A16_AWQ: 'W4A16_AWQ'> group_size=128Using CutlassFusedMoE instead.\n"
)
NEWER = (
    "[TRT-LLM] [W] MoE backend TRTLLM cannot serve this layer [layer_idx=3] (quant_unsupported: no W4A16); running "
    "CutlassFusedMoE instead. Full trail: MoE resolution: CutlassFusedMoE (via heuristic, requested TRTLLM, env x)\n"
)


@pytest.mark.parametrize(
    ("answer", "ready"),
    [(None, False), (Answer(503, b""), False), (Answer(404, b""), False), (Answer(200, b""), True)],
)
def test_only_a_200_of_health_is_ready(tmp_path: Path, answer: Answer | None, ready: bool) -> None:
    """Refused and 503 mean that it still loads."""
    network = CannedNetwork({"/health": answer})
    assert engine().is_ready(slot(tmp_path), network) is ready
    assert network.asked == ["/health"]


def test_a_ready_server_generates_a_token_and_says_what_it_is(tmp_path: Path) -> None:
    """The name requests use is the server's own: the directory's for a local checkpoint."""
    network = CannedNetwork(READY)
    confirmed = engine(options={"moe_config": {"backend": "TRTLLM"}}).confirm(slot(tmp_path), network, QUANTIZED)
    assert (confirmed.model, confirmed.refusal) == ("Kimi-K2.5-NVFP4", None)
    assert dict(confirmed.facts) == {
        "engine_version": "1.2.1",
        "kv_cache_effective": "FP8",
        "moe_backend": "TRTLLM (asked for)",
        "quantization_effective": "NVFP4",
    }
    assert network.asked.count("/health_generate") == 1


@pytest.mark.parametrize("log", [OLDER, NEWER], ids=["1.0 to 1.3", "main"])
@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"moe_config": {"backend": "TRTLLM"}}, "MoE backend TRTLLM was asked for and CUTLASS runs"),
        ({}, "MoE backend TRTLLM, chosen by AUTO, was asked for and CUTLASS runs"),
        ({"moe_config": {"backend": "CUTLASS"}}, None),
    ],
)
def test_another_moe_backend_than_asked_for_is_not_measured(
    tmp_path: Path, log: str, options: dict[str, object], refusal: str | None
) -> None:
    """The server only warns; its figures would pass for the other backend's."""
    confirmed = engine(options=options).confirm(slot(tmp_path), CannedNetwork(READY), QUANTIZED + log)
    assert confirmed.facts["moe_backend"] == "CUTLASS"
    if refusal is None:
        assert confirmed.refusal is None
    else:
        assert confirmed.refusal is not None
        assert confirmed.refusal.startswith(refusal)
        assert confirmed.refusal.endswith('Set moe_config = { backend = "CUTLASS" } in options to measure that one')


@pytest.mark.parametrize(
    ("answers", "refusal"),
    [
        ({"/health_generate": Answer(500, b"")}, "/health_generate gave no token"),
        ({"/health_generate": None}, "/health_generate gave no token"),
        ({"/v1/models": None}, "/v1/models must name the model, and cannot be read: http://127.0.0.1:8000/v1/models: "),
        ({"/v1/models": Answer(200, b"{")}, "cannot be read: the answer is not JSON"),
        ({"/v1/models": Answer(200, b"[" * 200_000)}, "cannot be read: the answer is JSON nested too deeply"),
        ({"/v1/models": said({"data": []})}, "/v1/models must name one model, or nvidia/Kimi-K2.5-NVFP4 or Kimi-K2.5-"),
        ({"/v1/models": said({"data": []})}, "it names none"),
        ({"/v1/models": said([1])}, "it names none"),
        ({"/v1/models": said({"data": [{"id": "a"}, {"id": "b"}]})}, "it names a, b"),
    ],
)
def test_a_server_that_cannot_say_what_it_serves_is_not_measured(
    tmp_path: Path, answers: dict[str, Answer | None], refusal: str
) -> None:
    """No token, no name, or several of them."""
    confirmed = engine().confirm(slot(tmp_path), CannedNetwork({**READY, **answers}), "")
    assert confirmed.refusal is not None
    assert refusal in confirmed.refusal


def test_among_several_models_the_suites_own_is_used(tmp_path: Path) -> None:
    """A server with adapters lists them beside it."""
    answers = {**READY, "/v1/models": said({"data": [{"id": "lora"}, {"id": NVFP4}]})}
    confirmed = engine().confirm(slot(tmp_path), CannedNetwork(answers), "")
    assert (confirmed.model, confirmed.refusal) == (NVFP4, None)


def test_what_a_server_does_not_say_is_not_made_up(tmp_path: Path) -> None:
    """An older or newer release with other words."""
    answers = {**READY, "/version": Answer(404, b"")}
    confirmed = engine().confirm(slot(tmp_path), CannedNetwork(answers), "nothing of it")
    assert dict(confirmed.facts) == {
        "engine_version": "not said",
        "kv_cache_effective": "not said",
        "moe_backend": "AUTO (asked for)",
        "quantization_effective": "not said",
    }


# --- why it failed ----------------------------------------------------------------------------------------------------

LAST = "RuntimeError: Executor worker returned error\n"


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("RuntimeError: Failed to bind socket to 127.0.0.1:8000: [Errno 98] in use", "the port is taken"),
        ("[E] Executor creation failed due to insufficient GPU memory.", "out of GPU memory"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 48.00 MiB.", "out of GPU memory"),
        ("[E] Executor worker died during initialization.", "a worker died while loading"),
        ("[E] Executor worker initialization error: Traceback", "a worker failed while loading"),
        ("NotImplementedError: Unsupported quantization_config: {'bits': 4}", "the checkpoint's quantization is not"),
        ("ValueError: Unsupported quant_bits: 4. Supported: 8 (FP8) or 4 (NVFP4).", "the checkpoint's quantization"),
        ("ValueError: Pre-quantized checkpoint must have quant_algo.", "the checkpoint does not say how it is quant"),
        ("ValueError: No GPU devices found on the node", "no GPU is visible"),
        ("Error: No such option: --served_model_name", "this release does not know a flag of its command line"),
        ("  Extra inputs are not permitted [type=extra_forbidden]", "this release does not know a key of options"),
        ("ValueError: Unknown architecture for AutoModelForCausalLM: KimiK25", "this release does not know the model"),
        ("Please pass the argument `trust_remote_code=True` to allow", "options lacks trust_remote_code = true"),
    ],
)
def test_a_failure_is_recognised_above_the_last_line(line: str, cause: str) -> None:
    """The last line is usually only that a worker returned an error; the cause is told with its line."""
    found = engine().cause(f"loading\n{line}\nTraceback\n{LAST}")
    assert found is not None
    assert found.startswith(cause)
    assert found.endswith(f"({line.strip()})")
    assert "\n" not in found


def test_what_kills_comes_before_what_was_survived() -> None:
    """An allocation that was tried again is no cause when the architecture is unknown."""
    log = "[W] CUDA out of memory (retrying)\nValueError: Unknown architecture for AutoModelForCausalLM: X\n" + LAST
    found = engine().cause(log)
    assert found is not None
    assert found.startswith("this release does not know the model's architecture")


def test_an_unknown_failure_has_no_cause() -> None:
    """Nothing is guessed; a long line is cut."""
    assert engine().cause(LAST) is None
    found = engine().cause("No such option: --" + "x" * 900)
    assert found is not None
    assert len(found) < 300
