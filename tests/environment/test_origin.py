"""Which commit a run is of, asked of a real git."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_precgate.environment import git_commit

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def git(directory: Path, *words: str) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *words], cwd=directory, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A commit with a source file and two baselines, in a subdirectory of the repository as well."""
    root = tmp_path / "service"
    for name in ("engine.py", "baselines/kimi.json", "baselines/simulated/kimi.json", "baselines/notes.txt"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("old\n", encoding="utf-8")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    return root


def test_a_clean_tree_is_its_commit(repository: Path) -> None:
    """Forty hex digits; files git does not know do not count."""
    (repository / "new.txt").write_text("", encoding="utf-8")
    commit = git_commit(repository)
    assert len(commit) == 40
    assert git_commit(repository, repository / "baselines") == commit


@pytest.mark.parametrize("name", ["engine.py", "baselines/notes.txt", "baselines/simulated/kimi.json"])
def test_a_changed_file_makes_the_tree_dirty(repository: Path, name: str) -> None:
    """Any file that is not a baseline of the run."""
    (repository / name).write_text("new\n", encoding="utf-8")
    assert git_commit(repository, repository / "baselines").endswith("-dirty")


def test_a_file_changed_outside_the_root_directory_makes_it_dirty(repository: Path) -> None:
    """The whole repository is what is tested."""
    outside = repository.parent / "engine.py"
    outside.write_text("old\n", encoding="utf-8")
    git(repository, "add", "--all", ":/")
    assert git_commit(repository, repository / "baselines").endswith("-dirty")


@pytest.mark.parametrize("staged", [False, True])
def test_a_rewritten_baseline_does_not(repository: Path, staged: bool) -> None:
    """Nor does one that is deleted or added."""
    clean = git_commit(repository)
    (repository / "baselines" / "kimi.json").write_text("new\n", encoding="utf-8")
    (repository / "baselines" / "other.json").write_text("new\n", encoding="utf-8")
    if staged:
        git(repository, "add", ".")
    assert git_commit(repository).endswith("-dirty")
    assert git_commit(repository, repository / "baselines") == clean
    (repository / "baselines" / "kimi.json").unlink()
    assert git_commit(repository, repository / "baselines") == clean


def test_baselines_elsewhere_are_no_part_of_the_tree(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A directory outside the root directory cannot make it dirty, and is no error."""
    assert len(git_commit(repository, tmp_path_factory.mktemp("elsewhere"))) == 40


def test_outside_a_repository_the_commit_is_unknown(tmp_path: Path) -> None:
    """As it is before the first commit."""
    assert git_commit(tmp_path) == "unknown"
    git(tmp_path, "init", "--quiet")
    assert git_commit(tmp_path) == "unknown"
