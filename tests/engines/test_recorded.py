"""Recorded points: what is read, and every refusal with file and spot."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_precgate.analysis.curves.details import Slo
from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.documents import Node
from pytest_precgate.engines.recorded import RecordedEngine
from pytest_precgate.errors import PrecgateWarning, RecordedPointsError, SettingsError
from pytest_precgate.interop.files import read_rows
from pytest_precgate.interop.sweeps import sweep_of
from tests.interop import results
from tests.published import POINTS, WORKLOAD, kimi

HEAD = "concurrency,gpus,interactivity,throughput_per_gpu"


def agg(**changes: object) -> dict[str, object]:
    """One point as InferenceX aggregates it: the keys and figures of a published Kimi K2.5 INT4 result on MI355X.

    Cut to the keys that are read and two that are not (model, std_intvty).
    """
    point: dict[str, object] = {
        "hw": "mi355x",
        "conc": 4,
        "model": "moonshotai/Kimi-K2.5",
        "framework": "vllm",
        "precision": "int4",
        "spec_decoding": "none",
        "disagg": False,
        "isl": 1024,
        "osl": 1024,
        "is_multinode": False,
        "tp": 8,
        "ep": 1,
        "dp_attention": "false",
        "tput_per_gpu": 55.62670336516291,
        "median_tpot": 0.017393898241078155,
        "median_intvty": 57.49142521935413,
        "std_intvty": 1414.636338523835,
    }
    return point | changes


def written(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_example_file_holds_both_published_clouds() -> None:
    """16 FP4 points of TP4 and TP8 with and without expert parallelism, 5 INT4 points of TP8."""
    assert len(kimi("fp4").points) == 16
    assert {point.configuration for point in kimi("fp4").points} == {"vllm-tp4-ep1", "vllm-tp4-ep4", "vllm-tp8-ep1"}
    assert {(point.configuration, point.gpus) for point in kimi("int4").points} == {("vllm-tp8-ep1", 8)}


def test_the_example_file_says_where_its_points_come_from() -> None:
    """A copied file carries its source in its head."""
    assert "Source: the public InferenceX database dump of 2026-07-20" in POINTS.read_text(encoding="utf-8")


def test_a_csv_needs_four_columns_only(tmp_path: Path) -> None:
    """Comments and blank lines are skipped, the order of columns is free, no precision means all rows."""
    path = written(
        tmp_path,
        "p.csv",
        "# by hand\n\ngpus,concurrency,throughput_per_gpu,interactivity\n# a\n8,4,100,120.5\n8,8,170,90\n",
    )
    sweep = sweep_of(read_rows(path), "fp8", WORKLOAD, "h200")
    assert [(p.concurrency, p.gpus, p.interactivity, p.throughput_per_gpu) for p in sweep.points] == [
        (4, 8, 120.5, 100.0),
        (8, 8, 90.0, 170.0),
    ]


@pytest.mark.parametrize("wrapped", [False, True])
def test_own_json_is_a_list_of_points_or_an_object_around_it(tmp_path: Path, wrapped: bool) -> None:
    """The columns of the CSV, as JSON."""
    points = [
        {"precision": "fp4", "concurrency": c, "gpus": 4, "interactivity": 120.0 - c, "throughput_per_gpu": 40.0 * c}
        for c in (1, 2)
    ]
    path = written(tmp_path, "p.json", json.dumps({"points": points} if wrapped else points))
    assert len(sweep_of(read_rows(path), "fp4", WORKLOAD, "b200").points) == 2


def test_inferencex_agg_objects_and_lists_of_them_are_read(tmp_path: Path) -> None:
    """Interactivity is 1 / median tpot, GPUs are tp, and the configuration tells speculation and attention apart."""
    one = written(tmp_path, "agg_c4.json", json.dumps(agg()))
    many = written(
        tmp_path,
        "agg_rest.json",
        json.dumps(
            [
                agg(conc=8, median_tpot=0.02, median_intvty=50.0),
                agg(spec_decoding="mtp"),
                agg(dp_attention="true", ep=8),
            ]
        ),
    )
    rows = read_rows(one) + read_rows(many)
    sweep = sweep_of(rows, "int4", Workload(1024, 1024), "mi355x")
    assert {(p.configuration, p.concurrency) for p in sweep.points} == {
        ("vllm-tp8-ep1", 4),
        ("vllm-tp8-ep1", 8),
        ("vllm-tp8-ep1-mtp", 4),
        ("vllm-tp8-ep8-dpa", 4),
    }
    first = rows[0]
    assert (first.gpus, first.interactivity, first.throughput) == (8, 57.49142521935413, 55.62670336516291)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"disagg": True}, r"agg\.json: its GPU count is not tp.* @ \$\.disagg"),
        ({"is_multinode": True}, r"@ \$\.is_multinode"),
        ({"median_tpot": 0.0}, r"got 0\.0, wanted a time above 0 @ \$\.median_tpot"),
        ({"median_tpot": None}, r"got None, wanted a number @ \$\.median_tpot"),
        ({"tput_per_gpu": -1.0}, r"point\.throughput: got -1\.0.* @ \$"),
        ({"tput_per_gpu": float("nan")}, r"got nan, wanted a finite number @ \$\.tput_per_gpu"),
    ],
)
def test_an_agg_result_that_is_no_point_is_refused_at_its_key(
    tmp_path: Path, change: dict[str, object], why: str
) -> None:
    """Disaggregated and multi-node results, and figures that are no measurement."""
    path = written(tmp_path, "agg.json", json.dumps(agg(**change)))
    with pytest.raises(RecordedPointsError, match=why):
        read_rows(path)


def test_an_agg_result_without_tpot_is_refused(tmp_path: Path) -> None:
    """There is no default for a missing measurement."""
    broken = agg()
    del broken["median_tpot"]
    path = written(tmp_path, "agg.json", json.dumps([agg(), broken]))
    with pytest.raises(RecordedPointsError, match=r"required field missing @ \$\[1\]\.median_tpot"):
        read_rows(path)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("4,4,nan,100", r"line 2\.interactivity|got nan, wanted a finite number @ line 2\.interactivity"),
        ("4,4,inf,100", r"@ line 2\.interactivity"),
        ("4,4,-5,100", r"point\.interactivity: got -5\.0, wanted a finite number above 0 .* @ line 2"),
        ("4,4,50,0", r"point\.throughput: got 0\.0.* @ line 2"),
        ("4,4,fast,100", r"got 'fast', wanted a number @ line 2\.interactivity"),
        ("4.5,4,50,100", r"got '4\.5', wanted a whole number @ line 2\.concurrency"),
        ("0,4,50,100", r"point\.concurrency: got 0"),
        ("4,4,,100", r"required field missing @ line 2\.interactivity"),
        ("4,4,50", r"got 3 cells, wanted 4 as in the header @ line 2"),
        ("4,4,50,100,7", r"got 5 cells, wanted 4"),
        ("1_6,4,50,100", r"got '1_6', wanted a whole number"),
        ('"4\n",4,50', r"got 3 cells, wanted 4"),
        ('4,4,50,"100', r"is not CSV"),
    ],
)
def test_a_csv_row_that_is_no_point_is_refused_at_its_line(tmp_path: Path, row: str, why: str) -> None:
    """NaN, negative, text, empty cells, too few or too many of them."""
    path = written(tmp_path, "p.csv", f"{HEAD}\n{row}\n8,4,40,200\n")
    with pytest.raises(RecordedPointsError, match=why):
        read_rows(path)


def test_a_repeated_point_is_refused(tmp_path: Path) -> None:
    """The same configuration and concurrency in two rows."""
    path = written(tmp_path, "p.csv", f"{HEAD}\n4,4,50,100\n4,4,51,101\n")
    with pytest.raises(RecordedPointsError, match=r"p\.csv: .*holds concurrency 4 twice"):
        sweep_of(read_rows(path), "fp4", WORKLOAD, "b200")


def test_a_column_twice_in_the_head_is_refused(tmp_path: Path) -> None:
    """The later one would win without a word."""
    path = written(tmp_path, "p.csv", f"{HEAD},interactivity\n4,4,50,100,500\n")
    with pytest.raises(RecordedPointsError, match="a column is repeated in the header @ line 1"):
        read_rows(path)


def test_a_row_without_precision_among_others_is_refused(tmp_path: Path) -> None:
    """It would join every precision's cloud."""
    path = written(tmp_path, "p.csv", f"precision,{HEAD}\nfp4,4,4,50,100\n,8,4,40,200\n")
    with pytest.raises(RecordedPointsError, match=r"required here: .* @ line 3\.precision"):
        read_rows(path)


def test_a_number_no_float_can_hold_is_refused(tmp_path: Path) -> None:
    """400 digits are no throughput, and no traceback either."""
    point = {"concurrency": 4, "gpus": 4, "interactivity": 50, "throughput_per_gpu": 10**400}
    with pytest.raises(RecordedPointsError, match="wanted a finite number"):
        read_rows(written(tmp_path, "p.json", json.dumps([point])))


def test_globs_reach_down_and_leave_odd_names_alone(tmp_path: Path) -> None:
    """`**` goes to any depth; brackets in the base or in a real file's name are no pattern."""
    odd = tmp_path / "[x]" / "a" / "b"
    odd.mkdir(parents=True)
    (odd / "p.csv").write_text(f"{HEAD}\n4,4,50,100\n", encoding="utf-8")
    (tmp_path / "[x]" / "q[1].csv").write_text(f"{HEAD}\n8,4,40,200\n", encoding="utf-8")
    assert [path.name for path in spec(tmp_path / "[x]", ["**/p.csv", "q[1].csv"]).files()] == ["p.csv", "q[1].csv"]


def test_a_byte_order_mark_is_no_part_of_the_head(tmp_path: Path) -> None:
    """Excel's "CSV UTF-8", with and without a comment line first, and with CRLF."""
    for text in (f"{HEAD}\r\n4,4,50,100\r\n", f"# source\r\n{HEAD}\r\n4,4,50,100\r\n"):
        path = tmp_path / "p.csv"
        path.write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert read_rows(path)[0].concurrency == 4


def test_an_unknown_column_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    """A misspelt optional column would otherwise be dropped without a word."""
    path = written(tmp_path, "p.csv", f"{HEAD},hardwre\n4,4,50,100,b200\n")
    with pytest.raises(RecordedPointsError, match="unknown key 'hardwre'; did you mean 'hardware'"):
        read_rows(path)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", f"{HEAD}\n"])
def test_an_empty_csv_is_refused(tmp_path: Path, text: str) -> None:
    """No rows, no sweep."""
    with pytest.raises(RecordedPointsError, match=r"p\.csv: holds no points"):
        read_rows(written(tmp_path, "p.csv", text))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "holds no points"),
        ("[]", "holds no points"),
        ('{"points": []}', "holds no points"),
        ('[{"concurrency": 4', r"is not JSON: .* @ line 1"),
        ("[1, 2]", r"got 1, wanted a table @ \$\[0\]"),
        ("3", "is not a known table of points; its columns: 3"),
        ('{"points": 3}', r"wanted a list @ \$\.points"),
        ('{"points": [], "note": 1}', "unknown key 'note'"),
    ],
)
def test_json_that_holds_no_points_is_refused(tmp_path: Path, text: str, why: str) -> None:
    """Empty, truncated, or of another shape."""
    with pytest.raises(RecordedPointsError, match=why):
        read_rows(written(tmp_path, "p.json", text))


def test_a_precision_that_is_not_in_the_file_is_refused_naming_those_that_are() -> None:
    """The likeliest slip is a file for the other precision."""
    with pytest.raises(RecordedPointsError, match=r"kimi_k2_b200_1k1k\.csv: holds no fp8 points; it holds fp4, int4"):
        sweep_of(read_rows(POINTS), "fp8", WORKLOAD, "b200")


@pytest.mark.parametrize(
    ("workload", "hardware", "why"),
    [
        (Workload(8192, 1024), "b200", r"isl is 1024, the suite's is 8192.* @ line \d+"),
        (Workload(1024, 256), "b200", "osl is 1024, the suite's is 256"),
        (WORKLOAD, "h200", "hardware is b200, the suite's is h200"),
    ],
)
def test_a_row_of_another_workload_or_hardware_is_refused(workload: Workload, hardware: str, why: str) -> None:
    """Leaving such rows aside would be a guess."""
    with pytest.raises(RecordedPointsError, match=why):
        sweep_of(read_rows(POINTS), "fp4", workload, hardware)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The message says which file and what the system said."""
    with pytest.raises(RecordedPointsError, match=r"nowhere\.csv: cannot be read: No such file"):
        read_rows(tmp_path / "nowhere.csv")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    """A spreadsheet saved under the wrong name."""
    path = tmp_path / "p.csv"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(RecordedPointsError, match=r"p\.csv: is not UTF-8 text"):
        read_rows(path)


def spec(base: Path, path: object) -> RecordedEngine:
    return RecordedEngine.read(Node({"engine": "recorded", "path": path}, "pyproject.toml", "fp4", SettingsError), base)


def test_a_pattern_gathers_one_file_per_point(tmp_path: Path) -> None:
    """InferenceX publishes a file per point; a glob makes them one cloud, in a fixed order."""
    for concurrency in (8, 4):
        written(tmp_path, f"agg_c{concurrency}.json", json.dumps(agg(conc=concurrency)))
    engine = spec(tmp_path, "agg_*.json")
    sweep = engine.sweep("int4", Workload(1024, 1024), "mi355x")
    assert [point.concurrency for point in sweep.points] == [4, 8]
    assert engine.facts()["source"] == "agg_*.json"


def test_a_list_of_paths_is_one_cloud(tmp_path: Path) -> None:
    """TP4 and TP8 in a file each; a file named twice is read once."""
    written(tmp_path, "tp4.csv", f"{HEAD},configuration\n4,4,100,200,tp4\n")
    written(tmp_path, "tp8.csv", f"{HEAD},configuration\n4,8,120,130,tp8\n")
    sweep = spec(tmp_path, ["tp4.csv", "tp8.csv", "tp*.csv"]).sweep("fp4", WORKLOAD, "b200")
    assert [point.configuration for point in sweep.points] == ["tp4", "tp8"]


def test_a_pattern_that_matches_nothing_is_refused(tmp_path: Path) -> None:
    """An empty glob is a wrong path, not an empty sweep."""
    with pytest.raises(RecordedPointsError, match=r"agg_\*\.json: matches no file below"):
        spec(tmp_path, "agg_*.json").files()


@pytest.mark.parametrize("path", [[], "", 3, [""]])
def test_a_path_that_is_none_is_refused(tmp_path: Path, path: object) -> None:
    """The setting is a text or a list of texts."""
    with pytest.raises(SettingsError, match=r"pyproject\.toml: got .* @ fp4\.path"):
        spec(tmp_path, path)


def test_the_facts_change_with_the_bytes(tmp_path: Path) -> None:
    """A re-recorded file under the same name is seen."""
    path = written(tmp_path, "p.csv", f"{HEAD}\n4,4,50,100\n")
    before = spec(tmp_path, "p.csv").facts()
    path.write_text(f"{HEAD}\n4,4,50,101\n", encoding="utf-8")
    after = spec(tmp_path, "p.csv").facts()
    assert before["source"] == after["source"]
    assert before["sha256"] != after["sha256"]


def beside(**facts: object) -> RecordedEngine:
    table = {"engine": "recorded", "path": "raw.json", **facts}
    return RecordedEngine.read(Node(table, "pyproject.toml", "fp4", SettingsError), Path())


def test_what_a_file_lacks_may_stand_beside_its_path(tmp_path: Path) -> None:
    """A raw result of `vllm bench serve` says no GPUs; the suite says the rest."""
    written(tmp_path, "raw.json", json.dumps(results.vllm()))
    spec = replace(beside(gpus=4, configuration="tp4"), base=tmp_path)
    sweep = spec.sweep("fp4", Workload(1000, 500), "b200")
    assert [(point.gpus, point.configuration, point.throughput_per_gpu) for point in sweep.points] == [
        (4, "tp4", 300.0)
    ]
    assert spec.facts()["stated"] == "gpus 4, configuration tp4"
    with pytest.raises(
        RecordedPointsError,
        match=r"raw\.json: does not say its gpus; give --gpus on",
    ):
        replace(beside(), base=tmp_path).sweep("fp4", Workload(1000, 500), "b200")


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"gpus": 0}, r"got 0, wanted at least 1 @ fp4\.gpus"),
        ({"gpus": "4"}, r"got '4', wanted a whole number @ fp4\.gpus"),
        ({"hardware": ""}, r"wanted a non-empty text @ fp4\.hardware"),
        ({"configuration": "two\nlines"}, r"stated\.configuration: .* @ fp4"),
        ({"gpu": 4}, "unknown key 'gpu'; did you mean 'gpus'"),
    ],
)
def test_a_fact_beside_the_path_that_is_none_is_a_wrong_setting(facts: dict[str, object], why: str) -> None:
    """By file and key."""
    with pytest.raises(SettingsError, match=why):
        beside(**facts)


def test_under_ci_an_engine_refuses_a_file_that_may_have_been_cut(tmp_path: Path) -> None:
    """The settings are the same: a run resumed elsewhere is the same run."""
    written(tmp_path, "p.csv", f"{HEAD}\n4,4,50,80\n8,4,40,120")
    lenient = spec(tmp_path, "p.csv")
    with pytest.warns(PrecgateWarning, match="has no line end"):
        lenient.sweep("fp4", WORKLOAD, "b200")
    with pytest.raises(RecordedPointsError, match="refused under CI"):
        lenient.under_ci().sweep("fp4", WORKLOAD, "b200")


def test_goodput_of_another_objective_is_refused(tmp_path: Path) -> None:
    """A file's goodput was counted under its slo; under the suite's own it is another figure."""
    head = f"{HEAD},goodput,slo_ttft_s,slo_tpot_s"
    written(tmp_path, "p.csv", f"{head}\n4,4,50,100,0.5,0.5,0.02\n8,4,40,150,0.7,0.5,0.02\n")
    same, other = Slo(0.5, 0.02), Slo(0.5, 0.03)
    sweep = RecordedEngine(("p.csv",), tmp_path, slo=same).sweep("fp4", WORKLOAD, "b200")
    assert [point.figure("goodput") for point in sweep.points] == [0.5, 0.7]
    with pytest.raises(RecordedPointsError, match=r"p\.csv: the goodput at concurrency 4 was counted under"):
        RecordedEngine(("p.csv",), tmp_path, slo=other).sweep("fp4", WORKLOAD, "b200")
