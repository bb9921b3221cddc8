"""Which GPUs an engine gets, and where it may write. Two engines that share a GPU are never up together."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pytest_precgate.analysis.gpu import Gpu, gpus_named
from pytest_precgate.engines.server import ServerSettings
from pytest_precgate.errors import EngineError, PreflightError


def devices_of(settings: ServerSettings, environ: Mapping[str, str], gpus: Sequence[Gpu] | None) -> tuple[str, ...]:
    """Return the GPUs an engine occupies on this machine, as words of CUDA_VISIBLE_DEVICES.

    Those set, else the first ``gpus`` of CUDA_VISIBLE_DEVICES, else the first there are. An engine that spans machines
    takes all of this one's; one that needs no GPU takes none, nor does one where CUDA_VISIBLE_DEVICES is empty. Raises
    PreflightError when fewer are visible than it needs.
    """
    if not settings.occupies_gpus:
        return ()
    if settings.devices:
        return settings.devices
    limit = environ.get("CUDA_VISIBLE_DEVICES")
    if limit is None:
        count = settings.gpus if gpus is None else max(len(gpus), 1)
        visible = [str(number) for number in range(count)]
    else:
        visible = [word.strip() for word in limit.split(",") if word.strip()]
        if visible and len(visible) < settings.gpus and not settings.spans_nodes:
            raise PreflightError(f"gpus = {settings.gpus}, and CUDA_VISIBLE_DEVICES={limit} shows {len(visible)}")
    return tuple(visible if settings.spans_nodes else visible[: settings.gpus])


def identities(words: Sequence[str], gpus: Sequence[Gpu] | None) -> tuple[str, ...]:
    """Return what the GPUs are called whoever names them: UUIDs, and the words themselves where nothing can tell.

    An index means another GPU in another container; a UUID and an index may mean the same one.
    """
    return tuple(gpu.uuid for gpu in gpus_named(words, gpus)) if gpus else tuple(words)


@dataclass(frozen=True)
class RunDirectory:
    """Where one run keeps what its engines say: ``.precgate/runs/<utc>-<suite>/`` below the root directory."""

    root: Path
    started: datetime

    def of(self, suite: str, part: str) -> Path:
        """Make and return the directory of one engine of ``suite``; a second start gets one of its own."""
        home = self.root / ".precgate"
        base = home / "runs" / f"{self.started:%Y%m%dT%H%M%SZ}-{suite}-{os.getpid()}" / part
        try:
            for attempt in range(1, 1000):
                path = base if attempt == 1 else base.with_name(f"{base.name}-{attempt}")
                try:
                    path.mkdir(parents=True)
                except FileExistsError:
                    continue
                ignore = home / ".gitignore"
                if not ignore.exists():
                    ignore.write_text("*\n", encoding="utf-8")
                return path
        except OSError as exc:
            raise EngineError(f"{base}: the directory of a run cannot be made: {exc.strerror}") from exc
        raise EngineError(f"{base}: a thousand starts in one run")
