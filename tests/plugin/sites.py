"""A repository on a machine with GPUs and both engines, acted out: a suite that starts its servers runs as it would.

The engines are the stand-in server under their names, the GPUs a stand-in driver's, the checkpoints some JSON files."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.engines.hosts import INT4, KIMI, NVFP4, NVFP4_CONFIG, cache_checkpoint, int4_kimi
from tests.engines.marked import STAND_IN, Marked
from tests.repository import Repository
from tests.stand_ins import load

PYNVML = Path(__file__).parents[1] / "stand_ins" / "pynvml.py"

SETTINGS = """\
[tool.precgate.suites.kimi]
hardware = "b200"
workload = { isl = 8, osl = 16 }
interactivity = [100]
baseline_launches = 1
tolerance = 0.9
implausible = 9.0
metrics = ["throughput_ratio"]

[tool.precgate.suites.kimi.fp4]
engine = "trtllm"
model = "nvidia/Kimi-K2.5-NVFP4"
gpus = 4
concurrency = [1, 8]
requests_per_slot = 6
start_timeout_s = 60
stall_timeout_s = 2
stop_timeout_s = 1

[tool.precgate.suites.kimi.int4]
engine = "vllm"
model = "moonshotai/Kimi-K2.5"
gpus = 8
concurrency = [1, 8]
requests_per_slot = 6
start_timeout_s = 60
stall_timeout_s = 2
stop_timeout_s = 1
"""
_PACES = {"trtllm-serve": "--token-s 0.005 --stream-s 0.001", "vllm": "--token-s 0.005 --stream-s 0.002"}


@dataclass
class Site:
    """The repository, its machine, and how its engines behave."""

    repository: Repository
    marked: Marked
    patch: pytest.MonkeyPatch

    @property
    def path(self) -> Path:
        """The repository's root."""
        return self.repository.path

    def behave(self, program: str, options: str) -> None:
        """Have one engine act something out; its pace stays."""
        self.write_program(program, f"{_PACES[program]} {options}")

    def write_program(self, name: str, options: str) -> None:
        """Put the stand-in server on PATH under an engine's name."""
        words = f"{name} " if name == "trtllm-serve" else ""
        script = f'#!/bin/sh\nexec {sys.executable} -S {STAND_IN} {options} {words}"$@"\n'
        path = self.path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(script, encoding="utf-8")
        path.chmod(0o755)

    def gpus(self, **answers: object) -> None:
        """Say what the driver says of eight GPUs; it reads its script when it is loaded."""
        nobody: dict[str, object] = {"nvmlDeviceGetComputeRunningProcesses_v3": {"": [[]]}}
        self.patch.setenv("STAND_IN_NVML", json.dumps({"gpus": 8, "answers": {**nobody, **answers}}))
        load("pynvml", PYNVML, self.patch)

    def running(self) -> list[psutil.Process]:
        """Return what the run has started and is still there, on the whole machine."""
        return self.marked.running()

    def servers(self) -> list[psutil.Process]:
        """Return what of it is of an engine: the server and its workers."""
        return [process for process in self.running() if str(STAND_IN) in _words(process)]

    def starts(self, result: pytest.RunResult) -> Mapping[str, int]:
        """How often each precision's server was started, by what was said."""
        lines = [line for line in result.outlines if line.startswith("precgate: starting ")]
        return {name: sum(line.split()[2] == name for line in lines) for name in ("fp4", "int4")}


def _words(process: psutil.Process) -> list[str]:
    with suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []


def make_site(repository: Repository, marked: Marked, patch: pytest.MonkeyPatch) -> Site:
    """Make a machine with eight B200, both engines and both checkpoints."""
    site = Site(repository, marked, patch)
    for name, pace in _PACES.items():
        site.write_program(name, pace)
    cache = site.path / "hub"
    cache_checkpoint(cache, NVFP4, KIMI, hf_quant_config=NVFP4_CONFIG)
    cache_checkpoint(cache, INT4, int4_kimi())
    repository.write_settings(SETTINGS)
    locks = site.path / "locks"
    locks.mkdir()
    for name, value in {
        "PATH": f"{site.path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HF_HUB_CACHE": str(cache),
        "PRECGATE_LOCK_DIR": str(locks),
        "PRECGATE_TEST_MARK": marked.mark,
    }.items():
        patch.setenv(name, value)
    patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    site.gpus()
    return site
