"""Real result files of other tools, where they are at hand: the right points, or what each file lacks.

They belong to others and are not part of this repository. The expected figures were worked out from the files by hand:
interactivity is 1000 / tpot in ms or 1 / tpot in s, throughput per GPU is total tok/s over GPUs."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_precgate.errors import RecordedPointsError
from pytest_precgate.interop.files import read_file
from pytest_precgate.interop.rows import NOTHING, Stated
from pytest_precgate.interop.sweeps import sweeps_of

SAMPLES = Path(__file__).parents[2].parent / "shared" / "data" / "formats"
pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="sample files of other tools are not here")

Point = tuple[int, int, float, float]
"""Concurrency, GPUs, interactivity in tok/s/user, throughput in tok/s/GPU."""

ONE_GPU = Stated(gpus=1, precision="fp4", hardware="b200")
OF_32_64 = Stated(gpus=1, precision="fp8", hardware="h100", isl=32, osl=64)

READ: dict[str, tuple[str, Stated, list[Point]]] = {
    "aiperf/profile_export_aiperf_sweep.json": (
        "AIPerf sweep",
        Stated(gpus=8, precision="fp4", hardware="b200", isl=1024, osl=512),
        [(16, 8, 1000 / 8.7317, 1792.2 * 1536 / 512 / 8)],
    ),
    "aiperf/profile_export_aiperf_v010.json": (
        "AIPerf JSON",
        Stated(gpus=2, precision="fp4", hardware="b200", isl=3761, osl=544),
        [(16, 2, 1000 / 12.245986588621273, 9282.317 / 2)],
    ),
    "aiperf/profile_export_aiperf_v013.csv": (
        "AIPerf CSV",
        Stated(gpus=1, precision="fp4", hardware="b200", isl=68),
        [(8, 1, 1000 / 2.38, 3765.40)],
    ),
    "aiperf/profile_export_aiperf_v013.json": (
        "AIPerf JSON",
        Stated(gpus=1, precision="fp4", hardware="b200", isl=68),
        [(8, 1, 1000 / 2.3814546176470586, 3765.397003976098)],
    ),
    "aiperf_0.13_c16.json": ("AIPerf JSON", ONE_GPU, [(16, 1, 1000 / 10.040232904761904, 2204.17086247637)]),
    "guidellm/guidellm_0.3.1.json": (
        "GuideLLM",
        Stated(gpus=1, precision="fp4", hardware="b200", isl=23),
        [(8, 1, 1000 / 2.3589536255481196, 3319.0302047272753)],
    ),
    "guidellm_0.8_thinned.json": ("GuideLLM", ONE_GPU, [(16, 1, 1000 / 9.984111029004294, 2125.694394747837)]),
    "inferencex/agg_2025-10.json": (
        "InferenceX aggregated",
        Stated(isl=1024, osl=1024),
        [
            (4, 8, 1 / 0.013046959242483922, 73.23249262439295),
            (16, 8, 1 / 0.017953832932473393, 217.38250582450988),
            (32, 8, 1 / 0.024362931989645863, 318.3861763005379),
        ],
    ),
    "inferencex/agg_agentic_v3_2026-09.json": (
        "InferenceX agentic",
        Stated(isl=123000, osl=1000),
        [(4, 8, 1 / 0.00883, 405.2768)],
    ),
    "inferencex/agg_tp8.json": (
        "InferenceX aggregated",
        NOTHING,
        [
            (4, 8, 1 / 0.013046959242483922, 73.23249262439295),
            (16, 8, 1 / 0.017953832932473393, 217.38250582450988),
            (32, 8, 1 / 0.024362931989645863, 318.3861763005379),
        ],
    ),
    "inferencex/agg_tp4pp2.json": (
        "InferenceX aggregated",
        NOTHING,
        [
            (4, 8, 1 / 0.013046959242483922, 73.23249262439295),
            (16, 8, 1 / 0.017953832932473393, 217.38250582450988),
            (32, 8, 1 / 0.024362931989645863, 318.3861763005379),
        ],
    ),
    "inferencex/agg_tp4_both.json": (
        "InferenceX aggregated",
        NOTHING,
        [
            (4, 4, 1 / 0.013046959242483922, 146.4649852487859),
            (16, 4, 1 / 0.017953832932473393, 434.76501164901975),
            (32, 4, 1 / 0.024362931989645863, 636.7723526010758),
            (4, 8, 1 / 0.013046959242483922, 73.23249262439295),
            (16, 8, 1 / 0.017953832932473393, 217.38250582450988),
            (32, 8, 1 / 0.024362931989645863, 318.3861763005379),
        ],
    ),
    "inferencex/api_v1_benchmarks_cut.json": (
        "InferenceX API",
        NOTHING,
        [
            (4, 4, 1 / 0.009648023886344358, 198.9447984579421),
            (8, 8, 1 / 0.010295232211492948, 187.79389957231348),
            (16, 8, 1 / 0.011257750353319825, 346.75507723616977),
            (32, 8, 1 / 0.011595241329259081, 688.013058016062),
            (64, 8, 1 / 0.014663303086725796, 845.9716329963401),
            (4, 4, 1 / 0.018458502269583427, 60.45934990269039),
        ],
    ),
    "inferencex/raw_2026-06_conc16.json": (
        "vllm bench serve (InferenceX raw)",
        Stated(gpus=8, precision="fp8", hardware="h200", isl=1024, osl=1024),
        [(16, 8, 1000 / 17.953832932473393, 1739.060046596079 / 8)],
    ),
    "inferencex/site_export_2026-06.csv": (
        "InferenceX site export",
        NOTHING,
        [
            (4, 8, 270.226852821401, 260.6199555620595),
            (8, 8, 249.20915723868308, 475.23180571798787),
            (16, 8, 211.5167409298871, 820.7025361464997),
            (32, 8, 177.13614269866179, 1358.0349991210514),
            (64, 8, 139.66187869865396, 2162.2839179140947),
        ],
    ),
    "inferencex_agg_kimi_int4_mi355x_8k1k_c16.json": (
        "InferenceX aggregated",
        NOTHING,
        [(16, 8, 1 / 0.08977404262975221, 187.66949595644815)],
    ),
    "inferencex_agg_kimi_int4_mi355x_c4.json": (
        "InferenceX aggregated",
        NOTHING,
        [(4, 8, 1 / 0.017393898241078155, 55.62670336516291)],
    ),
    "inferencex_raw_kimi_int4_mi355x_8k1k_c16.json": (  # the raw result of the aggregated one: the same point
        "vllm bench serve (InferenceX raw)",
        Stated(gpus=8, precision="int4", hardware="mi355x", isl=8192, osl=1024),
        [(16, 8, 1 / 0.08977404262975221, 187.66949595644815)],
    ),
    "sglang/bench_serving_0.5.5_c8.jsonl": (
        "SGLang bench_serving",
        Stated(precision="bf16", hardware="h100"),
        [(8, 1, 1000 / 5.100693528197314, 7500.582730449984)],
    ),
    "sglang_bench_serving.jsonl": (
        "SGLang bench_serving",
        OF_32_64,
        [(16, 1, 1000 / 10.001867841269842, 2292.86952712)],
    ),
    "trtllm-bench/bench_report_1.3.0rc12.json": ("trtllm-bench", NOTHING, [(1, 1, 1000 / 14.03, 16.86)]),
    "vllm/bench_serve_2026-03_conc16.json": (
        "vllm bench serve (InferenceX raw)",
        Stated(gpus=4, precision="fp8", hardware="h200", isl=1024, osl=1024),
        [(16, 4, 1000 / 81.24676168279643, 447.58730925540925 / 4)],
    ),
    "vllm/bench_serve_2026-06_conc8.json": (
        "vllm bench serve (InferenceX raw)",
        Stated(gpus=2, precision="fp4", hardware="b200", isl=8192, osl=1024),
        [(8, 2, 1000 / 9.161651590153008, 7010.352961589876 / 2)],
    ),
}

REFUSED = {
    "aiperf/profile_export_aiperf_v010.csv": "does not say its concurrency; read the JSON that AIPerf wrote beside it",
    "guidellm/guidellm_0.8_report_v2.json": "got 'constant': requests were sent at a rate",
    "inference-perf/stage_1_lifecycle_metrics.json": "lacks a constant concurrency",
    "inference-perf/summary_lifecycle_metrics.json": "lacks a constant concurrency",
    "inferencex/agg_agentic_v2_golden.json": "lacks the throughput of input and output tokens per GPU",
    "llm-d/benchmark_report_v0.2.1_cut.yaml": "got an infinite concurrency",
    "llmperf/llmperf-bench_2.0.1_summary.json": "lacks tpot",
    "llmperf/llmperf_2023-08-31_summary.json": "lacks tpot",
}

LACKING = {
    "aiperf/profile_export_aiperf_sweep.json": "gpus, precision, hardware, isl, osl",
    "aiperf/profile_export_aiperf_v010.json": "gpus, precision, hardware, isl (its prompts average 3761.3 tokens)",
    "aiperf/profile_export_aiperf_v013.csv": "gpus, precision, hardware, isl (its prompts average 67.86 tokens)",
    "aiperf/profile_export_aiperf_v013.json": "gpus, precision, hardware, isl (its prompts average 67.8646 tokens)",
    "aiperf_0.13_c16.json": "gpus, precision, hardware; give",
    "guidellm/guidellm_0.3.1.json": "gpus, precision, hardware, isl (its prompts average 22.5804 tokens)",
    "guidellm_0.8_thinned.json": "gpus, precision, hardware; give",
    "inferencex/agg_2025-10.json": "isl, osl; give",
    "inferencex/agg_agentic_v3_2026-09.json": "isl, osl; give",
    "inferencex/raw_2026-06_conc16.json": "gpus, precision, hardware, isl (its prompts average 925.644 tokens), osl (",
    "inferencex_raw_kimi_int4_mi355x_8k1k_c16.json": "gpus, precision, hardware, isl (its prompts average 7318.65 ",
    "sglang/bench_serving_0.5.5_c8.jsonl": "precision, hardware; give",
    "sglang_bench_serving.jsonl": "gpus, precision, hardware; give",
    "vllm/bench_serve_2026-03_conc16.json": "gpus, precision, hardware, isl (its prompts average 1024 tokens), osl (",
    "vllm/bench_serve_2026-06_conc8.json": "gpus, precision, hardware, isl (its prompts average 7148.16 tokens), osl (",
}


@pytest.mark.parametrize("name", READ)
def test_a_sample_is_read_as_the_points_it_holds(name: str) -> None:
    """The tool, and every point to the digits of the file."""
    tool, stated, points = READ[name]
    found = read_file(SAMPLES / name)
    assert found.tools == (tool,)
    read = [
        (p.concurrency, p.gpus, p.interactivity, p.throughput_per_gpu)
        for s in sweeps_of(found.rows, stated)
        for p in s.points
    ]
    assert sorted(read) == [pytest.approx(point) for point in sorted(points)]


@pytest.mark.parametrize("name", REFUSED)
def test_a_sample_without_a_point_is_refused_with_what_it_lacks(name: str) -> None:
    """No closed loop, no tpot, no total."""
    with pytest.raises(RecordedPointsError) as caught:
        read_file(SAMPLES / name)
    assert REFUSED[name] in str(caught.value)


@pytest.mark.parametrize("name", LACKING)
def test_what_a_sample_lacks_is_asked_for_by_name(name: str) -> None:
    """With the averages that may tell it."""
    with pytest.raises(RecordedPointsError) as caught:
        sweeps_of(read_file(SAMPLES / name).rows, NOTHING)
    assert f"does not say its {LACKING[name]}" in str(caught.value)


def details(name: str) -> dict[str, float]:
    """The details of the first point of a sample."""
    point = next(p for s in sweeps_of(read_file(SAMPLES / name).rows, READ[name][1]) for p in s.points)
    return {} if point.details is None else point.details.known


def test_a_raw_result_and_the_aggregated_one_made_of_it_have_the_same_details() -> None:
    """Milliseconds and seconds, throughput of the system and of one GPU."""
    raw, aggregated = (details(f"inferencex_{kind}_kimi_int4_mi355x_8k1k_c16.json") for kind in ("raw", "agg"))
    assert len(raw) == 13
    assert raw == pytest.approx(aggregated)


def test_the_csv_of_a_run_has_the_details_of_its_json() -> None:
    """AIPerf writes both, the CSV with two decimals."""
    csv, whole = (details(f"aiperf/profile_export_aiperf_v013.{kind}") for kind in ("csv", "json"))
    assert len(csv) == 17
    assert csv == pytest.approx(whole, rel=0.005)


def test_every_sample_is_in_the_tables_above() -> None:
    """A new one must be read or refused too."""
    here = {str(path.relative_to(SAMPLES)) for path in SAMPLES.rglob("*") if path.is_file()}
    assert here == {*READ, *REFUSED}
    assert {*LACKING} == {name for name, (_, stated, _) in READ.items() if stated != NOTHING}
