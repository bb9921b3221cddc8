"""What of a machine's GPUs makes the figures of launches scatter.

Invariant: as of ``findings``. NVML does not tell whether clocks are locked, so that is never found fine by looking."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_precgate.analysis.machine.cpus import cpus_text
from pytest_precgate.analysis.machine.findings import Finding
from pytest_precgate.analysis.machine.host import Asked, GpuState, Host
from pytest_precgate.analysis.measure.gpu import SLOWDOWNS, ClocksEvent

_DRIVER_WHY = "Clocks, persistence and other processes of GPUs are part of every figure taken on them."


def gpu_findings(
    gpus: Sequence[GpuState] | None, host: Host, asked: Sequence[Asked], unread: str | None = None
) -> tuple[Finding, ...]:
    """Judge the GPUs; None where no driver answers, and ``unread`` says why if one should.

    ``asked`` are the servers that the settings start."""
    if gpus is None:
        found = unread or "no NVIDIA driver answers"
        fix = "With NVIDIA GPUs: pip install 'pytest-precgate[gpu]'. Without any there is nothing to do."
        return (Finding("GPUs", "unknown", found, _DRIVER_WHY, fix),)
    if not gpus:
        return (Finding("GPUs", "fine", "the driver shows none"),)
    users = [each for each in asked if each.uses_gpus]
    return (_persistence(gpus, users), _clocks(gpus, users), _throttled(gpus), _shared(gpus), _near(gpus, host, users))


def _persistence(gpus: Sequence[GpuState], users: Sequence[Asked]) -> Finding:
    subject = "GPU persistence"
    why = "Without it the driver forgets clocks and state when the last process leaves, and a start takes longer."
    fix = "sudo nvidia-smi -pm 1, or the service nvidia-persistenced (some watts when idle)"
    setting = "persistence = true sets it for each launch and sets it back (root)"
    if off := [each for each in gpus if each.persistent is False]:
        if users and all(each.sets_persistence for each in users):
            return Finding(subject, "fine", f"off on {_indices(off)}; set for each launch")
        return Finding(subject, "noisy", f"off on {_indices(off)}", why, fix, setting)
    if any(each.persistent is None for each in gpus):
        return Finding(subject, "unknown", "the driver does not tell", why, fix, setting)
    return Finding(subject, "fine", "on")


def _clocks(gpus: Sequence[GpuState], users: Sequence[Asked]) -> Finding:
    subject = "GPU clocks"
    known = [f"{each.sm_clock} of {each.max_sm_clock} MHz" for each in gpus if each.sm_clock and each.max_sm_clock]
    now = f"SM clock now {known[0]}" if known else "SM clocks are not told"
    if users and all(each.locks_clocks for each in users):
        return Finding(subject, "fine", f"{now}; locked for each launch")
    return Finding(
        subject,
        "unknown",
        f"{now}; NVML does not tell whether it is locked",
        "A clock that moves with heat and power moves every figure.",
        "sudo nvidia-smi -lgc MHZ,MHZ (until -rgc or a reboot; a lower peak, so record baselines again)",
        'lock_clocks = MHZ or "max" locks them for each launch and lets them go (root)',
    )


def _throttled(gpus: Sequence[GpuState]) -> Finding:
    subject = "GPU throttling"
    why = "A GPU that is slowed by heat or a power brake is not the GPU of the baseline; such points are refused."
    fix = "Check cooling and power supply; wait until the GPU is cool."
    events = [(each, ClocksEvent(each.clocks_events)) for each in gpus if each.clocks_events is not None]
    if slowed := [(each, seen & SLOWDOWNS) for each, seen in events if seen & SLOWDOWNS]:
        found = "; ".join(f"GPU {each.gpu.index}: {seen.names()}" for each, seen in slowed)
        return Finding(subject, "noisy", found, why, fix)
    if len(events) < len(gpus):
        return Finding(subject, "unknown", "the driver does not tell", why, fix)
    return Finding(subject, "fine", "none now")


def _shared(gpus: Sequence[GpuState]) -> Finding:
    subject = "GPU processes"
    why = "They take time and memory of the GPU; a point beside one is refused."
    fix = "End them; nvidia-smi lists them."
    if used := [each for each in gpus if each.processes]:
        return Finding(
            subject, "noisy", ", ".join(f"{each.processes} on GPU {each.gpu.index}" for each in used), why, fix
        )
    if any(each.processes is None for each in gpus):
        return Finding(subject, "unknown", "the driver does not tell", why, fix)
    return Finding(subject, "fine", "none that the driver shows")


def _near(gpus: Sequence[GpuState], host: Host, users: Sequence[Asked]) -> Finding:
    """Whether servers run on the nodes their GPUs are attached to. Which GPUs a server gets is not known before."""
    subject = "GPU nodes"
    why = "A server on another node than its GPU's reaches it over the link between the sockets."
    fix = "Start the job on the cores that nvidia-smi topo -m lists for the GPU."
    setting = 'numa = "gpu"'
    if len(host.topology.nodes) == 1:
        return Finding(subject, "fine", "one node")
    if not host.topology.nodes or any(each.node is None for each in gpus):
        return Finding(subject, "unknown", "the kernel does not tell every GPU's node", why, fix, setting)
    nodes = sorted({each.node for each in gpus if each.node is not None})
    near = {cpu for node in nodes for cpu in host.topology.nodes.get(node, ())}
    far = [each for each in users if not each.follows_gpus and (not each.cpus or set(each.cpus) - near)]
    found = f"GPUs are on node {cpus_text(nodes)}"
    if not users or far:
        who = f"{far[0].what} may run elsewhere" if far else "nothing is placed"
        return Finding(subject, "noisy", f"{found}; {who}", why, fix, setting)
    return Finding(subject, "fine", f"{found}, and so are the servers")


def _indices(gpus: Sequence[GpuState]) -> str:
    return f"GPU {cpus_text(each.gpu.index for each in gpus)}"
