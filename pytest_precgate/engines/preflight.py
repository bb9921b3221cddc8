"""Checks before a server is started, for errors that would otherwise appear twenty minutes later.

Input: settings and the host. Output: nothing, or PreflightError: the program is missing, the GPUs are missing, or the
checkpoint is missing, of another precision, or not supported by the engine."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_precgate.analysis.accepted.fingerprint import Fact, Fingerprint
from pytest_precgate.analysis.measure.gpu import Gpu, names
from pytest_precgate.engines.checkpoint import Checkpoint, find_checkpoint, read_checkpoint
from pytest_precgate.engines.server import HostContext, ServerSettings
from pytest_precgate.engines.support import GENERATIONS, NAMES, Row, stated
from pytest_precgate.errors import PreflightError, SeveralPreflightError


def checked(*checks: Callable[[], Fingerprint | str | None]) -> Fingerprint:
    """Run every check, so that one preflight names all that is wrong; return the facts of those that have some.

    Raises the error of the only check that fails, SeveralPreflightError where several do."""
    facts, failed = Fingerprint({}, {}), []
    for check in checks:
        try:
            found = check()
        except PreflightError as exc:
            failed.append(exc)
        else:
            facts = facts | found if isinstance(found, Fingerprint) else facts
    if failed:
        raise failed[0] if len(failed) == 1 else SeveralPreflightError(failed)
    return facts


def locate_program(program: str, host: HostContext) -> str:
    """Return the program to start: ``program`` itself if it is in PATH, the whole path of one with a slash.

    Raises PreflightError naming it."""
    spelled = str((host.directory / program).resolve()) if "/" in program else program
    if shutil.which(spelled, path=host.environ.get("PATH", "")) is None:
        where = "is no program" if "/" in program else "is not on PATH"
        raise PreflightError(f'{spelled} {where}; install the engine, or name it with program = "/path/to/it"')
    return spelled


def refuse_gpus(settings: ServerSettings, precision: str, hardware: str, host: HostContext) -> None:
    """Raise PreflightError when fewer GPUs are visible than asked for, or other ones than the suite's hardware.

    Not checked when GPUs of other machines take part, or when the GPUs here cannot be queried, as with AMD."""
    gpus = None if settings.spans_nodes else visible_gpus(host)
    if gpus is None or GENERATIONS.get(hardware) == "amd":
        return
    limit = host.environ.get("CUDA_VISIBLE_DEVICES")
    shown = ", ".join(f"{gpu.index} {gpu.name}" for gpu in gpus) or "none"
    visible = f"visible here: {shown}" + (f" (CUDA_VISIBLE_DEVICES={limit})" if limit is not None else "")
    if len(gpus) < settings.gpus:
        raise PreflightError(f"{precision} asks for {settings.gpus} GPUs, more than there are; {visible}")
    for device in settings.devices:
        if not any(names(device, gpu) for gpu in gpus):
            raise PreflightError(f"{precision} asks for GPU {device} with devices; {visible}")
    taken = [gpu for gpu in gpus if not settings.devices or any(names(device, gpu) for device in settings.devices)]
    others = [gpu.name for gpu in taken[: settings.gpus] if not _is_of(gpu, hardware)]
    if hardware in GENERATIONS and others:
        raise PreflightError(f"the suite's hardware is {hardware} and {precision} would run on {others[0]}; {visible}")


def visible_gpus(host: HostContext) -> Sequence[Gpu] | None:
    """Return the GPUs of this machine that CUDA_VISIBLE_DEVICES leaves, in its order; None when they cannot be queried.

    Like CUDA, it stops at the first entry that is not a GPU. A MIG device that the driver does not list is unknown."""
    limit = host.environ.get("CUDA_VISIBLE_DEVICES")
    if host.gpus is None or limit is None:
        return host.gpus
    chosen: list[Gpu] = []
    for entry in (part.strip() for part in limit.split(",")):
        match = next((gpu for gpu in host.gpus if names(entry, gpu)), None)
        if match is None and entry.startswith("MIG-"):
            return None
        if match is None or match in chosen:
            break
        chosen.append(match)
    return chosen


def _is_of(gpu: Gpu, hardware: str) -> bool:
    """Whether the driver's name of a GPU contains the suite's hardware as a whole word: a GB200 is not a B200."""
    return re.search(rf"\b{re.escape(hardware)}\b", gpu.name, re.IGNORECASE) is not None


@dataclass(frozen=True)
class Claim:
    """The claim of a suite about a checkpoint: its engine, its precision, its hardware."""

    engine: str
    precision: str
    hardware: str
    allow_unsupported: bool = False


def checkpoint_facts(claim: Claim, settings: ServerSettings, revision: str | None, host: HostContext) -> Fingerprint:
    """Return the facts of the checkpoint that are known before a start.

    Raises PreflightError for one that is missing, of another precision than claimed, or unsupported."""
    checkpoint = read_checkpoint(find_checkpoint(settings.model, revision, host.environ, host.directory))
    model = f"{settings.model} ({checkpoint.path})"
    _refuse_other_precision(claim, checkpoint, model)
    row = stated(claim.engine, checkpoint.weights.method, is_moe=checkpoint.is_moe, hardware=claim.hardware)
    if row is not None and not row.supported and not claim.allow_unsupported:
        raise PreflightError(_unsupported(claim, checkpoint, model, row))
    hard: dict[str, Fact] = {"quantization": checkpoint.weights.shown, "quantization_sha256": checkpoint.sha256}
    soft: dict[str, Fact] = {
        "architecture": f"{checkpoint.architecture}, {'MoE' if checkpoint.is_moe else 'dense'}",
        "checkpoint": str(checkpoint.path),
        "checkpoint_revision": checkpoint.revision or "a directory",
        "support": _support(claim, checkpoint, row),
    }
    if checkpoint.weights.kv_cache is not None:
        soft["kv_cache_quantization"] = checkpoint.weights.kv_cache
    return Fingerprint(hard, soft)


def _refuse_other_precision(claim: Claim, checkpoint: Checkpoint, model: str) -> None:
    """Refuse a precision mismatch under any settings; ``allow_unsupported`` accepts a precision that is unknown."""
    called = checkpoint.weights.called
    if claim.precision in called:
        return
    if called:
        raise PreflightError(
            f"{model} is {checkpoint.shown}: {' or '.join(called)} weights, and the suite claims {claim.precision}. "
            f"Move it under {called[0]}, or name the {claim.precision} checkpoint"
        )
    if not claim.allow_unsupported:
        raise PreflightError(
            f"{model} is {checkpoint.shown}: its precision cannot be determined, and the suite claims "
            f"{claim.precision}. Set allow_unsupported = true if you know that it is"
        )


def _unsupported(claim: Claim, checkpoint: Checkpoint, model: str, row: Row) -> str:
    instead = f'Set engine = "{row.instead}" for {claim.precision}, or' if row.instead is not None else "Set"
    return (
        f"{NAMES[claim.engine]} cannot run {model} on {claim.hardware}: {checkpoint.shown} is not supported "
        f"({row.source}). {instead} allow_unsupported = true if your release can"
    )


def _support(claim: Claim, checkpoint: Checkpoint, row: Row | None) -> str:
    if row is None:
        return f"unknown: {NAMES[claim.engine]} with {checkpoint.shown} on {claim.hardware}"
    return f"{'yes' if row.supported else 'no, allowed by the settings'}: {row.source}"


def refuse_split_words(argv: Sequence[str]) -> None:
    """Raise PreflightError for a word that trtllm-llmapi-launch would split.

    The script runs its arguments unquoted, so the shell splits them at spaces and expands ``*``, ``?`` and ``[``."""
    names = [Path(word).name for word in argv]
    if "trtllm-llmapi-launch" not in names:
        return
    for word in argv[names.index("trtllm-llmapi-launch") + 1 :]:
        if not word or re.search(r"[\s*?\[]", word):
            raise PreflightError(
                f"trtllm-llmapi-launch would split {word!r}: its arguments must not contain a space, *, ? or ["
            )
