"""Which GPUs an engine gets, and where it writes."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from pytest_precgate.analysis.gpu import Gpu
from pytest_precgate.engines.load import LoadSettings
from pytest_precgate.engines.server import ServerSettings
from pytest_precgate.errors import EngineError, PreflightError
from pytest_precgate.live.seats import RunDirectory, devices_of, identities

STARTED = datetime(2026, 11, 24, 8, 30, tzinfo=timezone.utc)
EIGHT = tuple(Gpu(number, f"GPU-{number}", "NVIDIA B200", 1) for number in range(8))


def server(gpus: int, **more: object) -> ServerSettings:
    return ServerSettings("model", gpus, LoadSettings((1,)), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "environ", "gpus", "devices"),
    [
        (server(4), {}, EIGHT, ("0", "1", "2", "3")),
        (server(4), {}, None, ("0", "1", "2", "3")),
        (server(2), {"CUDA_VISIBLE_DEVICES": "4, 5,6"}, EIGHT, ("4", "5")),
        (server(2, devices=("6", "7")), {"CUDA_VISIBLE_DEVICES": "4,5"}, EIGHT, ("6", "7")),
        (server(16, spans_nodes=True), {}, EIGHT, tuple("01234567")),
        (server(4, occupies_gpus=False), {}, EIGHT, ()),
        (server(1), {}, (), ("0",)),
        (server(1), {"CUDA_VISIBLE_DEVICES": ""}, EIGHT, ()),
    ],
)
def test_an_engine_gets_the_gpus_set_else_the_first_visible_ones(
    settings: ServerSettings, environ: dict[str, str], gpus: tuple[Gpu, ...] | None, devices: tuple[str, ...]
) -> None:
    """``devices`` wins over CUDA_VISIBLE_DEVICES, that over counting; across machines all of this one's are taken."""
    assert devices_of(settings, environ, gpus) == devices


def test_fewer_visible_gpus_than_the_figures_are_divided_by_are_refused() -> None:
    """Throughput per GPU of four, measured on one, is no figure."""
    with pytest.raises(PreflightError, match="gpus = 4, and CUDA_VISIBLE_DEVICES=0 shows 1"):
        devices_of(server(4), {"CUDA_VISIBLE_DEVICES": "0"}, EIGHT)


def test_a_gpu_has_one_identity_whoever_names_it() -> None:
    """An index and a UUID of the same GPU are one; where nothing can tell, the word is all there is."""
    assert identities(["0", "GPU-1"], EIGHT) == identities(["GPU-0", "1"], EIGHT) == ("GPU-0", "GPU-1")
    assert identities(["0"], None) == ("0",)


def test_each_start_has_a_directory_of_its_own_that_git_ignores(tmp_path: Path) -> None:
    """A second start never writes over the log of the first."""
    runs = RunDirectory(tmp_path, STARTED)
    first, second = runs.of("kimi", "fp4-default"), runs.of("kimi", "fp4-default")
    assert (first.name, second.name) == ("fp4-default", "fp4-default-2")
    assert first.parent.name.startswith("20261124T083000Z-kimi")
    assert (tmp_path / ".precgate" / ".gitignore").read_text(encoding="utf-8") == "*\n"


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file where the directory belongs is said, before anything is started."""
    (tmp_path / ".precgate").write_text("", encoding="utf-8")
    with pytest.raises(EngineError, match=r"\.precgate.*cannot be made: Not a directory"):
        RunDirectory(tmp_path, STARTED).of("kimi", "fp4")
