from __future__ import annotations

import datetime
import decimal
import gzip
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dibs.data.rows import Row, cell, jsonl, lines, parquet, rows, texts_table
from dibs.errors import InputError
from tests.faults import fault_of

FUZZ = settings(derandomize=True, max_examples=60, deadline=None)
GOOD = '{"_id": "d1", "text": "one"}'


def written(folder: Path, content: str | bytes, name: str = "corpus.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = texts_table(rows(path), "document", str(path), titles=True).to_pylist()
    return found


def refused(path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.exit_code == 2
    return caught.value


def table(*values: dict[str, Any], titles: bool = False) -> list[dict[str, str]]:
    found = (Row(row, f"row {number}") for number, row in enumerate(values, start=1))
    made: list[dict[str, str]] = texts_table(found, "query", "here", titles=titles).to_pylist()
    return made


# Lines


@pytest.mark.parametrize(
    "content",
    [
        "a\n\n  \nb\n",
        "a\r\n\r\n\t\r\nb\r\n",
        "a\n\n\nb",
        "\ufeffa\n\n\nb\n",
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_lines_have_the_numbers_an_editor_shows(tmp_path: Path, content: str, packed: bool) -> None:
    path = tmp_path / ("a.txt.gz" if packed else "a.txt")
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    assert list(lines(path)) == [(1, "a"), (4, "b")]


def test_lines_end_at_line_feeds_alone(tmp_path: Path) -> None:
    path = written(tmp_path, "a\u2028b\x0bc\x85d\re\n")
    assert list(lines(path)) == [(1, "a\u2028b\x0bc\x85d\re")]


@pytest.mark.parametrize(
    "content", [b"a\nb\xff\n", b"a\n" + "b".encode("utf-16"), b"a\n\xc3\n", b"a\n\xed\xa0\x80"]
)
def test_the_line_that_is_not_utf8_is_named(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InputError) as caught:
        list(lines(path))
    assert caught.value.where == f"{path}, line 2"
    assert caught.value.todo == "Save it as UTF-8."


def test_a_damaged_gzip_file_is_named_with_the_last_good_line(tmp_path: Path) -> None:
    text = "".join(f"{number} {random.Random(number).random()}\n" for number in range(2000))
    whole = gzip.compress(text.encode(), mtime=0)
    middle = len(whole) // 2
    for content in (
        whole[:middle],
        whole[:middle] + b"\0" * 99 + whole[middle + 99 :],
        whole[:-8] + b"\0" * 8,
    ):
        path = written(tmp_path, content, "corpus.jsonl.gz")
        with pytest.raises(InputError) as caught:
            list(lines(path))
        assert caught.value.problem.startswith("is a damaged gzip file")
        assert caught.value.where is not None
        assert caught.value.where.startswith(f"{path}, after line ")
        assert caught.value.todo


def test_what_only_has_the_name_of_a_gzip_file(tmp_path: Path) -> None:
    error = refused(written(tmp_path, GOOD, "corpus.jsonl.gz"))
    assert error.where == f"{tmp_path / 'corpus.jsonl.gz'}, after line 0"
    assert "damaged gzip" in error.problem


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.jsonl: there is no such file"):
        list(lines(tmp_path / "absent.jsonl"))
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        list(lines(tmp_path))


# JSONL


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "is not JSON: Expecting property name enclosed in double quotes, column 2"),
        ("nonsense", "is not JSON: Expecting value, column 1"),
        (GOOD + GOOD, "is not JSON: Extra data"),
        ('{"_id": "d2", "text": "a\tb"}', "is not JSON: Invalid control character"),
        ("[1]", "is not a JSON object: [1]"),
        ('"text"', "is not a JSON object"),
        ("null", "is not a JSON object"),
        ('{"n": ' + "1" * 5000 + "}", "is JSON of no use: Exceeds the limit"),
        ('{"n": ' + "[" * 100_000 + "}", "is JSON of no use: maximum recursion depth"),
        ("x" * 10_000, "is not JSON"),
        ("[" + "1," * 10_000 + "1]", "is not a JSON object: [1,1,"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = written(tmp_path, f"{GOOD}\n\n{line}\n")
    error = refused(path)
    assert error.where == f"{path}, line 3"
    assert problem in error.problem
    assert len(error.problem) < 200
    assert error.todo == 'Each line is one JSON object, such as {"_id": "1", "text": "..."}.'


@pytest.mark.parametrize("depth", range(940, 1000, 5))
def test_json_of_any_depth_is_read_or_refused(tmp_path: Path, depth: int) -> None:
    path = written(tmp_path, '{"_id": "d", "text": "t", "n": ' + "[" * depth + "]" * depth + "}")
    error = fault_of(InputError, lambda: read(path))
    if error is None:
        assert read(path)[0]["n"] == "[" * depth + "]" * depth
    else:
        assert error.where == f"{path}, line 1"


VALUES = (
    st.text(max_size=3)
    | st.integers()
    | st.none()
    | st.dictionaries(st.text(max_size=3), st.text(max_size=3))
)
NAMES = st.sampled_from(["_id", "id", "text", "title", "metadata", "x"])
LINES = st.lists(st.dictionaries(NAMES, VALUES).map(json.dumps)).map("\n".join)


@FUZZ
@given(st.binary(max_size=60) | (st.text('{}[]":,\\u0d8_idtex 1\n', max_size=60) | LINES).map(str.encode))
@pytest.mark.parametrize("packed", [False, True])
def test_any_bytes_are_rows_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, packed: bool, content: bytes
) -> None:
    base = tmp_path_factory.getbasetemp()
    path = written(
        base, gzip.compress(content) if packed else content, "fuzz.jsonl.gz" if packed else "fuzz.jsonl"
    )
    error = fault_of(InputError, lambda: read(path))
    if error is None:
        assert all(isinstance(value, str) for row in read(path) for value in row.values())
    else:
        assert str(error.where).startswith(str(path))
        assert error.todo


# Rows to a table


def test_corpus_rows_of_either_spelling(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '{"_id": "d1", "title": "T", "text": "one", "metadata": {"page": 3, "tags": ["a", "é"]}}\n'
        '{"id": "d2", "text": " two "}\n'
        '{"_id": "d3", "title": null, "text": "", "metadata": null, "year": 2020}\n',
    )
    empty = {"page": "", "tags": "", "year": ""}
    assert read(path) == [
        {"id": "d1", "title": "T", "text": "one"} | empty | {"page": "3", "tags": '["a", "é"]'},
        {"id": "d2", "title": "", "text": " two "} | empty,
        {"id": "d3", "title": "", "text": ""} | empty | {"year": "2020"},
    ]


def test_columns_have_one_order_whatever_the_rows_order() -> None:
    one, two = {"id": "1", "text": "a", "z": "Z", "b": "B"}, {"text": "b", "a": "A", "id": "2"}
    assert list(table(one, two)[0]) == list(table(two, one)[0]) == ["id", "text", "a", "b", "z"]
    assert list(table(one, two, titles=True)[0]) == ["id", "title", "text", "a", "b", "z"]


def test_the_rows_own_fields_come_before_those_below_metadata() -> None:
    row = {"_id": "1", "id": "other", "text": "a", "metadata": {"id": "m", "text": "m", "answer": "m"}}
    assert table(row | {"answer": "own"}) == [{"id": "1", "text": "a", "answer": "own"}]


@pytest.mark.parametrize(
    ("values", "problem", "todo"),
    [
        ({"text": "a"}, "there is no field 'id'", "The fields are: text."),
        ({"id": "2"}, "there is no field 'text'", "The fields are: id."),
        ({}, "there is no field 'id'", "The fields are: none."),
        ({"id": 2, "text": "a"}, "the query id is 2, not a text", 'Write it as a text: "1".'),
        ({"id": None, "text": "a"}, "the query id is None, not a text", "Write it"),
        ({"id": "2", "text": None}, "the text of query '2' is None, not a text", "Write it"),
        ({"id": "2", "text": ["a" * 999]}, "the text of query '2' is ['aaa", "Write it"),
        ({"id": "", "text": "a"}, "the query has an empty id", "Give each query an id."),
        ({"id": "1", "text": "a"}, "the query id '1' is there twice, first at row 1", "an id of its own"),
        ({"id": "2", "text": "a", "metadata": "x"}, "the field 'metadata' is 'x', not an object", "Write it"),
        ({"id": "2", "text": "a", "metadata": [1]}, "the field 'metadata' is [1], not an object", "Write it"),
    ],
)
def test_a_malformed_row_is_named(values: dict[str, Any], problem: str, todo: str) -> None:
    with pytest.raises(InputError) as caught:
        table({"id": "1", "text": "a"}, values)
    assert caught.value.where == "row 2"
    assert problem in caught.value.problem
    assert len(caught.value.problem) < 200
    assert caught.value.todo is not None
    assert todo in caught.value.todo


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ('{"_id": "\\ud800", "text": "a"}', "field 'id'"),
        ('{"_id": "d2", "text": "a \\udfff"}', "field 'text'"),
        ('{"_id": "d2", "text": "a", "title": "\\ud800"}', "field 'title'"),
        ('{"_id": "d2", "text": "a", "metadata": {"answer": ["\\ud800"]}}', "field 'answer'"),
        ('{"_id": "d2", "text": "a", "\\ud800": "x"}', "a field's name"),
    ],
)
def test_half_a_character_is_refused_where_it_stands(tmp_path: Path, line: str, field: str) -> None:
    path = written(tmp_path, f"{GOOD}\n{line}\n")
    error = refused(path)
    assert error.where == f"{path}, line 2, {field}"
    assert error.problem == "holds half a character (a lone surrogate)"
    assert error.todo == "Remove it."
    str(error).encode()


def test_a_whole_pair_of_surrogates_is_a_character(tmp_path: Path) -> None:
    assert read(written(tmp_path, '{"_id": "d1", "text": "\\ud83d\\ude00"}'))[0]["text"] == "😀"


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
def test_a_file_without_rows_is_named(tmp_path: Path, content: str) -> None:
    path = written(tmp_path, content)
    error = refused(path)
    assert (error.where, error.problem) == (str(path), "there is not one document")
    assert error.todo


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("as it is ", "as it is "),
        (True, "true"),
        (1.50, "1.5"),
        (["é", {"a": None}], '["é", {"a": null}]'),
        (datetime.date(2020, 1, 2), "2020-01-02"),
        ([datetime.date(2020, 1, 2)], '["2020-01-02"]'),
        (decimal.Decimal("1.10"), "1.10"),
    ],
)
def test_cells_are_texts(value: Any, text: str) -> None:
    assert cell(value, "here") == text


# Parquet


def test_parquet_rows_are_as_jsonl_rows(tmp_path: Path) -> None:
    values = [
        {"_id": f"d{number}", "text": "t", "metadata": {"page": number}, "day": datetime.date(2020, 1, 2)}
        for number in range(2500)
    ]
    pq.write_table(pa.Table.from_pylist(values), tmp_path / "corpus.parquet")
    found = read(tmp_path / "corpus.parquet")
    assert len(found) == 2500
    assert found[2499] == {"id": "d2499", "title": "", "text": "t", "day": "2020-01-02", "page": "2499"}


def test_a_malformed_parquet_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "corpus.parquet"
    pq.write_table(pa.table({"id": ["a", "b", None], "text": ["x", "y", "z"]}), path)
    assert refused(path).where == f"{path}, row 3"


def test_text_that_is_not_utf8_in_parquet_is_named(tmp_path: Path) -> None:
    path = tmp_path / "corpus.parquet"
    text = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")]
    )
    pq.write_table(pa.table({"id": ["a"], "text": text}), path)
    error = refused(path)
    assert error.where == f"{path}, after row 0"
    assert error.todo


@pytest.mark.parametrize("kept", [0, 3, 0.5, -1])
def test_a_cut_off_parquet_file_is_named(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "corpus.parquet"
    pq.write_table(pa.table({"id": ["a", "b"], "text": ["x", "y"]}), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    error = refused(path)
    assert error.where == f"{path}, after row 0"
    assert error.problem.startswith("is not a whole parquet file")
    assert error.todo == "Get or write it anew."


@settings(derandomize=True, max_examples=40, deadline=None)
@given(st.floats(0, 1), st.binary(min_size=1, max_size=6))
def test_overwritten_parquet_is_rows_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, place: float, rubbish: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.parquet"
    pq.write_table(pa.table({"id": ["a", "b"], "text": ["x", "y"]}), path)
    content = path.read_bytes()
    start = int(place * (len(content) - len(rubbish)))
    path.write_bytes(content[:start] + rubbish + content[start + len(rubbish) :])
    error = fault_of(InputError, lambda: list(parquet(path)))
    assert error is None or str(error.where).startswith(str(path))


def test_jsonl_rows_know_their_place(tmp_path: Path) -> None:
    path = written(tmp_path, f'\n{GOOD}\n{{"a": 1}}')
    assert [row.where for row in jsonl(path)] == [f"{path}, line 2", f"{path}, line 3"]
