"""Earlier texts of a baseline file: every schema is read, and what cannot be read says why."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from pytest_precgate.analysis.accepted.trend import BaselineRevision
from pytest_precgate.baselines.past import past_revision
from pytest_precgate.baselines.schema import SCHEMA, dump
from tests.builders.baselines import FP4, RATIO, kimi_baseline

TEXT = dump(kimi_baseline())


def revision(data: bytes | None, suite: str = "kimi") -> BaselineRevision:
    return past_revision(data, suite, commit="0123456789abcdef", author="Ada", utc="2026-11-24", subject="first one")


def edited(**members: Any) -> bytes:
    return json.dumps({**json.loads(TEXT), **members}).encode()


def test_a_file_of_today_has_its_reason_and_the_values_it_says() -> None:
    """Author, time and subject are the commit's."""
    found = revision(TEXT.encode())
    assert (found.reason, found.author, found.utc, found.subject) == ("first", "Ada", "2026-11-24", "first one")
    assert found.values == {RATIO: pytest.approx(2.84638, rel=1e-3), FP4: pytest.approx(1028.1, rel=1e-3)}
    assert not found.unread
    assert not found.simulated


@pytest.mark.parametrize("schema", range(1, SCHEMA))
def test_a_file_of_every_older_schema_is_read(schema: int) -> None:
    """Those before 4 have no anchors."""
    document = {**json.loads(TEXT), "schema": schema}
    if schema < 4:
        del document["oldest_accepted"]
        for launch in document["launches"]:
            launch.pop("repeatable", None)
    if schema < 2:
        for gate in document["gates"]:
            del gate["sigma"]
    found = revision(json.dumps(document).encode())
    assert found.unread == ""
    assert {*found.values} == {RATIO, FP4}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\xff\xfe", "is not UTF-8 text"),
        (TEXT[:400].encode(), "is not whole JSON"),
        (b"<<<<<<< HEAD\n", "is not whole JSON"),
        (edited(schema=SCHEMA + 1), f"schema {SCHEMA + 1} was written by a newer"),
        (edited(gates=[]), "holds no launch or no gate"),
        (edited(suite="llama"), "belongs to suite 'llama'"),
        (TEXT.replace('"value": ', '"value": -').encode(), "says a value that is not above 0"),
        (re.sub(r'"value": [\d.]+', '"value": null', TEXT).encode(), "wanted a number"),
    ],
)
def test_what_cannot_be_read_says_why_and_of_which_commit(data: bytes, why: str) -> None:
    """It is no error: the others are shown."""
    found = revision(data)
    assert why in found.unread
    assert "kimi.json of 0123456789ab" in found.unread
    assert found.values == {}
    assert found.reason == ""


def test_a_commit_that_removed_the_file_is_no_damage() -> None:
    """Nothing is to be read."""
    found = revision(None)
    assert found.removed
    assert not found.unread
