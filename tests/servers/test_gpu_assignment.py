"""Which GPUs an engine gets."""

from __future__ import annotations

import pytest

from pytest_precgate.analysis.measure.gpu import Gpu
from pytest_precgate.engines.load import LoadSettings
from pytest_precgate.engines.server import ServerSettings
from pytest_precgate.errors import PreflightError
from pytest_precgate.servers.gpu_assignment import devices_of, identities

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


@pytest.mark.parametrize("hidden", ["-1", "NoDevFiles", "-1,0", "none", "GPU-9", "MIG-77aa", "0,0", "0,9"])
@pytest.mark.parametrize("gpus", [1, 2])
def test_a_variable_that_hides_gpus_is_named(hidden: str, gpus: int) -> None:
    """CUDA stops at the first word that names none, and the message says which variable holds it."""
    if gpus == 1 and hidden.startswith("0"):
        assert devices_of(server(1), {"CUDA_VISIBLE_DEVICES": hidden}, EIGHT) == ("0",)
        return
    with pytest.raises(PreflightError, match=f"CUDA_VISIBLE_DEVICES={hidden} shows [01]: '.*' names no GPU here"):
        devices_of(server(gpus), {"CUDA_VISIBLE_DEVICES": hidden}, EIGHT)


@pytest.mark.parametrize("hidden", ["-1", "NoDevFiles"])
def test_a_variable_that_hides_every_gpu_is_named_without_a_driver(hidden: str) -> None:
    """Where nothing can tell, these words still name none."""
    with pytest.raises(PreflightError, match=f"CUDA_VISIBLE_DEVICES={hidden} shows 0"):
        devices_of(server(1), {"CUDA_VISIBLE_DEVICES": hidden}, None)


def test_a_gpu_has_one_identity_under_every_name() -> None:
    """An index and a UUID of the same GPU are one; where nothing can tell, the word is all there is."""
    assert identities(["0", "GPU-1"], EIGHT) == identities(["GPU-0", "1"], EIGHT) == ("GPU-0", "GPU-1")
    assert identities(["0"], None) == ("0",)
