"""Which versions of the old state are those of the baseline."""

from __future__ import annotations

import pytest

from pytest_precgate.analysis.accepted.fingerprint import Fact, Fingerprint
from pytest_precgate.run.confirmation import differing_versions


@pytest.mark.parametrize(
    ("now", "then", "lines"),
    [
        ({"engine_version": "0.27"}, {"engine_version": "0.27"}, 0),
        ({"engine_version": "0.26"}, {"engine_version": "0.27"}, 1),
        ({"engine_version.1": "0.27", "engine_version.2": "0.26"}, {"engine_version.1": "0.27"}, 1),
        ({"engine_version.1": "0.26", "engine_version.2": "0.26"}, {}, 2),
        ({"engine_version": "not said"}, {"engine_version": "not said"}, 1),
        ({"version": "unknown"}, {"version": "unknown"}, 1),
        ({"gpu.driver": "580"}, {"gpu.driver": "575"}, 0),
        ({}, {}, 0),
    ],
)
def test_every_configuration_s_version_must_be_known_and_the_baseline_s(
    now: dict[str, Fact], then: dict[str, Fact], lines: int
) -> None:
    """Versions of several configurations carry a number. The driver is the machine's: it is what may have changed."""
    assert len(differing_versions(Fingerprint({}, now), Fingerprint({}, then))) == lines
