"""The page is one file that asks nothing of a network, and shows foreign text as text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from pytest_precgate.analysis.gating.verdict import Verdict
from pytest_precgate.analysis.report import RunReport
from pytest_precgate.reports.html.assets import assets
from pytest_precgate.reports.html.model import document
from pytest_precgate.reports.html.page import DATA_ID, render
from pytest_precgate.reports.html.points import DETAILS, TOLD
from tests.builders.pages import MADE, page
from tests.published import ROOT
from tests.reports.html.test_markup import Seen

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'\u202e\x1b[31m"


def mutated(value: Any, change: Callable[[str], str]) -> Any:
    """The same document with every text changed; keys, and texts that decide a colour or a column, stay."""
    if isinstance(value, dict):
        kept = {
            "verdict",
            "outcome",
            "state",
            "kind",
            "columns",
            "precision",
            "precisions",
            "metric",
            "cost",
            "wording",
        }
        return {key: each if key in kept else mutated(each, change) for key, each in value.items()}
    if isinstance(value, list):
        return [mutated(each, change) for each in value]
    return change(value) if isinstance(value, str) else value


def data_of(text: str) -> Any:
    found = re.search(rf'<script type="application/json" id="{DATA_ID}">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_every_text_of_a_document_may_be_hostile() -> None:
    """The page has the same elements as with harmless texts, and no text of the document ends one."""
    plain = page(1.08, 1.09)
    harmless, hostile = (
        Seen(render(mutated(plain, change))) for change in (lambda text: f"{text} x", lambda text: text + HOSTILE)
    )
    assert hostile.tags == harmless.tags
    assert [name for name, _ in hostile.attributes] == [name for name, _ in harmless.attributes]
    assert "\u202e" not in render(mutated(plain, lambda text: text + HOSTILE))
    assert "\x1b" not in render(mutated(plain, lambda text: text + HOSTILE))


def test_the_policy_names_the_style_and_the_script_and_nothing_else() -> None:
    """A script that a text would bring in is of another digest, and nothing may be fetched."""
    text, used = render(page()), assets()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'; ")
    for part, kind in ((used.script, "script"), (used.style, "style")):
        digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
        assert f"<{kind}>{part}</{kind}>" in text


def test_no_address_of_a_network_is_in_a_page() -> None:
    """No link, image, font, style or script from elsewhere; the namespaces of SVG and XML are names."""
    seen = Seen(render(page()))
    addresses = [value for name, value in seen.attributes if name in ("src", "href", "action", "srcset")]
    assert all(value is not None and value.startswith("#") for value in addresses)
    assert not re.findall(r"url\(|@import", assets().style)
    assert {*re.findall(r"https?://[^\s\"'`]+", assets().script)} <= {
        *("http://www.w3.org/1999/xhtml", "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"),
        *("http://www.w3.org/XML/1998/namespace", "http://www.w3.org/2000/xmlns/"),
    }


def test_the_licences_of_what_is_inside_are_in_the_page() -> None:
    """In a comment that their text does not end."""
    text = render(page())
    comment = text[text.index("<!--\n") : text.index("-->")]
    for name in ("d3-shape", "d3-scale", "d3-axis", "d3-selection"):
        assert f"{name} " in comment
    assert "Permission to use, copy, modify" in comment
    assert comment.count("Copyright ") == 11


def test_the_script_is_given_what_it_tells_and_the_tables_have_the_rest() -> None:
    """Points are not rounded on the way; a column that only a table shows is not sent twice."""
    found: Any = page()
    (whole,) = found["suites"][0]["pictures"]
    (drawn,) = data_of(render(found))["pictures"]
    for ours, theirs in zip(whole["series"], drawn["series"], strict=True):
        columns = drawn["columns"][theirs["columns"]]
        assert columns == [name for name in ours["columns"] if name in TOLD]
        for row, cells in zip(ours["points"], theirs["points"], strict=True):
            assert {**dict(zip(ours["columns"], row, strict=True)), **dict(zip(columns, cells, strict=True))} == dict(
                zip(ours["columns"], row, strict=True)
            )
    sources = ROOT / "tools" / "report" / "src"
    said = "".join(
        (sources / name).read_text(encoding="utf-8") for name in ("describe.mjs", "quantities.mjs", "model.mjs")
    )
    assert {name for name in DETAILS if name in said} <= TOLD


@pytest.mark.parametrize(
    ("options", "heading", "kind"),
    [
        ((1.0, {}), "Passed: kimi", "good"),
        ((1.08, {}), "Failed: kimi", "bad"),
        ((1.08, {"verdict": Verdict.INCONCLUSIVE}), "Inconclusive: kimi", "unsure"),
        ((1.08, {"suites": ("kimi", "qwen")}), "Failed: 2 of 2 suites", "bad"),
    ],
)
def test_the_first_line_is_the_answer(options: Any, heading: str, kind: str) -> None:
    """A word and a colour; an inconclusive run is not green."""
    assert f'<h1 class="{kind}">{heading}</h1>' in render(page(options[0], **options[1]))


def test_a_run_without_gates_is_not_a_pass() -> None:
    """Nothing ran, or what ran could not be judged."""
    nothing = document(RunReport(), [], MADE)
    assert '<h1 class="plain">No gate ran</h1>' in render(nothing)
    broken = document(RunReport(problems=("baselines/kimi.json: damaged",)), [], MADE)
    assert '<h1 class="bad">Failed: the run has problems</h1>' in render(broken)
    assert '<li class="problem">baselines/kimi.json: damaged' in render(broken)


def test_problems_of_a_run_whose_gates_passed_are_no_pass() -> None:
    """An unused gate fails the run, and so does the page's first line."""
    found = {**page(), "problems": ["baselines/kimi.json: gate x not used"]}
    assert '<h1 class="bad">Failed: the run has problems</h1>' in render(found)


def test_simulated_figures_are_said_at_the_top() -> None:
    """Before any figure."""
    text = render(page(simulated=True))
    assert text.index("SIMULATED: the figures of FP4 and INT4 were measured on no machine") < text.index("<main")


def test_what_stands_behind_the_verdicts_is_in_the_page() -> None:
    """Changes, noise, latencies, power, cost, facts, settings, logs."""
    text = render(page(1.08))
    for words in (
        *("<del>1.1.0</del>", "<ins>1.2.0</ins>", "14 facts agree", "Noise of each gate", "ttft p99, ms"),
        *("J/token", "98.3 GPU-minutes held", "host.kernel", "fp4.options.max_batch_size", "loading\nready"),
        "dots are launches of this run",
    ):
        assert words in text


def test_a_report_of_three_suites_of_two_precisions_is_small() -> None:
    """Three suites, two precisions, sixteen and five points, three launches with every detail: at most 300 kB."""
    text = render(page(1.0, 1.01, 1.0, suites=("a", "b", "c")))
    assert len(text.encode()) <= 300_000
