"""Computes a point from request records.

Input: the records of a run and the client's self-check. Output: a measurement, or InvalidPointError. Invariant: a run
with failures, a saturated client or an empty window gives no point, so an invalid measurement never looks like a slow
server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from pytest_precgate.analysis.curves.details import Slo
from pytest_precgate.analysis.measure.details import details_of
from pytest_precgate.analysis.measure.measurement import Measurement, Spread
from pytest_precgate.analysis.measure.records import ClientCheck, PointRun, RequestRecord
from pytest_precgate.analysis.measure.tokens import (
    Expected,
    ServerCounts,
    recorded_refusals,
    refusals,
    token_facts,
    with_first_tokens,
)
from pytest_precgate.analysis.measure.uncertainty import uncertainty
from pytest_precgate.analysis.measure.window import (
    Window,
    WindowKind,
    served_within,
    steady_window,
    tokens_per_second,
    whole_window,
)
from pytest_precgate.analysis.quantity import count
from pytest_precgate.errors import InvalidPointError, InvalidValueError, UntoldTokensError
from pytest_precgate.text import printable

# Above these limits a client distorts what it measures; docs/loadgen.md has the measurements behind each.
MAX_CPU_SHARE = 0.5
MAX_LAG_OF_ITL = 0.1
MAX_LAG_OF_REQUEST = 0.01
MIN_ACHIEVED_SHARE = 0.95
MAX_EVENTS_PER_READ = 2.0
# The share of the requests' time that connections closed by the server may take.
MAX_LOST_SHARE = 0.01
_CAUSE_SHOWN = 400  # characters of a failed request's cause


_ANY_TOKENS = Expected()
_NO_COUNTERS = ServerCounts()


def measure(
    run: PointRun,
    gpus: int,
    window: WindowKind = "steady",
    max_failures: int = 0,
    expected: Expected = _ANY_TOKENS,
    server: ServerCounts = _NO_COUNTERS,
    asked_error: float | None = None,
    slo: Slo | None = None,
) -> Measurement:
    """Compute one point from the records of a run on ``gpus`` GPUs.

    ``whole`` uses every request; ``steady`` those that were served inside the window. ``expected`` is what its tokens
    must be, ``server`` the values of the server's own counters, ``slo`` what goodput counts. Raises InvalidPointError
    when the run was given up, more than ``max_failures`` requests failed or were sent again, the client distorted the
    measurement, the tokens are not the expected ones, or no window is left."""
    count("measure", "gpus", gpus, "GPUs")
    _refuse_failures(run, max_failures)
    try:
        span = whole_window(run.records) if window == "whole" else steady_window(run.records, run.concurrency)
        served = with_first_tokens(served_within(run.records, span), expected.hidden_tokens)
        measured = replace(
            _measurement(run, gpus, span, served), asked_error=asked_error, tokens=token_facts(served, expected, server)
        )
    except InvalidValueError as exc:
        raise InvalidPointError(run.concurrency, str(exc), is_untold=isinstance(exc, UntoldTokensError)) from exc
    assert measured.tokens is not None
    if wrong := refusals(served, measured.tokens, expected, server.speculates):
        raise InvalidPointError(run.concurrency, "; ".join(wrong))
    _refuse_distorted(run, measured)
    return replace(measured, details=details_of(measured, served, run.gaps, server, slo))


def _measurement(run: PointRun, gpus: int, span: Window, served: Sequence[RequestRecord]) -> Measurement:
    gaps = run.gaps
    tpot = Spread.of([record.tpot_s for record in served])
    if tpot.median_s == 0:
        raise InvalidValueError("half of the requests got all their tokens in one read, so there is no time per token")
    return Measurement(
        concurrency=run.concurrency,
        gpus=gpus,
        completed=len(run.records),
        failed=len(run.failures),
        window=span,
        ttft=Spread.of([record.ttft_s for record in served]),
        tpot=tpot,
        request_latency=Spread.of([record.request_latency_s for record in served]),
        itl_median_s=gaps.quantile_s(0.5) if gaps.total else None,
        itl_p99_s=gaps.quantile_s(0.99) if gaps.total else None,
        throughput_per_gpu=tokens_per_second(run.records, span) / gpus,
        # The lengths of the whole window are random, those of the steady one even (analysis/measure/lengths.py).
        error=uncertainty(served, even_lengths=span.kind == "steady"),
        client=run.client,
        resent=run.resent,
        reopened=run.reopened,
    )


def _refuse_failures(run: PointRun, max_failures: int) -> None:
    """Refuse a run that was given up or in which too many requests failed, with their causes.

    One reset connection more than allowed may be caused by the network, so such a point may be measured again. A server
    that stopped sending is not asked again."""
    failed = len(run.failures) + run.resent
    busy_s = sum(record.request_latency_s for record in run.records)
    if run.lost_s > MAX_LOST_SHARE * busy_s:
        raise InvalidPointError(
            run.concurrency,
            f"{run.reopened} connections were closed by the server with a request on its way, which cost the slots "
            f"{run.lost_s:.2f} s, at most {MAX_LOST_SHARE:.0%} of {busy_s:.2f} s may: have it keep connections longer",
        )
    if run.ended is None and failed <= max_failures:
        return
    why = [] if run.ended is None else [run.ended]
    if failed:
        causes = Counter(failure.cause for failure in run.failures).most_common(3)
        listed = [f"{number} x {printable(cause, _CAUSE_SHOWN)}" for cause, number in causes]
        if run.resent:
            listed.append(f"{run.resent} x sent again after the server closed the connection without an answer")
        total = len(run.failures) + len(run.records)
        why.insert(0, f"{failed} of {total} requests failed, at most {max_failures} may: {'; '.join(listed)}")
    is_one_reset = failed == max_failures + 1 and all(failure.is_reset for failure in run.failures)
    raise InvalidPointError(run.concurrency, "; ".join(why), is_outside=is_one_reset and not run.froze)


def require_believable(recorded: Measurement, max_failures: int, expected: Expected = _ANY_TOKENS) -> None:
    """Raise InvalidPointError for a recorded point that the rules of its measurement would have refused.

    Of its requests only the stored values are known: the number of failures, the client's self-check, token counts, the
    error. Impossible figures are refused as well."""
    wrong = _impossible(recorded)
    if not 0 <= recorded.failed + recorded.resent <= max_failures:
        wrong.append(f"{recorded.failed + recorded.resent} requests failed, at most {max_failures} may")
    if recorded.client is not None:
        wrong += _distortions(recorded.client, recorded)
    if recorded.tokens is not None:
        wrong += recorded_refusals(recorded.tokens, expected)
    elif expected.acceptance_length is not None:
        wrong.append("it does not say which acceptance length there was, and one is to be forced")
    if wrong:
        raise InvalidPointError(recorded.concurrency, f"as it is recorded, {'; '.join(wrong)}")


def _impossible(recorded: Measurement) -> list[str]:
    """Return the values of a recorded point that no run of requests gives."""
    wrong = [
        f"{name} is {value}, wanted a number of requests from {least}"
        for name, value, least in (
            ("completed", recorded.completed, 1),
            ("failed", recorded.failed, 0),
            ("resent", recorded.resent, 0),
            ("reopened", recorded.reopened, 0),
        )
        if value < least
    ]
    for name in ("ttft", "tpot", "request_latency"):
        spread: Spread = getattr(recorded, name)
        if not spread.mean_s > 0 or not 0 < spread.median_s <= spread.p90_s <= spread.p99_s:
            wrong.append(f"{name} is {spread}, wanted times above 0 s in that order")
    if not recorded.window.length_s > 0:
        wrong.append(f"its window takes {recorded.window.length_s:g} s")
    widths = [] if recorded.error is None else [recorded.error.throughput, recorded.error.interactivity]
    if not all(width >= 0 for width in widths) or not (recorded.asked_error is None or recorded.asked_error > 0):
        wrong.append("an error below 0 is none")
    return wrong


def _distortions(check: ClientCheck, measured: Measurement) -> list[str]:
    """Return where the client distorted the measurement, which would look like a slow server."""
    breaches = []
    if not check.cpu_share <= MAX_CPU_SHARE:
        breaches.append(f"its process used {check.cpu_share:.0%} of a core, at most {MAX_CPU_SHARE:.0%} may be")
    # A late loop delays a request at its two ends, for any number of chunks in between: short gaps allow more lag.
    lag, lag_limit = check.loop_lag_p99_s, MAX_LAG_OF_REQUEST * measured.request_latency.median_s
    if measured.itl_median_s is not None:
        lag_limit = max(lag_limit, MAX_LAG_OF_ITL * measured.itl_median_s)
    if not lag <= lag_limit:
        breaches.append(f"its loop lagged {1000 * lag:.1f} ms (p99), at most {1000 * lag_limit:.1f} ms may be")
    if not check.events_per_read <= MAX_EVENTS_PER_READ:
        breaches.append(
            f"it found {check.events_per_read:.1f} events in a read, at most {MAX_EVENTS_PER_READ:g} may be: they had "
            "waited for it, or something before it bundles them"
        )
    if not check.achieved_concurrency >= MIN_ACHIEVED_SHARE * measured.concurrency:
        breaches.append(
            f"it kept {check.achieved_concurrency:.1f} requests in flight, asked for {measured.concurrency}"
        )
    return [f"the load client could not keep up: {breach}" for breach in breaches[:1]] + breaches[1:]


def _refuse_distorted(run: PointRun, measured: Measurement) -> None:
    breaches = [] if run.client is None else _distortions(run.client, measured)
    if breaches:
        raise InvalidPointError(
            run.concurrency,
            f"{'; '.join(breaches)}. Use more client processes (processes in the settings) or a quieter machine",
            is_outside=True,
        )
