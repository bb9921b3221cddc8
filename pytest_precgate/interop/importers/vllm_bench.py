"""The raw result of `vllm bench serve` of 2026, which is InferenceX's raw result too: one JSON object, or one per line
of a file that was appended to.

Source: vllm-project/vllm, vllm/benchmarks/serve.py; SemiAnalysisAI/InferenceX,
utils/bench_serving/benchmark_serving.py.

Fields: max_concurrency, total_token_throughput (tok/s of the system; tokens over duration must be the same),
median_tpot_ms, num_prompts, completed, failed, errors (with --save-detailed), request_rate, ramp_up_strategy,
total_input_tokens, total_output_tokens, duration, model_id; as details mean, median, p90 and p99 of ttft, tpot and e2el
(where --percentile-metrics and --metric-percentiles ask for them) and output_throughput. Lacks GPUs, precision,
hardware and the nominal lengths: tokens over requests are their averages. A request rate with a limit, one that was
ramped up (its request_rate is inf), and fewer requests than the concurrency are refused: the concurrency was not
constant. Not read, because speculative decoding sends several tokens in one chunk, and a parser holds some back: itl
and max_output_tokens_per_s count chunks (vllm-project/vllm pull request 35471, issue 27485). The fields spec_decode_*
are not needed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from pytest_precgate.documents import Node
from pytest_precgate.interop.fields import (
    MS,
    counted,
    field,
    held,
    number_at,
    optional,
    per_second,
    refuse_unless_zero,
    text_at,
)
from pytest_precgate.interop.figures import details_of, flat_times
from pytest_precgate.interop.formats import ObjectFormat
from pytest_precgate.interop.rows import RecordedRow


def refuse_rate(node: Node) -> None:
    """Refuse requests at a rate: a text or a number; ``inf`` means no rate."""
    rate = optional(node, "request_rate")
    if rate is not None and rate.value not in ("inf", math.inf):
        rate.fail("requests were sent at a rate, so the concurrency was not constant; wanted request_rate inf")
    ramp = optional(node, "ramp_up_strategy")
    if ramp is not None:
        ramp.fail("requests were sent at a rising rate, so the concurrency was not constant; wanted no ramp-up")


def refuse_errors(node: Node) -> None:
    """Refuse a detailed result that lists the error of a request; those that went well have an empty text."""
    errors = optional(node, "errors")
    for error in [] if errors is None else errors.items():
        if error.value not in (None, ""):
            error.fail(f"got {error.shown}: a request failed; a point with failed requests is not valid")


def refuse_other_total(node: Node, name: str, words: Sequence[str] = ("input", "output")) -> None:
    """Refuse a throughput that is not the tokens of ``words`` over the duration, if the file has them."""
    duration = number_at(node, "duration")
    if duration is None:
        return
    throughput = field(node, name)
    tokens = sum(field(node, f"total_{word}_tokens").number() for word in words)
    if not math.isclose(throughput.number() * duration, tokens, rel_tol=0.01):
        throughput.fail(
            f"got {throughput.number():g} tok/s, wanted {tokens:g} tokens of {' and '.join(words)} over "
            f"{duration:g} s: is it that of one GPU, or of the output alone?"
        )


def output_throughput(node: Node) -> float | None:
    """Return output_throughput, if the file has it; what output tokens over duration are not, is refused."""
    if optional(node, "output_throughput") is None:
        return None
    refuse_other_total(node, "output_throughput", ("output",))
    return field(node, "output_throughput").number()


def _rows(node: Node) -> Iterator[RecordedRow]:
    refuse_rate(node)
    refuse_unless_zero(optional(node, "failed"), "requests failed")
    refuse_errors(node)
    refuse_other_total(node, "total_token_throughput")
    completed, wanted = counted(field(node, "completed")), counted(field(node, "num_prompts"))
    if completed != wanted:
        field(node, "completed").fail(f"got {completed} of {wanted} requests; failed requests make a point invalid")
    with node.building():
        yield RecordedRow(
            node,
            concurrency=held(field(node, "max_concurrency"), completed),
            interactivity=per_second(field(node, "median_tpot_ms"), MS),
            throughput=field(node, "total_token_throughput").number(),
            counts="system",
            mean_isl=field(node, "total_input_tokens").number() / completed,
            mean_osl=field(node, "total_output_tokens").number() / completed,
            model=text_at(node, "model_id"),
            output_throughput=output_throughput(node),
            details=details_of(flat_times(node, "e2el", "_ms", MS)),
        )


def _is_ours(members: Mapping[str, object]) -> bool:
    return "max_concurrency" in members and "total_token_throughput" in members


FORMAT = ObjectFormat("vllm bench serve (InferenceX raw)", _is_ours, _rows)
