"""The engine ``trtllm-serve``, started from the settings.

Input: the settings. Output: argv, the YAML options file, variables and facts. Every option is written to the YAML file
and none to both, because the precedence of file and command line changed between releases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from pytest_precgate.engines.preflight import (
    Claim,
    checked,
    checkpoint_facts,
    locate_program,
    refuse_gpus,
    refuse_split_words,
)
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
from pytest_precgate.engines.speculation.trtllm import contradiction, draft_length, forced_variables
from pytest_precgate.engines.trtllm_log import FAILURES, fallback_refusal, log_facts

_OWN = ("options", "tp", "pp", "ep", "nodes", "revision", "launch_prefix", "allow_unsupported", "program")
# Keys that the options must not set, and the setting for each.
_ELSEWHERE: Mapping[str, str] = {
    "model": "model",
    "host": "this tool",
    "port": "this tool",
    "backend": "this tool (pytorch)",
    "tensor_parallel_size": "tp",
    "tp_size": "tp",
    "pipeline_parallel_size": "pp",
    "pp_size": "pp",
    "moe_expert_parallel_size": "ep",
    "ep_size": "ep",
    "revision": "revision",
}
_ONE_TOKEN_S = 300.0
_METRICS_PATH = "/prometheus/metrics"  # its /metrics is JSON and is emptied when read


@dataclass(frozen=True)
class TrtllmEngine(StartedServer):
    """The settings of one TensorRT-LLM server: the common ones, and its own.

    ``options`` is written to the engine's YAML file. ``ep`` is the size of the expert-parallel groups, None for the
    engine's default. ``launch_prefix`` is put in front of ``program``: ``srun ... trtllm-llmapi-launch``."""

    kind: ClassVar[str] = "trtllm"

    settings: ServerSettings
    options: Mapping[str, Any]
    tp: int
    pp: int = 1
    ep: int | None = None
    revision: str | None = None
    launch_prefix: tuple[str, ...] = ()
    allow_unsupported: bool = False
    program: str = "trtllm-serve"

    @staticmethod
    def read(table: Node, base: Path) -> TrtllmEngine:
        """Read a precision's table."""
        members = table.table(required=SERVER_REQUIRED, optional=(*SERVER_OPTIONAL, *_OWN))
        settings = read_server_settings(table, members, base)
        tp, pp = read_parallel(members, settings.gpus)
        prefix = tuple(word.text() for word in members["launch_prefix"].items()) if "launch_prefix" in members else ()
        nodes = members["nodes"].count() if "nodes" in members else 1
        if nodes > 1 and not prefix:
            members["nodes"].fail(f"got {nodes}, and no launch_prefix to start the others (srun or mpirun)")
        options = _options(members["options"]) if "options" in members else {}
        return TrtllmEngine(
            settings=replace(
                settings, spans_nodes=nodes > 1, metrics_path=_METRICS_PATH, draft_tokens=draft_length(options)
            ),
            options=options,
            tp=tp,
            pp=pp,
            ep=_expert_parallel(members["ep"], tp) if "ep" in members else None,
            revision=members["revision"].text() if "revision" in members else None,
            launch_prefix=prefix,
            allow_unsupported="allow_unsupported" in members and members["allow_unsupported"].flag(),
            program=members["program"].path() if "program" in members else "trtllm-serve",
        )

    def preflight(self, precision: str, hardware: str, host: HostContext) -> Fingerprint:
        """Return facts of checkpoint, command line and options.

        Raises PreflightError for a program, GPUs or a checkpoint that cannot work, for words that the launcher splits,
        and for speculative decoding whose acceptance is not forced."""
        claim = Claim(self.kind, precision, hardware, self.allow_unsupported)
        facts = checked(
            lambda: self._program(host),
            self._command_facts,
            lambda: refuse_gpus(self.settings, precision, hardware, host),
            lambda: checkpoint_facts(claim, self.settings, self.revision, host),
        )
        facts |= acceptance_facts(self.settings.load.acceptance_length)
        return facts | stream_facts(self.options.get("stream_interval"))

    def _command_facts(self) -> Fingerprint:
        argv = self._argv(Path(self.program).name, self.settings.model, "HOST", "PORT", "OPTIONS")
        refuse_split_words(argv)
        self._forced()
        return Fingerprint(
            {}, {"command_sha256": digest("\n".join(argv)), "options_sha256": digest(self.options_yaml())}
        )

    def command(self, slot: ServerSlot, host: HostContext) -> ServerCommand:
        """Return what to start, and the options file it reads; both stay in the directory of the server slot.

        Raises PreflightError when the launcher would split a path."""
        options = slot.run_dir / "trtllm.yaml"
        model = model_argument(self.settings.model, host)
        argv = self._argv(self._program(host), model, slot.host, str(slot.port), str(options))
        refuse_split_words(argv)
        variables = server_variables({"TRTLLM_NO_USAGE_STATS": "1", **self._forced()}, slot, self.settings)
        return ServerCommand(
            argv=tuple(argv),
            variables=variables,
            files={options: self.options_yaml(), **recorded_command(slot, argv, variables, self.settings.variables)},
            keeps_scheduler=bool(self.launch_prefix),
        )

    def _forced(self) -> dict[str, str]:
        """The variables that force the acceptance length, if the server speculates."""
        settings = self.settings
        return forced_variables(self.options, settings.variables, settings.load.acceptance_length, settings.model)

    def _program(self, host: HostContext) -> str:
        """The program, looked up here unless a launcher does so, possibly in a container or on another machine."""
        if self.launch_prefix:
            locate_program(self.launch_prefix[0], host)
            return self.program
        return locate_program(self.program, host)

    def _argv(self, program: str, model: str, host: str, port: str, options: str) -> list[str]:
        """The command line. MODEL comes first: the first argument decides whether the program expects a subcommand."""
        own = ["--host", host, "--port", port, "--backend", "pytorch", "--extra_llm_api_options", options]
        return [*self.launch_prefix, program, model, *own]

    def options_yaml(self) -> str:
        """Return the options file. Prefix reuse is off unless the settings enable it, because it would skip the
        prefill."""
        import yaml  # noqa: PLC0415  # only where a server is started

        options = dict(self.options)
        options["kv_cache_config"] = {"enable_block_reuse": False, **options.get("kv_cache_config", {})}
        options["tensor_parallel_size"], options["pipeline_parallel_size"] = self.tp, self.pp
        if self.ep is not None:
            options["moe_expert_parallel_size"] = self.ep
        if self.revision is not None:
            options["revision"] = self.revision
        return str(yaml.safe_dump(options, sort_keys=True))

    def is_ready(self, slot: ServerSlot, network: Network) -> bool:
        """Query once, without waiting, whether the server is ready."""
        return answers_200(slot, network)

    def confirm(self, slot: ServerSlot, network: Network, log: str) -> Confirmed:
        """Let the server generate one token, query its facts, and read from its output what it runs."""
        model, moe = self.settings.model, self.options.get("moe_config", {}).get("backend", "AUTO")
        generates = answers_200(slot, network, "/health_generate", _ONE_TOKEN_S)
        name, unnamed = served_name(slot, network, (model, Path(model).name))
        mute = None if generates else "/health_generate gave no token"
        facts = {"engine_version": engine_version(slot, network), **log_facts(log, str(moe))}
        refusal = mute or unnamed or contradiction(log) or fallback_refusal(log, str(moe))
        return Confirmed(name or model, facts, refusal)

    def cause(self, log: str) -> str | None:
        """Return the recognised cause of a failure in one line, or None."""
        return recognise(log, FAILURES)


def _expert_parallel(node: Node, tp: int) -> int:
    """Expert and tensor parallelism of the experts share the tensor-parallel GPUs."""
    ep = node.count()
    if tp % ep:
        node.fail(f"got {ep}, wanted a divisor of tp, which is {tp}")
    return ep


def _options(node: Node) -> dict[str, Any]:
    """The options as they are written; keys with their own setting are refused."""
    for key, member in node.mapping().items():
        if key in _ELSEWHERE:
            member.fail(f"{key} is set by {_ELSEWHERE[key]}; nothing is set in two places")
        if key == "context_parallel_size":
            member.fail("context parallelism is not supported: tp * pp must be gpus")
        if key in ("kv_cache_config", "moe_config"):
            member.mapping()
    return plain_options(node)
