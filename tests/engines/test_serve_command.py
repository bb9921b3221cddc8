"""``precgate serve-simulated`` and ``calibrate --out`` as commands: what they are told, and what they refuse."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from pytest_precgate import cli
from pytest_precgate.cli import main
from pytest_precgate.engines.simulated.calibration import shipped
from pytest_precgate.engines.simulated.misbehave import KINDS
from tests.engines.simulated_server import asked, completion, metrics

NAME = "kimi-k2.5-b200-fp4-tp4"
POINTS = "examples/points/kimi_k2_b200_1k1k.csv:fp4"


@contextmanager
def command(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command in a process of its own on a free port, and its address."""
    words = [sys.executable, "-m", "pytest_precgate.cli", "serve-simulated", "--port", "0", *options]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith(f"SIMULATED {NAME} on http://127.0.0.1:")
            yield process, line.split()[-1]
        finally:
            process.kill()


def test_every_option_reaches_the_server_and_ctrl_c_ends_it_quietly() -> None:
    """A cache, speculation, strict fields, padded steps and two kinds of misbehaviour at once; exit 0, nothing said."""
    options = (
        *(
            "--speed",
            "20",
            "--strict-fields",
            "--prefix-cache",
            "--prefix-cache-tokens",
            "320",
            "--padded-steps",
            "0.5",
        ),
        *("--speculative-tokens", "2", "--acceptance-length", "2", "--misbehave", "split-usage,done-blank"),
    )
    with command(*options) as (process, url):
        assert asked(url, "/v1/models").json["data"][0]["id"] == NAME  # type: ignore[index]
        replies = [completion(url, prompt=list(range(40)), tokens=9, model=NAME) for _ in range(2)]
        assert [reply.data[-1] for reply in replies] == ["[DONE] ", "[DONE] "]
        assert [reply.body.count(b'"usage"') for reply in replies] == [2, 2]
        assert replies[0].body.count(b'" x x"') == 4
        told = metrics(url)
        assert told["prefix_cache_hits_total"] == 32
        assert told["spec_decode_num_draft_tokens_total"] == 2 * told["spec_decode_num_drafts_total"] == 16
        assert completion(url, model=NAME, nonsense=1).status == 400
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_help_lists_every_kind_of_misbehaviour(capsys: pytest.CaptureFixture[str]) -> None:
    """By name, with its value."""
    with pytest.raises(SystemExit) as ended:
        main(["serve-simulated", "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert all(f"\n  {name}" in out for name in KINDS)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("--port 70000", "cannot listen on 127.0.0.1, port 70000: *wanted a host and a port from 0 to 65535"),
        ("--port -1", "cannot listen on 127.0.0.1, port -1: *wanted a host and a port from 0 to 65535"),
        ("--host 192.0.2.1 --port 0", "cannot listen on 192.0.2.1, port 0: *; give another --port *"),
        ("--host a..b", "cannot listen on a..b, port 8000: *wanted a host and a port from 0 to 65535"),
        ("--host=", "--host: got an empty name, wanted one of this machine's addresses, as 127.0.0.1 or 0.0.0.0"),
        ("--speed 0", "--speed: got 0, wanted a finite number above 0"),
        ("--speed nan", "--speed: got nan, wanted a finite number above 0"),
        ("--max-batch 0", "--max-batch: Limits: got 0 requests, *"),
        ("--padded-steps 2", "--padded-steps: StepTime.padded_steps: got 2, wanted a share from 0 to 1"),
        ("--padded-steps -1", "--padded-steps: StepTime.padded_steps: got -1*"),
        ("--prefix-cache-tokens 64", "--prefix-cache-tokens: got no --prefix-cache*"),
        ("--prefix-cache --prefix-cache-tokens 15", "--prefix-cache-tokens: prefix cache: got 15 tokens, wanted *"),
        ("--speculative-tokens 2", "--speculative-tokens and --acceptance-length: got one of them, *"),
        ("--acceptance-length 2", "--speculative-tokens and --acceptance-length: got one of them, *"),
        ("--speculative-tokens 2 --acceptance-length 3.1", "*acceptance_length: got 3.1, wanted 1 to 3*"),
        ("--misbehave hung", "--misbehave: no such misbehaviour 'hung'; did you mean 'hang'*"),
        ("--misbehave hang=0", "--misbehave: hang: got 0, wanted a whole number of at least 1"),
        ("--calibration nosuch", "nosuch: no such calibration*"),
    ],
)
def test_what_cannot_be_served_is_one_line_and_exit_2(words: str, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By option, with what was got and what is wanted; no traceback."""
    assert main(["serve-simulated", *words.split()]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert fnmatchcase(line, f"precgate: {why}")


def test_a_taken_port_is_one_line_and_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    """It says that it is taken, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve-simulated", "--port", str(port)]) == 2
    assert capsys.readouterr().err == (
        f"precgate: cannot listen on 127.0.0.1, port {port}: Address already in use; "
        "give another --port (0 takes a free one), or a --host of this machine\n"
    )


def test_a_calibration_is_not_fitted_for_a_folder_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit 2, before anything is read."""
    assert main(["calibrate", "nosuch.csv", "--out", str(tmp_path / "none" / "mine.json")]) == 2
    assert f"mine.json: cannot be written: there is no folder {tmp_path / 'none'}" in capsys.readouterr().err


def test_a_calibration_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a folder has the file's name: one line, exit 2, and no file beside it."""
    folder = tmp_path / "mine.json"
    folder.mkdir()
    quick(monkeypatch)
    assert main(["calibrate", POINTS, "--configuration", "vllm-tp4-ep1", "--out", str(folder)]) == 2
    assert "mine.json: cannot be written: Is a directory" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [folder]


def test_a_calibration_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over an older one, with nothing left beside it."""
    path = tmp_path / "mine.json"
    path.write_text("old", encoding="utf-8")
    quick(monkeypatch)
    assert main(["calibrate", POINTS, "--configuration", "vllm-tp4-ep1", "--out", str(path)]) == 0
    assert json.loads(path.read_text(encoding="utf-8"))["gpus"] == 4
    assert list(tmp_path.iterdir()) == [path]


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit that finds what was shipped: a real one takes some ten seconds."""
    monkeypatch.setattr(cli, "fit", lambda *_: shipped()[NAME])
