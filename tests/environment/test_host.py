"""What the kernel says of a machine, read from a tree that stands for /proc and /sys."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from pytest_precgate.analysis.machine.host import Host
from pytest_precgate.analysis.machine.placement import Topology
from pytest_precgate.environment.gpu_state import gpu_nodes, gpu_states
from pytest_precgate.environment.host import governors, host, pci_node, topology
from pytest_precgate.environment.host_load import load_now, look
from pytest_precgate.environment.nvml import visible_gpus
from tests.environment.conftest import Nvml

SERVER = {
    "sys/devices/system/cpu/online": "0-3",
    "sys/devices/system/node/node0/cpulist": "0-1",
    "sys/devices/system/node/node1/cpulist": "2-3",
    "sys/devices/system/node/node2/cpulist": "",
    **{f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor": "powersave" for core in range(4)},
    **{
        f"sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list": f"{core % 2},{core % 2 + 2}"
        for core in range(4)
    },
    "sys/devices/system/cpu/intel_pstate/no_turbo": "0",
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: A CPU\nflags\t\t: fpu vme sse2\n",
    "sys/class/dmi/id/sys_vendor": "Supermicro",
    "sys/class/dmi/id/product_name": "SYS-1\x1b[2J",
    "proc/self/cgroup": "0::/job.slice/job\n",
    "sys/fs/cgroup/job.slice/job/cpu.max": "max 100000",
    "sys/fs/cgroup/job.slice/cpu.max": "150000 100000",
    "sys/fs/cgroup/job.slice/job/cpu.stat": "usage_usec 1\nnr_throttled 7\n",
    "proc/meminfo": "MemTotal: 100 kB\nSwapTotal:       2048 kB\nSwapFree:        1024 kB\n",
    "sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never",
    "proc/sys/kernel/numa_balancing": "1",
}


def tree(directory: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n", encoding="utf-8")
    return directory


def test_a_server_s_machine_is_read_whole(tmp_path: Path) -> None:
    """Two nodes with cores and one of memory alone; the limit of a cgroup above counts; foreign text is printable."""
    assert host(tree(tmp_path, SERVER), (0, 1)) == Host(
        topology=Topology((0, 1), (0, 1, 2, 3), {0: (0, 1), 1: (2, 3), 2: ()}),
        governors=dict.fromkeys(range(4), "powersave"),
        boost=True,
        siblings=((0, 2), (1, 3)),
        hypervisor=False,
        model=r"Supermicro SYS-1\x1b[2J",
        quota_cpus=1.5,
        throttled=7,
        swap_total=2 << 20,
        swap_used=1 << 20,
        huge_pages="always",
        numa_balancing=True,
    )


def test_an_empty_tree_is_all_unknown(tmp_path: Path) -> None:
    """Nothing is guessed."""
    assert host(tmp_path, (0,)) == Host(Topology((0,)))


@pytest.mark.parametrize("text", ["", "nonsense", "\x00", "-", "99999999999999999999"])
def test_files_that_say_something_else_are_unknown(tmp_path: Path, text: str) -> None:
    """Every file of the tree at once: no exception, and nothing taken for fine."""
    found = host(tree(tmp_path, dict.fromkeys(SERVER, text)), (0,))
    assert (found.boost, found.hypervisor, found.quota_cpus, found.swap_total) == (None,) * 4
    assert (found.siblings, found.huge_pages, found.numa_balancing) == ((), None, None)


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, math.inf),
        ({"proc/self/cgroup": "0::/../x", "sys/fs/cgroup/cpu.max": "200000 100000"}, 2.0),
        (
            {
                "proc/self/cgroup": "3:cpuset:/\n2:cpu,cpuacct:/a",
                "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "50000",
                "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000",
            },
            0.5,
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            math.inf,
        ),
        ({"proc/self/cgroup": "0::/"}, None),
    ],
)
def test_the_limit_on_cpu_time_is_read_of_both_versions(
    tmp_path: Path, files: dict[str, str], quota: float | None
) -> None:
    """Infinite where there is none, None where nothing tells."""
    assert host(tree(tmp_path, files), (0,)).quota_cpus == quota


def test_amd_s_boost_and_a_virtual_machine_s_flag_are_read(tmp_path: Path) -> None:
    """From their own files."""
    files = {"sys/devices/system/cpu/cpufreq/boost": "0", "proc/cpuinfo": "flags\t: fpu hypervisor sse2"}
    found = host(tree(tmp_path, files), (0,))
    assert (found.boost, found.hypervisor) == (False, True)


@pytest.mark.parametrize(("said", "node"), [("1", 1), ("-1", None)])
def test_a_gpu_s_node_is_its_device_s(tmp_path: Path, nvml: Nvml, said: str, node: int | None) -> None:
    """NVML writes eight digits for the domain, the kernel four; -1 is not known where there are several nodes."""
    nvml(gpus=1)
    root = tree(tmp_path, {**SERVER, "sys/bus/pci/devices/0000:10:00.0/numa_node": said})
    (gpu,) = visible_gpus() or ()
    assert gpu_nodes((gpu,), root) == {gpu: node}
    (state,) = gpu_states(root) or ()
    assert (state.node, state.persistent, state.sm_clock, state.max_sm_clock) == (node, True, 1965, 1965)
    assert (state.clocks_events, state.processes) == (0, 1)


def test_a_machine_with_one_node_has_its_gpus_there(tmp_path: Path) -> None:
    """Whatever the device says."""
    root = tree(tmp_path, {"sys/devices/system/node/node0/cpulist": "0-1"})
    assert pci_node("00000000:17:00.0", root) == 0
    assert pci_node("nonsense", tmp_path / "nowhere") is None


def test_without_a_driver_no_gpu_has_a_state(nvml: Nvml) -> None:
    """Unknown, not none."""
    nvml(missing="driver")
    assert gpu_states() is None


def test_this_machine_can_be_read() -> None:
    """The tests' own: some core is allowed, and is among those online where the kernel tells."""
    found = topology()
    assert not found.online or set(found.allowed) <= set(found.online)
    assert set(governors()) <= set(range(65_536))


STAT = """\
cpu  500 0 0 500 0 0 0 0 0 0
cpu0 100 10 20 300 40 5 5 10 0 0
cpu1 1 2 3
procs_running 4
"""


def test_counters_of_cores_and_processes_are_read_in_seconds(tmp_path: Path) -> None:
    """Idle and waiting for a disk are idle; stolen is busy; a short line is no core; this process is not among the
    waiting."""
    comm = "4711 (a) b (c) S 1 1 1 0 -1 0 0 0 0 0 150 50 0 0 20 0 1 0 999 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 17 1 0 0"
    root = tree(tmp_path, {"proc/stat": STAT, "proc/4711/stat": comm, "proc/12/stat": "12 (short) S", "proc/x/y": ""})
    found = look(7.0, root)
    assert found is not None
    assert (found.at_s, found.runnable, set(found.cores)) == (7.0, 3, {0})
    core = found.cores[0]
    assert (core.busy_s, core.idle_s, core.stolen_s) == pytest.approx((1.5, 3.4, 0.1))
    ((key, process),) = found.processes.items()
    assert (key, process.name, process.cpu_s, process.core) == ((4711, 999), "a) b (c", 2.0, 1)


def test_a_machine_without_counters_has_no_load(tmp_path: Path) -> None:
    """Neither a quiet one nor a busy one."""
    assert load_now((0,), lambda: 0.0, lambda _s: None, tmp_path) is None
    assert load_now((0,), lambda: 0.0, lambda _s: None, tree(tmp_path, {"proc/stat": "cpu 1 2 3"})) is None


def test_the_load_is_what_happened_during_the_pause(tmp_path: Path) -> None:
    """Read, wait, read again."""
    root = tree(tmp_path, {"proc/stat": STAT})
    now_s = [0.0]

    def pause(seconds: float) -> None:
        now_s[0] += seconds
        tree(root, {"proc/stat": STAT.replace("cpu0 100", "cpu0 130").replace(" 300 ", " 320 ")})

    load = load_now((0,), lambda: now_s[0], pause, root)
    assert load is not None
    assert load.share == pytest.approx(0.6)
