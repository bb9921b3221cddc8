"""The files of ``precgate init``: which are new, which get lines appended, which stay as they are; then all of them, or
none.

Input: answers, the directory of the repository. Output: changes, and files. Invariant: a file that is there is never
overwritten, what it held stays its beginning, and after an error no change is left."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pytest_precgate import files
from pytest_precgate.cli.start import texts
from pytest_precgate.cli.start.answers import Answers, Ci
from pytest_precgate.errors import PrecgateError

_IGNORED = ".precgate/"
_GITHUB = ".github/workflows/precgate.yml"
_GITLAB, _GITLAB_MAIN = ".gitlab/precgate.yml", ".gitlab-ci.yml"
# What makes a directory pytest's root directory beside a pyproject.toml.
_ROOTED = ("pytest.ini", ".pytest.ini", "tox.ini", "setup.cfg", "setup.py")


@dataclass(frozen=True)
class Change:
    """The whole text a file is about to have; ``before`` is the text it has, None where it is new."""

    path: Path
    text: str
    before: str | None = None


@dataclass(frozen=True)
class Changes:
    """What is written, and the remarks on what is left; ``settings`` is one of the first, ``test`` may be left."""

    writes: tuple[Change, ...]
    settings: Change
    test: Path
    left: tuple[str, ...]


def found_ci(root: Path) -> Ci | None:
    """Return the CI that the repository shows: by its files, else by the host of its remote, else None."""
    if (root / _GITLAB_MAIN).exists():
        return "gitlab"
    if (root / ".github").is_dir():
        return "github"
    hosts = re.findall(r"(?m)^\s*url\s*=.*\b(github|gitlab)\b", _text(root / ".git" / "config") or "")
    return None if not hosts else "github" if hosts[0] == "github" else "gitlab"


def settings_file(root: Path) -> Path:
    """Return where the suite goes: into the file that has settings, else pyproject.toml.

    Without a pyproject.toml it is precgate.toml where another file makes this pytest's root directory: a new
    pyproject.toml could change how the repository is built."""
    own, project = root / "precgate.toml", root / "pyproject.toml"
    if own.exists():
        return own
    if not project.exists() and any((root / name).exists() for name in _ROOTED):
        return own
    return project


def changes(answers: Answers, root: Path) -> Changes:
    """Return what is to be written below ``root``. Raises PrecgateError for a file that cannot be read."""
    settings_path = settings_file(root)
    prefix = "tool.precgate." if settings_path.name == "pyproject.toml" else ""
    settings = _appended(settings_path, texts.suite_table(answers, prefix))
    test = root / "perf" / f"test_{re.sub(r'[^A-Za-z0-9]', '_', answers.suite)}.py"
    new = {test: texts.test_module(answers)}
    left: list[str] = []
    if answers.ci == "github":
        new[root / _GITHUB] = texts.github_job(answers)
    elif answers.ci == "gitlab":
        new[root / _GITLAB] = texts.gitlab_job(answers)
        new[root / _GITLAB_MAIN] = include = texts.gitlab_include(_GITLAB)
        main = _text(root / _GITLAB_MAIN)
        if main is not None and _GITLAB not in main:
            left.append(f"{_GITLAB_MAIN}: is there and stays as it is; add to it:  {' '.join(include.split())}")
            del new[root / _GITLAB_MAIN]
    writes = [settings]
    for path, text in new.items():
        if path.exists() or path.is_symlink():
            left.append(f"{path.relative_to(root)}: is there and stays as it is")
        else:
            writes.append(Change(path, text))
    ignored = _text(root / ".gitignore") or ""
    if _IGNORED not in {line.strip().lstrip("/") for line in ignored.splitlines()}:
        writes.append(_appended(root / ".gitignore", f"{_IGNORED}\n", gap=""))
    return Changes(tuple(writes), settings, test, tuple(left))


def write(planned: Sequence[Change]) -> None:
    """Write every change, or none. Raises PrecgateError naming the file that could not be written."""
    done: list[Change] = []
    made: list[Path] = []
    try:
        for change in planned:
            try:
                made += _made_parents(change.path)
                _write(change)
            except OSError as exc:
                raise PrecgateError(
                    f"{change.path}: cannot be written: {exc.strerror}; nothing was left written"
                ) from exc
            done.append(change)
    except BaseException:
        for change in reversed(done):
            _undo(change)
        for folder in reversed(made):
            with suppress(OSError):  # another program's file may be in it by now
                folder.rmdir()
        raise


def _made_parents(path: Path) -> list[Path]:
    missing = [folder for folder in reversed(path.parents) if not folder.exists()]
    made = []
    for folder in missing:
        folder.mkdir()
        made.append(folder)
    return made


def _write(change: Change) -> None:
    if change.before is not None:
        files.write(change.path, change.text)
        return
    with change.path.open("x", encoding="utf-8", newline="") as opened:  # never over a file of this moment
        try:
            opened.write(change.text)
            opened.flush()
        except OSError:
            change.path.unlink(missing_ok=True)
            raise


def _undo(change: Change) -> None:
    with suppress(OSError):  # the error that led here is the one to tell
        if change.before is None:
            change.path.unlink(missing_ok=True)
        else:
            files.write(change.path, change.before)


def _appended(path: Path, text: str, gap: str = "\n") -> Change:
    """A change that adds ``text`` after a blank line, or makes the file. The line ends of the file are kept."""
    before = _text(path)
    if not before:
        return Change(path, text, before)
    if "\r\n" in before:
        text, gap = text.replace("\n", "\r\n"), gap.replace("\n", "\r\n")
    end = "" if before.endswith("\n") else "\r\n" if "\r\n" in before else "\n"
    return Change(path, f"{before}{end}{gap}{text}", before)


def _text(path: Path) -> str | None:
    """The text of a file with its own line ends, None where there is none."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as exc:
        raise PrecgateError(f"{path}: is not UTF-8 text; nothing was written") from exc
    except OSError as exc:
        raise PrecgateError(f"{path}: cannot be read: {exc.strerror}; nothing was written") from exc
