"""Every report says what its run cost: what was held, what was virtual, what an earlier run had paid for."""

from __future__ import annotations

import json
import re
from typing import Any, cast

import pytest

from tests.plugin.sites import Site
from tests.plugin.test_runs import SETTINGS
from tests.repository import Repository

TIME = r"\d+\.\d+"


@pytest.fixture
def simulated(repository: Repository) -> Repository:
    """A suite on the simulated engine whose launches take 15 minutes each; its baseline recorded."""
    repository.write_settings(re.sub(r"requests_per_slot = 4", r"\g<0>\nstart_s = 900", SETTINGS))
    assert repository.run("--precgate-update").ret == 0
    return repository


def costs(repository: Repository, name: str = "g.json") -> list[dict[str, Any]]:
    """What the JSON report says of the cost of each suite."""
    return cast(list[dict[str, Any]], json.loads((repository.path / name).read_text(encoding="utf-8"))["costs"])


def said(result: pytest.RunResult, what: str = "cost of this run: ") -> list[str]:
    """Every line that tells a cost."""
    return [line for line in result.outlines if what in line]


def test_a_simulated_run_tells_virtual_costs(simulated: Repository) -> None:
    """Terminal, Markdown, JSON: 15 minutes on 4 and 8 GPUs, and the seconds of every point as its journal has them."""
    result = simulated.run("--precgate-json=g.json", "--precgate-markdown=g.md")
    assert result.ret == 0
    (line,) = said(result)
    pattern = (
        rf"kimi: cost of this run: 2 launches, 9 points, ({TIME}) virtual GPU-minutes, SIMULATED \(180\.0 starting, "
    )
    assert re.match(pattern, line)
    assert line in (simulated.path / "g.md").read_text(encoding="utf-8").replace("\\", "")
    (cost,) = costs(simulated)
    (spent,) = cost["cost"]
    assert spent["starting_gpu_s"] == 900 * (4 + 8)
    *_, path = sorted(simulated.path.glob(".precgate/runs/*/journal.jsonl"))
    events = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    points = [event["gpu_seconds"] for event in events if event["event"] == "point"]
    assert spent["measuring_gpu_s"] == pytest.approx(sum(points))
    assert spent["dollars"] == pytest.approx((sum(points) + 10800) / 3600 * 1.95)
    assert (spent["simulated"], cost["reused"], cost["replayed"]) == (True, [], False)


def test_a_report_tells_what_the_verdicts_took_and_what_the_full_rule_takes(simulated: Repository) -> None:
    """One launch of each precision of three; in JSON, and in the terminal with -v alone."""
    result = simulated.run_short("--precgate-json=g.json")
    assert said(result, "the verdicts took") == []
    (cost,) = costs(simulated)
    took = cost["verdict"]
    assert (took["launches"], took["full_launches"], took["is_whole"], took["simulated"]) == (2, 6, True, True)
    assert took["gpu_s"] == pytest.approx(cost["cost"][0]["gpu_s"])
    assert took["full_gpu_s"] == pytest.approx(3 * took["gpu_s"])
    assert took["full_dollars"] == pytest.approx(3 * took["dollars"])
    (line,) = said(simulated.run(), "the verdicts took")
    assert re.match(
        rf"kimi: the verdicts took 2 launches, {TIME} virtual GPU-minutes, SIMULATED, \$\d+\.\d\d; the full rule "
        rf"\(first good of 3 launches\) takes 6 launches, {TIME} virtual GPU-minutes, SIMULATED, \$\d+\.\d\d$",
        line,
    )
    assert simulated.run("--precgate-update", "--precgate-json=g.json").ret == 0
    assert costs(simulated)[0]["verdict"] is None


def test_a_replay_and_a_resumption_tell_what_was_paid_for_before(simulated: Repository) -> None:
    """Nothing by themselves here; what the judged or reused launches had cost is the earlier run's figure."""
    assert simulated.run("--precgate-json=g.json").ret == 0
    (first,) = costs(simulated)
    for flag, words, had in (
        ("replay", "kimi: cost of this run: nothing, judged again", "the judged run had cost"),
        ("resume", "kimi: cost of this run: nothing, everything was reused", "reused, paid for by an earlier run"),
    ):
        result = simulated.run(f"--precgate-{flag}=latest", "--precgate-json=g.json")
        assert result.ret == 0
        assert said(result) == [words]
        assert said(result, had)[0].startswith(f"kimi: {had}: 2 launches, 9 points, ")
        (cost,) = costs(simulated)
        assert cost["cost"] == []
        assert cost["reused"] == first["cost"]
        assert cost["replayed"] == (flag == "replay")


def test_recorded_points_cost_nothing_and_say_so(repository: Repository) -> None:
    """In few words."""
    result = repository.run("--precgate-update")
    assert said(result) == ["kimi: cost of this run: nothing, its points take no GPU"]
    document = json.loads(repository.baseline.read_text(encoding="utf-8"))
    assert all("costs" not in launch for launch in document["launches"])


def test_a_baseline_keeps_what_its_launches_cost(simulated: Repository) -> None:
    """Points, start and measuring of each configuration; another start is no reason to rewrite the file."""
    text = simulated.baseline.read_text(encoding="utf-8")
    launches = json.loads(text)["launches"]
    kept = {launch["precision"]: launch["costs"] for launch in launches}
    assert {name: [(cost["points"], cost["starting_gpu_s"]) for cost in each] for name, each in kept.items()} == {
        "fp4": [(5, 3600.0)],
        "int4": [(4, 7200.0)],
    }
    settings = (simulated.path / "pyproject.toml").read_text(encoding="utf-8")
    simulated.write_settings(settings.replace("start_s = 900", "start_s = 60"))
    result = simulated.run("--precgate-update")
    result.stdout.fnmatch_lines(["baselines/kimi.json: unchanged"])
    assert simulated.baseline.read_text(encoding="utf-8") == text


def test_servers_are_paid_for_from_start_to_stop(site: Site) -> None:
    """Two starts; starting, measuring and idling are all of the time the GPUs were held."""
    result = site.repository.run("--precgate-update", "--precgate-json=g.json")
    assert result.ret == 0
    (line,) = said(result)
    parts = rf"\({TIME} starting, {TIME} measuring, {TIME} idle\)"
    assert re.match(rf"kimi: cost of this run: 2 launches, 4 points, {TIME} GPU-minutes held {parts}, \$", line)
    (cost,) = costs(site.repository)
    (spent,) = cost["cost"]
    assert spent["gpu_s"] == spent["held_gpu_s"] > spent["starting_gpu_s"] + spent["measuring_gpu_s"] > 0
    assert spent["dollars"] == pytest.approx(spent["held_gpu_s"] / 3600 * 1.95)
    launches = json.loads(site.repository.baseline.read_text(encoding="utf-8"))["launches"]
    starts = [cost["starting_gpu_s"] for launch in launches for cost in launch["costs"]]
    assert sum(starts) == pytest.approx(spent["starting_gpu_s"], rel=0.05)


def test_a_failed_start_cost_something_and_so_did_a_failed_point(site: Site) -> None:
    """Nothing was measured, and the GPUs were held all the same."""
    site.behave("trtllm-serve", "--behave fails --failure executor-memory")
    result = site.repository.run("--precgate-json=g.json")
    assert result.ret == 1
    (spent,) = costs(site.repository)[0]["cost"]
    assert (spent["launches"], spent["points"], spent["measuring_gpu_s"]) == (1, 0, 0.0)
    assert spent["held_gpu_s"] == spent["starting_gpu_s"] > 0
    site.behave("trtllm-serve", "--behave dies-serving --after 10")
    assert site.repository.run("--precgate-json=g.json").ret == 1
    (spent,) = costs(site.repository)[0]["cost"]
    assert spent["launches"] == 1
    assert spent["held_gpu_s"] > spent["starting_gpu_s"] + spent["measuring_gpu_s"]


def test_a_served_simulation_holds_no_gpu(simulated: Repository) -> None:
    """A test that talks to it spent nothing, and nothing is said of it."""
    simulated.write_test("def test_up(fp4_engine):\n    assert fp4_engine.url\n")
    result = simulated.run("--precgate-json=g.json", "--precgate-unused=ignore")
    assert result.ret == 0
    assert costs(simulated) == []
