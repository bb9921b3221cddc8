"""The parts of the page that need no script: gates, changes, noise, points, power, cost, environment, settings, logs.

Input: one suite of the document. Output: HTML. Invariant: every text of the document is escaped (markup.py); a part
without data says so, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_precgate.reports.html.markup import Markup, element, joined, table
from pytest_precgate.reports.html.strip import strip

Values = Mapping[str, Any]
"""A part of the document, whose shape model.py makes."""

_LATENCIES = {
    "ttft_mean_s": ("ttft mean, ms", 1e3, 1),
    "ttft_p50_s": ("ttft p50, ms", 1e3, 1),
    "ttft_p90_s": ("ttft p90, ms", 1e3, 1),
    "ttft_p99_s": ("ttft p99, ms", 1e3, 1),
    "tpot_mean_s": ("tpot mean, ms", 1e3, 2),
    "tpot_p90_s": ("tpot p90, ms", 1e3, 2),
    "tpot_p99_s": ("tpot p99, ms", 1e3, 2),
    "itl_mean_s": ("itl mean, ms", 1e3, 2),
    "itl_p50_s": ("itl p50, ms", 1e3, 2),
    "itl_p99_s": ("itl p99, ms", 1e3, 2),
    "request_latency_mean_s": ("request mean, s", 1.0, 3),
    "request_latency_p50_s": ("request p50, s", 1.0, 3),
    "request_latency_p90_s": ("request p90, s", 1.0, 3),
    "request_latency_p99_s": ("request p99, s", 1.0, 3),
}
_SERVING = {
    "output_throughput_per_gpu": ("output tok/s/GPU", 1.0, 1),
    "e2e_interactivity": ("e2e tok/s/user", 1.0, 2),
    "goodput": ("goodput", 1.0, 2),
    "acceptance_length": ("acceptance length", 1.0, 3),
    "tokens_per_event": ("tokens per event", 1.0, 3),
    "cached_share": ("cached prompt share, %", 100.0, 2),
    "batch": ("batch", 1.0, 1),
    "queue_s": ("queue, ms", 1e3, 1),
    "prefill_s": ("prefill, ms", 1e3, 1),
    "decode_s": ("decode, s", 1.0, 3),
    "preemptions": ("preemptions", 1.0, 1),
    "client_cpu_share": ("client CPU, %", 100.0, 1),
    "short_error": ("error of a short point, %", 100.0, 1),
}
_POWER = {
    "joules_per_token": ("J/token", 1.0, 4),
    "mean_power_w": ("mean power, W", 1.0, 0),
    "sm_clock_mhz": ("SM clock, MHz", 1.0, 0),
}
_STRIP = (
    "each launch: dots are launches of this run, thin lines those of the baseline; the thick line is the tolerance, "
    "the dashed one the noise floor; right is better"
)
_PLACE = ("concurrency", "configuration")
_NOT_KEPT = "not measured at these points"


def sections(suite: Values) -> Markup:
    """Return every part of a suite below its pictures."""
    parts = (
        ("Gates", _gates(suite)),
        ("Changed since the baseline", _changes(suite)),
        ("Noise and launches", _launches(suite)),
        ("Latencies", _points(suite, _LATENCIES)),
        ("Serving", _points(suite, _SERVING)),
        ("Power", _power(suite)),
        ("Cost of this run", _cost(suite)),
        ("Environment", _folded("facts of the first launches", _facts(suite))),
        ("Engine settings", _folded("settings that decide a figure", _settings(suite))),
        ("Logs", _logs(suite)),
    )
    return joined(element("section", element("h3", title), body, class_="part") for title, body in parts if body)


def _note(text: str) -> Markup:
    return element("p", text, class_="note")


def _list(lines: Sequence[object]) -> Markup:
    return element("ul", *(element("li", line) for line in lines)) if lines else Markup()


def _folded(summary: str, body: Markup) -> Markup:
    return element("details", element("summary", summary), body) if body else body


def verdict(word: str, passes: bool) -> Markup:
    """Return a verdict as a badge: a word and a colour, never the colour alone."""
    if word == "COMPARED":
        return element("span", word, class_="verdict plain")
    kind = "good" if passes else "unsure" if word in ("INCONCLUSIVE", "MISSING", "SKIPPED") else "bad"
    return element("span", word, class_=f"verdict {kind}")


def _gates(suite: Values) -> Markup:
    parts: list[Markup] = []
    for check in suite["checks"]:
        gates = sorted(check["gates"], key=lambda gate: bool(gate["passes"]))
        rows = [
            (
                gate["quantity"],
                f"{gate['point']:g}",
                gate["baseline"],
                gate["value"],
                gate["change"],
                strip(gate["strip"], gate["passes"]),
                gate["tolerance"],
                gate["catches"],
                gate["launches"],
                verdict(gate["verdict"], gate["passes"]),
            )
            for gate in gates
        ]
        head = ("gate", "tok/s/user", "baseline", "value", "change", "each launch", "tolerance", "catches", "launches")
        parts += [
            element("p", element("code", check["test"]), f", {check['against']}"),
            table((*head, "verdict"), rows, f"Gates of {check['test']}", class_="figures"),
            _note(_STRIP) if any(gate["strip"] for gate in gates) else Markup(),
            _list([*_reasons(gates), *check["notes"]]),
        ]
    if suite.get("recorded"):
        names = ("gate", "tok/s/user", "value", "anchor", "sigma", "test")
        parts.append(table(names, suite["recorded"], "Gates of this baseline", class_="figures"))
    parts.append(_list(suite["compared"]))
    return joined(parts) or _note("nothing is gated here: this page compares points and holds them against nothing")


def _reasons(gates: Sequence[Values]) -> Iterator[str]:
    """Yield each reason once, with the gates it is of."""
    by_reason: dict[tuple[str, str, str], list[str]] = {}
    for gate in gates:
        if gate["reason"]:
            key = gate["verdict"], gate["quantity"], gate["reason"]
            by_reason.setdefault(key, []).append(f"{gate['point']:g}")
    for (word, quantity, reason), points in by_reason.items():
        yield f"{word}: {quantity} at {', '.join(points)} tok/s/user: {reason}"


def _changes(suite: Values) -> Markup:
    found = suite["differences"]
    baseline = found["baseline"]
    if baseline is None and found.get("side"):
        return _note(f"held against fresh launches of {found['side']}, not against a baseline")
    if baseline is None:
        return _note("no baseline: nothing to compare launches with") if suite["checks"] else Markup()
    launches = ", ".join(f"{number} of {name}" for name, number in baseline["launches"].items())
    reason = baseline["reason"] or "no reason given"
    what = (
        f"baseline of {baseline['utc']}, commit {baseline['commit'][:12]}, by {baseline['tool_version']}, launches: "
        f"{launches}; {reason}"
    )
    rows = [
        (
            element("td", precision),
            key,
            element("td", element("del", then)),
            element("td", element("ins", now)),
            "must agree" if kind == "hard" else "told",
        )
        for precision, key, then, now, kind in found["rows"]
    ]
    head = ("precision", "fact", "baseline", "this run", "kind")
    agree = f"{found['agree']} facts agree"
    body = table(head, rows, "Facts that differ") if rows else _note("no fact differs")
    return joined((_note(what), body, _note(agree)))


def _launches(suite: Values) -> Markup:
    gates = [gate for check in suite["checks"] for gate in check["gates"] if gate["sigma"] != "-"]
    shown = ("sigma", "noise_floor", "tolerance", "catches", "launches")
    noise = [(gate["quantity"], f"{gate['point']:g}", *(gate[name] for name in shown)) for gate in gates]
    head = ("gate", "tok/s/user", "sigma", "noise floor", "tolerance", "catches", "launches")
    known = table(head, noise, "Noise of each gate", class_="figures") if noise else Markup()
    if suite["checks"] and not noise:
        known = _note("the noise of these gates is not known: the baseline has fewer than 3 launches")
    names = ("state", "precision", "launch", "points", "began (UTC)", "node", "GPUs")
    every = table(names, suite["launches"], "Launches") if suite["launches"] else Markup()
    return joined((known, _folded("every launch", every)))


def _points(suite: Values, shown: Mapping[str, tuple[str, float, int]]) -> Markup:
    """Return a table of the first launch's points: place, curve, and what is known of ``shown``."""
    parts = []
    for picture in suite["pictures"]:
        firsts = [each for each in picture["series"] if each["state"] == "run" and each["launch"] == 1]
        names = [name for name in shown if any(name in each["columns"] for each in firsts)]
        if not names and shown is _SERVING:
            continue
        with_tpot = shown is _LATENCIES
        rows = [row for each in firsts for row in _point_rows(each, names, shown, is_whole=with_tpot)]
        head = ["precision", *_PLACE, *(["gpus", "tok/s/user", "tok/s/GPU", "tpot p50, ms"] if with_tpot else [])]
        title = "Points of the first launch of each precision"
        parts.append(table([*head, *(shown[name][0] for name in names)], rows, title, class_="figures"))
        if not names:
            parts.append(_note(f"ttft, itl and request latency: {_NOT_KEPT}"))
    return joined(parts)


def _point_rows(
    series: Values, names: Sequence[str], shown: Mapping[str, tuple[str, float, int]], *, is_whole: bool
) -> Iterator[list[object]]:
    for row in series["points"]:
        point = dict(zip(series["columns"], row, strict=True))
        cells: list[object] = [series["precision"].upper(), *(point[name] for name in _PLACE)]
        if is_whole:
            speed = point["interactivity"]
            cells += [point["gpus"], f"{speed:.2f}", f"{point['throughput_per_gpu']:.1f}", f"{1e3 / speed:.2f}"]
        for name in names:
            value, (_, scale, digits) = point.get(name), shown[name]
            cells.append("-" if value is None else f"{value * scale:.{digits}f}")
        yield cells


def _power(suite: Values) -> Markup:
    parts = []
    for picture in suite["pictures"]:
        hardware = picture["hardware"]
        parts.append(
            _note(
                f"tok/s/MW uses {hardware['power_kw_per_gpu']:g} kW per GPU ({hardware['source']}), not a measurement"
            )
        )
        columns = {name for each in picture["series"] if each["state"] == "run" for name in each["columns"]}
        parts.append(_points(suite, _POWER) if columns & {*_POWER} else _note(f"power: {_NOT_KEPT}"))
    return joined(dict.fromkeys(parts))


def _cost(suite: Values) -> Markup:
    return _list(suite["costs"])


def _facts(suite: Values) -> Markup:
    if not suite["facts"]:
        return Markup()
    head, *rows = suite["facts"]
    return table(head, rows, "Facts of the first launch of each precision")


def _settings(suite: Values) -> Markup:
    rows = list(suite["settings"].items())
    return table(("setting", "value"), rows, "Settings of the engines") if rows else Markup()


def _logs(suite: Values) -> Markup:
    tails = []
    for log in suite["logs"]:
        text = element("pre", log["text"] or "(empty)", tabindex="0", role="region", aria_label=log["name"])
        tails.append(_folded(log["name"], text))
    where = _note(f"the last lines; whole logs are in .precgate/runs/{suite['run']}")
    return joined((where, *tails)) if tails else Markup()
