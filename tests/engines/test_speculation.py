"""Speculative decoding of the servers this tool starts: seen in their options, refused without an acceptance length,
and made to accept it.

What vLLM takes is in vllm/config/speculative.py (0.20 to 0.33), what TensorRT-LLM takes in
tensorrt_llm/_torch/speculative/interface.py and tensorrt_llm/llmapi/llm_args.py (2025 and 2026)."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.engines.speculation import decimal_text, is_length
from pytest_precgate.engines.speculation.trtllm import VARIABLE, draft_length, forced_variables
from pytest_precgate.engines.speculation.vllm import forced_options
from pytest_precgate.engines.trtllm import TrtllmEngine
from pytest_precgate.engines.vllm import VllmEngine
from pytest_precgate.errors import PreflightError
from tests.engines.hosts import INT4, NVFP4, CannedNetwork, kimi_host, said, slot, table

EAGLE3 = {"method": "eagle3", "model": "draft", "num_speculative_tokens": 4}
# SemiAnalysisAI/InferenceX, golden_al_distribution/kimik2.5_eagle3.yaml, snapshot of 2026-08-21, thinking on: 1 to 8
# draft tokens.
GOLDEN = (1.83, 2.43, 2.88, 3.24, 3.46, 3.62, 3.71, 3.77)


def vllm(**keys: object) -> VllmEngine:
    return VllmEngine.read(table(**{"engine": "vllm", "model": INT4, "gpus": 8, **keys}), Path())


def trtllm(**keys: object) -> TrtllmEngine:
    return TrtllmEngine.read(table(**{"engine": "trtllm", "model": NVFP4, "gpus": 4, **keys}), Path())


def speculating(length: float | None, config: object = EAGLE3, **options: object) -> VllmEngine:
    keys: dict[str, object] = {} if length is None else {"acceptance_length": length}
    return vllm(options={"speculative_config": config, **options}, **keys)


# --- vLLM -------------------------------------------------------------------------------------------------------------

VLLM_OPTIONS: list[dict[str, object]] = [
    {"speculative_config": EAGLE3},
    {"speculative-config": json.dumps(EAGLE3)},
    {"spec_method": "mtp", "spec_tokens": 3},
    {"spec-model": "draft"},
    {"speculative": json.dumps(EAGLE3)},
    {"speculative_con": json.dumps(EAGLE3)},
    {"speculative_model": "draft", "num_speculative_tokens": 4},
    {"num_speculative_tokens": 4},
    {"speculative_draft_tensor_parallel_size": 1},
]


@pytest.mark.parametrize("options", VLLM_OPTIONS, ids=" ".join)
def test_vllm_does_not_speculate_without_an_acceptance_length(tmp_path: Path, options: dict[str, object]) -> None:
    """However it is spelled: the config, its short forms, abbreviations, and the flags of older releases."""
    with pytest.raises(PreflightError) as caught:
        vllm(options=options).preflight("int4", "b200", kimi_host(tmp_path))
    key = next(iter(options)).replace("-", "_")
    assert str(caught.value) == (
        f"{INT4}: options.{key}: vLLM would decode speculatively, and random tokens give an acceptance that no real "
        "text has. Set acceptance_length, for instance to a published golden length of the model and draft length, "
        "and the engine is made to force it; or leave speculative decoding out"
    )


def test_other_flags_of_vllm_are_no_speculation(tmp_path: Path) -> None:
    """specialize-active-lora begins with the same letters."""
    options = {"specialize_active_lora": True, "scheduling_policy": "fcfs"}
    facts = vllm(options=options).preflight("int4", "b200", kimi_host(tmp_path))
    assert "acceptance_length" not in facts.hard


def test_an_acceptance_length_without_speculation_is_refused(tmp_path: Path) -> None:
    """A baseline would say that drafts were accepted."""
    why = r"acceptance_length: got 3\.24, and {} is started without speculative decoding; set speculative_config in opt"
    with pytest.raises(PreflightError, match=why.format("vLLM")):
        vllm(acceptance_length=3.24).preflight("int4", "b200", kimi_host(tmp_path / "a"))
    with pytest.raises(PreflightError, match=why.format("TensorRT-LLM")):
        trtllm(acceptance_length=3.24).preflight("fp4", "b200", kimi_host(tmp_path / "b"))


@pytest.mark.parametrize(
    ("options", "config"),
    [
        ({"speculative_config": EAGLE3}, EAGLE3),
        ({"speculative-config": json.dumps(EAGLE3)}, EAGLE3),
        ({"spec_method": "mtp", "spec_tokens": 3}, {"method": "mtp", "num_speculative_tokens": 3}),
        (
            {"spec_tokens": 4, "speculative_config": {"method": "eagle3", "model": "draft"}},
            EAGLE3,
        ),
        ({"speculative_config": {**EAGLE3, "synthetic_acceptance_length": 3.24}}, EAGLE3),
        ({"speculative_config": {**EAGLE3, "rejection_sample_method": "synthetic"}}, EAGLE3),
        ({"speculative_config": {"method": "mtp"}}, {"method": "mtp"}),
    ],
)
def test_vllm_is_made_to_accept_the_length(
    tmp_path: Path, options: dict[str, object], config: dict[str, object]
) -> None:
    """By synthetic rejection sampling in one speculative config, for any form of the options."""
    opened = vllm(options={**options, "max_num_seqs": 8}, acceptance_length=3.24)
    where = kimi_host(tmp_path)
    assert opened.preflight("int4", "b200", where).hard["acceptance_length"] == 3.24
    argv = opened.command(slot(tmp_path), where).argv
    assert [word for word in argv if word.startswith("--spec")] == ["--speculative-config"]
    assert json.loads(argv[argv.index("--speculative-config") + 1]) == {
        **config,
        "rejection_sample_method": "synthetic",
        "synthetic_acceptance_length": 3.24,
    }
    assert argv[argv.index("--max-num-seqs") + 1] == "8"


def test_rates_of_the_same_mean_are_kept() -> None:
    """vLLM takes the length or the rates, not both."""
    config = {**EAGLE3, "synthetic_acceptance_rates": [0.9, 0.7, 0.4, 0.24]}
    options = forced_options({"speculative-config": config}, 3.24, "kimi")
    assert options == {"speculative-config": {**config, "rejection_sample_method": "synthetic"}}


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (
            {**EAGLE3, "rejection_sample_method": "standard"},
            r"rejection_sample_method is 'standard', and acceptance_len",
        ),
        (
            {**EAGLE3, "synthetic_acceptance_length": 3},
            r"synthetic_acceptance_length is 3, and acceptance_length is 3\.24",
        ),
        ({**EAGLE3, "synthetic_acceptance_length": True}, r"synthetic_acceptance_length is True"),
        ({**EAGLE3, "synthetic_acceptance_rates": [0.9, 0.7]}, r"1 \+ their sum be acceptance_length, 3\.24"),
        ({**EAGLE3, "synthetic_acceptance_rates": ["0.9"]}, r"1 \+ their sum be acceptance_length, 3\.24"),
        ({**EAGLE3, "synthetic_acceptance_rates": [10**400, 1.5]}, r"1 \+ their sum be acceptance_length, 3\.24"),
        (
            {**EAGLE3, "synthetic_acceptance_rates": [1, 1, 0.24], "synthetic_acceptance_length": 3.24},
            r"synthetic_acceptance_rates must stand without synthetic_acceptance_length",
        ),
        (
            {**EAGLE3, "num_speculative_tokens": 2},
            r"a draft has 2 tokens, so a step gives 1 to 3, and acceptance_length ",
        ),
        ("mtp", r"got 'mtp', wanted a table, or one as JSON text"),
        ('{"method": NaN}', r"holds NaN"),
        ('{"method": "a", "method": "b"}', r"holds the key 'method' twice"),
        ("[" * 100_000, r"is nested too deeply to be read"),
        (f'{{"num_speculative_tokens": {"9" * 5000}}}', r"holds a number of more digits than can be read"),
        ("null", r"got 'null', wanted a table"),
        (True, r"got 'True', wanted a table"),
    ],
)
def test_a_config_of_vllm_that_contradicts_the_length_is_refused(config: object, why: str) -> None:
    """By key, with what to do."""
    with pytest.raises(PreflightError, match=rf"kimi: options\.speculative_config: .*{why}"):
        forced_options({"speculative-config": config}, 3.24, "kimi")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (
            {"speculative-model": "draft", "num-speculative-tokens": 4},
            r"options\.speculative_model: is an abbreviation, or",
        ),
        ({"speculative": "{}"}, r"options\.speculative: .*vLLM 0\.20 and later read speculative_config = "),
        (
            {"spec-method": "mtp", "speculative-config": {"method": "mtp"}},
            r"options\.spec_method: method is set twice; nothing is set in two places",
        ),
    ],
)
def test_what_is_not_vllms_config_cannot_be_forced(options: dict[str, object], why: str) -> None:
    """Abbreviations, older releases, and a key that stands in two places."""
    with pytest.raises(PreflightError, match=why):
        forced_options(options, 3.24, "kimi")


@pytest.mark.parametrize(("tokens", "length"), [*enumerate(GOLDEN, start=1)])
def test_the_golden_lengths_of_kimi_are_accepted_by_both_engines(tokens: int, length: float) -> None:
    """vLLM takes the length, TensorRT-LLM one less, without the noise of the subtraction."""
    config = {**EAGLE3, "num_speculative_tokens": tokens}
    forced = forced_options({"speculative-config": config}, length, "kimi")["speculative-config"]
    assert forced["synthetic_acceptance_length"] == length
    options = {"speculative_config": {"decoding_type": "Eagle3", "max_draft_len": tokens}}
    assert forced_variables(options, {}, length, "kimi") == {VARIABLE: str(Decimal(str(length)) - 1)}


READY = {"/version": said({"version": "0.26.0"}), "/v1/models": said({"data": [{"id": INT4}]})}


@pytest.mark.parametrize(
    ("said_config", "length", "refusal"),
    [
        ("None", 3.24, "acceptance_length is set, and vLLM says that it runs without speculative decoding"),
        ("SpeculativeConfig(method='eagle3', model='draft', num_spec_tokens=4)", 3.24, None),
        ("None", None, None),
        ("SpeculativeConfig(method='eagle3', model='x', num_spec_tokens=4)", None, "vLLM says that it decodes specul"),
    ],
)
def test_a_server_that_does_otherwise_than_told_is_not_measured(
    tmp_path: Path, said_config: str, length: float | None, refusal: str | None
) -> None:
    """A checkpoint may bring a draft model, which vLLM then uses unasked."""
    opened = vllm() if length is None else speculating(length)
    log = (
        "INFO 11-27 18:38:15 [core.py:116] Initializing a V1 LLM engine (v0.26.0) with config: model='models/nvfp4', "
        f"speculative_config={said_config}, tokenizer='models/nvfp4', seed=0\n"
    )
    found = opened.confirm(slot(tmp_path), CannedNetwork(READY), log).refusal
    assert (found or "").startswith(refusal or "")
    assert (found is None) is (refusal is None)
    assert opened.confirm(slot(tmp_path), CannedNetwork(READY), "an older release").refusal is None


# --- TensorRT-LLM -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        {"decoding_type": "MTP", "num_nextn_predict_layers": 3},
        {"decoding_type": "Eagle3", "max_draft_len": 3, "speculative_model": "draft"},
        {"decoding_type": "Eagle", "max_draft_len": 3, "speculative_model_dir": "draft"},
        {"decoding_type": "NGram", "max_draft_len": 3},
        {"decoding_type": "DraftTarget", "max_draft_len": 3},
        {"decoding_type": "Lookahead"},
        {"decoding_type": "AUTO"},
        {},
        "MTP",
    ],
)
def test_tensorrt_llm_does_not_speculate_without_an_acceptance_length(tmp_path: Path, config: object) -> None:
    """For any decoding type."""
    with pytest.raises(
        PreflightError, match=rf"{NVFP4}: options\.speculative_config: TensorRT-LLM would decode specul"
    ):
        trtllm(options={"speculative_config": config}).preflight("fp4", "b200", kimi_host(tmp_path))


def test_tensorrt_llm_is_made_to_accept_one_token_less_than_the_length(tmp_path: Path) -> None:
    """The variable counts draft tokens alone; 2.6 - 1 is 1.6, and not 1.6000000000000001."""
    config = {"decoding_type": "MTP", "max_draft_len": 3}
    opened = trtllm(options={"speculative_config": config}, acceptance_length=2.6)
    where = kimi_host(tmp_path)
    assert opened.preflight("fp4", "b200", where).hard["acceptance_length"] == 2.6
    command = opened.command(slot(tmp_path), where)
    assert command.variables[VARIABLE] == "1.6"
    assert f"{VARIABLE}=1.6 " in command.files[tmp_path / "command.txt"]


@given(draft_tokens=st.decimals(min_value="0.001", max_value=64, places=3))
def test_the_variable_is_exactly_one_less(draft_tokens: Decimal) -> None:
    """For every length with three decimals, in the fewest digits, without a point where it is whole."""
    options = {"speculative_config": {"decoding_type": "MTP"}}
    (text,) = forced_variables(options, {}, float(draft_tokens + 1), "kimi").values()
    assert Decimal(text) == draft_tokens
    assert text == decimal_text(draft_tokens)
    assert "E" not in text
    assert not (text.endswith((".", "0")) and "." in text)


@pytest.mark.parametrize(
    ("config", "length", "forced"),
    [
        ({"decoding_type": "MTP", "max_draft_len": 3}, 4.0, "3"),
        ({"decoding_type": "EAGLE3", "max_draft_len": 3}, 2.78, "1.78"),
        ({"decoding_type": "Eagle3", "eagle3_one_model": True}, 2.78, "1.78"),
        ({"decoding_type": "NGram", "max_draft_len": 3}, 3, "2"),
        ({"decoding_type": "Eagle3", "eagle3_one_model": False}, 11, "10"),
        ({"decoding_type": "DraftTarget"}, 2.0, "1"),
    ],
)
def test_a_fraction_is_forced_in_one_model_and_whole_numbers_in_both(
    config: dict[str, Any], length: float, forced: str
) -> None:
    """A whole number has no point: ``2.0`` is no whole number to the two-model path."""
    assert forced_variables({"speculative_config": config}, {}, length, "kimi") == {VARIABLE: forced}
    assert forced_variables({"speculative_config": config}, {VARIABLE: forced}, length, "kimi") == {VARIABLE: forced}


@pytest.mark.parametrize(
    ("config", "length", "why"),
    [
        (
            {"decoding_type": "Eagle3", "eagle3_one_model": False},
            2.6,
            r"decoding_type 'Eagle3' as set is not known to run",
        ),
        (
            {"decoding_type": "MTP", "mtp_eagle_one_model": False},
            2.6,
            r"read as a whole number, and a fraction forces no",
        ),
        ({"decoding_type": "NGram", "max_draft_len": 3}, 2.6, r"Set a whole acceptance_length"),
        ({"decoding_type": "DraftTarget"}, 2.6, r"acceptance_length is 2\.6, and decoding_type 'DraftTarget'"),
        ({}, 2.6, r"decoding_type None as set is not known"),
        ({"decoding_type": "MTP", "max_draft_len": 1}, 2.6, r"a draft has 1 tokens, so a step gives 1 to 2"),
        ({"decoding_type": "MTP", "num_nextn_predict_layers": 1}, 2.6, r"a draft has 1 tokens, so a step gives 1 to 2"),
        (
            {"decoding_type": "MTP"},
            1,
            r"acceptance_length is 1, which TLLM_.* = 0 would have to force, and 0 forces noth",
        ),
        ("MTP", 2.6, r"got 'MTP', wanted a table"),
    ],
)
def test_what_tensorrt_llm_would_not_force_is_refused(config: object, length: float, why: str) -> None:
    """A fraction in two models and a length of 1 would both force nothing, without an error."""
    with pytest.raises(PreflightError, match=rf"kimi: options\.speculative_config: .*{why}"):
        forced_variables({"speculative_config": config}, {}, length, "kimi")


@pytest.mark.parametrize("value", ["2.6", "1.60", "2", "", "x"])
def test_a_variable_of_the_suite_must_not_say_otherwise(value: str) -> None:
    """Above all the length itself, which would be one token too many."""
    options = {"speculative_config": {"decoding_type": "MTP"}}
    with pytest.raises(
        PreflightError, match=rf"variables\.{VARIABLE}: got '{value}', and acceptance_length - 1 is 1\.6"
    ):
        forced_variables(options, {VARIABLE: value}, 2.6, "kimi")


def test_a_release_that_does_not_take_the_fraction_is_not_measured(tmp_path: Path) -> None:
    """Older ones read a whole number in one model too, warn, and force nothing."""
    answers = {
        "/health_generate": said({}),
        "/version": said({"version": "1.2.1"}),
        "/v1/models": said({"data": [{"id": "Kimi-K2.5-NVFP4"}]}),
    }
    opened = trtllm(options={"speculative_config": {"decoding_type": "MTP"}}, acceptance_length=2.6)
    warned = f"[TRT-LLM] [W] {VARIABLE} must be a valid integer, got '1.6'. Using default value 0.\n"
    refusal = opened.confirm(slot(tmp_path), CannedNetwork(answers), warned).refusal
    assert refusal is not None
    assert refusal.startswith(f"acceptance_length is not forced: {VARIABLE} must be a valid integer, got '1.6'.")
    assert opened.confirm(slot(tmp_path), CannedNetwork(answers), "").refusal is None


def test_the_draft_length_is_read_from_the_options() -> None:
    """For the counters that tell draft tokens alone; None where the checkpoint decides."""
    assert draft_length({"speculative_config": {"decoding_type": "MTP", "num_nextn_predict_layers": 3}}) == 3
    assert draft_length({"speculative_config": {"max_draft_len": 4, "num_nextn_predict_layers": 3}}) == 4
    assert draft_length({"speculative_config": {"decoding_type": "MTP", "max_draft_len": True}}) is None
    assert draft_length({}) is None


def test_its_counters_are_shown_elsewhere() -> None:
    """TensorRT-LLM's /metrics is JSON and is emptied when read."""
    assert trtllm().settings.metrics_path == "/prometheus/metrics"
    assert vllm().settings.metrics_path == "/metrics"


@given(value=st.none() | st.booleans() | st.text(max_size=5) | st.integers() | st.floats() | st.just(10**400))
def test_any_value_is_compared_with_a_length(value: object) -> None:
    """Text that is no number, and numbers beyond any, are another length."""
    assert is_length(value, 3.24) is (value == 3.24)
