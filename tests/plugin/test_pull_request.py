"""What a run leaves for a pull request: files, a summary, annotations; also where no gate was judged."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from tests.repository import TEST, Repository

FILES = ("--precgate-markdown=out/gate.md", "--precgate-svg=out/pictures/gate.svg", "--precgate-junit=out/gates.xml")


def commands(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if line.startswith("::")]


def test_a_failed_gate_is_told_in_every_file_and_annotated_at_its_suite(
    accepted: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Markdown links to the picture from where it lies; the summary of the job has no picture beside it."""
    summary = accepted.path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(accepted.path.parent))
    accepted.write_points(fp4=0.92)
    result = accepted.run_short(*FILES)
    assert result.ret == 1
    text = (accepted.path / "out" / "gate.md").read_text(encoding="utf-8")
    assert text.startswith("<!-- pytest-precgate report of kimi -->\n## \u274c precgate: failed\n\n**FP4 throughput")
    assert "](pictures/gate.svg)" in text
    assert "![" not in summary.read_text(encoding="utf-8")
    picture = ET.parse(accepted.path / "out" / "pictures" / "gate.svg").getroot()
    assert "fell 8.0%" in (picture.findtext("{http://www.w3.org/2000/svg}title") or "")
    (suite,) = ET.parse(accepted.path / "out" / "gates.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("9", "6")
    (command,) = commands(result)
    place = f"file={accepted.path.name}/pyproject.toml,line=1,title=precgate%3A kimi"
    assert command.startswith(f"::error {place}::FP4 throughput_per_gpu fell 8.0%25 at 55, 73 and 91 tok/s/user%0A")


def test_a_passed_run_and_one_on_no_runner_are_not_annotated(
    accepted: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is printed that a runner reads as a command."""
    accepted.write_points(fp4=0.92)
    assert commands(accepted.run_short()) == []
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    accepted.write_points()
    assert commands(accepted.run_short()) == []


@pytest.mark.parametrize("when", ["before it measured", "after its gates passed"])
def test_a_gate_test_that_fails_for_another_reason_is_never_told_as_passed(
    accepted: Repository, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Its reason stands in the summary, in JUnit and in an annotation; the comment is that of the suite."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    check = "    precgate.check(precgate.compare('fp4', 'int4'))\n"
    stop = "    raise ValueError('no|server')\n"
    body = stop if when == "before it measured" else check + stop
    accepted.write_test(f"def test_fp4_pays_off(precgate):\n{body}")
    result = accepted.run_short(*FILES, "--precgate-json=gate.json")
    assert result.ret == 1
    text = (accepted.path / "out" / "gate.md").read_text(encoding="utf-8")
    assert text.startswith("<!-- pytest-precgate report of kimi -->\n## \u274c precgate: failed\n")
    assert "- **FAIL** `test_kimi.py::test_fp4_pays_off`: ValueError: no\\|server\n" in text
    errors = [
        case
        for case in ET.parse(accepted.path / "out" / "gates.xml").iter("testcase")
        if case.find("error") is not None
    ]
    assert len(errors) == 1
    title = "title=precgate%3A a gate test failed"
    assert f"::error {title}::test_kimi.py::test_fp4_pays_off: ValueError: no|server" in commands(result)
    document = json.loads((accepted.path / "gate.json").read_text(encoding="utf-8"))
    assert len(document["checks"]) == (0 if when == "before it measured" else 1)


def test_settings_outside_of_the_repository_give_annotations_without_a_line(
    accepted: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that GitHub does not know is not named."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(accepted.path / "elsewhere"))
    accepted.write_points(fp4=0.92)
    (command,) = commands(accepted.run_short())
    assert command.startswith("::error title=precgate%3A kimi::FP4")


@pytest.mark.parametrize("cut", ["-x", "--continue-on-collection-errors"])
def test_a_run_that_was_cut_short_is_never_told_as_passed(accepted: Repository, cut: str) -> None:
    """One gate passed, and another one did not run, or its file could not be collected."""
    accepted.write_test("def test_other():\n    assert not 1\n", "test_kimi_2.py")
    last = "def test_late(precgate):\n    pass\n" if cut == "-x" else "import nowhere\n"
    accepted.write_test(last, "test_kimi_3.py")
    result = accepted.run_short(*FILES, cut, "--precgate-unused=ignore", ".")
    assert result.ret in (1, 2)
    text = (accepted.path / "out" / "gate.md").read_text(encoding="utf-8")
    assert "precgate: failed" in text.splitlines()[1]
    assert "9 PASS" in text
    (told,) = [line for line in text.splitlines() if line.startswith("- **FAIL**")]
    assert "`test_kimi_3.py" in told
    assert ("did not run" in told) is (cut == "-x")
    assert len(list(ET.parse(accepted.path / "out" / "gates.xml").iter("error"))) == 1


LEAVES_OUT = """\
import pytest

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config, items):
    yield
    late = [item for item in items if item.name == "test_other"]
    config.hook.pytest_deselected(items=late)
    items[:] = [item for item in items if item not in late]
"""


def test_a_test_that_was_left_out_on_purpose_is_not_said_not_to_have_run(accepted: Repository) -> None:
    """A plugin leaves it out after this one has seen it."""
    accepted.write_test(f"{TEST}\n\ndef test_other(precgate):\n    assert not precgate\n")
    accepted.write_test(LEAVES_OUT, "conftest.py")
    result = accepted.run_short(*FILES)
    assert result.ret == 0
    result.assert_outcomes(passed=1, deselected=1)
    text = (accepted.path / "out" / "gate.md").read_text(encoding="utf-8")
    assert text.splitlines()[1].endswith("precgate: passed")
