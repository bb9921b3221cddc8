"""Which versions of launches are the same: one rule, for launches that are added and for those that confirm."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_precgate.analysis.accepted.baseline import Launch
from pytest_precgate.analysis.accepted.fingerprint import Fact, Fingerprint
from pytest_precgate.analysis.accepted.versions import ENGINE, MACHINE, differing_versions, tells_version
from tests.published import kimi


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
    assert len([*differing_versions(Fingerprint({}, now), Fingerprint({}, then), ENGINE)]) == lines


@pytest.mark.parametrize(
    ("now", "then", "lines"),
    [
        ({"gpu.driver": "580", "python": "3.11"}, {"gpu.driver": "575", "python": "3.12"}, ["gpu.driver is 580"]),
        ({"engine_version": "unknown"}, {"engine_version": "unknown"}, ["engine_version is unknown"]),
        ({"precgate": "0.1.0"}, {}, ["precgate is 0.1.0, the baseline's is not known"]),
        ({"version": "a\x1b[2J"}, {"version": "b"}, ["version is a"]),
        ({"commit": "abc"}, {"commit": "def"}, []),
    ],
)
def test_launches_that_are_added_are_also_of_one_driver(
    now: dict[str, Fact], then: dict[str, Fact], lines: list[str]
) -> None:
    """What the machine runs is compared too; an unknown version is not the same as another unknown one."""
    found = [*differing_versions(Fingerprint({}, now), Fingerprint({}, then), (*ENGINE, *MACHINE))]
    assert [line[: len(wanted)] for line, wanted in zip(found, lines, strict=True)] == lines
    assert all(line.isprintable() for line in found)


def test_an_engine_without_a_version_tells_none() -> None:
    """An endpoint; a simulation is this tool, whose version is known."""
    sweep = kimi("fp4")
    assert not tells_version(Launch(sweep, Fingerprint({}, {"addresses": 2})))
    assert tells_version(Launch(sweep, Fingerprint({}, {"engine_version.2": "unknown"})))
    assert tells_version(Launch(replace(sweep, simulated=True), Fingerprint({}, {})))
