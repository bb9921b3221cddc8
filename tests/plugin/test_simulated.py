"""The simulated engine through pytest: it says SIMULATED, rehearses a regression, and never stands for a real one."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from pytest_precgate.cli import main
from tests.published import POINTS
from tests.repository import Repository

SETTINGS = """\
[tool.precgate.suites.kimi]
hardware = "b200"
workload = { isl = 1024, osl = 1024, range_ratio = 0.8 }
interactivity = [55, 73, 91]
fp4 = { engine = "simulated", calibration = "kimi-k2.5-b200-fp4-tp4", window = "whole" }
int4 = { engine = "simulated", calibration = "kimi-k2.5-b200-int4-tp8", window = "whole" }
"""


# The points around the gates: a sweep from end to end takes five times as long.
AROUND = SETTINGS.replace(
    'calibration = "kimi-k2.5-b200-fp4', 'concurrency = [8, 16, 32, 64], calibration = "kimi-k2.5-b200-fp4'
)
AROUND = AROUND.replace(
    'calibration = "kimi-k2.5-b200-int4', 'concurrency = [4, 8, 16, 32], calibration = "kimi-k2.5-b200-int4'
)


@pytest.fixture
def rehearsed(repository: Repository) -> Repository:
    """The suite on the simulated engine, its baseline recorded."""
    repository.write_settings(AROUND)
    repository.record()
    return repository


def test_every_report_of_simulated_figures_says_so(rehearsed: Repository) -> None:
    """Terminal, Markdown, JSON, JUnit, failure text and `baseline show`."""
    rehearsed.change_settings('fp4-tp4", ', 'fp4-tp4", slowdown = 0.08, ')
    result = rehearsed.run("--precgate-markdown=g.md", "--precgate-json=g.json", "--junitxml=g.xml")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "SIMULATED FP4 throughput_per_gpu fell *",
            "against baselines/kimi.json (tolerance *)",
            "kimi: FP4 against INT4 on b200* - SIMULATED (FP4 and INT4), measured on no machine",
        ]
    )
    assert "SIMULATED" in (rehearsed.path / "g.md").read_text(encoding="utf-8")
    document = json.loads((rehearsed.path / "g.json").read_text(encoding="utf-8"))
    assert document["checks"][0]["comparison"]["candidate"]["simulated"] is True
    values = [str(entry.get("value")) for entry in ET.parse(rehearsed.path / "g.xml").iter("property")]
    assert values
    assert all(value.startswith("SIMULATED ") for value in values)


def test_a_slowdown_rehearses_a_regression(rehearsed: Repository) -> None:
    """8% longer FP4 steps block, 0.5% pass; INT4's gates do not move."""
    assert rehearsed.run().ret == 0
    rehearsed.change_settings('fp4-tp4", ', 'fp4-tp4", slowdown = 0.08, ')
    result = rehearsed.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["REGRESSED  fp4 throughput_per_gpu at 55 *", "int4 throughput_per_gpu * +0.* PASS*"])
    rehearsed.change_settings("slowdown = 0.08", "slowdown = 0.005")
    assert rehearsed.run().ret == 0


def test_a_pass_that_rests_on_points_without_an_error_is_inconclusive(repository: Repository) -> None:
    """The value passes, and its points ended after a second of two minutes; the other precision's gates pass."""
    repository.write_settings(AROUND.replace('window = "whole"', "noise = { step_sigma = 0.1 }"))
    assert repository.run("--precgate-update").ret == 0
    assert repository.run().ret == 0
    repository.change_settings("step_sigma = 0.1 } }\nint4", "step_sigma = 0.1 }, window_limit_s = 1 }\nint4")
    result = repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "INCONCLUSIVE  fp4 throughput_per_gpu at 91 *; its points ended before their error could be estimated, "
            "and the baseline's points have an estimate; give them more time with window_limit_s",
            "int4 throughput_per_gpu * PASS * PASS * PASS*",
        ]
    )


def test_a_simulated_baseline_never_matches_a_recorded_sweep(rehearsed: Repository) -> None:
    """Another engine kind is a MISMATCH, with any figures."""
    recorded = '{ engine = "recorded", path = "points.csv" }'
    rehearsed.write_settings(SETTINGS.split("fp4 =", maxsplit=1)[0] + f"fp4 = {recorded}\nint4 = {recorded}\n")
    result = rehearsed.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["MISMATCH *fp4: engine is recorded, the baseline's is simulated*"])


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (
            'fp4-tp4", window',
            'int4-tp8", seed = 1, window',
            "fp4: calibration is kimi-k2.5-b200-int4-tp8, the baseline's is *",
        ),
        (
            'fp4-tp4", window = "whole"',
            'fp4-tp4", window = "steady"',
            "fp4: window is steady, the baseline's is whole*",
        ),
    ],
)
def test_another_calibration_or_window_is_a_mismatch(rehearsed: Repository, old: str, new: str, why: str) -> None:
    """Its figures are of another model, or taken another way."""
    rehearsed.change_settings(old, new)
    result = rehearsed.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"MISMATCH *{why}"])


def test_configurations_of_one_precision_are_swept_and_merged(repository: Repository) -> None:
    """Two entries, one cloud: keys of the precision hold for both, each has its own label and facts."""
    repository.write_settings(
        SETTINGS.split("fp4 =", maxsplit=1)[0]
        + """
[tool.precgate.suites.kimi.fp4]
engine = "simulated"
calibration = "kimi-k2.5-b200-fp4-tp4"
requests_per_slot = 4
[[tool.precgate.suites.kimi.fp4.configurations]]
configuration = "low"
concurrency = [1, 2, 4]
[[tool.precgate.suites.kimi.fp4.configurations]]
configuration = "high"
concurrency = [32, 64]
[tool.precgate.suites.kimi.int4]
engine = "recorded"
path = "points.csv"
"""
    )
    repository.write_test(
        "def test_cloud(precgate):\n"
        "    points = precgate.sweep('fp4').points\n"
        "    assert [(p.configuration, p.concurrency) for p in points] == [\n"
        "        ('high', 32), ('high', 64), ('low', 1), ('low', 2), ('low', 4)]\n"
        "    pair = precgate.compare('fp4', 'int4')\n"
        "    precgate.check(pair)\n"
    )
    result = repository.run("--precgate-update")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["* - SIMULATED (FP4), measured on no machine"])
    hard = json.loads(repository.baseline.read_text(encoding="utf-8"))["launches"][0]["fingerprint"]["hard"]
    assert {key for key in hard if key.startswith("calibration")} == {"calibration.1", "calibration.2"}


@pytest.mark.parametrize(
    ("configurations", "why"),
    [
        ("[]", "got an empty list, wanted at least one configuration*configurations"),
        ("[{ configuration = 'a' }, { confguration = 'b' }]", "unknown key 'confguration'*configurations[[]1]"),
        ("3", "got 3, wanted a list*configurations"),
    ],
)
def test_configurations_that_cannot_be_used_exit_4(repository: Repository, configurations: str, why: str) -> None:
    """The entry is named."""
    repository.write_settings(
        SETTINGS.replace('window = "whole" }\nint4', f"configurations = {configurations} }}\nint4")
    )
    result = repository.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: precgate: *{why}*"])


def test_the_same_configuration_twice_is_refused(repository: Repository) -> None:
    """Two entries without labels of their own measure the same key twice."""
    repository.write_settings(
        SETTINGS.replace('window = "whole" }\nint4', "concurrency = [1, 2], configurations = [{}, {}] }\nint4")
    )
    result = repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *holds concurrency 1 twice for configuration 'default' on 4 GPUs*"])


def test_calibrate_fits_and_says_how_well(
    repository: Repository, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command writes a file the engine reads, and prints the error of every point."""
    monkeypatch.chdir(repository.path)
    lines = POINTS.read_text(encoding="utf-8").splitlines()
    head = next(line for line in lines if line.startswith("precision,"))
    kept = [line for line in lines if line.startswith("fp4,vllm-tp4-ep1,") and line.split(",")[6] in ("1", "2", "4")]
    short = "\n".join([head, *kept]).replace("1024", "128")  # the time of a fit grows with the length of the requests
    (repository.path / "few.csv").write_text(short + "\n", encoding="utf-8")
    assert main(["calibrate", "few.csv", "--out", "mine.json"]) == 0
    assert "concurrency  tpot error  throughput error" in capsys.readouterr().err
    settings = SETTINGS.replace('kimi-k2.5-b200-fp4-tp4"', 'mine.json", concurrency = "doubling"')
    repository.write_settings(settings.replace("1024", "128"))
    repository.write_test("def test_x(precgate):\n    assert len(precgate.sweep('fp4').points) == 3\n")
    assert repository.run("test_kimi.py").ret == 0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([f"{POINTS}:fp4"], "say which with --configuration"),
        ([f"{POINTS}:fp4", "--configuration", "vllm-tp4"], "no configuration 'vllm-tp4'; did you mean 'vllm-tp4-ep"),
        ([f"{POINTS}:fp4", "--configuration", "vllm-tp8-ep1", "--range-ratio", "2"], "range_ratio: got 2.0"),
    ],
)
def test_what_cannot_be_calibrated_exits_2(capsys: pytest.CaptureFixture[str], arguments: list[str], why: str) -> None:
    """Several configurations, an unknown one, an impossible workload."""
    assert main(["calibrate", *arguments]) == 2
    assert why in capsys.readouterr().err


def test_a_baseline_too_noisy_for_any_launch_to_pass_says_so_when_it_is_recorded(repository: Repository) -> None:
    """On the terminal and in Markdown, with what to do; a quiet one says nothing of the kind."""
    quick = (
        SETTINGS.replace("1024", "128").replace("[55, 73, 91]", "[80]").replace("}\n", ", concurrency = [4, 16] }\n")
    )
    quick = quick.replace("0.8 , concurrency = [4, 16] }", "0.8 }")
    repository.write_settings(quick)
    quiet = repository.run("--precgate-update")
    assert quiet.ret == 0
    quiet.stdout.no_fnmatch_line("*will be INCONCLUSIVE*")

    repository.write_settings(quick.replace("concurrency", "noise = { launch_sigma = 0.02 }, concurrency"))
    noisy = repository.run("--precgate-update", "--precgate-reason=another machine", "--precgate-markdown=g.md")
    assert noisy.ret == 0
    said = " of 3 gates will be INCONCLUSIVE for any launch: fp4/int4 throughput_ratio at 80 tok/s/user: its "
    noisy.stdout.fnmatch_lines([f"warning: *{said}* set must_detect = *record more launches (baseline_launches)"])
    assert "of 3 gates will be INCONCLUSIVE" in (repository.path / "g.md").read_text(encoding="utf-8")
    judged = repository.run()
    assert judged.ret == 1
    judged.stdout.fnmatch_lines(["*failed, 3 gates: *INCONCLUSIVE* against *"])
