"""A waived gate lets the merge pass and is shown as what it is."""

from __future__ import annotations

import pytest

from tests.repository import Repository

WAIVER = """
[[tool.precgate.waive]]
suite = "kimi"
metric = "throughput_per_gpu"
precision = "fp4"
point = 55
ceiling = 0.10
reason = "kernel rewritten for correctness"
expires = 2999-12-31
"""
ONE_GATE = """\
import pytest

@pytest.mark.precgate(points=[55], metrics=["throughput_per_gpu"], tolerance=0.05)
def test_fp4_pays_off(precgate):
    precgate.check(precgate.compare("fp4", "int4"))
"""


def slower_and_waived(repository: Repository, waiver: str = WAIVER) -> None:
    """Accept a baseline of one gate, make FP4 8% slower, and waive it."""
    repository.write_test(ONE_GATE)
    assert repository.run("--precgate-update").ret == 0
    repository.write_points(fp4=0.92)
    repository.write_settings((repository.path / "pyproject.toml").read_text(encoding="utf-8") + waiver)


def test_a_waived_gate_passes_and_is_never_shown_as_pass(repository: Repository) -> None:
    """Exit 0, WAIVED in the table and in the count."""
    slower_and_waived(repository)
    result = repository.run("--precgate-json=out.json", "--junitxml=out.xml")
    assert result.ret == 0
    words = "waived until 2999-12-31 up to 10.0%: kernel rewritten for correctness"
    result.stdout.fnmatch_lines(
        [
            "fp4 throughput_per_gpu *-8.0% WAIVED",
            f"WAIVED  fp4 throughput_per_gpu at 55 tok/s/user: {words}",
            "*: passed, 2 gates: 1 WAIVED, 1 PASS *",
        ]
    )
    assert f"launches 1, {words}" in (repository.path / "out.xml").read_text(encoding="utf-8")
    text = (repository.path / "out.json").read_text(encoding="utf-8")
    assert "waived until 2999-12-31 up to 10.0%: kernel rewritten for correctness" in text


def test_a_loss_beyond_the_ceiling_is_blocked_and_names_the_waiver(repository: Repository) -> None:
    """Exit 1: a waiver is no blank cheque."""
    slower_and_waived(repository, WAIVER.replace("0.10", "0.06"))
    result = repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*REGRESSED *by more than its waiver allows (6.0%: kernel rewritten*"])


@pytest.mark.parametrize(
    ("waiver", "why"),
    [
        (
            WAIVER.replace("2999", "2020"),
            "*waiver of suite kimi, fp4 throughput_per_gpu at 55 *: expired on 2020-12-31*",
        ),
        (WAIVER.replace('"fp4"', '"int4"'), "*waiver of suite kimi, int4 *: not needed: the gate passes without it*"),
        (WAIVER.replace("55", "56"), "*waiver of suite kimi, fp4 *at 56 *: no gate of its suite matches it*"),
    ],
)
def test_an_expired_or_unused_waiver_fails_the_run(repository: Repository, waiver: str, why: str) -> None:
    """For any verdicts of the gates."""
    slower_and_waived(repository, waiver)
    result = repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"FAIL: {why}"])


def test_a_failed_check_prints_the_waivers_that_let_it_pass(repository: Repository) -> None:
    """Pasted as they are, they do; each names the points that regressed."""
    assert repository.run("--precgate-update").ret == 0
    repository.write_points(fp4=0.92)
    result = repository.run()
    assert result.ret == 1
    lines = [line.replace('"..."', '"known"') for line in result.outlines]
    start = next(
        number for number, line in enumerate(lines) if line.startswith("to accept this for a while, give a reason")
    )
    block = "\n".join(lines[start + 1 : next(i for i in range(start, len(lines)) if lines[i].startswith("="))])
    points_and_ceiling = "point     = [55, 73, 91]\nceiling   = 0.09\nexpires   = 20"
    assert f'metric    = "throughput_ratio"\nprecision = "fp4/int4"\n{points_and_ceiling}' in block
    repository.write_settings((repository.path / "pyproject.toml").read_text(encoding="utf-8") + block)
    again = repository.run("-v")
    assert again.ret == 0
    again.stdout.fnmatch_lines(
        ["WAIVED  fp4/int4 throughput_ratio, fp4 throughput_per_gpu at 55, 73, 91 tok/s/user: waived * 9.0%: known"]
    )


@pytest.mark.parametrize("point", ["point = [55]", ""])
def test_a_waiver_may_list_its_points_or_name_none(repository: Repository, point: str) -> None:
    """Then it is for every point of the metric."""
    slower_and_waived(repository, WAIVER.replace("point = 55", point))
    assert repository.run().ret == 0


def test_an_update_waives_nothing(repository: Repository) -> None:
    """The gate is recorded anew and not held against what it was: it shows what it lost."""
    slower_and_waived(repository)
    result = repository.run("--precgate-update", "--precgate-lower-anchor", "--precgate-reason=a kernel rewritten")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*WAIVED*")


def test_an_update_does_not_ask_whether_a_waiver_is_needed(repository: Repository) -> None:
    """A waiver of a gate that did not move, and one of no gate: the next judged run says so, the update does not."""
    slower_and_waived(repository, WAIVER + WAIVER.replace("55", "56"))
    repository.write_points()
    result = repository.run("--precgate-update")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*waiver of suite*")


def test_a_run_cut_short_does_not_say_that_a_waiver_names_no_gate(repository: Repository) -> None:
    """The test that checks its gate may be one that did not run."""
    slower_and_waived(repository, WAIVER.replace("55", "56"))
    repository.write_points()
    repository.write_test("def test_a():\n    assert False\n", name="test_a.py")
    result = repository.run("-x")
    assert result.ret == 1
    result.stdout.no_fnmatch_line("*waiver of suite*")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (
            'suite = "kimi"',
            'suite = "kimmi"',
            "*unknown value 'kimmi'; did you mean 'kimi'*@ tool.precgate.waive[[]0[]].suite*",
        ),
        ("expires = 2999-12-31", 'expires = "soon"', "*got 'soon', wanted a day, written 2026-12-31 without quotes*"),
        ('precision = "fp4"', 'precision = "fp4/int4"', "*got fp4/int4, wanted fp4*"),
        ('reason = "kernel rewritten for correctness"', "", "*required field missing*waive[[]0[]].reason*"),
    ],
)
def test_a_waiver_that_cannot_be_read_is_a_usage_error(repository: Repository, old: str, new: str, why: str) -> None:
    """File, key and what was wanted, before anything is measured."""
    slower_and_waived(repository, WAIVER.replace(old, new))
    result = repository.run()
    assert result.ret == 4
    result.stderr.fnmatch_lines([why])
