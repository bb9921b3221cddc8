"""How a server is loaded, read from a precision's table. Every kind of server takes the same keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_precgate.analysis.window import WINDOW_KINDS, WindowKind
from pytest_precgate.documents import Node

LOAD_REQUIRED = ("concurrency",)
LOAD_OPTIONAL = (
    *("ignore_eos", "min_tokens", "vocabulary", "tokenizer", "window", "requests_per_slot", "max_failures"),
    *("processes", "seed", "request_timeout_s"),
)


@dataclass(frozen=True)
class LoadSettings:
    """How a server is loaded: concurrencies, window, requests per slot, and what a prompt is made of.

    ``vocabulary`` bounds the random token ids; ``tokenizer`` is a tokenizer.json that turns them into text, for servers
    and for the chat API that take no ids.
    """

    concurrency: tuple[int, ...]
    window: WindowKind = "steady"
    requests_per_slot: int = 10
    max_failures: int = 0
    processes: int = 1
    seed: int = 0
    vocabulary: int = 32000
    tokenizer: Path | None = None
    ignore_eos: bool = True
    min_tokens: bool = False
    request_timeout_s: float = 3600.0


def read_load(members: Mapping[str, Node], base: Path) -> LoadSettings:
    """Read the keys of LOAD_REQUIRED and LOAD_OPTIONAL; relative paths start at ``base``."""
    levels = [member.count() for member in members["concurrency"].items()]
    if not levels or len(set(levels)) != len(levels):
        members["concurrency"].fail(f"got {levels}, wanted different concurrencies, at least two for a curve")
    counts = ("requests_per_slot", "processes", "vocabulary")
    given: dict[str, Any] = {key: members[key].count() for key in counts if key in members}
    given |= {key: members[key].integer() for key in ("max_failures", "seed") if key in members}
    given |= {key: members[key].flag() for key in ("ignore_eos", "min_tokens") if key in members}
    if "window" in members:
        given["window"] = members["window"].choice(WINDOW_KINDS)
    if "tokenizer" in members:
        given["tokenizer"] = base / members["tokenizer"].text()
    if "request_timeout_s" in members:
        given["request_timeout_s"] = members["request_timeout_s"].number()
    return LoadSettings(concurrency=tuple(sorted(levels)), **given)
