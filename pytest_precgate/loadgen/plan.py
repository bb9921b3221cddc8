"""The plan of a point, and the requests made from it before any clock starts. Values only.

``handover``: the first requests are the warm-up, shortened so that the slots end them one after another; the steady
window cuts them away, and no drain repeats the burst of the start. ``drained``: two requests per slot run first, end,
and leave no record except failures: the published method, for the whole window."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Literal, get_args

from pytest_precgate.analysis.measure.lengths import first_output_tokens
from pytest_precgate.analysis.measure.stopping import IsEnough, StopRule, never
from pytest_precgate.analysis.quantity import count, positive
from pytest_precgate.errors import InvalidValueError
from pytest_precgate.loadgen.prompts import Prompts
from pytest_precgate.loadgen.tally import Ended
from pytest_precgate.loadgen.target import Ask, Outgoing, Target, Telling, encode

Warmup = Literal["handover", "drained"]
DRAINED_PER_SLOT = 2
_PREPARED_PER_SLOT = 6

Take = Callable[[], Outgoing | None]


@dataclass(frozen=True)
class Limits:
    """Time limits of a point, s, and how many requests may fail.

    ``connect_s``: a connection to open; ``silence_s``: no byte on any stream of the point; ``request_s``: one request;
    ``point_s``: the whole point, warm-up included. A request that had to be sent again counts like a failed one."""

    connect_s: float = 10.0
    silence_s: float = 60.0
    request_s: float = 600.0
    point_s: float = 1800.0
    max_failures: int = 0

    def __post_init__(self) -> None:
        for limit in fields(self):
            if limit.name != "max_failures":
                positive("Limits", limit.name, getattr(self, limit.name), "s")
        if isinstance(self.max_failures, bool) or not isinstance(self.max_failures, int) or self.max_failures < 0:
            raise InvalidValueError(f"Limits.max_failures: got {self.max_failures!r}, wanted a whole number from 0")

    def exceeded(self, now_s: float, began_s: float, heard_s: float, failed: int) -> Ended | None:
        """Return why a point must be given up now, None while it may continue.

        ``began_s`` is its start, ``heard_s`` the last time a byte came on any stream, ``failed`` the requests that
        failed or were sent again."""
        if failed > self.max_failures:
            return Ended(f"ended at the failure beyond max_failures = {self.max_failures}")
        if now_s - heard_s > self.silence_s:
            return Ended(
                f"the server sent no byte on any stream for {self.silence_s:g} s (silence_limit_s)", froze=True
            )
        if now_s - began_s > self.point_s:
            return Ended(f"the point was not complete after {self.point_s:g} s (point_limit_s)")
        return None


@dataclass(frozen=True)
class LoadPlan:
    """One point to be run, ``concurrency`` requests in flight at any time, and one of two ways to end.

    ``requests`` in total; or once its figures are known to ``point_error`` (relative half-width of the 90% interval),
    at the latest ``window_limit_s`` after the ramp, 120 s by default. Every ``told_one_in``-th request asks the server,
    in the ways of ``telling``, how many tokens each event holds. Raises InvalidValueError for both ways or neither,
    fewer requests than slots, or an unknown warm-up."""

    prompts: Prompts
    concurrency: int
    requests: int | None = None
    warmup: Warmup = "handover"
    point_error: float | None = None
    window_limit_s: float | None = None
    limits: Limits = field(default_factory=Limits)
    telling: tuple[Telling, ...] = ()
    told_one_in: int = 1

    def __post_init__(self) -> None:
        count("LoadPlan", "concurrency", self.concurrency, "requests in flight")
        count("LoadPlan", "told_one_in", self.told_one_in, "requests")
        if self.warmup not in get_args(Warmup):
            raise InvalidValueError(f"LoadPlan.warmup: got {self.warmup!r}, wanted {' or '.join(get_args(Warmup))}")
        if (self.requests is None) == (self.point_error is None):
            raise InvalidValueError(
                f"LoadPlan: got requests {self.requests} and point_error {self.point_error}, wanted one of the two"
            )
        if self.point_error is not None:  # refuses impossible values
            StopRule(point_error=self.point_error, window_limit_s=self.window_limit_s)
            return
        if self.window_limit_s is not None:
            raise InvalidValueError(
                "LoadPlan.window_limit_s: wanted none, a number of requests takes the time it takes"
            )
        if count("LoadPlan", "requests", self.requests, "requests") < self.concurrency:
            raise InvalidValueError(
                f"LoadPlan.requests: got {self.requests}, wanted at least one for each of {self.concurrency} slots"
            )

    def is_enough(self) -> IsEnough:
        """Return the function that decides, with the records so far, whether the point may end."""
        if self.point_error is None:
            return never
        return StopRule(point_error=self.point_error, window_limit_s=self.window_limit_s).is_enough(self.concurrency)

    def ask(self, number: int) -> Ask:
        """Return request ``number`` of the plan, warm-up included."""
        ask = self.prompts.ask(number)
        if number % self.told_one_in == 0:
            ask = replace(ask, telling=self.telling)
        if self.warmup == "drained" or number >= self.concurrency:
            return ask
        return replace(ask, output_tokens=first_output_tokens(ask.output_tokens, number, self.concurrency))

    @property
    def most(self) -> int | None:
        """The number of requests, warm-up included; None when their records decide."""
        return None if self.requests is None else self.requests + self.warmup_requests(self.concurrency)

    @property
    def prepared(self) -> int:
        """How many counted requests are encoded before the clock starts: usually all that will be sent."""
        return _PREPARED_PER_SLOT * self.concurrency if self.requests is None else self.requests

    def warmup_requests(self, slots: int) -> int:
        """Return how many requests ``slots`` of the slots run before the point, without record."""
        return DRAINED_PER_SLOT * slots if self.warmup == "drained" else 0


@dataclass(frozen=True)
class Progress:
    """The progress of a point: seconds since it began, requests ended and planned (warm-up included), tokens generated.

    ``total`` is None when the point ends by its error. ``output_tokens`` counts requests that have ended, because only
    their ``usage`` is known."""

    elapsed_s: float
    completed: int
    total: int | None
    output_tokens: int


class Requests:
    """Every ``of``-th request of a plan from number ``first`` on, ``ready`` of them encoded at construction.

    The others are encoded on demand: when another process was slower than its share, or a point takes long."""

    def __init__(self, target: Target, plan: LoadPlan, first: int, of: int, ready: int) -> None:
        self._made = (encode(target, plan.ask(number)) for number in itertools.count(first, of))
        self._ready = list(itertools.islice(self._made, ready))
        self._ready.reverse()

    def next(self) -> Outgoing:
        """Return the next request."""
        return self._ready.pop() if self._ready else next(self._made)

    def at_most(self, number: int | None) -> Take:
        """Return a function that returns ``number`` requests, one per call, and then None; without a number it does not
        end."""
        if number is None:
            return self.next
        left = iter(range(number))
        return lambda: None if next(left, None) is None else self.next()
