"""Variables are a mapping like any other, but for what they look like."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from pytest_precgate.engines.server import HostContext, ServerCommand
from pytest_precgate.hidden import Variables
from pytest_precgate.servers.machine import Machine
from pytest_precgate.servers.process.variables import inherited
from tests.engines.hosts import host

SECRET = "hunter2"


def test_variables_are_the_mapping_they_show() -> None:
    """Values by name, equal to a dict, kept up to date, and picklable."""
    values = {"A": SECRET}
    shown = Variables(values)
    assert shown == values
    assert values == shown
    assert shown["A"] == SECRET
    assert {**shown} == values
    assert pickle.loads(pickle.dumps(shown)) == values
    values["B"] = "later"
    assert len(shown) == 2
    with pytest.raises(KeyError):
        shown["C"]


@pytest.mark.parametrize("quote", [repr, str, "{}".format, "{!r}".format])
def test_no_value_is_shown(tmp_path: Path, quote: object) -> None:
    """By repr, str or format, alone or inside what holds them."""
    variables = {"TOKEN": SECRET}
    base = host(tmp_path)
    holders = [
        Variables(variables),
        Variables(Variables(variables)),
        [Variables(variables)],
        inherited(variables),
        ServerCommand(("serve",), variables),
        HostContext(variables, base.network, base.directory),
        Machine(lambda: "abc", variables, None),
    ]
    assert callable(quote)
    assert not [holder for holder in holders if SECRET in quote(holder)]
