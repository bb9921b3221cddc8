"""The help of every command fits 80 columns and has an example; the completion scripts complete what there is."""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_precgate.cli import completion, main
from pytest_precgate.cli import help as help_texts

needs = {
    shell: pytest.mark.skipif(shutil.which(shell) is None, reason=f"no {shell} on this machine")
    for shell in completion.SHELLS
}


def commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (actions,) = help_texts.actions_of(parser)
    return dict(help_texts.walked(actions))


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> argparse.ArgumentParser:
    """The parser of all commands, as its help is printed at 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    found: list[argparse.ArgumentParser] = []

    def finish(parser: argparse.ArgumentParser, each: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        help_texts.finish(parser, each)
        found.append(parser)

    monkeypatch.setattr("pytest_precgate.cli.finish", finish)
    with pytest.raises(SystemExit):
        main(["--version"])
    return found[0]


def test_every_command_has_a_group_and_an_example(whole: argparse.ArgumentParser) -> None:
    """A new command gets a row in both tables of ``cli/help.py``."""
    known = commands(whole)
    assert set(known) == set(help_texts.EXAMPLES)
    grouped = [name for _, names in help_texts.GROUPS for name in names]
    assert sorted(grouped) == sorted(name for name in known if " " not in name)


def test_every_help_fits_80_columns(whole: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]) -> None:
    """The longest lines are usage, options and examples; every page shows its example."""
    for path in ("", *commands(whole)):
        with pytest.raises(SystemExit):
            main([*path.split(), "--help"])
        text = capsys.readouterr().out
        assert max(map(len, text.splitlines())) <= 80, path
        assert not path or f"example:\n  {help_texts.EXAMPLES[path]}\n" in text


def test_every_example_is_a_command_that_is_understood(whole: argparse.ArgumentParser) -> None:
    """Parsed as the shell would hand it over."""
    for example in help_texts.EXAMPLES.values():
        program, *words = shlex.split(example.partition(" > ")[0])
        assert program == "precgate"
        if words != ["baseline", "show"]:
            whole.parse_args(words)


def test_the_first_page_groups_every_command(whole: argparse.ArgumentParser) -> None:
    """And lists one that no group knows at the end."""
    text = whole.format_help()
    assert "start:\n  init " in text
    assert "other:" not in text
    (actions,) = help_texts.actions_of(whole)
    actions.add_parser("novel", help="is new")
    whole.epilog = ""
    help_texts.finish(whole, actions)
    assert "other:\n  novel             is new\n" in whole.format_help()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with two suites and a run."""
    monkeypatch.chdir(tmp_path)
    text = "[tool.precgate.suites.kimi-k2]\n[tool.precgate.suites.kimi-k2.fp4]\n[tool.precgate.suites.other]  # x\n"
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    (tmp_path / ".precgate" / "runs" / "20261128T000000.000Z-kimi-1").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def scripts(tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]) -> Path:
    folder = tmp_path_factory.mktemp("scripts")
    for shell in completion.SHELLS:
        assert main(["completion", shell]) == 0
        (folder / shell).write_text(capsys.readouterr().out, encoding="utf-8")
    return folder


CASES = [
    (["ini"], {"init"}),
    (["compare", "--cost", ""], {"derived", "interpolated"}),
    (["noise", ""], {"kimi-k2", "other"}),
    (["show", "2026"], {"20261128T000000.000Z-kimi-1"}),
    (["noise", "--resume", "lat"], {"latest"}),
    (["baseline", "pr"], {"prune"}),
    (["baseline", "show", "ki"], {"kimi-k2"}),
    (["completion", "f"], {"fish"}),
    (["init", "--no-pre"], {"--no-preflight"}),
]


def completed(shell: str, before: str, cases: list[str]) -> list[set[str]]:
    """What each case prints, all in one process of the shell; a description behind a tab is cut off."""
    text = "\n".join([before, *(f"{case}\necho ----" for case in cases)])
    run = subprocess.run([shell, "-c", text], capture_output=True, text=True, check=False, timeout=60)
    assert run.stderr == ""
    parts = run.stdout.split("----\n")
    assert len(parts) == len(cases) + 1
    return [{line.partition("\t")[0] for line in part.splitlines()} for part in parts[:-1]]


def quoted(words: list[str]) -> str:
    return " ".join(f"'{word}'" for word in ["precgate", *words])


@needs["bash"]
@pytest.mark.usefixtures("repository")
def test_bash_completes(scripts: Path) -> None:
    """As bash calls it, with its split of a word at =."""
    cases = [*CASES, (["compare", "--cost", "=", "int"], {"interpolated"})]
    each = [
        f"COMP_WORDS=({quoted(words)}); COMP_CWORD={len(words)}; _precgate; " + r'printf "%s\n" "${COMPREPLY[@]}"'
        for words, _ in cases
    ]
    found = completed("bash", f"source {scripts / 'bash'}", each)
    for (words, wanted), got in zip(cases, found, strict=True):
        assert wanted == {word for word in got if words[-1] or not word.startswith("-")}, words


@needs["zsh"]
@pytest.mark.usefixtures("repository")
def test_zsh_completes(scripts: Path) -> None:
    """compadd is told the words, of which zsh keeps those that begin as the typed one."""
    before = f"compadd() {{ print -l -- ${{@[2,-1]}} }}\n_files() {{ }}\nsource {scripts / 'zsh'}"
    each = [f"words=({quoted(words)}); CURRENT={len(words) + 1}; _precgate" for words, _ in CASES]
    for (words, wanted), got in zip(CASES, completed("zsh", before, each), strict=True):
        begun = {word for word in got if word.startswith(words[-1])}
        assert wanted == {word for word in begun if words[-1] or not word.startswith("-")}, words


@needs["fish"]
@pytest.mark.usefixtures("repository")
def test_fish_completes(scripts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By fish's own `complete -C`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    each = [f"complete -C 'precgate {' '.join(words)}'" for words, _ in CASES]
    found = completed("fish", f"source {scripts / 'fish'}", each)
    for (words, wanted), got in zip(CASES, found, strict=True):
        assert wanted == got, words


def test_a_help_with_a_quote_and_a_backslash_is_quoted_for_fish() -> None:
    """Texts are other people's."""
    parser = argparse.ArgumentParser(prog="precgate", add_help=False)
    parser.add_argument("--x", metavar="N", help=r"it's a \ word")
    assert r"-l x -x -d 'it\'s a \\ word'" in completion.script(parser, "fish")
