"""Converts token ids to a text of as many tokens, with a checkpoint's tokenizer.json.

The tokenizers package is an extra and is imported on use: most servers accept token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pytest_precgate.errors import SettingsError

_ROUNDS = 8


@dataclass(frozen=True)
class TokenizerText:
    """Turns token ids into text with a checkpoint's tokenizer.json. Picklable: each client process loads its own."""

    path: Path

    def __call__(self, ids: Sequence[int]) -> str:
        """Return a text of as many tokens as there are ``ids``, as near as ``_ROUNDS`` rounds come.

        Raises SettingsError when the tokenizers package or the file is missing.
        """
        if not self.path.is_file():
            raise SettingsError(str(self.path), "", "is no file; wanted the checkpoint's tokenizer.json")
        tokenizer = _tokenizer(self.path)
        wanted, ids = len(ids), list(ids)
        for _ in range(_ROUNDS):
            # Random tokens side by side merge, or fall apart, when their text is read again.
            text = str(tokenizer.decode(ids))
            again = tokenizer.encode(text, add_special_tokens=False).ids
            if len(again) == wanted:
                break
            ids = (again + ids[len(again) - wanted :])[:wanted] if len(again) < wanted else again[:wanted]
        return text


@lru_cache(maxsize=2)
def _tokenizer(path: Path) -> Any:
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415  # an extra, for servers that take no token ids
    except ImportError as exc:
        raise SettingsError("tokenizer", "", "needs the package tokenizers: pip install pytest-precgate[text]") from exc
    return Tokenizer.from_file(str(path))
