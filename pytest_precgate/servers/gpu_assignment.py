"""Assigns GPUs to engines. Invariant: two engines that share a GPU are never up together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_precgate.analysis.measure.gpu import Gpu, gpus_named, names
from pytest_precgate.engines.server import ServerSettings
from pytest_precgate.errors import PreflightError
from pytest_precgate.text import printable


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
        words = [word.strip() for word in limit.split(",") if word.strip()]
        visible = words[: _first_that_is_none(words, gpus)]
        if words and len(visible) < (1 if settings.spans_nodes else settings.gpus):
            stops = f": {words[len(visible)]!r} names no GPU here" if len(visible) < len(words) else ""
            raise PreflightError(
                f"gpus = {settings.gpus}, and CUDA_VISIBLE_DEVICES={printable(limit)} shows {len(visible)}{stops}"
            )
    return tuple(visible if settings.spans_nodes else visible[: settings.gpus])


def _first_that_is_none(words: Sequence[str], gpus: Sequence[Gpu] | None) -> int:
    """Where CUDA stops reading its variable: at a word that names no GPU, or one that stands before.

    Where the driver cannot be asked, a word that could be none: -1 and NoDevFiles are how all GPUs are hidden.
    """
    for number, word in enumerate(words):
        if gpus:
            is_one = any(names(word, gpu) for gpu in gpus)
        else:
            is_one = word.isdecimal() or word.startswith(("GPU-", "MIG-"))
        if not is_one or word in words[:number]:
            return number
    return len(words)


def identities(words: Sequence[str], gpus: Sequence[Gpu] | None) -> tuple[str, ...]:
    """Return one name for each GPU, however it was named: UUIDs, and the words themselves where nothing can tell.

    An index means another GPU in another container; a UUID and an index may mean the same one.
    """
    return tuple(gpu.uuid for gpu in gpus_named(words, gpus)) if gpus else tuple(words)
