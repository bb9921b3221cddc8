"""AIPerf's profile export 0.10 and 0.13 as CSV: a table of distributions, then a table of single figures.

Source: ai-dynamo/aiperf, src/aiperf/exporters/metrics_csv_exporter.py.

Fields: Effective Concurrency (0.13; its median must equal its maximum, so that it was constant), Inter Token Latency
(ms) p50, Total Token Throughput (tokens/sec), Input and Output Sequence Length (tokens), Request Error Rate (%); as
details the metrics of the JSON: Time to First Token, Inter Token Latency, Request Latency and Inter Chunk Latency (ms),
Output Token Throughput (tokens/sec), E2E Output Token Throughput (tokens/sec/user) p10. Figures have two decimals.
Lacks GPUs, precision and hardware; 0.10 lacks the concurrency and is refused: the JSON that AIPerf writes beside the
CSV has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_precgate.documents import Node
from pytest_precgate.interop.content import Table
from pytest_precgate.interop.fields import MS, fixed_length, per_second, refuse_unless_zero
from pytest_precgate.interop.figures import AVERAGED, details_of, figure, times
from pytest_precgate.interop.formats import TableFormat
from pytest_precgate.interop.rows import RecordedRow
from pytest_precgate.text import printable

_NAME = "Metric"
_OUTPUT = "Output Token Throughput (tokens/sec)"
_E2E = "E2E Output Token Throughput (tokens/sec/user)"
_KINDS = {
    "ttft": "Time to First Token (ms)",
    "tpot": "Inter Token Latency (ms)",
    "request_latency": "Request Latency (ms)",
    "itl": "Inter Chunk Latency (ms)",
}


def _rows(table: Table) -> Iterator[RecordedRow]:
    node = table.node(0)
    metrics = _metrics(table)
    if "Effective Concurrency" not in metrics:
        node.fail(
            "is AIPerf's CSV of a version that does not say its concurrency; read the JSON that AIPerf wrote beside it "
            "(profile_export_aiperf.json)"
        )
    refuse_unless_zero(metrics.get("Request Error Rate (%)", {}).get("Value"), "requests failed")
    isl, osl = (_distribution(metrics, node, f"{word} Sequence Length (tokens)") for word in ("Input", "Output"))
    output = metrics.get(_OUTPUT, {}).get("Value")
    with node.building():
        yield RecordedRow(
            node,
            concurrency=_concurrency(_distribution(metrics, node, "Effective Concurrency")),
            interactivity=per_second(_distribution(metrics, node, "Inter Token Latency (ms)")["p50"], MS),
            throughput=_distribution(metrics, node, "Total Token Throughput (tokens/sec)", "Value")["Value"].number(),
            counts="system",
            isl=fixed_length(isl["min"], isl["max"]),
            osl=fixed_length(osl["min"], osl["max"]),
            mean_isl=isl["avg"].number(),
            mean_osl=osl["avg"].number(),
            output_throughput=None if output is None else output.number(),
            details=details_of(_details(node, metrics)),
        )


def _details(node: Node, metrics: Mapping[str, Mapping[str, Node]]) -> dict[str, float]:
    found = figure("e2e_interactivity", metrics.get(_E2E, {}).get("p10"))
    for kind, name in _KINDS.items():
        cells = {column: cell.value for column, cell in metrics.get(name, {}).items()}
        found |= times(kind, node.child(name, cells), AVERAGED, MS)
    return found


def _metrics(table: Table) -> dict[str, dict[str, Node]]:
    """Every metric's figures by the header of its table; tables after the table of single figures concern the GPUs."""
    found: dict[str, dict[str, Node]] = {}
    head: tuple[str, ...] = ()
    for number, cells in table.lines:
        if cells[0] == _NAME:
            head = cells
            continue
        if len(cells) != len(head):
            break
        line = Node(list(cells), table.source, f"line {number}", table.node(0).error)
        named = zip(head[1:], cells[1:], strict=True)
        found[cells[0]] = {column: line.child(column, _number(line, cell)) for column, cell in named if cell}
    return found


def _number(line: Node, cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        line.fail(f"got {printable(repr(cell), 60)}, wanted a number")


def _distribution(metrics: Mapping[str, Mapping[str, Node]], node: Node, name: str, *wanted: str) -> Mapping[str, Node]:
    cells = metrics.get(name, {})
    for column in wanted or ("avg", "min", "max", "p50"):
        if column not in cells:
            node.fail(f"holds no {column} of {name}")
    return cells


def _concurrency(cells: Mapping[str, Node]) -> int:
    most = cells["max"].number()
    if cells["p50"].number() != most or not most.is_integer():
        cells["p50"].fail(f"the concurrency was not constant: its median is {cells['p50'].value}, its largest {most:g}")
    return int(most)


def _is_ours(head: Sequence[str]) -> bool:
    return tuple(head[:2]) == (_NAME, "avg")


FORMAT = TableFormat("AIPerf CSV", _is_ours, _rows)
