"""Queries to a running server before any load: whether it answers, and at how many addresses.

Input: the endpoints of a suite. Output: their addresses, or an error. A name may stand for several replicas (a headless
service, a DNS name with several records). The connections must cover every address, or the suite is refused, because
the throughput is divided by the GPUs of all replicas. IPv4 and IPv6 addresses of one host are not counted twice: only
addresses of one family count, and one address per family is one host."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_precgate import http
from pytest_precgate.address import Address, Origin, split_url
from pytest_precgate.engines.base import Endpoint
from pytest_precgate.engines.endpoint import require_key
from pytest_precgate.errors import ConnectFailedError, LoadError, SettingsError

ANSWER_S = 30.0  # SGLang's /health generates a token, and may take 20 s
METRICS_S = 5.0


@dataclass
class Endpoints:
    """The endpoints of one run. ``say`` is told once of each that has several addresses."""

    say: Callable[[str], None]
    _answered: set[Endpoint] = field(default_factory=set)
    _shared: dict[str, str] = field(default_factory=dict)

    def require(self, endpoint: Endpoint) -> None:
        """Ask an endpoint once per run whether it answers. Raises ConnectFailedError, SettingsError as below."""
        if endpoint not in self._answered:
            require_answer(endpoint)
            replicas(endpoint)
            self._answered.add(endpoint)

    def addresses(self, endpoint: Endpoint) -> tuple[Address, ...]:
        """Return the addresses to share connections over, none where there is but one. Raises as ``replicas``."""
        found = replicas(endpoint)
        if found and endpoint.url not in self._shared:
            host = split_url(endpoint.url)[0].host
            self._shared[endpoint.url] = f"{len(found)} addresses behind {host}: connections are shared out"
            self.say(self._shared[endpoint.url])
        return found

    def remarks(self) -> Iterator[str]:
        """Yield what a reader of the verdicts must know."""
        yield from self._shared.values()


def metrics_page(endpoint: Endpoint, addresses: Sequence[Address], environ: Mapping[str, str]) -> str | None:
    """Return the page on which a server shows its counters, None where it shows none; ``environ`` holds its key.

    Nothing is asked where several ``addresses`` are loaded: each counts its own share, and one of them would answer.
    """
    if len(addresses) > 1:
        return None
    origin, below = _address(endpoint)
    url = f"{origin}{below.removesuffix('/v1')}{endpoint.metrics_path}"
    try:
        page = http.get(url, METRICS_S, http.METRICS_BYTES, origin.ca_file, require_key(endpoint, environ))
    except LoadError:
        return None
    return page.body.decode("utf-8", "replace") if page.status == 200 else None


def require_answer(endpoint: Endpoint) -> None:
    """Ask ``/health`` once; any status below 500 is an answer, a server may know no such path.

    Raises ConnectFailedError naming the URL where there is no answer, or that of a proxy without a server.
    """
    origin, below = _address(endpoint)
    url = f"{origin}{below.removesuffix('/v1')}/health"
    remedy = "nothing was started and nothing loaded; start the server, or correct url"
    try:
        status = http.get(url, ANSWER_S, ca_file=origin.ca_file).status
    except LoadError as exc:
        raise ConnectFailedError(f"the endpoint does not answer: {exc}; {remedy}") from exc
    if status >= 500:
        raise ConnectFailedError(f"the endpoint is not ready: {url} answers HTTP {status}; {remedy}")


def replicas(endpoint: Endpoint, look_up: Callable[..., Any] | None = None) -> tuple[Address, ...]:
    """Return every address behind the name of ``endpoint``, none where it stands for one host.

    ``look_up`` is asked as socket.getaddrinfo is. Raises ConnectFailedError when the name is not resolved or one of its
    addresses does not accept a connection, SettingsError where its GPUs or concurrencies do not go into the addresses.
    """
    origin, _ = _address(endpoint)
    until_s = time.monotonic() + ANSWER_S
    resolved = http.resolve(origin, until_s) if look_up is None else http.resolve(origin, until_s, look_up)
    families: dict[int, list[Address]] = {}
    for address in resolved:
        families.setdefault(address[0], []).append(address)
    if all(len(family) == 1 for family in families.values()):
        return ()
    found = _accepting(origin, sorted(families.values(), key=len, reverse=True), until_s)
    number, load = len(found), endpoint.load
    what = f"{origin.host} stands for {number} addresses, over which connections are shared out"
    remedy = "or give url the address of one replica, and gpus its own"
    if endpoint.gpus % number:
        raise SettingsError(str(origin), "gpus", f"{what}, and gpus is {endpoint.gpus}: give those of all, {remedy}")
    if load.concurrency.lowest < number:
        raise SettingsError(
            str(origin),
            "concurrency",
            f"{what}, and a concurrency of {load.concurrency.lowest} leaves some of them idle: begin at {number} "
            f"(min_concurrency, or the list), {remedy}",
        )
    return found if number > 1 else ()


def _accepting(origin: Origin, families: list[list[Address]], until_s: float) -> tuple[Address, ...]:
    """Return the addresses of the first family that can be reached; all of them must accept a connection."""
    refusals: list[str] = []
    left = sum(map(len, families))
    for family in families:
        refused: list[str] = []
        for address in family:
            try:
                http.connect(replace(origin, host=address[1][0]), address, http.share_of(until_s, left)).close()
            except LoadError as exc:
                refused.append(str(exc))
            left -= 1
        if not refused:
            return tuple(family)
        refusals.append(
            f"{len(refused)} of the {len(family)} addresses behind {origin.host} accept no connection: {refused[0]}"
        )
        if len(refused) < len(family):
            break
    raise ConnectFailedError(f"{refusals[-1]}; start every replica, or give url the address of one")


def _address(endpoint: Endpoint) -> tuple[Origin, str]:
    return split_url(endpoint.url, None if endpoint.ca_file is None else str(endpoint.ca_file))
