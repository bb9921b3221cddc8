"""A suite that starts TensorRT-LLM and vLLM: acted out by stand-in servers on real sockets and in real processes."""

from __future__ import annotations

import json
import platform

import pytest

from tests.plugin.sites import Site

ENGINES = """\
import json
import urllib.request

def serves(engine):
    with urllib.request.urlopen(engine.url + "/v1/models") as answer:
        return [entry["id"] for entry in json.load(answer)["data"]] == [engine.model]
"""


def test_a_gate_starts_loads_and_stops_both_engines(site: Site) -> None:
    """Recorded first, then held: one start each, facts of GPU, driver, checkpoint and version in the baseline, time,
    node and GPUs of each launch."""
    result = site.repository.run("--precgate-update")
    assert result.ret == 0
    assert site.starts(result) == {"fp4": 1, "int4": 1}
    baseline = site.repository.baseline.read_text(encoding="utf-8")
    for fact in ('"gpu.name": "NVIDIA B200"', '"gpu.count": 4', '"quantization": "', '"engine_version": "1.2.0"'):
        assert fact in baseline
    fp4, int4 = json.loads(baseline)["launches"]
    assert (len(fp4["gpus"]), len(int4["gpus"])) == (4, 8)
    assert fp4["node"] == int4["node"] == platform.node()
    assert fp4["utc"] <= int4["utc"]
    assert site.running() == []
    assert site.repository.run().ret == 0
    assert site.running() == []


def test_tests_that_use_one_engine_stand_together_across_modules(site: Site) -> None:
    """In any order of collection, each engine starts once; the first is swept before it frees its GPUs."""
    site.repository.write_test(ENGINES, "asks.py")
    for name, engine in (("a", "int4"), ("b", "fp4"), ("c", "int4"), ("d", "fp4")):
        text = f"from asks import serves\n\ndef test_{name}({engine}_engine):\n    assert serves({engine}_engine)\n"
        site.repository.write_test(text, f"test_{name}.py")
    result = site.repository.run("--precgate-update", "-v")
    assert result.ret == 0
    result.assert_outcomes(passed=5)
    assert site.starts(result) == {"fp4": 1, "int4": 1}
    result.stdout.fnmatch_lines(
        [
            "test_b.py::test_b*",
            "test_d.py::test_d*",
            "test_a.py::test_a*",
            "precgate: stopping fp4 (trtllm) to make room for int4 (vllm)",
            "precgate: fp4 concurrency 8: * tok/s/user*",
            "test_c.py::test_c*",
            "test_kimi.py::test_fp4_pays_off*",
        ]
    )


def test_both_engines_in_one_test_are_refused_where_they_share_gpus(site: Site) -> None:
    """A usage error before anything starts; with GPUs of their own they are up together."""
    site.repository.write_test(
        "def test_both(fp4_engine, int4_engine):\n    assert fp4_engine.url != int4_engine.url\n"
    )
    result = site.repository.run()
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*shares GPU GPU-00000000-* with fp4, and one test asks for both engines*@ int4*"])
    site.repository.change_settings("gpus = 8\n", "gpus = 4\ndevices = [4, 5, 6, 7]\n")
    assert site.repository.run("test_kimi.py").ret == 0


def test_two_spellings_of_one_gpu_are_one_gpu(site: Site) -> None:
    """By UUID and by index: refused in one test, as if both were spelled alike."""
    uuids = [f"GPU-{number:08x}-0000-0000-0000-{0:012x}" for number in range(4)]
    site.repository.change_settings("gpus = 4\n", f"gpus = 4\ndevices = {uuids}\n")
    site.repository.write_test("def test_it(fp4_engine, int4_engine): pass\n")
    result = site.repository.run()
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*shares GPU GPU-00000000-* with fp4*"])


def test_a_second_engine_asked_for_by_name_in_one_test_is_refused(site: Site) -> None:
    """It would start and stop both by turns, half an hour each."""
    text = "def test_it(precgate_engine):\n    precgate_engine('fp4')\n    precgate_engine('int4')\n"
    site.repository.write_test(text)
    result = site.repository.run("test_kimi.py")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *SettingsError: suite kimi: shares GPU * with fp4, and one test asks for both*"])
    assert site.starts(result) == {"fp4": 1, "int4": 0}


def test_what_makes_room_is_swept_however_the_tests_are_collected(site: Site) -> None:
    """Also where the first test collected asks for both engines of another suite."""
    other = site.repository.path / "pyproject.toml"
    text = other.read_text(encoding="utf-8")
    apart = text.replace("suites.kimi", "suites.apart").replace("gpus = 8\n", "gpus = 4\ndevices = [4, 5, 6, 7]\n")
    other.write_text(text + apart, encoding="utf-8")
    mark = "import pytest\npytestmark = pytest.mark.precgate(suite='{}')\n\n"
    site.repository.write_test(mark.format("apart") + "def test_a(fp4_engine, int4_engine): pass\n", "test_a.py")
    site.repository.write_test(mark.format("kimi") + "def test_b(fp4_engine): pass\n", "test_b.py")
    site.repository.write_test(mark.format("kimi") + "def test_c(int4_engine): pass\n", "test_c.py")
    compare = "def test_fp4_pays_off(precgate):\n    precgate.compare('fp4', 'int4')\n"
    site.repository.write_test(mark.format("kimi") + compare)
    result = site.repository.run("test_a.py", "test_b.py", "test_c.py", "test_kimi.py")
    assert result.ret == 0
    assert site.starts(result) == {"fp4": 2, "int4": 2}  # one of each suite


@pytest.mark.parametrize(
    ("options", "error", "cause"),
    [
        ("--behave fails --failure executor-memory", "EngineStartError", "out of GPU memory"),
        ("--behave fails --failure worker-died", "EngineStartError", "worker*died"),
        ("--behave fails --failure quantization", "EngineStartError", "quantization"),
        ("--behave is-killed", "EngineStartError", "was killed by SIGKILL"),
        ("--behave hangs", "EngineNotReadyError", "its log has stood still for 2 s"),
        ("--behave is-killed-serving --after 10", "EngineDiedError", "was killed by SIGKILL*while it was in use"),
        ("--behave dies-serving --after 10", "EngineDiedError", "exit code 1 while it was in use"),
    ],
)
def test_an_engine_that_fails_ends_the_test_with_its_cause(site: Site, options: str, error: str, cause: str) -> None:
    """Exit 1, the error by name, one line of cause, the log's path; the other engine is not even started."""
    site.behave("trtllm-serve", options)
    result = site.repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"E *{error}: fp4 (trtllm): *{cause}*server.log*"])
    assert site.starts(result)["int4"] == 0
    assert site.running() == []


def test_an_option_the_engine_does_not_know_is_said(site: Site) -> None:
    """TensorRT-LLM's options are strict: the cause is one line, found in its output."""
    text = (site.path / "pyproject.toml").read_text(encoding="utf-8")
    site.repository.write_settings(text + "\n[tool.precgate.suites.kimi.fp4.options]\nmax_batch_sise = 8\n")
    result = site.repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *EngineStartError: fp4 (trtllm): this release does not know a key of options*"])
    assert site.running() == []


def test_a_flag_the_engine_does_not_know_is_said(site: Site) -> None:
    """A release that has dropped one of the five flags says so as it starts, and so does the error."""
    site.write_program("trtllm-serve", "trtllm-serve --renamed")
    result = site.repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *EngineStartError: fp4 (trtllm): this release does not know a flag*--renamed*"])


NASTY = "1.0\n::error::x\x1b[2J"


def test_what_a_server_says_of_itself_reaches_no_output_raw(site: Site) -> None:
    """A version that clears the screen and is a command to CI is shown escaped in every report and the journal."""
    assert site.repository.run("--precgate-update").ret == 0
    site.behave("vllm", f"--reports '{NASTY}'")
    outputs = [site.path / name for name in ("junit.xml", "report.json", "report.md")]
    result = site.repository.run(
        "-rA", f"--junitxml={outputs[0]}", f"--precgate-json={outputs[1]}", f"--precgate-markdown={outputs[2]}"
    )
    assert result.ret == 0
    result.stdout.fnmatch_lines([r"note: *engine_version is 1.0\n::error::x\x1b[[]2J, the baseline's is 1.2.0"])
    texts = [path.read_text(encoding="utf-8") for path in (*outputs, *site.path.glob(".precgate/runs/*/journal.jsonl"))]
    for text in (*texts, result.stdout.str(), result.stderr.str()):
        assert "\x1b" not in text
        assert not [line for line in text.splitlines() if line.lstrip().startswith("::")]


def test_the_end_of_a_log_reaches_no_output_raw(site: Site) -> None:
    """A failure shows the log's last lines and its cause; none of them may be a command, to a terminal or to CI."""
    site.behave("trtllm-serve", f"--behave fails --say '::error::y\x1b[2J' --say '{NASTY} CUDA out of memory'")
    result = site.repository.run(f"--junitxml={site.path / 'junit.xml'}")
    assert result.ret == 1
    result.stdout.fnmatch_lines([r"*\x3a:error::y\x1b[[]2J", r"*x3a:error::x\x1b[[]2J CUDA out of memory"])
    for text in (result.stdout.str(), (site.path / "junit.xml").read_text(encoding="utf-8")):
        assert "\x1b" not in text
        assert not [line for line in text.splitlines() if line.lstrip().startswith("::")]


def test_an_engine_that_failed_is_not_started_again(site: Site) -> None:
    """Twenty minutes of loading are not repeated for every test that asks."""
    site.behave("trtllm-serve", "--behave fails")
    site.repository.write_test("def test_one(fp4_engine): pass\n\ndef test_two(fp4_engine): pass\n", "test_two.py")
    result = site.repository.run()
    result.assert_outcomes(errors=2, failed=1)
    assert site.starts(result) == {"fp4": 1, "int4": 0}


@pytest.mark.parametrize("behave", ["leaves-workers", "ignores-sigterm"])
def test_an_engine_that_does_not_end_by_itself_is_ended(site: Site, behave: str) -> None:
    """Workers in sessions of their own and a server deaf to SIGTERM: a clean run, and nothing left."""
    site.behave("trtllm-serve", f"--behave {behave}")
    site.behave("vllm", f"--behave {behave}")
    assert site.repository.run("--precgate-update").ret == 0
    assert site.running() == []


def test_a_throttled_gpu_makes_the_point_invalid(site: Site) -> None:
    """Not a slow point: the reason is named, and what the GPUs did is written down."""
    site.gpus(nvmlDeviceGetCurrentClocksEventReasons={"1": [0, 0x40]})
    result = site.repository.run("--precgate-update")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *InvalidPointError: concurrency 1: not a point: slowed down by heat*GPU 1*"])
    assert not site.repository.baseline.exists()
    (kept,) = site.path.glob(".precgate/runs/*/fp4-default/gpus.log")
    assert "concurrency 1: GPU 1 (" in kept.read_text(encoding="utf-8")


def test_memory_that_does_not_come_back_is_said(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next start would fail for want of it, and look like an engine's fault."""
    monkeypatch.setattr("pytest_precgate.servers.pool._MEMORY_RETURNS_S", 0.0)
    full = 150 * 2**30
    site.gpus(nvmlDeviceGetMemoryInfo={"0": [[192 * 2**30, 0]] * 3 + [[192 * 2**30, full]]})
    result = site.repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*GpuBusyError: fp4 (trtllm): every process is gone and *memory of GPU 0*is not back*"]
    )


def test_what_could_not_be_stopped_blocks_its_gpus(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for an engine on them later is told why, and nothing is started."""
    monkeypatch.setattr("pytest_precgate.servers.pool._MEMORY_RETURNS_S", 0.0)
    full = 150 * 2**30
    site.gpus(nvmlDeviceGetMemoryInfo={"0": [[192 * 2**30, 0]] * 3 + [[192 * 2**30, full]]})
    site.repository.write_test("def test_a(fp4_engine): pass\n", "test_a.py")
    site.repository.write_test("def test_b(int4_engine): pass\n", "test_b.py")
    site.repository.write_test("def test_c(precgate_engine): precgate_engine('fp4')\n", "test_c.py")
    result = site.repository.run("test_a.py", "test_b.py", "test_c.py")
    assert result.ret == 1
    result.assert_outcomes(passed=1, errors=1, failed=1)
    assert site.starts(result) == {"fp4": 1, "int4": 0}


def test_a_taken_port_is_tried_again_elsewhere_and_then_said(site: Site) -> None:
    """Three ports, three directories of output, then the error by name."""
    site.behave("trtllm-serve", "--behave fails --failure port")
    result = site.repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E *PortInUseError: fp4 (trtllm): the port is taken by another program*"])
    assert site.starts(result) == {"fp4": 3, "int4": 0}
    assert len(list(site.path.glob(".precgate/runs/*/fp4-default*/server.log"))) == 3


def test_gpus_of_another_run_are_waited_for_and_named(site: Site) -> None:
    """Two jobs on one machine do not measure each other."""
    import fcntl  # noqa: PLC0415

    uuid = "GPU-00000003-0000-0000-0000-000000000000"
    with (site.path / "locks" / f"pytest-precgate-gpu-{uuid}.lock").open("w") as lock:
        lock.write("the run in elsewhere\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        site.patch.setattr("pytest_precgate.servers.pool._LOCK_WAIT_S", 0.0)
        result = site.repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*GpuBusyError: GPU GPU-00000003* is held by the run in elsewhere*"])
    assert site.starts(result) == {"fp4": 0, "int4": 0}


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (
            'engine = "vllm"',
            'engine = "trtllm"',
            '*cannot run moonshotai/Kimi-K2.5 *not supported*Set engine = "vllm"*',
        ),
        (
            'model = "moonshotai/Kimi-K2.5"',
            'model = "nvidia/Kimi-K2.5-NVFP4"',
            "*fp4 weights, and the suite claims int4*",
        ),
        (
            'model = "moonshotai/Kimi-K2.5"',
            'model = "moonshotai/other"',
            "*moonshotai/other*hf download moonshotai/other*",
        ),
        ("gpus = 8", "gpus = 16", "*int4 asks for 16 GPUs, more than there are; visible here: 0 NVIDIA B200*"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(site: Site, old: str, new: str, why: str) -> None:
    """By name, with the alternative, instead of after twenty minutes of loading the other precision."""
    site.repository.change_settings(old, new)
    result = site.repository.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"E *PreflightError: {why}"])
    assert site.starts(result) == {"fp4": 0, "int4": 0}


def test_a_rehearsal_starts_no_engine(site: Site) -> None:
    """The same tests, the same settings, on a model of the engines: nothing of the machine is used."""
    site.repository.change_settings("workload = { isl = 8, osl = 16 }", "workload = { isl = 1024, osl = 1024 }")
    site.repository.change_settings("[1, 8]", "[4, 64]")
    site.repository.change_settings("[100]", "[55]")
    site.patch.setenv("PATH", "")
    result = site.repository.run("--precgate-engine=simulated", "--precgate-update")
    assert result.ret == 0
    assert site.starts(result) == {"fp4": 0, "int4": 0}
