"""Parses the body of a generation request as vLLM and SGLang do, or strictly as TensorRT-LLM does.

Input: the bytes of the body. Output: the request, or the HTTP error to answer with. Invariant: for any bytes, only
RefusedError is raised."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_precgate.documents import nearest

DEFAULT_TOKENS = 16
"""Output tokens of a request that does not state them, OpenAI's default for completions."""

# Accepted by TensorRT-LLM's request classes on both endpoints (tensorrt_llm/serve/openai_protocol.py, extra="forbid").
_STRICT_FIELDS = {
    *("model", "prompt", "messages", "max_tokens", "max_completion_tokens", "stream", "stream_options", "n", "seed"),
    *("temperature", "top_p", "top_k", "min_p", "stop", "stop_token_ids", "ignore_eos", "min_tokens", "logit_bias"),
    *("frequency_penalty", "presence_penalty", "repetition_penalty", "logprobs", "top_logprobs", "echo", "suffix"),
    *("best_of", "user", "tools", "tool_choice", "response_format", "use_beam_search", "early_stopping"),
    *("skip_special_tokens", "spaces_between_special_tokens", "include_stop_str_in_output", "add_special_tokens"),
    *("truncate_prompt_tokens", "chat_template", "chat_template_kwargs", "add_generation_prompt", "reasoning_effort"),
}


class RefusedError(Exception):
    """A request that is answered with an HTTP error: ``status`` is its code and reason."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Asked:
    """One generation. ``prompt`` holds token ids, or words where the prompt was text; each counts as a token."""

    chat: bool
    prompt: tuple[int | str, ...]
    output_tokens: int
    stream: bool = False
    include_usage: bool = False
    continuous_usage: bool = False
    token_ids: bool = False
    cache_salt: str = ""


def read_asked(body: bytes, *, chat: bool, model: str, strict: bool = False) -> Asked:
    """Read the body of POST /v1/completions, or of /v1/chat/completions; raises RefusedError.

    Fields that are null count as absent. Unknown fields are ignored unless ``strict``.
    """
    fields = _fields(body)
    if strict and not fields.keys() <= _STRICT_FIELDS:
        unknown = sorted(fields.keys() - _STRICT_FIELDS)[0]
        raise _bad(f"unknown field {unknown!r}: extra inputs are not permitted; {nearest(unknown, _STRICT_FIELDS)}")
    fields = {name: value for name, value in fields.items() if value is not None}
    if fields.get("model", model) != model:
        raise RefusedError("404 Not Found", f"no model {fields['model']!r}; this server has {model!r}")
    if fields.get("n", 1) != 1:
        raise _bad(f"n: got {fields['n']!r}, wanted 1: this server gives one answer a request")
    output_tokens = fields.get("max_completion_tokens", fields.get("max_tokens", DEFAULT_TOKENS))
    if not isinstance(output_tokens, int) or isinstance(output_tokens, bool) or output_tokens < 1:
        raise _bad(f"max_tokens: got {output_tokens!r}, wanted a whole number above 0")
    options = fields.get("stream_options", {})
    if not isinstance(options, dict):
        raise _bad(f"stream_options: got {options!r}, wanted an object")
    return Asked(
        chat=chat,
        prompt=_messages(fields.get("messages")) if chat else _prompt(fields.get("prompt")),
        output_tokens=output_tokens,
        stream=fields.get("stream") is True,
        include_usage=options.get("include_usage") is True,
        continuous_usage=options.get("continuous_usage_stats") is True,
        token_ids=fields.get("return_token_ids") is True,
        cache_salt=str(fields.get("cache_salt", "")),
    )


def _bad(message: str) -> RefusedError:
    return RefusedError("400 Bad Request", message)


def _fields(body: bytes) -> Mapping[str, object]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as exc:  # not JSON, not Unicode, an integer too long, nested too deep
        raise _bad(f"the body is not JSON: {exc}") from exc
    if not isinstance(fields, dict):
        raise _bad("the body is no JSON object")
    return fields


def _prompt(prompt: object) -> tuple[int | str, ...]:
    """Token ids count themselves, text counts its words, at least one. A batch of one prompt is that prompt."""
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], (str, list)):
        prompt = prompt[0]
    if isinstance(prompt, str) and prompt:
        return _words(prompt)
    if isinstance(prompt, list) and prompt and all(isinstance(token, int) for token in prompt):
        return tuple(prompt)
    raise _bad("no prompt: wanted text or a list of token ids, one prompt a request")


def _messages(messages: object) -> tuple[int | str, ...]:
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        raise _bad("no messages: wanted a list of objects with a role and a content")
    return _words(" ".join(_content(message.get("content")) for message in messages))


def _content(content: object) -> str:
    """The text of one message, which may come as a list of parts."""
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) if isinstance(part, dict) else str(part) for part in content)
    return "" if content is None else str(content)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split()) or (text,)
