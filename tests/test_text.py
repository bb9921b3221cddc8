"""Foreign text made printable, for any text and any bytes."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_precgate.text import LINE_LIMIT, printable, printable_lines

# st.text() alone draws no lone surrogates and few controls.
NASTY = st.text(st.one_of(st.characters(), st.sampled_from("\x00\x1b\x9b\r\n\t\x85\u2028\u202e\ud800\ufeff:#[ ")))
FOREIGN = st.one_of(NASTY, st.binary(), st.builds(lambda a, b: a + b, st.sampled_from([" ::", "##[", "##vso["]), NASTY))


def is_harmless(line: str) -> bool:
    """Whether a terminal and a CI runner take the line for text."""
    no_controls = not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in line)
    return no_controls and not line.lstrip().startswith("::") and "##[" not in line and "##vso[" not in line


@given(FOREIGN)
@example("1.0\n::error::x\x1b[2J")
@example("\xa0::error::x")
@example("###[error]x")
def test_any_text_becomes_one_harmless_line(text: str | bytes) -> None:
    """No control character, no command, within the limit, valid UTF-8, and printable text stays as it is."""
    line = printable(text)
    assert is_harmless(line)
    assert len(line) <= LINE_LIMIT
    assert line.encode("utf-8").decode() == line
    assert printable(line) == line


@given(FOREIGN, st.integers(4, 30))
def test_any_log_becomes_harmless_lines(text: str | bytes, limit: int) -> None:
    """The same for each line of several."""
    lines = printable_lines(text, limit)
    assert all(is_harmless(line) and len(line) <= limit for line in lines.split("\n"))
    assert lines.encode("utf-8").decode() == lines
    assert printable_lines(lines, limit) == lines


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("vLLM 0.20.2, Zürich, 東京", "vLLM 0.20.2, Zürich, 東京"),
        ("  1.0\n", "1.0"),
        ("1.0\n::error::x\x1b[2J", r"1.0\n::error::x\x1b[2J"),
        ("::error::x", r"\x3a:error::x"),
        ("torch::jit", "torch::jit"),
        ("x ##[error]y", r"x \x23#[error]y"),
        ("abc\u202edef", r"abc\u202edef"),
        ("\ud800", r"\ud800"),
        (b"caf\xc3\xa9 \xff", "café \\xff"),
        ("x" * 300, "x" * 197 + "..."),
        (b"", ""),
    ],
)
def test_what_is_not_printable_is_shown_escaped(text: str | bytes, line: str) -> None:
    """As in a Python string literal; readable text of any script is left alone."""
    assert printable(text) == line


def test_a_log_keeps_its_indentation_and_its_lines() -> None:
    """A traceback stays readable; a progress bar's states are lines."""
    log = b"Traceback:\n\tFile x\r\n  ::error::y\x1b[0m\r 50%\r100%"
    assert printable_lines(log).split("\n") == [
        "Traceback:",
        "        File x",
        r"  \x3a:error::y\x1b[0m",
        " 50%",
        "100%",
    ]
