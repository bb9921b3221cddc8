"""HTML elements that escape what they are given.

Input: names, texts, attributes. Output: HTML as ``Markup``. Invariant: a text that is no ``Markup`` is made printable
and escaped, wherever it comes from, so nothing foreign becomes markup."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable

from pytest_precgate.text import printable_lines

_EMPTY = frozenset({"br", "meta"})
_ENDS_ITSELF = frozenset({"li", "td", "th", "tr", "thead", "tbody"})
"""Elements whose end a browser knows from what follows: a table of points is a third shorter without."""
_EMPTY_OF_SVG = frozenset({"circle", "path", "rect"})
"""An element of SVG that is not closed holds all that follows; one of HTML must not be closed."""
_LONGEST = 2_000  # characters of a line: longer ones are no text for a person


class Markup(str):
    """Text that is HTML already: only this module and those who build pages make one."""

    __slots__ = ()


def escaped(text: object) -> Markup:
    """Return ``text`` as HTML: a Markup as it is, anything else printable and escaped, also inside quotes."""
    if isinstance(text, Markup):
        return text
    return Markup(html.escape(printable_lines(str(text), _LONGEST), quote=True))


def joined(parts: Iterable[object], between: str = "") -> Markup:
    """Return ``parts`` one after the other, each escaped."""
    return Markup(str(escaped(between)).join(escaped(part) for part in parts))


def element(name: str, *children: object, **attributes: object) -> Markup:
    """Return an element. ``class_`` stands for ``class`` and ``aria_label`` for ``aria-label``.

    An attribute of None or False is left out, one of True has no value."""
    written = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        word = key.rstrip("_").replace("_", "-")
        written.append(f" {word}" if value is True else f' {word}="{escaped(value)}"')
    start = f"<{name}{''.join(written)}"
    if name in _EMPTY or name in _EMPTY_OF_SVG:
        return Markup(f"{start}/>" if name in _EMPTY_OF_SVG else f"{start}>")
    return Markup(f"{start}>{joined(children)}" + ("" if name in _ENDS_ITSELF else f"</{name}>"))


def data_script(document: object, identifier: str) -> Markup:
    """Return ``document`` as JSON in a script element that no browser runs and that no text inside can end."""
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"), sort_keys=True, allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(f'<script type="application/json" id="{escaped(identifier)}">{text}</script>')


def table(head: Iterable[object], rows: Iterable[Iterable[object]], caption: str, **attributes: object) -> Markup:
    """Return a table in a frame that scrolls by itself; a cell that is no element of a table becomes one.

    The first cell of a row is its head."""
    body = []
    for first, *cells in rows:
        body.append(element("tr", _cell("th", first, scope="row"), *(_cell("td", cell) for cell in cells)))
    return element(
        "div",
        element(
            "table",
            element("caption", caption),
            element("thead", element("tr", *(_cell("th", cell, scope="col") for cell in head))),
            element("tbody", *body),
            **attributes,
        ),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def _cell(name: str, content: object, **attributes: object) -> Markup:
    if isinstance(content, Markup) and content.startswith(("<td", "<th")):
        return content
    return element(name, content, **attributes)
