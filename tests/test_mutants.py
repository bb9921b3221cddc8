"""What `make mutants` changes in a module."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.mutants import mutants_of


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("a < b", ["a <= b", "a >= b"]),
        ("a <= b == c", ["a < b == c", "a > b == c", "a <= b != c"]),
        ("a + b * c", ["a - b * c", "b / c"]),
        ("a and not b", ["a or not b", "b"]),
        ("-a", ["a"]),
        ("a[3]", ["4", "2", "6"]),
        ("a(True)", ["pass", "False"]),
        ("a = 0.5", ["1.5", "-0.5", "1.0"]),
        ("a = 1", ["2", "0"]),
        ("a = b if c else d", ["b", "d"]),
        ("a = [b for b in c if d]", ["[b for b in c]"]),
        ("a = min(b)", ["max"]),
        ("if a:\n    pass", ["if True:", "if False:"]),
        ("a -= b", ["a += b"]),
        ("a: int | None = None", []),
        ("@a(1)\ndef b() -> c(2): ...", []),
        ("if TYPE_CHECKING:\n    a = 1", []),
        ("a = zip(b, strict=True)", []),
        ('"""Text."""', []),
    ],
)
def test_every_change_is_one_operator_constant_or_branch(tmp_path: Path, text: str, changed: list[str]) -> None:
    """And of what no run depends on, nothing."""
    module = tmp_path / "module.py"
    module.write_text(text, encoding="utf-8")
    assert [mutant.text.split(" -> ")[1] for mutant in mutants_of(module)] == changed
