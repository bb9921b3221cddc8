"""Known failure texts in the output of servers, and their meaning. Pure.

Input: the text of a log. Output: one line that states the cause, or None. Each kind of server adds its own texts to
``COMMON``. The whole log is searched, because the last line usually only says that a worker failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_precgate.text import printable

# The only cause for which a start is tried again, on another port.
PORT_IN_USE = "the port is taken by another program"
_OUT_OF_MEMORY = (
    "out of GPU memory: another program holds some of it, or the model and its KV cache are larger than these GPUs"
)
_NO_GPU = "no GPU is visible to the server: look at CUDA_VISIBLE_DEVICES, the driver and the container's devices"
_QUOTED = 200  # characters of the line a cause was found in


@dataclass(frozen=True)
class FailureText:
    """A text, in any case of its letters, and its cause.

    A ``survivable`` one is printed also by code that copes: an autotuner takes another tactic, a socket another port. A
    ``general`` one says no more than that something failed.
    """

    text: str
    cause: str
    general: bool = False
    survivable: bool = False


COMMON = (
    # EADDRINUSE as the C library, Python and uvicorn put it; TensorRT-LLM's and llama.cpp's own words around it.
    FailureText("address already in use", PORT_IN_USE, survivable=True),
    FailureText("Failed to bind socket to", PORT_IN_USE),
    FailureText("couldn't bind HTTP server socket", PORT_IN_USE),
    # PyTorch, the CUDA runtime, the CUDA driver, llama.cpp.
    FailureText("CUDA out of memory", _OUT_OF_MEMORY, survivable=True),
    FailureText("CUDA error: out of memory", _OUT_OF_MEMORY, survivable=True),
    FailureText("CUDA_ERROR_OUT_OF_MEMORY", _OUT_OF_MEMORY, survivable=True),
    FailureText("cudaMalloc failed: out of memory", _OUT_OF_MEMORY),
    # TensorRT-LLM, the CUDA runtime, PyTorch twice.
    FailureText("No GPU devices found on the node", _NO_GPU),
    FailureText("no CUDA-capable device is detected", _NO_GPU),
    FailureText("No CUDA GPUs are available", _NO_GPU),
    FailureText("Found no NVIDIA driver on your system", _NO_GPU),
)


def recognise(log: str, patterns: Sequence[FailureText] = COMMON) -> str | None:
    """Return the cause of the first text in the log with its line, None when there is none.

    A text that a server may survive counts only if the log holds no other; a general one after both."""
    found: dict[tuple[bool, bool], str] = {}
    for line in log.splitlines():
        folded = line.casefold()
        for pattern in patterns:
            if pattern.text.casefold() in folded:
                found.setdefault((pattern.general, pattern.survivable), f"{pattern.cause} ({printable(line, _QUOTED)})")
    return found[min(found)] if found else None
