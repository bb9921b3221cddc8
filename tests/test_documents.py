"""For any content of a file, its reader returns a value or raises a named error with the location."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.baselines.schema import parse as parse_baseline
from pytest_precgate.documents import Keys, Node, strict_json
from pytest_precgate.engines.simulated.calibration import load_calibration
from pytest_precgate.errors import BaselineCorruptError, CalibrationError, JournalCorruptError, SettingsError
from pytest_precgate.journal.state import parse as parse_journal
from pytest_precgate.settings import load

DEEP, LONG = "[" * 100_000, "9" * 5000


def refuse(why: str) -> NoReturn:
    raise SettingsError("file", "", why)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (DEEP, "nested too deeply"),
        (DEEP.encode(), "nested too deeply"),
        (LONG, "more digits"),
        (f"-{LONG}", "more digits"),
        (b"\xff\xfe{", "not UTF-8"),
        ("[NaN]", "NaN"),
        ('{"a": 1, "a": 2}', "twice"),
    ],
)
def test_json_that_cannot_be_worked_with_is_refused(content: str | bytes, why: str) -> None:
    """By its cause, for any exception of Python itself."""
    with pytest.raises(SettingsError, match=why):
        strict_json(content, refuse)


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_json_ends_in_a_value_a_refusal_or_a_json_error(content: str | bytes) -> None:
    """No other exception leaves the reader."""
    with contextlib.suppress(SettingsError, json.JSONDecodeError):
        strict_json(content, refuse)


@pytest.mark.parametrize(
    "value", [10**400, -(10**400), 16**6000, 2**63], ids=lambda value: f"{value.bit_length()} bits"
)
def test_an_immense_whole_number_is_refused_at_its_spot(value: int) -> None:
    """TOML spells 24000 bits in hexadecimal, and Python cannot even print them."""
    for read in (Node.integer, Node.count):
        with pytest.raises(SettingsError, match=r"file: got .* @ a\.b"):
            read(Node(value, "file", "a.b", SettingsError))


@pytest.mark.parametrize("value", [16**6000, [[16**6000]], list(range(1000))], ids=["number", "nested", "long"])
@pytest.mark.parametrize(
    "read", [Node.text, Node.flag, Node.table, Node.day, Node.number], ids=lambda read: read.__name__
)
def test_a_refusal_shows_a_value_in_short(value: object, read: Callable[[Node], object]) -> None:
    """Any value, in one line of a readable length."""
    with pytest.raises(SettingsError) as caught:
        read(Node(value, "file", "a.b", SettingsError))
    assert len(str(caught.value)) < 200


def test_half_of_a_surrogate_pair_is_no_text() -> None:
    """JSON can spell it, and no file could hold it."""
    with pytest.raises(SettingsError, match="wanted Unicode text"):
        Node(json.loads('"\\ud800"'), "file", "a", SettingsError).text()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (f"a = {'[' * 100_000}", r"nested too deeply|cannot be nested"),
        (f"a = {LONG}", "more digits"),
        (b"a = '\xff'", "not UTF-8"),
        ("a = 2026-02-30", "is not TOML"),
        ("a =", "is not TOML"),
        (f"suites = {{ kimi = {{ implausible = 0x{'f' * 5000} }} }}", "required field missing"),
    ],
)
def test_settings_that_cannot_be_read_are_a_settings_error(tmp_path: Path, content: str | bytes, why: str) -> None:
    """In precgate.toml, which only this tool reads."""
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "precgate.toml").write_bytes(data)
    with pytest.raises(SettingsError, match=why):
        load(tmp_path)


@pytest.mark.parametrize("content", [DEEP, f'{{"schema": {LONG}}}', f'{{"schema": 1, "a": {DEEP}'])
def test_no_file_of_ours_raises_anything_else(tmp_path: Path, content: str) -> None:
    """Baselines, journals, calibrations."""
    with pytest.raises(BaselineCorruptError, match=r"^b\.json"):
        parse_baseline(content, "b.json")
    with pytest.raises(JournalCorruptError, match=r"^j\.jsonl"):
        parse_journal([f"{content}\n".encode()], "j.jsonl")
    (tmp_path / "c.json").write_text(content, encoding="utf-8")
    with pytest.raises(CalibrationError, match=r"c\.json"):
        load_calibration("c.json", tmp_path)


VALUES: st.SearchStrategy[object] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, 2**63 - 1, 2**63, -(2**63)])
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["a", " ", "\ud800", "\x85"])
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.sampled_from(["a", "b", "c"]), st.floats(), max_size=3)
)


@given(VALUES, st.sampled_from(["number", "integer", "count", "text"]))
def test_fields_accept_and_refuse_what_a_node_does(value: object, kind: str) -> None:
    """The short way round is no other rule: the same value, or the same words at the same spot."""

    def outcome(act: Callable[[], object]) -> object:
        try:
            return act()
        except SettingsError as exc:
            return str(exc)

    node = Node({"a": {"x": value}}, "file", "$", SettingsError)
    fields = node.fields(Keys("a")).fields("a", Keys("x"))
    alone = node.mapping()["a"].mapping()["x"]
    assert repr(outcome(lambda: getattr(fields, kind)("x"))) == repr(outcome(getattr(alone, kind)))
    assert outcome(lambda: fields.choice("x", ["a", "b"])) == outcome(lambda: alone.choice(["a", "b"]))
    assert fields.has("x") == (value is not None)


@given(VALUES)
def test_fields_of_a_table_have_the_keys_a_table_has(value: object) -> None:
    """What is missing or unknown is refused by the same words."""
    node, refusals = Node(value, "file", "$", SettingsError), []
    readers: list[Callable[[], object]] = [
        lambda: node.table(required=["a"], optional=["b"]),
        lambda: node.fields(Keys("a", optional=["b"])),
    ]
    for read in readers:
        try:
            read()
        except SettingsError as exc:
            refusals.append(str(exc))
    assert len(refusals) != 1
    assert len({*refusals}) <= 1
