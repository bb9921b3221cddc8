"""A headless Chromium without a network, and pages opened in it from disk.

Chromium is the machine's own (Debian's package ``chromium``); playwright drives it. Where either is missing the tests
are skipped and say so."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pytest_precgate.reports.html.model import Document
from pytest_precgate.reports.html.page import render

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@dataclass
class Opened:
    """A page in the browser, with what it asked for and what it logged."""

    page: Any
    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def values(self, row: int) -> list[list[float]]:
        """The numbers of a row of the published table, all digits: throughput, cost, tok/s/MW, concurrency, ratios."""
        script = "row => [...document.querySelectorAll('.published tbody tr')[row].querySelectorAll('td')]"
        found: list[list[float]] = self.page.evaluate(f"{script}.map(cell => JSON.parse(cell.dataset.values))", row)
        return found


Open = Callable[..., Opened]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser, without a network: no name is resolved, and every address goes to a proxy that is not there."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser here: none of {', '.join(NAMES)} is on the path")
    api = pytest.importorskip("playwright.sync_api", reason="no playwright here: pip install -e '.[browser]'")
    arguments = ["--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=socks5://127.0.0.1:9"]
    arguments += ["--no-sandbox"] if os.geteuid() == 0 else []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def show(chromium: Any, tmp_path: Path) -> Iterator[Open]:
    """Open a document, or a file, in a context of its own; ``fragment`` is what follows the # of its address.

    Whatever a test does, the page asks for nothing but itself and logs nothing."""
    contexts: list[Any] = []
    shown: list[tuple[Opened, Path]] = []

    def opened(source: Document | Path, fragment: str = "", **options: Any) -> Opened:
        path = source if isinstance(source, Path) else tmp_path / f"page-{len(contexts)}.html"
        if not isinstance(source, Path):
            path.write_text(render(source), encoding="utf-8")
        context = chromium.new_context(offline=True, **({"viewport": {"width": 1280, "height": 900}} | options))
        contexts.append(context)
        made = Opened(context.new_page())
        shown.append((made, path))
        made.page.on("request", lambda request: made.requests.append(request.url))
        made.page.on("console", lambda message: made.messages.append(message.text))
        made.page.on("pageerror", lambda error: made.messages.append(str(error)))
        made.page.goto(f"{path.as_uri()}{fragment and f'#{fragment}'}")
        made.page.wait_for_selector("html[data-ready]")
        return made

    yield opened
    for context in contexts:
        context.close()
    for made, path in shown:
        assert [url.partition("#")[0] for url in made.requests] == [path.as_uri()]
        assert made.messages == []
