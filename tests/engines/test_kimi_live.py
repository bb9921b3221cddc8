"""The Kimi example's live suite: what it would start, held against the engines' own tables, and shown in the docs."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml

from pytest_precgate.analysis.curves.search import Grid
from pytest_precgate.engines import TrtllmEngine, VllmEngine
from pytest_precgate.engines.server import ServerCommand, Started
from pytest_precgate.engines.simulated.calibration import load_calibration
from pytest_precgate.engines.support import NAMES, ROWS
from pytest_precgate.settings import Suite, load
from tests.engines.hosts import kimi_host, slot
from tests.engines.option_tables import (
    TRTLLM_FLAGS,
    TRTLLM_KEYS,
    TRTLLM_MOE_BACKENDS,
    TRTLLM_NESTED,
    VLLM_FLAGS,
)
from tests.published import ROOT

RELEASES = ["1.2", "main"]
RUN_DIR = Path("RUN")


def live() -> Suite:
    return load(ROOT).suites["kimi-k2-b200-live"]


def fp4() -> TrtllmEngine:
    (spec,) = live().configurations("fp4")
    assert isinstance(spec, TrtllmEngine)
    return spec


def int4() -> VllmEngine:
    (spec,) = live().configurations("int4")
    assert isinstance(spec, VllmEngine)
    return spec


def started(engine: Started, tmp_path: Path) -> ServerCommand:
    return engine.command(slot(RUN_DIR), kimi_host(tmp_path))


def flags(command: ServerCommand) -> list[str]:
    return [word.removeprefix("--").partition("=")[0] for word in command.argv if word.startswith("--")]


def unknown_keys(options: dict[str, object], release: str) -> list[str]:
    """The keys of an options file that a release would refuse; its nested models are as strict as the outer one."""
    found = [key for key in options if key not in TRTLLM_KEYS[release]]
    for outer, known in TRTLLM_NESTED[release].items():
        inner = options.get(outer, {})
        assert isinstance(inner, dict)
        found += [f"{outer}.{key}" for key in inner if key not in known]
    return found


@pytest.mark.parametrize("release", RELEASES)
def test_the_command_line_has_only_flags_both_releases_take(tmp_path: Path, release: str) -> None:
    """An unknown flag would end the server at once."""
    asked = flags(started(fp4(), tmp_path))
    assert asked == ["host", "port", "backend", "extra_llm_api_options"]
    assert set(asked) <= TRTLLM_FLAGS[release]


@pytest.mark.parametrize("release", RELEASES)
def test_the_options_file_has_only_keys_both_releases_take(release: str) -> None:
    """YAML models are strict: one unknown key, at any depth, and the server does not start."""
    options = yaml.safe_load(fp4().options_yaml())
    assert unknown_keys(options, release) == []
    assert options["moe_config"]["backend"] in TRTLLM_MOE_BACKENDS[release]
    assert options["kv_cache_config"]["dtype"] in {"auto", "fp8", "nvfp4"}


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("key", ["kv_cache_dtype", "served_model_name", "moe_backend"])
def test_the_tables_refuse_what_a_release_would(release: str, key: str) -> None:
    """Flags that look like keys, and keys at the wrong depth."""
    assert unknown_keys({key: 1}, release) == [key]
    assert unknown_keys({"kv_cache_config": {"kv_cache_dtype": "fp8"}}, release) == ["kv_cache_config.kv_cache_dtype"]


def test_flags_that_only_main_has_are_not_in_the_older_table() -> None:
    """Why the model's name, the KV cache type and the telemetry switch are not flags here."""
    assert {"served_model_name", "kv_cache_dtype", "no-telemetry"} <= TRTLLM_FLAGS["main"] - TRTLLM_FLAGS["1.2"]


def test_the_vllm_command_has_only_flags_both_releases_take(tmp_path: Path) -> None:
    """0.20.2 and 0.33.0; a switch's name may have no- in front."""
    asked = {flag.removeprefix("no-") for flag in flags(started(int4(), tmp_path))}
    assert asked <= VLLM_FLAGS
    assert "disable-log-requests" not in VLLM_FLAGS


@pytest.mark.parametrize("precision", ["fp4", "int4"])
def test_it_passes_the_preflight_on_eight_b200(tmp_path: Path, precision: str) -> None:
    """With both checkpoints in the cache and both programs on PATH."""
    engine: Started = fp4() if precision == "fp4" else int4()
    facts = engine.preflight(precision, "b200", kimi_host(tmp_path))
    assert str(facts.soft["support"]).startswith("yes: ")


def test_it_measures_what_was_published() -> None:
    """The concurrencies of the published sweeps, their window, and a calibration to rehearse each with."""
    assert (fp4().tp, fp4().ep, int4().tp) == (4, 4, 8)
    assert fp4().settings.load.concurrency == Grid((1, 2, 4, 8, 16, 32, 64, 128))
    assert int4().settings.load.concurrency == Grid((4, 8, 16, 32, 64))
    for spec, gpus in ((fp4(), 4), (int4(), 8)):
        assert spec.settings.load.window == "whole"
        assert spec.settings.calibration is not None
        assert load_calibration(spec.settings.calibration, ROOT).gpus == gpus == spec.settings.gpus


# --- the docs ---------------------------------------------------------------------------------------------------------


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def as_block(text: str) -> str:
    return "".join(f"{line}\n" for line in text.splitlines())


def wrapped(command: ServerCommand) -> str:
    """The command line, a flag a line."""
    words = shlex.join(command.argv).replace(" --", " \\\n  --")
    return f"{words}\n"


def test_the_docs_show_the_files_and_commands_the_example_would_use(tmp_path: Path) -> None:
    """They cannot drift from the settings."""
    trtllm, vllm = started(fp4(), tmp_path / "a"), started(int4(), tmp_path / "b")
    assert as_block(trtllm.files[RUN_DIR / "trtllm.yaml"]) in page("trtllm.md")
    assert as_block(wrapped(trtllm)) in page("trtllm.md")
    assert as_block(wrapped(vllm)) in page("vllm.md")


def test_the_docs_show_the_whole_table_of_what_is_supported() -> None:
    """Every row has a source."""
    answers = ["yes" if row.supported else f"no, {NAMES[row.instead]} does" if row.instead else "no" for row in ROWS]
    rows = [
        (NAMES[row.engine], ", ".join(row.methods), row.kind, ", ".join(row.generations), answer, row.source)
        for row, answer in zip(ROWS, answers, strict=True)
    ]
    _, _, table = page("preflight.md").partition("| engine |")
    shown = [line for line in table.splitlines() if line.startswith("| ")]
    assert shown == [f"| {' | '.join(row)} |" for row in rows]
