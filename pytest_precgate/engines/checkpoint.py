"""A checkpoint on this machine: its path, its revision and the precision of its weights.

Input: a directory or a name in the Hugging Face cache. Output: a frozen value, or PreflightError. Invariant: nothing is
downloaded; a missing or incomplete checkpoint is refused with the command that downloads it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from pytest_precgate.documents import Node, strict_json
from pytest_precgate.engines.quantization import (
    Weights,
    dtypes_weights,
    hugging_face_weights,
    modelopt_weights,
    plain_weights,
)
from pytest_precgate.errors import CheckpointError, PreflightError
from pytest_precgate.text import printable

# Names of the number of experts in config.json: DeepSeek and Kimi, Mixtral, Qwen, GPT-OSS, MiniMax.
_EXPERTS = ("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts")


@dataclass(frozen=True)
class Found:
    """The path of a checkpoint. ``revision`` is the snapshot's commit, None for a separate directory."""

    path: Path
    revision: str | None = None


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint's configs; ``sha256`` is of its quantization config in canonical JSON, 16 hex
    digits."""

    path: Path
    revision: str | None
    architecture: str
    is_moe: bool
    weights: Weights
    sha256: str

    @property
    def shown(self) -> str:
        """Method and kind for a message: ``modelopt nvfp4, group 16, MoE``."""
        return f"{self.weights.shown}, {'MoE' if self.is_moe else 'dense'}"


def is_local(model: str, directory: Path) -> bool:
    """Whether ``model`` is a directory and not a name on the Hugging Face hub: it exists, or is spelled as a path."""
    return model.startswith(("./", "../", "/")) or (directory / model).exists()


def find_checkpoint(model: str, revision: str | None, environ: Mapping[str, str], directory: Path) -> Found:
    """Return the path of the checkpoint: a directory, else a snapshot in the Hugging Face cache of ``environ``.

    Raises PreflightError naming the searched paths."""
    if is_local(model, directory):
        if revision is not None:
            raise PreflightError(f"{model} is a directory, which has no revision {revision}; leave revision out")
        path = (directory / model).resolve()
        if not (path / "config.json").is_file():
            raise PreflightError(f"{model} is no checkpoint: there is no {path / 'config.json'}")
        return Found(path)
    folder = _cache(environ) / f"models--{model.replace('/', '--')}"
    snapshot = _snapshot(folder, "main" if revision is None else revision)
    if snapshot is None:
        wanted = f"{model} --revision {revision}" if revision is not None else model
        raise PreflightError(
            f"{model}{'' if revision is None else f' at {revision}'} is not on this machine: looked for the directory "
            f"{directory / model} and in the cache {folder}. A gate downloads nothing; run: hf download {wanted}"
        )
    return Found(snapshot, snapshot.name)


def _cache(environ: Mapping[str, str]) -> Path:
    """The hub's cache, resolved as huggingface_hub.constants does."""
    for key in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environ.get(key):
            return Path(environ[key]).expanduser()
    if environ.get("HF_HOME"):
        return Path(environ["HF_HOME"]).expanduser() / "hub"
    caches = environ.get("XDG_CACHE_HOME") or f"{environ.get('HOME', '~')}/.cache"
    return Path(caches).expanduser() / "huggingface" / "hub"


def _snapshot(folder: Path, revision: str) -> Path | None:
    """The snapshot of a branch, a tag or a commit: ``refs/NAME`` holds the commit, ``snapshots/COMMIT`` the files."""
    reference = folder / "refs" / revision
    try:
        commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
    except (OSError, UnicodeError) as exc:
        raise CheckpointError(str(reference), "", f"cannot be read: {getattr(exc, 'strerror', 'no UTF-8')}") from exc
    snapshot = folder / "snapshots" / commit
    return snapshot if (snapshot / "config.json").is_file() else None


def read_checkpoint(found: Found) -> Checkpoint:
    """Read the configs of the checkpoint.

    Raises CheckpointError with file and location for a config that no engine could load, and for missing weight files.
    """
    config = _json(found.path / "config.json")
    members = config.mapping()
    inner = members["text_config"].mapping() if "text_config" in members else {}
    quantized, weights = _weights(found.path, members, inner)
    _refuse_missing_weights(found.path)
    experts = [node.value for layer in (members, inner) for key, node in layer.items() if key in _EXPERTS]
    canonical = json.dumps(quantized, sort_keys=True, separators=(",", ":"))
    return Checkpoint(
        path=found.path,
        revision=found.revision,
        architecture=_architecture(config, members),
        is_moe=any(isinstance(count, int) and count > 1 for count in experts),
        weights=weights,
        sha256=hashlib.sha256(canonical.encode()).hexdigest()[:16],
    )


def _weights(path: Path, members: Mapping[str, Node], inner: Mapping[str, Node]) -> tuple[object, Weights]:
    """The quantization config and its meaning: hf_quant_config.json, else config.json's, else dtypes.json.

    TensorRT-LLM reads the first of them and vLLM the second, so if both exist they must agree."""
    stated = members.get("quantization_config", inner.get("quantization_config"))
    if stated is not None and stated.value is None:
        stated = None
    if (path / "hf_quant_config.json").is_file():
        own = _json(path / "hf_quant_config.json")
        layers = _json(path / "quant_cfg.json") if (path / "quant_cfg.json").is_file() else None
        weights = modelopt_weights(own, layers)
        other = weights if stated is None else hugging_face_weights(stated)
        if weights.precisions and other.precisions and weights.precisions != other.precisions:
            own.fail(f"says {weights.shown}, and config.json says {other.shown}")
        return own.value, weights
    if stated is not None:
        return stated.value, hugging_face_weights(stated)
    if (path / "dtypes.json").is_file():
        types = _json(path / "dtypes.json")
        return types.value, dtypes_weights(types)
    stated_types = [layer[key] for layer in (inner, members) for key in ("dtype", "torch_dtype") if key in layer]
    dtype = next((node.text() for node in stated_types if node.value is not None), None)
    return {"dtype": dtype}, plain_weights(dtype)


def _architecture(config: Node, members: Mapping[str, Node]) -> str:
    if "architectures" not in members:
        config.child("architectures", None).fail("required field missing")
    names = [node.text() for node in members["architectures"].items()]
    if not names:
        members["architectures"].fail("names no architecture")
    return printable(names[0])


def _refuse_missing_weights(path: Path) -> None:
    """Refuse an incomplete download, whose index names files that do not exist."""
    if not (path / "model.safetensors.index.json").is_file():
        return
    index = _json(path / "model.safetensors.index.json")
    members = index.mapping()
    if "weight_map" not in members:
        index.child("weight_map", None).fail("required field missing")
    files = {node.text() for node in members["weight_map"].mapping().values()}
    missing = sorted(name for name in files if not (path / name).is_file())
    if missing:
        members["weight_map"].fail(
            f"{len(missing)} of its {len(files)} weight files are not there, the first is {missing[0]}; "
            "run hf download again"
        )


def _json(path: Path) -> Node:
    def refuse(why: str) -> NoReturn:
        raise CheckpointError(str(path), "", why)

    try:
        return Node(strict_json(path.read_bytes(), refuse, allow_constants=True), str(path), "$", CheckpointError)
    except OSError as exc:
        raise CheckpointError(str(path), "", f"cannot be read: {exc.strerror}") from exc
    except json.JSONDecodeError as exc:
        raise CheckpointError(str(path), "", f"is not JSON: {exc}") from exc
