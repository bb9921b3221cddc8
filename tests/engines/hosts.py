"""Where a server would be started, without one: checkpoints in a Hugging Face cache, programs, GPUs, canned answers."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_precgate.analysis.measure.gpu import Gpu
from pytest_precgate.documents import Node
from pytest_precgate.engines.server import HostContext, ServerSlot
from pytest_precgate.errors import ConnectFailedError, SettingsError
from pytest_precgate.http import JSON_BYTES, Answer

NVFP4 = "nvidia/Kimi-K2.5-NVFP4"
INT4 = "moonshotai/Kimi-K2.5"
COMMIT = "54383e83fa343a1331754112fb9e3410c55efa2f"

# What the two checkpoints on the hub say of themselves, shortened to the keys that are read.
KIMI: dict[str, Any] = {
    "architectures": ["KimiK25ForConditionalGeneration"],
    "model_type": "kimi_k25",
    "text_config": {"architectures": ["DeepseekV3ForCausalLM"], "dtype": "bfloat16", "n_routed_experts": 384},
}
INT4_CONFIG: dict[str, Any] = {
    "config_groups": {
        "group_0": {
            "input_activations": None,
            "output_activations": None,
            "targets": ["Linear"],
            "weights": {"group_size": 32, "num_bits": 4, "strategy": "group", "symmetric": True, "type": "int"},
        }
    },
    "format": "pack-quantized",
    "ignore": ["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*"],
    "kv_cache_scheme": None,
    "quant_method": "compressed-tensors",
    "quantization_status": "compressed",
}
NVFP4_CONFIG: dict[str, Any] = {
    "producer": {"name": "modelopt", "version": "0.41.0"},
    "quantization": {
        "exclude_modules": ["lm_head", "*self_attn*"],
        "group_size": 16,
        "kv_cache_quant_algo": "FP8",
        "quant_algo": "NVFP4",
    },
}
LLAMA: dict[str, Any] = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16"}


def changed(document: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A copy of ``document`` with other values."""
    return {**copy.deepcopy(document), **changes}


def int4_kimi() -> dict[str, Any]:
    """config.json of moonshotai/Kimi-K2.5: its quantization stands inside text_config."""
    return changed(KIMI, text_config={**KIMI["text_config"], "quantization_config": INT4_CONFIG})


def write_checkpoint(path: Path, config: dict[str, Any], **files: object) -> Path:
    """Write a checkpoint's JSON files: config.json, and one per keyword."""
    path.mkdir(parents=True, exist_ok=True)
    for name, content in {"config": config, **files}.items():
        (path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return path


def cache_checkpoint(cache: Path, model: str, config: dict[str, Any], **files: object) -> Path:
    """Write a checkpoint into a Hugging Face cache, as its branch main."""
    folder = cache / f"models--{model.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    return write_checkpoint(folder / "snapshots" / COMMIT, config, **files)


def b200(count: int) -> list[Gpu]:
    """That many B200."""
    return [Gpu(index, f"GPU-{index:08x}-0000", "NVIDIA B200", 192 * 2**30) for index in range(count)]


@dataclass
class CannedNetwork:
    """Answers by path; any other path is refused. ``asked`` are the paths in order."""

    answers: Mapping[str, Answer | None] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def free_port(self, host: str) -> int:
        """No port is ever taken here."""
        raise AssertionError(host)

    def listens(self, host: str, port: int) -> bool:
        """No server listens here."""
        raise AssertionError((host, port))

    def get(self, url: str, total_s: float, most_bytes: int = JSON_BYTES) -> Answer:
        """Answer what was canned for the path."""
        assert total_s > 0
        assert most_bytes > 0
        path = "/" + url.split("/", 3)[3]
        self.asked.append(path)
        answer = self.answers.get(path)
        if answer is None:
            raise ConnectFailedError(f"{url}: cannot connect: Connection refused")
        return answer


def said(document: object) -> Answer:
    """A 200 with JSON."""
    return Answer(200, json.dumps(document).encode())


def host(
    tmp_path: Path, *, programs: Sequence[str] = ("trtllm-serve", "vllm", "srun"), gpus: Sequence[Gpu] | None = None
) -> HostContext:
    """A machine with these programs on PATH, an empty Hugging Face cache, and these GPUs."""
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir(exist_ok=True)
    for name in programs:
        (bin_dir / name).write_text("#!/bin/sh\n", encoding="utf-8")
        (bin_dir / name).chmod(0o755)
    environ = {"PATH": str(bin_dir), "HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "hub")}
    return HostContext(environ, CannedNetwork(), tmp_path, gpus)


def kimi_host(tmp_path: Path, gpus: int = 8) -> HostContext:
    """A machine with both Kimi checkpoints in its cache."""
    cache_checkpoint(tmp_path / "hub", NVFP4, KIMI, hf_quant_config=NVFP4_CONFIG)
    cache_checkpoint(tmp_path / "hub", INT4, int4_kimi())
    return host(tmp_path, gpus=b200(gpus))


def slot(run_dir: Path, devices: tuple[str, ...] = ()) -> ServerSlot:
    """An address without a listening server."""
    return ServerSlot("127.0.0.1", 8000, devices, run_dir)


def table(**keys: object) -> Node:
    """A precision's table with the keys every server needs."""
    return Node({"concurrency": [4, 8], **keys}, "pyproject.toml", "fp4", SettingsError)
