"""Facts of the machine: its host, its GPUs, and events on the GPUs while a point runs.

Invariant: a fact that cannot be determined is absent or "unknown", never guessed. A machine without a GPU needs
nothing."""

from pytest_precgate.environment.facts import gpu_facts, host_facts, node_name
from pytest_precgate.environment.nvml import memory_used, unread_gpus, visible_gpus
from pytest_precgate.environment.origin import git_commit, in_ci, tool_version
from pytest_precgate.environment.telemetry import GpuWatch

__all__ = [
    "GpuWatch",
    "git_commit",
    "gpu_facts",
    "host_facts",
    "in_ci",
    "memory_used",
    "node_name",
    "tool_version",
    "unread_gpus",
    "visible_gpus",
]
