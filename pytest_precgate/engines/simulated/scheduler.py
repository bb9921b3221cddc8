"""In-flight batching in virtual time.

Input: requests, a step-time model and limits. Output: the time of each token. Requests are admitted into a running
batch up to a limit, prompts are prefilled in chunks under a token budget, and every step decodes one token of each
running request. Invariant: no clock is read and nothing waits; the same seed gives the same records."""

from __future__ import annotations

import itertools
import math
import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pytest_precgate.analysis.measure.records import Gaps, PointRun, RequestRecord
from pytest_precgate.analysis.measure.stopping import IsEnough, never
from pytest_precgate.engines.simulated.model import Limits, Speculation, StepTime
from pytest_precgate.engines.simulated.prefix_cache import PrefixCache

Lengths = tuple[int, int]
"""Input and output tokens of one request."""


_GOLDEN = (math.sqrt(5) - 1) / 2  # the fractional parts of its multiples are spread evenly over [0, 1)


@dataclass(eq=False)
class Request:
    """One request inside the engine: its send time (s), its lengths, and its progress.

    ``blocks`` are the keys of its prompt in the prefix cache, ``cached`` the prompt tokens taken from there."""

    sent_s: float
    input_tokens: int
    output_tokens: int
    prefilled: int = 0
    first_token_s: float = 0.0
    blocks: Sequence[bytes] = ()
    cached: int = 0
    first_step: int = 0
    phase: float = 0.0


@dataclass
class Scheduler:
    """The engine's side: queues, the running batch, and one step at a time.

    ``pace`` multiplies every step (1 is the model's own speed); it is called once a step. With ``speculation`` a step
    takes as long as a batch of drafted and bonus tokens, and the draft model takes no time. ``admitted`` are the
    requests that the last step took out of the queue; ``drafts`` and ``accepted`` count requests times steps, and
    accepted draft tokens."""

    model: StepTime
    limits: Limits
    pace: Callable[[], float]
    speculation: Speculation | None = None
    cache: PrefixCache | None = None

    def __post_init__(self) -> None:
        self.waiting: deque[Request] = deque()
        self.admitted: list[Request] = []
        self.steps = 0
        self.drafts = 0
        self.accepted = 0
        self._batch = 0
        self._phases = 0
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

    @property
    def occupancy(self) -> tuple[int, int]:
        """How many requests run (those whose prompt is being prefilled among them), and how many wait."""
        return self._batch + len(self._prefilling), len(self.waiting)

    def tokens_of(self, request: Request) -> int:
        """Return how many tokens a request that has had its first one has by now."""
        return min(request.output_tokens, 1 + self._decoded(request, self.steps))

    def abort(self, request: Request) -> None:
        """Drop a request whose client has disconnected; one that has ended is dropped already."""
        if request in self.waiting:
            self.waiting.remove(request)
        elif request in self._prefilling:
            self._prefilling.remove(request)
        elif request in (ending := self._ending.get(self._last_step(request), [])):
            ending.remove(request)
            self._batch -= 1
            self._context -= request.input_tokens + self.tokens_of(request)

    def step(self) -> tuple[float, int, list[Request], list[Request]]:
        """Do one step: return its seconds, how many running requests got a token, which got a first one, which ended.

        A request that ends is in both lists when its only token is its first."""
        batch = self._batch
        decoding = batch if self.speculation is None else batch * (1 + self.speculation.tokens)
        self.admitted = []
        prefill, prompted = self._prefill(self.limits.max_tokens - decoding)
        seconds = self.model.seconds(decoding, self._context, prefill) * self.pace()
        self.steps += 1
        self._context += batch if self.speculation is None else self._speculated()
        ended = self._ending.pop(self.steps, [])
        for request in ended:
            self._context -= request.input_tokens + request.output_tokens
        self._batch -= len(ended)
        for request in prompted:
            request.first_step = self.steps
            self._context += request.input_tokens + 1
            if request.output_tokens == 1:
                self._context -= request.input_tokens + 1
                ended = [*ended, request]
            else:
                self._batch += 1
                self._ending[self._last_step(request)].append(request)
        return seconds, batch, prompted, ended

    def _decoded(self, request: Request, step: int) -> int:
        """Tokens of decode steps up to ``step``; more than were asked for if the last step produced more."""
        steps = step - request.first_step
        return steps if self.speculation is None else self.speculation.emitted(steps, request.phase)

    def _last_step(self, request: Request) -> int:
        rest = request.output_tokens - 1
        return request.first_step + (rest if self.speculation is None else self.speculation.steps(rest, request.phase))

    def _speculated(self) -> int:
        """Count the drafts of the step just taken; return by how many tokens the running requests grew."""
        grown = 0
        for request in self.running:
            before, after = (self._decoded(request, step) for step in (self.steps - 1, self.steps))
            self.drafts += 1
            self.accepted += after - before - 1
            grown += min(after, request.output_tokens - 1) - before
        return grown

    def _prefill(self, budget: int) -> tuple[int, list[Request]]:
        """Spend up to ``budget`` tokens on prompts, first come first served; return tokens spent, prompts finished."""
        if not (self.waiting or self._prefilling):
            return 0, []
        while self.waiting and self._batch + len(self._prefilling) < self.limits.max_batch:
            request = self.waiting.popleft()
            if self.cache is not None:
                request.cached = request.prefilled = self.cache.take(request.blocks, request.input_tokens)
            if self.speculation is not None:
                self._phases += 1
                request.phase = self._phases * _GOLDEN % 1.0
            self._prefilling.append(request)
            self.admitted.append(request)
        costs, prompted = 0, []
        while self._prefilling and costs < budget:
            request = self._prefilling[0]
            chunk = min(request.input_tokens - request.prefilled, budget - costs)
            request.prefilled += chunk
            costs += chunk
            if request.prefilled == request.input_tokens:
                prompted.append(self._prefilling.popleft())
                if self.cache is not None:
                    self.cache.keep(request.blocks)
        return costs, prompted


def draw_lengths(count: int, isl: int, osl: int, range_ratio: float, rng: random.Random) -> list[Lengths]:
    """Return ``count`` requests with input and output lengths uniform in [ratio * L, L], drawn separately."""
    low_in, low_out = math.ceil(range_ratio * isl), math.ceil(range_ratio * osl)
    return [(rng.randint(low_in, isl), rng.randint(low_out, osl)) for _ in range(count)]


@dataclass
class _ClosedLoop:
    """The client's side: ``concurrency`` slots, each sending its next request when its previous one ends."""

    scheduler: Scheduler
    requests: Iterator[Lengths]
    concurrency: int
    is_enough: IsEnough
    records: list[RequestRecord] = field(default_factory=list)
    gaps: dict[int, int] = field(default_factory=dict)

    def run(self) -> None:
        """Run until every request has ended that was sent before the limit was reached."""
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
    """Serve ``requests`` closed-loop at ``concurrency`` and return the records of a client.

    Each request is taken when it is sent, so there may be infinitely many. Once ``is_enough`` returns true no further
    one is sent, and those in flight end."""
    loop = _ClosedLoop(Scheduler(model, limits, pace), iter(requests), concurrency, is_enough)
    loop.run()
    return PointRun(concurrency, loop.records, gaps=Gaps(loop.gaps))
