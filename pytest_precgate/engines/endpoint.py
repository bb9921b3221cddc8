"""An engine that attaches to a running server: it loads the server and never stops it.

Input: the settings. Output: an endpoint and its facts. Invariant: the API key comes from an environment variable that
the settings name; neither the key nor a value derived from it is stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, cast

from pytest_precgate.address import check_path, split_url
from pytest_precgate.analysis.accepted.fingerprint import Fact
from pytest_precgate.analysis.cost import Kind
from pytest_precgate.documents import Node
from pytest_precgate.engines.base import Api, Endpoint, EngineDefaults
from pytest_precgate.engines.load import LOAD_OPTIONAL, MOST_GPUS, LoadSettings, read_load
from pytest_precgate.errors import ConnectFailedError, SettingsError

_REQUIRED = ("engine", "url", "model", "gpus")
_OPTIONAL = ("api", "path", "ca_file", "api_key_env", "configuration", "calibration", *LOAD_OPTIONAL)


def require_key(endpoint: Endpoint, environ: Mapping[str, str]) -> str | None:
    """Return the API key of requests to ``endpoint``; None when the settings name no variable for it.

    Raises SettingsError naming the variable when it is not set or empty."""
    variable = endpoint.api_key_env
    if variable is None:
        return None
    if not environ.get(variable):
        state = "empty" if variable in environ else "not set"
        raise SettingsError(
            endpoint.model,
            "api_key_env",
            f"its key must come from the environment variable {variable}, which is {state}; export it before the run",
        )
    key = environ[variable]
    if not (key.isascii() and key.isprintable()) or key != key.strip():
        raise SettingsError(
            endpoint.model,
            "api_key_env",
            f"its key comes from the environment variable {variable}, which holds a character that no HTTP header can "
            "(a line end, a blank at an end, or one that is not ASCII); export only the key",
        )
    return key


@dataclass(frozen=True)
class EndpointEngine(EngineDefaults):
    """A running server, measured from outside by the load client.

    A second launch measures it again; nothing is restarted. ``calibration`` is the model of a rehearsal."""

    kind: ClassVar[str] = "endpoint"
    paid: ClassVar[Kind] = "endpoint"

    endpoint: Endpoint
    calibration: str | None = None

    @staticmethod
    def read(table: Node, base: Path) -> EndpointEngine:
        """Read a precision's table."""
        members = table.table(required=_REQUIRED, optional=_OPTIONAL)
        texts: dict[str, Any] = {"configuration": members["configuration"].name()} if "configuration" in members else {}
        if "api_key_env" in members:
            texts["api_key_env"] = _variable_name(members["api_key_env"])
        api = cast(Api, members["api"].choice(("completions", "chat"))) if "api" in members else "completions"
        load = read_load(members, base)
        if api == "chat" and load.tokenizer is None:
            table.fail("chat takes text, not token ids: name a tokenizer.json with tokenizer")
        url, ca_file = _address(members, base)
        model, gpus = members["model"].text(), members["gpus"].count(MOST_GPUS)
        path = read_path(members["path"], api) if "path" in members else None
        calibration = members["calibration"].path() if "calibration" in members else None
        endpoint = Endpoint(url, model, gpus, load, api, path=path, ca_file=ca_file, **texts)
        return EndpointEngine(endpoint, calibration)

    @property
    def configuration(self) -> str:
        """The name of the configuration."""
        return self.endpoint.configuration

    @property
    def load(self) -> LoadSettings:
        """The load settings."""
        return self.endpoint.load

    @property
    def calibration_name(self) -> str | None:
        """The calibration for a rehearsal, as the settings name it."""
        return self.calibration

    def identity(self) -> Mapping[str, Fact]:
        """Return the model, the API, the window and the acceptance; a baseline with another one does not match."""
        endpoint, length = self.endpoint, self.endpoint.load.acceptance_length
        accepted: dict[str, Fact] = {} if length is None else {"acceptance_length": length}
        return {"api": endpoint.api, "model": endpoint.model, "window": endpoint.load.window, **accepted}

    def facts(self) -> Mapping[str, Fact]:
        """Return the load settings; not the address, which changes, and nothing of the key."""
        return self.endpoint.load.facts


def _variable_name(node: Node) -> str:
    """Return the name of a variable; an invalid one is not repeated in the error, because it may be the key itself."""
    if not isinstance(node.value, str) or re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", node.value) is None:
        node.fail("wanted the name of an environment variable that holds the key, like SERVER_KEY")
    return node.value


def _address(members: Mapping[str, Node], base: Path) -> tuple[str, Path | None]:
    """Return ``url`` and ``ca_file``. No error repeats the URL, which may hold a password or a token."""
    node = members["url"]
    if not isinstance(node.value, str):
        node.fail("wanted a text, like http://host:port")
    with node.building():
        origin, below = split_url(node.value)
    if below.endswith("/completions"):
        node.fail(
            "ends in the path of an API, which is added to it: leave /v1/completions or /v1/chat/completions out and "
            'choose with api = "completions" or "chat"; give any other path with path'
        )
    if below and "path" in members:
        members["path"].fail("url has a path, too: give the whole path here, and url without one")
    if "ca_file" not in members:
        return node.value, None
    found = base / members["ca_file"].path()
    if not origin.tls:
        members["ca_file"].fail("is for https:// and url is http://")
    from pytest_precgate.http import tls_context  # noqa: PLC0415  # sockets, only where a certificate is looked at

    try:
        tls_context(replace(origin, ca_file=str(found)))
    except ConnectFailedError as exc:
        members["ca_file"].fail(str(exc))
    return node.value, found


def read_path(node: Node, api: Api) -> str:
    """Read ``path``, to which requests are posted."""
    path = node.text()
    with node.building():
        check_path(path)
    if path.endswith("/completions") and path.endswith("/chat/completions") != (api == "chat"):
        node.fail(f'got {path!r} and api = "{api}"; the two must be of one kind')
    return path
