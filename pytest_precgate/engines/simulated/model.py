"""The step-time model: how long one engine step takes.

Input: batch size, context tokens and prefill tokens. Output: seconds. A mixture-of-experts model reads only the experts
its tokens use, so a decode step is concave in the batch: a constant, the share of experts used, and a linear term.
Experts are not equally popular: a few tokens use the popular ones, only a large batch uses the others. Prefill tokens
add their own time and use experts too."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property

from pytest_precgate.errors import InvalidValueError


@dataclass(frozen=True)
class StepTime:
    """The coefficients of a step, each zero or above.

    A step that decodes ``batch`` requests over ``context`` tokens of KV cache and prefills ``prefill`` tokens takes

        constant_s + experts_s * coverage(batch + prefill) + context_s * context + prefill_s * prefill        seconds.

    coverage(n) is the mean over experts of 1 - (1 - p)^n, p being the chance that a token touches the expert. The r-th
    most popular expert has p proportional to r^-expert_skew, at most 1, and the p add up to ``experts_per_token``; with
    no skew that is 1 - (1 - experts_per_token / experts)^n. ``overhead_s`` is spent on each request before the engine
    sees it (HTTP, tokenizer, queue), and delays no step.

    ``padded_steps`` is a share in [0, 1]. A server with CUDA graphs captured for powers of two runs a decode step with
    its batch rounded up to the next of them; ``padded_steps`` is the part of the extra expert time that such a step
    really takes. A step that prefills runs without a graph and is not padded.
    """

    constant_s: float
    experts_s: float
    context_s: float
    prefill_s: float
    overhead_s: float
    expert_skew: float = 0.0
    experts: int = 384
    experts_per_token: int = 8
    padded_steps: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
                raise InvalidValueError(f"StepTime.{field.name}: got {value!r}, wanted a finite number of at least 0")
        if not 0 < self.experts_per_token <= self.experts:
            raise InvalidValueError(
                f"StepTime.experts_per_token: got {self.experts_per_token} of {self.experts} experts, wanted 1 to all"
            )
        if self.padded_steps > 1:
            raise InvalidValueError(f"StepTime.padded_steps: got {self.padded_steps:g}, wanted a share from 0 to 1")
        if self.constant_s + self.experts_s + self.context_s <= 0:
            raise InvalidValueError("StepTime: a decode step would take no time")

    @cached_property
    def _untouched(self) -> tuple[float, ...]:
        """The probability for each expert that one token does not use it."""
        weights = [rank**-self.expert_skew for rank in range(1, self.experts + 1)]
        certain = 0  # experts popular enough to be used by every token
        while True:
            share = (self.experts_per_token - certain) / sum(weights[certain:])
            if share * weights[certain] <= 1:
                return tuple(1 - min(1.0, share * weight) for weight in weights[certain:]) + (0.0,) * certain
            certain += 1

    @cached_property
    def _known(self) -> dict[int, float]:
        return {}

    def coverage(self, tokens: int) -> float:
        """Return the share of experts that ``tokens`` tokens use, in [0, 1]."""
        known = self._known.get(tokens)
        if known is None:
            known = self._known[tokens] = 1.0 - sum(chance**tokens for chance in self._untouched) / self.experts
        return known

    def seconds(self, batch: int, context: int, prefill: int) -> float:
        """Return the seconds of one step."""
        coverage = self.coverage(batch + prefill)
        if self.padded_steps and batch and not prefill:
            coverage += self.padded_steps * (self.coverage(1 << (batch - 1).bit_length()) - coverage)
        return self.constant_s + self.experts_s * coverage + self.context_s * context + self.prefill_s * prefill


@dataclass(frozen=True)
class Limits:
    """The limits of one step: requests running at once, and tokens per step (decode and prefill)."""

    max_batch: int = 2048
    max_tokens: int = 8192

    def __post_init__(self) -> None:
        if self.max_batch < 1 or self.max_tokens <= 0:
            raise InvalidValueError(
                f"Limits: got {self.max_batch} requests, {self.max_tokens} tokens, wanted at least 1"
            )


@dataclass(frozen=True)
class Speculation:
    """Speculative decoding with a given acceptance.

    Each step drafts ``tokens`` tokens for every running request and emits ``acceptance_length`` tokens on average, the
    bonus token included, so 1 to ``tokens`` + 1. The number per step is deterministic: after n steps a request has
    floor(n * acceptance_length + phase) tokens, with its own ``phase`` in [0, 1)."""

    tokens: int
    acceptance_length: float

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise InvalidValueError(f"Speculation.tokens: got {self.tokens}, wanted at least 1")
        if not 1 <= self.acceptance_length <= self.tokens + 1:
            raise InvalidValueError(
                f"Speculation.acceptance_length: got {self.acceptance_length:g}, wanted 1 to {self.tokens + 1} "
                "(the drafted tokens and the bonus token)"
            )

    def emitted(self, steps: int, phase: float) -> int:
        """Return the tokens a request has got after ``steps`` decode steps."""
        return math.floor(steps * self.acceptance_length + phase)

    def steps(self, tokens: int, phase: float) -> int:
        """Return the smallest number of decode steps after which a request has ``tokens`` tokens or more."""
        steps = max(0, math.ceil((tokens - phase) / self.acceptance_length) - 1)
        while self.emitted(steps, phase) < tokens:
            steps += 1
        return steps


@dataclass(frozen=True)
class Noise:
    """Seeded noise. Shares: a sigma of 0.01 is a standard deviation of 1%.

    ``launch_sigma`` slows or speeds a whole launch, ``step_sigma`` each step; a launch is an outlier with probability
    ``outlier_rate`` and then ``outlier_drop`` slower. ``slowdown`` makes every step longer, to rehearse a regression.
    """

    launch_sigma: float = 0.0
    step_sigma: float = 0.0
    outlier_rate: float = 0.0
    outlier_drop: float = 0.1
    slowdown: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
                if field.name == "slowdown" and isinstance(value, (int, float)) and -0.9 < value < 10:
                    continue
                raise InvalidValueError(f"Noise.{field.name}: got {value!r}, wanted a share from 0 to below 1")
