"""Sphinx settings of the documentation site: `make docs` builds it from docs/*.md, and every warning is an error.

The pages are Markdown that reads the same in the repository; only index.md knows the order. Nothing is imported from
the package, so a page never depends on what is installed."""

import re
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]

project = "pytest-precgate"
author = "the authors of pytest-precgate"
version = release = re.search(r'(?m)^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))[1]

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
# Deep enough for every link to a heading of another page.
myst_heading_anchors = 4
highlight_language = "text"

html_theme = "furo"
html_title = "pytest-precgate"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
# The page loads nothing from elsewhere.
html_theme_options = {"navigation_with_keys": True}


def setup(app: Sphinx) -> None:
    """GitHub draws a `mermaid` block; here it stays text, because drawing it takes a script of 3 MB."""
    app.add_lexer("mermaid", TextLexer)
