"""The gate of a team that serves Kimi K2.5 on B200: FP4 must stay ahead of INT4, and must not get slower."""

import pytest

from pytest_precgate import Precgate, Sweep

pytestmark = pytest.mark.precgate(suite="kimi-k2-b200")


def test_fp4_pays_off(precgate: Precgate) -> None:
    """FP4 delivers at least 2.5 times the tokens per GPU of INT4, and no gate is worse than its baseline."""
    pair = precgate.compare("fp4", "int4")
    precgate.check(pair)  # against baselines/, with tolerance
    assert pair.at(55).throughput_ratio >= 2.5  # an absolute minimum: plain assert


def test_fp4_serves_the_fastest_users(fp4_sweep: Sweep, int4_sweep: Sweep) -> None:
    """Only FP4 serves users above 120 tok/s/user; this check needs no baseline."""
    assert max(point.interactivity for point in fp4_sweep.points) > 120
    assert max(point.interactivity for point in int4_sweep.points) < 120
