"""A server somebody else started: attach to it, load it, never stop it.

Its key comes from an environment variable that the settings name; neither the key nor anything made from it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from pytest_precgate.analysis.fingerprint import Fact
from pytest_precgate.analysis.sweep import Sweep
from pytest_precgate.analysis.window import WINDOW_KINDS, WindowKind
from pytest_precgate.analysis.workload import Workload
from pytest_precgate.documents import Node
from pytest_precgate.errors import InvalidValueError

Api = Literal["completions", "chat"]
_REQUIRED = ("engine", "url", "model", "gpus", "concurrency")
_OPTIONAL = (
    *("api", "api_key_env", "configuration", "ignore_eos", "min_tokens", "vocabulary", "tokenizer"),
    *("window", "requests_per_slot", "max_failures", "processes", "seed", "request_timeout_s"),
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


@dataclass(frozen=True)
class EndpointSpec:
    """The settings of one running server."""

    url: str
    model: str
    gpus: int
    load: LoadSettings
    api: Api = "completions"
    api_key_env: str | None = None
    configuration: str = "default"

    @staticmethod
    def read(table: Node, base: Path) -> EndpointSpec:
        """Read a precision's table."""
        members = table.table(required=_REQUIRED, optional=_OPTIONAL)
        texts = {key: members[key].text() for key in ("api_key_env", "configuration") if key in members}
        api = cast(Api, members["api"].choice(("completions", "chat"))) if "api" in members else "completions"
        load = _load(members, base)
        if api == "chat" and load.tokenizer is None:
            table.fail("chat takes text, not token ids: name a tokenizer.json with tokenizer")
        return EndpointSpec(
            url=members["url"].text(),
            model=members["model"].text(),
            gpus=members["gpus"].count(),
            load=load,
            api=api,
            **texts,
        )

    def open(self) -> EndpointEngine:
        """Return the engine these settings describe; nothing is connected yet."""
        return EndpointEngine(self)


def _load(members: Mapping[str, Node], base: Path) -> LoadSettings:
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


@dataclass(frozen=True)
class EndpointEngine:
    """A server that is measured from outside: the load client does what other engines do themselves."""

    spec: EndpointSpec
    kind: str = "endpoint"

    def identity(self) -> Mapping[str, Fact]:
        """Return the model, the API and the window: figures of another model or window are no baseline."""
        return {"api": self.spec.api, "model": self.spec.model, "window": self.spec.load.window}

    def facts(self) -> Mapping[str, Fact]:
        """Return how it was loaded; not the address, which changes, nor anything of the key."""
        return {"requests_per_slot": self.spec.load.requests_per_slot, "seed": self.spec.load.seed}

    def sweep(self, precision: str, workload: Workload, hardware: str) -> Sweep:
        """A server does not sweep itself; pytest_precgate.live does it with the load client."""
        raise InvalidValueError(f"{precision} on {hardware} ({workload}): an endpoint is swept by the load client")
