"""A sweep of a running server: which points are run, run again, and given up; what is kept of each run."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from pytest_precgate.analysis.curves.search import Grid, SweepTargets
from pytest_precgate.analysis.curves.sweep import SweepPoint
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.point import MeasuredPoint
from pytest_precgate.analysis.measure.records import ClientCheck, PointRun, RequestFailure
from pytest_precgate.analysis.measure.stopping import StopRule
from pytest_precgate.engines.base import Endpoint
from pytest_precgate.engines.load import LoadSettings
from pytest_precgate.engines.simulated.model import Limits, StepTime
from pytest_precgate.engines.simulated.scheduler import simulate
from pytest_precgate.errors import InconclusivePointError, InvalidPointError
from pytest_precgate.loadgen import LoadPlan, Target
from pytest_precgate.run import measuring as load
from pytest_precgate.run.measuring import Loaded
from pytest_precgate.run.probe import Wire
from tests.run.kept import Kept

MODEL = StepTime(6e-3, 2e-2, 1e-8, 2e-5, 0.05)
LOAD = LoadSettings(Grid((1, 2, 4)), stop_rule=StopRule(requests_per_slot=4))
CALM = ClientCheck(0.1, 1.0, 0.0, 1e9)
HICCUP = replace(CALM, loop_lag_p99_s=0.0227 * 100)
RESET = RequestFailure(0.0, 1.0, "reading: Connection reset by peer", is_reset=True)
Spoil = Callable[[PointRun], PointRun]


@dataclass
class Bench:
    """A sweep of a server on paper: ``spoils`` are what befalls its runs, one after another, and then nothing."""

    log: Kept
    said: list[str]
    run: list[LoadPlan]
    loaded: Loaded


BenchOf = Callable[..., Bench]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> BenchOf:
    """Every reading of the clock is ten seconds after the one before."""

    def made(*spoils: Spoil, settings: LoadSettings = LOAD, shown: Sequence[str] = ()) -> Bench:
        left, log, said, run = iter(spoils), Kept(), list[str](), list[LoadPlan]()

        def run_point(target: Target, plan: LoadPlan, **_: object) -> PointRun:  # noqa: ARG001
            run.append(plan)
            assert plan.requests is not None
            found = simulate(MODEL, Limits(), [(16, 16)] * plan.requests, plan.concurrency)
            spoil = next(left, None)
            return found if spoil is None else spoil(found)

        monkeypatch.setattr(load, "run_point", run_point)
        monkeypatch.setattr(load, "probe", lambda *_: Wire())
        ticks: Iterator[float] = iter(10.0 * number for number in range(1000))
        endpoint, pages = Endpoint("http://127.0.0.1:1", "model", 4, settings), iter(shown)
        loaded = Loaded(
            *(endpoint, "fp4", Workload(16, 16), {}, lambda *_: None, said.append, lambda: next(ticks), log),
            lambda: next(pages, None),
        )
        return Bench(log, said, run, loaded)

    return made


def disturbed(run: PointRun) -> PointRun:
    return replace(run, client=HICCUP)


def reset(run: PointRun) -> PointRun:
    return replace(run, failures=[RESET], ended="ended at the failure beyond max_failures = 0")


def refused(run: PointRun) -> PointRun:
    return replace(run, failures=[replace(RESET, cause="HTTP 500", is_reset=False)], ended="ended at the failure")


def frozen(run: PointRun) -> PointRun:
    return replace(run, failures=[RESET], ended="the server sent no byte on any stream for 60 s", froze=True)


def fine(run: PointRun) -> PointRun:
    return run


def concurrencies(points: Sequence[MeasuredPoint]) -> list[int]:
    return [point.point.concurrency for point in points]


def test_known_points_are_not_run_and_each_new_one_is_kept(bench: BenchOf) -> None:
    """In order, with the GPU seconds of the whole point by the clock it was given."""
    first = bench()
    whole = first.loaded.sweep("b200")
    assert concurrencies(first.log.points) == [1, 2, 4]
    assert {point.gpu_seconds for point in first.log.points} == {40.0}
    again = bench()
    assert again.loaded.sweep("b200", first.log.points[:2]) == whole
    assert concurrencies(again.log.points) == [4]


@pytest.mark.parametrize("spoil", [disturbed, reset])
def test_a_point_disturbed_from_outside_is_run_again_on_the_same_launch(bench: BenchOf, spoil: Spoil) -> None:
    """A hiccup of the client or one reset connection costs a run of the point, kept with its cause, and no launch."""
    used = bench(fine, spoil)
    sweep = used.loaded.sweep("b200")
    assert [point.concurrency for point in sweep.points] == [1, 2, 4]
    assert [plan.concurrency for plan in used.run] == [1, 2, 2, 4]
    ((concurrency, cause, gpu_seconds),) = used.log.tries
    assert (concurrency, gpu_seconds) == (2, 80.0)  # the clock is read once more on the way
    assert "loop lagged" in cause or "Connection reset" in cause
    assert len(used.said) == 1
    assert used.said[0].endswith("running it again, 2 of 3")


def test_a_second_run_of_a_point_asks_other_prompts(bench: BenchOf) -> None:
    """The first run's are in the server's prefix cache."""
    used = bench(disturbed)
    used.loaded.sweep("b200")
    first, second = used.run[:2]
    prompts = [tuple(plan.prompts.ask(number).prompt) for plan in (first, second) for number in range(4)]
    assert len({*prompts}) == 8


def test_a_point_that_is_always_disturbed_is_inconclusive(bench: BenchOf) -> None:
    """Three runs at most, each kept; the points before it stand."""
    used = bench(fine, disturbed, reset, disturbed)
    with pytest.raises(InconclusivePointError, match=r"concurrency 2: not a point: INCONCLUSIVE: .*\(run 3 times\)"):
        used.loaded.sweep("b200")
    assert concurrencies(used.log.points) == [1]
    assert [concurrency for concurrency, *_ in used.log.tries] == [2, 2, 2]


@pytest.mark.parametrize("spoil", [refused, frozen])
def test_what_the_engine_did_is_not_tried_again(bench: BenchOf, spoil: Spoil) -> None:
    """An HTTP error is its answer; a server that fell silent would hold its GPUs three times as long."""
    used = bench(fine, spoil)
    with pytest.raises(InvalidPointError, match="concurrency 2: not a point"):
        used.loaded.sweep("b200")
    assert len(used.run) == 2
    assert used.log.tries == []


def test_the_settings_limits_reach_the_load(bench: BenchOf) -> None:
    """Silence, request, point and failures, as they are set."""
    settings = replace(LOAD, silence_limit_s=5, request_timeout_s=6, point_limit_s=7, max_failures=2)
    used = bench(settings=settings)
    used.loaded.sweep("b200")
    limits = used.run[0].limits
    assert (limits.silence_s, limits.request_s, limits.point_s, limits.max_failures) == (5, 6, 7, 2)


def page(**counted: float) -> str:
    return "".join(f"vllm:{name}_total {value}\n" for name, value in counted.items())


def test_prompts_that_the_server_s_counters_call_cached_are_refused(bench: BenchOf) -> None:
    """Read at both ends of each point: the second one's prompts were found in the cache."""
    shown = [
        page(prefix_cache_queries=queries, prefix_cache_hits=hits, prompt_tokens=queries)
        for queries, hits in ((0, 0), (64, 0), (64, 0), (192, 64))
    ]
    used = bench(shown=shown)
    with pytest.raises(InvalidPointError, match=r"concurrency 2: not a point: 50\.0% of the prompt tokens came from"):
        used.loaded.sweep("b200")
    assert [
        finished.measurement.tokens.cached_share for finished in used.log.points if finished.measurement.tokens
    ] == [0]


@pytest.mark.parametrize("accepted", [160, 240])
def test_the_acceptance_over_a_point_is_held_to_the_forced_one(bench: BenchOf, accepted: float) -> None:
    """1 + accepted / drafts over the point; it is kept with the point where it is right."""
    before, after = (
        page(spec_decode_num_drafts=drafts, spec_decode_num_accepted_tokens=tokens)
        for drafts, tokens in ((1000, 700), (1100, 700 + accepted))
    )
    used = bench(settings=replace(LOAD, concurrency=Grid((1,)), acceptance_length=2.6), shown=[before, after])
    if accepted == 160:
        (point,) = used.loaded.sweep("b200").points
        assert point.acceptance_length == pytest.approx(2.6)
    else:
        with pytest.raises(InvalidPointError, match=r"acceptance length was 3\.400, acceptance_length forces 2\.6"):
            used.loaded.sweep("b200")


def test_the_acceptance_is_held_to_the_baseline_s(bench: BenchOf) -> None:
    """Both are within 2% of the forced one, and 3% apart."""
    settings = replace(LOAD, concurrency=Grid((1,)), acceptance_length=2.6)
    before, after = (page(spec_decode_num_drafts=n, spec_decode_num_accepted_tokens=n * 1.64) for n in (0, 100))
    sweep_targets = SweepTargets((), [SweepPoint(1, 4, 50.0, 100.0, acceptance_length=2.56)])
    with pytest.raises(InvalidPointError, match=r"acceptance length was 2\.640, the baseline's points had 2\.560"):
        bench(settings=settings, shown=[before, after]).loaded.sweep("b200", (), sweep_targets)


def test_a_server_that_was_started_anew_under_the_load_gives_no_point(bench: BenchOf) -> None:
    """Its counters fell: it was restarted, and half of the point is another server's."""
    used = bench(shown=[page(prompt_tokens=5000), page(prompt_tokens=40)])
    with pytest.raises(InvalidPointError, match=r"counters fell while it ran \(prompt_tokens\)"):
        used.loaded.sweep("b200")


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (page(prompt_tokens=64, prefix_cache_hits=0), None, "could be read before it ran and not after"),
        (None, page(prompt_tokens=64, prefix_cache_hits=0), "could be read after it ran and not before"),
        (page(prompt_tokens=64, prefix_cache_hits=0), page(prompt_tokens=128), r"\(vllm:prefix_cache_hits_total\)"),
        (page(prompt_tokens=math.nan), page(prompt_tokens=128), r"\(vllm:prompt_tokens_total\)"),
    ],
)
def test_counters_seen_at_one_end_of_a_point_alone_are_no_counters_that_say_nothing(
    bench: BenchOf, before: str | None, after: str | None, why: str
) -> None:
    """They might have said that the cache was warm: the point is run again, and is not passed over."""
    ends = [before, after]
    used = bench(settings=replace(LOAD, concurrency=Grid((1,))), shown=[*ends, *(["", ""])])
    assert len(used.loaded.sweep("b200").points) == 1
    (again,) = used.said
    assert re.search(why, again)
    with pytest.raises(InconclusivePointError, match=why):
        bench(shown=[*ends] * 3).loaded.sweep("b200")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (page(spec_decode_num_draft_tokens=0), page(spec_decode_num_draft_tokens=30)),
        ("trtllm_spec_decode_num_draft_tokens_total 5\n", "trtllm_spec_decode_num_draft_tokens_total 90\n"),
        ("sglang:spec_verify_calls_total 5\n", "sglang:spec_verify_calls_total 90\n"),
        ("", 'sglang:spec_accept_length{model_name="m"} 3.0\n'),
    ],
)
def test_speculation_that_only_the_counters_show_is_refused(bench: BenchOf, before: str, after: str) -> None:
    """Nothing forces its acceptance, and nothing tells how long it was: it speculates all the same."""
    with pytest.raises(InvalidPointError, match=r"the server speculates \(by its own counters\)"):
        bench(shown=[before, after]).loaded.sweep("b200")


def test_a_gauge_of_no_speculation_is_none(bench: BenchOf) -> None:
    """SGLang shows 0 or 1 without it."""
    shown = ["", "sglang:spec_accept_length 0.0\n", "", "sglang:spec_accept_length 1.0\n", "", ""]
    assert len(bench(shown=shown).loaded.sweep("b200").points) == 3


def test_where_a_sample_of_requests_tells_too_little_every_request_is_asked(
    bench: BenchOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens began to share events under load: the point is run again, and from then on all of them tell."""

    def untold(run: PointRun) -> PointRun:
        return replace(run, records=[replace(each, events=12, first_tokens=None) for each in run.records])

    used = bench(untold)
    monkeypatch.setattr(load, "probe", lambda *_: Wire(("token_ids",), 16))
    assert len(used.loaded.sweep("b200").points) == 3
    assert [plan.told_one_in for plan in used.run] == [16, 1, 1, 1]
    assert "how many the first one held decides the time per token" in used.said[0]
    monkeypatch.setattr(load, "probe", lambda *_: Wire(("token_ids",), 1))
    with pytest.raises(InvalidPointError, match="how many the first one held"):
        bench(untold).loaded.sweep("b200")


def test_a_key_that_the_server_sends_back_is_not_told(bench: BenchOf) -> None:
    """Its refusal may quote the header."""

    def quoted(run: PointRun) -> PointRun:
        return replace(run, failures=[replace(RESET, cause="HTTP 401: bad key sk-hunter2", is_reset=False)])

    used = bench(quoted)
    endpoint = replace(used.loaded.endpoint, api_key_env="KEY")
    with pytest.raises(InvalidPointError, match=r"bad key \(the key\)") as refused:
        replace(used.loaded, endpoint=endpoint, environ={"KEY": "sk-hunter2"}).sweep("b200")
    assert "hunter2" not in str(refused.value)
