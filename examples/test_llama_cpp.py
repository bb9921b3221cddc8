"""4 bits against 8 on your own machine: llama.cpp's server, started by the suite, with a random model on one CPU core.

    make llama                                             # once: the server and the models
    pytest examples/test_llama_cpp.py --precgate-update    # once: measure, record what this machine can do
    pytest examples/test_llama_cpp.py                      # from then on

No baseline is committed: it would be another machine's."""

from pathlib import Path

import pytest

from pytest_precgate import Precgate

SERVER = Path(__file__).parents[1] / ".llama" / "llama-server"
pytestmark = [
    pytest.mark.precgate(suite="llama-cpp-4-bit"),
    pytest.mark.skipif(not SERVER.is_file(), reason="no .llama/llama-server to measure: make llama"),
]


def test_four_bits_pay_off(precgate: Precgate) -> None:
    """The 4-bit model's lead over the 8-bit one is what it used to be, and never below a fifth."""
    pair = precgate.compare("int4", "int8")
    precgate.check(pair)
    assert pair.at(pair.quartile_points()[1]).throughput_ratio >= 1.2
