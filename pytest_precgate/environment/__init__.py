"""The facts of the place a run happens in: its host, its GPUs, and what happens to them while a point runs.

A fact that cannot be found is absent or called unknown, never guessed. Nothing is required where there is no GPU."""

from pytest_precgate.environment.facts import gpu_facts, host_facts
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
    "tool_version",
    "unread_gpus",
    "visible_gpus",
]
