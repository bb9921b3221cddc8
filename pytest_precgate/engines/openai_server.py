"""The common part of servers with OpenAI's API: readiness, version, served model name, and the facts of the load.

Input: settings and a network. Output: answers of the server as values, or errors that name the URL."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.documents import Node
from pytest_precgate.engines.checkpoint import is_local
from pytest_precgate.engines.server import HostContext, Network, ServerSettings, ServerSlot, device_variables
from pytest_precgate.errors import LoadError, ResponseError
from pytest_precgate.text import printable

ASK_S = 5.0
_NAMES_SHOWN = 5


def answers_200(slot: ServerSlot, network: Network, path: str = "/health", total_s: float = ASK_S) -> bool:
    """Query ``path`` once. No answer and 503 both mean that the model is still loading."""
    try:
        return network.get(f"{slot.url}{path}", total_s).status == 200
    except LoadError:
        return False


def ask_json(slot: ServerSlot, network: Network, path: str) -> object:
    """Return the JSON answer of ``path``. Raises LoadError when there is none or it cannot be used."""
    answer = network.get(f"{slot.url}{path}", ASK_S)
    if answer.status != 200:
        raise ResponseError(f"HTTP {answer.status}: {printable(answer.body) or '(empty)'}")
    return answer.json()


def said_version(slot: ServerSlot, network: Network, path: str = "/version", key: str = "version") -> str | None:
    """Return the version under ``key`` of ``path``, printable; None when there is none."""
    try:
        said = ask_json(slot, network, path)
    except LoadError:
        return None
    version = said.get(key) if isinstance(said, dict) else None
    return (printable(version) or None) if isinstance(version, str) else None


def engine_version(slot: ServerSlot, network: Network) -> str:
    """Return the answer of /version, or ``not said``."""
    return said_version(slot, network) or "not said"


def served_models(slot: ServerSlot, network: Network) -> list[str]:
    """Return the names that /v1/models lists. Raises LoadError for a list that cannot be read or used in a request."""
    said = ask_json(slot, network, "/v1/models")
    listed = said.get("data") if isinstance(said, dict) else None
    found = [entry.get("id") for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    names = [name for name in found if isinstance(name, str) and name]
    for name in names:
        if printable(name, len(name)) != name:
            raise ResponseError(f"it names a model with characters that cannot be printed: {printable(name)}")
    return names


def listed_names(names: Sequence[str]) -> str:
    """Return names of models for a message: the first few, ``none`` for an empty list."""
    shown = ", ".join(printable(name) for name in names[:_NAMES_SHOWN])
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"{shown}{more}" if names else "none"


def served_name(slot: ServerSlot, network: Network, wanted: Sequence[str]) -> tuple[str | None, str | None]:
    """Return the name that requests must use, or None and the reason why there is none.

    ``wanted`` are the expected names; a server with one model may have any name."""
    try:
        names = served_models(slot, network)
    except LoadError as exc:
        return None, f"/v1/models must name the model, and cannot be read: {exc}"
    if len(names) == 1:
        return names[0], None
    matching = [name for name in names if name in wanted]
    if len(matching) == 1:
        return matching[0], None
    served = listed_names(names)
    return None, f"/v1/models must name one model, or {' or '.join(wanted)} among several; it names {served}"


def model_argument(model: str, host: HostContext) -> str:
    """Return the model in the command line: the whole path of a directory, else its name on the hub."""
    return str((host.directory / model).resolve()) if is_local(model, host.directory) else model


def server_variables(own: Mapping[str, str], slot: ServerSlot, settings: ServerSettings) -> dict[str, str]:
    """Return the variables of a start: offline, so that the checked files are used, then the settings' own."""
    return {"HF_HUB_OFFLINE": "1", **own, **settings.variables, **device_variables(slot)}


def stream_facts(interval: object) -> Fingerprint:
    """Return a fact when several tokens share a chunk: itl is then not the gap between tokens, tpot stays valid."""
    return Fingerprint({}, {"stream_interval": interval} if isinstance(interval, int) and interval > 1 else {})


def digest(text: str) -> str:
    """Return the first 16 hex digits of a text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def command_line(argv: Sequence[str], variables: Mapping[str, str], hidden: Collection[str] = ()) -> str:
    """Return the command as typed in a shell, for the record; values of ``hidden`` variables are left out."""
    words = [
        f'{name}="${name}"' if name in hidden else f"{name}={shlex.quote(value)}"
        for name, value in sorted(variables.items())
    ]
    return " ".join([*words, shlex.join(argv)]) + "\n"


def recorded_command(
    slot: ServerSlot, argv: Sequence[str], variables: Mapping[str, str], hidden: Collection[str]
) -> dict[Path, str]:
    """Return the file that keeps the command beside the server's output, without the values of ``hidden`` variables."""
    return {slot.run_dir / "command.txt": command_line(argv, variables, hidden)}


def read_parallel(members: Mapping[str, Node], gpus: int) -> tuple[int, int]:
    """Read ``tp`` and ``pp``, tensor and pipeline parallelism: their product is ``gpus``; ``tp`` defaults to the
    rest."""
    pp = members["pp"].count() if "pp" in members else 1
    if gpus % pp:
        members["pp"].fail(f"got {pp}, wanted a divisor of gpus, which is {gpus}")
    tp = members["tp"].count() if "tp" in members else gpus // pp
    if tp * pp != gpus:
        members["tp"].fail(f"tp * pp is {tp * pp}, and gpus is {gpus}: they must be the same")
    return tp, pp


def plain_options(node: Node) -> dict[str, Any]:
    """Return an options table as plain values: text, numbers, true and false, lists and tables of them."""
    return {key: _plain(member) for key, member in node.mapping().items()}


def _plain(node: Node) -> Any:
    if isinstance(node.value, Mapping):
        return plain_options(node)
    if isinstance(node.value, (list, tuple)):
        return [_plain(item) for item in node.items()]
    if not isinstance(node.value, (str, int, float, bool)):
        node.fail(f"got {node.value!r}, wanted a text, a number, true, false, a list or a table")
    if isinstance(node.value, float):
        node.number()
    if isinstance(node.value, int) and abs(node.value) >= 2**128:
        node.fail(f"got {node.shown}, wanted a number of at most 128 bits")
    return node.value
