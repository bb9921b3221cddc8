"""The stand-in server is what other tests take it for: it refuses what TensorRT-LLM 1.2 refuses, and can be swept."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.loadgen import LoadPlan, Prompts, Target, run_point
from tests.engines.marked import STAND_IN, Marked, answers_200, eventually, free_port, marked
from tests.engines.stand_in_server import OPTIONS, SWITCHES, YAML_KEYS

PLAN = LoadPlan(Prompts(Workload(isl=16, osl=8, range_ratio=0.5), token_high=900), concurrency=4, requests=40)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Marked]:
    with marked(tmp_path) as made:
        yield made


def refused(here: Marked, *words: str) -> tuple[int, str]:
    """Exit code and last line of a start that ends before it binds."""
    process = here.start(sys.executable, "-S", str(STAND_IN), "trtllm-serve", *words)
    assert eventually(lambda: not process.is_alive())
    process.stop()
    return int(process.exit_text().split()[-1]), process.tail(1).strip()


@pytest.mark.parametrize(
    ("words", "last_line"),
    [
        ((), "Error: Missing argument 'MODEL'."),
        (("--host", "127.0.0.1", "org/model"), "Error: No such option: --host"),
        (("org/model", "--kv_cache_dtype", "fp8"), "Error: No such option: --kv_cache_dtype"),
        (("serve", "org/model", "--served_model_name=x"), "Error: No such option: --served_model_name"),
        (("org/model", "--port"), "Error: Option '--port' requires an argument."),
    ],
)
def test_it_refuses_arguments_as_click_does(here: Marked, words: tuple[str, ...], last_line: str) -> None:
    """MODEL comes first, and an unknown option ends it with exit code 2."""
    assert refused(here, *words) == (2, last_line)


@pytest.mark.parametrize("line", ["kv_cache_dtype: fp8", "kv_cache_config:\n  dtipe: fp8", "moe_config:\n- 1\nmo: 2"])
def test_it_refuses_unknown_keys_of_the_yaml(here: Marked, line: str) -> None:
    """As pydantic does, at the top and one level below."""
    (here.directory / "config.yaml").write_text(f"# knobs\nmax_batch_size: 64\n{line}\n")
    code, last_line = refused(here, "org/model", "--config", "config.yaml")
    assert code == 1
    assert last_line.startswith("Extra inputs are not permitted")


def test_it_takes_every_option_of_1_2_and_says_what_it_serves(here: Marked) -> None:
    """A model in a directory is called by the directory's name."""
    port = free_port()
    (here.directory / "checkpoint").mkdir()
    (here.directory / "config.yaml").write_text(
        "".join(f"{key}:\n" + "".join(f"  {below}: 1\n" for below in sorted(YAML_KEYS[key] or ())) for key in YAML_KEYS)
    )
    given = {"--host": "127.0.0.1", "--port": str(port), "--config": "config.yaml"}
    given |= {"--extra_llm_api_options": "config.yaml"}
    words = [word for name in sorted(OPTIONS) for word in (name, given.get(name, "1"))]
    directory = f"{here.directory}/checkpoint/"
    process = here.start(
        sys.executable, "-S", str(STAND_IN), "--reports", "1.2.3", "trtllm-serve", directory, *words, *SWITCHES
    )
    assert eventually(lambda: answers_200(port) or not process.is_alive())
    assert process.is_alive(), process.log_text()
    said = []
    for path in ("/v1/models", "/version", "/health_generate"):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
            said.append(json.load(answer))
    assert said[0]["data"][0]["id"] == "checkpoint"
    assert said[1:] == [{"version": "1.2.3"}, {}]
    process.stop()


def test_the_product_s_client_can_load_it(here: Marked) -> None:
    """Every request succeeds with the tokens it asked for; a field it does not know is HTTP 400."""
    port = free_port()
    process = here.stand_in("serves", port=port)
    assert eventually(lambda: answers_200(port))
    run = run_point(Target(f"http://127.0.0.1:{port}", "org/model"), PLAN)
    assert (len(run.records), run.failures) == (40, ())
    body = json.dumps({"model": "org/model", "prompt": "a", "max_tokens": 1, "stream": True, "top_k": 1}).encode()
    with pytest.raises(urllib.error.HTTPError, match="400") as error:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/completions", body)
    assert "top_k" in error.value.read().decode()
    error.value.close()
    process.stop()


@pytest.mark.parametrize("behave", ["dies-serving", "is-killed-serving"])
def test_it_dies_in_the_middle_of_a_point(here: Marked, behave: str) -> None:
    """After as many requests as it was told to serve."""
    port = free_port()
    process = here.stand_in(behave, "--after", "10", port=port)
    assert eventually(lambda: answers_200(port))
    run = run_point(Target(f"http://127.0.0.1:{port}", "org/model"), PLAN)
    assert 6 < len(run.records) <= 10
    assert run.failures
    assert eventually(lambda: not process.is_alive())
    process.stop()


def test_it_is_a_script_of_its_own() -> None:
    """It runs where nothing is installed."""
    words = [sys.executable, "-I", "-S", str(STAND_IN), "trtllm-serve"]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 2
