"""The server's own counters of one point. Pure.

Input: two pages of its metrics. Output: shares of that point. Invariant: a server without counters gives None."""

from __future__ import annotations

from pytest_precgate.analysis.measure.records import PointRun
from pytest_precgate.analysis.measure.tokens import ServerCounts
from pytest_precgate.engines.counters import (
    acceptance_length,
    between,
    cached_tokens,
    lost_between,
    mean_s,
    parse_metrics,
    speculates,
)
from pytest_precgate.errors import InvalidPointError


def counted(
    run: PointRun, before: str | None, after: str | None, template_tokens: int, draft_tokens: int | None
) -> ServerCounts:
    """Return what the counters rose by over a run: the share of prompt tokens cached, and the acceptance length.

    ``template_tokens`` of each prompt are every prompt's, and no find of the cache. ``draft_tokens`` is how many tokens
    a draft has, where that is known. Raises InvalidPointError for a counter that fell or was seen at one end alone.
    """
    if before is None and after is None:
        return ServerCounts()
    if before is None or after is None:
        raise InvalidPointError(
            run.concurrency,
            f"the server's counters could be read {'before' if after is None else 'after'} it ran and not "
            f"{'after' if after is None else 'before'}, so what they count of it is not known",
            is_outside=True,
        )
    first, last = parse_metrics(before), parse_metrics(after)
    if lost := lost_between(first, last):
        raise InvalidPointError(
            run.concurrency,
            f"counters of the server could not be read before and after it ran ({', '.join(lost)}), so what they count "
            "of it is not known",
            is_outside=True,
        )
    delta = between(first, last)
    if delta.decreased:
        raise InvalidPointError(
            run.concurrency,
            f"the server's counters fell while it ran ({', '.join(delta.decreased)}): it was started anew, or several "
            "servers answer behind one address",
        )
    cached = cached_tokens(delta)
    looked_up = delta.prompt_tokens if delta.cache_queries is None else delta.cache_queries
    share = None
    if cached is not None and looked_up:
        share = max(cached - template_tokens * len(run.records), 0.0) / looked_up
    return ServerCounts(
        cached_share=share,
        acceptance_length=acceptance_length(delta, draft_tokens),
        speculates=speculates(delta, after),
        queue_s=mean_s(delta.queue_s, delta.queued),
        prefill_s=mean_s(delta.prefill_s, delta.prefilled),
        decode_s=mean_s(delta.decode_s, delta.decoded),
        preemptions=delta.preemptions,
    )
