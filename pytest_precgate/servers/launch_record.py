"""What a server is started with, and the files that record it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.machine.cpus import cpus_text
from pytest_precgate.analysis.machine.load import HostLoad
from pytest_precgate.engines.server import ServerCommand, ServerSlot, device_variables
from pytest_precgate.errors import EngineError
from pytest_precgate.servers.request import ServerRequest

# What of the environment can change how an engine runs. The rest differs from shell to shell and would only be noise.
_TELLING = ("CUDA_", "NCCL_", "NVIDIA_", "TRTLLM_", "TLLM_", "VLLM_", "FLASHINFER_", "TORCH", "PYTORCH_", "OMP_", "LD_")
_OURS = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")


def with_variables(command: ServerCommand, settings: Mapping[str, str], slot: ServerSlot) -> ServerCommand:
    """Return it with the engine's own variables, then the user's, then the GPUs: devices are said in one place."""
    devices = device_variables(slot)
    return replace(command, variables={**command.variables, **settings, **devices})


def environment_fact(environ: Mapping[str, str]) -> Fingerprint:
    """Return a digest of the variables that can change how an engine runs."""
    telling = sorted(
        (name, value) for name, value in environ.items() if name.startswith(_TELLING) and name not in _OURS
    )
    return Fingerprint({}, {"environment": hashlib.sha256(json.dumps(telling).encode()).hexdigest()[:16]})


def write_record(
    path: Path, request: ServerRequest, command: ServerCommand, facts: Fingerprint, load: HostLoad | None
) -> None:
    """Keep what was started, and the other load before. Of the variables the names alone: a value may be a secret.

    Raises EngineError."""
    record = {
        "suite": request.suite,
        "precision": request.precision,
        "engine": request.engine.kind,
        "argv": list(command.argv),
        "variables": sorted(command.variables),
        "hard": dict(facts.hard),
        "soft": dict(facts.soft),
        "other_load": None
        if load is None
        else {"cores": cpus_text(load.cores), "share": load.share, "stolen": load.stolen, "runnable": load.runnable},
    }
    try:
        path.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    except OSError as exc:
        raise EngineError(f"{path}: what was started cannot be written down: {exc.strerror}") from exc
