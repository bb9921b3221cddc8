"""Which tests count as gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_precgate.baselines.housekeeping import Sources
from tests.calls import calls_of

SOURCE = """
class TestKimi:
    def test_method(self): pass
async def test_async(): pass
if True:
    def test_conditional(): pass
class TestInherited(TestKimi): pass
test_assigned = make()
from elsewhere import test_imported, other as test_renamed
"""


@pytest.mark.parametrize(
    ("nodeid", "there"),
    [
        ("t.py::TestKimi::test_method", True),
        ("t.py::TestKimi::test_method[a-b::c]", True),
        ("t.py::test_async", True),
        ("t.py::test_conditional", True),
        ("t.py::TestInherited::test_method", True),
        ("t.py::test_assigned", True),
        ("t.py::test_imported", True),
        ("t.py::test_renamed", True),
        ("t.py::other", False),
        ("t.py::test_method_of_nothing", False),
        ("t.py::TestKimi::test_other", False),
        ("t.py::TestOther::test_method", False),
        ("gone.py::test_async", False),
    ],
)
def test_a_test_is_looked_up_in_the_source(tmp_path: Path, nodeid: str, there: bool) -> None:
    """By file, class and function; parameters are not looked at."""
    (tmp_path / "t.py").write_text(SOURCE, encoding="utf-8")
    assert Sources(tmp_path).may_hold(nodeid) is there


def test_a_file_that_cannot_be_parsed_counts_as_holding_its_tests(tmp_path: Path) -> None:
    """A half-saved file must not cost its baselines."""
    (tmp_path / "t.py").write_text("def test_a(:", encoding="utf-8")
    assert Sources(tmp_path).may_hold("t.py::test_a")


def test_looking_up_a_test_costs_no_more_the_more_of_them_a_file_holds(tmp_path: Path) -> None:
    """The file is read and parsed for the first one, its classes too."""
    names = [f"TestKimi{number % 2}::test_{number}" for number in range(100)]
    for number in (0, 1):
        methods = "".join(f"    def test_{each}(self): pass\n" for each in range(number, 100, 2))
        with (tmp_path / "t.py").open("a", encoding="utf-8") as file:
            file.write(f"class TestKimi{number}:\n{methods}")
    sources = Sources(tmp_path)
    assert all(sources.may_hold(f"t.py::{name}") for name in names[:2])
    assert calls_of(lambda: [sources.may_hold(f"t.py::{name}") for name in names]) < 3000
    assert not sources.may_hold("t.py::TestKimi0::test_1")
