"""Where a server is placed, by its settings and its machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from pytest_precgate.analysis.curves.search import Grid
from pytest_precgate.analysis.machine.load import HostLoad
from pytest_precgate.analysis.machine.placement import ANYWHERE, Placement, Topology
from pytest_precgate.analysis.measure.gpu import Gpu
from pytest_precgate.engines.load import LoadSettings
from pytest_precgate.engines.machine_settings import MachineSettings, Numa
from pytest_precgate.engines.server import ServerSettings
from pytest_precgate.environment.gpu_settings import GpuChange
from pytest_precgate.errors import HostBusyError, InvalidValueError, PreflightError
from pytest_precgate.servers.machine import Machine
from pytest_precgate.servers.quiet import place, quiet_facts, refuse_load, surroundings_of

GPUS = tuple(Gpu(index, f"GPU-{index}", "NVIDIA B200") for index in range(2))


@dataclass
class TwoNodes:
    """A machine with cores 0 to 3 on node 0 and 4 to 7 on node 1."""

    nodes: Mapping[Gpu, int | None] = field(default_factory=dict)

    def topology(self) -> Topology:
        return Topology(tuple(range(8)), tuple(range(8)), {0: (0, 1, 2, 3), 1: (4, 5, 6, 7)})

    def gpu_nodes(self, _devices: Sequence[str]) -> Mapping[Gpu, int | None]:
        return self.nodes


def placed(numa: Numa | None, nodes: Mapping[Gpu, int | None], **more: Any) -> Placement:
    load = LoadSettings(Grid((1,)), client_cpus=more.pop("client", ()))
    machine = MachineSettings(more.pop("cpus", ()), numa)
    settings = ServerSettings("m", 2, load, machine=machine, **more)
    return place("fp4 (trtllm)", settings, ("0", "1"), cast(Machine, TwoNodes(nodes)))


def test_a_server_goes_to_the_node_of_its_gpus_and_its_client_to_the_other() -> None:
    """Nothing else has to be said."""
    assert placed("gpu", dict.fromkeys(GPUS, 1)) == Placement((4, 5, 6, 7), (0, 1, 2, 3), (1,))


def test_gpus_of_two_nodes_take_the_cores_and_the_memory_of_both() -> None:
    """Then the client's cores must be named."""
    both = dict(zip(GPUS, (1, 0), strict=True))
    assert placed("gpu", both, client=(3, 7)) == Placement((0, 1, 2, 4, 5, 6), (3, 7), (0, 1))
    with pytest.raises(PreflightError, match=r"fp4 \(trtllm\): no core is left for the load client"):
        placed("gpu", both)


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ({}, 'numa = "gpu": the server gets no GPU that the driver shows; give the number of a node'),
        (dict(zip(GPUS, (1, None), strict=True)), 'numa = "gpu": the kernel does not tell the node of GPU 1 '),
    ],
)
def test_a_node_that_is_not_known_is_refused(nodes: Mapping[Gpu, int | None], why: str) -> None:
    """And not guessed."""
    with pytest.raises(PreflightError, match=why):
        placed("gpu", nodes)


def test_a_server_over_several_machines_is_placed_by_its_launcher() -> None:
    """Its processes on others are not ours to place; the client is."""
    with pytest.raises(PreflightError, match="the server spans several; bind them with the launcher"):
        placed(0, {}, spans_nodes=True)
    assert placed(None, {}, spans_nodes=True) == ANYWHERE
    assert placed(None, {}, spans_nodes=True, client=(6, 7)) == Placement(client=(6, 7))
    with pytest.raises(PreflightError, match="client_cpus: cores 8 are not there"):
        placed(None, {}, spans_nodes=True, client=(8,))


def test_a_server_that_asks_for_nothing_asks_nothing_of_the_machine() -> None:
    """Not even its topology."""
    settings = ServerSettings("m", 1, LoadSettings(Grid((1,))))
    assert place("fp4", settings, (), cast(Machine, None)) == ANYWHERE
    assert surroundings_of(ANYWHERE, ()).undo == ()


def test_what_was_in_force_is_told() -> None:
    """And what was not is left out."""
    load = HostLoad((0,), 0.5, 0.0, None, ())
    changes = (GpuChange(GPUS[0], 1500), GpuChange(GPUS[1], 1600, turns_persistence_on=True))
    assert quiet_facts(Placement((0, 1), (2,), (0,)), changes, load).soft == {
        "client.cpus": "2",
        "gpu.locked_clocks": "1500, 1600 MHz",
        "host.load": "busy",
        "server.cpus": "0-1",
        "server.numa": "0",
    }
    assert quiet_facts(ANYWHERE, (), None).soft == {}


def test_no_limit_refuses_nothing() -> None:
    """A shared machine stays usable."""
    refuse_load("fp4", None, HostLoad((0,), 1.0, 0.0, None, ()))
    refuse_load("fp4", None, None)
    with pytest.raises(HostBusyError):
        refuse_load("fp4", 0.99, HostLoad((0,), 1.0, 0.0, None, ()))


@pytest.mark.parametrize(("cpus", "limit"), [((1, 1), None), ((), 1.5), ((), float("nan"))])
def test_settings_that_make_no_sense_are_refused(cpus: tuple[int, ...], limit: float | None) -> None:
    """However they are built."""
    with pytest.raises(InvalidValueError):
        MachineSettings(cpus, load_limit=limit)


def test_a_client_without_cores_of_its_own_asks_nothing(tmp_path: Path) -> None:
    """As every suite before there was such a setting: nothing of it is in the snapshot of the settings."""
    from pytest_precgate.run.settings_snapshot import settings_of  # noqa: PLC0415
    from pytest_precgate.settings import load  # noqa: PLC0415
    from tests.plugin.sites import SETTINGS  # noqa: PLC0415

    def keys(settings: str) -> set[str]:
        (tmp_path / "pyproject.toml").write_text(settings, encoding="utf-8")
        return set(settings_of(load(tmp_path).suites["kimi"], tmp_path))

    plain = keys(SETTINGS)
    assert not [key for key in plain if "machine" in key or "client_cpus" in key]
    set_ = keys(SETTINGS.replace('engine = "trtllm"', 'engine = "trtllm"\ncpus = "0"\nclient_cpus = [1]'))
    assert {"fp4.settings.machine.cpus", "fp4.settings.load.client_cpus"} <= set_ - plain
