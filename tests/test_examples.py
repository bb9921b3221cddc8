"""The repository is its own first user: its examples run as a user's repository would."""

from __future__ import annotations

import shutil

import pytest

from pytest_precgate.cli import main
from tests.published import ROOT
from tests.repository import QUIET, Repository

COPIED = ("pyproject.toml", "baselines", "examples", "examples_b200", "examples_blocked")


@pytest.fixture
def copied(pytester: pytest.Pytester) -> pytest.Pytester:
    """The files a user would copy, in an empty directory."""
    for name in COPIED:
        source = ROOT / name
        target = pytester.path / name
        if source.is_dir():
            # The last is one machine's own, recorded by an earlier run of that example here.
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "llama-cpp-4-bit.json"))
        else:
            shutil.copy(source, target)
    return pytester


def test_the_examples_pass_and_end_with_the_comparison(copied: pytest.Pytester) -> None:
    """`pytest examples/`: exit 0, 9 gates pass, the published picture on the screen."""
    result = copied.runpytest_subprocess(*QUIET, "-v", "examples")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "kimi-k2-b200: FP4 against INT4 on b200*",
            "*55  1028.1 / 361.2  0.527 / 1.500 *",
            "examples/test_kimi_k2_b200.py::test_fp4_pays_off: passed, 9 gates: 9 PASS*",
            "kimi-k2-b200-simulated: FP4 against INT4 on b200* - SIMULATED (FP4 and INT4), measured on no machine",
            "examples/test_kimi_k2_b200_simulated.py::test_fp4_pays_off: passed, 9 gates: 9 PASS*",
        ]
    )


def test_the_example_of_a_real_server_says_how_to_get_one(copied: pytest.Pytester) -> None:
    """Without llama-server it is skipped, and the reason is a command."""
    result = Repository(copied).run("-rs", "examples/test_llama_cpp.py")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["SKIPPED * no .llama/llama-server to measure: make llama"])


def test_the_blocked_example_blocks(copied: pytest.Pytester) -> None:
    """The 8% slower FP4: exit 1, FP4 throughput and the ratio named at each point."""
    result = Repository(copied).run("examples_blocked", "--precgate-svg=gate.svg")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            *(f"REGRESSED  fp4/int4 throughput_ratio at {p} *change -8.0%, tolerance 2.5%*" for p in (55, 73, 91)),
            *(f"REGRESSED  fp4 throughput_per_gpu at {p} *change -8.0%, tolerance 2.5%*" for p in (55, 73, 91)),
        ]
    )
    # The manual shows the picture of this very run: after a change, copy gate.svg of `pytest examples_blocked` there.
    shown = (ROOT / "docs" / "images" / "pull-request.svg").read_text(encoding="utf-8")
    assert (copied.path / "gate.svg").read_text(encoding="utf-8") == shown


def test_the_blocked_example_passes_when_only_1_percent_slower(copied: pytest.Pytester) -> None:
    """The same suite and baseline, FP4 at 99% of the published throughput: exit 0."""
    published = (copied.path / "examples" / "points" / "kimi_k2_b200_1k1k.csv").read_text(encoding="utf-8")
    slower = copied.path / "examples_blocked" / "points" / "kimi_k2_b200_1k1k_fp4_8pct_slower.csv"
    lines = []
    for line in published.splitlines():
        *cells, throughput = line.split(",")
        lines.append(",".join([*cells, repr(float(throughput) * 0.99)]) if cells[:1] == ["fp4"] else line)
    slower.write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = Repository(copied).run("examples_blocked")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["fp4 throughput_per_gpu * -1.0% PASS  -1.0% PASS  -1.0% PASS"])


def test_the_slower_recording_is_the_published_one_times_092() -> None:
    """The example's only change is the one its head admits to."""

    def rows(path: str) -> list[list[str]]:
        text = (ROOT / path).read_text(encoding="utf-8")
        return [line.split(",") for line in text.splitlines() if line.startswith(("fp4", "int4"))]

    published = rows("examples/points/kimi_k2_b200_1k1k.csv")
    slower = rows("examples_blocked/points/kimi_k2_b200_1k1k_fp4_8pct_slower.csv")
    assert [row[:-1] for row in slower] == [row[:-1] for row in published]
    for before, after in zip(published, slower, strict=True):
        factor = 0.92 if before[0] == "fp4" else 1.0
        assert float(after[-1]) == pytest.approx(float(before[-1]) * factor, rel=1e-8)


def test_the_committed_baselines_are_sound(copied: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    """`precgate baseline check` on the repository itself."""
    copied.chdir()
    assert main(["baseline", "check"]) == 0
    *unrecorded, last = capsys.readouterr().out.splitlines()
    assert last == "3 baselines in baselines, 0 wrong"
    live, laptop = "suite kimi-k2-b200-live: no baseline; ", "suite llama-cpp-4-bit: no baseline; "
    assert [line.partition("record")[0] for line in unrecorded] == [live, laptop]


def test_the_live_example_is_rehearsed_without_a_gpu(copied: pytest.Pytester) -> None:
    """The suite that starts TensorRT-LLM and vLLM, unchanged: marked SIMULATED, with a baseline of its own."""
    options = ("--precgate-engine=simulated", "--precgate-update")
    result = Repository(copied).run("examples_b200", *options)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "kimi-k2-b200-live: FP4 against INT4 on b200* - SIMULATED (FP4 and INT4), measured on no machine",
            "*baselines/simulated/kimi-k2-b200-live.json: written",
        ]
    )


def test_the_live_example_says_what_this_machine_lacks(
    copied: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the engine: exit 1 at once, the program by name."""
    monkeypatch.setenv("PATH", "")
    result = Repository(copied).run("examples_b200")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *PreflightError: trtllm-serve is not on PATH; install the engine*"])
