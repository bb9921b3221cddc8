"""Trends of a suite of two gates whose runs scatter a little, and revisions of its baseline."""

from __future__ import annotations

from datetime import date, timedelta

from pytest_precgate.analysis.accepted.trend import BaselineRevision, Reading, SuiteTrend, suite_trend
from pytest_precgate.analysis.gating.gates import GateKey, Metric

KEYS = [GateKey(Metric.THROUGHPUT_PER_GPU, ("fp4",), point) for point in (55, 73)]
SCATTER = (0.0, 0.003, -0.002, 0.001, -0.004, 0.002, -0.001)


def day(number: int) -> str:
    return (date(2026, 9, 1) + timedelta(days=number)).isoformat()


def trend(runs: int, factor: float) -> SuiteTrend:
    """A suite whose last third of ``runs`` is ``factor`` of the others, and three revisions."""

    def value(key: GateKey, number: int) -> float:
        level = 60_000 / key.point * (factor if 3 * number >= 2 * runs else 1)
        return level * (1 + SCATTER[number % len(SCATTER)])

    made = [
        {
            key: Reading(f"{day(number)}T06:00:00Z", f"{number:040x}", value(key, number), 60_000 / key.point, "PASS")
            for key in KEYS
        }
        for number in range(runs)
    ]
    return suite_trend("kimi", made, revisions(3))


def revisions(number: int, reason: str = "") -> list[BaselineRevision]:
    return [
        BaselineRevision(
            f"{each:040x}", "Grace", f"{day(each)}T12:00:00Z", "s", reason or f"reason {each}", {KEYS[0]: 1000.0 + each}
        )
        for each in range(number)
    ]
