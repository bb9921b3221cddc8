"""Settings: every key is known or refused by name with file and spot, and no suite gates nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_precgate.analysis.curves.details import Slo
from pytest_precgate.analysis.gating.gates import Metric
from pytest_precgate.analysis.gating.limits import LaunchPolicy
from pytest_precgate.engines.simulated import SimulatedEngine
from pytest_precgate.errors import SettingsError
from pytest_precgate.settings import Policy, Settings, load, policy_from

SUITE = """
[suites.kimi]
hardware = "b200"
workload = { isl = 1024, osl = 1024, range_ratio = 0.8 }
interactivity = [55, 73, 91]
[suites.kimi.fp4]
engine = "recorded"
path = "points.csv"
[suites.kimi.int4]
engine = "recorded"
path = "points.csv"
"""

SIMULATED = 'engine = "simulated"\ncalibration = "kimi-k2.5-b200-fp4-tp4"'


def loaded(tmp_path: Path, text: str) -> Settings:
    (tmp_path / "precgate.toml").write_text(text, encoding="utf-8")
    return load(tmp_path)


def test_the_seed_configuration_is_read(tmp_path: Path) -> None:
    """Suite, hardware, workload, points and engines, with the default gates."""
    suite = loaded(tmp_path, SUITE).suite(None, "here")
    assert (suite.name, suite.hardware.price_per_gpu_hour, suite.workload.range_ratio) == ("kimi", 1.95, 0.8)
    assert suite.points == (55.0, 73.0, 91.0)
    assert list(suite.engines) == ["fp4", "int4"]
    assert len(suite.gates_for("fp4", "int4", suite.points)) == 9


def test_pyproject_holds_the_same_tables_under_tool_precgate(tmp_path: Path) -> None:
    """[tool.precgate.suites.x] reads like [suites.x] of precgate.toml."""
    (tmp_path / "pyproject.toml").write_text(SUITE.replace("[suites", "[tool.precgate.suites"), encoding="utf-8")
    assert list(load(tmp_path).suites) == ["kimi"]


def test_two_sources_at_once_are_refused(tmp_path: Path) -> None:
    """It must be clear which file counts."""
    (tmp_path / "pyproject.toml").write_text(SUITE.replace("[suites", "[tool.precgate.suites"), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"precgate\.toml: .*pyproject\.toml has a \[tool\.precgate\] too"):
        loaded(tmp_path, SUITE)


def test_no_source_is_no_suite(tmp_path: Path) -> None:
    """A repository that does not use us loads nothing; a test that asks is told where we looked."""
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n", encoding="utf-8")
    settings = load(tmp_path)
    assert settings.suites == {}
    with pytest.raises(SettingsError, match=r"no suite is configured; add \[tool\.precgate\.suites\.NAME\]"):
        settings.suite(None, "test_x")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("[suites.kimi]", "[suits.kimi]", r"unknown key 'suits'; did you mean 'suites'"),
        (
            "interactivity =",
            "interactivty =",
            r"unknown key 'interactivty'; did you mean 'interactivity'.* @ suites\.kimi",
        ),
        ("hardware =", "metrics = []\nhardware =", r"without a metric there is no gate @ suites\.kimi\.metrics"),
        ("hardware =", 'launch_rule = "mean"\nhardware =', r"unknown value 'mean'.* @ suites\.kimi\.launch_rule"),
        (
            "hardware =",
            'launch_rule = "median"\nmax_launches = 4\nhardware =',
            r"max_launches: got 4, wanted an odd number for a median",
        ),
        ("hardware =", "max_launches = 0\nhardware =", r"got 0, wanted at least 1 @ .*max_launches"),
        ("hardware =", "max_launches = 2.5\nhardware =", r"2\.5.* @ suites\.kimi\.max_launches"),
        ("hardware =", "baseline_launches = 0\nhardware =", r"got 0, wanted at least 1 @ .*baseline_launches"),
        ("hardware =", "max_baseline_age_days = -1\nhardware =", r"Suite\.max_baseline_age_days: got -1"),
        ("[55, 73, 91]", "[]", r"without a point there is no gate @ suites\.kimi\.interactivity"),
        ("[55, 73, 91]", '"quartile"', r"unknown value 'quartile'; did you mean 'quartiles'"),
        ("[55, 73, 91]", "[55, 55]", r"55 is repeated @ suites\.kimi\.interactivity\[0\]"),
        (
            "[55, 73, 91]",
            "[55, -1]",
            r"got -1, wanted an interactivity above 0 and at most 1e\+06 tok/s/user @ .*\[1\]",
        ),
        ("[55, 73, 91]", "[55, nan]", r"wanted a finite number"),
        ("[55, 73, 91]", "[55, true]", r"got True, wanted a number"),
        ('"b200"', '"b2000"', r"no price and power known for 'b2000'; did you mean 'b200'.* @ suites\.kimi\.hardware"),
        ("isl = 1024, ", "", r"required field missing @ suites\.kimi\.workload\.isl"),
        ("isl = 1024", "isl = 0", r"got 0, wanted at least 1 @ suites\.kimi\.workload\.isl"),
        ("isl = 1024", 'isl = "1k"', r"got '1k', wanted a whole number @ suites\.kimi\.workload\.isl"),
        ("range_ratio = 0.8", "range_ratio = 1.8", r"Workload\.range_ratio: got 1\.8"),
        ("range_ratio", "ratio_range", r"unknown key 'ratio_range'"),
        ("[suites.kimi.fp4]", "[suites.kimi.nvfp4]", r"unknown key 'nvfp4'; did you mean 'fp4'"),
        (
            'engine = "recorded"',
            'engine = "trtlm"',
            r"unknown value 'trtlm'; did you mean 'trtllm'\?.*, vllm @ suites\.kimi\.fp4\.engine",
        ),
        ('engine = "recorded"', "", r"required field missing @ suites\.kimi\.fp4\.engine"),
        ('path = "points.csv"', 'pth = "points.csv"', r"unknown key 'pth'; did you mean 'path'.* @ suites\.kimi\.fp4"),
        ('path = "points.csv"', "", r"required field missing @ suites\.kimi\.fp4\.path"),
        ("hardware =", "tolerance = 3\nhardware =", r"wanted a tolerance below 1 \(0\.03 is 3%\).* @ suites\.kimi"),
        ("hardware =", "tolerance = 0\nhardware =", r"Gate\.tolerance: got 0"),
        (
            "hardware =",
            "tolerance = { troughput_ratio = 0.1 }\nhardware =",
            r"unknown key 'troughput_ratio'; did you mean 'throughput_ratio'",
        ),
        ("hardware =", "implausible = 0.01\nhardware =", r"below implausible"),
        ("hardware =", 'metrics = ["ttft"]\nhardware =', r"unknown value 'ttft'.* @ suites\.kimi\.metrics\[0\]"),
        ("hardware =", 'metrics = ["cost", "cost"]\nhardware =', r"cost is repeated @ suites\.kimi\.metrics\[0\]"),
        ("hardware =", 'cost = "guess"\nhardware =', r"unknown value 'guess'; known: derived, interpolated"),
        ("[suites.kimi", '[suites."a/b"', r"a suite's name becomes its baseline's file name.* @ suites\.a/b"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_at_its_spot(tmp_path: Path, old: str, new: str, why: str) -> None:
    """Misspelt keys, wrong types, empty lists, impossible values: file, reason and spot are said."""
    with pytest.raises(SettingsError, match=why) as caught:
        loaded(tmp_path, SUITE.replace(old, new))
    assert str(caught.value).startswith(str(tmp_path / "precgate.toml"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("suites = 3", "got 3, wanted a table @ suites"),
        ("[suites]", "holds no suite @ suites"),
        ("", "required field missing @ suites"),
        ("[suites.kimi", "is not TOML"),
        (
            "[suites.kimi]\nhardware='b200'\nworkload={isl=1,osl=1}\ninteractivity=[1]",
            r"names 0 precision\(s\), wanted two to compare; add a table \[suites\.kimi\.fp4\]",
        ),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str, why: str) -> None:
    """Not TOML, no suites, a suite without precisions."""
    with pytest.raises(SettingsError, match=why):
        loaded(tmp_path, text)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """Bytes that are no text."""
    (tmp_path / "precgate.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="is not TOML"):
        load(tmp_path)


def test_hardware_is_overridden_or_added(tmp_path: Path) -> None:
    """A price replaces the built-in one and says so; a new GPU needs both figures."""
    table = (
        "\n[hardware.b200]\nprice_per_gpu_hour = 2.5\n[hardware.ours]\nprice_per_gpu_hour = 1\npower_kw_per_gpu = 2\n"
    )
    settings = loaded(tmp_path, SUITE + table)
    b200 = settings.suites["kimi"].hardware
    assert (b200.price_per_gpu_hour, b200.power_kw_per_gpu, b200.source) == (2.5, 2.17, "set in precgate.toml")
    assert settings.hardware["ours"].power_kw_per_gpu == 2.0


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ("[hardware.ours]\nprice_per_gpu_hour = 1", r"needs power_kw_per_gpu: there is no built-in row for 'ours'"),
        ("[hardware.b200]\nprice = 1", r"unknown key 'price'; .* @ hardware\.b200"),
        ("[hardware.b200]\nprice_per_gpu_hour = 0", r"Hardware\.price_per_gpu_hour: got 0"),
    ],
)
def test_hardware_that_cannot_be_used_is_refused(tmp_path: Path, table: str, why: str) -> None:
    """Half a row, a misspelt key, a free GPU."""
    with pytest.raises(SettingsError, match=why):
        loaded(tmp_path, f"{SUITE}\n{table}\n")


def tolerances(settings: Settings, mark: dict[str, object] | None = None) -> dict[str, float]:
    suite = settings.marked(mark or {}, "test_x: @pytest.mark.precgate")
    return {str(gate.key.quantity): gate.tolerance for gate in suite.gates_for("fp4", "int4", (55.0,))}


def test_tolerance_is_set_for_all_metrics_or_for_one(tmp_path: Path) -> None:
    """A number holds for every metric, a table for those it names."""
    everything = loaded(tmp_path, SUITE.replace("hardware =", "tolerance = 0.01\nhardware ="))
    assert set(tolerances(everything).values()) == {0.01}
    one = loaded(tmp_path, SUITE.replace("hardware =", "tolerance = { throughput_per_gpu = 0.1 }\nhardware ="))
    assert tolerances(one) == {
        "fp4/int4 throughput_ratio": 0.025,
        "fp4 throughput_per_gpu": 0.1,
        "int4 throughput_per_gpu": 0.1,
    }


def test_a_tolerance_may_be_by_point_and_precision(tmp_path: Path) -> None:
    """A table in place of the number; what no gate has is refused by name."""
    table = 'tolerance = { throughput_per_gpu = { default = 0.02, int4 = 0.03, "91" = 0.05 } }'
    settings = loaded(tmp_path, SUITE.replace("hardware =", f"{table}\nhardware =", 1))
    gates = settings.suite(None, "here").gates_for("fp4", "int4", (55.0, 91.0))
    assert {str(gate.key): gate.tolerance for gate in gates if not gate.key.metric.is_ratio} == {
        "fp4 throughput_per_gpu at 55 tok/s/user": 0.02,
        "fp4 throughput_per_gpu at 91 tok/s/user": 0.05,
        "int4 throughput_per_gpu at 55 tok/s/user": 0.03,
        "int4 throughput_per_gpu at 91 tok/s/user": 0.05,
    }


def test_a_mark_that_tightens_one_point_loosens_no_other(tmp_path: Path) -> None:
    """A table without a default keeps the one of the suite."""
    settings = loaded(tmp_path, SUITE.replace("hardware =", "tolerance = 0.01\nhardware =", 1))
    suite = settings.marked({"tolerance": {"throughput_ratio": {"91": 0.005}}}, "here")
    ratios = [gate for gate in suite.gates_for("fp4", "int4", (55.0, 91.0)) if gate.key.metric.is_ratio]
    assert [gate.tolerance for gate in ratios] == [0.01, 0.005]


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ('throughput_per_gpu = { "60" = 0.05 }', "has a tolerance at 60 tok/s/user, where the suite has no point"),
        ("throughput_per_gpu = { fp8 = 0.05 }", "has a tolerance of fp8; "),
        ('throughput_ratio = { "91" = 0.02, "91.0" = 0.2 }', "91 tok/s/user is given twice"),
        ("throughput_ratio = { fp4 = 0.05 }", "got the key 'fp4', wanted default, gate or a point"),
        ("throughput_per_gpu = { fp5 = 0.05 }", "got the key 'fp5', wanted default, gate, a precision or a point"),
        ("throughput_per_gpu = { int4 = 1.5 }", "wanted a tolerance below 1"),
        ("throughput_per_gpu = { int4 = 0 }", "tolerance: got 0"),
        ('throughput_per_gpu = { "91" = "5%" }', "wanted a number"),
    ],
)
def test_a_tolerance_that_no_gate_has_is_refused(tmp_path: Path, table: str, why: str) -> None:
    """It would be thought to hold."""
    with pytest.raises(SettingsError, match=re.escape(why)):
        loaded(tmp_path, SUITE.replace("hardware =", f"tolerance = {{ {table} }}\nhardware =", 1))


LATENCY = 'metrics = ["throughput_per_gpu", "ttft_p99"]\n'


def recorded_only(settings: Settings, mark: dict[str, object] | None = None) -> dict[str, bool]:
    suite = settings.marked(mark or {}, "test_x: @pytest.mark.precgate")
    return {gate.key.metric.value: gate.record_only for gate in suite.gates_for("fp4", "int4", (55.0,))}


@pytest.mark.parametrize(
    ("tolerance", "wanted"),
    [
        ("", True),
        ("tolerance = 0.05", True),
        ("tolerance = { throughput_per_gpu = 0.05 }", True),
        ("tolerance = { ttft_p99 = 0.2 }", False),
        ("tolerance = { ttft_p99 = { default = 0.2, int4 = 0.3 } }", False),
        ('tolerance = { ttft_p99 = { default = 0.2, gate = "record" } }', True),
    ],
)
def test_a_latency_is_only_recorded_until_it_has_a_tolerance_of_its_own(
    tmp_path: Path, tolerance: str, wanted: bool
) -> None:
    """One share for all is that of a throughput: published ttft varies by 4 to 11% from run to run."""
    settings = loaded(tmp_path, SUITE.replace("hardware =", f"{LATENCY}{tolerance}\nhardware =", 1))
    assert recorded_only(settings) == {"throughput_per_gpu": False, "ttft_p99": wanted}
    assert recorded_only(settings, {"tolerance": 0.04}) == {"throughput_per_gpu": False, "ttft_p99": wanted}


def test_any_metric_may_be_recorded_first_but_not_all(tmp_path: Path) -> None:
    """A team watches a metric before it holds it; a suite that holds none is refused."""
    watched = 'tolerance = { throughput_ratio = { gate = "record" } }'
    settings = loaded(tmp_path, SUITE.replace("hardware =", f"{watched}\nhardware =", 1))
    assert recorded_only(settings) == {"throughput_per_gpu": False, "throughput_ratio": True}
    assert settings.suite(None, "here").recorded == {Metric.THROUGHPUT_RATIO}
    for text in ('metrics = ["ttft_p99"]', f'metrics = ["throughput_ratio"]\n{watched}'):
        with pytest.raises(SettingsError, match="every metric is only recorded"):
            loaded(tmp_path, SUITE.replace("hardware =", f"{text}\nhardware =", 1))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{LATENCY}tolerance = {{ ttft_p99 = {{ int4 = 0.2 }} }}", "has no tolerance of its own"),
        ('tolerance = { throughput_ratio = { gate = "off" } }', "known: hold, record"),
        ("slo = { ttft_ms = 500 }", "tpot_ms"),
        ("slo = { ttft_ms = 500, tpot_ms = 0 }", "tpot_s: got 0"),
        ('axis = "itl"', "unknown value 'itl'"),
        ('metrics = ["throughput_per_gpu", "goodput"]', "goodput counts the requests that keep an objective"),
    ],
)
def test_what_latencies_and_goodput_lack_is_refused_by_name(tmp_path: Path, text: str, why: str) -> None:
    """Before anything is measured."""
    with pytest.raises(SettingsError, match=re.escape(why)):
        loaded(tmp_path, SUITE.replace("hardware =", f"{text}\nhardware =", 1))


def test_an_objective_and_an_axis_are_of_the_whole_suite(tmp_path: Path) -> None:
    """Both precisions are measured alike; a precision cannot have its own."""
    simulated = SUITE.replace('engine = "recorded"\npath = "points.csv"', SIMULATED)
    both = 'slo = { ttft_ms = 500, tpot_ms = 20 }\naxis = "e2e"\n'
    suite = loaded(tmp_path, simulated.replace("hardware =", f"{both}hardware =", 1)).suite(None, "here")
    for (engine,) in suite.engines.values():
        assert engine.load is not None
        assert (engine.load.slo, engine.load.axis) == (Slo(0.5, 0.02), "e2e")
    own = simulated.replace(SIMULATED, f'{SIMULATED}\naxis = "tpot"')
    with pytest.raises(SettingsError, match="cannot differ between precisions"):
        loaded(tmp_path, own.replace("hardware =", f"{both}hardware =", 1))


@pytest.mark.parametrize("own", ['axis = "e2e"', "slo = { ttft_ms = 1, tpot_ms = 1 }"])
@pytest.mark.parametrize("where", ["configuration", "side", "side's configuration"])
def test_neither_a_configuration_nor_a_side_has_its_own_objective_or_axis(tmp_path: Path, own: str, where: str) -> None:
    """Points of two axes would make one cloud, and a side would look better or worse for its axis alone."""
    simulated = SUITE.replace('engine = "recorded"\npath = "points.csv"', SIMULATED)
    entry = f'configurations = [{{ configuration = "a" }}, {{ configuration = "b", {own} }}]'
    side = "[suites.kimi.paired.old.fp4]\n"
    text = {
        "configuration": simulated.replace(SIMULATED, f"{SIMULATED}\n{entry}", 1),
        "side": f"{simulated}\n{side}{own}\n",
        "side's configuration": f"{simulated}\n{side}{entry}\n",
    }[where]
    with pytest.raises(SettingsError, match="cannot differ between precisions, configurations or sides"):
        loaded(tmp_path, text)


def test_a_mark_that_adds_goodput_needs_the_suites_objective(tmp_path: Path) -> None:
    """Before anything is measured."""
    simulated = SUITE.replace('engine = "recorded"\npath = "points.csv"', SIMULATED)
    mark: dict[str, object] = {"metrics": ["throughput_per_gpu", "goodput"], "tolerance": {"goodput": 0.1}}
    with pytest.raises(SettingsError, match="goodput counts the requests that keep an objective"):
        loaded(tmp_path, simulated).marked(mark, "here")
    slo = "slo = { ttft_ms = 500, tpot_ms = 20 }\nhardware ="
    suite = loaded(tmp_path, simulated.replace("hardware =", slo, 1)).marked(mark, "here")
    assert Metric.GOODPUT in suite.tolerances


@pytest.mark.parametrize(
    ("table", "spot"),
    [
        ('throughput_per_gpu = { "60" = 0.05 }', "throughput_per_gpu.60"),
        ("throughput_per_gpu = { fp8 = 0.05 }", "throughput_per_gpu.fp8"),
        ("throughput_per_gpu = { int4 = 1.5 }", "throughput_per_gpu.int4"),
        ('throughput_per_gpu = { "91" = 1.5 }', "throughput_per_gpu.91"),
        ("throughput_per_gpu = { default = 1.5 }", "throughput_per_gpu.default"),
        ("throughput_ratio = 1.5", "throughput_ratio"),
    ],
)
def test_a_refused_tolerance_is_named_by_its_whole_key(tmp_path: Path, table: str, spot: str) -> None:
    """Down to the point or the precision inside the metric's table."""
    with pytest.raises(SettingsError) as refused:
        loaded(tmp_path, SUITE.replace("hardware =", f"tolerance = {{ {table} }}\nhardware =", 1))
    assert refused.value.spot.endswith(f".tolerance.{spot}")


@pytest.mark.parametrize("reason", ["...", " … ", "."])
def test_the_placeholder_of_a_proposed_waiver_is_no_reason(tmp_path: Path, reason: str) -> None:
    """Pasted as it was printed it would say nothing to who reads it."""
    waiver = '\n[[waive]]\nsuite = "{}"\nmetric = "cost"\nceiling = 0.1\nexpires = 2999-01-01\nreason = "{}"\n'
    name = next(iter(loaded(tmp_path, SUITE).suites))
    with pytest.raises(SettingsError, match="placeholder of a proposed waiver"):
        loaded(tmp_path, SUITE + waiver.format(name, reason))


def test_metrics_choose_what_is_gated(tmp_path: Path) -> None:
    """Only the ratio, with the default tolerance; a suite that names none gates throughput: a cost derived from it is
    shown beside it, and is no further gate."""
    settings = loaded(tmp_path, SUITE.replace("hardware =", 'metrics = ["throughput_ratio"]\nhardware ='))
    assert tolerances(settings) == {"fp4/int4 throughput_ratio": 0.025}
    gated = {name.split()[1] for name in tolerances(loaded(tmp_path, SUITE))}
    assert gated == {"throughput_ratio", "throughput_per_gpu"}


def test_a_mark_overrides_points_metrics_and_tolerance(tmp_path: Path) -> None:
    """A metric the suite left out comes back with the suite's tolerance for all, or else with its default."""
    settings = loaded(tmp_path, SUITE.replace("hardware =", 'metrics = ["cost"]\ntolerance = 0.1\nhardware ='))
    assert tolerances(settings, {"metrics": ["cost", "cost_ratio"]}) == {
        "fp4/int4 cost_ratio": 0.1,
        "fp4 cost": 0.1,
        "int4 cost": 0.1,
    }
    assert tolerances(settings, {"tolerance": {"cost": 0.2}}) == {"fp4 cost": 0.2, "int4 cost": 0.2}
    assert settings.marked({"points": (60,)}, "t").points == (60.0,)
    assert settings.marked({"points": "quartiles"}, "t").points is None


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        ({"suit": "kimi"}, "unknown key 'suit'; did you mean 'suite'"),
        ({"suite": "kimmi"}, "unknown suite 'kimmi'; did you mean 'kimi'"),
        ({"suite": 3}, "got 3, wanted a non-empty text @ suite"),
        ({"points": []}, "without a point there is no gate @ points"),
        ({"metrics": []}, "without a metric there is no gate @ metrics"),
        ({"tolerance": "3%"}, "got '3%', wanted a number @ tolerance"),
        ({"tolerance": {"throughput_ratio": 3}}, "wanted a tolerance below 1"),
    ],
)
def test_a_mark_that_cannot_be_used_is_refused(tmp_path: Path, mark: dict[str, object], why: str) -> None:
    """The message begins with the test that carries it."""
    with pytest.raises(SettingsError, match=why) as caught:
        loaded(tmp_path, SUITE).marked(mark, "test_x: @pytest.mark.precgate")
    assert str(caught.value).startswith("test_x: @pytest.mark.precgate")


def test_with_several_suites_the_mark_must_choose(tmp_path: Path) -> None:
    """There is no first one."""
    settings = loaded(tmp_path, SUITE + SUITE.replace("kimi", "llama"))
    with pytest.raises(SettingsError, match=r"which suite\? .*known: kimi, llama"):
        settings.suite(None, "test_x")
    assert settings.suite("llama", "test_x").name == "llama"


def test_an_unknown_precision_is_refused_with_those_the_suite_has(tmp_path: Path) -> None:
    """precgate.sweep("fp8") of a suite of FP4 and INT4."""
    suite = loaded(tmp_path, SUITE).suite(None, "here")
    with pytest.raises(
        SettingsError, match=r"suite kimi: unknown precision 'fp8'; did you mean 'fp4'.*known: fp4, int4"
    ):
        suite.configurations("fp8")


@pytest.mark.parametrize("name", ["missing", "mismatch", "unused"])
def test_an_unknown_policy_word_is_refused(name: str) -> None:
    """An ini key is checked as strictly as a flag."""
    options = {"missing": "fail", "mismatch": "fail", "unused": "fail", name: "maybe"}
    with pytest.raises(SettingsError, match=f"precgate_{name}: unknown value 'maybe'; known: .*fail"):
        policy_from(options, Policy())


def test_what_a_gate_must_detect_is_the_suite_s(tmp_path: Path) -> None:
    """A share below 1; nothing where it does not say."""
    assert Policy().launches(loaded(tmp_path, SUITE).suite(None, "here")).must_detect is None
    suite = loaded(tmp_path, SUITE.replace("hardware =", "must_detect = 0.2\nhardware =", 1)).suite(None, "here")
    assert Policy().launches(suite).must_detect == 0.2
    for wrong in ("0", "1.5", "-0.1"):
        with pytest.raises(SettingsError, match=r"must_detect"):
            loaded(tmp_path, SUITE.replace("hardware =", f"must_detect = {wrong}\nhardware =", 1))
    with pytest.raises(SettingsError, match=r"must_detect.*wanted a number|wanted a number.*must_detect"):
        loaded(tmp_path, SUITE.replace("hardware =", 'must_detect = "10%"\nhardware =', 1))


def test_how_many_launches_a_verdict_takes_has_defaults_by_rule(tmp_path: Path) -> None:
    """Three and one good, the median of five, five pairs; the run's flag stands above the suite's own number."""
    suite = loaded(tmp_path, SUITE).suite(None, "here")
    assert suite.baseline_launches == 5
    assert Policy().launches(suite) == LaunchPolicy("first-good", 3)
    assert Policy(launch_rule="median").launches(suite) == LaunchPolicy("median", 5)
    assert Policy(paired_with="release").launches(suite) == LaunchPolicy("pairs", 5)
    own = replace(suite, max_launches=2)
    assert Policy().launches(own) == LaunchPolicy("first-good", 2)
    assert Policy(max_launches=4).launches(own) == LaunchPolicy("first-good", 4)
    assert Policy(launch_rule="median").launches(own) == LaunchPolicy(
        "median", 5
    )  # two of another rule say nothing of it


def test_another_side_has_the_suite_s_own_keys_but_for_those_it_names(tmp_path: Path) -> None:
    """What differs is said once; the other precision is as it is, and the side's name tells its runs apart."""
    simulated = SUITE
    for precision, calibration in (("fp4", "fp4-tp4"), ("int4", "int4-tp8")):
        engine = f'engine = "simulated"\ncalibration = "kimi-k2.5-b200-{calibration}"\nnoise = {{ launch_sigma = 0.1 }}'
        recorded = f'[suites.kimi.{precision}]\nengine = "recorded"\npath = "points.csv"'
        simulated = simulated.replace(recorded, f"[suites.kimi.{precision}]\n{engine}")
    side = "[suites.kimi.paired.release.fp4]\nseed = 3\nnoise = { step_sigma = 0.2 }\n"
    suite = loaded(tmp_path, simulated + side).suite(None, "here")
    release = suite.beside("release")
    assert (release.name, release.base_name, suite.base_name) == ("kimi@release", "kimi", "kimi")
    (fp4,), (int4,) = release.engines["fp4"], release.engines["int4"]
    assert isinstance(fp4, SimulatedEngine)
    assert isinstance(int4, SimulatedEngine)
    assert (fp4.seed, fp4.noise.launch_sigma, fp4.noise.step_sigma) == (3, 0.1, 0.2)  # a table in a table, too
    assert replace(int4, side=None) == suite.engines["int4"][0]
    assert fp4.side == int4.side == "release"  # or both sides would draw the same launches
    with pytest.raises(SettingsError, match=r"no side 'relase' to be judged against; did you mean 'release'"):
        suite.beside("relase")
    with pytest.raises(SettingsError, match=r"it has none; add a table paired\.NAME"):
        loaded(tmp_path, SUITE).suite(None, "here").beside("release")
    recorded = SUITE + '[suites.kimi.paired.release.fp4]\npath = "old.csv"\n'
    with pytest.raises(SettingsError, match="recorded points are one launch; pairs need engines that run"):
        loaded(tmp_path, recorded).suite(None, "here").beside("release")
