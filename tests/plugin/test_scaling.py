"""What a run does for one test or suite more, counted in calls: as much as for the one before."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_precgate.analysis.curves.comparison import Curve
from tests.calls import per_further_unit
from tests.repository import SETTINGS, Repository

GATED = """
@pytest.mark.precgate(suite="{suite}")
def test_{number}(precgate):
    precgate.check(precgate.compare("fp4", "int4"))
"""


def recorded(repository: Repository, suites: int, tests: int) -> None:
    """Write so many suites on the same points and tests of them in turn, and record their baselines."""
    names = [f"kimi{number}" if number else "kimi" for number in range(suites)]
    repository.write_settings("".join(SETTINGS.replace("suites.kimi", f"suites.{name}") for name in names))
    gated = [GATED.format(suite=names[number % suites], number=number) for number in range(tests)]
    repository.write_test("".join(["import pytest\n", *gated]))
    assert repository.run("--precgate-update", "-q").ret == 0


@pytest.mark.parametrize("suites_grow", [False, True], ids=["tests", "suites"])
def test_a_run_costs_as_much_for_each_further_unit(repository: Repository, suites_grow: bool) -> None:
    """Tests of one suite, and suites of one test: the check of one does not look at all others again."""

    def run(number: int) -> Callable[[], object]:
        recorded(repository, number + 1 if suites_grow else 1, number + 1)
        return lambda: repository.run("-q")

    assert per_further_unit(run, 3, 9) < 1.15


def test_curves_are_drawn_once_per_launch_however_many_tests_read_them(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of the launches under test, two of the baseline's."""
    drawn: list[str] = []
    original = Curve.__post_init__

    def counted(curve: Curve) -> None:
        drawn.append(curve.sweep.precision)
        original(curve)

    recorded(repository, 1, 5)
    monkeypatch.setattr(Curve, "__post_init__", counted)
    assert repository.run("-q").ret == 0
    assert sorted(drawn) == ["fp4", "fp4", "int4", "int4"]
