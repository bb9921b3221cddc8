"""The prompts, request by request: a pure function of the seed and the request's number.

Output: random token ids, which no prefix cache contains, and lengths, evenly spread over any sequence of requests or
drawn at random as in the published method. Invariant: each request draws from its own generator, so any client process
can make any request, and the plan is the same for any number of processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Literal

from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.lengths import even_lengths
from pytest_precgate.analysis.quantity import count
from pytest_precgate.errors import InvalidValueError
from pytest_precgate.loadgen.target import Ask

Detokenize = Callable[[Sequence[int]], str]


@dataclass(frozen=True)
class Prompts:
    """Prompts of ``workload``: random token ids in [``token_low``, ``token_high``), or their text by ``detokenize``.

    ``lengths`` are "even" (analysis.lengths) or "random".

    Raises InvalidValueError for an empty range of ids. With several client processes ``detokenize`` must be picklable.
    """

    workload: Workload
    token_high: int
    token_low: int = 0
    seed: int | str = 0
    lengths: Literal["even", "random"] = "even"
    detokenize: Detokenize | None = None
    ignore_eos: bool = True
    min_tokens: bool = False

    def __post_init__(self) -> None:
        count("Prompts", "token_high", self.token_high, "token ids")
        if not 0 <= self.token_low < self.token_high:
            raise InvalidValueError(
                f"Prompts: got token ids from {self.token_low} up to {self.token_high}, wanted 0 <= low < high"
            )

    @cached_property
    def _position(self) -> int:
        """Where this seed's stretch of the even sequence begins."""
        return Random(f"{self.seed}/lengths").randrange(1 << 20)

    def ask(self, number: int) -> Ask:
        """Return request ``number`` of the plan."""
        rng = Random(f"{self.seed}/{number}")
        work = self.workload
        if self.lengths == "even":
            input_tokens, output_tokens = even_lengths(work, self._position + number)
        else:
            input_tokens = _length(rng, work.isl, work.range_ratio)
            output_tokens = _length(rng, work.osl, work.range_ratio)
        ids = rng.choices(range(self.token_low, self.token_high), k=input_tokens)
        prompt = ids if self.detokenize is None else self.detokenize(ids)
        return Ask(prompt, input_tokens, output_tokens, self.ignore_eos, self.min_tokens)


def _length(rng: Random, full: int, ratio: float) -> int:
    """Uniform in [ratio * full, full], at least one token, both ends included."""
    return rng.randint(max(1, int(ratio * full)), full)
