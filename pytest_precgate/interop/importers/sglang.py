"""The result of SGLang's bench_serving, 0.4 and 0.5: one JSON object per line.

Source: sgl-project/sglang, python/sglang/bench_serving.py.

Fields: max_concurrency, total_throughput (tok/s of the system; tokens over duration must be the same), median_tpot_ms,
completed, errors (with --output-details), total_input_tokens, total_output_tokens, duration, request_rate,
dataset_name, random_input_len, random_output_len (nominal lengths of its random data sets), server_info.tp_size,
pp_size, dp_size, enable_dp_attention, quantization, model_path; as details mean, median, p90 (0.5) and p99 of ttft,
tpot and e2e_latency, and output_throughput. Not read: itl, which is the gap between chunks, and with its own API that
gap over the tokens of the chunk. Lacks hardware; lacks GPUs and precision too where server_info is null, and precision
where it names no quantization: SGLang detects that of a checkpoint by itself. The number of requests sent is not
stated, so failures are seen only in errors. Before total_throughput and server_info were added in 2025, a line has
input_throughput and output_throughput, whose sum is the total."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_precgate.documents import Node
from pytest_precgate.interop.fields import (
    MS,
    counted,
    field,
    held,
    is_yes,
    optional,
    per_second,
    precision_named,
    text_at,
    whole,
)
from pytest_precgate.interop.figures import details_of, flat_times
from pytest_precgate.interop.formats import ObjectFormat
from pytest_precgate.interop.importers.vllm_bench import (
    output_throughput,
    refuse_errors,
    refuse_other_total,
    refuse_rate,
)
from pytest_precgate.interop.rows import RecordedRow

_SERVER = "server_info"
_TOTAL = "total_throughput"
_PARTS = ("input", "output")


def _rows(node: Node) -> Iterator[RecordedRow]:
    refuse_rate(node)
    refuse_errors(node)
    throughput = _throughput(node)
    completed = counted(field(node, "completed"))
    lengths: tuple[int, ...] = ()
    if (text_at(node, "dataset_name") or "").startswith("random"):
        lengths = tuple(whole(field(node, f"random_{word}_len")) for word in _PARTS)
    with node.building():
        yield RecordedRow(
            node,
            concurrency=held(field(node, "max_concurrency"), completed),
            interactivity=per_second(field(node, "median_tpot_ms"), MS),
            throughput=throughput,
            counts="system",
            gpus=_gpus(node),
            precision=precision_named(text_at(node, _SERVER, "quantization")),
            isl=lengths[0] if lengths else None,
            osl=lengths[1] if lengths else None,
            mean_isl=field(node, "total_input_tokens").number() / completed,
            mean_osl=field(node, "total_output_tokens").number() / completed,
            configuration=_configuration(node),
            model=text_at(node, _SERVER, "model_path"),
            output_throughput=output_throughput(node),
            details=details_of(flat_times(node, "e2e_latency", "_ms", MS)),
        )


def _throughput(node: Node) -> float:
    """The total of input and output; what tokens over duration are not, is refused."""
    if _TOTAL in node.mapping():
        refuse_other_total(node, _TOTAL)
        return field(node, _TOTAL).number()
    for word in _PARTS:
        refuse_other_total(node, f"{word}_throughput", (word,))
    return sum(field(node, f"{word}_throughput").number() for word in _PARTS)


def _widths(node: Node) -> dict[str, int]:
    found = {word: optional(node, _SERVER, f"{word}_size") for word in ("tp", "pp", "dp")}
    return {word: whole(member) for word, member in found.items() if member is not None}


def _gpus(node: Node) -> int | None:
    """tp * pp, times the number of replicas; with dp attention the replicas share the GPUs of tp."""
    widths = _widths(node)
    if "tp" not in widths or "pp" not in widths:
        return None
    replicas, shares = widths.get("dp", 1), optional(node, _SERVER, "enable_dp_attention")
    if replicas == 1 or (shares is not None and is_yes(shares)):
        return widths["tp"] * widths["pp"]
    return None if shares is None else widths["tp"] * widths["pp"] * replicas


def _configuration(node: Node) -> str | None:
    words = [f"{word}{width}" for word, width in _widths(node).items() if word == "tp" or width > 1]
    return "-".join(["sglang", *words]) if words else None


def _is_ours(members: Mapping[str, object]) -> bool:
    if "max_concurrency" not in members or "total_token_throughput" in members:
        return False
    return _TOTAL in members or all(f"{word}_throughput" in members for word in _PARTS)


FORMAT = ObjectFormat("SGLang bench_serving", _is_ours, _rows)
