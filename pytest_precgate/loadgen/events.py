"""Classifies one event of a stream: generated content, token count, usage, error. Pure: JSON in, facts out.

Invariant: an event is a token event because of its content, never because of its arrival. When the server was asked to
report the tokens it has sent (token ids, usage in every event, timings), that report counts. Otherwise an event with
generated content is a token event, and an event of a choice without text may be one; the final count decides."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pytest_precgate.errors import ResponseError
from pytest_precgate.text import printable

_EXCERPT = 200
_MOST_TOKENS = 1 << 40  # no request has this many; a larger count would overflow in divisions
# Members with generated content in a choice or its delta: text, reasoning, tool calls, refusals, and similar ones.
_CONTENT_KEYS = (
    *("text", "content", "reasoning_content", "reasoning", "reasoning_details", "thinking"),
    *("tool_calls", "function_call", "refusal", "audio"),
)
# Texts inside a part or a tool call that were not generated.
_LABELS = ("id", "type", "index", "role", "object")


class Kind(Enum):
    """The kind of an event when the server does not count its tokens."""

    CONTENT = "generated content"
    SILENT = "a choice without text: a token whose text is empty, or no token at all"
    FINISH = "the end of a choice without text: the same doubt"
    NOTHING = "no choice, or a role alone"


@dataclass(frozen=True)
class Usage:
    """Tokens as the server counts them; ``cached_tokens`` are the cached prompt tokens; None: not reported."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None = None


def parsed(text: bytes) -> dict[str, Any]:
    """Return the event as a JSON object. Raises ResponseError for anything else, and for an error the server states."""
    try:
        event = json.loads(text)
    except RecursionError:
        raise ResponseError(f"an event is nested too deeply to be read: {excerpt(text)}") from None
    except ValueError as exc:
        raise ResponseError(f"an event is not JSON: {excerpt(text)}") from exc
    if not isinstance(event, dict):
        raise ResponseError(f"an event is not a JSON object: {excerpt(text)}")
    _refuse_error(event, text)
    return event


def excerpt(body: bytes) -> str:
    """Return the beginning of a body as one printable line."""
    text = " ".join(body[: 4 * _EXCERPT].decode("utf-8", "replace").split())
    return printable(text, _EXCERPT) or "(empty)"


def kind_of(event: Mapping[str, Any]) -> Kind:
    """Return the kind of the choices of an event."""
    kinds = [_kind_of_choice(choice) for choice in _choices(event)]
    if len(kinds) == 1:
        return kinds[0]
    return next((kind for kind in Kind if kind in kinds), Kind.NOTHING)


def content_text(event: Mapping[str, Any]) -> str | None:
    """Return the generated text of an event whose only content is one text; None for any other."""
    choices = _choices(event)
    if len(choices) != 1:
        return None
    holder = _holder(choices[0])
    found = [holder[key] for key in _CONTENT_KEYS if _has_text(holder.get(key))]
    return found[0] if len(found) == 1 and isinstance(found[0], str) else None


def tokens_in(event: Mapping[str, Any]) -> int | None:
    """Return how many tokens an event lists: token ids, else log-probabilities. None where it lists none."""
    listed = [_listed(choice) for choice in _choices(event)]
    counted = [len(tokens) for tokens in listed if tokens is not None]
    return sum(counted) if counted else None


def acceptance_of(event: Mapping[str, Any]) -> float | None:
    """Return the acceptance length that one event of a response reports for its request; None without one.

    TensorRT-LLM reports it in each event, up to there, vLLM (from 0.33, with --per-request-spec-decode-metrics) in the
    one with the usage. llama-server's ``timings`` count tokens: each step after the first token gives one token of its
    own and those it accepted, so steps are generated - 1 - accepted."""
    choices = event.get("choices")
    if isinstance(choices, list) and choices:
        length = _length(_at(choices[0], "avg_decoded_tokens_per_iter"))
        if length is not None:
            return length
    length = _length(_at(_at(event.get("metrics"), "speculative_decoding"), "mean_acceptance_length"))
    return _timed(event.get("timings")) if length is None else length


def tokens_so_far(event: Mapping[str, Any]) -> int | None:
    """Return how many tokens of the answer were sent with and before an event, as it reports itself; None: not
    reported."""
    usage, timings = event.get("usage"), event.get("timings")
    for holder, key in ((usage, "completion_tokens"), (timings, "predicted_n")):
        if isinstance(holder, dict) and is_count(holder.get(key)):
            return int(holder[key])
    return None


def usage_of(event: Mapping[str, Any]) -> Usage | None:
    """Return the ``usage`` of an event, None when it has none.

    Raises ResponseError for counts that are missing or not whole numbers: tokens are never counted from events instead.
    """
    usage = event.get("usage")
    if not isinstance(usage, dict) or not usage:
        return None  # null, when usage comes in a later event
    for key in ("prompt_tokens", "completion_tokens"):
        if key not in usage:
            raise ResponseError(
                f"usage lacks {key}: {excerpt(json.dumps(usage).encode())}; wanted both counts in one event"
            )
        if not is_count(usage[key]):
            raise ResponseError(f"usage.{key}: got {usage[key]!r:.60}, wanted a whole number of tokens")
    details, timings = usage.get("prompt_tokens_details"), event.get("timings")
    told = (details, "cached_tokens"), (usage, "cached_tokens"), (timings, "cache_n")
    cached = next((holder[key] for holder, key in told if isinstance(holder, dict) and is_count(holder.get(key))), None)
    return Usage(usage["prompt_tokens"], usage["completion_tokens"], cached)


def is_count(value: object) -> bool:
    """Whether a value is a whole number from 0 and a possible count of tokens."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS


def _refuse_error(event: Mapping[str, Any], text: bytes) -> None:
    error = event.get("error")
    if error or event.get("object") == "error":
        message = error.get("message") if isinstance(error, dict) else error or event.get("message")
        told = message.encode("utf-8", "replace") if isinstance(message, str) else text
        raise ResponseError(f"error in the stream: {excerpt(told)}")


def _kind_of_choice(choice: Mapping[str, Any]) -> Kind:
    holder, is_chat = _holder(choice), "delta" in choice
    if holder.get("text") or any(_has_text(holder[key]) for key in holder if key in _CONTENT_KEYS):
        return Kind.CONTENT
    if is_chat and (holder.get("role") or "content" not in holder):
        return Kind.NOTHING
    if is_chat and holder["content"] is None:
        return Kind.NOTHING
    return Kind.FINISH if choice.get("finish_reason") else Kind.SILENT


def _holder(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    delta = choice.get("delta")
    if isinstance(delta, dict):
        return delta
    return {} if "delta" in choice else choice


def _has_text(value: object, depth: int = 4) -> bool:
    """Whether a value is, or contains, a generated text."""
    if isinstance(value, str):
        return bool(value)
    if depth and isinstance(value, list):
        return any(_has_text(part, depth - 1) for part in value)
    if depth and isinstance(value, dict):
        return any(_has_text(part, depth - 1) for key, part in value.items() if key not in _LABELS)
    return False


def _choices(event: Mapping[str, Any]) -> list[dict[str, Any]]:
    choices = event.get("choices")
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def _listed(choice: Mapping[str, Any]) -> list[Any] | None:
    """The tokens that a choice lists. For log-probabilities, OpenAI's completions use ``tokens``, its chat ``content``.

    An empty list of token ids means no token; an empty list of log-probabilities means unknown."""
    ids, logprobs = choice.get("token_ids"), choice.get("logprobs")
    if isinstance(ids, list):
        return ids
    found = (logprobs.get("tokens"), logprobs.get("content")) if isinstance(logprobs, dict) else ()
    return next((each for each in found if isinstance(each, list) and each), None)


def _timed(timings: object) -> float | None:
    drafted, accepted, generated = (
        _count(_at(timings, name)) for name in ("draft_n", "draft_n_accepted", "predicted_n")
    )
    if not drafted or accepted is None or generated is None:
        return None
    steps = generated - 1 - accepted
    return (generated - 1) / steps if steps > 0 else None


def _at(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, Mapping) else None


def _length(value: object) -> float | None:
    """A number that is a possible acceptance length: each step gives at least one token."""
    number = _count(value)
    return number if number is not None and number >= 1 else None


def _count(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number with hundreds of digits
        return None
    return number if math.isfinite(number) and number >= 0 else None
