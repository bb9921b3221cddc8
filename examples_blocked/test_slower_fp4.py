"""A blocked merge: the recorded FP4 sweep is 8% slower than the baseline, and the gate fails."""

import pytest

from pytest_precgate import Precgate


@pytest.mark.precgate(suite="kimi-k2-b200-slower")
def test_fp4_pays_off(precgate: Precgate) -> None:
    """Fails: FP4 throughput and its ratio to INT4 fell by 8% at every point, cost rose by 8.7%."""
    precgate.check(precgate.compare("fp4", "int4"))
