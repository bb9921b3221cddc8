"""The settings that decide a figure, laid flat: whole, plain, and the same wherever the repository lies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import cast

import pytest

from pytest_precgate.analysis.curves.economics import HARDWARE
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.engines.base import Engine
from pytest_precgate.engines.recorded import RecordedEngine
from pytest_precgate.errors import InvalidValueError
from pytest_precgate.run.settings_snapshot import settings_of
from pytest_precgate.settings import Suite, load
from tests.plugin.test_simulated import SETTINGS


@dataclass(frozen=True)
class Settings:
    """What the settings of an engine are made of."""

    options: Mapping[str, object] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    path: Path = Path()


def suite(*engines: Settings) -> Suite:
    return Suite("kimi", HARDWARE["b200"], Workload(1024, 1024), (55.0,), {"fp4": cast(tuple[Engine, ...], engines)})


def test_every_setting_of_an_engine_has_a_key_of_its_own(tmp_path: Path) -> None:
    """Tables, lists of tables, lists of values; each configuration is told apart where there are several."""
    one = Settings(
        {"kv": {"dtype": "fp8", "share": 0.9}, "sizes": [1, 2], "graph": None, "on": True}, {}, tmp_path / "x"
    )
    assert settings_of(suite(one), tmp_path) == {
        "fp4.options.kv.dtype": "fp8",
        "fp4.options.kv.share": 0.9,
        "fp4.options.sizes": "[1, 2]",
        "fp4.options.graph": None,
        "fp4.options.on": True,
        "fp4.path": "x",
    }
    two = settings_of(suite(one, Settings({"parts": [{"a": 1}, {"a": 2}]})), tmp_path)
    assert {key for key in two if key.startswith("fp4[1]")} == {
        "fp4[1].options.parts[0].a",
        "fp4[1].options.parts[1].a",
        "fp4[1].path",
    }


def test_a_shipped_engine_lies_flat_and_survives_json(tmp_path: Path) -> None:
    """The simulated engine's: its calibration's figures are among them, and no key is lost on the way to a file."""
    (tmp_path / "pyproject.toml").write_text(SETTINGS, encoding="utf-8")
    found = settings_of(load(tmp_path).suites["kimi"], tmp_path)
    assert found["fp4.seed"] == 0
    assert found["int4.calibration.gpus"] == 8
    assert "fp4.calibration.step_time.constant_s" in found
    assert json.loads(json.dumps(found)) == found


def test_the_same_settings_elsewhere_are_the_same(tmp_path: Path) -> None:
    """Paths below the repository are written from there, others in full."""
    homes = [tmp_path / "a", tmp_path / "b"]
    specs = [RecordedEngine(("points.csv",), home) for home in homes]
    suites = [replace(suite(), engines={"fp4": (spec,)}) for spec in specs]
    first, second = (settings_of(each, home) for each, home in zip(suites, homes, strict=True))
    assert first == second == {"fp4.patterns": '["points.csv"]', "fp4.base": "."}
    assert settings_of(suites[0], homes[1])["fp4.base"] == str(homes[0])


def test_a_variable_s_value_is_not_kept(tmp_path: Path) -> None:
    """It may be a key; a digest tells one from another."""
    first, second = (settings_of(suite(Settings(variables={"HF_TOKEN": v})), tmp_path) for v in ("hf_abc", "hf_def"))
    assert first.keys() == second.keys() == {"fp4.variables.HF_TOKEN", "fp4.path"}
    assert first != second
    assert "hf_" not in str(first)


def test_what_toml_has_beside_plain_values_is_text(tmp_path: Path) -> None:
    """Dates, and figures that JSON does not know."""
    found = settings_of(suite(Settings({"day": date(2026, 11, 24), "limit": float("inf")})), tmp_path)
    assert found["fp4.options.day"] == "2026-11-24"
    assert found["fp4.options.limit"] == "inf"


def test_a_setting_no_file_can_hold_is_named(tmp_path: Path) -> None:
    """Its key, before anything is measured."""
    with pytest.raises(InvalidValueError, match=r"fp4\.options\.hook: got <.*wanted a plain value"):
        settings_of(suite(Settings({"hook": object()})), tmp_path)
