"""Acts out how serving engines start, serve, fail and refuse to end. Plain Python, quick to start, a script of its own.

    stand_in_server.py [own options] [--host H] [--port P] MODEL       any engine: flags it does not know are ignored
    stand_in_server.py [own options] trtllm-serve MODEL [flags]        refuses what TensorRT-LLM 1.2 refuses

Own options: ``--behave NAME`` (below), ``--failure NAME`` (of FAILURES, for ``fails``), ``--say TEXT`` (printed while
loading; more than once), ``--load-s S``, ``--unhealthy-s S`` (503 until then), ``--workers N``, ``--after N`` (requests
served before it dies), ``--token-s S`` (seconds between tokens), ``--stream-s S`` (as many more for each stream),
``--reports VERSION``.

Workers are grandchildren in sessions of their own. Only those of ``serves`` and ``drains`` end with their server."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

BEHAVIOURS = {
    "serves": "loads, answers 503, then 200; SIGTERM ends it and its workers",
    "leaves-workers": "the same, but its workers outlive it",
    "ignores-sigterm": "the same, and it ignores SIGTERM, as its workers do",
    "drains": "streams for ever, and waits for its streams when told to end",
    "respawns": "a killed worker is started again, and ignores SIGTERM",
    "forks-on": "a worker forks and exits, and its child does, and so on; it ignores SIGTERM",
    "recovers": "an autotuner runs out of memory while it loads, and copes",
    "fails": "ends while it loads, with the text of --failure and the unspecific last line",
    "is-killed": "is killed while it loads",
    "hangs": "a worker is killed while it loads, and it waits for that worker for ever, in silence",
    "talks": "loads for ever, and its log grows",
    "dies-serving": "ends in the middle of a stream",
    "is-killed-serving": "is killed in the middle of a stream",
}
LAST_LINE = "RuntimeError: Executor worker returned error"
# TensorRT-LLM 1.2's own words, a worker's cut down to the line that tells something.
FAILURES = {
    "port": "RuntimeError: Failed to bind socket to {host}:{port}: [Errno 98] Address already in use",
    "executor-memory": "RuntimeError: Executor creation failed due to insufficient GPU memory.",
    "cuda-memory": "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 1.10 GiB free.",
    "worker-died": "[TRT-LLM] [E] Executor worker died during initialization.",
    "worker-error": "[TRT-LLM] [E] Executor worker initialization error: Traceback (most recent call last):",
    "quantization": "ValueError: Unsupported quantization_config: {{'quant_method': 'compressed-tensors'}}.",
    "no-quant-algo": "ValueError: Pre-quantized checkpoint must have quant_algo.",
    "no-gpu": "ValueError: No GPU devices found on the node",
}
# TensorRT-LLM 1.2, trtllm-serve: options with a value, and without one.
OPTIONS = {
    *("--host", "--port", "--backend", "--log_level", "--extra_llm_api_options", "--config", "--reasoning_parser"),
    *("--tp_size", "--tensor_parallel_size", "--pp_size", "--pipeline_parallel_size"),
    *("--ep_size", "--moe_expert_parallel_size", "--max_batch_size", "--max_num_tokens", "--max_seq_len"),
    *("--kv_cache_free_gpu_memory_fraction", "--free_gpu_memory_fraction", "--num_postprocess_workers"),
}
SWITCHES = {"--trust_remote_code"}
# TensorRT-LLM 1.2, the YAML behind --extra_llm_api_options; None where the keys below are not known here.
YAML_KEYS: dict[str, set[str] | None] = {
    **dict.fromkeys(
        (
            *("tensor_parallel_size", "pipeline_parallel_size", "moe_expert_parallel_size", "max_batch_size"),
            *("max_num_tokens", "max_seq_len", "enable_attention_dp", "attention_dp_config", "speculative_config"),
            *("stream_interval", "print_iter_log", "disable_overlap_scheduler", "enable_chunked_prefill"),
            *("enable_iter_perf_stats", "load_format", "backend", "trust_remote_code", "num_postprocess_workers"),
        )
    ),
    "kv_cache_config": {"dtype", "free_gpu_memory_fraction", "enable_block_reuse", "tokens_per_block"},
    "cuda_graph_config": {"enable_padding", "max_batch_size", "batch_sizes"},
    "moe_config": {"backend"},
}
# What a request may hold: OpenAI's schema, and what these engines add to it.
FIELDS = {
    *("model", "prompt", "max_tokens", "temperature", "top_p", "n", "seed", "stop", "stream", "stream_options"),
    *("ignore_eos", "min_tokens"),
}
_TIDY = ("serves", "drains")
_DEAF = ("ignores-sigterm", "respawns", "forks-on")
_LONGEST_CHAIN_S = 120.0  # nothing else would end one that a broken guardian lets go
_OWN = {
    "--behave": "serves",
    "--failure": "cuda-memory",
    "--load-s": "0.1",
    "--unhealthy-s": "0.05",
    "--workers": "2",
    "--after": "3",
    "--token-s": "0.001",
    "--stream-s": "0",
    "--reports": "1.2.0",
    "--host": "localhost",
    "--port": "8000",
}


def log(text: str) -> None:
    """One write: lines of several processes do not mix."""
    os.write(2, text.encode() + b"\n")


def read_arguments(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return the options with the model as ``model``, and what to ``--say``."""
    given, said, rest = dict(_OWN), [], list(arguments)
    while rest:
        word = rest.pop(0)
        name, has_value, value = word.partition("=")
        if word == "trtllm-serve":
            given |= read_trtllm(rest)
            break
        if not word.startswith("-"):
            if word != "serve":
                given.setdefault("model", word)
            continue
        if not has_value and rest and not rest[0].startswith("-"):
            value = rest.pop(0)
        if name == "--say":
            said.append(value)
        elif name in _OWN or name == "--model":
            given[name if name in _OWN else "model"] = value
    if given["--behave"] not in BEHAVIOURS or given["--failure"] not in FAILURES:
        sys.exit(f"unknown behaviour or failure: {given['--behave']}, {given['--failure']}")
    return given, said


def read_trtllm(words: list[str]) -> dict[str, str]:
    """Return what matters here of trtllm-serve's arguments; exit as click does for what 1.2 does not know."""
    given: dict[str, str] = {}
    if words[:1] == ["serve"]:
        words = words[1:]
    if not words:
        refuse("Missing argument 'MODEL'.")
    if words[0].startswith("-"):
        refuse(f"No such option: {words[0].partition('=')[0]}")
    given["model"], *rest = words
    while rest:
        name, has_value, value = rest.pop(0).partition("=")
        if name in SWITCHES:
            continue
        if name not in OPTIONS:
            refuse(f"No such option: {name}" if name.startswith("-") else f"Got unexpected extra argument ({name})")
        if not has_value and not rest:
            refuse(f"Option '{name}' requires an argument.")
        value = value if has_value else rest.pop(0)
        if name in ("--extra_llm_api_options", "--config"):
            check_yaml(value)
        given[name] = value
    return given


def refuse(why: str) -> NoReturn:
    """End as click does."""
    log("Usage: trtllm-serve serve [OPTIONS] MODEL\nTry 'trtllm-serve serve --help' for help.\n\nError: " + why)
    sys.exit(2)


def check_yaml(path: str) -> None:
    """End as pydantic does where the block-style YAML at ``path`` holds a key 1.2 does not know."""
    with open(path, encoding="utf-8") as file:  # noqa: PTH123  # pathlib takes as long to import as all the rest
        lines = [line for line in file.read().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    above: list[tuple[int, str]] = []
    for line in lines:
        key, colon, _ = line.strip().partition(":")
        if not colon or key.startswith("-"):
            continue
        indent = len(line) - len(line.lstrip())
        while above and above[-1][0] >= indent:
            above.pop()
        above.append((indent, key))
        names = [name for _, name in above]
        below = YAML_KEYS.get(names[0])
        if names[0] not in YAML_KEYS or (len(names) == 2 and below is not None and names[1] not in below):
            log("pydantic_core._pydantic_core.ValidationError: 1 validation error for TorchLlmArgs")
            log(".".join(names) + "\n  Extra inputs are not permitted [type=extra_forbidden, input_type=str]")
            sys.exit(1)


def start_workers(behave: str, number: int, listener: socket.socket) -> None:
    """Start grandchildren in sessions of their own; the tidy ones end with the pipe that only the server holds."""
    server_lives, held = os.pipe()
    for _ in range(number):
        launcher = os.fork()
        if launcher == 0:
            os.setpgid(0, 0)
            if os.fork() == 0:
                listener.close()
                os.close(held)
                work(behave, server_lives)
            os._exit(0)
        os.waitpid(launcher, 0)
    if behave == "hangs":
        doomed = os.fork()
        if doomed == 0:
            signal.pause()
        os.kill(doomed, signal.SIGKILL)


def work(behave: str, server_lives: int) -> NoReturn:
    """Be a worker."""
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN if behave in _DEAF else signal.SIG_DFL)
    while behave == "respawns":
        child = os.fork()
        if child == 0:
            break
        os.waitpid(child, 0)
    begun_s = time.monotonic()
    while behave == "forks-on":
        if os.fork() or time.monotonic() > begun_s + _LONGEST_CHAIN_S:
            os._exit(0)
    os.read(server_lives, 1)
    while behave not in _TIDY:
        signal.pause()
    os._exit(0)


class Server:
    """Serves one model once it is loaded."""

    def __init__(self, given: dict[str, str]) -> None:
        self._behave = given["--behave"]
        self._after = int(given["--after"])
        self._token_s, self._stream_s = float(given["--token-s"]), float(given["--stream-s"])
        self._version = given["--reports"]
        model = given.get("model", "stand-in")
        # As TensorRT-LLM names a model it reads from a directory.
        self._model = os.path.basename(os.path.normpath(model)) if os.path.isdir(model) else model  # noqa: PTH112, PTH119
        self._requests = 0
        self._streams = 0
        self._is_ending = False
        self.healthy_s = float("inf")

    def serve(self, listener: socket.socket) -> None:
        """Answer every connection in a thread of its own, for ever."""
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self._connection, args=(connection,), daemon=True).start()

    def on_sigterm(self, _number: int, _frame: object) -> None:
        """End, at once or when every stream has."""
        if self._behave == "ignores-sigterm" or self._is_ending:
            return
        self._is_ending = True
        while self._behave == "drains" and self._streams:
            time.sleep(0.01)
        sys.exit(0)

    def _connection(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as read:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                while line := read.readline():
                    method, path, _ = line.decode("latin-1").split()
                    length = 0
                    while (header := read.readline().strip().lower()) != b"":
                        if header.startswith(b"content-length:"):
                            length = int(header.partition(b":")[2])
                    self._answer(method, path, read.read(length), connection.sendall)
            except OSError:
                return  # the client went away, which is its right

    def _answer(self, method: str, path: str, body: bytes, send: Callable[[bytes], None]) -> None:
        is_healthy = time.monotonic() >= self.healthy_s
        if method == "GET" and path in ("/health", "/health_generate"):
            _plain(send, "200 OK" if is_healthy else "503 Service Unavailable", {})
        elif method == "GET" and path == "/version":
            _plain(send, "200 OK", {"version": self._version})
        elif method == "GET" and path == "/v1/models":
            _plain(send, "200 OK", {"object": "list", "data": [{"id": self._model, "object": "model"}]})
        elif method == "POST" and path == "/v1/completions":
            self._complete(body, send)
        else:
            _plain(send, "404 Not Found", {"detail": "Not Found"})

    def _complete(self, body: bytes, send: Callable[[bytes], None]) -> None:
        from json import loads  # noqa: PLC0415  # not before it is needed

        fields = loads(body)
        unknown = sorted(set(fields) - FIELDS)
        prompt, output = fields.get("prompt"), fields.get("max_tokens")
        if unknown or not isinstance(output, int) or not prompt or fields.get("stream") is not True:
            why = f"Extra inputs are not permitted: {unknown}" if unknown else "wanted prompt, max_tokens and stream"
            _plain(send, "400 Bad Request", {"object": "error", "message": why, "type": "BadRequestError"})
            return
        if fields.get("model") != self._model:
            _plain(send, "404 Not Found", {"object": "error", "message": f"no model {fields.get('model')}"})
            return
        self._requests += 1
        self._streams += 1
        try:
            self._stream(len(prompt) if isinstance(prompt, list) else len(prompt.split()), output, send)
        finally:
            self._streams -= 1

    def _stream(self, prompt_tokens: int, output_tokens: int, send: Callable[[bytes], None]) -> None:
        is_last_request = self._requests > self._after
        send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        due_s, sent = time.monotonic(), 0
        while self._behave == "drains" or sent < output_tokens:
            sent += 1
            due_s += self._token_s + self._stream_s * self._streams
            time.sleep(max(0.0, due_s - time.monotonic()))
            reason = '"length"' if sent == output_tokens else "null"
            _event(send, f'{{"choices":[{{"index":0,"text":" x","finish_reason":{reason}}}]}}')
            if is_last_request and self._behave == "dies-serving":
                log(f"[TRT-LLM] [E] CUDA error: an illegal memory access was encountered\n{LAST_LINE}")
                os._exit(1)
            if is_last_request and self._behave == "is-killed-serving":
                os.kill(os.getpid(), signal.SIGKILL)
        usage = f'"prompt_tokens":{prompt_tokens},"completion_tokens":{sent},"total_tokens":{prompt_tokens + sent}'
        _event(send, f'{{"choices":[],"usage":{{{usage}}}}}')
        _event(send, "[DONE]")
        send(b"0\r\n\r\n")


def _event(send: Callable[[bytes], None], text: str) -> None:
    data = f"data: {text}\n\n".encode()
    send(b"%x\r\n%b\r\n" % (len(data), data))


def _plain(send: Callable[[bytes], None], status: str, body: dict[str, object]) -> None:
    from json import dumps  # noqa: PLC0415

    content = dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    send(head.encode() + content)


def load(given: dict[str, str], said: list[str]) -> None:
    """Load, or act out what happens instead."""
    behave = given["--behave"]
    log("[TRT-LLM] [I] Using LLM with PyTorch backend")
    for text in said:
        log(text)
    if behave == "recovers":
        log("[TRT-LLM] [W] AutoTuner: torch.OutOfMemoryError: CUDA out of memory. Falling back to the default tactic")
    shards = 4
    for shard in range(shards):
        log(f"[TRT-LLM] [I] Loading safetensors checkpoint shards: {shard}/{shards}")
        time.sleep(float(given["--load-s"]) / shards)
    if behave == "fails":
        log(FAILURES[given["--failure"]].format(host=given["--host"], port=given["--port"]))
        log("Traceback (most recent call last):\n  ...\n" + LAST_LINE)
        sys.exit(1)
    if behave == "is-killed":
        os.kill(os.getpid(), signal.SIGKILL)
    while behave == "hangs":
        signal.pause()
    while behave == "talks":
        time.sleep(0.02)
        log("[TRT-LLM] [I] Loading safetensors checkpoint shards")


def main() -> None:
    """Be the server the arguments describe."""
    given, said = read_arguments(sys.argv[1:])
    server = Server(given)
    with socket.socket() as listener:
        host, port = given["--host"], int(given["--port"])
        try:
            listener.bind((host, port))
        except OSError as exc:
            log(f"RuntimeError: Failed to bind socket to {host}:{port}: {exc}")
            sys.exit(1)
        signal.signal(signal.SIGTERM, server.on_sigterm)
        start_workers(given["--behave"], int(given["--workers"]), listener)
        load(given, said)
        listener.listen(1024)
        server.healthy_s = time.monotonic() + float(given["--unhealthy-s"])
        log(f"INFO:     Uvicorn running on http://{host}:{port} (Press CTRL+C to quit)")
        server.serve(listener)


if __name__ == "__main__":
    main()
