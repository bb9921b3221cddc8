"""The text of a file as objects or a table: content decides, and no parser's error escapes."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_precgate.errors import RecordedPointsError
from pytest_precgate.interop import content
from pytest_precgate.interop.content import Objects, Table, content_of
from pytest_precgate.interop.importers import imported
from pytest_precgate.interop.rows import Stated
from pytest_precgate.interop.sweeps import sweeps_of
from tests.interop import results

DEEP = 200_000
DIGITS = "1" * 5000


def objects(text: str) -> list[object]:
    found = content_of(text, "f")
    assert isinstance(found, Objects)
    return [node.value for node in found.nodes]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('{"a": 1}', [{"a": 1}]),
        ('\n [{"a": 1}, {"a": 2}]', [{"a": 1}, {"a": 2}]),
        ('{"a": 1}\n{"a": 2}\n\n', [{"a": 1}, {"a": 2}]),
        ('{"a":\n 1}', [{"a": 1}]),
        ("# a comment\na: 1\nb:\n  c: [1, 2]\n", [{"a": 1, "b": {"c": [1, 2]}}]),
        ("---\na: 1\n", [{"a": 1}]),
    ],
)
def test_json_json_lines_and_yaml_are_told_by_their_content(text: str, values: list[object]) -> None:
    """One object, a list of them, one per line, pretty-printed, and YAML below a comment."""
    assert objects(text) == values


def test_other_text_is_a_table_without_comments_and_blank_lines() -> None:
    """Each line keeps its number in the file."""
    found = content_of("# c\n\na,b\n1,2\n", "f")
    assert found == Table("f", ((3, ("a", "b")), (4, ("1", "2"))), is_cut=False, comments=("c",))


@pytest.mark.parametrize(("text", "is_cut"), [("a,b\n1,2", True), ("a,b\r\n1,2\r\n", False), ("", False)])
def test_a_table_says_whether_its_last_line_has_an_end(text: str, is_cut: bool) -> None:
    """A file cut in half mostly ends within a line."""
    found = content_of(text, "f")
    assert isinstance(found, Table)
    assert found.is_cut is is_cut


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * DEEP, "f: is nested too deeply to be read"),
        ('{"a":' * DEEP, "f: is nested too deeply to be read"),
        (f"a: {'[' * DEEP}", "f: is nested deeper than a result file is"),
        (f'{{"a": {DIGITS}}}', "f: holds a number of more digits than can be read"),
        (f'{{"a": 1}}\n{{"a": {DIGITS}}}', "f: holds a number of more digits than can be read @ line 2"),
        (f"a: {DIGITS}", "f: is not YAML: "),
        ("a: 2026-99-99", "f: is not YAML: "),
        ("a: !!int ''", "f: is not YAML: "),
        ("a: !!bool maybe", "f: is not YAML: "),
        ("a: !!timestamp never", "f: is not YAML: "),
        ("a: !!python/object:os.system {}", r"f: is not YAML: could not determine a constructor .* @ line 1"),
        ("a: &x [*y]", r"f: is not YAML: found undefined alias .* @ line 1"),
        ("a: 1\n---\nb: 2\n", "f: is not YAML: but found another document @ line 2"),
        ('{"a": 1', r"f: is not JSON: .*; is the file complete\? @ line 1"),
        ('{"a": 1}\n{"a": 2', r"f: is not JSON: .* @ line 2"),
        ('{"a": 1, "a": 2}', "f: holds the key 'a' twice in one place"),
        ("a,b\n1,2\0", "f: holds a NUL character"),
        ('{"a": "\0"}', "f: holds a NUL character"),
        ("a,b\n1," + "x" * 200_000, r"f: is not CSV: field larger than field limit .* @ line 2"),
        ('a,b\n"1,2', r"f: is not CSV: .* @ line 2"),
    ],
)
def test_what_a_parser_raises_becomes_a_named_error(text: str, why: str) -> None:
    """Nesting, digits, tags, aliases, encodings and halves of files: file, cause and line."""
    with pytest.raises(RecordedPointsError, match=why):
        content_of(text, "f")


def test_much_yaml_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parser is slow; a report is a few thousand lines."""
    monkeypatch.setattr(content, "YAML_LIMIT", 10)
    with pytest.raises(RecordedPointsError, match="f: holds 11 characters of YAML, wanted at most 10"):
        content_of("a: 12345678", "f")


@pytest.mark.parametrize(("text", "is_cut"), [("a: 1\n", False), ("a: 0.0123", True), ('{"a": 1}', False)])
def test_yaml_says_whether_its_last_line_has_an_end(text: str, is_cut: bool) -> None:
    """A figure cut in half is a figure; JSON that was cut is none."""
    found = content_of(text, "f")
    assert isinstance(found, Objects)
    assert found.is_cut is is_cut


@pytest.mark.parametrize(
    ("text", "what"),
    [("a,b\n" + "1,2\n" * 9, "10 lines"), ("[0,0,0,0,0,0]", "6 members"), ('{"a": 1}\n' * 7, "7 lines")],
)
def test_too_many_points_are_refused_before_they_are_read(
    monkeypatch: pytest.MonkeyPatch, text: str, what: str
) -> None:
    """A file of single requests takes minutes and gigabytes, and ends in a refusal all the same."""
    monkeypatch.setattr(content, "MOST_LINES", 5)
    with pytest.raises(RecordedPointsError, match=f"f: holds {what}, wanted at most 5: results of points"):
        content_of(text, "f")


BOMB = "".join(f"{name}: &{name} [{','.join([f'*{above}'] * 9)}]\n" for above, name in pairwise("abcdefghij"))


def test_yaml_that_stands_for_billions_of_members_is_refused_in_short() -> None:
    """Aliases of aliases: the place and the beginning are told, the rest is never written out."""
    text = f"a: &a [lol]\n{BOMB}scenario: {{load: {{standardized: {{concurrency: *j}}}}}}\nresults: 1\n"
    with pytest.raises(RecordedPointsError, match=r"f: got \[\[\[.*, wanted a number @ \$\.scenario") as caught:
        imported(text, "f")
    assert len(str(caught.value)) < 200


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but a RecordedPointsError comes out of an importer."""
    with suppress(RecordedPointsError):
        imported(text, "f")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from([0, -1, 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
RESULTS = [
    *(results.vllm(), results.sglang(), results.agg(), results.agentic(), results.api(), results.aiperf()),
    *(results.aiperf_sweep(), results.guidellm(), results.guidellm("0.3"), results.trtllm(), results.llmd()),
]


def paths(value: object, above: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The places of every member below a value."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for name, member in members for place in ((*above, name), *paths(member, (*above, name)))]


@given(st.data(), VALUES)
def test_a_result_with_any_member_replaced_is_read_or_refused(data: st.DataObject, value: object) -> None:
    """Null, text, numbers and tables where another was: by every importer."""
    copy = json.loads(json.dumps(data.draw(st.sampled_from(RESULTS))))
    *above, last = data.draw(st.sampled_from(paths(copy)))
    place = copy
    for name in above:
        place = place[name]
    place[last] = value
    with suppress(RecordedPointsError):
        sweeps_of(imported(json.dumps(copy), "f").rows, Stated())


TOLD_BY = st.sampled_from(
    [
        *("points", "interactivity", "throughput_per_gpu", "gpus", "concurrency"),
        *("max_concurrency", "total_token_throughput", "total_throughput", "completed", "num_prompts", "request_rate"),
        *("tput_per_gpu", "tp", "disagg", "mtp", "conc", "median_tpot", "request_metrics", "scenario_type", "num_gpus"),
        *("decode_tp", "metrics", "aiperf_version", "per_combination_metrics", "parameters", "benchmarks"),
        *("world_info", "performance", "load_summary", "scenario", "results", "results_error_rate"),
        *("input_sequence_length", "output_sequence_length", "inter_token_latency", "streaming_metrics", "server_info"),
    ]
)


@given(st.dictionaries(TOLD_BY, VALUES, min_size=1, max_size=8))
def test_any_object_that_looks_like_a_result_is_read_or_refused(value: dict[str, object]) -> None:
    """The members that tell formats, with anything below them."""
    with suppress(RecordedPointsError):
        imported(json.dumps(value), "f")


TABLES = [
    results.export(results.EXPORT_LINE),
    results.AIPERF_CSV,
    "concurrency,gpus,interactivity,throughput_per_gpu\n8,4,50,90\n",
]
CELLS = st.sampled_from(["", "nan", "inf", "-1", "0", "1e999", "9" * 400, "text", '"', "x,y", "1_0", "true"]) | st.text(
    max_size=5
)


@given(st.sampled_from(TABLES), st.data(), CELLS)
def test_a_table_with_any_cell_replaced_is_read_or_refused(text: str, data: st.DataObject, cell: str) -> None:
    """Empty, not a number, too large, quoted, too many: by every importer."""
    lines = text.split("\n")
    number = data.draw(st.integers(0, len(lines) - 1))
    cells = lines[number].split(",")
    cells[data.draw(st.integers(0, len(cells) - 1))] = cell
    lines[number] = ",".join(cells)
    with suppress(RecordedPointsError):
        sweeps_of(imported("\n".join(lines), "f").rows, Stated(precision="fp4", hardware="b200", gpus=4))
