"""The environment variables that a server inherits from pytest. Pure: a mapping in, a mapping out."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_precgate.hidden import Variables

# A scheduler's or an MPI launcher's: with them a server takes itself for a rank of that job, and MPI_Init aborts.
_OF_A_SCHEDULER = ("SLURM_", "PMIX_", "PMI_", "OMPI_", "ORTE_")
# A test run's: some libraries behave differently under a test, and coverage would trace every step of the server.
_OF_THE_TEST_RUN = ("PYTEST_", "COV_CORE_", "COVERAGE_PROCESS_")


def inherited(environ: Mapping[str, str], *, keep_scheduler: bool = False) -> Variables:
    """Return the variables a server inherits; ``keep_scheduler`` for a start over several nodes, which needs its own.

    PYTHONUNBUFFERED is set where it is not: a Python server writes whole blocks into a file otherwise, and neither the
    end of its log nor a log that stands still would mean anything.
    """
    stripped = _OF_THE_TEST_RUN if keep_scheduler else (*_OF_THE_TEST_RUN, *_OF_A_SCHEDULER)
    kept = {name: value for name, value in environ.items() if not name.startswith(stripped)}
    return Variables({"PYTHONUNBUFFERED": "1", **kept})
