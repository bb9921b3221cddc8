"""The Kimi K2.5 gate rehearsed on a simulated B200, in virtual time and without a GPU."""

import pytest

from pytest_precgate import Precgate

pytestmark = pytest.mark.precgate(suite="kimi-k2-b200-simulated")


def test_fp4_pays_off(precgate: Precgate) -> None:
    """The simulated FP4 stays ahead of the simulated INT4, and no gate is worse than its baseline."""
    pair = precgate.compare("fp4", "int4")
    precgate.check(pair)
    assert pair.at(55).throughput_ratio >= 2.5
