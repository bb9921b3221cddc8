"""Results of other tools with invented numbers: the shape of the real files, cut to what is read and a little beside.

Every point is 10 requests at 20 ms per token (50 tok/s/user) with 1000 input and 500 output tokens: at most
10 * 50 * 1500 / 500 = 1500 tok/s, of which 1200 are reached, 400 of them output. Its details, where the tool states
them, are those of ``DETAILS`` on 4 GPUs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

Result = dict[str, object]

TTFT = {"mean": 0.6, "p50": 0.5, "p90": 0.9, "p99": 1.5}
TPOT = {"mean": 0.021, "p50": 0.02, "p90": 0.025, "p99": 0.03}
LATENCY = {"mean": 11.0, "p50": 10.5, "p90": 12.0, "p99": 14.0}
ITL = {"mean": 0.021, "p50": 0.019, "p99": 0.06}
DETAILS = {
    **{f"ttft_{name}_s": value for name, value in TTFT.items()},
    **{f"tpot_{name}_s": value for name, value in TPOT.items()},
    **{f"itl_{name}_s": value for name, value in ITL.items()},
    **{f"request_latency_{name}_s": value for name, value in LATENCY.items()},
    "output_throughput_per_gpu": 100.0,
    "e2e_interactivity": 40.0,
    "mean_power_w": 900.0,
    "joules_per_token": 3.0,
}
_WORDS = {"mean": "mean", "p50": "median", "p90": "p90", "p99": "p99"}


def flat(latency: str, suffix: str = "", unit: float = 1.0) -> dict[str, float]:
    """Members like ``p90_ttft_ms``, itl included, which counts chunks and is not read."""
    kinds = (("ttft", TTFT), ("tpot", TPOT), (latency, LATENCY), ("itl", ITL))
    return {f"{_WORDS[name]}_{kind}{suffix}": value * unit for kind, values in kinds for name, value in values.items()}


def averaged(values: Mapping[str, float], unit: float = 1000.0, **more: object) -> Result:
    """A distribution of AIPerf, in milliseconds."""
    return {"unit": "ms", **{"avg" if name == "mean" else name: value * unit for name, value in values.items()}, **more}


def changed(result: Result, **changes: object) -> Result:
    """The result with members of its own or below (``a__b``) changed; ``...`` removes one."""
    copy: Result = json.loads(json.dumps(result))
    for path, value in changes.items():
        *above, last = path.split("__")
        place: object = copy
        for name in above:
            place = place[int(name)] if isinstance(place, list) else _table(place)[name]
        if value is ...:
            del _table(place)[last]
        else:
            _table(place)[last] = value
    return copy


def _table(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value


def vllm(**changes: object) -> Result:
    """`vllm bench serve`, which is InferenceX's raw result too."""
    result: Result = {
        "date": "20261101-120000",
        "backend": "vllm",
        "model_id": "example/model",
        "num_prompts": 100,
        "request_rate": "inf",
        "max_concurrency": 10,
        "duration": 125.0,
        "completed": 100,
        "total_input_tokens": 100000,
        "total_output_tokens": 50000,
        "request_goodput:": None,
        "output_throughput": 400.0,
        "total_token_throughput": 1200.0,
        **flat("e2el", "_ms", 1000.0),
    }
    return changed(result, **changes)


def sglang(**changes: object) -> Result:
    """SGLang's bench_serving, one line of its file."""
    result: Result = {
        "backend": "sglang",
        "dataset_name": "random",
        "request_rate": math.inf,
        "max_concurrency": 10,
        "random_input_len": 1000,
        "random_output_len": 500,
        "random_range_ratio": 1.0,
        "server_info": {"model_path": "example/model", "tp_size": 2, "pp_size": 2, "dp_size": 1, "quantization": "fp8"},
        "completed": 100,
        "total_input_tokens": 100000,
        "total_output_tokens": 50000,
        "output_throughput": 400.0,
        "total_throughput": 1200.0,
        **flat("e2e_latency", "_ms", 1000.0),
        "concurrency": 9.5,
    }
    return changed(result, **changes)


def agg(**changes: object) -> Result:
    """InferenceX's aggregated result of 2026."""
    result: Result = {
        "hw": "b200",
        "conc": 10,
        "model": "example/model",
        "framework": "vllm",
        "precision": "fp4",
        "spec_decoding": "none",
        "disagg": False,
        "isl": 1000,
        "osl": 500,
        "is_multinode": False,
        "tp": 4,
        "pp": 1,
        "dcp_size": 1,
        "pcp_size": 1,
        "ep": 1,
        "dp_attention": "false",
        "tput_per_gpu": 300.0,
        "output_tput_per_gpu": 100.0,
        **flat("e2el"),
        "median_intvty": 50.0,
        "avg_power_w": 900.0,
        "joules_per_total_token": 3.0,
    }
    return changed(result, **changes)


def agentic(**changes: object) -> Result:
    """InferenceX's aggregated result of an agentic scenario, version 3."""
    result: Result = {
        "hw": "cluster:b200-example",
        "conc": 10,
        "model": "example/model",
        "framework": "sglang",
        "precision": "fp4",
        "spec_decoding": "mtp",
        "disagg": False,
        "scenario_type": "agentic-coding",
        "is_multinode": False,
        "num_gpus": 4,
        "tp": 4,
        "ep": 1,
        "dp_attention": "false",
        "pp": 1,
        "dcp_size": 1,
        "pcp_size": 1,
        "avg_power_w": 900.0,
        "joules_per_total_token": 3.0,
        "request_metrics": {
            "latency": {
                "ttft": TTFT,
                "tpot": TPOT,
                "itl": TPOT,
                "e2el": LATENCY,
                "e2e_norm_intvty": {"p50": 46.0, "p90": 40.0},
            },
            "throughput": {"per_gpu": {"total_tput_tps": 300.0, "output_tput_tps": 100.0}},
        },
    }
    return changed(result, **changes)


def api(**changes: object) -> Result:
    """A row of InferenceX's public interface."""
    result: Result = {
        "hardware": "b200",
        "framework": "vllm",
        "model": "example",
        "precision": "fp4",
        "spec_method": "none",
        "disagg": False,
        "is_multinode": False,
        "decode_tp": 4,
        "decode_ep": 1,
        "decode_dp_attention": False,
        "num_decode_gpu": 4,
        "isl": 1000,
        "osl": 500,
        "conc": 10,
        "metrics": {
            "tput_per_gpu": 300.0,
            "output_tput_per_gpu": 100.0,
            **flat("e2el"),
            "median_intvty": 50.0,
            "avg_power_w": 900.0,
            "joules_per_total_token": 3.0,
        },
        "date": "2026-11-01",
    }
    return changed(result, **changes)


EXPORT_HEAD = (
    "Model,ISL,OSL,Hardware,Hardware Key,Framework,Precision,TP,Concurrency,Date,Throughput/GPU (tok/s),"
    "Median TPOT (ms),Median Interactivity (tok/s/user),Disaggregated,Num Prefill GPUs,Num Decode GPUs,Spec Decoding,"
    "EP,DP Attention,Is Multinode,Output Throughput/GPU (tok/s),Mean TTFT (ms),Median TTFT (ms),P90 TTFT (ms),"
    "P99 TTFT (ms),Mean TPOT (ms),P90 TPOT (ms),P99 TPOT (ms),Mean ITL (ms),Mean E2E Latency (ms),"
    "Median E2E Latency (ms),P90 E2E Latency (ms),P99 E2E Latency (ms)"
)


def export(*lines: str) -> str:
    """The site's CSV, its licence in comments above the head."""
    return "\n".join(("# Licence", "# Attribution", EXPORT_HEAD, *lines)) + "\n"


def export_line(unit: float = 1.0) -> str:
    """A line of the site's CSV, its times in seconds or in ``unit`` of them."""
    ttft = (TTFT[name] for name in _WORDS)
    others = (TPOT["mean"], TPOT["p90"], TPOT["p99"], ITL["mean"], *(LATENCY[name] for name in _WORDS))
    times = ",".join(repr(value * unit) for value in (*ttft, *others))
    return (
        f"example,1000,500,b200,b200_vllm,vllm,fp4,4,10,2026-11-01,300.0,{TPOT['p50'] * unit!r},50.0,false,,,none,1,"
        f"false,false,100.0,{times}"
    )


EXPORT_LINE = export_line()


def aiperf(**changes: object) -> Result:
    """AIPerf's profile export."""
    result: Result = {
        "schema_version": "1.4",
        "aiperf_version": "0.13.0",
        "time_to_first_token": averaged(TTFT),
        "inter_token_latency": averaged(TPOT),
        "inter_chunk_latency": averaged(ITL, min=0.0, p90=40.0),
        "request_latency": averaged(LATENCY),
        "e2e_output_token_throughput": {"unit": "tokens/sec/user", "avg": 45.0, "p10": 40.0, "p50": 46.0},
        "output_token_throughput": {"unit": "tokens/sec", "avg": 400.0},
        "total_token_throughput": {"unit": "tokens/sec", "avg": 1200.0},
        "input_sequence_length": {"unit": "tokens", "avg": 1000.0, "min": 1000.0, "max": 1000.0},
        "output_sequence_length": {"unit": "tokens", "avg": 500.0, "min": 500.0, "max": 500.0},
        "request_error_rate": {"unit": "%", "avg": 0.0},
        "input_config": {
            "models": {"items": [{"name": "example/model"}]},
            "phases": [
                {"name": "warmup", "type": "concurrency", "concurrency": 3},
                {"name": "profiling", "type": "concurrency", "concurrency": 10},
            ],
        },
        "was_cancelled": False,
        "error_summary": [],
    }
    return changed(result, **changes)


AIPERF_CSV = """\
Metric,avg,min,max,sum,p10,p90,p99,p50
Effective Concurrency,9.50,0.00,10.00,,,,,10.00
E2E Output Token Throughput (tokens/sec/user),45.00,33.00,49.00,4500.00,40.00,48.00,49.00,46.00
Inter Token Latency (ms),21.00,18.00,30.00,2100.00,19.00,25.00,30.00,20.00
Input Sequence Length (tokens),1000.00,1000.00,1000.00,100000.00,1000.00,1000.00,1000.00,1000.00
Inter Chunk Latency (ms),21.00,0.00,90.00,2100.00,3.00,40.00,60.00,19.00
Output Sequence Length (tokens),500.00,500.00,500.00,50000.00,500.00,500.00,500.00,500.00
Request Latency (ms),11000.00,9900.00,15000.00,1100000.00,10000.00,12000.00,14000.00,10500.00
Time to First Token (ms),600.00,300.00,1600.00,60000.00,400.00,900.00,1500.00,500.00

Metric,Value
Output Token Throughput (tokens/sec),400.00
Request Error Rate (%),0.00
Total Token Throughput (tokens/sec),1200.00


Endpoint,GPU_Index,GPU_Name,Metric,avg
http://localhost:9400,0,Example,Power (W),500.0
"""


def aiperf_sweep(**changes: object) -> Result:
    """AIPerf's summary of a sweep."""
    result: Result = {
        "aggregation_type": "sweep",
        "failed_runs": [],
        "per_combination_metrics": [
            {
                "parameters": {"concurrency": 10},
                "metrics": {
                    "inter_token_latency": {"mean": 21.0, "unit": "ms", "p50": 20.0},
                    "output_token_throughput": {"mean": 400.0, "unit": "tokens/sec"},
                },
            }
        ],
    }
    return changed(result, **changes)


def _successful(**figures: object) -> Mapping[str, object]:
    return {"successful": figures}


def _percentiles(values: Mapping[str, float], unit: float = 1000.0) -> Mapping[str, object]:
    told = {name: value * unit for name, value in values.items()}
    return _successful(mean=told["mean"], median=told["p50"], percentiles=told)


def guidellm(version: str = "0.8", **changes: object) -> Result:
    """GuideLLM's report: 0.8 says its strategy in ``config``, 0.3 in ``args``."""
    strategy = {"type_": "concurrent", "streams": 10}
    made = {"requests_made": {"successful": 100, "errored": 0, "incomplete": 0, "total": 100}}
    benchmark: Result = {
        "type_": "generative_benchmark",
        "metrics": {
            "prompt_token_count": _successful(mean=1000.0, min=1000.0, max=1000.0),
            "output_token_count": _successful(mean=500.0, min=500.0, max=500.0),
            "time_to_first_token_ms": _percentiles(TTFT),
            "inter_token_latency_ms": _percentiles(TPOT),
            "request_latency": _percentiles(LATENCY, 1.0),
            "time_per_output_token_ms": _successful(mean=25.0, median=24.0),
            "output_tokens_per_second": _successful(mean=400.0, median=300.0),
            "tokens_per_second": _successful(mean=1200.0, median=900.0),
        },
    }
    if version == "0.3":
        extra: Result = {
            "args": {"strategy": strategy},
            "run_stats": made,
            "worker": {"backend_model": "example/model"},
        }
        return changed({"benchmarks": [benchmark | extra]}, **changes)
    extra = {"config": {"strategy": strategy, "backend": {"model": "example/model"}}, "scheduler_metrics": made}
    metadata = {"version": 2, "guidellm_version": "0.8.1"}
    return changed({"metadata": metadata, "benchmarks": [benchmark | extra]}, **changes)


def trtllm(**changes: object) -> Result:
    """The report of trtllm-bench with --streaming."""
    result: Result = {
        "engine": {"model": "example/model", "quantization": "NVFP4", "kv_cache_dtype": "FP8"},
        "machine": {"name": "NVIDIA B200", "memory.total": 180.0},
        "world_info": {"tp_size": 2, "pp_size": 2, "max_batch_size": 16},
        "request_info": {
            "num_requests": 100,
            "avg_input_length": 1000.0,
            "avg_output_length": 500.0,
            "avg_num_concurrent_requests": 9.8,
        },
        "performance": {
            "system_output_throughput_tok_s": 400.0,
            "system_total_throughput_tok_s": 1200.0,
            "output_throughput_per_gpu_tok_s": 100.0,
            "avg_request_latency_ms": 11000.0,
            "request_latency_percentiles_ms": {name: value * 1000 for name, value in LATENCY.items()},
        },
        "streaming_metrics": {
            "avg_ttft_ms": 600.0,
            "ttft_percentiles": {name: value * 1000 for name, value in TTFT.items()},
            "avg_tpot_ms": 21.0,
            "tpot_percentiles": {name: value * 1000 for name, value in TPOT.items()},
        },
    }
    return changed(result, **changes)


def llmd(**changes: object) -> Result:
    """llm-d's benchmark report of a closed loop, as JSON or YAML."""
    engine = {
        "tool": "vllm",
        "role": "replica",
        "model": {"name": "example/model"},
        "accelerator": {"model": "NVIDIA-H200-141GB-HBM3e", "count": 2, "parallelism": {"tp": 2}},
    }
    result: Result = {
        "version": "0.2",
        "scenario": {
            "stack": [{"standardized": engine}, {"standardized": {"tool": "envoy"}}, {"standardized": engine}],
            "load": {
                "standardized": {
                    "concurrency": 10,
                    "input_seq_len": {"distribution": "fixed", "value": 1000},
                    "output_seq_len": {"distribution": "fixed", "value": 500},
                }
            },
        },
        "results": {
            "request_performance": {
                "aggregate": {
                    "requests": {"total": 100, "failures": 0},
                    "latency": {
                        "time_to_first_token": {**TTFT, "units": "s"},
                        "time_per_output_token": {**TPOT, "units": "s/token"},
                        "inter_token_latency": {**ITL, "units": "s/token"},
                        "request_latency": {**LATENCY, "units": "s"},
                    },
                    "throughput": {
                        "output_token_rate": {"mean": 400.0, "units": "tokens/s"},
                        "total_token_rate": {"mean": 1200.0, "units": "tokens/s"},
                    },
                }
            }
        },
    }
    return changed(result, **changes)
