"""Where in a settings file a suite begins: the lines that annotations point at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.settings.places import line_of
from tests.published import ROOT

OWN = "# a comment\n[tool.other]\n[tool.precgate.suites.{name}]\nhardware = 'b200'\n[tool.precgate.suites.{name}.fp4]\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (OWN.format(name="kimi"), 3),
        (OWN.format(name="'kimi'"), 3),
        (OWN.format(name="kimi-2") + "  [ tool.precgate.suites.kimi ] # this one\n", 6),
        ("[tool.precgate.suites.kimi.fp4]\n", 1),
        ("[x]\n[tool.precgate.suites]\nkimi = {}\n", 2),
        ("[x]\n[tool.precgate]\nsuites = {}\n", 2),
        ("[x]\n[[tool.precgate.waive]]\n[tool.precgate.suites.kimi]\n", 3),
        ("x = [\n[1],\n]\n[tool.precgate.suites.kimi]\n", 4),
        ("", 1),
    ],
)
def test_the_line_is_the_nearest_header(text: str, line: int) -> None:
    """Quoted or not, alone or in the table that holds it."""
    assert line_of(text, "kimi", in_project=True) == line


def test_a_file_of_its_own_has_no_prefix() -> None:
    """precgate.toml begins at suites."""
    assert line_of("\n[suites.kimi]\n", "kimi", in_project=False) == 2


def test_every_suite_of_this_repository_is_found() -> None:
    """At the header a reader would look for."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for name in ("kimi-k2-b200", "kimi-k2-b200-slower"):
        line = line_of(text, name, in_project=True)
        assert text.splitlines()[line - 1] == f"[tool.precgate.suites.{name}]"


@given(st.text(max_size=200), st.text(max_size=10))
def test_any_text_has_a_line(text: str, suite: str) -> None:
    """A file that is no TOML as well: its settings were refused before."""
    assert 1 <= line_of(text, suite, in_project=True) <= max(1, len(text.splitlines()))
