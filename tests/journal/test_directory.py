"""Where runs are kept: one name per run and suite, found by it, pruned by a rule that touches nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from pytest_precgate.errors import JournalWriteError, RunNotFoundError
from pytest_precgate.journal.directory import JOURNAL, KEPT_DAYS, KEPT_RUNS, RunDirectory
from pytest_precgate.journal.file import Journal
from tests.journal.test_state import RUN

STARTED = datetime(2026, 11, 24, 8, 30, 1, 45_000, tzinfo=timezone.utc)


def at(root: Path, days: float = 0.0, pid: int = 7) -> RunDirectory:
    """A run that started so many days before STARTED."""
    return RunDirectory.new(root, STARTED - timedelta(days=days), pid)


def recorded(root: Path, suite: str = "kimi", days: float = 0.0, pid: int = 7) -> Path:
    """The directory of a run that has ended, with an empty journal."""
    run = at(root, days, pid)
    run.home(suite).mkdir(parents=True)
    run.journal(suite).touch()
    return run.home(suite)


def test_a_directory_is_called_by_time_suite_and_process(tmp_path: Path) -> None:
    """It sorts by time, and git ignores it."""
    home = at(tmp_path).make("kimi-k2.5_x")
    assert home == tmp_path / ".precgate" / "runs" / "20261124T083001.045Z-kimi-k2.5_x-7"
    assert (tmp_path / ".precgate" / ".gitignore").read_text(encoding="utf-8") == "*\n"
    east = STARTED.astimezone(timezone(timedelta(hours=9)))
    assert RunDirectory.new(tmp_path, east, 7) == at(tmp_path)


def test_each_start_has_a_directory_of_its_own(tmp_path: Path) -> None:
    """A second start never writes over the log of the first."""
    runs = at(tmp_path)
    first, second = runs.of("kimi", "fp4-default"), runs.of("kimi", "fp4-default")
    assert (first.name, second.name) == ("fp4-default", "fp4-default-2")
    assert first.parent == second.parent == runs.home("kimi")


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file where the directory belongs is said, before anything is measured."""
    (tmp_path / ".precgate").write_text("", encoding="utf-8")
    with pytest.raises(JournalWriteError, match=r"\.precgate.*cannot be made: Not a directory"):
        at(tmp_path).of("kimi", "fp4")


def test_a_run_is_found_by_name_path_and_latest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any of its directories stands for the whole run."""
    older, newer = recorded(tmp_path, days=1), recorded(tmp_path, "gpt-oss")
    recorded(tmp_path)
    assert RunDirectory.find(tmp_path, tmp_path, "latest") == at(tmp_path)
    assert RunDirectory.find(tmp_path, tmp_path, older.name) == at(tmp_path, days=1)
    assert RunDirectory.find(tmp_path / "elsewhere", tmp_path, str(newer)) == at(tmp_path)
    assert RunDirectory.find(tmp_path, older.parent, f"./{older.name}") == at(tmp_path, days=1)
    monkeypatch.chdir(older)
    assert RunDirectory.find(tmp_path, Path.cwd(), ".") == at(tmp_path, days=1)


def test_the_latest_run_is_one_with_a_journal(tmp_path: Path) -> None:
    """A server that never came up left logs and nothing to use."""
    recorded(tmp_path, days=1)
    at(tmp_path).of("kimi", "fp4-default")
    assert RunDirectory.find(tmp_path, tmp_path, "latest") == at(tmp_path, days=1)


def test_a_run_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    """Unknown name, nothing at all, a directory that is no run."""
    with pytest.raises(RunNotFoundError, match=r"latest: no such run in .*runs; there is none"):
        RunDirectory.find(tmp_path, tmp_path, "latest")
    known = recorded(tmp_path)
    with pytest.raises(RunNotFoundError, match=f"20261124: no such run in .*; the newest: {known.name}"):
        RunDirectory.find(tmp_path, tmp_path, "20261124")
    for directory in (tmp_path, at(tmp_path, days=2).make("kimi")):
        with pytest.raises(RunNotFoundError, match=r"holds no journal\.jsonl of a run"):
            RunDirectory.find(tmp_path, tmp_path, str(directory))


def test_pruning_keeps_the_newest_and_the_young(tmp_path: Path) -> None:
    """All but the newest KEPT_RUNS, unless younger than KEPT_DAYS; the rest goes when a new one is made."""
    old = [recorded(tmp_path, days=KEPT_DAYS + 1 + number) for number in range(KEPT_RUNS + 3)]
    young = [recorded(tmp_path, days=KEPT_DAYS - 1 - number / 10, pid=8) for number in range(5)]
    made = at(tmp_path).make("kimi")
    assert {path for path in made.parent.iterdir()} == {made, *young, *old[: KEPT_RUNS - 6]}


@pytest.mark.parametrize(
    ("ages", "gone"),
    [
        ([*(number / 2 for number in range(1, 21)), 13.99, 14.01], [14.01]),
        ([float(days) for days in range(15, 40)], [float(days) for days in range(34, 40)]),
    ],
    ids=["young", "old"],
)
def test_a_fortnight_and_the_newest_twenty_are_kept(tmp_path: Path, ages: list[float], gone: list[float]) -> None:
    """The figures that the documentation promises; the run that begins is one of the twenty."""
    homes = {days: recorded(tmp_path, days=days) for days in ages}
    at(tmp_path).make("kimi")
    assert [days for days, home in homes.items() if not home.exists()] == gone


def test_pruning_keeps_any_number_of_young_runs(tmp_path: Path) -> None:
    """A busy fortnight is kept whole."""
    young = [recorded(tmp_path, pid=number) for number in range(10, 10 + 2 * KEPT_RUNS)]
    made = at(tmp_path).make("kimi")
    assert {*made.parent.iterdir()} == {made, *young}


def test_pruning_touches_nothing_but_old_runs_of_the_suite(tmp_path: Path) -> None:
    """Another suite's, a file, a link, a directory that is called otherwise, one in use: all stay."""
    old = [recorded(tmp_path, days=30 + number) for number in range(KEPT_RUNS + 2)]
    runs = old[0].parent
    others = [recorded(tmp_path, "kimi-k2", days=90), runs / "notes", runs / "19990101T000000Z-kimi-7"]
    for path in others[1:]:
        path.mkdir()
    (runs / "19990101T000000.000Z-kimi-1").touch()
    link = runs / "19990101T000000.000Z-kimi-2"
    link.symlink_to(tmp_path)
    at(tmp_path, days=99).home("kimi").mkdir()
    in_use = Journal.create(at(tmp_path, days=99).journal("kimi"), RUN)
    at(tmp_path).make("kimi")
    in_use.close()
    assert all(path.is_dir() for path in others)
    assert (runs / "19990101T000000.000Z-kimi-1").is_file()
    assert link.is_symlink()
    assert in_use.path.is_file()
    assert [path.exists() for path in old[KEPT_RUNS - 2 :]] == [True, False, False, False]


def test_going_on_with_a_run_prunes_nothing(tmp_path: Path) -> None:
    """Its directory is there already; only a new one makes room."""
    old = [recorded(tmp_path, days=30 + number) for number in range(KEPT_RUNS + 2)]
    at(tmp_path, days=30).make("kimi")
    assert all(path.exists() for path in old)
    assert JOURNAL in {path.name for path in old[0].iterdir()}


def test_a_run_looks_through_the_kept_ones_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand suites keep twenty thousand directories; each suite's old ones go all the same."""
    suites = ("kimi", "kimi-k2", "llama")
    old = [recorded(tmp_path, suite, days=30 + number) for suite in suites for number in range(KEPT_RUNS + 1)]
    looked: list[Path] = []
    original = Path.iterdir

    def counted(path: Path) -> Iterator[Path]:
        looked.append(path)
        return original(path)

    monkeypatch.setattr(Path, "iterdir", counted)
    run = at(tmp_path)
    made = [run.make(suite) for suite in suites]
    assert looked == [run.runs]
    monkeypatch.undo()
    gone = [path for path in old if not path.exists()]
    assert [path.name.split("-", 1)[1].rsplit("-", 1)[0] for path in gone] == [s for s in suites for _ in range(2)]
    assert all(path.is_dir() for path in made)
