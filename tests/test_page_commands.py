"""`precgate report` and `precgate open`: a page of what is named, or an error that says what to name."""

from __future__ import annotations

import json
import re
import webbrowser
from pathlib import Path
from typing import Any

import pytest

from pytest_precgate.baselines.store import BaselineStore
from pytest_precgate.cli import main
from pytest_precgate.hidden import Variables
from pytest_precgate.journal.directory import REPORT
from pytest_precgate.reports.html.page import DATA_ID
from pytest_precgate.run.background import log_tails
from tests.builders.baselines import kimi_baseline
from tests.builders.pages import page
from tests.published import POINTS

RUN = "20261128T060000.000Z-kimi-7"


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def pictures(path: Path) -> Any:
    found = re.search(rf'id="{DATA_ID}">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return json.loads(found[1])["pictures"]


def kept_run(tmp_path: Path, document: object = None) -> Path:
    """The folder of a run that left its report."""
    home = tmp_path / ".precgate" / "runs" / RUN
    home.mkdir(parents=True)
    (home / "journal.jsonl").touch()
    (home / REPORT).write_text(json.dumps(page(1.08) if document is None else document), encoding="utf-8")
    return home


def test_two_files_of_points_are_a_page(tmp_path: Path) -> None:
    """As compare takes them; the page has their targets, and says that nothing is gated."""
    assert main(["report", f"{POINTS}:fp4", f"{POINTS}:int4", "--at", "55,73", "-o", "page.html"]) == 0
    (picture,) = pictures(tmp_path / "page.html")
    assert picture["targets"] == [55, 73]
    assert picture["precisions"] == ["fp4", "int4"]
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Recorded points: kimi_k2_b200_1k1k.csv:fp4 against kimi_k2_b200_1k1k.csv:int4" in text
    assert "nothing is gated here" in text


def test_a_baseline_file_is_a_page_of_its_launches_and_gates(tmp_path: Path) -> None:
    """With who recorded it, and the value of each gate."""
    store = BaselineStore(tmp_path / "baselines", tmp_path)
    store.write(kimi_baseline(), store.read("kimi"))
    assert main(["report", "baselines/kimi.json", "-o", "page.html"]) == 0
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Baseline: baselines/kimi.json" in text
    assert "Gates of this baseline" in text
    assert "2.846x" in text
    assert "abc123" in text


@pytest.mark.parametrize("named", ["latest", RUN, f".precgate/runs/{RUN}"])
def test_a_run_is_the_page_it_left(tmp_path: Path, named: str) -> None:
    """Verdicts as they were; nothing is judged again."""
    kept_run(tmp_path)
    assert main(["report", named, "-o", "page.html"]) == 0
    assert '<h1 class="bad">Failed: kimi</h1>' in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_open_writes_the_page_beside_the_run_and_opens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file's own address is opened; without a browser the path is told."""
    home = kept_run(tmp_path)
    opened: list[str] = []

    def has_opened(address: str) -> bool:
        opened.append(address)
        return True

    monkeypatch.setattr(webbrowser, "open", has_opened)
    assert main(["open"]) == 0
    assert opened == [(home / "report.html").as_uri()]
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    assert main(["open", RUN]) == 2
    assert "no browser could be opened" in capsys.readouterr().err
    assert (home / "report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nothing"], "nothing: no such run in "),
        (["a", "b", "c"], "got 3 sources, wanted a RUN, a BASELINE.json, or two files of points"),
        ([str(POINTS)], "is no baseline; of recorded points two files are wanted"),
        ([f"{POINTS}:fp4", f"{POINTS}:int4", "--at", "500"], "500 tok/s/user lies outside the measured range"),
        ([RUN], "is not JSON"),
    ],
)
def test_what_cannot_be_shown_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    """Exit 2, and no file."""
    kept_run(tmp_path).joinpath(REPORT).write_text("{", encoding="utf-8")
    assert main(["report", *arguments, "-o", "page.html"]) == 2
    assert why in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_a_report_of_another_format_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its journal would be drawn, and this one is empty."""
    kept_run(tmp_path, {"format": 99})
    assert main(["report", "latest"]) == 2
    assert "holds no two precisions to draw" in capsys.readouterr().err


def test_a_log_s_last_lines_hold_no_secret_and_no_control_character(tmp_path: Path) -> None:
    """Also where the beginning of the tail cuts a line, which may be one with a secret in it."""
    secret = "s3cret-value-of-a-token"
    for name, text in (
        ("fp4-default", f"start\n{secret}\n\x1b[31mready\n"),
        ("int4-default", f"{secret * 2000}\nend\n"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "server.log").write_text(text, encoding="utf-8")
    found = list(log_tails(tmp_path, Variables({"TOKEN": secret})))
    assert [(log.name, log.text) for log in found] == [
        ("int4-default/server.log", "end"),
        ("fp4-default/server.log", "start\n$TOKEN\n\\x1b[31mready"),
    ]
