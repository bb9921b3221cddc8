"""The prefix cache of the simulated engine: whole blocks, found only behind their own past, least recently used out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.engines.simulated.model import Limits, StepTime
from pytest_precgate.engines.simulated.prefix_cache import BLOCK_TOKENS, PrefixCache, block_keys
from pytest_precgate.engines.simulated.scheduler import Request, Scheduler
from pytest_precgate.errors import InvalidValueError

prompts = st.lists(st.integers(0, 3), min_size=1, max_size=5 * BLOCK_TOKENS)


def taken(cache: PrefixCache, prompt: list[int], salt: str = "") -> int:
    keys = block_keys(prompt, salt)
    hit = cache.take(keys, len(prompt))
    cache.keep(keys)
    return hit


@given(prompts, prompts)
def test_what_is_found_is_shared_whole_blocks_short_of_the_last_token(first: list[int], second: list[int]) -> None:
    """Never more than the two prompts share, never the whole prompt, never part of a block."""
    cache = PrefixCache(10_000)
    assert taken(cache, first) == 0
    shared = next(
        (place for place, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]),
        min(len(first), len(second)),
    )
    assert taken(cache, second) == min(shared, len(second) - 1) // BLOCK_TOKENS * BLOCK_TOKENS


@pytest.mark.parametrize(("tokens", "cached"), [(15, 0), (16, 0), (17, 16), (32, 16), (33, 32)])
def test_a_prompt_asked_again_computes_at_least_its_last_token(tokens: int, cached: int) -> None:
    """As vLLM does: a prompt of whole blocks computes its last block again."""
    cache = PrefixCache(10_000)
    prompt = list(range(tokens))
    assert (taken(cache, prompt), taken(cache, prompt)) == (0, cached)
    assert (cache.queries, cache.hits) == (2 * tokens, cached)


def test_a_block_is_known_with_everything_before_it() -> None:
    """The same 16 tokens behind another beginning are another block, and so they are under another salt."""
    cache = PrefixCache(10_000)
    tail = [*range(BLOCK_TOKENS), 1]
    assert taken(cache, [1] * BLOCK_TOKENS + tail) == 0
    assert taken(cache, [2] * BLOCK_TOKENS + tail) == 0
    assert taken(cache, [1] * BLOCK_TOKENS + tail, salt="other") == 0
    assert taken(cache, [1] * BLOCK_TOKENS + tail) == 2 * BLOCK_TOKENS


def test_the_least_recently_used_block_is_dropped_and_a_prompt_loses_its_end_first() -> None:
    """Three blocks fit: a prompt of two that was used again survives one that was not."""
    cache = PrefixCache(3 * BLOCK_TOKENS)
    two, one, another = ([number] * (count * BLOCK_TOKENS + 1) for number, count in ((1, 2), (2, 1), (3, 1)))
    assert [taken(cache, prompt) for prompt in (two, one, two, another, two)] == [0, 0, 32, 0, 32]
    assert taken(cache, one) == 0
    assert len(cache) == 3 * BLOCK_TOKENS


@given(st.lists(prompts, max_size=10), st.integers(1, 8))
def test_the_limit_holds(asked: list[list[int]], blocks: int) -> None:
    """For any prompt, also one longer than the cache."""
    cache = PrefixCache(blocks * BLOCK_TOKENS)
    for prompt in asked:
        taken(cache, prompt)
        assert len(cache) <= blocks * BLOCK_TOKENS


def test_a_cache_smaller_than_a_block_is_refused() -> None:
    """It could never hold anything."""
    with pytest.raises(InvalidValueError, match="got 15 tokens"):
        PrefixCache(15)


def test_cached_tokens_are_not_prefilled() -> None:
    """The second request's prompt takes the time of its last block alone."""
    model = StepTime(1e-3, 0.0, 0.0, prefill_s=1e-3, overhead_s=0.0)
    scheduler = Scheduler(model, Limits(), lambda: 1.0, cache=PrefixCache(1000))
    keys, seconds = block_keys(range(100)), []
    for _ in range(2):
        scheduler.waiting.append(Request(0.0, 100, 1, blocks=keys))
        seconds.append(scheduler.step()[0])
    assert seconds == pytest.approx([0.101, 0.005])
