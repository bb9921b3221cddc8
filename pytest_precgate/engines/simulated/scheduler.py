"""In-flight batching in virtual time: requests are admitted into a running batch up to a limit, prompts are prefilled
in chunks under a token budget, every step decodes one token of each running request. No clock is read and nothing
waits; the same seed gives the same records."""

from __future__ import annotations

import itertools
import math
import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from pytest_precgate.analysis.enough import IsEnough, never
from pytest_precgate.analysis.records import Gaps, PointRun, RequestRecord
from pytest_precgate.engines.simulated.model import Limits, StepTime

Lengths = tuple[int, int]
"""Input and output tokens of one request."""


@dataclass
class Request:
    """One request inside the engine: when it was sent (s), its lengths, and how far it is."""

    sent_s: float
    input_tokens: int
    output_tokens: int
    prefilled: int = 0
    first_token_s: float = 0.0


@dataclass
class Scheduler:
    """The engine's side: queues, the running batch, and one step at a time.

    ``pace`` multiplies every step (1 is the model's own speed); it is asked once a step.
    """

    model: StepTime
    limits: Limits
    pace: Callable[[], float]

    def __post_init__(self) -> None:
        self.waiting: deque[Request] = deque()
        self.steps = 0
        self._batch = 0
        self._context = 0
        self._ending: defaultdict[int, list[Request]] = defaultdict(list)
        self._prefilling: deque[Request] = deque()

    @property
    def running(self) -> Iterator[Request]:
        """The requests that decode: each gets a token in the next step."""
        return (request for ending in self._ending.values() for request in ending)

    @property
    def is_idle(self) -> bool:
        """Whether a step would have nothing to do."""
        return not (self._batch or self.waiting or self._prefilling)

    def step(self) -> tuple[float, int, list[Request], list[Request]]:
        """Do one step: return its seconds, how many running requests got a token, who got a first one, who ended.

        A request that ends is in both lists when its only token is its first.
        """
        batch = self._batch
        prefill, prompted = self._prefill(self.limits.max_tokens - batch)
        seconds = self.model.seconds(batch, self._context, prefill) * self.pace()
        self.steps += 1
        self._context += batch
        ended = self._ending.pop(self.steps, [])
        for request in ended:
            self._context -= request.input_tokens + request.output_tokens
        self._batch -= len(ended)
        for request in prompted:
            self._context += request.input_tokens + 1
            if request.output_tokens == 1:
                self._context -= request.input_tokens + 1
                ended = [*ended, request]
            else:
                self._batch += 1
                self._ending[self.steps + request.output_tokens - 1].append(request)
        return seconds, batch, prompted, ended

    def _prefill(self, budget: int) -> tuple[int, list[Request]]:
        """Spend up to ``budget`` tokens on prompts, first come first served; return tokens spent, prompts finished."""
        if not (self.waiting or self._prefilling):
            return 0, []
        while self.waiting and self._batch + len(self._prefilling) < self.limits.max_batch:
            self._prefilling.append(self.waiting.popleft())
        spent, prompted = 0, []
        while self._prefilling and spent < budget:
            request = self._prefilling[0]
            chunk = min(request.input_tokens - request.prefilled, budget - spent)
            request.prefilled += chunk
            spent += chunk
            if request.prefilled == request.input_tokens:
                prompted.append(self._prefilling.popleft())
        return spent, prompted


def draw_lengths(count: int, isl: int, osl: int, range_ratio: float, rng: random.Random) -> list[Lengths]:
    """Return ``count`` requests with input and output lengths uniform in [ratio * L, L], drawn separately."""
    low_in, low_out = math.ceil(range_ratio * isl), math.ceil(range_ratio * osl)
    return [(rng.randint(low_in, isl), rng.randint(low_out, osl)) for _ in range(count)]


@dataclass
class _ClosedLoop:
    """The client's side: ``concurrency`` slots, each sending its next request the moment its last one ended."""

    scheduler: Scheduler
    requests: Iterator[Lengths]
    concurrency: int
    is_enough: IsEnough
    records: list[RequestRecord] = field(default_factory=list)
    gaps: dict[int, int] = field(default_factory=dict)

    def run(self) -> None:
        """Run until every request has ended that was sent before enough had."""
        now, ends = 0.0, False
        scheduler, overhead = self.scheduler, self.scheduler.model.overhead_s
        arriving: deque[Request] = deque()
        arriving.extend(Request(now, *lengths) for lengths in itertools.islice(self.requests, self.concurrency))
        while arriving or not scheduler.is_idle:
            if scheduler.is_idle:
                now = max(now, arriving[0].sent_s + overhead)
            while arriving and arriving[0].sent_s + overhead <= now:
                scheduler.waiting.append(arriving.popleft())
            seconds, decoded, prompted, ended = scheduler.step()
            now += seconds
            for request in prompted:
                request.first_token_s = now
            if decoded:
                bucket = Gaps.bucket(seconds)
                self.gaps[bucket] = self.gaps.get(bucket, 0) + decoded
            for request in ended:
                self.records.append(
                    RequestRecord(
                        request.sent_s, request.first_token_s, now, request.input_tokens, request.output_tokens
                    )
                )
                ends = ends or self.is_enough(self.records)
                lengths = None if ends else next(self.requests, None)
                if lengths is not None:
                    arriving.append(Request(now, *lengths))


def simulate(
    model: StepTime,
    limits: Limits,
    requests: Iterable[Lengths],
    concurrency: int,
    pace: Callable[[], float] = lambda: 1.0,
    is_enough: IsEnough = never,
) -> PointRun:
    """Serve ``requests`` closed-loop at ``concurrency`` and return what a client would have recorded.

    Each is taken when it is sent, so they may be endless. Once ``is_enough`` says so no further one is sent, and those
    in flight end.
    """
    loop = _ClosedLoop(Scheduler(model, limits, pace), iter(requests), concurrency, is_enough)
    loop.run()
    return PointRun(concurrency, loop.records, gaps=Gaps(loop.gaps))
