"""Files found and read: patterns, encodings, what is no file, and files that were cut."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
import yaml

from pytest_precgate.errors import PrecgateWarning, RecordedPointsError
from pytest_precgate.interop.files import SIZE_LIMIT, find_files, read_file, read_rows
from tests.interop import results

TEXT = "concurrency,gpus,interactivity,throughput_per_gpu\n4,4,50,80\n8,4,40,120\n"


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["points.json", "points.yaml", "points", "points.jsonl"])
def test_a_suffix_decides_nothing(tmp_path: Path, name: str) -> None:
    """CSV is recognised under any file name."""
    assert len(read_rows(written(tmp_path / name, TEXT.encode()))) == 2


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "holds no points"),
        (b"\xef\xbb\xbf", "holds no points"),
        (TEXT.encode("utf-16"), "is not UTF-8 text: it begins as UTF-16 does; save it as UTF-8"),
        (b"# M\xfcnchen\n" + TEXT.encode(), "is not UTF-8 text @ line 1"),
        (TEXT.encode() + b"\x1f\x8b\x08\x00", "is not UTF-8 text @ line 4"),
        (TEXT.encode() + b"\0\0", "holds a NUL character"),
        (gzip.compress(TEXT.encode(), mtime=0), r"is compressed \(gzip\); unpack it"),
        (b"\x28\xb5\x2f\xfd\x04", r"is compressed \(zstd\); unpack it"),
        (b"PK\x03\x04\x14", "is a zip archive or a spreadsheet; unpack it, or save the sheet as CSV"),
    ],
)
def test_bytes_that_are_no_text_of_points_are_refused(tmp_path: Path, data: bytes, why: str) -> None:
    """Empty, UTF-16, Latin-1, compressed, padded with zeros."""
    with pytest.raises(RecordedPointsError, match=rf"p\.csv: {why}"):
        read_rows(written(tmp_path / "p.csv", data))


def test_a_directory_is_refused(tmp_path: Path) -> None:
    """The message says how its files are named."""
    with pytest.raises(RecordedPointsError, match=r"is a directory, wanted a file; name its files: .*/\*\.json"):
        read_rows(tmp_path)


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    """Opening it would wait for a writer for ever."""
    os.mkfifo(tmp_path / "p.csv")
    with pytest.raises(RecordedPointsError, match="is a device or a pipe"):
        read_rows(tmp_path / "p.csv")


@pytest.mark.parametrize("name", ["nowhere.csv", "x" * 300, "a\0b"])
def test_a_path_that_cannot_be_opened_is_named(tmp_path: Path, name: str) -> None:
    """Missing, too long, and a NUL in it."""
    with pytest.raises(RecordedPointsError, match="cannot be read: "):
        read_rows(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    """The message says what the system said."""
    path = written(tmp_path / "p.csv", TEXT.encode())
    path.chmod(0)
    with pytest.raises(RecordedPointsError, match="cannot be read: Permission denied"):
        read_rows(path)


def test_a_huge_file_is_refused_by_its_size(tmp_path: Path) -> None:
    """A file of holes, which takes no space: one byte more than may be read."""
    path = tmp_path / "p.csv"
    with path.open("wb") as file:
        file.truncate(SIZE_LIMIT + 1)
    with pytest.raises(RecordedPointsError, match="is larger than 128 MiB"):
        read_rows(path)


def test_a_csv_that_may_have_been_cut_is_warned_about(tmp_path: Path) -> None:
    """`truncate -s -3 points.csv` halves the last figure, and the row is still a row."""
    path = written(tmp_path / "p.csv", TEXT.encode()[:-3])
    with pytest.warns(PrecgateWarning, match=r"p\.csv: the last line has no line end"):
        assert [row.throughput for row in read_rows(path)] == [80.0, 1.0]


def test_under_ci_a_csv_that_may_have_been_cut_is_refused(tmp_path: Path) -> None:
    """Warnings are not read under CI."""
    path = written(tmp_path / "p.csv", TEXT.encode()[:-3])
    with pytest.raises(RecordedPointsError, match=r"the last line has no line end, .* \(refused under CI\)"):
        read_rows(path, in_ci=True)


def test_yaml_that_may_have_been_cut_is_treated_alike(tmp_path: Path) -> None:
    """Its last figure may have lost digits: 0.023 becomes 0.02."""
    path = written(tmp_path / "r.yaml", yaml.safe_dump(results.llmd()).encode()[:-1])
    with pytest.warns(PrecgateWarning, match=r"r\.yaml: the last line has no line end"):
        assert len(read_rows(path)) == 1
    with pytest.raises(RecordedPointsError, match="refused under CI"):
        read_rows(path, in_ci=True)


def test_the_caller_may_receive_the_warning(tmp_path: Path) -> None:
    """The command prints it; the file and the tool are named."""
    said: list[str] = []
    found = read_file(written(tmp_path / "p.csv", TEXT.encode()[:-1]), warn=said.append)
    assert found.tools == ("pytest-precgate points",)
    assert len(said) == 1
    assert said[0].startswith(f"{tmp_path / 'p.csv'}: ")


def test_a_file_name_cannot_command_a_terminal(tmp_path: Path) -> None:
    """An escape sequence in a name is shown, not sent."""
    path = written(tmp_path / "\x1b[2Jp.csv", b"")
    with pytest.raises(RecordedPointsError) as caught:
        read_rows(path)
    assert "\\x1b[2Jp.csv: holds no points" in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_paths_and_patterns_become_files_each_once(tmp_path: Path) -> None:
    """A pattern's files in order; one that was named before is not read again; directories are none."""
    (tmp_path / "d.csv").mkdir()
    for name in ("b.csv", "a.csv", "c.json"):
        written(tmp_path / name, b"")
    found = find_files(["b.csv", "*.csv", str(tmp_path / "*.json")], tmp_path)
    assert [path.name for path in found] == ["b.csv", "a.csv", "c.json"]


def test_a_pattern_without_files_is_refused(tmp_path: Path) -> None:
    """An empty glob is a wrong path, not an empty sweep."""
    with pytest.raises(RecordedPointsError, match=r"agg_\*\.json: matches no file below"):
        find_files(["agg_*.json"], tmp_path)
