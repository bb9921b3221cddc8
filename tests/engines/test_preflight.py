"""Before anything starts: what an engine is known to run, and what is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.analysis.accepted.fingerprint import Fingerprint
from pytest_precgate.analysis.curves.search import Grid
from pytest_precgate.analysis.measure.gpu import Gpu, gpus_named
from pytest_precgate.engines.load import LoadSettings
from pytest_precgate.engines.preflight import (
    Claim,
    checked,
    checkpoint_facts,
    locate_program,
    refuse_gpus,
    refuse_split_words,
    visible_gpus,
)
from pytest_precgate.engines.server import HostContext, ServerSettings
from pytest_precgate.engines.support import GENERATIONS, NAMES, ROWS, stated
from pytest_precgate.errors import PreflightError, SeveralPreflightError
from tests.engines.hosts import (
    INT4,
    KIMI,
    LLAMA,
    NVFP4,
    CannedNetwork,
    b200,
    changed,
    host,
    kimi_host,
    write_checkpoint,
)

SETTINGS = ServerSettings(model=NVFP4, gpus=4, load=LoadSettings(Grid((4,))))


# --- what is known ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "method", "is_moe", "hardware", "supported"),
    [
        ("trtllm", "modelopt nvfp4", True, "b200", True),
        ("trtllm", "modelopt nvfp4", False, "gb300", True),
        ("trtllm", "modelopt nvfp4", True, "h200", False),
        ("trtllm", "compressed-tensors int4", True, "b200", False),
        ("trtllm", "compressed-tensors int4", False, "h100", False),
        ("trtllm", "awq int4", False, "b200", False),
        ("trtllm", "awq int4", False, "h200", True),
        ("trtllm", "fp8", True, "mi355x", False),
        ("vllm", "compressed-tensors int4", True, "b200", True),
        ("vllm", "modelopt nvfp4", True, "b200", True),
        ("vllm", "compressed-tensors int8", False, "b200", False),
        ("vllm", "gptq int4", False, "mi300x", False),
    ],
)
def test_the_table_answers_with_its_source(
    engine: str, method: str, is_moe: bool, hardware: str, supported: bool
) -> None:
    """Yes or no, always with a source."""
    row = stated(engine, method, is_moe=is_moe, hardware=hardware)
    assert row is not None
    assert row.supported is supported
    assert row.source


@pytest.mark.parametrize(
    ("engine", "method", "hardware"),
    [
        ("trtllm", "compressed-tensors nvfp4", "b200"),
        ("trtllm", "modelopt nvfp4", "a100"),
        ("vllm", "compressed-tensors nvfp4", "b200"),
        ("vllm", "bitsandbytes", "b200"),
    ],
)
def test_a_pair_without_a_source_is_unknown(engine: str, method: str, hardware: str) -> None:
    """Releases differ, or the hardware is the user's own word."""
    assert stated(engine, method, is_moe=True, hardware=hardware) is None


def test_every_row_can_be_reached_and_every_alternative_runs_it() -> None:
    """A row hidden behind another says nothing; an alternative that cannot run it either sends people in circles."""
    methods = sorted({method for row in ROWS for method in row.methods if method != "any"})
    for row in ROWS:
        assert row.engine in NAMES
        asked = [(method, is_moe, word) for method in methods for is_moe in (True, False) for word in GENERATIONS]
        hit = [case for case in asked if stated(row.engine, case[0], is_moe=case[1], hardware=case[2]) is row]
        assert hit, f"{row} is never the answer"
        assert {method for method, _, _ in hit} >= set(row.methods) - {"any"}
        assert {GENERATIONS[word] for _, _, word in hit} >= set(row.generations) - {"any"}
        for method, is_moe, word in hit if row.instead is not None else []:
            other = stated(str(row.instead), method, is_moe=is_moe, hardware=word)
            assert other is None or other.supported, f"{row} sends {word} from one refusal to the next"


# --- the checkpoint ---------------------------------------------------------------------------------------------------


def claimed(engine: str, precision: str, model: str, where: HostContext, allow: bool = False) -> Fingerprint:
    claim = Claim(engine, precision, "b200", allow_unsupported=allow)
    return checkpoint_facts(claim, replace(SETTINGS, model=model), None, where)


def test_the_kimi_pair_is_accepted_on_its_engines(tmp_path: Path) -> None:
    """FP4 on TensorRT-LLM and INT4 on vLLM; method and hash must agree with the baseline, the rest is told."""
    where = kimi_host(tmp_path)
    fp4, int4 = claimed("trtllm", "fp4", NVFP4, where), claimed("vllm", "int4", INT4, where)
    assert {*fp4.hard} == {"quantization", "quantization_sha256"}
    assert (fp4.hard["quantization"], fp4.soft["kv_cache_quantization"]) == ("modelopt nvfp4, group 16", "FP8")
    assert int4.hard["quantization"] == "compressed-tensors int4, group 32"
    assert str(int4.soft["support"]).startswith("yes: InferenceX")
    assert int4.soft["architecture"] == "KimiK25ForConditionalGeneration, MoE"


def test_int4_kimi_on_tensorrt_llm_is_refused_with_the_alternative(tmp_path: Path) -> None:
    """Twenty minutes of loading earlier."""
    with pytest.raises(PreflightError) as caught:
        claimed("trtllm", "int4", INT4, kimi_host(tmp_path))
    assert str(caught.value).startswith(f"TensorRT-LLM cannot run {INT4} (")
    assert "on b200: compressed-tensors int4, group 32, MoE is not supported (TensorRT-LLM main, " in str(caught.value)
    assert str(caught.value).endswith('Set engine = "vllm" for int4, or allow_unsupported = true if your release can')


def test_an_unsupported_pair_starts_when_the_settings_allow_it(tmp_path: Path) -> None:
    """Releases change; the fact records that the support is unknown."""
    facts = claimed("trtllm", "int4", INT4, kimi_host(tmp_path), allow=True)
    assert str(facts.soft["support"]).startswith("no, allowed by the settings: TensorRT-LLM main")


@pytest.mark.parametrize("allow", [False, True])
def test_a_checkpoint_of_another_precision_is_always_refused(tmp_path: Path, allow: bool) -> None:
    """An FP4 checkpoint claimed as int4: its figures would stand under the wrong name for ever."""
    where = kimi_host(tmp_path)
    with pytest.raises(
        PreflightError, match=rf"{NVFP4} \(.*\) is modelopt nvfp4, group 16, MoE: fp4 weights, and the "
    ):
        claimed("vllm", "int4", NVFP4, where, allow)
    with pytest.raises(PreflightError, match=r"int4 weights, and the suite claims fp4\. Move it under int4, or name"):
        claimed("vllm", "fp4", INT4, where, allow)


def test_an_unknown_precision_is_accepted_with_allow_unsupported(tmp_path: Path) -> None:
    """Refused by default, accepted with allow_unsupported."""
    config = changed(LLAMA, quantization_config={"quant_method": "bitsandbytes"})
    write_checkpoint(tmp_path / "odd", config)
    where = host(tmp_path)
    with pytest.raises(
        PreflightError, match="is bitsandbytes, dense: its precision cannot be determined, and the suite cl"
    ):
        claimed("vllm", "int4", "./odd", where)
    facts = claimed("vllm", "int4", "./odd", where, allow=True)
    assert facts.soft["support"] == "unknown: vLLM with bitsandbytes, dense on b200"
    assert facts.soft["checkpoint_revision"] == "a directory"


def test_an_unknown_pair_starts_and_says_so(tmp_path: Path) -> None:
    """No row is no refusal: the engine itself will say."""
    weights = {"num_bits": 4, "type": "float"}
    quantization = {
        "quant_method": "compressed-tensors",
        "format": "nvfp4-pack-quantized",
        "config_groups": {"group_0": {"weights": weights}},
    }
    write_checkpoint(tmp_path / "new", changed(KIMI, quantization_config=quantization))
    facts = claimed("trtllm", "fp4", "./new", host(tmp_path))
    assert facts.soft["support"] == "unknown: TensorRT-LLM with compressed-tensors nvfp4, MoE on b200"


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    """With the command that fetches it."""
    with pytest.raises(PreflightError, match=f"hf download {NVFP4}$"):
        claimed("trtllm", "fp4", NVFP4, host(tmp_path))


# --- GPUs -------------------------------------------------------------------------------------------------------------


def at(tmp_path: Path, gpus: Sequence[Gpu] | None, visible: str | None = None) -> HostContext:
    where = host(tmp_path, gpus=gpus)
    return where if visible is None else replace(where, environ={**where.environ, "CUDA_VISIBLE_DEVICES": visible})


def test_enough_gpus_of_the_right_kind_are_accepted(tmp_path: Path) -> None:
    """Four of eight B200."""
    refuse_gpus(SETTINGS, "fp4", "b200", at(tmp_path, b200(8)))


@pytest.mark.parametrize(
    ("count", "visible", "why"),
    [
        (2, None, r"fp4 asks for 4 GPUs, more than there are; visible here: 0 NVIDIA B200, 1 NVIDIA B200$"),
        (0, None, r"visible here: none$"),
        (8, "0,1", r"1 NVIDIA B200 \(CUDA_VISIBLE_DEVICES=0,1\)$"),
        (8, "", r"visible here: none \(CUDA_VISIBLE_DEVICES=\)$"),
        (8, "0,1,9,2,3", r"visible here: 0 NVIDIA B200, 1 NVIDIA B200 \("),
    ],
)
def test_more_gpus_than_there_are_is_refused(tmp_path: Path, count: int, visible: str | None, why: str) -> None:
    """Counted among those CUDA_VISIBLE_DEVICES leaves."""
    with pytest.raises(PreflightError, match=why):
        refuse_gpus(SETTINGS, "fp4", "b200", at(tmp_path, b200(count), visible))


def test_where_nothing_can_tell_nothing_is_refused(tmp_path: Path) -> None:
    """No driver to ask, a MIG slice, or GPUs of other machines."""
    refuse_gpus(SETTINGS, "fp4", "b200", at(tmp_path, None))
    refuse_gpus(SETTINGS, "fp4", "b200", at(tmp_path, b200(1), "MIG-5c1d,MIG-77aa"))
    refuse_gpus(replace(SETTINGS, spans_nodes=True), "fp4", "b200", at(tmp_path, b200(1)))


@pytest.mark.parametrize(
    ("hardware", "name", "accepted"),
    [
        ("b200", "NVIDIA B200", True),
        ("b200", "NVIDIA GB200", False),
        ("b200", "NVIDIA H200", False),
        ("h100", "NVIDIA H100 80GB HBM3", True),
        ("ours", "NVIDIA B200", True),
    ],
)
def test_the_gpu_must_be_the_suites_hardware(tmp_path: Path, hardware: str, name: str, accepted: bool) -> None:
    """The suite's word in the driver's name, as a word; a word of the user's own says nothing of a GPU."""
    where = at(tmp_path, [replace(gpu, name=name) for gpu in b200(4)])
    if accepted:
        refuse_gpus(SETTINGS, "fp4", hardware, where)
    else:
        with pytest.raises(PreflightError, match=rf"hardware is {hardware} and fp4 would run on {name}; visible"):
            refuse_gpus(SETTINGS, "fp4", hardware, where)


def test_only_the_gpus_that_would_be_taken_must_fit(tmp_path: Path) -> None:
    """A display card beside them is ignored, unless devices names it."""
    gpus = [*b200(4), replace(b200(5)[4], name="NVIDIA T400")]
    refuse_gpus(SETTINGS, "fp4", "b200", at(tmp_path, gpus))
    with pytest.raises(PreflightError, match="fp4 would run on NVIDIA T400"):
        refuse_gpus(replace(SETTINGS, devices=("4", "1", "2", "3")), "fp4", "b200", at(tmp_path, gpus))


def test_a_named_gpu_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """By index or by UUID."""
    for device in ("7", "GPU-ffff"):
        with pytest.raises(PreflightError, match=f"asks for GPU {device} with devices; visible here: 0 NV"):
            refuse_gpus(replace(SETTINGS, devices=("0", "1", "2", device)), "fp4", "b200", at(tmp_path, b200(4)))
    refuse_gpus(replace(SETTINGS, devices=("0", "1", "2", "GPU-00000003")), "fp4", "b200", at(tmp_path, b200(4)))


@given(order=st.permutations(range(6)), count=st.integers(0, 6), by_uuid=st.booleans())
def test_visible_gpus_come_in_the_order_of_the_variable(order: list[int], count: int, by_uuid: bool) -> None:
    """As CUDA numbers them, by index or UUID."""
    gpus = b200(6)
    named = [gpus[index].uuid if by_uuid else str(index) for index in order[:count]]
    where = HostContext({"CUDA_VISIBLE_DEVICES": ",".join(named)}, CannedNetwork(), Path(), gpus)
    found = visible_gpus(where)
    assert found is not None
    assert [gpu.index for gpu in found] == order[:count]


# --- the program and its words ----------------------------------------------------------------------------------------


def test_a_program_is_found_on_path_or_at_its_path(tmp_path: Path) -> None:
    """A name stays a name; what is spelled with a slash starts where the settings lie."""
    where = host(tmp_path)
    assert locate_program("vllm", where) == "vllm"
    assert locate_program("bin/vllm", where) == str(tmp_path / "bin" / "vllm")


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("trtllm-sirv", r'trtllm-sirv is not on PATH; install the engine, or name it with program = "/path/to/it"'),
        ("./bin/none", r"/bin/none is no program; "),
    ],
)
def test_a_program_that_is_not_there_is_refused(tmp_path: Path, program: str, why: str) -> None:
    """Named, before anything else is looked at."""
    with pytest.raises(PreflightError, match=why):
        locate_program(program, host(tmp_path))


@pytest.mark.parametrize("word", ["a b", "a\tb", "", "run*", "what?", "[x]"])
def test_a_word_that_the_launcher_would_split_is_refused(word: str) -> None:
    """trtllm-llmapi-launch runs "$@" unquoted: spaces split, patterns expand."""
    with pytest.raises(PreflightError, match=r"trtllm-llmapi-launch would split .*: its arguments must not contain"):
        refuse_split_words(["srun", "/opt/bin/trtllm-llmapi-launch", "trtllm-serve", word])


def test_words_before_the_launcher_and_without_one_are_left_alone() -> None:
    """srun quotes what it starts."""
    refuse_split_words(["srun", "--comment", "a b", "trtllm-llmapi-launch", "trtllm-serve", "model"])
    refuse_split_words(["trtllm-serve", "a b"])


@pytest.mark.parametrize("word", ["MIG-5c1d", "GPU-0", "0", "00"])
def test_preflight_and_telemetry_agree_on_what_a_word_names(word: str) -> None:
    """A MIG device by its UUID, a GPU by its index or the beginning of its UUID: one rule for both."""
    gpus = (Gpu(0, "GPU-0aaa", "NVIDIA B200", 1, ("MIG-5c1d",)), Gpu(1, "GPU-1bbb", "NVIDIA B200", 1, ("MIG-77aa",)))
    assert gpus_named([word], gpus) == gpus[:1]
    settings = replace(SETTINGS, gpus=1, devices=(word,))
    refuse_gpus(settings, "fp4", "b200", HostContext({}, CannedNetwork(), Path(), gpus))
    limited = HostContext({"CUDA_VISIBLE_DEVICES": word}, CannedNetwork(), Path(), gpus)
    refuse_gpus(replace(settings, devices=()), "fp4", "b200", limited)
    with pytest.raises(PreflightError, match="asks for GPU MIG-ffff"):
        refuse_gpus(
            replace(settings, devices=("MIG-ffff",)), "fp4", "b200", HostContext({}, CannedNetwork(), Path(), gpus)
        )


def test_one_preflight_names_all_that_is_wrong() -> None:
    """One error is raised as it is, several as one that holds each; without any the facts are joined."""

    def refuse(text: str) -> Callable[[], None]:
        def check() -> None:
            raise PreflightError(text)

        return check

    with pytest.raises(PreflightError, match=r"^no program$") as one:
        checked(lambda: "a program", refuse("no program"))
    assert not isinstance(one.value, SeveralPreflightError)
    with pytest.raises(SeveralPreflightError, match=r"^no program; and no GPU$") as several:
        checked(refuse("no program"), lambda: None, refuse("no GPU"))
    assert [str(each) for each in several.value.each] == ["no program", "no GPU"]
    facts = checked(lambda: Fingerprint({"a": 1}, {}), lambda: "a program", lambda: Fingerprint({}, {"b": 2}))
    assert facts == Fingerprint({"a": 1}, {"b": 2})
