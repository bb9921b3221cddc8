"""The revisions of one file in git: who committed it when, and its bytes in each commit.

Input: a path. Output: frozen values, oldest first. Invariants: nothing in the repository is changed; git is asked with
a time limit; what it cannot tell is a GitError with its own words."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_precgate.errors import GitError
from pytest_precgate.text import printable

_LIMIT_S = 30.0
_AT_ONCE = 50  # revisions whose bytes are held together
_FORMAT = "--format=%H%x00%aN%x00%ct%x00%s"


@dataclass(frozen=True)
class FileRevision:
    """A commit that changed the file. ``committed`` is in seconds since 1970; ``data`` is None where it removed it."""

    commit: str
    author: str
    committed: float
    subject: str
    data: bytes | None


def file_revisions(path: Path) -> Iterator[FileRevision]:
    """Yield every commit up to the one checked out that changed the file, oldest first. Raises GitError."""
    # Settings of a user must not add lines, nor lead to another file.
    settings = ["-c", "log.follow=false", "-c", "log.showSignature=false"]
    words = ["log", "--topo-order", "--reverse", "--encoding=UTF-8", _FORMAT, "--", path.name]
    told = _git(path.parent, "--literal-pathspecs", *settings, *words).decode("utf-8", "backslashreplace")
    commits = [line.split("\0") for line in told.split("\n") if line]
    for start in range(0, len(commits), _AT_ONCE):
        several = commits[start : start + _AT_ONCE]
        contents = _contents(path, [commit for commit, *_ in several])
        for (commit, author, committed, subject), data in zip(several, contents, strict=True):
            yield FileRevision(commit, printable(author), float(committed), printable(subject), data)


def is_shallow(directory: Path) -> bool:
    """Whether the repository of a directory lacks its older commits. Raises GitError."""
    return _git(directory, "rev-parse", "--is-shallow-repository").strip() == b"true"


def _contents(path: Path, commits: list[str]) -> Iterator[bytes | None]:
    """The bytes of the file in each commit, None where it is not there."""
    asked = "".join(f"{commit}:./{path.name}\n" for commit in commits)
    told = _git(path.parent, "cat-file", "--batch", given=asked.encode("utf-8", "surrogateescape"))
    start = 0
    for _ in commits:
        end = told.index(b"\n", start)
        head = told[start:end].split()
        if head[-1] == b"missing":
            start = end + 1
            yield None
            continue
        size = int(head[-1])
        yield told[end + 1 : end + 1 + size]
        start = end + 1 + size + 1  # a line end follows


def _git(directory: Path, *words: str, given: bytes = b"") -> bytes:
    # Without optional locks: reading must not disturb work in the repository.
    command = ["git", "--no-optional-locks", *words]
    try:
        found = subprocess.run(command, cwd=directory, input=given, capture_output=True, timeout=_LIMIT_S, check=True)
    except subprocess.CalledProcessError as exc:
        lines = exc.stderr.splitlines() or [b"it says nothing"]
        raise GitError(f"git failed: {printable(lines[0])}") from exc
    except subprocess.TimeoutExpired as exc:
        raise GitError(f"git did not answer within {_LIMIT_S:g} s") from exc
    except OSError as exc:
        raise GitError(f"git cannot be run: {exc.filename}: {exc.strerror}") from exc
    return found.stdout
