"""What is noisy is named with a remedy, and what cannot be read is unknown, never fine."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from pytest_precgate.analysis.machine.findings import Finding, host_findings
from pytest_precgate.analysis.machine.gpu_findings import gpu_findings
from pytest_precgate.analysis.machine.host import Asked, GpuState, Host
from pytest_precgate.analysis.machine.load import HostLoad
from pytest_precgate.analysis.machine.placement import Topology
from pytest_precgate.analysis.measure.gpu import ClocksEvent, Gpu
from pytest_precgate.errors import InvalidValueError
from pytest_precgate.reports.doctor import document, render

ONE_NODE = Topology((0, 1, 2, 3), (0, 1, 2, 3), {0: (0, 1, 2, 3)})
TWO_NODES = Topology((0, 1, 2, 3), (0, 1, 2, 3), {0: (0, 1), 1: (2, 3)})
QUIET = Host(
    topology=ONE_NODE,
    governors=dict.fromkeys(range(4), "performance"),
    boost=False,
    siblings=((0,), (1,), (2,), (3,)),
    hypervisor=False,
    model="A Board",
    quota_cpus=math.inf,
    throttled=0,
    swap_total=0,
    swap_used=0,
    huge_pages="madvise",
    numa_balancing=False,
)
IDLE = HostLoad((0, 1, 2, 3), 0.02, 0.0, 0, ())
GPU = GpuState(Gpu(0, "GPU-0", "NVIDIA B200"), 0, True, 1965, 1965, 0, 0)
PLACED = Asked("kimi fp4", (0, 1), (2, 3))


def found(host: Host = QUIET, load: HostLoad | None = IDLE, *asked: Asked) -> dict[str, Finding]:
    return {each.subject: each for each in host_findings(host, load, asked)}


def of_gpus(*gpus: GpuState, host: Host = QUIET, asked: tuple[Asked, ...] = ()) -> dict[str, Finding]:
    return {each.subject: each for each in gpu_findings(gpus, host, asked)}


def test_a_quiet_machine_is_fine_in_every_part() -> None:
    """Then nothing is to be done."""
    assert {each.state for each in found().values()} == {"fine"}


def test_a_machine_that_tells_nothing_is_fine_in_no_part() -> None:
    """Neither its kernel nor its load nor its driver."""
    told = [*host_findings(Host(Topology((0,))), None, ()), *gpu_findings(None, Host(Topology((0,))), ())]
    assert {each.state for each in told} == {"unknown"}
    blind = GpuState(Gpu(0, "GPU-0", "NVIDIA B200"))
    assert {each.state for each in gpu_findings((blind,), Host(Topology((0,))), ())} == {"unknown"}


@pytest.mark.parametrize(
    ("subject", "changes", "said"),
    [
        ("CPU governor", {"governors": {0: "powersave", 1: "performance", 2: "powersave"}}, "powersave on 0,2"),
        ("CPU boost", {"boost": True}, "on"),
        ("SMT siblings", {"siblings": ((0, 2), (1, 3))}, "cores 0 and 2 are one, 2 such; nothing is placed"),
        ("NUMA", {"topology": TWO_NODES}, "2 nodes; nothing is placed"),
        ("NUMA", {"topology": TWO_NODES, "numa_balancing": True}, "the kernel moves pages between them"),
        ("virtual machine", {"hypervisor": True}, "yes (A Board)"),
        ("CPU quota", {"quota_cpus": 1.5, "throttled": 7}, "1.5 cores, reached 7 times since the cgroup began"),
        ("CPU quota", {"quota_cpus": 1.5, "throttled": None}, "1.5 cores"),
        ("swap", {"swap_total": 2**31, "swap_used": 2**21}, "2 of 2048 MiB used"),
        ("huge pages", {"huge_pages": "always"}, "always"),
    ],
)
def test_each_cause_of_noise_is_named_alone(subject: str, changes: dict[str, Any], said: str) -> None:
    """With why it matters and what helps; nothing else turns noisy with it."""
    told = found(replace(QUIET, **changes))
    assert said in told[subject].found
    assert {name for name, each in told.items() if each.state == "noisy"} == {subject}


def test_other_load_is_named_with_who_it_is() -> None:
    """And the settings that help."""
    told = found(QUIET, HostLoad((0, 1), 0.4, 0.0, 3, ()))["other load"]
    assert (told.state, told.found) == ("noisy", "40% of the cores 0-1 are busy with other work")
    assert "load_limit" in told.setting


def test_swap_that_nobody_uses_is_fine() -> None:
    """It is the pages read back that cost."""
    assert found(replace(QUIET, swap_total=2**31, swap_used=0))["swap"].state == "fine"


def test_a_virtual_machine_without_siblings_may_have_some() -> None:
    """Its host decides, and does not tell."""
    assert found(replace(QUIET, hypervisor=True))["SMT siblings"].state == "unknown"


@pytest.mark.parametrize(
    ("cpus", "client", "state"),
    [((0, 2), (1, 3), "fine"), ((0, 1), (2, 3), "noisy"), ((0, 2), (1,), "noisy"), ((0,), (1, 3), "noisy")],
)
def test_a_physical_core_is_one_side_s_or_shared(cpus: tuple[int, ...], client: tuple[int, ...], state: str) -> None:
    """Of siblings 0 and 2, 1 and 3; also where the other half may be anybody's."""
    host = replace(QUIET, siblings=((0, 2), (1, 3)))
    assert found(host, IDLE, Asked("kimi fp4", cpus, client))["SMT siblings"].state == state


@pytest.mark.parametrize(
    ("asked", "state", "said"),
    [
        (Asked("kimi fp4", (0, 1), (2, 3)), "fine", "2 nodes, each server on one"),
        (Asked("kimi fp4", (0, 2), (1, 3)), "noisy", "kimi fp4 runs on several nodes"),
        (Asked("kimi fp4"), "noisy", "2 nodes; kimi fp4 is not placed"),
        (Asked("kimi fp4", follows_gpus=True), "fine", "2 nodes, each server on one"),
    ],
)
def test_a_server_on_one_node_is_fine(asked: Asked, state: str, said: str) -> None:
    """Or on that of its GPUs."""
    told = found(replace(QUIET, topology=TWO_NODES), IDLE, asked)["NUMA"]
    assert (told.state, told.found) == (state, said)


@pytest.mark.parametrize(
    ("subject", "changes", "said"),
    [
        ("GPU persistence", {"persistent": False}, "off on GPU 0"),
        ("GPU throttling", {"clocks_events": int(ClocksEvent.HW_THERMAL_SLOWDOWN)}, "GPU 0: HW_THERMAL_SLOWDOWN 0x40"),
        ("GPU processes", {"processes": 2}, "2 on GPU 0"),
    ],
)
def test_each_cause_of_noise_on_a_gpu_is_named_alone(subject: str, changes: dict[str, Any], said: str) -> None:
    """Beside it only the lock of the clocks, which NVML does not tell."""
    told = of_gpus(replace(GPU, **changes))
    assert told[subject].found == said
    assert {name for name, each in told.items() if each.state == "noisy"} == {subject}
    assert {name for name, each in told.items() if each.state == "unknown"} == {"GPU clocks"}


def test_the_power_cap_is_no_throttling() -> None:
    """It is the usual state of a GPU under load."""
    assert of_gpus(replace(GPU, clocks_events=int(ClocksEvent.SW_POWER_CAP)))["GPU throttling"].state == "fine"


def test_what_the_settings_see_to_is_fine() -> None:
    """Locked clocks and persistence mode, for every server that uses GPUs; one that does not see to it is enough."""
    careful = replace(PLACED, locks_clocks=True, sets_persistence=True)
    off = replace(GPU, persistent=False)
    told = of_gpus(off, asked=(careful,))
    assert {each.state for each in told.values()} == {"fine"}
    assert "locked for each launch" in told["GPU clocks"].found
    careless = of_gpus(off, asked=(careful, PLACED))
    assert (careless["GPU clocks"].state, careless["GPU persistence"].state) == ("unknown", "noisy")


@pytest.mark.parametrize(
    ("asked", "state"),
    [
        ((), "noisy"),
        ((Asked("kimi fp4", (2, 3), (0, 1)),), "fine"),
        ((PLACED,), "noisy"),
        ((Asked("kimi fp4", follows_gpus=True),), "fine"),
        ((Asked("kimi fp4", (0, 1), (2, 3), uses_gpus=False),), "noisy"),
    ],
)
def test_a_server_runs_on_the_node_of_its_gpus_or_is_named(asked: tuple[Asked, ...], state: str) -> None:
    """The GPU is attached to node 1, cores 2 and 3."""
    told = of_gpus(replace(GPU, node=1), host=replace(QUIET, topology=TWO_NODES), asked=asked)
    assert told["GPU nodes"].state == state


def test_a_driver_that_should_answer_is_named() -> None:
    """With what it takes."""
    (told,) = gpu_findings(None, QUIET, (), "this machine has NVIDIA GPUs (nvidia0) and they cannot be queried: ...")
    assert (told.state, told.found[:29]) == ("unknown", "this machine has NVIDIA GPUs ")
    assert gpu_findings((), QUIET, ())[0].state == "fine"


def test_a_finding_without_a_remedy_is_refused() -> None:
    """Or without its reason."""
    with pytest.raises(InvalidValueError, match="says not why, or not what to do"):
        Finding("swap", "noisy", "used", why="slow")
    with pytest.raises(InvalidValueError, match="says not why"):
        Finding("swap", "unknown", "used", fix="swapoff")


def test_the_report_fits_80_columns_and_begins_with_what_is_missing() -> None:
    """Missing, noisy, unknown, fine; the last line counts."""
    missing = Finding("kimi fp4", "missing", "no program", "why", "install it")
    told = [
        *host_findings(replace(QUIET, huge_pages="always", boost=None), None, ()),
        *gpu_findings((GPU,), QUIET, ()),
        missing,
    ]
    lines = render(told)
    assert all(len(line) <= 80 for line in lines)
    states = [line.split()[0] for line in lines[:-1] if not line.startswith(" ")]
    assert states == sorted(states, key=["missing", "noisy", "unknown", "fine"].index)
    assert lines[-1] == "1 missing, 1 noisy, 3 unknown, 10 fine"
    assert all(set(each) == {"subject", "state", "found", "why", "fix", "setting"} for each in document(told))
