"""The output of `precgate noise`: one line per gate, then the results for the whole suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_precgate.analysis.accepted.baseline import Launch
from pytest_precgate.analysis.cost import SuiteCost
from pytest_precgate.analysis.curves.sweep import Sweep
from pytest_precgate.analysis.gating.gates import GateKey
from pytest_precgate.analysis.gating.noise_study import NoiseStudy, StudiedGate
from pytest_precgate.analysis.gating.power import INTERVAL, TARGET_POWER
from pytest_precgate.reports import cost, layout
from pytest_precgate.reports.lines import table, wrapped

FORMAT = 2
_HEAD = (
    *("gate", "tok/s/user", "centre", "sigma", "lowest", "highest", "set aside", "tolerance"),
    *("noise floor", "MDD"),
)


@dataclass(frozen=True)
class Studied:
    """A study with all its launches.

    ``run`` names their directory, ``command`` is what makes them the baseline; ``attached`` are the precisions of
    servers that were swept again, not started again."""

    suite: str
    study: NoiseStudy
    launches: Sequence[Launch]
    run: str
    command: str
    costs: Sequence[SuiteCost] = ()
    attached: tuple[str, ...] = ()

    @property
    def sweeps(self) -> list[Sweep]:
        """The sweep of each launch."""
        return [launch.sweep for launch in self.launches]

    @property
    def launched(self) -> str:
        """How much was measured, as ``10 launches (5 of fp4, 5 of int4), 130 points``."""
        names = [sweep.precision for sweep in self.sweeps]
        each = ", ".join(f"{names.count(name)} of {name}" for name in dict.fromkeys(names))
        return f"{len(names)} launches ({each}), {sum(len(sweep.points) for sweep in self.sweeps)} points"

    @property
    def simulated(self) -> tuple[str, ...]:
        """The precisions with simulated figures."""
        return tuple(dict.fromkeys(sweep.precision for sweep in self.sweeps if sweep.simulated))

    @property
    def resumed(self) -> int:
        """The number of launches that consist of several starts."""
        facts = [{name.split(".")[0] for name in launch.fingerprint.soft} for launch in self.launches]
        return sum("resumed" in names for names in facts)


def render(found: Studied, width: int) -> list[str]:
    """Return the lines of the report: the answer, the gates, what was measured, and what to do with it."""
    study = found.study
    texts = [
        _title(found),
        *_answer(study),
        f"{_policy(study)}, against a baseline of {study.launches} launches",
    ]
    after = [
        *(f"NOT READ  {each.key}: {each.reason}" for each in study.unread),
        "",
        f"MDD: minimum detectable drop, the smallest true drop that {TARGET_POWER:.0%} of runs would stop (upper end "
        f"of its {INTERVAL:.0%} interval)",
        *_step(study),
        f"measured: {found.launched}",
        *(line for each in found.costs for line in cost.lines(each)),
        *_doubts(found),
        f"to make these launches the baseline: {found.command}",
    ]
    fitted = [line.text for text in texts for line in wrapped(text, width)]
    return [*fitted, *_table(study, width), *(line.text for text in after for line in wrapped(text, width))]


def _answer(study: NoiseStudy) -> list[str]:
    """The drops that are caught, and whether every gate can pass at all."""
    drops = [each.limits.minimum_detectable_drop for each in study.gates]
    known = [drop for drop in drops if drop is not None]
    caught = f"MDD {min(known):.1%} to {max(known):.1%}" if known else "no MDD is known"
    if not study.refused:
        return [f"{layout.counted(len(study.gates), 'gate')} can pass: {caught}"] if study.gates else []
    first = study.refused[0]
    lines = [
        f"{len(study.refused)} of {len(study.gates)} gates will be INCONCLUSIVE for any launch: {first.gate.key}: "
        f"{first.limits.refusal}"
    ]
    if study.must_detect is not None:
        lines.append(f"for all of them, in the settings of the suite: must_detect = {study.must_detect:g}")
    return lines


def _title(found: Studied) -> str:
    first, second = dict.fromkeys(sweep.precision.upper() for sweep in found.sweeps)
    sweep = found.sweeps[0]
    names = " and ".join(name.upper() for name in found.simulated)
    simulated = f" - SIMULATED ({names}): the configured noise, not a machine's" if names else ""
    return f"noise of {found.suite}: {first} and {second} on {sweep.hardware}, {sweep.workload}{simulated}"


def _policy(study: NoiseStudy) -> str:
    policy, gates = study.policy, study.independent_gates
    words = "first good" if policy.kind == "first-good" else "median"
    launches = f"{policy.launches} launch{'es' * (policy.launches != 1)}"
    return f"{words} of {launches}, {gates} independent gate{'s' * (gates != 1)}"


def _table(study: NoiseStudy, width: int) -> list[str]:
    if not study.gates:
        return ["no gate could be read in every launch"]
    whole = [_HEAD, *(_cells(each) for each in study.gates)]
    choices = [[_kept(row, left_out) for row in whole] for left_out in _LEFT_OUT]
    return table([*choices, [(row[0], "at" if row is whole[0] else row[1], *row[2:]) for row in choices[-1]]], width)


_LEFT_OUT = ((), ("set aside",), ("set aside", "lowest", "highest"), ("set aside", "lowest", "highest", "centre"))
"""The columns that go first where the terminal is narrow."""


def _kept(row: tuple[str, ...], left_out: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(cell for cell, name in zip(row, _HEAD, strict=True) if name not in left_out)


def _cells(each: StudiedGate) -> tuple[str, ...]:
    key, noise = each.gate.key, each.noise
    return (
        key.quantity,
        f"{key.point:g}",
        layout.figure(key.metric, noise.centre),
        layout.share(noise.sigma),
        layout.change(min(each.changes)),
        layout.change(max(each.changes)),
        f"{noise.set_aside} of {noise.launches}",
        layout.tolerance(each.gate),
        layout.share(each.limits.noise_floor),
        layout.catches(each.limits.minimum_detectable_drop, each.limits.largest_detectable_drop),
    )


def _step(study: NoiseStudy) -> list[str]:
    if study.step_sigma is None:
        return []
    elasticities = [each.launches.elasticity for each in study.gates]
    return [
        f"sigma of the step time from launch to launch: {study.step_sigma:.2%}; step time elasticity of the gates: "
        f"{min(elasticities):.2f} to {max(elasticities):.2f}"
    ]


def _doubts(found: Studied) -> list[str]:
    """Return warnings about launches whose scatter is not the noise from launch to launch."""
    lines = []
    if found.attached:
        names = " and ".join(name.upper() for name in found.attached)
        lines.append(
            f"{names}: a running server is swept again, not started again; the noise from start to start is not in"
        )
    if found.resumed:
        lines.append(
            f"{found.resumed} of these launches were resumed: they consist of several starts and scatter differently"
        )
    return lines


def document(found: Studied) -> dict[str, object]:
    """Return the same as JSON: full digits, shares as shares, every launch's value."""
    study = found.study
    return {
        "format": FORMAT,
        "suite": found.suite,
        "run": found.run,
        "simulated": list(found.simulated),
        "launches_of_each": study.launches,
        "launches_resumed": found.resumed,
        "attached": list(found.attached),
        "points_measured": sum(len(sweep.points) for sweep in found.sweeps),
        "policy": {"kind": study.policy.kind, "launches": study.policy.launches},
        "independent_gates": study.independent_gates,
        "step_sigma": study.step_sigma,
        "gates": [_gate(each) for each in study.gates],
        "unread": [{**_key(each.key), "reason": each.reason} for each in study.unread],
        "advised_must_detect": study.must_detect,
    }


def _gate(each: StudiedGate) -> dict[str, object]:
    return {
        **_key(each.gate.key),
        "values": list(each.launches.values),
        "centre": each.noise.centre,
        "sigma": each.noise.sigma,
        "step_time_elasticity": each.launches.elasticity,
        "set_aside": each.noise.set_aside,
        "tolerance": each.gate.tolerance,
        "noise_floor": each.limits.noise_floor,
        "minimum_detectable_drop": each.limits.minimum_detectable_drop,
        "largest_detectable_drop": each.limits.largest_detectable_drop,
        "must_detect": each.limits.must_detect,
        "refusal": each.limits.refusal,
    }


def _key(key: GateKey) -> dict[str, object]:
    return {"metric": key.metric.value, "precision": "/".join(key.precisions), "point": key.point}
