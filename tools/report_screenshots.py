"""Pictures of the HTML report for the docs: real pages of the repository's examples in headless Chromium.

    pip install -e '.[browser]' && python tools/report_screenshots.py docs/images

Needs Chromium on the path. The pages are written by pytest, as a user would; SIMULATED is on those of a simulation."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RED = "examples_blocked/test_slower_fp4.py"
GREEN = "examples/test_kimi_k2_b200.py"
SIMULATED = "examples/test_kimi_k2_b200_simulated.py"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
DESK, PHONE = {"width": 900, "height": 860}, {"width": 390, "height": 780}


@dataclass(frozen=True)
class Picture:
    """A file, the test whose page it shows, and how: size, colours, paper, the state of the page."""

    name: str
    test: str
    size: dict[str, int] = field(default_factory=lambda: DESK)
    dark: bool = False
    paper: bool = False
    state: str = ""


PICTURES = (
    Picture("report-red.png", RED),
    Picture("report-ratio.png", RED, state="#kimi-k2-b200-slower-fp4-int4.y=ratio"),
    Picture("report-dark.png", GREEN, dark=True),
    Picture("report-simulated-phone.png", SIMULATED, size=PHONE),
    Picture("report-print.png", RED, paper=True),
)


def pages(folder: Path) -> dict[str, Path]:
    """Run each test and return the page it wrote."""
    found = {}
    for number, test in enumerate(dict.fromkeys(picture.test for picture in PICTURES)):
        path = folder / f"{number}.html"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test, f"--precgate-html={path}"]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if not path.is_file():
            sys.exit(f"{test} wrote no page:\n{run.stdout}{run.stderr}")
        found[test] = path
    return found


def shoot(browser: Any, picture: Picture, page: Path, out: Path) -> None:
    """Write one picture: the first screen of the page."""
    is_phone = picture.size is PHONE
    context = browser.new_context(
        viewport=picture.size,
        color_scheme="dark" if picture.dark else "light",
        device_scale_factor=1,
        is_mobile=is_phone,
        offline=True,
    )
    shown = context.new_page()
    shown.goto(f"{page.as_uri()}{picture.state}")
    shown.wait_for_selector("html[data-ready]")
    if picture.paper:
        shown.emulate_media(media="print")
        shown.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    shown.screenshot(path=out / picture.name)
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the folder of the pictures")
    out: Path = parser.parse_args().out
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # --help needs no browser

    binary = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if binary is None:
        sys.exit(f"no browser here: none of {', '.join(BROWSERS)} is on the path")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        written = pages(Path(temporary))
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=binary, args=arguments)
        for picture in PICTURES:
            shoot(browser, picture, written[picture.test], out)
            print(f"{out / picture.name}: {(out / picture.name).stat().st_size} bytes")
        browser.close()


if __name__ == "__main__":
    main()
