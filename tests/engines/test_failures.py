"""The cause of a failure is found wherever it stands in a log, and what a server inherits is what it should."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_precgate.engines.failures import COMMON, PORT_IN_USE, FailureText, recognise
from pytest_precgate.servers.process.variables import inherited
from tests.engines.stand_in_server import FAILURES, LAST_LINE

WORKER = FailureText("Executor worker returned error", "a worker failed", general=True)
PATTERNS = (WORKER, *COMMON)
LINES = st.lists(st.text(st.characters(codec="ascii", categories=("L", "N", "Zs", "Cc"))), max_size=30)


@given(LINES, LINES, st.sampled_from(COMMON))
def test_a_cause_is_found_anywhere(before: list[str], after: list[str], failure: FailureText) -> None:
    """Between any lines, in any case, before or after the general last line."""
    assume(recognise("\n".join([*before, *after]), PATTERNS) is None)  # Hypothesis tries texts of the source, too
    log = "\n".join([*before, LAST_LINE, f"E: {failure.text.upper()} at 0x7f", *after, LAST_LINE])
    found = recognise(log, PATTERNS)
    assert found == f"{failure.cause} (E: {failure.text.upper()} at 0x7f)"


@given(st.permutations(COMMON))
def test_the_first_cause_in_the_log_is_the_cause(order: list[FailureText]) -> None:
    """What follows is what it led to; what may have been survived is no cause beside one that was not."""
    found = recognise("\n".join(failure.text for failure in order), PATTERNS)
    first = next(failure for failure in order if not failure.survivable)
    assert found == f"{first.cause} ({first.text})"


@given(LINES)
def test_a_log_without_a_known_text_has_no_cause(lines: list[str]) -> None:
    """And with the general line alone, the general cause."""
    log = "\n".join(lines)
    assert recognise(log, PATTERNS) is None
    assert recognise(f"{log}\n{LAST_LINE}", PATTERNS) == f"a worker failed ({LAST_LINE})"


def test_the_first_of_several_general_texts_counts() -> None:
    """As with the others."""
    patterns = (FailureText("worker 0", "first", general=True), FailureText("worker 1", "second", general=True))
    assert recognise("worker 1\nworker 0", patterns) == "second (worker 1)"


def test_a_cause_stays_one_line_of_bounded_length() -> None:
    """A server that prints a whole tensor with its error does not fill the terminal."""
    found = recognise("x" * 50 + " CUDA out of memory " + "y" * 10_000)
    assert found is not None
    assert len(found) < 400
    found = recognise("\x1b[31mCUDA out of memory\x1b[0m")
    assert found is not None
    assert found.isprintable()


@pytest.mark.parametrize(
    ("failure", "cause"),
    [("port", PORT_IN_USE), ("cuda-memory", "out of GPU memory"), ("no-gpu", "no GPU is visible to the server")],
)
def test_what_cuda_servers_have_in_common_is_recognised(failure: str, cause: str) -> None:
    """The port, the memory, the GPU."""
    found = recognise(f"loading\n{FAILURES[failure]}\n{LAST_LINE}")
    assert found is not None
    assert found.startswith(cause)


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("ERROR:    [Errno 98] error while attempting to bind on address ('127.0.0.1', 80): address already in use", 0),
        ("main: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 8080", 0),
        ("allocating 94.00 MiB on device 0: cudaMalloc failed: out of memory", 3),
        ("RuntimeError: CUDA error: out of memory", 3),
        ("RuntimeError: No CUDA GPUs are available", 7),
        ("CUDA error: no CUDA-capable device is detected", 7),
    ],
)
def test_other_servers_words_are_recognised(line: str, cause: int) -> None:
    """uvicorn's, llama.cpp's, PyTorch's."""
    assert recognise(line) == f"{COMMON[cause].cause} ({line})"


@given(st.dictionaries(st.sampled_from(["SLURM_JOB_ID", "PMIX_RANK", "PMI_FD", "OMPI_X", "ORTE_Y"]), st.text()))
def test_a_scheduler_s_variables_are_stripped_for_one_node(scheduler: dict[str, str]) -> None:
    """And kept for a start over several."""
    ours = {"PATH": "/bin", "SLURMY": "no", "CUDA_VISIBLE_DEVICES": "0,1"}
    assert inherited({**ours, **scheduler}) == {"PYTHONUNBUFFERED": "1", **ours}
    assert inherited({**ours, **scheduler}, keep_scheduler=True) == {"PYTHONUNBUFFERED": "1", **ours, **scheduler}


@pytest.mark.parametrize("keep_scheduler", [False, True])
def test_a_server_does_not_know_that_it_is_tested(*, keep_scheduler: bool) -> None:
    """Neither pytest's variables nor coverage's, which would trace its every step."""
    test_run = {
        "PYTEST_CURRENT_TEST": "a",
        "PYTEST_VERSION": "9",
        "COV_CORE_SOURCE": "b",
        "COVERAGE_PROCESS_START": "c",
    }
    assert inherited(test_run, keep_scheduler=keep_scheduler) == {"PYTHONUNBUFFERED": "1"}
    assert inherited({"PYTHONUNBUFFERED": ""}, keep_scheduler=keep_scheduler) == {"PYTHONUNBUFFERED": ""}
