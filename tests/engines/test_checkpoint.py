"""A checkpoint: found or refused by name, and its precision read from what it says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_precgate.engines.checkpoint import Checkpoint, Found, find_checkpoint, is_local, read_checkpoint
from pytest_precgate.engines.quantization import BITS
from pytest_precgate.errors import CheckpointError, PreflightError
from tests.engines.hosts import (
    COMMIT,
    INT4_CONFIG,
    KIMI,
    LLAMA,
    NVFP4,
    NVFP4_CONFIG,
    cache_checkpoint,
    changed,
    int4_kimi,
    write_checkpoint,
)


def read(path: Path, config: dict[str, Any], **files: object) -> Checkpoint:
    return read_checkpoint(Found(write_checkpoint(path, config, **files)))


def quantized(config: dict[str, Any]) -> dict[str, Any]:
    return changed(LLAMA, quantization_config=config)


def groups(*weights: dict[str, Any], **others: object) -> dict[str, Any]:
    listed = {f"group_{index}": {"targets": ["Linear"], "weights": group} for index, group in enumerate(weights)}
    return {"quant_method": "compressed-tensors", "config_groups": listed, **others}


def layers(*algorithms: str) -> dict[str, Any]:
    return {f"layers.{index}": {"quant_algo": name} for index, name in enumerate(algorithms)}


# --- where it lies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "below"),
    [
        ("HF_HUB_CACHE", ""),
        ("HUGGINGFACE_HUB_CACHE", ""),
        ("HF_HOME", "hub"),
        ("XDG_CACHE_HOME", "huggingface/hub"),
        ("HOME", ".cache/huggingface/hub"),
    ],
)
def test_the_cache_is_where_hugging_face_keeps_it(tmp_path: Path, variable: str, below: str) -> None:
    """Each of the variables that move it, and the home directory without any."""
    snapshot = cache_checkpoint(tmp_path / below, NVFP4, KIMI)
    assert find_checkpoint(NVFP4, None, {variable: str(tmp_path)}, tmp_path) == Found(snapshot, COMMIT)


def test_a_revision_is_a_branch_a_tag_or_a_commit(tmp_path: Path) -> None:
    """refs/NAME holds the commit; a commit needs no reference."""
    snapshot = cache_checkpoint(tmp_path, NVFP4, KIMI)
    (snapshot.parent.parent / "refs" / "v2").write_text(f"{COMMIT}\n", encoding="utf-8")
    environ = {"HF_HUB_CACHE": str(tmp_path)}
    assert {find_checkpoint(NVFP4, name, environ, tmp_path) for name in ("main", "v2", COMMIT)} == {
        Found(snapshot, COMMIT)
    }


def test_a_missing_checkpoint_is_refused_with_the_places_and_the_command(tmp_path: Path) -> None:
    """Nothing is downloaded; the message says what would."""
    with pytest.raises(PreflightError) as caught:
        find_checkpoint(NVFP4, None, {"HF_HUB_CACHE": "/cache"}, tmp_path)
    message = str(caught.value)
    assert f"{NVFP4} is not on this machine" in message
    assert f"{tmp_path / NVFP4}" in message
    assert "/cache/models--nvidia--Kimi-K2.5-NVFP4" in message
    assert message.endswith(f"run: hf download {NVFP4}")


def test_a_missing_revision_is_refused_with_its_own_command(tmp_path: Path) -> None:
    """Another revision in the cache is not the one asked for."""
    cache_checkpoint(tmp_path, NVFP4, KIMI)
    with pytest.raises(PreflightError, match=rf"{NVFP4} at v2 is not .*: hf download {NVFP4} --revision v2$"):
        find_checkpoint(NVFP4, "v2", {"HF_HUB_CACHE": str(tmp_path)}, tmp_path)


def test_a_directory_is_taken_from_the_settings_place(tmp_path: Path) -> None:
    """Spelled as a path or an existing directory; it has no revision."""
    path = write_checkpoint(tmp_path / "models" / "kimi", KIMI)
    for name in ("./models/kimi", "models/kimi", str(path)):
        assert find_checkpoint(name, None, {}, tmp_path) == Found(path)
    assert is_local("./nowhere", tmp_path)
    assert not is_local(NVFP4, tmp_path)


def test_a_directory_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    """A path never falls back to the hub."""
    with pytest.raises(PreflightError, match=r"\./kimi is no checkpoint: there is no .*kimi/config\.json"):
        find_checkpoint("./kimi", None, {}, tmp_path)


def test_a_directory_with_a_revision_is_refused(tmp_path: Path) -> None:
    """It would record a commit that was not checked."""
    write_checkpoint(tmp_path / "kimi", KIMI)
    with pytest.raises(PreflightError, match="a directory, which has no revision v2"):
        find_checkpoint("./kimi", "v2", {}, tmp_path)


def test_a_download_cut_short_is_refused(tmp_path: Path) -> None:
    """The index names weight files that are not there."""
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    path = write_checkpoint(tmp_path / "kimi", KIMI, **{"model.safetensors.index": index})
    (path / "model-1.safetensors").touch()
    with pytest.raises(CheckpointError, match=r"1 of its 2 weight files are not there, the first is model-2\.safet"):
        read_checkpoint(Found(path))
    (path / "model-2.safetensors").touch()
    assert read_checkpoint(Found(path)).architecture == "KimiK25ForConditionalGeneration"


# --- what it is -------------------------------------------------------------------------------------------------------


def test_the_kimi_checkpoints_are_what_their_names_say(tmp_path: Path) -> None:
    """NVFP4 from hf_quant_config.json, INT4 from inside text_config; both mixtures of experts."""
    fp4 = read(tmp_path / "fp4", KIMI, hf_quant_config=NVFP4_CONFIG)
    assert (fp4.weights.method, fp4.weights.called, fp4.weights.group_size, fp4.weights.kv_cache, fp4.is_moe) == (
        *("modelopt nvfp4", ("fp4",), 16, "FP8"),
        True,
    )
    int4 = read(tmp_path / "int4", int4_kimi())
    assert int4.shown == "compressed-tensors int4, group 32, MoE"
    assert int4.weights.called == ("int4",)


@pytest.mark.parametrize(
    ("config", "method", "called"),
    [
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16}, "modelopt nvfp4", ("fp4",)),
        ({"quant_method": "modelopt", "quant_algo": "W4A16_AWQ"}, "modelopt int4", ("int4",)),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, "modelopt fp8", ("fp8",)),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "awq int4", ("int4",)),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, "gptq int8", ("int8",)),
        ({"quant_method": "gptq", "bits": 3}, "gptq int3", ()),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8", ("fp8",)),
        ({"quant_method": "mxfp4"}, "mxfp4", ("fp4",)),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes", ()),
        (groups({"num_bits": 8, "type": "float"}), "compressed-tensors fp8", ("fp8",)),
        (groups({"num_bits": 8, "type": "int"}), "compressed-tensors int8", ("int8",)),
        (groups({"num_bits": 4, "type": "float"}, format="nvfp4-pack-quantized"), "compressed-tensors nvfp4", ("fp4",)),
        (groups({"num_bits": 4, "type": "float"}, format="mxfp4-pack-quantized"), "compressed-tensors mxfp4", ("fp4",)),
        (changed(INT4_CONFIG, quant_method="modelopt"), "modelopt int4", ("int4",)),
    ],
)
def test_each_dialect_is_read(tmp_path: Path, config: dict[str, Any], method: str, called: tuple[str, ...]) -> None:
    """Packaging and number format, and the settings' word where there is one."""
    weights = read(tmp_path, quantized(config)).weights
    assert (weights.method, weights.called) == (method, called)


@pytest.mark.parametrize(
    ("config", "files", "method", "called"),
    [
        (changed(LLAMA, torch_dtype="float16"), {}, "none", ("fp16",)),
        (changed(LLAMA, torch_dtype=None, dtype="bfloat16"), {}, "none", ("bf16",)),
        (changed(LLAMA, torch_dtype="float32"), {}, "none", ()),
        (changed(LLAMA, quantization_config=None), {}, "none", ("bf16",)),
        (LLAMA, {"dtypes": {"block.0.mlp.weight.blocks": "UE8", "embed.weight": "BF16"}}, "mxfp4", ("fp4",)),
        (LLAMA, {"dtypes": {"embed.weight": "BF16"}}, "none", ("bf16",)),
        (LLAMA, {"dtypes": {"embed.weight": "F64"}}, "none", ()),
    ],
)
def test_a_checkpoint_without_a_quantization_config_has_its_dtype(
    tmp_path: Path, config: dict[str, Any], files: dict[str, object], method: str, called: tuple[str, ...]
) -> None:
    """config.json's dtype, or OpenAI's dtypes.json."""
    weights = read(tmp_path, config, **files).weights
    assert (weights.method, weights.called) == (method, called)


def test_a_mixed_checkpoint_is_called_by_its_lowest_bit_layers(tmp_path: Path) -> None:
    """FP8 attention beside NVFP4 experts is published as FP4, and says that it is mixed."""
    mixed = {"quantization": {"quant_algo": "MIXED_PRECISION", "quantized_layers": layers("FP8", "NVFP4", "NVFP4")}}
    weights = read(tmp_path / "a", KIMI, hf_quant_config=mixed).weights
    assert (weights.shown, weights.called) == ("modelopt mixed of fp4 and fp8", ("fp4",))
    both = groups({"num_bits": 8, "type": "float"}, {"num_bits": 4, "type": "int", "group_size": 32})
    assert read(tmp_path / "b", quantized(both)).weights.called == ("int4",)


def test_a_mix_that_names_no_layers_has_no_precision(tmp_path: Path) -> None:
    """quant_cfg.json may name them; one unknown layer makes the whole unknown."""
    mixed = {"quantization": {"quant_algo": "MIXED_PRECISION"}}
    assert read(tmp_path / "a", KIMI, hf_quant_config=mixed).weights.called == ()
    listed = {"quantized_layers": layers("W4A16_AWQ", "FP8")}
    assert read(tmp_path / "b", KIMI, hf_quant_config=mixed, quant_cfg=listed).weights.called == ("int4",)
    odd = {"quantization": {"quant_algo": "MIXED_PRECISION", "quantized_layers": layers("NVFP4", "W3A3")}}
    assert read(tmp_path / "c", KIMI, hf_quant_config=odd).weights.called == ()


@pytest.mark.parametrize(
    ("config", "is_moe"),
    [
        (LLAMA, False),
        (KIMI, True),
        (changed(LLAMA, num_local_experts=8), True),
        (changed(LLAMA, num_experts=0), False),
        (changed(LLAMA, num_experts=None), False),
    ],
)
def test_experts_make_a_mixture_of_experts(tmp_path: Path, config: dict[str, Any], is_moe: bool) -> None:
    """Wherever the family keeps their number."""
    assert read(tmp_path, config).is_moe is is_moe


@pytest.mark.parametrize(
    ("config", "files", "why"),
    [
        (changed(KIMI, architectures=[]), {}, r"config\.json: names no architecture @ \$\.architectures"),
        ({"model_type": "llama"}, {}, r"config\.json: required field missing @ \$\.architectures"),
        (quantized({"bits": 4}), {}, r"names no quant_method @ \$\.quantization_config"),
        (quantized(groups()), {}, r"quantizes no weights @ \$\.quantization_config\.config_groups"),
        (quantized({"quant_method": "compressed-tensors"}), {}, r"required field missing @ .*\.config_groups"),
        (quantized(groups({"type": "int"})), {}, r"missing @ .*\.config_groups\.group_0\.weights\.num_bits"),
        (quantized(groups({"num_bits": "4", "type": "int"})), {}, r"got '4', wanted a whole number @ .*num_bits"),
        (quantized(groups({"num_bits": 4, "type": "uint"})), {}, r"unknown value 'uint'.* @ .*weights\.type"),
        (quantized({"quant_method": "awq", "bits": 0}), {}, r"got 0, wanted at least 1 @ .*\.bits"),
        (KIMI, {"hf_quant_config": {"quantization": {}}}, r"hf_quant_config\.json: names no quant_algo.* @ \$\.quant"),
        (KIMI, {"hf_quant_config": []}, r"hf_quant_config\.json: got \[\], wanted a table @ \$"),
        (
            KIMI,
            {"hf_quant_config": {"quantization": {"quant_algo": "MIXED_PRECISION", "quantized_layers": {}}}},
            "lists no layer @",
        ),
        (int4_kimi(), {"hf_quant_config": NVFP4_CONFIG}, r"says modelopt nvfp4, group 16, and config\.json says comp"),
        (KIMI, {"dtypes": {"a": 3}}, r"dtypes\.json: got 3, wanted a non-empty text @ \$\.a"),
        (KIMI, {"model.safetensors.index": {}}, r"index\.json: required field missing @ \$\.weight_map"),
    ],
)
def test_what_no_engine_could_load_is_refused_at_its_spot(
    tmp_path: Path, config: dict[str, Any], files: dict[str, object], why: str
) -> None:
    """File, reason and key; two files that contradict each other among them."""
    with pytest.raises(CheckpointError, match=why) as caught:
        read(tmp_path, config, **files)
    assert str(caught.value).startswith(str(tmp_path))
    assert isinstance(caught.value, PreflightError)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"[" * 100_000, "is nested too deeply"),
        (b'{"hidden_size": ' + b"9" * 5000 + b"}", "holds a number of more digits"),
    ],
)
def test_a_file_that_is_no_json_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    """Truncated, no text at all, or more than a reader can take."""
    write_checkpoint(tmp_path, KIMI)
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"config\.json: {why}"):
        read_checkpoint(Found(tmp_path))


def test_the_hash_is_of_what_the_quantization_says(tmp_path: Path) -> None:
    """Order and spaces do not move it, a group size does; 16 hex digits."""
    first = read(tmp_path / "a", KIMI, hf_quant_config=NVFP4_CONFIG).sha256
    path = write_checkpoint(tmp_path / "b", KIMI)
    (path / "hf_quant_config.json").write_text(json.dumps(NVFP4_CONFIG, indent=4, sort_keys=True), encoding="utf-8")
    assert read_checkpoint(Found(path)).sha256 == first
    other = changed(NVFP4_CONFIG, quantization={**NVFP4_CONFIG["quantization"], "group_size": 32})
    assert read(tmp_path / "c", KIMI, hf_quant_config=other).sha256 != first
    assert len(first) == 16
    assert int(first, 16) >= 0


KEYS = [
    *("quant_method", "quant_algo", "quantization", "quantized_layers", "config_groups", "weights", "num_bits", "type"),
    *("group_size", "bits", "kv_cache_scheme", "format", "group_0"),
]
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)  # it writes files
@given(config=st.dictionaries(st.sampled_from(KEYS), json_values, max_size=5))
def test_any_config_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, config: dict[str, Any]) -> None:
    """No traceback, and a precision only where there is a word for it."""
    path = tmp_path_factory.mktemp("any")
    for files in ({}, {"hf_quant_config": config}):
        try:
            weights = read(path, LLAMA if files else quantized(config), **files).weights
        except CheckpointError:
            continue
        assert set(weights.called) <= set(weights.precisions) <= set(BITS)
