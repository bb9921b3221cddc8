"""A table is read by the fields of the value it becomes, and refused as its nodes refuse."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.documents import Node
from pytest_precgate.errors import DocumentError
from pytest_precgate.values import TableReader


@dataclass(frozen=True)
class Inner:
    """A table in a table."""

    seconds: float


@dataclass(frozen=True)
class Outer:
    """Every kind of field."""

    name: str
    number: int
    share: float
    kind: Literal["a", "b"]
    inner: Inner
    maybe: float | None
    other: Inner | None = None


READER = TableReader(Outer, optional=("other",), counts=("number",))
TABLE = {"name": "x", "number": 1, "share": 0.5, "kind": "a", "inner": {"seconds": 2.0}, "maybe": None}


def node(value: object) -> Node:
    return Node(value, "file", "$", DocumentError)


@given(
    st.builds(
        Outer,
        name=st.text("abc", min_size=1),
        number=st.integers(1, 10**9),
        share=st.floats(allow_nan=False, allow_infinity=False),
        kind=st.sampled_from(["a", "b"]),
        inner=st.builds(Inner, st.floats(0, 10)),
        maybe=st.none() | st.floats(0, 1),
        other=st.none() | st.builds(Inner, st.floats(0, 10)),
    )
)
def test_what_a_value_is_written_as_is_read_back(value: Outer) -> None:
    """Nested tables and nulls included."""
    assert READER.read(node(asdict(value))) == value


def test_a_field_that_may_be_left_out_has_its_default() -> None:
    """Of the others none may be."""
    assert READER.read(node(TABLE)).other is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": ""}, "wanted a non-empty text.*name"),
        ({"number": 0}, r"got 0.*number"),
        ({"number": 1.5}, r"1\.5.*number"),
        ({"number": True}, "number"),
        ({"share": float("nan")}, "wanted a finite number.*share"),
        ({"kind": "c"}, "unknown value 'c'.*kind"),
        ({"inner": {"seconds": "2"}}, r"inner\.seconds"),
        ({"inner": {}}, r"required field missing.*inner\.seconds"),
        ({"inner": None}, "inner"),
        ({"other": {"seconds": 1.0, "more": 2}}, "unknown key 'more'.*other"),
        ({"unknown": 1}, "unknown key 'unknown'"),
    ],
)
def test_what_is_not_as_its_type_says_is_refused_at_its_spot(changes: dict[str, object], why: str) -> None:
    """As every other table is."""
    with pytest.raises(DocumentError, match=why):
        READER.read(node({**TABLE, **changes}))


@pytest.mark.parametrize("missing", sorted(TABLE))
def test_a_field_that_is_missing_is_refused_by_name(missing: str) -> None:
    """Nothing missing has a default."""
    with pytest.raises(DocumentError, match=f"required field missing.*{missing}"):
        READER.read(node({key: value for key, value in TABLE.items() if key != missing}))
