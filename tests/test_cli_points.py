"""precgate import and export, and what the other commands read: files, patterns, and what is stated beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_precgate.analysis.curves.details import PointDetails
from pytest_precgate.analysis.curves.sweep import SweepPoint
from pytest_precgate.cli import main
from pytest_precgate.cli.points import _median_point
from tests.interop import results
from tests.published import POINTS
from tests.repository import Repository

HEAD = "precision,configuration,hardware,isl,osl,concurrency,gpus,interactivity,throughput_per_gpu"


@pytest.fixture(autouse=True)
def _somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)


def write(name: str, result: results.Result | str) -> None:
    Path(name).write_text(result if isinstance(result, str) else json.dumps(result), encoding="utf-8")


def lines_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_import_turns_files_of_several_tools_into_points(capsys: pytest.CaptureFixture[str]) -> None:
    """A glob of raw results and an aggregated one; what the raw ones lack is stated once."""
    write("raw_4.json", results.vllm(max_concurrency=20))
    write("raw_8.json", results.vllm(max_concurrency=40))
    write("agg.json", results.agg())
    stated = ["--gpus", "4", "--precision", "fp4", "--hardware", "b200", "--isl", "1000", "--osl", "500"]
    assert main(["import", "raw_*.json", "agg.json", "-o", "points.csv", *stated]) == 0
    assert capsys.readouterr().out == ""
    text = Path("points.csv").read_text(encoding="utf-8")
    head, *lines = lines_of(text)
    assert head.startswith(f"{HEAD},ttft_mean_s,ttft_p50_s,")
    assert [",".join(line.split(",")[:9]) for line in lines] == [
        "fp4,default,b200,1000,500,20,4,50.0,300.0",
        "fp4,default,b200,1000,500,40,4,50.0,300.0",
        "fp4,vllm-tp4-ep1,b200,1000,500,10,4,50.0,300.0",
    ]
    assert "# 1 of raw_4.json: vllm bench serve (InferenceX raw)" in text
    assert "# stated: gpus 4, precision fp4, hardware b200, isl 1000, osl 500" in text


def test_import_keeps_the_comments_of_a_table() -> None:
    """The site's export asks for attribution in its head."""
    write("export.csv", results.export(results.EXPORT_LINE))
    assert main(["import", "export.csv", "-o", "points.csv"]) == 0
    text = Path("points.csv").read_text(encoding="utf-8")
    assert "# 1 of export.csv: InferenceX site export\n# Licence\n# Attribution\nprecision," in text


def test_what_import_wrote_is_what_compare_reads(capsys: pytest.CaptureFixture[str]) -> None:
    """From raw results to a comparison in two commands, each precision on GPUs of its own."""
    for precision, gpus, speed in (("fp4", "4", 1.0), ("int4", "8", 1.2)):
        for concurrency, tpot in ((8, 10.0), (16, 14.0), (32, 20.0)):
            total = 2000.0 * concurrency / tpot
            slow = results.vllm(
                max_concurrency=concurrency,
                median_tpot_ms=tpot * speed,
                total_token_throughput=total / speed,
                duration=150000 / (total / speed),
                output_throughput=...,
            )
            write(f"{precision}_{concurrency}.json", slow)
        stated = ["--gpus", gpus, "--precision", precision, "--hardware", "b200", "--isl", "1000", "--osl", "500"]
        assert main(["import", f"{precision}_*.json", "-o", f"{precision}.csv", *stated]) == 0
    assert main(["compare", "fp4.csv", "int4.csv", "--at", "60"]) == 0
    assert "at 60 tok/s/user: FP4 " in capsys.readouterr().out


def test_compare_reads_patterns_of_foreign_files_with_what_is_stated(capsys: pytest.CaptureFixture[str]) -> None:
    """Two directories of results, without a file of our own between."""
    for side, total in (("new", 1320.0), ("old", 1200.0)):
        Path(side).mkdir()
        for concurrency, tpot, share in ((10, 20.0, 1.0), (5, 10.0, 0.7)):
            write(
                f"{side}/c{concurrency}.json",
                results.vllm(
                    max_concurrency=concurrency,
                    median_tpot_ms=tpot,
                    total_token_throughput=share * total,
                    duration=150000 / (share * total),
                    output_throughput=...,
                ),
            )
    arguments = ["compare", "new/*.json:fp4", "old/*.json:fp4", "--at", "70", "--gpus", "4", "--hardware", "b200"]
    assert main(arguments) == 0
    assert "delivers 1.10x its tok/s/GPU" in capsys.readouterr().out


TWICE_AS_FAST: list[tuple[results.Result, results.Result]] = [
    (
        results.vllm(),
        results.vllm(
            max_concurrency=5,
            median_tpot_ms=10.0,
            total_token_throughput=960.0,
            output_throughput=320.0,
            duration=156.25,
        ),
    ),
    (results.sglang(), results.sglang(max_concurrency=5, median_tpot_ms=10.0, total_throughput=960.0)),
    (results.agg(), results.agg(conc=5, median_tpot=0.01, median_intvty=100.0, tput_per_gpu=240.0)),
    (
        results.agentic(),
        results.agentic(
            conc=5,
            request_metrics__latency__tpot__p50=0.01,
            request_metrics__throughput__per_gpu__total_tput_tps=240.0,
        ),
    ),
    (
        results.api(),
        results.api(conc=5, metrics__median_tpot=0.01, metrics__median_intvty=100.0, metrics__tput_per_gpu=240.0),
    ),
    (
        results.aiperf(),
        results.aiperf(
            input_config__phases__1__concurrency=5, inter_token_latency__p50=10.0, total_token_throughput__avg=960.0
        ),
    ),
    (
        results.aiperf_sweep(),
        results.aiperf_sweep(
            per_combination_metrics__0__parameters__concurrency=5,
            per_combination_metrics__0__metrics__inter_token_latency__p50=10.0,
            per_combination_metrics__0__metrics__output_token_throughput__mean=320.0,
        ),
    ),
    *(
        (
            results.guidellm(version),
            results.guidellm(
                version,
                benchmarks__0__metrics__inter_token_latency_ms__successful__median=10.0,
                benchmarks__0__metrics__tokens_per_second__successful__mean=960.0,
                **{f"benchmarks__0__{section}__strategy__streams": 5},
            ),
        )
        for version, section in (("0.3", "args"), ("0.8", "config"))
    ),
    (
        results.trtllm(),
        results.trtllm(
            request_info__avg_num_concurrent_requests=5,
            streaming_metrics__tpot_percentiles__p50=10.0,
            performance__system_total_throughput_tok_s=960.0,
        ),
    ),
    (
        results.llmd(),
        results.llmd(
            scenario__load__standardized__concurrency=5,
            results__request_performance__aggregate__latency__time_per_output_token__p50=0.01,
            results__request_performance__aggregate__throughput__total_token_rate__mean=960.0,
        ),
    ),
]


@pytest.mark.parametrize("both", TWICE_AS_FAST)
def test_compare_reads_every_tool_s_results_as_the_same_curve(
    capsys: pytest.CaptureFixture[str], both: tuple[results.Result, results.Result]
) -> None:
    """Concurrency 10 at 50 tok/s/user and 300 tok/s/GPU, 5 at 100 and 240; our own CSV of them is the reference."""
    for number, result in enumerate(both):
        write(f"r{number}.json", result)
    hardware = "h200" if both[0] == results.llmd() else "b200"
    write("own.csv", "concurrency,gpus,interactivity,throughput_per_gpu\n10,4,50,300\n5,4,100,240\n")
    stated = ["--gpus", "4", "--hardware", hardware, "--isl", "1000", "--osl", "500"]
    assert main(["compare", "r?.json", "own.csv", "--at", "50,75,100", "--json", *stated]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["throughput_ratio"] for row in rows] == pytest.approx([1.0] * 3)


def test_compare_reads_the_two_tables_of_other_tools(capsys: pytest.CaptureFixture[str]) -> None:
    """The site's export, and AIPerf's CSV, one file per concurrency."""
    line = results.EXPORT_LINE.replace(",4,10,", ",4,5,").replace("300.0,0.02,50.0", "240.0,0.01,100.0")
    write("export.csv", results.export(results.EXPORT_LINE, line))
    write("r0.csv", results.AIPERF_CSV)
    fast = results.AIPERF_CSV.replace("9.50,0.00,10.00,,,,,10.00", "4.80,0.00,5.00,,,,,5.00")
    write("r1.csv", fast.replace("30.00,20.00", "30.00,10.00").replace("1200.00", "960.00"))
    assert main(["compare", "export.csv", "r?.csv", "--at", "75", "--json", "--gpus", "4", "--hardware", "b200"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["throughput_ratio"] == pytest.approx(1.0)


def test_compare_reads_results_of_2025_with_the_lengths_that_are_stated(capsys: pytest.CaptureFixture[str]) -> None:
    """InferenceX's files of 2025-10 say neither isl nor osl: asked for by name, and taken from the options."""
    for name, facts in (("old", {"isl": ..., "osl": ...}), ("new", {"precision": "int4"})):
        measured = (
            {"conc": c, "median_tpot": t, "median_intvty": 1 / t, "tput_per_gpu": y} for c, t, y in POINTS_OF_2025
        )
        write(f"{name}.json", json.dumps([results.agg(**facts, **each) for each in measured]))
    assert main(["compare", "old.json", "new.json", "--at", "75"]) == 2
    assert "old.json: does not say its isl" in capsys.readouterr().err
    assert main(["compare", "old.json", "new.json", "--at", "75", "--isl", "1000", "--osl", "500"]) == 0
    assert "isl 1000, osl 500" in capsys.readouterr().out


POINTS_OF_2025 = ((10, 0.02, 300.0), (5, 0.01, 240.0))


def test_compare_of_rows_that_differ_names_the_first_one_s(capsys: pytest.CaptureFixture[str]) -> None:
    """There is no suite here whose workload it could be."""
    write("mixed.json", json.dumps([results.agg(), results.agg(conc=5, osl=250)]))
    assert main(["compare", "mixed.json", "mixed.json:int4"]) == 2
    assert "osl is 250, the first row's is 500; keep one file per hardware and workload" in capsys.readouterr().err


def test_compare_refuses_a_row_that_cannot_be(capsys: pytest.CaptureFixture[str]) -> None:
    """System throughput in the column per GPU made one precision 10981% cheaper."""
    head = "precision,concurrency,gpus,hardware,isl,osl,interactivity,throughput_per_gpu\n"
    write("p.csv", f"{head}fp4,4,8,b200,1024,1024,50,5000\nfp4,1,8,b200,1024,1024,60,10\n")
    assert main(["compare", "p.csv", str(POINTS) + ":int4"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "p.csv: impossible: 4 requests at 50 tok/s/user carry at most 400 tok/s" in captured.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["import", "raw.json"], "raw.json: does not say its gpus, precision, hardware; give --gpus, --precision, --"),
        (["import", "raw.json", "--gpus", "0"], "stated.gpus: got 0, wanted a whole number of at least 1"),
        (["import", "agg.json", "--gpus", "8"], "agg.json: gpus is 4 in the file, and 8 was given with --gpus"),
        (["import", "agg.json", "agg.json", "ag*.json", "again.json"], "holds concurrency 10 twice"),
        (["import", "x*.json"], "x*.json: matches no file below"),
        (["import", "."], "is a directory, wanted a file"),
        (["import", "agg.json", "-o", "no/points.csv"], "no/points.csv: cannot be written: No such file"),
        (["import", "system.json"], "divided by 4 it is possible: is it the whole system's throughput"),
        (["export", "--format", "inferencex"], "export: name FILES of recorded points, or a --suite"),
        (["export", "agg.json", "--suite", "kimi", "--format", "inferencex"], "one of them"),
        (["export", "--suite", "kimi", "--format", "inferencex"], "there is no baseline of suite 'kimi'"),
        (["compare", "raw.json", "agg.json"], "raw.json: does not say its hardware; give --hardware"),
    ],
)
def test_what_cannot_be_done_exits_2(capsys: pytest.CaptureFixture[str], arguments: list[str], why: str) -> None:
    """One line on stderr that says what to do; nothing is written."""
    write("raw.json", results.vllm())
    write("agg.json", results.agg())
    write("again.json", results.agg())
    write("system.json", results.agg(tput_per_gpu=1200.0))
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("precgate: ")
    assert why in captured.err


def test_a_cut_file_is_named_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """The points are printed all the same."""
    write("points.csv", POINTS.read_text(encoding="utf-8")[:-3])
    assert main(["import", "points.csv"]) == 0
    captured = capsys.readouterr()
    assert len(lines_of(captured.out)) == 22
    assert "points.csv: the last line has no line end, so the file may have been cut" in captured.err


def test_under_ci_a_cut_file_is_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """CI is what the environment says."""
    monkeypatch.setenv("CI", "true")
    write("points.csv", POINTS.read_text(encoding="utf-8")[:-3])
    assert main(["import", "points.csv"]) == 2
    assert "(refused under CI)" in capsys.readouterr().err


def test_export_writes_one_object_per_recorded_point(capsys: pytest.CaptureFixture[str]) -> None:
    """InferenceX's aggregated JSON, which import reads back."""
    assert main(["export", str(POINTS), "--format", "inferencex", "-o", "agg.json"]) == 0
    document = json.loads(Path("agg.json").read_text(encoding="utf-8"))
    assert len(document) == 21
    assert {point["precision"] for point in document} == {"fp4", "int4"}
    assert main(["import", "agg.json"]) == 0
    assert len(lines_of(capsys.readouterr().out)) == 22


def test_export_of_a_suite_writes_the_median_of_its_launches(
    accepted: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """A recorded baseline is one launch, so each point is that launch's."""
    accepted.pytester.chdir()
    assert main(["export", "--suite", "kimi", "--format", "inferencex"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document) == 21
    first = next(point for point in document if point["precision"] == "int4" and point["conc"] == 4)
    assert (first["hw"], first["tp"], first["isl"]) == ("b200", 8, 1024)
    assert first["tput_per_gpu"] == pytest.approx(107.626, abs=0.001)


def test_details_survive_import_export_and_import_again(capsys: pytest.CaptureFixture[str]) -> None:
    """Into our CSV, out of it as InferenceX's, and back: what that format has a name for is the same."""
    write("agg.json", results.agg())
    assert main(["import", "agg.json", "-o", "points.csv"]) == 0
    assert main(["export", "points.csv", "--format", "inferencex", "-o", "out.json"]) == 0
    assert main(["import", "out.json", "-o", "again.csv"]) == 0
    first, again = (dict(zip(*(line.split(",") for line in lines_of(Path(name).read_text())), strict=True))
                    for name in ("points.csv", "again.csv"))  # fmt: skip
    assert first == again
    assert (first["ttft_p99_s"], first["mean_power_w"], first["output_throughput_per_gpu"]) == ("1.5", "900.0", "100.0")
    assert capsys.readouterr().out == ""


def test_export_of_a_suite_writes_the_median_of_each_detail_that_all_launches_have() -> None:
    """Not the details of the first launch; a figure that one launch lacks is none of the median."""
    launches = [
        SweepPoint(4, 8, interactivity, 100.0, details=PointDetails(ttft_p99_s=ttft, itl_p50_s=itl))
        for interactivity, ttft, itl in ((50.0, 3.0, 0.02), (52.0, 1.0, None), (51.0, 2.0, 0.02))
    ]
    point = _median_point(launches)
    assert (point.interactivity, point.details) == (51.0, PointDetails(ttft_p99_s=2.0))
    assert _median_point([*launches, SweepPoint(4, 8, 50.0, 100.0)]).details is None


@pytest.mark.parametrize("command", ["import", "export"])
def test_help_is_printed(capsys: pytest.CaptureFixture[str], command: str) -> None:
    """Exit 0, and every option of a fact."""
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    for option in ("--gpus", "--precision", "--hardware", "--isl", "--osl", "--configuration"):
        assert option in out
