"""The frame of every page: head, policy, style. One self-contained file that opens from disk.

Input: a title, a body, and the text of style and script. Output: HTML. Invariant: the policy of the page refuses every
request, and every style and script but those given here."""

from __future__ import annotations

import base64
import hashlib
from string import Template

from pytest_precgate.reports.html.markup import Markup, escaped


def framed(template: str, *, title: str, tool_version: str, style: str, body: Markup, script: str = "") -> str:
    """Return a page. ``script`` is what the body holds in its one script element, empty where it has none."""
    return Template(template).substitute(
        policy=_policy(style, script),
        generator=escaped(f"pytest-precgate {tool_version}"),
        title=escaped(f"{title} - precgate"),
        style=style,
        body=body,
    )


def _policy(style: str, script: str) -> str:
    allowed = f"'{_hash(script)}'" if script else "'none'"
    return f"default-src 'none'; style-src '{_hash(style)}'; script-src {allowed}; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
