"""4 bits against 8 on your own machine: llama.cpp's server, started by the suite, with a random model on one CPU core.

    make llama                                             # once: the server and the models
    pytest examples/test_llama_cpp.py --precgate-update    # once: measure and record the baseline of this machine
    pytest examples/test_llama_cpp.py                      # from then on

No baseline is committed, because a baseline of another machine would not match yours."""

from pathlib import Path

import pytest

from pytest_precgate import Precgate

SERVER = Path(__file__).parents[1] / ".llama" / "llama-server"
pytestmark = [
    pytest.mark.precgate(suite="llama-cpp-4-bit"),
    pytest.mark.skipif(not SERVER.is_file(), reason="no .llama/llama-server to measure: make llama"),
]


def test_four_bits_pay_off(precgate: Precgate) -> None:
    """The ratio of the 4-bit to the 8-bit throughput passes its gate, and is at least 1.2."""
    pair = precgate.compare("int4", "int8")
    precgate.check(pair)
    assert pair.at(pair.quartile_points()[1]).throughput_ratio >= 1.2
