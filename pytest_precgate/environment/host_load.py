"""A look at the kernel's counters of CPU time, from /proc below a ``root`` that tests replace.

Output: a ``Look``, or None where /proc/stat cannot be read. Of processes only names and ids are read, no arguments,
which may hold secrets. In a container the cores' counters are those of the whole machine, and the processes those of
the container."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pytest_precgate.analysis.machine.load import CoreTimes, HostLoad, Look, ProcessTimes, load_between
from pytest_precgate.text import printable

LOOK_S = 0.5
"""Counters have steps of 10 ms, so that this look sees 2% of a core; a start of an engine takes longer by it."""


def load_now(
    cores: tuple[int, ...],
    clock: Callable[[], float],
    pause: Callable[[float], None],
    root: Path = Path("/"),
) -> HostLoad | None:
    """Return the load of ``cores`` over the next ``LOOK_S``; None when it cannot be told."""
    before = look(clock(), root)
    if before is None:
        return None
    pause(LOOK_S)
    after = look(clock(), root)
    return None if after is None else load_between(before, after, cores)


def look(at_s: float, root: Path = Path("/")) -> Look | None:
    """Return the counters now; ``at_s`` is the time on the caller's clock."""
    try:
        text = (root / "proc/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    per_s = _ticks_per_s()
    cores = {}
    for number, figures in re.findall(r"^cpu(\d+) ([\d ]+)$", text, re.MULTILINE):
        ticks = [int(figure) / per_s for figure in figures.split()]
        if len(ticks) >= 8:  # user nice system idle iowait irq softirq steal; guests are in user already
            user, nice, system, idle, iowait, irq, softirq, steal = ticks[:8]
            cores[int(number)] = CoreTimes(user + nice + system + irq + softirq + steal, idle + iowait, steal)
    runnable = re.search(r"^procs_running (\d+)$", text, re.MULTILINE)
    # One of them is this process, which looks.
    others = None if runnable is None else max(0, int(runnable[1]) - 1)
    return Look(at_s, cores, _processes(root / "proc", per_s), others) if cores else None


def _processes(proc: Path, per_s: int) -> dict[tuple[int, int], ProcessTimes]:
    found = {}
    with suppress(OSError):
        for entry in proc.iterdir():
            if entry.name.isdecimal() and int(entry.name) != os.getpid():
                with suppress(OSError, ValueError, IndexError):  # it has ended since
                    head, _, rest = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")
                    fields = rest.split()  # from the third on, proc(5): state is the first here
                    name = printable(head.partition("(")[2], 32)
                    cpu_s = (int(fields[11]) + int(fields[12])) / per_s
                    found[int(entry.name), int(fields[19])] = ProcessTimes(name, cpu_s, int(fields[36]))
    return found


def _ticks_per_s() -> int:
    return int(os.sysconf("SC_CLK_TCK"))
