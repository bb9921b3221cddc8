"""engine = "command": words and placeholders become a command line, and what the server says becomes facts."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.documents import Node
from pytest_precgate.engines import CommandEngine
from pytest_precgate.engines.command import HASHED_BELOW_BYTES
from pytest_precgate.engines.server import HostContext, ServerSlot, Started
from pytest_precgate.errors import PreflightError, SettingsError
from pytest_precgate.http import Answer
from tests.engines.hosts import CannedNetwork

WORDS = ["server", "--model", "{model}", "--address", "{host}:{port}"]
SLOT = ServerSlot("127.0.0.1", 8123, (), Path("run"))


def saying(**paths: object) -> CannedNetwork:
    """CannedNetwork of status 200 by the last part of their path, each as JSON."""
    prefix = {"models": "/v1/"}
    return CannedNetwork(
        {prefix.get(key, "/") + key: Answer(200, json.dumps(said).encode()) for key, said in paths.items()}
    )


def read(**changes: object) -> CommandEngine:
    table = {"engine": "command", "model": "org/model", "gpus": 1, "concurrency": [1, 2], "argv": WORDS, **changes}
    return CommandEngine.read(Node(table, "pyproject.toml", "suites.x.int4", SettingsError), Path("/repo"))


def host(directory: Path, **environ: str) -> HostContext:
    return HostContext(environ, CannedNetwork({}), directory)


def program(directory: Path, name: str = "server") -> Path:
    """A file that may be executed."""
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_it_is_a_server_engine() -> None:
    """What starts servers can start it."""
    engine = read()
    assert isinstance(engine, Started)
    assert engine.kind == "command"
    assert engine.identity() == {"api": "completions", "model": "org/model", "window": "steady"}


def test_requests_may_go_to_another_path() -> None:
    """OpenVINO's model server answers below /v3."""
    assert read(path="/v3/completions").settings.path == "/v3/completions"
    assert read().settings.path is None
    with pytest.raises(SettingsError, match=r'begins with "/".* @ suites.x.int4.path'):
        read(path="v3/completions")


def test_placeholders_are_filled_and_nothing_else_is_touched(tmp_path: Path) -> None:
    """No shell reads the words: blanks, dollars, quotes and escaped braces arrive as they are written."""
    odd = ["$HOME", "a b; rm x", "'\"*", "{{literal}}", '{{"a": {{"b": {port}}}}}']
    path = program(tmp_path / "bin")
    command = read(argv=[*WORDS, *odd], variables={"OMP_NUM_THREADS": "1"}).command(
        SLOT, host(tmp_path, PATH=str(path.parent))
    )
    assert command.argv[:5] == (str(path), "--model", "org/model", "--address", "127.0.0.1:8123")
    assert command.argv[5:] == ("$HOME", "a b; rm x", "'\"*", "{literal}", '{"a": {"b": 8123}}')
    assert command.variables == {"OMP_NUM_THREADS": "1"}
    assert command.cwd == tmp_path
    assert not command.files


@given(st.text(min_size=1).filter(str.strip))
def test_any_word_can_be_written(word: str) -> None:
    """A word with its braces doubled reaches the program unchanged."""
    escaped = word.replace("{", "{{").replace("}", "}}")
    spec = read(argv=["/bin/sh", "{port}", escaped])
    assert spec.command(SLOT, host(Path("/"))).argv[1:] == ("8123", word)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"argv": "server --port {port}"}, r"wanted a list @ suites\.x\.int4\.argv"),
        ({"argv": []}, "got an empty list, wanted a program and its arguments"),
        (
            {"argv": ["server", "{prot}"]},
            r"unknown placeholder \{prot\}; did you mean 'port'\? known: host, .*argv\[1\]",
        ),
        ({"argv": ["server", "{port}", "{gpus}"]}, r"unknown placeholder \{gpus\}; known: host, model, port"),
        ({"argv": ["server", "{port:05}"]}, r"unknown placeholder \{port:05\}; did you mean 'port'"),
        ({"argv": ["server", "{port!r}"]}, r"unknown placeholder \{port!r\}; did you mean 'port'"),
        ({"argv": ["server", "{port}", "{}"]}, r"unknown placeholder \{\}"),
        ({"argv": ["server", "{port}", '{"a": 1}']}, r'unknown placeholder \{"a": 1\}; .*; a brace is written \{\{'),
        ({"argv": ["server", "{port}", "a}"]}, r"a brace is written \{\{ or \}\} @ .*argv\[2\]"),
        ({"argv": ["server", "--port", "8000"]}, r"holds no \{port\}"),
        ({"argv": ["{model}", "{port}"]}, r"got '\{model\}', wanted a program without placeholders @ .*argv\[0\]"),
        ({"argv": ["server", "{port}", 4]}, r"got 4, wanted a non-empty text @ .*argv\[2\]"),
        ({"ready": "health"}, r"got 'health', wanted a path of the server, like /health @ .*ready"),
        ({"redy": "/health"}, "unknown key 'redy'; did you mean 'ready'"),
    ],
)
def test_a_command_that_cannot_be_used_is_refused_at_its_spot(changes: dict[str, object], why: str) -> None:
    """Misspelt placeholders by name, a server without a port, a line meant for a shell."""
    with pytest.raises(SettingsError, match=why):
        read(**changes)


def test_devices_become_cuda_visible_devices(tmp_path: Path) -> None:
    """The server slot names the GPUs; without any the variable stays as inherited."""
    engine = read(argv=[str(program(tmp_path)), "{port}"])
    slot = ServerSlot("127.0.0.1", 8123, ("2", "0"), tmp_path)
    variables = engine.command(slot, host(tmp_path)).variables
    assert variables == {"CUDA_VISIBLE_DEVICES": "2,0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert engine.command(SLOT, host(tmp_path)).variables == {}


# --- before a start ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("nowhere-to-be-found", r"int4: no program 'nowhere-to-be-found': it is not in PATH \(/a:/b\)"),
        ("./bin/server", r"int4: no program '\./bin/server': .*bin/server: it is not there"),
        ("bin/text", r"int4: no program 'bin/text': .*bin/text: it is not a program that may be executed"),
        ("server --verbose", "argv is no shell command"),
    ],
)
def test_a_program_that_is_not_there_is_refused_before_a_start(tmp_path: Path, word: str, why: str) -> None:
    """The message names the program and where it was looked for."""
    program(tmp_path, "bin/text").chmod(0o644)
    with pytest.raises(PreflightError, match=why):
        read(argv=[word, "{port}"]).preflight("int4", "laptop", host(tmp_path, PATH="/a:/b"))


def test_a_program_is_found_where_the_settings_or_the_path_say(tmp_path: Path) -> None:
    """A path starts at the settings' directory; the PATH is the one the server will have."""
    here, there = program(tmp_path, "tools/server"), program(tmp_path, "other/server")
    relative = read(argv=["tools/server", "{port}"])
    assert relative.command(SLOT, host(tmp_path)).argv == (str(here), "8123")
    by_name = read(variables={"PATH": str(there.parent)})
    assert by_name.command(SLOT, host(tmp_path, PATH=str(here.parent))).argv[0] == str(there)


@pytest.mark.parametrize("model", ["./models/none.gguf", ".llama/none.gguf", "../none", "/models/none"])
def test_a_missing_model_file_is_refused_before_a_start(tmp_path: Path, model: str) -> None:
    """A model that is written as a path must be there; a hub's name is the server's business."""
    program(tmp_path)
    with pytest.raises(PreflightError, match=f"int8: no model '{model}': there is no .*none"):
        read(model=model).preflight("int8", "laptop", host(tmp_path, PATH=str(tmp_path)))
    assert "model_file" not in read().preflight("int8", "laptop", host(tmp_path, PATH=str(tmp_path))).soft


def test_what_is_known_before_a_start_is_recorded(tmp_path: Path) -> None:
    """The program, a hash of the words as the settings have them, size and hash of a model that is a file."""
    program(tmp_path)
    (tmp_path / "m.gguf").write_bytes(b"weights")

    def facts(argv: list[str]) -> Fingerprint:
        return read(model="m.gguf", argv=argv).preflight("int4", "laptop", host(tmp_path, PATH=str(tmp_path)))

    known = facts(WORDS)
    assert known.soft["program"] == "server"
    assert known.soft["model_file"] == f"7 bytes, sha256 {hashlib.sha256(b'weights').hexdigest()}"
    assert facts(WORDS) == known
    assert facts([*WORDS, "-t", "2"]).soft["argv_sha256"] != known.soft["argv_sha256"]


def test_a_large_model_is_known_by_its_size(tmp_path: Path) -> None:
    """Hashing a checkpoint of hundreds of gigabytes would cost more than the measurement."""
    program(tmp_path)
    with (tmp_path / "m.gguf").open("wb") as file:
        file.truncate(HASHED_BELOW_BYTES)
    facts = read(model="m.gguf").preflight("int4", "laptop", host(tmp_path, PATH=str(tmp_path)))
    assert facts.soft["model_file"] == f"{HASHED_BELOW_BYTES} bytes"


# --- while it starts --------------------------------------------------------------------------------------------------


def test_ready_is_a_200_of_the_path_the_settings_name() -> None:
    """No answer and 503 are not ready yet."""
    answers = CannedNetwork({"/health": Answer(503, b""), "/up": Answer(200, b"")})
    assert not read().is_ready(SLOT, answers)
    assert read(ready="/up").is_ready(SLOT, answers)
    assert not read(ready="/nothing").is_ready(SLOT, answers)


def models(*names: str) -> dict[str, object]:
    return {"object": "list", "data": [{"id": name, "object": "model"} for name in names]}


def test_the_one_model_a_server_lists_is_the_one_that_is_asked_for() -> None:
    """Requests name it; the settings' model may be a path."""
    confirmed = read().confirm(SLOT, saying(models=models("random-llama")), "")
    assert (confirmed.model, confirmed.refusal) == ("random-llama", None)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (saying(models=models("a", "b")), "must name one model and names a, b; name one with served_model"),
        (saying(models=models()), "names none; name one with served_model"),
        (saying(models=["a"]), "names none"),
        (saying(models=models("a\x1b[2J")), r"cannot be printed: a\x1b[2J; name the model with served_model"),
        (saying(models={"data": [3, {"id": 4}]}), "names none"),
        (
            CannedNetwork({"/v1/models": Answer(200, b"<html>")}),
            "is not JSON (Expecting value: line 1 column 1 (char 0)): <html>; name the model",
        ),
        (CannedNetwork({"/v1/models": Answer(500, b"{}")}), "HTTP 500: {}; name the model with served_model"),
        (CannedNetwork({}), "Connection refused; name the model with served_model"),
    ],
    ids=["two", "none", "a list", "unprintable", "no ids", "no JSON", "an error", "silence"],
)
def test_a_server_that_does_not_say_what_it_serves_is_not_measured(said: CannedNetwork, why: str) -> None:
    """Two models, none, or something else than a list: the settings must name one."""
    confirmed = read().confirm(SLOT, said, "")
    assert confirmed.refusal is not None
    assert why in confirmed.refusal
    assert read(served_model="mine").confirm(SLOT, said, "").refusal is None
    assert read(served_model="mine").confirm(SLOT, said, "").model == "mine"


def test_the_version_is_what_the_server_says_or_unknown() -> None:
    """vLLM and TensorRT-LLM answer /version, llama-server puts it into /props; it is never guessed."""

    def version(answers: CannedNetwork) -> object:
        return read(served_model="m").confirm(SLOT, answers, "").facts["version"]

    assert version(saying(version={"version": "0.11.0"})) == "0.11.0"
    assert version(saying(props={"build_info": "b11669-Debian"})) == "b11669-Debian"
    assert version(saying(version={"version": 3}, props=[])) == "unknown"
    assert version(saying(version={"version": "1.0\n::error::x\x1b[2J"})) == r"1.0\n::error::x\x1b[2J"
    assert version(CannedNetwork({})) == "unknown"


def test_a_failure_without_a_known_text_has_no_cause() -> None:
    """Guessing would name the wrong one; the end of the log is shown instead."""
    assert read().cause("starting\nTraceback (most recent call last):\n") is None
