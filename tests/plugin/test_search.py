"""A sweep measures what the tests of a run will read: their suites' points, those of marks, and the baseline's."""

from __future__ import annotations

import json

import pytest

from tests.plugin.paced import Paced
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


def test_an_unnamed_point_is_read_when_it_lies_inside(kimi: Repository) -> None:
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


def test_quartiles_are_doubled_through_before_and_after_a_baseline_knows_them(repository: Repository) -> None:
    """Figures read between neighbours and figures read across wide steps would not compare."""
    repository.write_settings(SETTINGS.replace("POINTS", '"quartiles"'))
    repository.write_test(f"def test_x(precgate):\n{SHOW}    precgate.check(precgate.compare('fp4', 'int4'))\n")
    doubled = [1, 2, 4, 8, 16, 32, 64, 128]
    assert measured(repository.run("-s", "--precgate-update")) == doubled
    result = repository.run("-s")
    assert result.ret == 0
    assert measured(result) == doubled


def test_a_gate_the_baseline_was_not_searched_for_is_not_added_to_it(kimi: Repository) -> None:
    """Its value would be read across a wide step, and every later launch close by: a drop could hide in between."""
    kimi.change_settings("[55, 73, 91]", "[55, 91]")
    kimi.write_test("def test_x(precgate):\n    precgate.check(precgate.compare('fp4', 'int4'))\n")
    assert kimi.run("--precgate-update").ret == 0
    before = kimi.baseline.read_text(encoding="utf-8")
    kimi.change_settings("[55, 91]", "[55, 73, 91]")
    result = kimi.run("--precgate-update-new-only")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *BaselineError: kimi: *no neighbouring concurrencies around 73 tok/s/user*"])
    assert kimi.baseline.read_text(encoding="utf-8") == before
    assert kimi.run("--precgate-update", "--precgate-reason=searched for 73 too").ret == 0
    kimi.change_settings('fp4-tp4"', 'fp4-tp4", slowdown = 0.035')
    assert kimi.run("--precgate-max-launches=1").ret == 1


def test_an_update_of_some_tests_is_searched_for_the_others_too(kimi: Repository) -> None:
    """Gates that are kept are read off the new points, as closely as if their tests had been selected."""
    kimi.write_test(
        "import pytest\n\ndef test_a(precgate):\n    precgate.check(precgate.compare('fp4', 'int4'))\n\n"
        "@pytest.mark.precgate(points=[64])\ndef test_b(precgate):\n"
        f"{SHOW}    precgate.check(precgate.compare('fp4', 'int4'))\n"
    )
    assert kimi.run("--precgate-update").ret == 0
    value = {gate["point"]: gate["value"] for gate in json.loads(kimi.baseline.read_text(encoding="utf-8"))["gates"]}
    assert kimi.run("--precgate-update", "--precgate-reason=again", "-k", "test_a").ret == 0
    again = {gate["point"]: gate["value"] for gate in json.loads(kimi.baseline.read_text(encoding="utf-8"))["gates"]}
    assert again[64] == pytest.approx(value[64], rel=0.002)


def test_a_target_no_concurrency_reaches_is_inconclusive_and_not_a_broken_curve(kimi: Repository) -> None:
    """One point would be no curve to say so by; its neighbour is measured too."""
    kimi.change_settings("[55, 73, 91]", "[400]")
    kimi.write_test("def test_x(precgate):\n    precgate.check(precgate.compare('fp4', 'int4'))\n")
    result = kimi.run("--precgate-update")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["INCONCLUSIVE *: 400 tok/s/user lies outside the measured range *"])


def test_the_launches_of_a_first_baseline_measure_the_same_points(kimi: Repository, paced: Paced) -> None:
    """Those that serve the targets in its first launch, so that each point's own noise is known."""
    kimi.write_test("def test_x(precgate):\n    precgate.check(precgate.compare('fp4', 'int4'))\n")
    paced(fp4=[1.0, 1.03, 0.97, 1.02, 0.98])
    assert kimi.run("--precgate-update").ret == 0
    launches = json.loads(kimi.baseline.read_text(encoding="utf-8"))["launches"]
    fp4 = [{p["concurrency"] for p in launch["points"]} for launch in launches if launch["precision"] == "fp4"]
    assert len(fp4) == 5
    assert len(set.intersection(*fp4)) >= 6
