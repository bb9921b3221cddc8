"""The target of requests and their bytes, encoded before any clock starts. No socket is opened here.

Invariant: only fields of OpenAI's schema are sent, and others only when asked for, because an engine that does not know
a field answers 400."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from pytest_precgate.address import Address, Origin, check_path, split_url
from pytest_precgate.analysis.quantity import one_line
from pytest_precgate.errors import InvalidValueError

Api = Literal["completions", "chat"]
_PATHS: dict[str, str] = {"completions": "/v1/completions", "chat": "/v1/chat/completions"}


@dataclass(frozen=True)
class Target:
    """An OpenAI-compatible server and the model to request. ``base_url`` may end in ``/v1`` or not.

    ``api_path`` is the whole path for requests, if it is not the API's own below the URL's. ``addresses`` are those
    over which the connections are distributed, in turn; without any, the first address that accepts one is used. Raises
    InvalidValueError for a URL, a path, an api or a key that cannot be used. The key is never shown."""

    base_url: str
    model: str
    api: Api = "completions"
    api_key: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    api_path: str | None = None
    addresses: tuple[Address, ...] = ()

    def __post_init__(self) -> None:
        one_line("Target", "model", self.model)
        if self.api not in get_args(Api):
            raise InvalidValueError(f"Target.api: got {self.api!r}, wanted one of {', '.join(get_args(Api))}")
        key = self.api_key
        if key is not None and not (key and key.isascii() and key.isprintable()):
            raise InvalidValueError("Target.api_key: got an empty key or one with characters no header can hold")
        try:
            split_url(self.base_url)
        except InvalidValueError as exc:
            raise InvalidValueError(f"Target.base_url: {exc}") from None
        if self.api_path is not None:
            check_path(self.api_path)

    @property
    def origin(self) -> Origin:
        """The address to connect to."""
        return split_url(self.base_url, self.ca_file)[0]

    @property
    def path(self) -> str:
        """The path for requests."""
        below = split_url(self.base_url)[1].removesuffix("/v1")
        return below + _PATHS[self.api] if self.api_path is None else self.api_path


Telling = Literal["token_ids", "usage", "timings", "logprobs"]
"""A way in which a server reports how many tokens each event of an answer holds."""
_TELLING_FIELDS: Mapping[Telling, Mapping[str, object]] = {
    "token_ids": {"return_token_ids": True},
    "usage": {"stream_options": {"include_usage": True, "continuous_usage_stats": True}},
    "timings": {"timings_per_token": True},
    "logprobs": {"logprobs": 1},
}


@dataclass(frozen=True)
class Ask:
    """One request to be made: a prompt as token ids or as text, and the exact number of tokens to generate.

    ``input_tokens`` is the number of token ids from which a text was made. ``telling`` are the ways in which the server
    is asked to report how many tokens each event holds."""

    prompt: Sequence[int] | str
    input_tokens: int
    output_tokens: int
    ignore_eos: bool = True
    min_tokens: bool = False
    telling: tuple[Telling, ...] = ()


@dataclass(frozen=True)
class Asked:
    """The expected values of an answer: the tokens of prompt and answer; the server tokenizes a text."""

    input_tokens: int
    output_tokens: int
    is_text: bool = False


@dataclass(frozen=True)
class Outgoing:
    """One request as bytes, and the expected values of its answer."""

    data: bytes = field(repr=False)
    asked: Asked


def encode(target: Target, ask: Ask) -> Outgoing:
    """Return the request as bytes. Raises InvalidValueError for token ids on the chat API, which accepts only text."""
    is_text = isinstance(ask.prompt, str)
    if target.api == "chat" and not is_text:
        raise InvalidValueError(
            "chat takes text, not token ids: give the plan a detokenize function, or use completions"
        )
    body: dict[str, object] = {"model": target.model}
    if target.api == "chat":
        body["messages"] = [{"role": "user", "content": ask.prompt}]
    else:
        body["prompt"] = ask.prompt if is_text else list(ask.prompt)
    body |= {
        "max_tokens": ask.output_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    for way in ask.telling:
        body |= {"logprobs": True} if (way, target.api) == ("logprobs", "chat") else _TELLING_FIELDS[way]
    if ask.ignore_eos:
        body["ignore_eos"] = True
    if ask.min_tokens:
        body["min_tokens"] = ask.output_tokens
    content = json.dumps(body, separators=(",", ":")).encode()
    return Outgoing(_head(target, len(content)) + content, Asked(ask.input_tokens, ask.output_tokens, is_text))


def _head(target: Target, length: int) -> bytes:
    lines = [
        f"POST {target.path} HTTP/1.1",
        f"Host: {target.origin.host_header}",
        "Content-Type: application/json",
        "Accept: text/event-stream",
        f"Content-Length: {length}",
    ]
    if target.api_key is not None:
        lines.append(f"Authorization: Bearer {target.api_key}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
