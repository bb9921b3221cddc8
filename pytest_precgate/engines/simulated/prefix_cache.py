"""The prefix cache of the simulated server: whole blocks of tokens, each identified by itself and everything before it.

Input: prompts as sequences of token ids or words. Output: the number of tokens at the start of a prompt that need no
computation. Invariant: a block is found only behind all blocks that preceded it, and the number of cached tokens never
exceeds the limit."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

from pytest_precgate.errors import InvalidValueError

BLOCK_TOKENS = 16
"""Tokens of one block, vLLM's default."""


def block_keys(tokens: Sequence[int | str], salt: str = "") -> tuple[bytes, ...]:
    """Return a key for each whole block of the prompt; equal keys mean equal tokens up to the end of the block.

    Prompts with different salts share no key.
    """
    key, keys = salt.encode("utf-8", "surrogatepass"), []
    for start in range(0, len(tokens) - BLOCK_TOKENS + 1, BLOCK_TOKENS):
        block = repr(tokens[start : start + BLOCK_TOKENS])
        key = hashlib.blake2b(key + block.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        keys.append(key)
    return tuple(keys)


class PrefixCache:
    """Blocks of prompts, the least recently used dropped first. ``queries`` and ``hits`` count tokens, as vLLM does."""

    def __init__(self, limit_tokens: int) -> None:
        if limit_tokens < BLOCK_TOKENS:
            raise InvalidValueError(
                f"prefix cache: got {limit_tokens} tokens, wanted at least one block, {BLOCK_TOKENS}"
            )
        self.queries = 0
        self.hits = 0
        self._limit = limit_tokens // BLOCK_TOKENS
        self._blocks: OrderedDict[bytes, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._blocks) * BLOCK_TOKENS

    def take(self, keys: Sequence[bytes], input_tokens: int) -> int:
        """Return how many of the prompt's ``input_tokens`` are cached: whole blocks, and never its last token."""
        found = 0
        for key in keys[: (input_tokens - 1) // BLOCK_TOKENS]:
            if key not in self._blocks:
                break
            found += 1
        self._touch(keys[:found])
        self.queries += input_tokens
        self.hits += found * BLOCK_TOKENS
        return found * BLOCK_TOKENS

    def keep(self, keys: Sequence[bytes]) -> None:
        """Cache the blocks of a prompt that has been computed; a prompt longer than the limit keeps its beginning."""
        keys = keys[: self._limit]
        for key in keys:
            self._blocks[key] = None
        self._touch(keys)
        while len(self._blocks) > self._limit:
            self._blocks.popitem(last=False)

    def _touch(self, keys: Sequence[bytes]) -> None:
        # Last block first: the end of a prompt is dropped before its beginning, without which it cannot be found.
        for key in reversed(keys):
            self._blocks.move_to_end(key)
