"""Queries to a server once per launch, outside the load: how it reports the tokens of its events, and its chat
template.

Input: a target and prompts. Output: a Wire. The answers decide how the load asks; none of them is part of a figure.
When a server does not answer here, the point that follows fails and states the cause."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from pytest_precgate.analysis.measure.records import PointRun, RequestRecord
from pytest_precgate.loadgen import Limits, LoadPlan, Prompts, Target, Telling

# From the one that costs a server least to the one that costs it GPU time.
_WAYS: tuple[Telling, ...] = ("token_ids", "usage", "timings", "logprobs")
# Long enough to meet events of several tokens and tokens without text, short enough to cost nothing.
_MOST_INPUT, _MOST_OUTPUT = 64, 32
_REQUESTS = 2
# Where every token has an event of its own, so many requests of the load ask, to see that it stays so under load.
_SAMPLED_ONE_IN = 16

Run = Callable[[Target, LoadPlan], PointRun]


@dataclass(frozen=True)
class Wire:
    """How a server is asked for the tokens of each event, and what it puts before every prompt.

    Every ``told_one_in``-th request asks in the ways of ``telling``; none where it knows no way. ``template_tokens`` is
    what its template adds to a prompt of text.
    """

    telling: tuple[Telling, ...] = ()
    told_one_in: int = 1
    template_tokens: int = 0


def probe(target: Target, prompts: Prompts, limits: Limits, run: Run) -> Wire:
    """Ask a server that is up; ``run`` runs a point. Raises ConnectFailedError when it cannot be reached."""
    work = prompts.workload
    short = replace(work, isl=min(work.isl, _MOST_INPUT), osl=min(work.osl, _MOST_OUTPUT), range_ratio=1.0)
    plan = LoadPlan(replace(prompts, workload=short), 1, _REQUESTS, limits=replace(limits, max_failures=0))
    wire = Wire(template_tokens=_template_tokens(target, plan, run))
    for way, records in _told(target, plan, run):
        each_its_own = all(record.events == record.output_tokens for record in records)
        return replace(wire, telling=(way,), told_one_in=_SAMPLED_ONE_IN if each_its_own else 1)
    return wire


def _told(target: Target, plan: LoadPlan, run: Run) -> Iterator[tuple[Telling, Sequence[RequestRecord]]]:
    """Every way a server heeds, with what it answered; one that does not know a field answers 400, or nothing of it."""
    for number, way in enumerate(_WAYS):
        prompts = replace(plan.prompts, seed=f"{plan.prompts.seed}/{number}")
        found = run(target, replace(plan, prompts=prompts, telling=(way,)))
        if found.froze:
            return  # it would be waited for once for each way
        if found.records and not found.failures and all(record.told for record in found.records):
            yield way, found.records


def _template_tokens(target: Target, plan: LoadPlan, run: Run) -> int:
    """What a prompt of one short word has beyond its one token: only a text is put into a template."""
    if plan.prompts.detokenize is None:
        return 0
    word = replace(
        plan.prompts,
        workload=replace(plan.prompts.workload, isl=1),
        detokenize=_one_word,
        seed=f"{plan.prompts.seed}/template",
    )
    found = run(target, replace(plan, prompts=word, requests=1))
    return max((record.input_tokens for record in found.records), default=1) - 1


def _one_word(_: Sequence[int]) -> str:
    return "a"
