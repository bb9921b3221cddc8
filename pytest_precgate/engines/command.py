"""An engine that starts any server by a command line: words and placeholders, never a shell.

Input: the settings. Output: argv, variables and facts. The server is known only through HTTP, so the facts come from
the settings: the words, the program, and the model if it is a file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from string import Formatter
from typing import ClassVar

from pytest_precgate.analysis.accepted.fingerprint import Fact, Fingerprint
from pytest_precgate.documents import Node, nearest
from pytest_precgate.engines.endpoint import read_path
from pytest_precgate.engines.failures import COMMON, FailureText, recognise
from pytest_precgate.engines.openai_server import answers_200, listed_names, said_version, served_models
from pytest_precgate.engines.server import (
    SERVER_OPTIONAL,
    SERVER_REQUIRED,
    Confirmed,
    HostContext,
    Network,
    ServerCommand,
    ServerSettings,
    ServerSlot,
    StartedServer,
    device_variables,
    read_server_settings,
)
from pytest_precgate.engines.speculation import acceptance_facts
from pytest_precgate.engines.speculation.argv import require_forced
from pytest_precgate.errors import LoadError, PreflightError

_OWN = ("ready", "served_model", "path")
PLACEHOLDERS = ("host", "model", "port")
HASHED_BELOW_BYTES = 2**30

# Where servers report their version: path and key. /version: vLLM, TensorRT-LLM; /props: llama-server.
_VERSIONS = (("/version", "version"), ("/props", "build_info"))

# Output of llama-server (llama.cpp 0.7.0) when it cannot start.
_FAILURES = (
    *COMMON,
    FailureText("error: invalid argument", "the server does not know an option in argv"),
    FailureText("failed to open GGUF file", "there is no such model file"),
    FailureText("error loading model:", "the model cannot be loaded", general=True),
)


@dataclass(frozen=True)
class CommandEngine(StartedServer):
    """The settings of one command line. With ``served_model`` None the server is asked for its model."""

    kind: ClassVar[str] = "command"

    settings: ServerSettings
    argv: tuple[str, ...]
    ready: str = "/health"
    served_model: str | None = None

    @staticmethod
    def read(table: Node, base: Path) -> CommandEngine:
        """Read a precision's table; an unknown placeholder and a command line without {port} are refused."""
        members = table.table(required=(*SERVER_REQUIRED, "argv"), optional=(*SERVER_OPTIONAL, *_OWN))
        given = {key: members[key].text() for key in ("ready", "served_model") if key in members}
        if not given.get("ready", "/").startswith("/"):
            members["ready"].fail(f"got {given['ready']!r}, wanted a path of the server, like /health")
        settings = read_server_settings(table, members, base)
        path = read_path(members["path"], settings.api) if "path" in members else None
        return CommandEngine(replace(settings, path=path), _argv(members["argv"]), **given)

    def preflight(self, precision: str, hardware: str, host: HostContext) -> Fingerprint:  # noqa: ARG002
        """Return the program, a hash of the words, and size and hash of a model that is a file.

        Raises PreflightError for a missing program, for a missing model whose name begins with ``/`` or ``.``, and for
        speculative decoding whose acceptance is not forced. GPUs are not counted: for a server on CPUs ``gpus = 1``
        means the machine."""
        self._program(precision, host)
        variables = {**host.environ, **self.settings.variables}
        require_forced(
            self._words("HOST", "PORT"), variables, self.settings.load.acceptance_length, self.settings.model
        )
        words = json.dumps(self.argv).encode()
        facts: dict[str, Fact] = {"argv_sha256": hashlib.sha256(words).hexdigest(), "program": self.argv[0]}
        model, path = self.settings.model, host.directory / self.settings.model
        if model.startswith(("/", ".")) and not path.exists():
            raise PreflightError(f"{precision}: no model {model!r}: there is no {path}")
        if path.is_file():
            facts["model_file"] = _described(path)
        return Fingerprint({}, facts) | acceptance_facts(self.settings.load.acceptance_length)

    def command(self, slot: ServerSlot, host: HostContext) -> ServerCommand:
        """Return the words with their placeholders filled in, the program by its whole path."""
        words = self._words(slot.host, str(slot.port))[1:]
        variables = {**self.settings.variables, **device_variables(slot)}
        program = self._program(self.settings.configuration, host)
        return ServerCommand((program, *words), variables, cwd=host.directory)

    def _words(self, host: str, port: str) -> list[str]:
        values = {"host": host, "model": self.settings.model, "port": port}
        return [word.format_map(values) for word in self.argv]

    def _program(self, whose: str, host: HostContext) -> str:
        """A word with a slash is a path that starts at the settings' directory; any other is looked up in PATH."""
        word = self.argv[0].format()
        search = {**host.environ, **self.settings.variables}.get("PATH", os.defpath)
        is_path = "/" in word
        found = shutil.which(str(host.directory / word) if is_path else word, path=search)
        if found is None:
            path = host.directory / word
            there = "it is not a program that may be executed" if path.exists() else "it is not there"
            where = f"{path}: {there}" if is_path else f"it is not in PATH ({search})"
            raise PreflightError(
                f"{whose}: no program {word!r}: {where} (argv is no shell command); install it, or give its path"
            )
        return found

    def is_ready(self, slot: ServerSlot, network: Network) -> bool:
        """Query once whether the path of ``ready`` answers 200."""
        return answers_200(slot, network, self.ready)

    def confirm(self, slot: ServerSlot, network: Network, log: str) -> Confirmed:  # noqa: ARG002  # it may say anything
        """Query the served model, when the settings do not name it, and the version."""
        facts = {"version": _version(slot, network)}
        if self.served_model is not None:
            return Confirmed(self.served_model, facts)
        try:
            served = served_models(slot, network)
        except LoadError as exc:
            refusal = f"/v1/models cannot be read: {exc}; name the model with served_model"
            return Confirmed(self.settings.model, facts, refusal)
        if len(served) == 1:
            return Confirmed(served[0], facts)
        refusal = f"/v1/models must name one model and names {listed_names(served)}; name one with served_model"
        return Confirmed(self.settings.model, facts, refusal)

    def cause(self, log: str) -> str | None:
        """Return the recognised cause of a failure in one line, or None for unknown texts."""
        return recognise(log, _FAILURES)


def _argv(node: Node) -> tuple[str, ...]:
    words = node.items()
    if not words:
        node.fail("got an empty list, wanted a program and its arguments, one text each")
    used = [(word, name) for word in words for name in _placeholders(word)]
    for word, name in used:
        if name not in PLACEHOLDERS:
            word.fail(f"unknown placeholder {{{name}}}; {nearest(name, PLACEHOLDERS)}; a brace is written {{{{ or }}}}")
        if word is words[0]:
            word.fail(f"got {word.text()!r}, wanted a program without placeholders")
    if not any(name == "port" for _, name in used):
        node.fail("holds no {port}: the server must listen on the port it is given")
    return tuple(word.text() for word in words)


def _placeholders(word: Node) -> list[str]:
    """The names in braces. Other features of format strings ({port:05}, {model!r}) are part of an unknown name."""
    try:
        parts = list(Formatter().parse(word.text()))
    except ValueError as exc:
        word.fail(f"{exc}; a brace is written {{{{ or }}}}")
    return [
        name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
        for _, name, spec, conversion in parts
        if name is not None
    ]


def _described(path: Path) -> str:
    """Size, and a hash if reading the file takes at most a second: a checkpoint of 600 GB is identified by its size."""
    size = path.stat().st_size
    if size >= HASHED_BELOW_BYTES:
        return f"{size} bytes"
    return f"{size} bytes, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _version(slot: ServerSlot, network: Network) -> str:
    said = (said_version(slot, network, path, key) for path, key in _VERSIONS)
    return next((version for version in said if version is not None), "unknown")
