"""The revisions of a file, asked of a real git."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_precgate.environment import revisions
from pytest_precgate.environment.revisions import file_revisions, is_shallow
from pytest_precgate.errors import GitError
from tests.environment.test_origin import git

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def committed(path: Path, text: str | None, subject: str, author: str = "Ada Lovelace") -> None:
    """Commit ``text`` as the file, or its removal."""
    if text is None:
        path.unlink()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    git(path.parent, "add", "--all", ".")
    git(path.parent, "commit", "--quiet", f"--author={author} <a@example.org>", "-m", subject)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The place of a file whose name is a pattern, in a folder of a repository without a commit."""
    git(tmp_path, "init", "--quiet")
    path = tmp_path / "service" / "base lines" / "kimi [1].json"
    path.parent.mkdir(parents=True)
    return path


def test_every_commit_that_changed_the_file_is_one_oldest_first(file: Path) -> None:
    """Its bytes, author and subject; commits that changed other files are none."""
    texts = ["one\n", "two\n\n", "", None, "€\n"]
    for number, text in enumerate(texts):
        committed(file, text, f"change {number}", f"Author {number}")
        committed(file.with_name("kimi 1.json"), str(number), "another file, which a pattern would match")
    found = [*file_revisions(file)]
    assert [each.data for each in found] == [None if text is None else text.encode() for text in texts]
    assert [each.subject for each in found] == [f"change {number}" for number in range(5)]
    assert [each.author for each in found] == [f"Author {number}" for number in range(5)]
    assert all(len(each.commit) == 40 for each in found)
    assert [each.committed for each in found] == sorted(each.committed for each in found)
    assert not is_shallow(file.parent)


def test_many_revisions_are_read_in_several_questions(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is lost between two of them."""
    monkeypatch.setattr(revisions, "_AT_ONCE", 2)
    for number in range(5):
        committed(file, str(number), "x")
    assert [each.data for each in file_revisions(file)] == [b"0", b"1", b"2", b"3", b"4"]


def test_names_and_subjects_are_printable(file: Path) -> None:
    """An author may be called anything."""
    committed(file, "1", "\x1b[31mred", "A\x1b]0;title\x07da")
    (found,) = file_revisions(file)
    assert (found.author + found.subject).isprintable()


def test_settings_of_a_person_change_nothing(file: Path) -> None:
    """Log settings that follow renames, show signatures or use another encoding."""
    committed(file.with_name("old.json"), "the same text\n" * 9, "another name")
    git(file.parent, "mv", "old.json", file.name)
    git(file.parent, "commit", "--quiet", "-m", "renamed")
    for setting in ("log.follow=true", "log.showSignature=true", "i18n.logOutputEncoding=latin1", "format.pretty=raw"):
        git(file.parent, "config", *setting.split("="))
    assert [each.subject for each in file_revisions(file)] == ["renamed"]


def test_a_file_without_a_commit_has_no_revision(file: Path) -> None:
    """Of a repository that has commits."""
    committed(file.with_name("other.json"), "1", "x")
    file.write_text("1", encoding="utf-8")
    assert [*file_revisions(file)] == []


def test_a_shallow_clone_says_so(file: Path, tmp_path: Path) -> None:
    """It shows the last commit as the first."""
    for number in range(3):
        committed(file, str(number), f"change {number}")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth=1", tmp_path.as_uri(), str(clone))
    (found,) = file_revisions(clone / file.relative_to(tmp_path))
    assert found.data == b"2"
    assert is_shallow(clone)


def test_what_git_cannot_do_is_an_error_with_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No repository, no commit, no folder, no git, no answer."""
    monkeypatch.setenv("LC_ALL", "C")
    with pytest.raises(GitError, match="git failed: fatal: not a git repository"):
        [*file_revisions(tmp_path / "kimi.json")]
    with pytest.raises(GitError, match=r"cannot be run: .*/nowhere: No such file"):
        [*file_revisions(tmp_path / "nowhere" / "kimi.json")]
    git(tmp_path, "init", "--quiet")
    with pytest.raises(GitError, match="does not have any commits yet"):
        [*file_revisions(tmp_path / "kimi.json")]

    def hangs(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("git", 30)

    monkeypatch.setattr(subprocess, "run", hangs)
    with pytest.raises(GitError, match="did not answer within 30 s"):
        is_shallow(tmp_path)
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(GitError, match="git cannot be run: git: No such file"):
        is_shallow(tmp_path)
