"""The page of a history in a browser without a network: it logs nothing, asks nothing, and everyone can use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_precgate.reports.html.history import render
from tests.browser.test_page import AXE
from tests.builders.pages import MADE
from tests.builders.trends import trend

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("runs", [60, 3000])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_a_history_is_drawn_and_quiet(chromium: Any, tmp_path: Path, runs: int, scheme: str) -> None:
    """Few runs and many: every path is one that the browser can read; axe-core finds nothing serious."""
    path, told = tmp_path / "history.html", list[str]()
    path.write_text(render(trend(runs, 0.92), MADE), encoding="utf-8")
    context = chromium.new_context(offline=True, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.on("request", lambda request: told.append(request.url))
    page.on("console", lambda message: told.append(message.text))
    page.goto(path.as_uri())
    assert told == [path.as_uri()]
    assert page.locator("svg.trend").count() == 2
    assert page.get_by_role("img").first.get_attribute("aria-label").startswith("fp4 throughput_per_gpu at 55")
    if AXE.is_file():
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("axe.run()")["violations"]
        assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
    context.close()
