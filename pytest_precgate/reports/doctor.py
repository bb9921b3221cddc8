"""Findings about a machine as text of at most 80 columns: missing, noisy, unknown, and the rest last."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from pytest_precgate.analysis.machine.findings import Finding, State

_WIDTH = 80
_ORDER: tuple[State, ...] = ("missing", "noisy", "unknown", "fine")
_INDENT = " " * 9


def render(findings: Sequence[Finding]) -> list[str]:
    """Return the lines of the report; the last one counts."""
    lines = [line for state in _ORDER for each in findings if each.state == state for line in _lines(each)]
    counts = ", ".join(f"{sum(each.state == state for each in findings)} {state}" for state in _ORDER)
    return [*lines, counts]


def _lines(finding: Finding) -> Iterator[str]:
    yield from _wrapped(f"{finding.state:9}{finding.subject}: {finding.found}", "")
    if finding.state != "fine":
        for word, text in (("why", finding.why), ("fix", finding.fix), ("setting", finding.setting)):
            if text:
                yield from _wrapped(f"{word}: {text}", _INDENT)


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=f"{_INDENT}  ", break_on_hyphens=False)


def document(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """Return the findings as plain values for JSON."""
    return [
        {name: getattr(each, name) for name in ("subject", "state", "found", "why", "fix", "setting")}
        for each in findings
    ]
