"""The counters of the simulated server since its start, with vLLM's names in Prometheus text.

Input: finished steps and requests. Output: text. Invariant: counters only rise; times are seconds. Names, labels and
the division of a request's time are those of vllm/v1/metrics/loggers.py and stats.py: queue until first scheduled,
prefill until the first token, decode until the last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_TIMES = {
    "time_to_first_token_seconds": "Time to first token in seconds.",
    "request_queue_time_seconds": "Time spent in the waiting phase.",
    "request_prefill_time_seconds": "Time spent in the prefill phase.",
    "request_decode_time_seconds": "Time spent in the decode phase.",
}


@dataclass
class Times:
    """Moments of one request, in s of one clock: when it arrived, was queued, was scheduled, had its first token."""

    arrived_s: float
    queued_s: float = 0.0
    scheduled_s: float = 0.0
    first_token_s: float = 0.0


@dataclass
class Counters:
    """Tokens and times of all requests so far; ``observed`` maps a name of ``_TIMES`` to sum (s) and count."""

    prompt_tokens: int = 0
    generation_tokens: int = 0
    observed: dict[str, tuple[float, int]] = field(default_factory=lambda: dict.fromkeys(_TIMES, (0.0, 0)))

    def first_token(self, times: Times, prompt_tokens: int) -> None:
        """Count a prompt that has been computed, at ``times.first_token_s``."""
        self.prompt_tokens += prompt_tokens
        self._observe("time_to_first_token_seconds", times.first_token_s - times.arrived_s)

    def ended(self, times: Times, now_s: float) -> None:
        """Count the phases of a request that had its last token at ``now_s``."""
        self._observe("request_queue_time_seconds", times.scheduled_s - times.queued_s)
        self._observe("request_prefill_time_seconds", times.first_token_s - times.scheduled_s)
        self._observe("request_decode_time_seconds", now_s - times.first_token_s)

    def _observe(self, name: str, seconds: float) -> None:
        total, count = self.observed[name]
        self.observed[name] = (total + seconds, count + 1)


def exposition(model: str, gauges: Mapping[str, float], totals: Mapping[str, float], counters: Counters) -> str:
    """Return the Prometheus text: ``gauges`` and ``totals`` by vLLM's name without its prefix, then the times."""
    label = model.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return "\n".join(_lines(f'engine="0",model_name="{label}"', gauges, totals, counters)) + "\n"


def _lines(labels: str, gauges: Mapping[str, float], totals: Mapping[str, float], counters: Counters) -> Iterator[str]:
    for kind, suffix, values in (("gauge", "", gauges), ("counter", "_total", totals)):
        for name, value in values.items():
            yield f"# HELP vllm:{name}{suffix} {name.replace('_', ' ')}."
            yield f"# TYPE vllm:{name}{suffix} {kind}"
            yield f"vllm:{name}{suffix}{{{labels}}} {float(value)}"
    for name, about in _TIMES.items():
        total, count = counters.observed[name]
        yield f"# HELP vllm:{name} {about}"
        yield f"# TYPE vllm:{name} histogram"
        yield f'vllm:{name}_bucket{{{labels},le="+Inf"}} {float(count)}'
        yield f"vllm:{name}_sum{{{labels}}} {total}"
        yield f"vllm:{name}_count{{{labels}}} {float(count)}"
