"""A sweep measures what the tests of a run will read: their suites' points, those of marks, and the baseline's."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from tests.repository import Repository

SETTINGS = """\
[tool.precgate.suites.kimi]
hardware = "b200"
workload = { isl = 1024, osl = 1024, range_ratio = 0.8 }
interactivity = POINTS
fp4 = { engine = "simulated", calibration = "kimi-k2.5-b200-fp4-tp4" }
int4 = { engine = "simulated", calibration = "kimi-k2.5-b200-int4-tp8" }
"""
# Each test prints the concurrencies of the one launch that serves all of them.
SHOW = "    print('MEASURED', sorted(p.concurrency for p in precgate.sweep('fp4').points))\n"


def measured(result: pytest.RunResult) -> list[int]:
    shown = {line.split("MEASURED ")[1] for line in result.stdout.lines if "MEASURED" in line}
    assert len(shown) == 1
    found = json.loads(shown.pop())
    assert isinstance(found, list)
    return found


@pytest.fixture
def kimi(repository: Repository) -> Repository:
    repository.write_settings(SETTINGS.replace("POINTS", "[55, 73, 91]"))
    return repository


def test_a_sweep_is_searched_for_the_suite_s_points(kimi: Repository) -> None:
    """Neighbours around 55, 73 and 91 tok/s/user in FP4's published range, and hardly anything else."""
    kimi.write_test(f"def test_x(precgate):\n{SHOW}    precgate.check(precgate.compare('fp4', 'int4'))\n")
    result = kimi.run("-s", "--precgate-update")
    assert result.ret == 0
    found = measured(result)
    assert {11, 12, 38, 39} <= set(found)
    assert len(found) <= 8
    again = measured(kimi.run("-s"))
    assert len(again) <= len(found)
    assert kimi.run().ret == 0


def test_one_launch_serves_the_points_of_every_mark(kimi: Repository) -> None:
    """A test that asks for 64 tok/s/user finds it between neighbours, though another one measured first."""
    kimi.write_test(
        f"import pytest\n\ndef test_first(precgate):\n{SHOW}\n"
        f"@pytest.mark.precgate(points=[64])\ndef test_second(precgate):\n{SHOW}"
    )
    result = kimi.run("-s", "test_kimi.py")
    assert result.ret == 0
    assert {26, 27, 28} & set(measured(result))
    alone = kimi.run("-s", "-k", "first", "test_kimi.py")
    assert not {26, 27, 28} & set(measured(alone))


def test_a_point_nobody_named_is_read_where_it_lies_inside(kimi: Repository) -> None:
    """The curve answers between the targets, and refuses beyond them."""
    kimi.write_test(
        "import pytest\nfrom pytest_precgate import PrecgateError\n\n"
        "def test_x(precgate):\n"
        "    pair = precgate.compare('fp4', 'int4')\n"
        "    assert pair.at(60).throughput_ratio > 2\n"
        "    with pytest.raises(PrecgateError, match='lies outside the measured range'):\n"
        "        pair.at(30)\n"
    )
    assert kimi.run("test_kimi.py").ret == 0


def test_quartiles_are_looked_for_once_a_baseline_knows_them(repository: Repository) -> None:
    """Before, concurrency is doubled through the whole range; an update does so again."""
    repository.write_settings(SETTINGS.replace("POINTS", '"quartiles"'))
    repository.write_test(f"def test_x(precgate):\n{SHOW}    precgate.check(precgate.compare('fp4', 'int4'))\n")
    doubled = [1, 2, 4, 8, 16, 32, 64, 128]
    assert measured(repository.run("-s", "--precgate-update")) == doubled
    result = repository.run("-s")
    assert result.ret == 0
    assert measured(result) != doubled
    assert any(below + 1 == above for below, above in pairwise(measured(result)))
    assert measured(repository.run("-s", "--precgate-update")) == doubled
