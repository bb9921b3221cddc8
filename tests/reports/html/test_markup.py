"""Whatever text is shown, it stays text."""

from __future__ import annotations

import html
import json
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.reports.html.markup import Markup, data_script, element, escaped, table


class Seen(HTMLParser):
    """What a browser would make of HTML: its elements, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


hostile = st.text() | st.sampled_from(["</script><script>", "<!--", "-->", "\"'><img src=x onerror=1>", "&lt;", "]]>"])


@given(hostile)
def test_a_text_is_no_element_and_no_attribute(text: str) -> None:
    """In a cell, in an attribute of any kind, in a caption."""
    made = element("p", text, title=text, aria_label=text)
    seen = Seen(made)
    assert seen.tags == ["p"]
    assert [name for name, _ in seen.attributes] == ["title", "aria-label"]
    assert Seen(table([text], [[text, text]], text)).tags.count("td") == 1


@given(hostile)
def test_what_is_shown_is_what_was_given_made_printable(text: str) -> None:
    """Nothing that is printable is lost or doubled: escaped once."""
    plain = "".join(character for character in text if character.isprintable()).strip() or "x"
    assert html.unescape(escaped(plain)).replace("\\x3a", ":").replace("\\x23", "#") == plain


@given(
    st.recursive(hostile | st.none() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(hostile, inner))
)
def test_data_end_no_script_element_and_read_back_the_same(document: object) -> None:
    """The element holds one text, which is the JSON of the document."""
    seen = Seen(data_script(document, "data"))
    assert seen.tags == ["script"]
    assert json.loads("".join(seen.texts)) == document


def test_elements_of_svg_are_closed_and_markup_is_kept() -> None:
    """An unclosed path would hold all that follows; what is markup already is not escaped again."""
    assert (
        element("svg", element("path", d="M0,0"), element("circle", r=1))
        == '<svg><path d="M0,0"/><circle r="1"/></svg>'
    )
    assert element("p", Markup("<b>x</b>"), hidden=True, class_=None, id=False) == "<p hidden><b>x</b></p>"
