"""What the load client can bear, beside others, against a null server whose own clock is the truth.

    python benchmarks/loadgen_capacity.py [--rates 5 10 20 40 80] [--rounds 1] [--peers DIRECTORY] [--beside CHECKOUT]

Server on core 0, client on core 1, loopback, plain HTTP, one token every 10 ms per stream, lengths uniform in 0.8 to
1.0 x 256, concurrency = rate / 100. CPU is that of all the client's processes, read from /proc while the middle of the
tokens flows, the same way for every client. Run by root, server and clients have the highest priority (nice -20):
neighbours on the same cores would be measured instead. DIRECTORY holds virtual environments aio, aiperf, guidellm; what
is not there is said to be not measured. CHECKOUT is another state of this project, whose client runs in turn with this
one's, by its own copy of this benchmark; every round runs both once, and the medians of all rounds are compared at the
end. Needs Linux, two cores and g++."""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.records import PointRun
from pytest_precgate.loadgen import LoadPlan, Prompts, Target, run_point
from pytest_precgate.loadgen.plan import Requests

HERE = Path(__file__).parent
WORK = Workload(isl=32, osl=256, range_ratio=0.8)
INTERVAL_US, FIRST_US = 10_000, 50_000
SERVER_CORE, CLIENT_CORE = 0, 1
PER_SLOT = 4
SATURATED = 0.9


@dataclass(frozen=True)
class Figures:
    """Mean TTFT and TPOT in s, output tok/s over the whole run."""

    ttft_s: float
    tpot_s: float
    throughput: float


@dataclass(frozen=True)
class Row:
    client: str
    rate: int
    tokens_per_cpu_s: float
    cpu_share: float
    seen: Figures
    truth: Figures

    def __str__(self) -> str:
        ttft_ms = 1000 * (self.seen.ttft_s - self.truth.ttft_s)
        tpot = 100 * (self.seen.tpot_s / self.truth.tpot_s - 1)
        rate = 100 * (self.seen.throughput / self.truth.throughput - 1)
        pace = 100 * (self.truth.tpot_s / (INTERVAL_US / 1e6) - 1)
        saturated = "saturated" if self.cpu_share >= SATURATED else "no"
        return (
            f"| {self.rate // 1000}k | {self.client} | {self.tokens_per_cpu_s / 1000:.1f}k | {self.cpu_share:.0%} | "
            f"{ttft_ms:+.2f} | {tpot:+.2f} | {rate:+.2f} | {pace:+.2f} | {saturated} |"
        )


HEADER = (
    "| tok/s | client | tok / CPU s | CPU | TTFT error ms | TPOT error % | throughput error % | server off pace % | "
    "saturated |\n|---|---|---|---|---|---|---|---|---|"
)


def on_core(core: int) -> list[str]:
    """The words before a command that bind it to a core, at the highest priority where root allows it."""
    return [*(["nice", "-n", "-20"] if os.geteuid() == 0 else []), "taskset", "-c", str(core)]


class Server:
    """The null server, its truth and its count of tokens."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()

    def truth(self) -> Figures:
        seen = json.loads(self.get("/truth"))
        return Figures(
            fmean(first - asked for asked, first, _, _ in seen) / 1e9,
            fmean((last - first) / (tokens - 1) for _, first, last, tokens in seen) / 1e9,
            sum(row[3] for row in seen) / (max(row[2] for row in seen) - min(row[0] for row in seen)) * 1e9,
        )


def build(directory: Path, name: str) -> Path:
    """Compile one of the programs beside this file."""
    program = directory / name
    subprocess.run(["g++", "-O2", "-o", str(program), str(HERE / f"{name}.cpp")], check=True)
    return program


@contextmanager
def serving(program: Path, interval_us: int = INTERVAL_US) -> Iterator[Server]:
    """Run the null server on its core."""
    arguments = [*on_core(SERVER_CORE), str(program), "0", str(interval_us), str(FIRST_US)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Server(int(process.stdout.readline()))
        finally:
            process.kill()


def tree_cpu_s(root: int) -> float:
    """CPU seconds of a process and all its descendants, ended ones included where they were waited for."""
    stats = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            stats[int(entry.name)] = (int(fields[1]), sum(map(int, fields[11:15])))
    total = 0
    family = {root}
    for pid in sorted(stats, key=lambda pid: pid != root):
        parent = pid
        while parent in stats and parent not in family:
            parent = stats[parent][0]
        if parent in family:
            total += stats[pid][1]
    return total / os.sysconf("SC_CLK_TCK")


def measured(
    name: str, rate: int, server: Server, arguments: list[str], stdin: bytes = b"", cwd: Path | None = None
) -> tuple[Row, str]:
    """Run a client on its core; return its row, figures not yet filled in, and what it wrote."""
    tokens = rate // 100 * PER_SLOT * WORK.osl * 0.9
    server.get("/truth")
    start = int(server.get("/tokens"))
    samples: list[tuple[float, int, float]] = []
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as written, tempfile.TemporaryFile() as said:
        given.write(stdin)
        given.seek(0)
        with subprocess.Popen(
            [*on_core(CLIENT_CORE), *arguments], stdin=given, stdout=written, stderr=said, cwd=cwd
        ) as process:
            while process.poll() is None:
                sent = int(server.get("/tokens")) - start
                samples.append((time.monotonic(), sent, tree_cpu_s(process.pid)))
                time.sleep(0.2)
        written.seek(0)
        said.seek(0)
        output = written.read().decode()
        if process.returncode:
            raise RuntimeError(f"{name} ended with {process.returncode}: {(said.read().decode() + output)[-1500:]}")
    middle = [sample for sample in samples if 0.2 * tokens <= sample[1] <= 0.8 * tokens]
    (t0, n0, c0), (t1, n1, c1) = middle[0], middle[-1]
    nothing = Figures(0, 1, 1)
    return Row(name, rate, (n1 - n0) / (c1 - c0), (c1 - c0) / (t1 - t0), nothing, server.truth()), output


def plan(concurrency: int, work: Workload = WORK, per_slot: int = PER_SLOT) -> LoadPlan:
    return LoadPlan(Prompts(work, token_high=30000), concurrency, concurrency * per_slot)


def figures_of(run: PointRun) -> Figures:
    assert not run.failures, run.failures[:3]
    return Figures(
        fmean(record.ttft_s for record in run.records),
        fmean(record.tpot_s for record in run.records),
        sum(record.output_tokens for record in run.records)
        / (max(record.last_token_s for record in run.records) - min(record.sent_s for record in run.records)),
    )


def filled(row: Row, seen: Figures) -> Row:
    return Row(row.client, row.rate, row.tokens_per_cpu_s, row.cpu_share, seen, row.truth)


def ours(rate: int, server: Server, processes: int, checkout: Path | None = None) -> Row:
    """The client of this checkout, or of another one, run by that one's own copy of this file."""
    home = HERE.parent if checkout is None else checkout.absolute()
    script = str(home / "benchmarks" / Path(__file__).name)
    own = ["env", f"PYTHONPATH={home}", sys.executable, script, "--as-client"]
    name = f"pytest-precgate{'' if checkout is None else f' of {checkout.name}'}"
    name += f", {processes} process{'es' * (processes > 1)}"
    row, output = measured(name, rate, server, [*own, str(server.port), str(rate // 100), str(processes)])
    return filled(row, Figures(**json.loads(output)))


def as_client(port: int, concurrency: int, processes: int) -> None:
    run = run_point(Target(f"http://127.0.0.1:{port}", "null"), plan(concurrency), processes=processes)
    print(json.dumps(figures_of(run).__dict__))
    print(run.client, file=sys.stderr)


def yardstick(rate: int, server: Server, program: Path) -> Row:
    load = plan(rate // 100)
    requests = Requests(Target(f"http://127.0.0.1:{server.port}", "null"), load, 0, 1, 0)
    assert load.requests is not None
    given = io.BytesIO()
    for _ in range(load.requests):
        request = requests.next()
        given.write(b"%d %d\n" % (len(request.data), request.asked.output_tokens) + request.data)
    arguments = [str(program), str(server.port), str(load.concurrency), str(load.requests)]
    row, output = measured("C++, epoll", rate, server, arguments, given.getvalue())
    seen = [[int(cell) for cell in line.split()] for line in output.splitlines()[:-1]]
    return filled(
        row,
        Figures(
            fmean(first - sent for sent, first, _, _ in seen) / 1e9,
            fmean((last - first) / (tokens - 1) for _, first, last, tokens in seen) / 1e9,
            sum(r[3] for r in seen) / (max(r[2] for r in seen) - min(r[0] for r in seen)) * 1e9,
        ),
    )


def script_row(name: str, script: str, rate: int, server: Server, binaries: Path) -> Row:
    numbers = [server.port, rate // 100, rate // 100 * PER_SLOT, WORK.isl, WORK.osl, WORK.range_ratio]
    arguments = [str(binaries / "python"), str(HERE / script), *map(str, numbers)]
    row, output = measured(name, rate, server, arguments)
    return filled(row, Figures(**json.loads(output)))


# Both tools insist on a tokenizer to make prompts with; no hub is asked for one.
TOKENIZER = """
import sys
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
words = ["<unk>", *(f"w{number}" for number in range(4000))]
made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
made.pre_tokenizer = pre_tokenizers.Whitespace()
PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", eos_token="<unk>").save_pretrained(sys.argv[1])
"""
MEAN_OUTPUT = round(WORK.osl * 0.9)


def line_reader(rate: int, server: Server, binaries: Path) -> Row:
    return script_row("aiohttp line reader (vLLM, InferenceX)", "aiohttp_client.py", rate, server, binaries)


def bare_uvloop(rate: int, server: Server, binaries: Path) -> Row:
    return script_row("uvloop, BufferedProtocol, counts only", "uvloop_client.py", rate, server, binaries)


def aiperf(rate: int, server: Server, binaries: Path) -> Row:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        subprocess.run(
            [binaries / "python", "-c", TOKENIZER, "tokenizer"], cwd=directory, check=True, capture_output=True
        )
        arguments = [
            str(binaries / "aiperf"), "profile", "--model", "null", "--url", f"http://127.0.0.1:{server.port}",
            "--endpoint-type", "completions", "--streaming", "--concurrency", str(rate // 100),
            "--request-count", str(rate // 100 * PER_SLOT), "--synthetic-input-tokens-mean", str(WORK.isl),
            "--output-tokens-mean", str(MEAN_OUTPUT), "--output-tokens-stddev", "15", "--tokenizer", "./tokenizer",
            "--use-server-token-count", "--ui-type", "none", "--artifact-dir", "out",
        ]  # fmt: skip
        row, _ = measured("AIPerf 0.13", rate, server, arguments, cwd=directory)
        said = json.loads((directory / "out" / "profile_export_aiperf.json").read_text())
    seen = Figures(
        said["time_to_first_token"]["avg"] / 1000,
        said["inter_token_latency"]["avg"] / 1000,
        said["output_token_throughput"]["avg"],
    )
    return filled(row, seen)


def guidellm(rate: int, server: Server, binaries: Path) -> Row:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        subprocess.run(
            [binaries / "python", "-c", TOKENIZER, "tokenizer"], cwd=directory, check=True, capture_output=True
        )
        arguments = [
            str(binaries / "guidellm"), "run",
            "--backend", f"kind=openai_http,target=http://127.0.0.1:{server.port},model=null-model",
            "--profile", f"kind=concurrent,streams={rate // 100}",
            "--constraint", f"kind=max_requests,count={rate // 100 * PER_SLOT}",
            "--tokenizer", f"kind=hf_auto,model={directory / 'tokenizer'}",
            "--data", f"kind=synthetic_text,prompt_tokens={WORK.isl},output_tokens={MEAN_OUTPUT}",
            "--disable-console", "--output", "kind=json,path=out.json",
        ]  # fmt: skip
        row, _ = measured("GuideLLM 0.8", rate, server, arguments, cwd=directory)
        said = json.loads((directory / "out.json").read_text())["benchmarks"][0]["metrics"]
    # Its time_per_output_token includes the time to first token; inter_token_latency is what others call TPOT.
    seen = Figures(
        said["time_to_first_token_ms"]["successful"]["mean"] / 1000,
        said["inter_token_latency_ms"]["successful"]["mean"] / 1000,
        said["output_tokens_per_second"]["successful"]["mean"],
    )
    return filled(row, seen)


def memory(server_program: Path, streams: int = 1024, tokens: int = 8192) -> str:
    """Peak resident memory of one client process with that many streams of that many tokens, as fast as they come."""
    with serving(server_program, interval_us=0) as server:
        own = [sys.executable, __file__, "--memory", str(server.port), str(streams), str(tokens)]
        done = subprocess.run([*on_core(CLIENT_CORE), *own], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def as_memory_client(port: int, streams: int, tokens: int) -> None:
    began = time.monotonic()
    load = plan(streams, Workload(isl=WORK.isl, osl=tokens), per_slot=1)
    run = run_point(Target(f"http://127.0.0.1:{port}", "null"), load)
    total = sum(record.output_tokens for record in run.records)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{streams} streams x {tokens} tokens ({total} received, {len(run.failures)} failures, "
        f"{time.monotonic() - began:.1f} s): peak {peak_mb:.0f} MB resident"
    )


# Each peer's environment, and the rate up to which it is asked: the heavy ones are saturated at 10k already.
PEERS: list[tuple[str, int, Callable[[int, Server, Path], Row]]] = [
    ("aio", 80_000, bare_uvloop),
    ("aio", 80_000, line_reader),
    ("aiperf", 10_000, aiperf),
    ("guidellm", 10_000, guidellm),
]


def sweep(rates: list[int], peers: Path, rounds: int, beside: Path | None) -> None:
    os.sched_setaffinity(0, {SERVER_CORE})
    if shutil.which("g++") is None:
        sys.exit("no g++: the null server and the yardstick cannot be built, so nothing is measured")
    with tempfile.TemporaryDirectory() as built:
        server_program, client_program = build(Path(built), "null_server"), build(Path(built), "epoll_client")
        print(HEADER)
        for rate in rates:
            with serving(server_program) as server:
                rows = []
                for _ in range(rounds):
                    rows.append(ours(rate, server, 1))
                    rows += [] if beside is None else [ours(rate, server, 1, beside)]
                    rows.append(yardstick(rate, server, client_program))
                    print("\n".join(map(str, rows[-3 if beside else -2 :])), flush=True)
                print(ours(rate, server, 2), flush=True)
                print(compared(rate, rows), flush=True)
                peer_rows(rate, server, peers)
        print("\nmemory:", memory(server_program))


def compared(rate: int, rows: list[Row]) -> str:
    """The medians of each client's rounds, as shares of the first client's."""
    medians = {name: median(row.tokens_per_cpu_s for row in rows if row.client == name) for name in names_of(rows)}
    own = medians[rows[0].client]
    others = [f"{own / value:.0%} of {name}" for name, value in medians.items() if name != rows[0].client]
    return f"at {rate // 1000}k tok/s, median tokens per CPU second: {own / 1000:.1f}k, {', '.join(others)}"


def names_of(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(row.client for row in rows))


def peer_rows(rate: int, server: Server, peers: Path) -> None:
    for name, most, row in PEERS:
        if not (binaries := (peers / name / "bin").absolute()).exists():
            print(f"| {rate // 1000}k | {name} | not measured: no {name}/bin in --peers |", flush=True)
        elif rate <= most:
            print(row(rate, server, binaries), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", type=int, nargs="+", default=[5, 10, 20, 40, 80], help="thousand tokens per second")
    parser.add_argument("--peers", type=Path, default=Path("peers"), help="virtual environments aio, aiperf, guidellm")
    parser.add_argument("--rounds", type=int, default=1, help="how often each rate is run; medians are compared")
    parser.add_argument("--beside", type=Path, help="another checkout of this project, to run in turn with this one")
    parser.add_argument("--as-client", type=int, nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--memory", type=int, nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.as_client:
        as_client(*options.as_client)
    elif options.memory:
        as_memory_client(*options.memory)
    else:
        sweep([rate * 1000 for rate in options.rates], options.peers, options.rounds, options.beside)


if __name__ == "__main__":
    main()
