"""The Kimi K2.5 gate on eight B200: FP4 on TensorRT-LLM against INT4 on vLLM, each started, loaded and stopped here."""

import pytest

from pytest_precgate import Precgate

pytestmark = pytest.mark.precgate(suite="kimi-k2-b200-live")


def test_fp4_pays_off(precgate: Precgate) -> None:
    """FP4 delivers at least 2.5 times the tokens per GPU of INT4, and no gate is worse than its baseline."""
    pair = precgate.compare("fp4", "int4")
    precgate.check(pair)
    assert pair.at(55).throughput_ratio >= 2.5
