"""A sweep of a running server: which points are run, run again, and given up; what is kept of each run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from pytest_precgate.analysis.enough import Extent
from pytest_precgate.analysis.finished import FinishedPoint
from pytest_precgate.analysis.records import ClientCheck, PointRun, RequestFailure
from pytest_precgate.analysis.schedule import Grid
from pytest_precgate.analysis.workload import Workload
from pytest_precgate.engines.base import Endpoint
from pytest_precgate.engines.load import LoadSettings
from pytest_precgate.engines.simulated.model import Limits, StepTime
from pytest_precgate.engines.simulated.scheduler import simulate
from pytest_precgate.errors import InconclusivePointError, InvalidPointError
from pytest_precgate.live import load
from pytest_precgate.live.load import Loaded, TokenizerText
from pytest_precgate.live.probe import Wire
from pytest_precgate.loadgen import LoadPlan, Target

MODEL = StepTime(6e-3, 2e-2, 1e-8, 2e-5, 0.05)
LOAD = LoadSettings(Grid((1, 2, 4)), extent=Extent(requests_per_slot=4))
CALM = ClientCheck(0.1, 1.0, 0.0, 1e9)
HICCUP = replace(CALM, loop_lag_p99_s=0.0227 * 100)
RESET = RequestFailure(0.0, 1.0, "reading: Connection reset by peer", is_reset=True)
Spoil = Callable[[PointRun], PointRun]


@dataclass
class Log:
    """What a sweep keeps, in memory."""

    seeds: list[str] = field(default_factory=list)
    points: list[FinishedPoint] = field(default_factory=list)
    tries: list[tuple[int, str, float]] = field(default_factory=list)

    def seed(self, concurrency: int) -> str:
        return f"salt/{concurrency}/{sum(each[0] == concurrency for each in self.tries)}"

    def add(self, point: FinishedPoint) -> None:
        self.points.append(point)

    def tried(self, configuration: str, concurrency: int, cause: str, gpu_seconds: float) -> None:  # noqa: ARG002
        self.tries.append((concurrency, cause, gpu_seconds))


@dataclass
class Bench:
    """A sweep of a server on paper: ``spoils`` are what befalls its runs, one after another, and then nothing."""

    log: Log
    said: list[str]
    run: list[LoadPlan]
    loaded: Loaded


BenchOf = Callable[..., Bench]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> BenchOf:
    """Every reading of the clock is ten seconds after the one before."""

    def made(*spoils: Spoil, settings: LoadSettings = LOAD) -> Bench:
        left, log, said, run = iter(spoils), Log(), list[str](), list[LoadPlan]()

        def run_point(target: Target, plan: LoadPlan, **_: object) -> PointRun:  # noqa: ARG001
            run.append(plan)
            found = simulate(MODEL, Limits(), [(16, 16)] * plan.requests, plan.concurrency)
            spoil = next(left, None)
            return found if spoil is None else spoil(found)

        monkeypatch.setattr(load, "run_point", run_point)
        monkeypatch.setattr(load, "probe", lambda *_: Wire())
        ticks: Iterator[float] = iter(10.0 * number for number in range(1000))
        endpoint = Endpoint("http://127.0.0.1:1", "model", 4, settings)
        return Bench(
            log,
            said,
            run,
            Loaded(endpoint, "fp4", Workload(16, 16), {}, lambda *_: None, said.append, lambda: next(ticks), log),
        )

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


def concurrencies(points: Sequence[FinishedPoint]) -> list[int]:
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


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE tokenizer of 600 tokens, trained on a few words: side by side, random tokens merge."""
    made = Tokenizer(BPE())
    made.pre_tokenizer, made.decoder = ByteLevel(add_prefix_space=False), ByteLevelDecoder()
    words = [f"{one}{two}{three}" for one in "abcdefgh" for two in "aeiou" for three in "lmnrst"]
    made.train_from_iterator([" ".join(words)] * 3, BpeTrainer(vocab_size=600, initial_alphabet=ByteLevel.alphabet()))
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(path))
    return path


def test_a_text_has_as_many_tokens_as_the_ids_it_was_made_of(tokenizer: Path) -> None:
    """Random ids, decoded and read again, are fewer or more tokens; the text is mended until they are as many."""
    model, detokenize = Tokenizer.from_file(str(tokenizer)), TokenizerText(tokenizer)
    raw, mended = [], []
    for number in range(20):
        ids = [(7919 * number + 104729 * place) % 600 for place in range(200)]
        raw.append(len(model.encode(model.decode(ids), add_special_tokens=False).ids))
        mended.append(len(model.encode(detokenize(ids), add_special_tokens=False).ids))
    assert abs(sum(mended) / len(mended) / 200 - 1) <= 0.01
    assert abs(sum(raw) / len(raw) / 200 - 1) > 0.02
