"""What the tokens of a point are held to: first events, cached prompts, lengths of texts, speculation."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.measure.metrics import measure
from pytest_precgate.analysis.measure.records import PointRun, RequestRecord
from pytest_precgate.analysis.measure.tokens import (
    Expected,
    ServerCounts,
    TokenFacts,
    recorded_refusals,
    refusals,
    token_facts,
    with_first_tokens,
)
from pytest_precgate.errors import InvalidPointError, InvalidValueError, UntoldTokensError

PLAIN = RequestRecord(0.0, 0.1, 1.1, input_tokens=1000, output_tokens=101, events=101)


def why(records: Sequence[RequestRecord], expected: Expected, server: ServerCounts | None = None) -> list[str]:
    facts = token_facts(records, expected, ServerCounts() if server is None else server)
    return refusals(records, facts, expected)


@pytest.mark.parametrize(
    ("cached", "template", "declared", "is_refused"),
    [
        (0, 0, 0.0, False),
        (10, 0, 0.0, False),
        (11, 0, 0.0, True),
        (16, 16, 0.0, False),
        (40, 16, 0.0, True),
        (500, 0, 0.5, False),
        (520, 0, 0.5, True),
        (1000, 0, 0.0, True),
    ],
)
def test_a_prompt_that_was_cached_is_refused(cached: int, template: int, declared: float, is_refused: bool) -> None:
    """More than 1% of the tokens behind the template and beyond what the suite declares."""
    expected = Expected(template_tokens=template, cached_share=declared)
    found = why([replace(PLAIN, cached_tokens=cached)] * 10, expected)
    assert bool(found) is is_refused
    assert not found or "prefix cache" in found[0]


def test_prompts_that_do_not_tell_beside_others_that_do_were_not_cached() -> None:
    """vLLM leaves cached_tokens out where it is 0 (vllm/entrypoints/openai, --enable-prompt-tokens-details)."""
    records = [replace(PLAIN, cached_tokens=480), *[PLAIN] * 49]
    assert token_facts(records, Expected(), ServerCounts()).cached_share == pytest.approx(0.0096)


def test_the_server_s_counters_tell_what_its_answers_do_not() -> None:
    """The larger of both shares counts; where neither tells, nothing is claimed."""
    assert "5.0% of the prompt tokens came from" in why([PLAIN], Expected(), ServerCounts(cached_share=0.05))[0]
    both = [replace(PLAIN, cached_tokens=200)]
    assert "20.0%" in why(both, Expected(), ServerCounts(cached_share=0.05))[0]
    assert token_facts([PLAIN], Expected(), ServerCounts()).cached_share is None


@pytest.mark.parametrize(("got", "is_refused"), [(1012, False), (1031, False), (1033, True), (960, True)])
def test_a_text_has_the_length_it_was_to_have(got: int, is_refused: bool) -> None:
    """Within 2% of the ids it was made from, the template left out, in the mean of the point."""
    records = [replace(PLAIN, input_tokens=got, text_tokens=1000)] * 5
    found = why(records, Expected(template_tokens=12))
    assert bool(found) is is_refused
    assert not found or f"made {got - 12} tokens of texts of 1000 (a template of 12 left out)" in found[0]


@pytest.mark.parametrize(
    ("forced", "seen", "before", "cause"),
    [
        (None, None, None, None),
        (None, 1.0, None, None),
        (None, 2.4, None, "nothing forces its acceptance"),
        (2.6, 2.6, None, None),
        (2.6, 2.64, 2.6, None),
        (2.6, 2.7, None, "acceptance_length forces 2.600"),
        (2.6, 1.6, None, "acceptance_length forces 2.600"),
        (2.6, 2.64, 2.55, "the baseline's points had 2.550"),
        (2.6, None, None, "neither the server's counters nor its answers tell"),
    ],
)
def test_speculation_is_forced_and_seen(
    forced: float | None, seen: float | None, before: float | None, cause: str | None
) -> None:
    """A point counts where the acceptance seen is the forced one and the baseline's, each within 2%."""
    expected = Expected(acceptance_length=forced, accepted_before=before)
    for found in (
        why([PLAIN], expected, ServerCounts(acceptance_length=seen)),
        why([replace(PLAIN, acceptance=seen)] * 3, expected),
    ):
        assert [cause in line for line in found if cause] == ([True] if cause else [])


def test_what_tokens_were_is_kept_with_the_point() -> None:
    """Means over the requests: tokens an event, tokens in the first event."""
    shared = replace(PLAIN, events=51, first_tokens=2)
    facts = token_facts([shared] * 4, Expected(), ServerCounts(acceptance_length=2.0))
    assert (round(facts.tokens_per_event, 3), facts.first_event_tokens, facts.acceptance_length) == (1.98, 2, 2.0)


@given(st.lists(st.tuples(st.integers(2, 200), st.integers(1, 200), st.booleans()), min_size=1, max_size=30))
def test_a_pace_is_within_a_percent_of_every_one_it_may_have_been(each: list[tuple[int, int, bool]]) -> None:
    """Or it is refused: the median tpot does not depend on unreported counts."""
    records = [
        RequestRecord(
            0, 1, 2, 5, output, events=min(events, output), first_tokens=1 if tells or events >= output else None
        )
        for output, events, tells in each
    ]
    told = sum(record.first_tokens is not None and bool(record.shared_tokens) for record in records)
    try:
        got = statistics.median(record.tpot_s for record in with_first_tokens(records, "invalid"))
    except InvalidValueError:
        return
    if told >= 10:
        return  # then those that told speak for the others
    for of_shared in (0.0, 0.5, 1.0):
        firsts = [1 + int(of_shared * r.shared_tokens) if r.first_tokens is None else r.first_tokens for r in records]
        if all(first < record.output_tokens for first, record in zip(firsts, records, strict=True)):
            pace = statistics.median(r.tpot_after(first) for r, first in zip(records, firsts, strict=True))
            assert got <= pace <= got * 1.0101


def test_a_refused_token_refuses_the_point() -> None:
    """By name, and as something the engine did: it is not run again."""
    records = [
        replace(PLAIN, sent_s=number, first_token_s=number + 0.1, last_token_s=number + 0.9, cached_tokens=900)
        for number in range(40)
    ]
    with pytest.raises(InvalidPointError, match=r"concurrency 1: not a point: 90\.0% of the prompt tokens") as caught:
        measure(PointRun(1, records), 1)
    assert not caught.value.is_outside


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (TokenFacts(1.0, 1.0, 0.0, 1.0), None),
        (TokenFacts(3.0, 2.0, None, None), None),
        (TokenFacts(0.9, 1.0), "tokens_per_event is 0.9, which no point has"),
        (TokenFacts(1.0, 0.9), "first_event_tokens is 0.9, which no point has"),
        (TokenFacts(1.0, 1.0, -0.1), "cached_share is -0.1, which no point has"),
        (TokenFacts(1.0, 1.0, 1.1), "cached_share is 1.1, which no point has"),
        (TokenFacts(1.0, 1.0, None, 0.9), "acceptance_length is 0.9, which no point has"),
        (TokenFacts(1.0, 1.0, 1.0), "100.0% of the prompt tokens came from"),
        (TokenFacts(1.0, 1.0, 0.02), "2.0% of the prompt tokens came from"),
        (TokenFacts(1.0, 1.0, None, 2.0), "the server speculates (2.00 tokens a step)"),
    ],
)
def test_what_a_recorded_point_says_of_its_tokens_is_held_to_the_same(facts: TokenFacts, why: str | None) -> None:
    """No event without a token, no share beyond the whole, and what a fresh point would be refused for."""
    found = recorded_refusals(facts, Expected())
    assert bool(found) is (why is not None)
    assert why is None or found[0].startswith(why)


@pytest.mark.parametrize(("acceptance", "is_refused"), [(1.019, False), (1.021, True)])
def test_a_stated_acceptance_of_one_is_no_speculation(acceptance: float, is_refused: bool) -> None:
    """Within 2%: what a server states per step may be rounded."""
    assert bool(why([replace(PLAIN, acceptance=acceptance)], Expected())) is is_refused


def test_a_server_whose_counters_count_drafts_speculates() -> None:
    """Even where nobody knows how many held."""
    facts = token_facts([PLAIN], Expected(), ServerCounts(speculates=True))
    (line,) = refusals([PLAIN], facts, Expected(), speculates=True)
    assert line.startswith("the server speculates (by its own counters) and nothing forces its acceptance")


@pytest.mark.parametrize(("seen", "is_refused"), [(2.039, False), (1.961, False), (2.041, True), (1.959, True)])
def test_a_forced_acceptance_may_be_two_percent_off(seen: float, is_refused: bool) -> None:
    """To either side."""
    assert bool(why([PLAIN], Expected(acceptance_length=2.0), ServerCounts(acceptance_length=seen))) is is_refused


def test_what_is_expected_is_a_share_and_a_number_of_tokens() -> None:
    """None below nothing."""
    assert Expected(template_tokens=0, cached_share=0.0) == Expected()
    for wrong in ({"template_tokens": -1}, {"cached_share": 1.0}, {"cached_share": -0.1}):
        with pytest.raises(InvalidValueError, match=f"Expected.{next(iter(wrong))}: got"):
            Expected(**wrong)


def test_tokens_no_event_showed_are_refused_or_reasoning() -> None:
    """The message counts them, and the requests that tell; reasoning stands before the first event."""
    hidden = replace(PLAIN, events=61, listed_tokens=61)
    with pytest.raises(InvalidValueError, match=r"no event shows \(40 of 101, in 2 of 3 requests that tell\)"):
        with_first_tokens(
            [hidden, replace(hidden, listed_tokens=9), replace(PLAIN, listed_tokens=101), PLAIN], "invalid"
        )
    told, untold = with_first_tokens([hidden, replace(PLAIN, events=61, first_tokens=None)], "reasoning")
    assert (told.first_tokens, untold.first_tokens) == (41, 41)
    for known in (PLAIN, replace(PLAIN, events=57, first_tokens=5)):
        assert with_first_tokens([known], "reasoning") == (known,)


def test_ten_requests_that_told_speak_for_the_others() -> None:
    """The first event holds the same share of the tokens that shared one; nine are too few."""
    tells, silent = replace(PLAIN, events=51, first_tokens=11), replace(PLAIN, events=51, first_tokens=None)
    found = with_first_tokens([*[tells] * 10, silent, replace(silent, events=81)], "invalid")
    assert [record.first_tokens for record in found[10:]] == [11, 5]
    with pytest.raises(UntoldTokensError, match="usage counts 101 tokens and 51 events brought them"):
        with_first_tokens([*[tells] * 9, *[silent] * 30], "invalid")


def test_events_without_text_are_tokens_where_they_come_at_the_pace_of_tokens() -> None:
    """Up to three steps apart; the message says how many requests guessed, and both times in ms."""
    at_pace = replace(PLAIN, output_tokens=100, events=100, guessed_step_s=0.03)
    assert with_first_tokens([at_pace] * 3, "invalid") == (at_pace,) * 3
    for guessed_step_s, shown in ((0.031, 31), (0.9, 900)):
        apart = replace(at_pace, guessed_step_s=guessed_step_s)
        with pytest.raises(UntoldTokensError, match=rf"2 of 3 requests .* {shown} ms apart at 10\.00 ms a token"):
            with_first_tokens([apart, apart, replace(at_pace, guessed_step_s=None)], "invalid")
    assert with_first_tokens(
        [replace(at_pace, guessed_step_s=1.0), *[replace(at_pace, guessed_step_s=None)] * 2], "invalid"
    )


def test_one_slow_request_does_not_hide_guesses_of_the_others() -> None:
    """The step is the median's: a mean of requests of different paces would let any guess pass."""
    guessed = replace(PLAIN, output_tokens=100, events=100, guessed_step_s=0.05)
    slow = replace(guessed, last_token_s=guessed.first_token_s + 10.0)
    with pytest.raises(UntoldTokensError, match=r"50 ms apart at 10\.00 ms a token"):
        with_first_tokens([guessed, guessed, slow], "invalid")


@pytest.mark.parametrize(("events", "is_refused"), [(1000, False), (992, False), (985, True)])
def test_a_first_event_that_could_not_matter_held_one_token(events: int, is_refused: bool) -> None:
    """Whatever it held, the time per token is the same to 1%."""
    records = [replace(PLAIN, output_tokens=1000, events=events, first_tokens=None)] * 3
    if is_refused:
        with pytest.raises(UntoldTokensError, match=f"usage counts 1000 tokens and {events} events brought them"):
            with_first_tokens(records, "invalid")
    else:
        assert {record.first_tokens for record in with_first_tokens(records, "invalid")} == {1}


def test_a_prompt_cached_in_its_template_alone_was_not_cached() -> None:
    """A server caches whole blocks: less than the template is nothing, not less than nothing."""
    expected = Expected(template_tokens=16)
    assert token_facts([replace(PLAIN, cached_tokens=5)] * 3, expected, ServerCounts()).cached_share == 0.0


def test_what_requests_state_of_their_drafts_counts_in_the_mean() -> None:
    """Of those that state it, where no counter of the server does."""
    records = [*(replace(PLAIN, acceptance=acceptance) for acceptance in (1.0, 1.0, 4.0)), PLAIN]
    assert token_facts(records, Expected(), ServerCounts()).acceptance_length == 2.0
    assert token_facts(records, Expected(), ServerCounts(acceptance_length=3.0)).acceptance_length == 3.0


def test_a_first_event_nobody_knows_counts_as_one_token() -> None:
    """As in virtual time, where each token is an event."""
    untold = replace(PLAIN, events=None, first_tokens=None)
    facts = token_facts([untold, PLAIN, replace(PLAIN, events=51, first_tokens=4)], Expected(), ServerCounts())
    assert (facts.first_event_tokens, facts.tokens_per_event) == (2.0, 303 / 253)


def test_a_few_untold_requests_do_not_move_the_median() -> None:
    """Most told: whatever the others' first events held, the point's time per token is theirs."""
    told, untold = replace(PLAIN, events=51, first_tokens=1), replace(PLAIN, events=51, first_tokens=None)
    found = with_first_tokens([*[told] * 5, *[untold] * 2], "invalid")
    assert {record.first_tokens for record in found} == {1}


def test_an_answer_in_one_event_tells_no_time_per_token() -> None:
    """It may be all of it; of several, the message names the one that hides most."""
    one, some = (replace(PLAIN, events=events, first_tokens=None) for events in (1, 60))
    with pytest.raises(UntoldTokensError, match="usage counts 101 tokens and 1 events brought them"):
        with_first_tokens([some, one, some], "invalid")
