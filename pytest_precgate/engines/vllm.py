"""The engine ``vllm serve``, started from the settings.

Input: the settings. Output: argv, variables and facts. Options become flags, because up to 0.20 vLLM's --config file
silently dropped every ``false``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.documents import Node
from pytest_precgate.engines.failures import recognise
from pytest_precgate.engines.openai_server import (
    answers_200,
    digest,
    engine_version,
    model_argument,
    plain_options,
    read_parallel,
    recorded_command,
    served_name,
    server_variables,
    stream_facts,
)
from pytest_precgate.engines.preflight import Claim, checked, checkpoint_facts, locate_program, refuse_gpus
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
    read_server_settings,
)
from pytest_precgate.engines.speculation import acceptance_facts
from pytest_precgate.engines.speculation.vllm import contradiction, forced_options
from pytest_precgate.engines.vllm_log import FAILURES, fallback_refusal, log_facts

_OWN = ("options", "tp", "pp", "revision", "allow_unsupported", "program")
# Flags that the options must not set, and the setting for each.
_ELSEWHERE: Mapping[str, str] = {
    "model": "model",
    "served-model-name": "model",
    "host": "this tool",
    "port": "this tool",
    "config": "options",
    "tensor-parallel-size": "tp",
    "tp": "tp",
    "pipeline-parallel-size": "pp",
    "pp": "pp",
    "revision": "revision",
}
# They need GPUs beyond tp * pp, other machines, or another client.
_REFUSED = (
    *("data-parallel-size", "data-parallel-rank", "decode-context-parallel-size", "prefill-context-parallel-size"),
    *("nnodes", "node-rank", "headless", "grpc", "uds", "api-key", "ssl-keyfile", "ssl-certfile", "root-path"),
)
# Values that apply unless the options set them.
_DEFAULTS: Mapping[str, Any] = {"enable-prefix-caching": False, "enable-prompt-tokens-details": True}


@dataclass(frozen=True)
class VllmEngine(StartedServer):
    """The settings of one vLLM server: the common ones, and its own.

    ``options`` are flags by name, with dashes and without the leading two."""

    kind: ClassVar[str] = "vllm"

    settings: ServerSettings
    options: Mapping[str, Any]
    tp: int
    pp: int = 1
    revision: str | None = None
    allow_unsupported: bool = False
    program: str = "vllm"

    @staticmethod
    def read(table: Node, base: Path) -> VllmEngine:
        """Read a precision's table."""
        members = table.table(required=SERVER_REQUIRED, optional=(*SERVER_OPTIONAL, *_OWN))
        settings = read_server_settings(table, members, base)
        tp, pp = read_parallel(members, settings.gpus)
        return VllmEngine(
            settings=settings,
            options=_options(members["options"]) if "options" in members else {},
            tp=tp,
            pp=pp,
            revision=members["revision"].text() if "revision" in members else None,
            allow_unsupported="allow_unsupported" in members and members["allow_unsupported"].flag(),
            program=members["program"].path() if "program" in members else "vllm",
        )

    def preflight(self, precision: str, hardware: str, host: HostContext) -> Fingerprint:
        """Return facts of checkpoint and command line.

        Raises PreflightError for a program, GPUs or a checkpoint that cannot work, and for speculative decoding whose
        acceptance is not forced.
        """
        claim = Claim(self.kind, precision, hardware, self.allow_unsupported)
        facts = checked(
            lambda: locate_program(self.program, host),
            self._command_facts,
            lambda: refuse_gpus(self.settings, precision, hardware, host),
            lambda: checkpoint_facts(claim, self.settings, self.revision, host),
        )
        facts |= acceptance_facts(self.settings.load.acceptance_length)
        return facts | stream_facts(self.options.get("stream-interval"))

    def _command_facts(self) -> Fingerprint:
        argv = self._argv(Path(self.program).name, self.settings.model, "HOST", "PORT")
        return Fingerprint({}, {"command_sha256": digest("\n".join(argv))})

    def command(self, slot: ServerSlot, host: HostContext) -> ServerCommand:
        """Return what to start; the command line is kept in the directory of the server slot."""
        model = model_argument(self.settings.model, host)
        argv = self._argv(locate_program(self.program, host), model, slot.host, str(slot.port))
        variables = server_variables({"DO_NOT_TRACK": "1", "VLLM_NO_USAGE_STATS": "1"}, slot, self.settings)
        return ServerCommand(tuple(argv), variables, recorded_command(slot, argv, variables, self.settings.variables))

    def _argv(self, program: str, model: str, host: str, port: str) -> list[str]:
        """The command line. Prefix caching is off unless the options enable it, because a cached prompt is not
        computed.

        The number of cached tokens is reported with each response in any case. Raises PreflightError for speculative
        decoding whose acceptance is not forced."""
        options = forced_options(self.options, self.settings.load.acceptance_length, self.settings.model)
        words = ["--host", host, "--port", port, "--served-model-name", self.settings.model]
        words += ["--tensor-parallel-size", str(self.tp)]
        words += ["--pipeline-parallel-size", str(self.pp)] if self.pp > 1 else []
        words += ["--revision", self.revision] if self.revision is not None else []
        return [program, "serve", model, *words, *flags_of({**_DEFAULTS, **options})]

    def is_ready(self, slot: ServerSlot, network: Network) -> bool:
        """Query once, without waiting, whether the server is ready."""
        return answers_200(slot, network)

    def confirm(self, slot: ServerSlot, network: Network, log: str) -> Confirmed:
        """Query the server's facts, and read from its output what it runs."""
        name, unnamed = served_name(slot, network, (self.settings.model,))
        facts = {"engine_version": engine_version(slot, network), **log_facts(log)}
        forced = self.settings.load.acceptance_length is not None
        refusal = unnamed or contradiction(log, is_forced=forced)
        refusal = refusal or fallback_refusal(log, self.options, self.settings.variables)
        return Confirmed(name or self.settings.model, facts, refusal)

    def cause(self, log: str) -> str | None:
        """Return the recognised cause of a failure in one line, or None."""
        return recognise(log, FAILURES)


def _options(node: Node) -> dict[str, Any]:
    """The options by flag name, refusing keys with their own setting and repeated ones (``max_num_seqs`` and
    ``max-num-seqs``)."""
    named: dict[str, Any] = {}
    values = plain_options(node)
    for key, member in node.mapping().items():
        flag = key.replace("_", "-")
        if re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", flag) is None:
            member.fail(f"got {key!r}, wanted the name of a flag; write a table for a dotted one")
        if flag.startswith("no-"):
            member.fail(f"write {flag.removeprefix('no-')} = false")
        if flag in named:
            member.fail(f"{flag} is set twice; nothing is set in two places")
        if flag in _ELSEWHERE:
            member.fail(f"{flag} is set by {_ELSEWHERE[flag]}; nothing is set in two places")
        if flag == "hf-token":
            member.hidden().fail(
                "every user of the machine can read a command line; export HF_TOKEN before the run instead"
            )
        if flag in _REFUSED:
            member.fail(f"{flag} is not supported: a server has tp * pp = gpus GPUs of this machine, and plain HTTP")
        named[flag] = values[key]
    return named


def flags_of(options: Mapping[str, Any]) -> list[str]:
    """Return options as flags: ``true`` is --x, ``false`` --no-x, a table is JSON, a list one flag with its values."""
    words: list[str] = []
    for name, value in options.items():
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
        elif isinstance(value, list):
            words += [f"--{name}", *map(_word, value)]
        else:
            word = _word(value)
            words += [f"--{name}={word}"] if word.startswith("-") else [f"--{name}", word]
    return words


def _word(value: object) -> str:
    return json.dumps(value, sort_keys=True) if isinstance(value, (Mapping, list, bool)) else str(value)
