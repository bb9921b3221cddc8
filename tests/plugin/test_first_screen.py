"""What a person sees first: a failed check in 80 columns, a short pass, colours; and a run that is shown later."""

from __future__ import annotations

import re

import pytest

from pytest_precgate.cli import main
from tests.plugin.paced import QUIET, SETTINGS, Paced
from tests.repository import TEST, Repository


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def section(lines: list[str], title: str) -> list[str]:
    """The lines between a title of pytest's and the next one."""
    start = next(number for number, line in enumerate(lines) if re.fullmatch(rf"[=_]+ {title} [=_]+", line))
    rest = lines[start + 1 :]
    return rest[: next(number for number, line in enumerate(rest) if re.match(r"(=+|-) ", line))]


def test_a_failed_check_fits_and_is_told_once(accepted: Repository) -> None:
    """Three lines, then the gates that did not pass, within 20 lines and 80 columns; the summary adds one sentence."""
    accepted.write_points(fp4=0.92)
    result = accepted.run_short("--junitxml=out.xml")
    assert result.ret == 1
    text = section(result.outlines, "test_fp4_pays_off")
    assert text[:3] == [
        "FP4 throughput_per_gpu fell 8.0% at 55, 73 and 91 tok/s/user",
        "against baselines/kimi.json (tolerance 2.5%)",
        "1 launch, noise unknown: find the cause, or waive it (details)",
    ]
    assert len(text) <= 20
    assert text[-1] == "details: pytest -v"
    summary = section(result.outlines, "precgate")
    assert " ".join(summary).startswith("test_kimi.py::test_fp4_pays_off: failed, 9 gates: 6 REGRESSED, 3 PASS")
    assert len(summary) == 2
    assert max(map(len, [*text, *summary])) <= 80
    assert "FP4 throughput_per_gpu fell 8.0%" in (accepted.path / "out.xml").read_text(encoding="utf-8")


def test_without_tracebacks_the_summary_tells_the_failure(accepted: Repository) -> None:
    """--tb=no hides pytest's own part; the answer is still there once."""
    accepted.write_points(fp4=0.92)
    result = accepted.run_short("--tb=no", "-rN")
    assert result.outlines.count("FP4 throughput_per_gpu fell 8.0% at 55, 73 and 91 tok/s/user") == 1


def test_colours_are_pytest_s(accepted: Repository) -> None:
    """--color=yes paints the first line and the rows red, --color=no nothing."""
    accepted.write_points(fp4=0.92)
    red = accepted.run_short("--color=yes").stdout.str()
    assert "\x1b[31mFP4 throughput_per_gpu fell 8.0%" in red
    assert re.search(r"\x1b\[31mfp4 throughput_per_gpu +91 .*REGRESSED", red)
    assert "\x1b" not in accepted.run_short("--color=no").stdout.str()


def test_a_pass_is_short(accepted: Repository) -> None:
    """The ratios, the verdict, the largest loss and what is caught: no table."""
    accepted.write_points(fp4=0.99)
    result = accepted.run_short()
    assert result.ret == 0
    summary = section(result.outlines, "precgate")
    assert re.search(r"FP4/INT4 at 55, 73, 91 tok/s/user: tok/s/GPU 2\.8\d\dx, ", " ".join(summary))
    assert "largest loss 1.0%, fp4" in " ".join(summary)
    assert len(summary) <= 12
    assert max(map(len, summary)) <= 80


def test_a_rename_is_told_once_with_one_command(accepted: Repository) -> None:
    """Where the new name fails; what the old one left unused points there."""
    accepted.write_test(TEST.replace("pays_off", "is_cheap"))
    result = accepted.run_short("--color=no")
    assert result.ret == 1
    assert result.stdout.str().count("precgate baseline prune") == 1
    assert "precgate baseline prune --reason" in result.stdout.str()


def test_a_kept_run_is_shown_with_all_digits_and_without_measuring(
    repository: Repository, paced: Paced, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure names the command; it prints the same verdicts, every launch and fact, and starts nothing."""
    repository.write_settings(SETTINGS)
    paced(fp4=QUIET, int4=QUIET[::-1])
    assert repository.run_short("--precgate-update").ret == 0
    paced(fp4=[1.08])
    repository.write_test(f"import pytest\n@pytest.mark.precgate(points=[85])\n{TEST}")
    result = repository.run_short("--precgate-unused=ignore")
    assert result.ret == 1
    (details,) = (line for line in result.outlines if line.startswith("details: precgate show "))
    runs = sorted((repository.path / ".precgate" / "runs").iterdir())
    monkeypatch.chdir(repository.path)
    capsys.readouterr()
    assert main(details.removeprefix("details: precgate ").split()) == 0
    text = capsys.readouterr().out
    assert "test_kimi.py::test_fp4_pays_off: failed, 3 gates: 2 REGRESSED, 1 PASS" in text  # the mark's point alone
    assert "SIMULATED FP4 throughput_per_gpu fell 17.3% at 85 tok/s/user" in text
    assert re.search(r"value \d+\.\d{5,}", " ".join(text.split()))
    assert "[[tool.precgate.waive]]" in text
    assert "SIMULATED fp4 launch 2" in text
    assert re.search(r"fp4 engine \(must agree\): simulated", text)
    assert sorted((repository.path / ".precgate" / "runs").iterdir()) == runs


def test_a_run_that_is_not_there_is_refused(accepted: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, and the newest are named."""
    accepted.pytester.chdir()
    assert main(["show", "latest"]) == 2
    assert "no such run" in capsys.readouterr().err
