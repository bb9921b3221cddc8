"""Other load clients against the simulated server, their figures beside ours and beside the server's own.

    python benchmarks/peers.py [--concurrency 8] [--requests 64] [--peers DIRECTORY]

Each client meets a fresh `precgate serve-simulated` and asks for the same: requests of 256 input and 128 output tokens,
closed loop, no warm-up of its own where it can be told so. The server's figures are those of its /metrics: mean ttft
(without what lies between it and the client) and mean tpot of all requests it served. Throughput is output tokens per
second over the whole run, as the client says. DIRECTORY holds virtual environments aiperf, guidellm, vllm, sglang; what
is not there, or does not start, is said to be not measured."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.loadgen import LoadPlan, Prompts, Target, run_point

NAME = "kimi-k2.5-b200-fp4-tp4"
WORK = Workload(isl=256, osl=128, range_ratio=1.0)
LIMIT_S = 600
# The tools insist on a tokenizer to make prompts with; no hub is asked for one. One word is one token of the server.
TOKENIZER = """
import sys
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
words = ["<unk>", *(f"w{number}" for number in range(4000))]
made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
made.add_special_tokens(["</s>"])
PreTrainedTokenizerFast(tokenizer_object=made, eos_token="</s>").save_pretrained(sys.argv[1])
"""


@dataclass(frozen=True)
class Figures:
    """Mean ttft and tpot in s, and output tok/s over the whole run."""

    ttft_s: float
    tpot_s: float
    throughput: float


@dataclass(frozen=True)
class Load:
    """What a client is told: where the server is, and how much to ask of it."""

    url: str
    concurrency: int
    requests: int


class NotMeasuredError(Exception):
    """A client is not there, or did not do what it was told."""


@contextmanager
def serving() -> Iterator[str]:
    """Run a fresh server; its address."""
    command = [sys.executable, "-m", "pytest_precgate.cli", "serve-simulated", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.kill()


@dataclass(frozen=True)
class Served:
    """What the server says of itself: requests, input and output tokens of each, mean ttft and tpot in s."""

    requests: int
    input_tokens: float
    output_tokens: float
    ttft_s: float
    tpot_s: float


def counted(url: str) -> Served:
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    told = {name.partition("{")[0].removeprefix("vllm:"): float(value) for name, value in pairs}
    requests = told["request_decode_time_seconds_count"]
    output = told["generation_tokens_total"]
    return Served(
        int(requests),
        told["prompt_tokens_total"] / requests,
        output / requests,
        told["time_to_first_token_seconds_sum"] / requests,
        told["request_decode_time_seconds_sum"] / (output - requests),
    )


def ours(load: Load) -> Figures:
    """The project's own client, in this process."""
    plan = LoadPlan(Prompts(WORK, token_high=32000), load.concurrency, load.requests, warmup="drained")
    run = run_point(Target(load.url, NAME), plan)
    assert not run.failures, run.failures[:3]
    seconds = max(record.last_token_s for record in run.records) - min(record.sent_s for record in run.records)
    return Figures(
        fmean(record.ttft_s for record in run.records),
        fmean(record.tpot_s for record in run.records),
        sum(record.output_tokens for record in run.records) / seconds,
    )


def run_client(arguments: list[str], directory: Path, result: str) -> object:
    """Run a client in ``directory`` and return the JSON document it wrote to ``result``."""
    with (directory / "output.txt").open("w+", encoding="utf-8") as output:
        try:
            done = subprocess.run(
                arguments, cwd=directory, stdout=output, stderr=subprocess.STDOUT, check=False, timeout=LIMIT_S
            )
        except subprocess.TimeoutExpired:
            raise NotMeasuredError(f"not done after {LIMIT_S} s") from None
        output.seek(0)
        last = (output.read().strip().splitlines() or ["(no output)"])[-1]
    if done.returncode or not (directory / result).exists():
        raise NotMeasuredError(f"exit {done.returncode}: {last[:200]}")
    return json.loads((directory / result).read_text(encoding="utf-8"))


def number(document: object, *path: str) -> float:
    """Return the number at a place of a document."""
    for key in path:
        assert isinstance(document, dict), path
        document = document[key]
    assert isinstance(document, (int, float)), path
    return float(document)


def aiperf(binaries: Path, load: Load, directory: Path) -> Figures:
    arguments = [
        str(binaries / "aiperf"), "profile", "--model", NAME, "--url", load.url,
        "--endpoint-type", "completions", "--streaming", "--concurrency", str(load.concurrency),
        "--request-count", str(load.requests), "--synthetic-input-tokens-mean", str(WORK.isl),
        "--synthetic-input-tokens-stddev", "0", "--output-tokens-mean", str(WORK.osl), "--output-tokens-stddev", "0",
        "--tokenizer", "./tokenizer", "--use-server-token-count", "--ui-type", "none", "--artifact-dir", "out",
    ]  # fmt: skip
    found = run_client(arguments, directory, "out/profile_export_aiperf.json")
    return Figures(
        number(found, "time_to_first_token", "avg") / 1000,
        number(found, "inter_token_latency", "avg") / 1000,
        number(found, "output_token_throughput", "avg"),
    )


def guidellm(binaries: Path, load: Load, directory: Path) -> Figures:
    arguments = [
        str(binaries / "guidellm"), "run",
        "--backend", f"kind=openai_http,target={load.url},model={NAME}",
        "--profile", f"kind=concurrent,streams={load.concurrency}",
        "--constraint", f"kind=max_requests,count={load.requests}",
        "--tokenizer", f"kind=hf_auto,model={directory / 'tokenizer'}",
        "--data", f"kind=synthetic_text,prompt_tokens={WORK.isl},output_tokens={WORK.osl}",
        "--disable-console", "--output", "kind=json,path=out.json",
    ]  # fmt: skip
    found = run_client(arguments, directory, "out.json")
    assert isinstance(found, dict)
    metrics = found["benchmarks"][0]["metrics"]
    # Its time_per_output_token includes the time to first token; inter_token_latency is what others call TPOT.
    return Figures(
        number(metrics, "time_to_first_token_ms", "successful", "mean") / 1000,
        number(metrics, "inter_token_latency_ms", "successful", "mean") / 1000,
        number(metrics, "output_tokens_per_second", "successful", "mean"),
    )


def vllm(binaries: Path, load: Load, directory: Path) -> Figures:
    arguments = [
        str(binaries / "vllm"), "bench", "serve", "--backend", "openai", "--base-url", load.url, "--model", NAME,
        "--tokenizer", "./tokenizer", "--dataset-name", "random", "--random-input-len", str(WORK.isl),
        "--random-output-len", str(WORK.osl), "--random-range-ratio", "0", "--num-prompts", str(load.requests),
        "--max-concurrency", str(load.concurrency), "--ignore-eos", "--disable-tqdm", "--ready-check-timeout-sec", "0",
        "--save-result", "--result-filename", "out.json",
    ]  # fmt: skip
    return of_milliseconds(run_client(arguments, directory, "out.json"))


def sglang(binaries: Path, load: Load, directory: Path) -> Figures:
    arguments = [
        str(binaries / "python"), "-m", "sglang.benchmark.serving", "--backend", "sglang-oai", "--base-url", load.url,
        "--model", NAME, "--tokenizer", "./tokenizer", "--dataset-name", "random-ids",
        "--random-input-len", str(WORK.isl), "--random-output-len", str(WORK.osl), "--random-range-ratio", "1",
        "--num-prompts", str(load.requests), "--max-concurrency", str(load.concurrency), "--warmup-requests", "0",
        "--disable-tqdm", "--output-file", "out.json",
    ]  # fmt: skip
    return of_milliseconds(run_client(arguments, directory, "out.json"))


def of_milliseconds(found: object) -> Figures:
    """Return the figures by the names that vLLM's client and its descendant, SGLang's, give them."""
    ttft_s, tpot_s = (number(found, f"mean_{name}_ms") / 1000 for name in ("ttft", "tpot"))
    return Figures(ttft_s, tpot_s, number(found, "output_throughput"))


PEERS: dict[str, Callable[[Path, Load, Path], Figures]] = {
    "aiperf": aiperf,
    "guidellm": guidellm,
    "vllm": vllm,
    "sglang": sglang,
}
HEADER = (
    "| client | requests, tokens in and out of each, as the server counted | ttft ms (server's) | tpot ms (server's) | "
    "output tok/s | ttft, tpot, tok/s beside ours |\n|---|---|---|---|---|---|"
)


def peer(name: str, peers: Path, load: Load) -> Figures:
    """Run a peer from its own environment; raises NotMeasuredError."""
    binaries = (peers / name / "bin").absolute()
    if not binaries.exists():
        raise NotMeasuredError(f"no {peers / name}")
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        made = [str(binaries / "python"), "-c", TOKENIZER, "tokenizer"]
        if subprocess.run(made, cwd=directory, check=False, capture_output=True).returncode:
            raise NotMeasuredError("its environment has no transformers")
        return PEERS[name](binaries, load, directory)


def version(name: str, peers: Path) -> str:
    """Return the version of a peer as its environment tells it."""
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    command = [str(peers / name / "bin" / "python"), "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def row(client: str, url: str, seen: Figures, own: Figures) -> str:
    """One line of the table; the last cell compares ttft, tpot and throughput."""
    told = counted(url)
    beside = [seen.ttft_s / own.ttft_s, seen.tpot_s / own.tpot_s, seen.throughput / own.throughput]
    cells = [
        client,
        f"{told.requests}, {told.input_tokens:.4g}, {told.output_tokens:.4g}",
        f"{1000 * seen.ttft_s:.1f} ({1000 * told.ttft_s:.1f})",
        f"{1000 * seen.tpot_s:.2f} ({1000 * told.tpot_s:.2f})",
        f"{seen.throughput:.1f}",
        ", ".join(f"{ratio - 1:+.1%}" for ratio in beside),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--peers", type=Path, default=Path("peers"), help="their virtual environments")
    options = parser.parse_args()
    print(f"SIMULATED server {NAME}, concurrency {options.concurrency}, {options.requests} requests of {WORK}")
    print(HEADER)
    with serving() as url:
        own = ours(Load(url, options.concurrency, options.requests))
        print(row("pytest-precgate", url, own, own), flush=True)
    for name in PEERS:
        with serving() as url:
            try:
                seen = peer(name, options.peers, Load(url, options.concurrency, options.requests))
                print(row(f"{name} {version(name, options.peers)}", url, seen, own), flush=True)
            except NotMeasuredError as exc:
                print(f"| {name} | not measured: {exc} |", flush=True)


if __name__ == "__main__":
    main()
