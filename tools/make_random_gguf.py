"""Write a random Llama of 107 million parameters as a GGUF file: the same weights in 4 or in 8 bits, for speed alone.

    python tools/make_random_gguf.py OUT.gguf q4_0|q8_0

Every vocabulary entry from 259 on is a word of its own, and greedy decoding can choose no other (the output rows of
special and single-byte tokens are zero), so a server streams one text per token."""

from __future__ import annotations

import argparse
import itertools
import string
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

TYPES = {
    "q4_0": (gguf.GGMLQuantizationType.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}
HIDDEN, LAYERS, FEED_FORWARD, HEADS, KV_HEADS, VOCABULARY, CONTEXT = 1024, 8, 2816, 16, 4, 8192, 2048
KV = HIDDEN // HEADS * KV_HEADS
SIGMA = 0.02
SEED = 0
SPECIAL = ("<unk>", "<s>", "</s>")


def byte_symbols() -> list[str]:
    """Return the 256 characters that stand for bytes in GPT-2's vocabulary."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [256 + n for n in range(256 - len(shown))]
    return sorted(chr(code) for code in (*shown, *others))


def words() -> Iterator[tuple[str, str]]:
    """Yield the two parts that merge into each word: a space and a letter, that and a letter, and once more."""
    letters = string.ascii_lowercase
    for length in (1, 2, 3):
        for spelled in itertools.product(letters, repeat=length):
            word = "Ġ" + "".join(spelled)
            yield word[:-1], word[-1]


def write_vocabulary(writer: gguf.GGUFWriter) -> int:
    """Write a byte-level BPE vocabulary and return how many tokens at its start are special or single bytes."""
    first = [*SPECIAL, *byte_symbols()]
    merges = list(itertools.islice(words(), VOCABULARY - len(first)))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*first, *("".join(pair) for pair in merges)])
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    writer.add_token_types([*kinds, *[gguf.TokenType.NORMAL] * (VOCABULARY - len(kinds))])
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{% for message in messages %}{{ message['content'] }}{% endfor %}")
    return len(first)


def matrices() -> Iterator[tuple[str, int, int]]:
    """Yield name, rows and columns of every weight matrix, in the order their numbers are drawn."""
    yield "token_embd", VOCABULARY, HIDDEN
    for layer in range(LAYERS):
        for name, rows, columns in (
            ("attn_q", HIDDEN, HIDDEN),
            ("attn_k", KV, HIDDEN),
            ("attn_v", KV, HIDDEN),
            ("attn_output", HIDDEN, HIDDEN),
            ("ffn_gate", FEED_FORWARD, HIDDEN),
            ("ffn_up", FEED_FORWARD, HIDDEN),
            ("ffn_down", HIDDEN, FEED_FORWARD),
        ):
            yield f"blk.{layer}.{name}", rows, columns
    yield "output", VOCABULARY, HIDDEN


def norms() -> Iterator[str]:
    """Yield the names of the norms, whose weights are all one."""
    for layer in range(LAYERS):
        yield f"blk.{layer}.attn_norm"
        yield f"blk.{layer}.ffn_norm"
    yield "output_norm"


def write_model(path: Path, type_name: str) -> None:
    """Write the model to ``path``; the same bytes for the same versions of numpy and gguf."""
    quantization, file_type = TYPES[type_name]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("random-llama")
    writer.add_file_type(file_type)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_vocab_size(VOCABULARY)
    silent = write_vocabulary(writer)
    random = np.random.default_rng(SEED)
    for name, rows, columns in matrices():
        weights: NDArray[np.float32] = random.standard_normal((rows, columns), dtype=np.float32) * np.float32(SIGMA)
        if name == "output":
            weights[:silent] = 0
        writer.add_tensor(f"{name}.weight", gguf.quants.quantize(weights, quantization), raw_dtype=quantization)
    for name in norms():
        writer.add_tensor(f"{name}.weight", np.ones(HIDDEN, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("type", choices=TYPES)
    asked = parser.parse_args()
    write_model(asked.path, asked.type)


if __name__ == "__main__":
    main()
