"""The interface of started servers: what a start needs and what every kind of server provides.

Input: settings. Output: argv, files, variables, facts and checks. Invariant: this module uses no process, socket or
clock; network, environment and GPUs are passed in as ``HostContext``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast, runtime_checkable

from pytest_precgate.analysis.accepted.fingerprint import Fact, Fingerprint
from pytest_precgate.analysis.cost import Kind
from pytest_precgate.analysis.measure.gpu import Gpu
from pytest_precgate.documents import Node
from pytest_precgate.engines.base import Api, Engine, EngineDefaults
from pytest_precgate.engines.load import LEFT_OUT_UNSET, LOAD_OPTIONAL, MOST_GPUS, LoadSettings, read_load, read_start_s
from pytest_precgate.engines.machine_settings import MACHINE_OPTIONAL, MachineSettings, read_machine
from pytest_precgate.hidden import Variables

if TYPE_CHECKING:
    from pytest_precgate.http import Answer

SERVER_REQUIRED = ("engine", "model", "gpus")
SERVER_OPTIONAL = (
    *("configuration", "api", "devices", "variables", "start_timeout_s", "stall_timeout_s", "stop_timeout_s"),
    *("calibration", "start_s", *MACHINE_OPTIONAL, *LOAD_OPTIONAL),
)


class Network(Protocol):
    """The network functions that a start needs; the module pytest_precgate.http implements them."""

    def free_port(self, host: str) -> int:
        """Return a free port."""

    def listens(self, host: str, port: int) -> bool:
        """Whether a program accepts connections there."""

    def get(self, url: str, total_s: float, most_bytes: int = ...) -> Answer:
        """Return the answer, with any status; raise LoadError when there is none in time or it is too large."""


@dataclass(frozen=True)
class HostContext:
    """Where a server is started. ``gpus`` are the GPUs of this machine, None when they cannot be queried.

    ``environ`` is what the server inherits; ``directory`` is where relative paths of the settings start."""

    environ: Mapping[str, str]
    network: Network
    directory: Path
    gpus: Sequence[Gpu] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "environ", Variables(self.environ))


@dataclass(frozen=True)
class ServerSlot:
    """The resources of a starting server: its own address, its GPUs and a directory to write into.

    ``devices`` is the value of CUDA_VISIBLE_DEVICES, in order; when empty the variable is not set."""

    host: str
    port: int
    devices: tuple[str, ...]
    run_dir: Path

    @property
    def url(self) -> str:
        """The address for requests."""
        return f"http://{self.host}:{self.port}"


def device_variables(slot: ServerSlot) -> dict[str, str]:
    """Return the variables that give a server its GPUs, numbered in the driver's order as in nvidia-smi.

    CUDA's own order begins with the fastest GPU."""
    if not slot.devices:
        return {}
    return {"CUDA_VISIBLE_DEVICES": ",".join(slot.devices), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


@dataclass(frozen=True)
class ServerCommand:
    """What is started: arguments, additional variables, and files to write first, by path.

    ``keeps_scheduler`` says that a launcher of the scheduler is started, which needs the scheduler's variables."""

    argv: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[Path, str] = field(default_factory=dict)
    cwd: Path | None = None
    keeps_scheduler: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "variables", Variables(self.variables))


@dataclass(frozen=True)
class Confirmed:
    """What a ready server reports: the name for requests, and facts for the fingerprint.

    ``refusal`` says why a running server must not be measured (another MoE backend than asked for)."""

    model: str
    facts: Mapping[str, Fact] = field(default_factory=dict)
    refusal: str | None = None


@dataclass(frozen=True)
class ServerSettings:
    """The common settings of every server this tool starts. Times are in seconds.

    ``devices`` are GPU indices or UUIDs, the first ``gpus`` visible ones when empty. ``spans_nodes`` says that GPUs of
    other machines take part, so that GPUs cannot be counted here. ``calibration`` is the model of a rehearsal, and
    ``start_s`` the duration of its start. ``occupies_gpus`` is false for a server without GPUs, which shares the
    machine with any other. ``path`` is where requests are posted, None for the API's own. ``metrics_path`` is where it
    shows its counters as Prometheus text, ``draft_tokens`` the number of tokens of a draft of its speculation, None
    when unknown. ``machine`` is what keeps the machine quiet while it is up."""

    model: str
    gpus: int
    load: LoadSettings
    configuration: str = "default"
    api: Api = "completions"
    devices: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    start_timeout_s: float = 3600.0
    stall_timeout_s: float = 900.0
    stop_timeout_s: float = 60.0
    calibration: str | None = None
    start_s: float | None = None
    spans_nodes: bool = False
    occupies_gpus: bool = True
    metrics_path: str = "/metrics"
    draft_tokens: int | None = None
    path: str | None = None
    machine: MachineSettings = field(default=MachineSettings(), metadata=LEFT_OUT_UNSET)

    def __post_init__(self) -> None:
        object.__setattr__(self, "variables", Variables(self.variables))


def read_server_settings(table: Node, members: Mapping[str, Node], base: Path) -> ServerSettings:
    """Read the keys of SERVER_REQUIRED and SERVER_OPTIONAL out of ``members`` of ``table``."""
    gpus, load = members["gpus"].count(MOST_GPUS), read_load(members, base)
    given: dict[str, Any] = {"configuration": members["configuration"].name()} if "configuration" in members else {}
    if "calibration" in members:
        given["calibration"] = members["calibration"].path()
    for key in ("start_timeout_s", "stall_timeout_s", "stop_timeout_s"):
        if key in members:
            given[key] = members[key].seconds()
    if "start_s" in members:
        given["start_s"] = read_start_s(members["start_s"])
    if "api" in members:
        given["api"] = cast(Api, members["api"].choice(("completions", "chat")))
        if given["api"] == "chat" and load.tokenizer is None:
            table.fail("chat takes text, not token ids: name a tokenizer.json with tokenizer")
    if "devices" in members:
        given["devices"] = _devices(members["devices"], gpus)
    if "variables" in members:
        given["variables"] = _variables(members["variables"].hidden())
    given["machine"] = read_machine(members, load.client_cpus)
    return ServerSettings(members["model"].path(), gpus, load, **given)


def _variables(node: Node) -> dict[str, str]:
    for name, member in node.mapping().items():
        if not name or "=" in name:
            member.fail("wanted a name without =")
    return {name: member.text() for name, member in node.mapping().items()}


def _devices(node: Node, gpus: int) -> tuple[str, ...]:
    found = tuple(str(item.integer()) if isinstance(item.value, int) else item.text() for item in node.items())
    if len(set(found)) != len(found) or len(found) != gpus:
        node.fail(f"got {list(found)}, wanted {gpus} different GPUs, as many as gpus says")
    return found


class StartedServer(EngineDefaults):
    """The common part of engines that start a server; the load client measures them."""

    settings: ServerSettings
    paid: ClassVar[Kind] = "started"

    @property
    def configuration(self) -> str:
        """The name of the configuration."""
        return self.settings.configuration

    @property
    def load(self) -> LoadSettings:
        """The load settings."""
        return self.settings.load

    @property
    def start_s(self) -> float | None:
        """The duration of a start according to the settings, in seconds."""
        return self.settings.start_s

    @property
    def starting_gpu_s(self) -> float | None:
        """The same in GPU-seconds."""
        return None if self.start_s is None else self.settings.gpus * self.start_s

    @property
    def calibration_name(self) -> str | None:
        """The calibration for a rehearsal, as the settings name it."""
        return self.settings.calibration

    @property
    def machine(self) -> MachineSettings | None:
        """What is asked of this machine while it is up."""
        return self.settings.machine

    @property
    def occupies_gpus(self) -> bool:
        """Whether it uses GPUs of this machine."""
        return self.settings.occupies_gpus

    def identity(self) -> Mapping[str, Fact]:
        """Return the model, the API and the window; a baseline with another one does not match.

        The options are not included, because a changed option is what a gate judges."""
        return {"api": self.settings.api, "model": self.settings.model, "window": self.settings.load.window}

    def facts(self) -> Mapping[str, Fact]:
        """Return the load settings."""
        return self.settings.load.facts


@runtime_checkable
class Started(Engine, Protocol):
    """An engine that is a server this tool starts, loads and stops. Its sweep is the load client's."""

    @property
    def settings(self) -> ServerSettings:
        """The common settings of every kind of server."""

    def preflight(self, precision: str, hardware: str, host: HostContext) -> Fingerprint:
        """Return the facts known before a start.

        Raises PreflightError, naming the problem and the alternative, for anything that cannot work.
        """

    def command(self, slot: ServerSlot, host: HostContext) -> ServerCommand:
        """Return what to start."""

    def is_ready(self, slot: ServerSlot, network: Network) -> bool:
        """Query once, without waiting, whether the server is ready."""

    def confirm(self, slot: ServerSlot, network: Network, log: str) -> Confirmed:
        """Query the facts of a ready server; ``log`` is the whole text of its output so far."""

    def cause(self, log: str) -> str | None:
        """Return the recognised cause of a failure in one line, or None."""
