"""Token statistics of a point: tokens per event, cached prompt tokens, accepted draft tokens.

Input: request records. Output: counts and shares. tpot covers the tokens after the first event, so the number of tokens
in that event must be known: the server reports it, it follows from the counts, or it is estimated from requests of the
same point. Invariant: a point whose tpot is not determined to 1% is refused."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pytest_precgate.analysis.measure.records import RequestRecord
from pytest_precgate.analysis.quantity import share
from pytest_precgate.errors import InvalidValueError, UntoldTokensError

HiddenTokens = Literal["invalid", "reasoning"]
"""Tokens that usage counts and no event shows: invalid, or reasoning that precedes the first event."""
HIDDEN_TOKENS: tuple[HiddenTokens, ...] = ("invalid", "reasoning")

# The largest unknown part of tpot, cached share and length of a text prompt: smaller than any tolerance detects.
MAX_UNKNOWN_OF_TPOT = 0.01
MAX_CACHED_SHARE = 0.01
MAX_LENGTH_ERROR = 0.02
MAX_ACCEPTANCE_ERROR = 0.02
_LEAST_TOLD = 10
# Tokens without text come about a step apart; an event that comes later, or long before the others, is not a token.
_STEPS_OF_GUESS = 3


_TELL = (
    "the server must tell how many tokens each event holds (return_token_ids, stream_options.continuous_usage_stats, "
    "logprobs, timings_per_token)"
)


@dataclass(frozen=True)
class Expected:
    """What the tokens of a point must be.

    ``template_tokens`` are the tokens that every prompt begins with, measured once per launch; ``cached_share`` is the
    expected cached share of the other prompt tokens. ``acceptance_length`` is the forced one, None without speculation;
    ``accepted_before`` that of the baseline's points."""

    hidden_tokens: HiddenTokens = "invalid"
    template_tokens: int = 0
    cached_share: float = 0.0
    acceptance_length: float | None = None
    accepted_before: float | None = None

    def __post_init__(self) -> None:
        share("Expected", "cached_share", self.cached_share)
        if self.template_tokens < 0:
            raise InvalidValueError(f"Expected.template_tokens: got {self.template_tokens}, wanted tokens from 0")


@dataclass(frozen=True)
class ServerCounts:
    """The increase of the server's own counters while a point ran; None for a counter that it does not have.

    ``speculates`` says that one of them counts drafts, even when the acceptance length is unknown. ``queue_s``,
    ``prefill_s`` and ``decode_s`` are means per request that ended, ``preemptions`` is a number."""

    cached_share: float | None = None
    acceptance_length: float | None = None
    speculates: bool = False
    queue_s: float | None = None
    prefill_s: float | None = None
    decode_s: float | None = None
    preemptions: float | None = None


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """Token statistics of a point.

    ``tokens_per_event`` and ``first_event_tokens`` are means over its requests. ``cached_share`` is the cached share of
    the prompt tokens after the template, ``acceptance_length`` the mean number of tokens per verification step; None
    when unknown."""

    tokens_per_event: float
    first_event_tokens: float
    cached_share: float | None = None
    acceptance_length: float | None = None


def with_first_tokens(records: Sequence[RequestRecord], hidden: HiddenTokens) -> tuple[RequestRecord, ...]:
    """Return the records with the tokens of every first event known, or known well enough.

    Raises InvalidValueError, naming the cause, when no event showed some tokens, and UntoldTokensError when the number
    could matter, or which events were tokens."""
    _refuse_hidden(records, hidden)
    _refuse_guesses(records)
    if hidden == "reasoning":
        return tuple(replace(record, first_tokens=_first_after_reasoning(record)) for record in records)
    unknown = [record for record in records if record.first_tokens is None]
    share_of_first = _share_of_first(records) if unknown else None
    if share_of_first is None:
        _refuse_unknown(records, unknown)
        share_of_first = 0.0  # one token or the maximum: the difference is below the limit
    return tuple(
        record
        if record.first_tokens is not None
        else replace(record, first_tokens=1 + round(share_of_first * record.shared_tokens))
        for record in records
    )


def token_facts(records: Sequence[RequestRecord], expected: Expected, server: ServerCounts) -> TokenFacts:
    """Return the token statistics of records with known first events, from them or from the server's counters.

    When both report the cached tokens, the larger share counts."""
    events = sum(record.output_tokens if record.events is None else record.events for record in records)
    first = [1 if record.first_tokens is None else record.first_tokens for record in records]
    shares = [] if server.cached_share is None else [server.cached_share]
    told = [(record.input_tokens, cached) for record in records if (cached := record.cached_tokens) is not None]
    if told:
        # vLLM omits the count when it is zero: prompts without a count were not cached.
        beyond = sum(max(cached - expected.template_tokens, 0) for _, cached in told)
        shares.append(beyond / sum(record.input_tokens for record in records))
    stated = [record.acceptance for record in records if record.acceptance is not None]
    accepted = server.acceptance_length
    if accepted is None and stated:
        accepted = statistics.fmean(stated)
    return TokenFacts(
        tokens_per_event=sum(record.output_tokens for record in records) / events,
        first_event_tokens=statistics.fmean(first),
        cached_share=max(shares, default=None),
        acceptance_length=accepted,
    )


def refusals(
    records: Sequence[RequestRecord], facts: TokenFacts, expected: Expected, speculates: bool = False
) -> list[str]:
    """Return why the tokens of a point are not the expected ones: cached, of another length, another acceptance.

    ``speculates`` says that the server's counters count drafts."""
    return [
        *_wrong_cached(facts.cached_share, expected),
        *_wrong_lengths(records, expected.template_tokens),
        *_wrong_acceptance(facts.acceptance_length, speculates, expected),
    ]


def recorded_refusals(facts: TokenFacts, expected: Expected) -> list[str]:
    """Return why the tokens of a recorded point, without its records, are impossible or not the expected ones."""
    told = {
        "tokens_per_event": (facts.tokens_per_event, 1.0, math.inf),
        "first_event_tokens": (facts.first_event_tokens, 1.0, math.inf),
        "cached_share": (facts.cached_share, 0.0, 1.0),
        "acceptance_length": (facts.acceptance_length, 1.0, math.inf),
    }
    found = [
        f"{name} is {value:g}, which no point has"
        for name, (value, least, most) in told.items()
        if value is not None and not least <= value <= most
    ]
    found += _wrong_cached(facts.cached_share, expected)
    return found + _wrong_acceptance(facts.acceptance_length, False, expected)


def _wrong_cached(cached_share: float | None, expected: Expected) -> list[str]:
    allowed = expected.cached_share + MAX_CACHED_SHARE
    if cached_share is None or cached_share <= allowed:
        return []
    return [
        f"{cached_share:.1%} of the prompt tokens came from the server's prefix cache, at most {allowed:.0%} may: the "
        "prompts were not new to it, or cached_share is to say how many are meant to be"
    ]


def _wrong_lengths(records: Sequence[RequestRecord], template_tokens: int) -> list[str]:
    texts = [(record.input_tokens - template_tokens, made) for record in records if (made := record.text_tokens)]
    got, wanted = (sum(text[side] for text in texts) for side in (0, 1))
    if not texts or abs(got / wanted - 1) <= MAX_LENGTH_ERROR:
        return []
    return [
        f"the server made {got / len(texts):.0f} tokens of texts of {wanted / len(texts):.0f} (a template of "
        f"{template_tokens} left out), at most {MAX_LENGTH_ERROR:.0%} may they differ: is tokenizer that of its model?"
    ]


def _wrong_acceptance(seen: float | None, speculates: bool, expected: Expected) -> list[str]:
    forced, before = expected.acceptance_length, expected.accepted_before
    if forced is None:
        # A rate per step stated by a server may count the first token, or round: 1 is no speculation.
        if not speculates and (seen is None or seen <= 1 + MAX_ACCEPTANCE_ERROR):
            return []
        known = "by its own counters" if seen is None else f"{seen:.2f} tokens a step"
        return [
            f"the server speculates ({known}) and nothing forces its acceptance: random tokens have one that no real "
            "text has; set acceptance_length, or turn speculation off"
        ]
    if seen is None:
        return [
            f"acceptance_length = {forced:g} is to be forced, and neither the server's counters nor its answers tell "
            "which there was"
        ]
    for word, wanted in (("acceptance_length forces", forced), ("the baseline's points had", before)):
        if wanted is not None and abs(seen / wanted - 1) > MAX_ACCEPTANCE_ERROR:
            return [
                f"the acceptance length was {seen:.3f}, {word} {wanted:.3f}, at most {MAX_ACCEPTANCE_ERROR:.0%} off"
            ]
    return []


def _refuse_hidden(records: Sequence[RequestRecord], hidden: HiddenTokens) -> None:
    listed = [(each.output_tokens, shown) for each in records if (shown := each.listed_tokens) is not None]
    unseen = [(counted, shown) for counted, shown in listed if shown < counted]
    if unseen and hidden == "invalid":
        counted, shown = unseen[0]
        raise InvalidValueError(
            f"usage counts tokens that no event shows ({counted - shown} of {counted}, in {len(unseen)} of "
            f"{len(listed)} requests that tell): what was streamed is only a part of what was generated. If they are "
            'reasoning before the first event, say so with hidden_tokens = "reasoning"'
        )


def _refuse_guesses(records: Sequence[RequestRecord]) -> None:
    """Raise when events without text were taken for the first or last tokens, and come at another pace than tokens."""
    guessed = [0.0 if record.guessed_step_s is None else record.guessed_step_s for record in records]
    guessed_s = statistics.median(guessed)
    step_s = statistics.median((each.last_token_s - each.first_token_s) / each.output_tokens for each in records)
    if guessed_s > _STEPS_OF_GUESS * step_s:
        raise UntoldTokensError(
            f"events without text may be tokens or none: {sum(map(bool, guessed))} of {len(records)} requests have "
            f"such at their beginning or end, {1000 * guessed_s:.0f} ms apart at {1000 * step_s:.2f} ms a token; "
            f"{_TELL}"
        )


def _first_after_reasoning(record: RequestRecord) -> int:
    """All tokens except one for each event after the first: the listed ones when the events list their tokens."""
    if record.first_tokens is None:
        return 1 + record.shared_tokens
    return record.first_tokens + (0 if record.listed_tokens is None else record.output_tokens - record.listed_tokens)


def _share_of_first(records: Sequence[RequestRecord]) -> float | None:
    """The share of shared tokens that are in the first event, from the requests that reported it; None: too few."""
    told = [(first - 1, each.shared_tokens) for each in records if (first := each.first_tokens) and each.shared_tokens]
    if len(told) < _LEAST_TOLD:
        return None
    return sum(in_first for in_first, _ in told) / sum(shared for _, shared in told)


def _refuse_unknown(records: Sequence[RequestRecord], unknown: Sequence[RequestRecord]) -> None:
    """Raise unless tpot is the same to 1% for one token and for the maximum number of tokens in those first events."""
    if not unknown:
        return

    def tpot_s(record: RequestRecord, of_shared: int) -> float:
        first = 1 + of_shared * record.shared_tokens if record.first_tokens is None else record.first_tokens
        return record.tpot_after(first) if first < record.output_tokens else math.inf

    low, high = (statistics.median(tpot_s(record, of_shared) for record in records) for of_shared in (0, 1))
    if not high <= low * (1 + MAX_UNKNOWN_OF_TPOT):
        record = max(unknown, key=lambda each: each.shared_tokens)
        raise UntoldTokensError(
            f"usage counts {record.output_tokens} tokens and {record.events} events brought them: how many the first "
            f"one held decides the time per token by more than 1%; {_TELL}. If it hides reasoning, say so with "
            'hidden_tokens = "reasoning"; else stream every token in an event of its own'
        )
