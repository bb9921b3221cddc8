"""The load settings of a server, read from a precision's table. Every kind of server has the same keys."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

from pytest_precgate.analysis.curves.details import Slo
from pytest_precgate.analysis.curves.search import Grid, Range, Walk
from pytest_precgate.analysis.curves.sweep import AXES, Axis
from pytest_precgate.analysis.measure.stopping import DEFAULT, PUBLISHED, StopRule
from pytest_precgate.analysis.measure.tokens import HIDDEN_TOKENS, HiddenTokens
from pytest_precgate.analysis.measure.window import WINDOW_KINDS, WindowKind
from pytest_precgate.documents import MOST_SECONDS, Node
from pytest_precgate.engines.machine_settings import read_cpus

# Twice the highest concurrency of the published 1T-model sweeps: a target that is still exceeded there is too low.
HIGHEST_CONCURRENCY = 256
SEARCHED = Range(1, HIGHEST_CONCURRENCY)
SWEEP_OPTIONAL = (
    *("concurrency", "min_concurrency", "max_concurrency"),
    *("window", "requests_per_slot", "point_error", "window_limit_s", "slo", "axis"),
)
LOAD_OPTIONAL = (
    *SWEEP_OPTIONAL,
    *("ignore_eos", "min_tokens", "vocabulary", "tokenizer", "max_failures", "processes", "seed"),
    *("silence_limit_s", "request_timeout_s", "point_limit_s", "cached_share", "hidden_tokens", "acceptance_length"),
    "client_cpus",
)
LEFT_OUT_UNSET: Mapping[str, bool] = {"left_out_unset": True}
"""Marks a field that a snapshot of the settings leaves out where it has its default: a run that was kept before there
was such a setting can go on."""
# Beyond any measurement, and far below the capacity of a machine: it detects a typing error before a start.
MOST_CONCURRENCY = 65_536
MOST_REQUESTS = 100_000
MOST_ACCEPTED = 1_000
MOST_GPUS = 100_000
_MOST = {"processes": 1_024, "vocabulary": 2**31 - 1}
_SECONDS = ("silence_limit_s", "request_timeout_s", "point_limit_s")


@dataclass(frozen=True)
class SweepSettings:
    """How a sweep is measured: its concurrencies, the window of a run, the length of a run, what goodput counts, and
    what the interactivity is."""

    concurrency: Grid | Range = SEARCHED
    window: WindowKind = "steady"
    stop_rule: StopRule = DEFAULT
    slo: Slo | None = field(default=None, metadata=LEFT_OUT_UNSET)
    axis: Axis = field(default="tpot", metadata=LEFT_OUT_UNSET)

    @property
    def facts(self) -> Mapping[str, float | str]:
        """The value for a fingerprint: figures read between other concurrencies differ slightly."""
        return {"concurrency": str(self.concurrency), **self.stop_rule.facts}


@dataclass(frozen=True)
class LoadSettings(SweepSettings):
    """How a server is loaded: its sweep and its prompts.

    ``vocabulary`` bounds the random token ids; ``tokenizer`` is a tokenizer.json that converts them to text, for
    servers and for the chat API that accept no ids. A point ends when no byte came on any stream for
    ``silence_limit_s``, when it is not complete after ``point_limit_s``, and at the first failure beyond
    ``max_failures``; a request fails after ``request_timeout_s``. ``cached_share`` is the expected share of cached
    prompt tokens; ``hidden_tokens`` says what tokens are that usage counts and no event shows. ``acceptance_length`` is
    the mean number of tokens a request gains per verification step of speculative decoding, the bonus token included;
    None when the server does not speculate. ``client_cpus`` are the cores of the load client, wherever the kernel puts
    it when empty."""

    max_failures: int = 0
    processes: int = 1
    seed: int = 0
    vocabulary: int = 32000
    tokenizer: Path | None = None
    ignore_eos: bool = True
    min_tokens: bool = False
    silence_limit_s: float = 60.0
    request_timeout_s: float = 600.0
    point_limit_s: float = 1800.0
    cached_share: float = 0.0
    hidden_tokens: HiddenTokens = "invalid"
    acceptance_length: float | None = None
    client_cpus: tuple[int, ...] = field(default=(), metadata=LEFT_OUT_UNSET)

    @property
    def facts(self) -> Mapping[str, float | str]:
        """The value for a fingerprint; of the token settings only those that differ from the defaults."""
        told: dict[str, float | str] = {**super().facts, "seed": self.seed}
        told |= {"cached_share": self.cached_share} if self.cached_share else {}
        return told | ({} if self.hidden_tokens == "invalid" else {"hidden_tokens": self.hidden_tokens})


def read_start_s(node: Node) -> float | None:
    """Return the duration of a start in a rehearsal, in seconds; 0 counts no start."""
    seconds = node.number()
    if not 0 <= seconds <= MOST_SECONDS:
        node.fail(f"got {seconds:g}, wanted seconds from 0 to {MOST_SECONDS:g}")
    return seconds if seconds > 0 else None


def read_load(members: Mapping[str, Node], base: Path) -> LoadSettings:
    """Read the keys of LOAD_OPTIONAL; relative paths start at ``base``."""
    given: dict[str, Any] = {key: members[key].count(most) for key, most in _MOST.items() if key in members}
    given |= {key: members[key].integer() for key in ("max_failures", "seed") if key in members}
    if not 0 <= given.get("max_failures", 0) <= MOST_REQUESTS:
        members["max_failures"].fail(f"got {given['max_failures']}, wanted a whole number from 0 to {MOST_REQUESTS}")
    given |= {key: members[key].flag() for key in ("ignore_eos", "min_tokens") if key in members}
    if "tokenizer" in members:
        given["tokenizer"] = base / members["tokenizer"].path()
    given |= {key: members[key].seconds() for key in _SECONDS if key in members}
    if "cached_share" in members:
        given["cached_share"] = members["cached_share"].number()
    if not 0 <= given.get("cached_share", 0.0) < 1:
        members["cached_share"].fail(f"got {given['cached_share']:g}, wanted a share from 0 to below 1")
    if "hidden_tokens" in members:
        given["hidden_tokens"] = members["hidden_tokens"].choice(HIDDEN_TOKENS)
    if "acceptance_length" in members:
        given["acceptance_length"] = _acceptance_length(members["acceptance_length"])
    if "client_cpus" in members:
        given["client_cpus"] = read_cpus(members["client_cpus"])
    sweep = read_sweep(members)
    return LoadSettings(sweep.concurrency, sweep.window, sweep.stop_rule, sweep.slo, sweep.axis, **given)


def _acceptance_length(node: Node) -> float:
    length = node.number()
    if not 1 <= length <= MOST_ACCEPTED:
        node.fail(
            f"got {length:g}, wanted at least 1 and at most {MOST_ACCEPTED:g}: each verification step of a request "
            "gives it one token, and those of its draft that hold"
        )
    return length


def read_sweep(members: Mapping[str, Node], lowest: int = 1, highest: int = HIGHEST_CONCURRENCY) -> SweepSettings:
    """Read the keys of SWEEP_OPTIONAL; ``lowest`` and ``highest`` are the default bounds of the concurrency."""
    window = cast(WindowKind, members["window"].choice(WINDOW_KINDS)) if "window" in members else "steady"
    slo = read_slo(members["slo"]) if "slo" in members else None
    axis = cast(Axis, members["axis"].choice(AXES)) if "axis" in members else "tpot"
    return SweepSettings(_concurrency(members, lowest, highest), window, _stop_rule(members, window), slo, axis)


def read_slo(node: Node) -> Slo:
    """Return what a request must keep to count for goodput: ``{ ttft_ms = 500, tpot_ms = 20 }``."""
    members = node.table(required=["ttft_ms", "tpot_ms"])
    with node.building():
        return Slo(members["ttft_ms"].number() / 1000, members["tpot_ms"].number() / 1000)


def _concurrency(members: Mapping[str, Node], lowest: int, highest: int) -> Grid | Range:
    node = members.get("concurrency")
    bounds = {key: members[key] for key in ("min_concurrency", "max_concurrency") if key in members}
    if node is not None and not isinstance(node.value, str):
        levels = [member.count(MOST_CONCURRENCY) for member in node.items()]
        for bound in bounds.values():
            bound.fail("bounds a search or a doubling; concurrency is a list here")
        with node.building():
            return Grid(levels)
    walk = cast(Walk, "search" if node is None else node.choice(get_args(Walk)))
    low, high = (
        bounds[key].count(MOST_CONCURRENCY) if key in bounds else default
        for key, default in (("min_concurrency", lowest), ("max_concurrency", highest))
    )
    with next(iter(bounds.values())).building() if bounds else nullcontext():
        return Range(low, high, walk)


def _stop_rule(members: Mapping[str, Node], window: WindowKind) -> StopRule:
    if "point_error" in members:
        node = members["point_error"]
        if "requests_per_slot" in members:
            node.fail("requests_per_slot fixes how long a point is; give one of the two")
        if window == "whole":
            node.fail("the whole window includes ramp and drain at any length: give requests_per_slot instead")
    limit = members.get("window_limit_s")
    if limit is not None and ("requests_per_slot" in members or window == "whole"):
        limit.fail("is only for point_error; a number of requests has no time limit")
    if "requests_per_slot" in members:
        return StopRule(requests_per_slot=members["requests_per_slot"].count(MOST_REQUESTS))
    if window == "whole":
        return PUBLISHED
    error, limit_s = DEFAULT.point_error, DEFAULT.window_limit_s
    if "point_error" in members:
        with members["point_error"].building():
            error = StopRule(point_error=members["point_error"].number()).point_error
    if limit is not None:
        limit_s = limit.seconds()
    return StopRule(point_error=error, window_limit_s=limit_s)
