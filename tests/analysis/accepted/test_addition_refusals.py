"""What a refused addition names, and how much of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from pytest_precgate.analysis.accepted.addition import plan_addition
from pytest_precgate.analysis.accepted.baseline import Baseline, Launch, Provenance
from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.update import Measured, PlannedUpdate, plan_rewrite
from pytest_precgate.analysis.gating.gates import GateKey
from pytest_precgate.errors import UnlikeBaselineError
from tests.builders.baselines import B200, FP4, RATIO, TEST, scaled
from tests.published import kimi

LATER = Provenance("def456", "2026-12-01T06:00:00Z", "0.1.0", "")
FAST, FASTER = (replace(FP4, point=point) for point in (73.0, 91.0))
ANEW = "record the suite anew with --precgate-update"


def launches(factor: float, version: str = "1.2.0") -> dict[str, list[Launch]]:
    return {
        name: [
            Launch(
                scaled(kimi(name), factor * each), Fingerprint.of(kimi(name), ("vllm",), {"engine_version": version})
            )
            for each in (1.0, 1.002)
        ]
        for name in ("fp4", "int4")
    }


def measured(
    measured_launches: Mapping[str, Sequence[Launch]], checked: Mapping[str, Sequence[GateKey]], *, adds: bool = True
) -> Measured:
    return Measured("kimi", measured_launches, checked, B200, "derived", adds=adds)


def old(checked: Mapping[str, Sequence[GateKey]]) -> Baseline:
    return plan_rewrite(None, measured(launches(1.0), checked, adds=False), LATER, ()).baseline


def added(
    before: Sequence[GateKey], now: Sequence[GateKey], joining: Mapping[str, Sequence[Launch]] | None = None
) -> PlannedUpdate:
    return plan_addition(
        old({TEST: before}), measured(launches(1.001) if joining is None else joining, {TEST: now}), LATER
    )


@pytest.mark.parametrize(
    ("before", "now", "what"),
    [
        ([RATIO], [RATIO, FAST], f"the baseline has no gate fp4 throughput_per_gpu at 73 tok/s/user of {TEST}"),
        (
            [RATIO],
            [RATIO, FAST, FASTER],
            f"the baseline has no gate fp4 throughput_per_gpu at 73 tok/s/user of {TEST} (and 1 more)",
        ),
        ([RATIO, FAST], [RATIO], f"{TEST} no longer checks fp4 throughput_per_gpu at 73 tok/s/user"),
        (
            [FP4, FAST, FASTER, RATIO],
            [RATIO],
            f"{TEST} no longer checks fp4 throughput_per_gpu at 55 tok/s/user (and 2 more)",
        ),
        (
            [RATIO, FAST],
            [RATIO, FASTER],
            f"the baseline has no gate fp4 throughput_per_gpu at 91 tok/s/user of {TEST} (and 1 more)",
        ),
    ],
)
def test_gates_that_differ_are_counted_and_one_is_named(
    before: Sequence[GateKey], now: Sequence[GateKey], what: str
) -> None:
    """A new one before one that is gone; the rest, new and gone alike, is a number."""
    told = f"its gates are others: {what}; add gates with --precgate-update-new-only first, or {ANEW}"
    with pytest.raises(UnlikeBaselineError, match=f"^{re.escape(told)}$"):
        added(before, now)


def test_each_test_has_gates_of_its_own() -> None:
    """A gate of another test is not missing from this one."""
    checked = {TEST: [RATIO], "tests/test_kimi.py::test_fast": [FAST]}
    plan = plan_addition(old(checked), measured(launches(1.001), checked), LATER)
    assert plan.baseline.gates == old(checked).gates
    assert len(plan.baseline.launches) == 8


def test_every_launch_of_the_run_must_be_of_the_baseline_s_state() -> None:
    """Also one whose engine was replaced while the run went on: the first launch does not speak for the others."""
    mixed = launches(1.001)
    mixed["int4"] = [mixed["int4"][0], launches(1.003, "1.3.0")["int4"][1]]
    with pytest.raises(
        UnlikeBaselineError, match=r"another state: int4: engine_version is 1\.3\.0, the baseline's is 1\.2\.0; record"
    ):
        added([RATIO], [RATIO], mixed)


def test_a_launch_of_the_baseline_is_counted_among_those_of_its_precision() -> None:
    """The second one is the second one."""
    again = launches(1.001)
    again["fp4"] = [again["fp4"][0], launches(1.0)["fp4"][0]]
    with pytest.raises(UnlikeBaselineError, match=r"^launch 2 of fp4 is in the baseline already: measure again"):
        added([RATIO], [RATIO], again)
