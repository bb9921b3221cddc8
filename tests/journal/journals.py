"""Hypothesis strategies: what a run could have measured, and the events of a journal in an order that can happen."""

from __future__ import annotations

from datetime import timezone

from hypothesis import strategies as st

from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.accepted.origin import LaunchOrigin, utc_text
from pytest_precgate.analysis.cost import KINDS
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.analysis.measure.measurement import Measurement, Spread
from pytest_precgate.analysis.measure.point import MeasuredPoint
from pytest_precgate.analysis.measure.records import ClientCheck
from pytest_precgate.analysis.measure.tokens import TokenFacts
from pytest_precgate.analysis.measure.uncertainty import Uncertainty
from pytest_precgate.analysis.measure.window import Window
from pytest_precgate.journal.events import (
    Event,
    LaunchFinished,
    LaunchKey,
    LaunchOpened,
    PointMeasured,
    PointTried,
    RunOpened,
)

figures = st.floats(1e-9, 1e9)
texts = st.text(min_size=1, max_size=8).filter(lambda text: bool(text.strip()) and "\n" not in text)
spreads = st.builds(Spread, figures, figures, figures, figures)
clients = st.builds(ClientCheck, figures, figures, figures, figures, st.integers(1, 8))
times = st.datetimes(timezones=st.just(timezone.utc)).filter(lambda time: time.year > 999).map(utc_text)
origins = st.builds(LaunchOrigin, st.none() | times, st.none() | texts, st.lists(texts, max_size=2).map(tuple))
facts = st.dictionaries(texts, texts | st.integers() | figures, max_size=3)
settings = st.dictionaries(texts, texts | st.integers() | figures | st.booleans() | st.none(), max_size=4)


def measurements(concurrency: int) -> st.SearchStrategy[Measurement]:
    return st.builds(
        Measurement,
        concurrency=st.just(concurrency),
        gpus=st.integers(1, 16),
        completed=st.integers(0, 10_000),
        failed=st.integers(0, 3),
        window=st.builds(Window, st.sampled_from(["steady", "whole"]), figures, figures),
        ttft=spreads,
        tpot=spreads,
        request_latency=spreads,
        itl_median_s=st.none() | figures,
        itl_p99_s=st.none() | figures,
        throughput_per_gpu=figures,
        error=st.none() | st.builds(Uncertainty, figures, figures),
        client=st.none() | clients,
        tokens=st.none() | st.builds(TokenFacts, figures, figures, st.none() | figures, st.none() | figures),
        resent=st.integers(0, 3),
        reopened=st.integers(0, 3),
        asked_error=st.none() | figures,
    )


def points(concurrency: int) -> st.SearchStrategy[MeasuredPoint]:
    return st.builds(MeasuredPoint, measurements(concurrency), figures, texts)


runs = st.builds(
    RunOpened,
    suite=texts,
    utc=texts,
    commit=texts,
    tool_version=texts,
    hardware=texts,
    workload=st.builds(Workload, st.integers(1, 8192), st.integers(1, 8192), st.floats(0.1, 1.0)),
    configurations=st.dictionaries(texts, st.integers(1, 4), max_size=3),
    settings=settings,
    salt=texts,
)
keys = st.builds(LaunchKey, texts, st.integers(0, 3), st.integers(1, 5))


@st.composite
def events(draw: st.DrawFn) -> list[Event]:
    """A run with up to three launches: finished or not, each opened once or several times."""
    found: list[Event] = [draw(runs)]
    for key in draw(st.lists(keys, unique=True, max_size=3)):
        told = st.builds(Fingerprint, facts, facts)
        kinds = st.sampled_from([*KINDS, None])
        opened = draw(st.builds(LaunchOpened, st.just(key), texts, told, st.none() | figures, kinds, origins))
        found.append(opened)
        count = draw(st.integers(0, 4))
        for concurrency in range(1, count + 1):
            for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
                found.append(PointTried(key, draw(texts), concurrency, draw(texts), draw(figures)))
            found.append(PointMeasured(key, draw(points(concurrency))))
            found += [opened] * draw(st.sampled_from([0, 0, 0, 1, 2]))
        if count and draw(st.booleans()):
            found.append(LaunchFinished(key))
    return found
