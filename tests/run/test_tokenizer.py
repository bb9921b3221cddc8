"""Texts of an exact number of tokens, for servers that take no ids."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from pytest_precgate.run.tokenizer import TokenizerText


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE tokenizer of 600 tokens, trained on a few words: side by side, random tokens merge."""
    made = Tokenizer(BPE())
    made.pre_tokenizer, made.decoder = ByteLevel(add_prefix_space=False), ByteLevelDecoder()
    words = [f"{one}{two}{three}" for one in "abcdefgh" for two in "aeiou" for three in "lmnrst"]
    made.train_from_iterator([" ".join(words)] * 3, BpeTrainer(vocab_size=600, initial_alphabet=ByteLevel.alphabet()))
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(path))
    return path


def test_a_text_has_as_many_tokens_as_the_ids_it_was_made_of(tokenizer: Path) -> None:
    """Random ids, decoded and read again, are fewer or more tokens; the text is mended until they are as many."""
    model, detokenize = Tokenizer.from_file(str(tokenizer)), TokenizerText(tokenizer)
    raw, mended = [], []
    for number in range(20):
        ids = [(7919 * number + 104729 * place) % 600 for place in range(200)]
        raw.append(len(model.encode(model.decode(ids), add_special_tokens=False).ids))
        mended.append(len(model.encode(detokenize(ids), add_special_tokens=False).ids))
    assert abs(sum(mended) / len(mended) / 200 - 1) <= 0.01
    assert abs(sum(raw) / len(raw) / 200 - 1) > 0.02
