"""The quantization of a checkpoint's weights. Pure.

Input: parsed JSON of NVIDIA ModelOpt's hf_quant_config.json (nested or flat), Hugging Face's quantization_config
(compressed-tensors, awq, gptq, fp8, mxfp4, ...) or OpenAI's dtypes.json. Output: a frozen value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pytest_precgate.documents import Node
from pytest_precgate.text import printable

BITS: Mapping[str, int] = {"fp4": 4, "int4": 4, "fp8": 8, "int8": 8, "bf16": 16, "fp16": 16}
"""Bits of a weight by the name of its precision in the settings."""

# quant_algo of ModelOpt, as tensorrt_llm/quantization/mode.py names them: number format, and the settings' name.
_ALGORITHMS: Mapping[str, tuple[str, str]] = {
    "NVFP4": ("nvfp4", "fp4"),
    "NVFP4_AWQ": ("nvfp4", "fp4"),
    "W4A16_NVFP4": ("w4a16-nvfp4", "fp4"),
    "W4A8_NVFP4_FP8": ("w4a8-nvfp4", "fp4"),
    "W4A16_MXFP4": ("mxfp4", "fp4"),
    "W4A8_MXFP4_FP8": ("mxfp4", "fp4"),
    "W4A8_MXFP4_MXFP8": ("mxfp4", "fp4"),
    "FP8": ("fp8", "fp8"),
    "FP8_PER_CHANNEL_PER_TOKEN": ("fp8", "fp8"),
    "FP8_BLOCK_SCALES": ("fp8", "fp8"),
    "FP8_PB_WO": ("fp8", "fp8"),
    "MXFP8": ("mxfp8", "fp8"),
    "W4A16": ("int4", "int4"),
    "W4A16_AWQ": ("int4", "int4"),
    "W4A8_AWQ": ("int4", "int4"),
    "W4A16_GPTQ": ("int4", "int4"),
    "INT8": ("int8", "int8"),
    "W8A16": ("int8", "int8"),
    "W8A16_GPTQ": ("int8", "int8"),
    "W8A8_SQ_PER_CHANNEL": ("int8", "int8"),
}
_MIXED = "MIXED_PRECISION"
_DTYPES: Mapping[str, str] = {"bfloat16": "bf16", "float16": "fp16", "half": "fp16"}


@dataclass(frozen=True)
class Weights:
    """How the weights of a checkpoint are stored.

    ``method`` is packaging and number format ("modelopt nvfp4", "compressed-tensors int4", "none"). ``precisions`` are
    the settings' names for its quantized layers, fewest bits first; empty when unknown."""

    method: str
    precisions: tuple[str, ...]
    group_size: int | None = None
    kv_cache: str | None = None

    @property
    def shown(self) -> str:
        """The method for a message: ``compressed-tensors int4, group 32``."""
        mixed = f" of {' and '.join(self.precisions)}" if len(self.precisions) > 1 else ""
        group = f", group {self.group_size}" if self.group_size is not None else ""
        return printable(f"{self.method}{mixed}{group}")

    @property
    def called(self) -> tuple[str, ...]:
        """The precisions that a suite may claim: that of its lowest-bit layers. Empty when unknown."""
        lowest = min((BITS[word] for word in self.precisions), default=0)
        return tuple(word for word in self.precisions if BITS[word] == lowest)


def _weights(packaging: str, formats: Iterable[tuple[str, str | None]], group: int | None, kv: str | None) -> Weights:
    """Combine the formats of the layers: one format, or a mix. One unknown layer makes the whole unknown."""
    named = sorted(set(formats), key=str)
    words = {word for _, word in named}
    known = tuple(sorted((word for word in words if word is not None), key=lambda word: (BITS[word], word)))
    method = named[0][0] if len(named) == 1 else "mixed"
    return Weights(f"{packaging} {method}", () if None in words else known, group, kv)


def _text(members: Mapping[str, Node], key: str) -> str | None:
    """The text at ``key``; None where it is missing or null."""
    return members[key].text() if key in members and members[key].value is not None else None


def _count(members: Mapping[str, Node], key: str) -> int | None:
    """The count at ``key``; None when it is missing, null, or -1, which AWQ and GPTQ write for a whole channel."""
    node = members.get(key)
    return None if node is None or node.value in (None, -1) else node.count()


def modelopt_weights(root: Node, layers: Node | None = None) -> Weights:
    """Read what ModelOpt wrote: ``{"quantization": {...}}`` (up to 0.43) or the same keys at the top level (1.0).

    ``layers`` is the root of quant_cfg.json, where a mixed checkpoint may list its layers instead.
    """
    outer = root.mapping()
    nested = "quantization" in outer
    node = outer["quantization"] if nested else root
    members = node.mapping()
    kv = _text(members, "kv_cache_quant_algo") if nested else _kv_scheme(members)
    algorithm, group = _text(members, "quant_algo"), _count(members, "group_size")
    listed = members.get("quantized_layers", None if layers is None else layers.mapping().get("quantized_layers"))
    if algorithm not in (None, _MIXED):
        return _weights("modelopt", [_algorithm(algorithm)], group, kv)
    if listed is None or listed.value is None:
        if algorithm is None:
            node.fail("names no quant_algo, and no quantized_layers")
        return Weights("modelopt mixed", (), group, kv)
    algorithms = [layer.mapping() for layer in listed.mapping().values()]
    named = [_algorithm(_text(layer, "quant_algo") or "") for layer in algorithms]
    if not named:
        listed.fail("lists no layer")
    return _weights("modelopt", named, group, kv)


def _algorithm(name: str | None) -> tuple[str, str | None]:
    known = _ALGORITHMS.get((name or "").upper())
    return known if known is not None else ((name or "unnamed").lower(), None)


def _kv_scheme(members: Mapping[str, Node]) -> str | None:
    """The KV cache's precision as compressed-tensors writes it: ``{"num_bits": 8, "type": "float"}``."""
    node = members.get("kv_cache_scheme")
    if node is None or node.value is None:
        return None
    scheme = node.mapping()
    bits, kind = _count(scheme, "num_bits"), _text(scheme, "type")
    return f"{'FP' if kind == 'float' else 'INT'}{bits}" if bits is not None and kind is not None else "unnamed"


def hugging_face_weights(root: Node) -> Weights:
    """Read ``quantization_config`` of a config.json."""
    members = root.mapping()
    method = _text(members, "quant_method")
    if method is None:
        root.fail("names no quant_method")
    if method.startswith("modelopt") and ("quant_algo" in members or "config_groups" not in members):
        return modelopt_weights(root)
    if method == "compressed-tensors" or method.startswith("modelopt"):
        return _config_groups(method, root, members)
    group = _count(members, "group_size")
    if method in ("awq", "gptq"):
        bits = _count(members, "bits")
        word = f"int{bits}"
        return Weights(f"{method} {word}", (word,) if word in BITS else (), group)
    plain = {"fp8": "fp8", "fbgemm_fp8": "fp8", "mxfp8": "fp8", "mxfp4": "fp4", "nvfp4": "fp4"}
    return Weights(method, (plain[method],) if method in plain else (), group)


def _config_groups(packaging: str, root: Node, members: Mapping[str, Node]) -> Weights:
    """Each config group quantizes its targets alike (compressed_tensors.quantization.QuantizationConfig)."""
    if "config_groups" not in members:
        root.child("config_groups", None).fail("required field missing")
    groups = [group.mapping() for group in members["config_groups"].mapping().values()]
    stored = [group for group in groups if "weights" in group and group["weights"].value is not None]
    if not stored:
        members["config_groups"].fail("quantizes no weights")
    outer = _text(members, "format") or ""
    formats = [_stored(group["weights"], _text(group, "format") or outer) for group in stored]
    sizes = {_count(group["weights"].mapping(), "group_size") for group in stored}
    return _weights(packaging, formats, sizes.pop() if len(sizes) == 1 else None, _kv_scheme(members))


def _stored(weights: Node, layout: str) -> tuple[str, str | None]:
    """The number format of one group, and its name in the settings."""
    members = weights.mapping()
    for key in ("num_bits", "type"):
        if key not in members:
            weights.child(key, None).fail("required field missing")
    bits, kind = members["num_bits"].count(), members["type"].choice(("int", "float"))
    word = f"{'fp' if kind == 'float' else 'int'}{bits}"
    if word == "fp4":
        return ("mxfp4" if "mxfp4" in layout else "nvfp4"), word
    return word, word if word in BITS else None


def dtypes_weights(root: Node) -> Weights:
    """Read OpenAI's dtypes.json, a type per tensor: MXFP4 weights, or blocks with UE8 scales."""
    types = {name: node.text() for name, node in root.mapping().items()}
    if any(kind == "MXFP4" for kind in types.values()) or any(name.endswith(".blocks") for name in types):
        return Weights("mxfp4", ("fp4",), 32)
    words = {{"BF16": "bf16", "FP16": "fp16"}.get(kind) for kind in types.values()}
    known = tuple(sorted(word for word in words if word is not None))
    return Weights("none", () if None in words else known)


def plain_weights(dtype: str | None) -> Weights:
    """A checkpoint that is not quantized has the precision of its dtype."""
    word = _DTYPES.get((dtype or "").removeprefix("torch."))
    return Weights("none", () if word is None else (word,))
