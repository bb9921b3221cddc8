"""``precgate init`` writes a suite that runs, or nothing."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from pytest_precgate.cli import main
from pytest_precgate.cli.start import command, written
from pytest_precgate.cli.start.answers import Questions, answers
from pytest_precgate.cli.start.written import Change, found_ci, settings_file, write
from pytest_precgate.errors import PrecgateError
from pytest_precgate.settings import Settings, load, read_text
from tests.published import POINTS
from tests.repository import Repository

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SIMULATED = ("--engine=simulated", "--points=55,73,91")
SERVERS = (
    *("--engine=fp4=trtllm", "--model=fp4=nvidia/Kimi-K2.5-NVFP4", "--gpus=fp4=4"),
    *("--engine=int4=vllm", "--model=int4=moonshotai/Kimi-K2.5", "--gpus=int4=8"),
)


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CI", "BUILD_NUMBER", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


def written_files(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def test_the_simulated_suite_records_passes_and_fails_as_the_output_says(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands that init prints, in order: exit 0, 0, and 1 with the slowdown of the settings."""
    repository = Repository(pytester)
    monkeypatch.chdir(repository.path)
    assert main(["init", "demo", *SIMULATED]) == 0
    out = capsys.readouterr().out
    assert "  pytest perf/test_demo.py --precgate-update\n" in out
    assert "  pytest perf/\n" in out
    assert "total: 10 launches" in out
    assert written_files(repository.path) == {"pyproject.toml", "perf/test_demo.py", ".gitignore"}
    assert repository.run("perf/test_demo.py", "--precgate-update").ret == 0
    assert repository.run("perf").ret == 0
    text = (repository.path / "pyproject.toml").read_text(encoding="utf-8")
    repository.write_settings(text.replace("# slowdown", "slowdown"))
    failed = repository.run_short("perf")
    assert failed.ret == 1
    failed.stdout.fnmatch_lines(["SIMULATED FP4 throughput_per_gpu fell *"])


def test_recorded_points_are_read_before_anything_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    """A target outside of them, or no such file: exit 2, no file."""
    here = Path.cwd()
    shutil.copy(POINTS, here / "points.csv")
    arguments = ["init", "kimi", "--engine=recorded"]
    for wrong, why in (
        (["--recorded=points.csv", "--points=55,500"], "500"),
        (["--recorded=none.csv"], "none.csv"),
        (["--recorded=points.csv", "--hardware=h100"], "h100"),
        (["--recorded=points.csv", "--points=fast"], "--points: got 'fast'"),
        (["--recorded=points.csv", "--hardware=abacus"], "no price and power known for 'abacus'"),
        (["--recorded=points.csv", "--points=-1"], "interactivity"),
        (["--recorded=points.csv", "--workload=0,5"], "isl"),
    ):
        assert main([*arguments, *wrong]) == 2
        assert why in capsys.readouterr().err
        assert written_files(here) == {"points.csv"}
    assert main([*arguments, "--recorded=points.csv", "--points=55,73,91"]) == 0
    assert load(here).suites["kimi"].points == (55, 73, 91)


def test_a_failing_preflight_leaves_no_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the program that is missing and the flag for a suite of another machine, which then is written."""
    monkeypatch.setenv("PATH", str(Path.cwd()))
    assert main(["init", *SERVERS]) == 2
    said = capsys.readouterr().err
    lines = said.splitlines()
    assert lines[0] == "precgate: the suite cannot run on this machine, and nothing was written:"
    assert [line.partition(";")[0] for line in lines if " is not on PATH" in line] == [
        "  fp4-int4 fp4: trtllm-serve is not on PATH",
        "  fp4-int4 int4: vllm is not on PATH",
    ]
    assert lines[-1] == "Give --no-preflight where it runs on another machine."
    assert written_files(Path.cwd()) == set()
    assert main(["init", *SERVERS, "--no-preflight", "--ci=github"]) == 0
    assert "precgate doctor first" in capsys.readouterr().out
    suite = load(Path.cwd()).suites["fp4-int4"]
    assert {name: engines[0].kind for name, engines in suite.engines.items()} == {"fp4": "trtllm", "int4": "vllm"}
    workflow = yaml.safe_load(Path(".github/workflows/precgate.yml").read_text(encoding="utf-8"))
    assert workflow["jobs"]["gate"]["runs-on"] == ["self-hosted", "linux", "b200"]
    assert workflow["jobs"]["gate"]["steps"][2]["run"].startswith(".venv/bin/pytest perf/ --junitxml=gate.xml ")


def test_an_endpoint_that_does_not_answer_leaves_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    """The check of every run, before a file."""
    arguments = ["init", "--engine=endpoint", "--url=http://127.0.0.1:9", "--model=m", "--gpus=1"]
    assert main(arguments) == 2
    assert "the endpoint does not answer" in capsys.readouterr().err
    assert written_files(Path.cwd()) == set()
    assert main([*arguments, "--no-preflight"]) == 0
    assert load(Path.cwd()).suites["fp4-int4"].engines["fp4"][0].kind == "endpoint"


def test_what_is_there_stays_the_beginning_of_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    """Settings with another suite, CRLF, no line end; a test of that name; a .gitignore."""
    here = Path.cwd()
    assert main(["init", "one", *SIMULATED]) == 0
    before = (here / "pyproject.toml").read_bytes().rstrip().replace(b"\n", b"\r\n")
    (here / "pyproject.toml").write_bytes(before)
    (here / ".gitignore").write_text("*.log\n/.precgate/\n", encoding="utf-8")
    (here / "perf" / "test_two.py").write_text("mine", encoding="utf-8")
    capsys.readouterr()
    assert main(["init", "two", *SIMULATED]) == 0
    after = (here / "pyproject.toml").read_bytes()
    assert after.startswith(before)
    assert b"\n" not in after.replace(b"\r\n", b"")
    assert list(load(here).suites) == ["one", "two"]
    assert (here / "perf" / "test_two.py").read_text(encoding="utf-8") == "mine"
    assert (here / ".gitignore").read_text(encoding="utf-8") == "*.log\n/.precgate/\n"
    out = capsys.readouterr().out
    assert "appended to pyproject.toml\n" in out
    assert "left        perf/test_two.py: is there and stays as it is\n" in out


def test_a_suite_that_is_configured_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, the file as it was."""
    assert main(["init", "one", *SIMULATED]) == 0
    before = Path("pyproject.toml").read_bytes()
    assert main(["init", "one", *SIMULATED]) == 2
    assert "suite one is configured in pyproject.toml already" in capsys.readouterr().err
    assert Path("pyproject.toml").read_bytes() == before


@pytest.mark.parametrize(
    "content", ["[tool.precgate]\nsuites = {}\n", "a = [", "[tool]\nprecgate = { suites = { } }\n"]
)
def test_settings_that_take_no_table_are_left(content: str) -> None:
    """An inline table cannot be extended, a broken file not be read: exit 2, nothing written."""
    Path("pyproject.toml").write_text(content, encoding="utf-8")
    assert main(["init", "one", *SIMULATED]) == 2
    assert written_files(Path.cwd()) == {"pyproject.toml"}
    assert Path("pyproject.toml").read_text(encoding="utf-8") == content


@pytest.mark.parametrize("name", ["a b", "../x", "", "x" * 101, 'a"b'])
def test_a_name_that_is_no_file_s_is_refused(name: str) -> None:
    """It names a baseline."""
    assert main(["init", name, *SIMULATED]) == 2
    assert written_files(Path.cwd()) == set()


def test_a_name_with_a_dot_is_quoted() -> None:
    """TOML would read two keys."""
    assert main(["init", "kimi-k2.5", *SIMULATED]) == 0
    assert list(load(Path.cwd()).suites) == ["kimi-k2.5"]
    assert Path("perf/test_kimi_k2_5.py").is_file()


def test_every_missing_flag_is_named_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal."""
    assert main(["init"]) == 2
    assert "--engine fp4=KIND, --engine int4=KIND" in capsys.readouterr().err
    assert main(["init", "--engine=vllm", "--gpus=fp4=1"]) == 2
    assert "--model fp4=MODEL, --model int4=MODEL, --gpus int4=GPUS" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--engine=simulated", "--gpus=4"], "--gpus: engine simulated of fp4 has no such setting"),
        (["--engine=bogus"], "--engine fp4=KIND: got 'bogus'"),
        (["--engine=fp8=vllm"], "the suite has no fp8; it has fp4 and int4"),
        (["--precisions=fp4"], "--precisions: got 'fp4', wanted two"),
        (["--engine=vllm", "--model=m", "--gpus=none"], "got 'none', wanted a whole number above 0"),
        (["--engine=simulated", "--workload=1024"], "--workload: got '1024', wanted ISL,OSL"),
        (["--engine=simulated", "--hardware=h100"], "--calibration fp4=CALIBRATION"),
    ],
)
def test_a_flag_that_makes_no_sense_is_refused(flags: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By name, before a file."""
    assert main(["init", *flags]) == 2
    assert why in capsys.readouterr().err
    assert written_files(Path.cwd()) == set()


def test_the_gitlab_job_is_included_and_an_own_pipeline_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    """Both files are YAML; where .gitlab-ci.yml is there, the line to add is said."""
    assert main(["init", "one", *SIMULATED, "--ci=gitlab"]) == 0
    assert yaml.safe_load(Path(".gitlab-ci.yml").read_text(encoding="utf-8")) == {
        "include": [{"local": ".gitlab/precgate.yml"}]
    }
    job = yaml.safe_load(Path(".gitlab/precgate.yml").read_text(encoding="utf-8"))["precision-gate"]
    assert job["script"][1].startswith(".venv/bin/pytest perf/")
    Path(".gitlab-ci.yml").write_text("stages: [test]\n", encoding="utf-8")
    assert main(["init", "two", *SIMULATED]) == 0
    assert Path(".gitlab-ci.yml").read_text(encoding="utf-8") == "stages: [test]\n"
    out = capsys.readouterr().out
    assert "left        .gitlab-ci.yml: is there and stays as it is; add to it:  include: - local: .gitlab" in out


def test_the_repository_tells_its_ci(tmp_path: Path) -> None:
    """By its files first, then by its remote; nothing is guessed."""
    assert found_ci(tmp_path) is None
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text(
        '[remote "origin"]\n\turl = git@gitlab.example.com:a/b.git\n', encoding="utf-8"
    )
    assert found_ci(tmp_path) == "gitlab"
    (tmp_path / ".github").mkdir()
    assert found_ci(tmp_path) == "github"
    (tmp_path / ".gitlab-ci.yml").touch()
    assert found_ci(tmp_path) == "gitlab"


def test_a_repository_without_pyproject_keeps_its_build(tmp_path: Path) -> None:
    """Beside a setup.py the settings are precgate.toml's; with nothing there, pyproject.toml makes the root
    directory."""
    assert settings_file(tmp_path).name == "pyproject.toml"
    (tmp_path / "setup.py").touch()
    assert settings_file(tmp_path).name == "precgate.toml"
    assert main(["init", "one", *SIMULATED]) == 0
    assert list(load(tmp_path).suites) == ["one"]
    assert tomllib.loads((tmp_path / "precgate.toml").read_text(encoding="utf-8")).keys() == {"suites"}
    (tmp_path / "pyproject.toml").touch()
    assert settings_file(tmp_path).name == "precgate.toml"


def test_an_error_in_the_middle_leaves_everything_as_it_was(tmp_path: Path) -> None:
    """The last of three files cannot be written: the first two are as before, and so are the directories."""
    first, second, third = tmp_path / "a.toml", tmp_path / "new" / "b.py", tmp_path / "file" / "c.py"
    first.write_text("a = 1\n", encoding="utf-8")
    (tmp_path / "file").touch()
    planned = [Change(first, "a = 1\nb = 2\n", "a = 1\n"), Change(second, "x"), Change(third, "y")]
    with pytest.raises(PrecgateError, match=r"cannot be written: .*; nothing was left written"):
        write(planned)
    assert written_files(tmp_path) == {"a.toml", "file"}
    assert first.read_text(encoding="utf-8") == "a = 1\n"
    assert not (tmp_path / "new").exists()


def test_a_file_that_appeared_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    """Between the look and the write."""
    (tmp_path / "a").write_text("theirs", encoding="utf-8")
    with pytest.raises(PrecgateError, match="File exists"):
        write([Change(tmp_path / "a", "mine")])
    assert (tmp_path / "a").read_text(encoding="utf-8") == "theirs"


def typing(*lines: str) -> Callable[[str], str]:
    """A person who types these lines; every question is in ``typing.asked``."""
    left: Iterator[str] = iter(lines)
    return lambda _question: next(left)


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_init(parser.add_subparsers())
    return parser.parse_args(["init", *arguments])


def test_a_person_is_asked_for_what_the_flags_leave_open(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An answer that is none is asked for again; an empty one is the default."""
    ask = typing("first", "", "turbo", "simulated", "simulated", "", "55,73,91", "github")
    assert command.initialise(parsed(), tmp_path, ask) == 0
    assert "got 'turbo'" in capsys.readouterr().out
    suite = load(tmp_path).suites["first"]
    assert (suite.hardware.name, suite.points) == ("b200", (55, 73, 91))
    assert (tmp_path / ".github" / "workflows" / "precgate.yml").is_file()


@pytest.mark.parametrize(("typed", "is_written"), [("y", True), ("n", False), ("", False)])
def test_a_person_decides_about_a_failing_preflight(
    typed: str, is_written: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files for another machine, or none."""
    monkeypatch.setenv("PATH", str(tmp_path))
    options, ask = (
        parsed("two", "--hardware=b200", *SERVERS, "--workload=8,8", "--points=5", "--ci=none"),
        typing(typed),
    )
    if is_written:
        assert command.initialise(options, tmp_path, ask) == 0
    else:
        with pytest.raises(PrecgateError, match="nothing was written"):
            command.initialise(options, tmp_path, ask)
    assert (tmp_path / "pyproject.toml").exists() == is_written


@pytest.mark.parametrize(("ended", "code"), [(EOFError, 2), (KeyboardInterrupt, 130)])
def test_leaving_the_questions_leaves_no_file(
    ended: type[BaseException], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-D and Ctrl-C on a terminal."""

    def leave(_question: str) -> str:
        raise ended

    monkeypatch.setattr("builtins.input", leave)
    monkeypatch.setattr("sys.stdin", open(os.devnull, encoding="utf-8"))  # noqa: SIM115, PTH123  # closed by the patch
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    assert main(["init"]) == code
    sys.stdin.close()
    assert "nothing was written" in capsys.readouterr().err
    assert written_files(Path.cwd()) == set()


@pytest.mark.parametrize("engine", ["trtllm", "vllm", "endpoint", "recorded", "simulated"])
@pytest.mark.parametrize("value", ['a"b', "a\\b", "ä # [x]", "{host}", "a'b"])
def test_every_value_is_read_back_as_it_was_given(engine: str, value: str, tmp_path: Path) -> None:
    """Quotes, backslashes, brackets: the settings hold what was typed."""
    flags = {
        "trtllm": [f"--model={value}", "--gpus=1"],
        "vllm": [f"--model={value}", "--gpus=1"],
        "endpoint": ["--url=http://h:1", f"--model={value}", "--gpus=1"],
        "recorded": [f"--recorded={value}"],
        "simulated": [],
    }[engine]
    options = parsed("one", f"--engine={engine}", *flags, "--points=5")
    told = answers(options, Questions(None, print), None)
    planned = written.changes(told, tmp_path)
    read: Settings = read_text(planned.settings.path, planned.settings.text)
    assert read.suites["one"].engines["fp4"][0].kind == engine
    if flags:
        table = tomllib.loads(planned.settings.text)["tool"]["precgate"]["suites"]["one"]["fp4"]
        assert value in (table.get("model"), table.get("path"))
    compile(planned.writes[1].text, "test", "exec")
