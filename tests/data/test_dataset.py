from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dibs.data.dataset import QRELS_SCHEMA, Dataset, open_dataset
from dibs.data.write import write_dataset
from dibs.errors import DamagedError, DibsError, InputError
from tests.faults import fault_of

FUZZ = settings(derandomize=True, max_examples=25, deadline=None)
TEXT = st.text(max_size=12)
COLUMNS = ["id", "title", "text", "page"]
ROWS = st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT), min_size=1, max_size=8)


def table(columns: list[str], *rows: tuple[Any, ...]) -> pa.Table:
    return pa.table({name: pa.array([row[place] for row in rows]) for place, name in enumerate(columns)})


CORPUS = table(
    COLUMNS, ("d1", "A", "one", "1"), ("d2", "", "two", "2"), ("d3", "", " \n", "3"), ("d4", "B", "two", "4")
)
QUERIES = table(["id", "text", "answer"], ("q1", "which?", "one"), ("q2", "who?", "two"))
QRELS = pa.table([["q1", "q2", "q2"], ["d1", "d2", "d4"], [1, 2, 1]], schema=QRELS_SCHEMA)


def write(
    folder: Path, corpus: pa.Table = CORPUS, queries: pa.Table = QUERIES, qrels: pa.Table = QRELS
) -> Dataset:
    return write_dataset(folder, "Tiny", corpus, queries, qrels)


def with_cell(source: pa.Table, row: int, column: int, value: Any) -> pa.Table:
    cells = source.column(column).to_pylist()
    cells[row] = value
    return source.set_column(
        column, source.schema.field(column), pa.array(cells, source.schema.field(column).type)
    )


def test_what_is_written_is_opened(tmp_path: Path) -> None:
    made = write_dataset(
        tmp_path, "Tiny", CORPUS, QUERIES, QRELS, source={"kind": "beir"}, notes=["one filing is absent"]
    )
    opened = open_dataset(tmp_path)
    for dataset in (made, opened):
        assert dataset.corpus.equals(CORPUS)
        assert dataset.queries.equals(QUERIES)
        assert dataset.qrels == {"q1": {"d1": 1}, "q2": {"d2": 2, "d4": 1}}
        info = dataset.info
        assert (info.task, info.queries, info.documents, info.qrels) == ("Tiny", 2, 4, 3)
        assert (info.empty_documents, info.duplicate_documents) == (1, 1)
        assert (info.source, info.notes) == ({"kind": "beir"}, ["one filing is absent"])
    assert opened.info == made.info
    assert opened.document_ids == ["d1", "d2", "d3", "d4"]
    assert opened.query_ids == ["q1", "q2"]
    assert opened.query_texts() == ["which?", "who?"]
    assert opened.query_field("answer") == ["one", "two"]
    assert opened.document("d4") == {"id": "d4", "title": "B", "text": "two", "page": "4"}
    assert opened.query("q2") == {"id": "q2", "text": "who?", "answer": "two"}


def test_unknown_ids_and_fields_are_named(tmp_path: Path) -> None:
    dataset = write(tmp_path)
    with pytest.raises(InputError, match="Tiny has no document with the id 'd9'"):
        dataset.document("d9")
    with pytest.raises(InputError, match="Tiny has no query with the id 'q9'"):
        dataset.query("q9")
    with pytest.raises(InputError, match=r"no field 'topic'\n  They have: id, text, answer\."):
        dataset.query_field("topic")


def test_templates_make_the_texts(tmp_path: Path) -> None:
    dataset = write(tmp_path)
    assert list(dataset.document_texts("{text}")) == ["one", "two", "", "two"]
    assert list(dataset.document_texts("{title}\n{text} ({page})")) == [
        "A\none (1)",
        "two (2)",
        "(3)",
        "B\ntwo (4)",
    ]


@pytest.mark.parametrize(
    "template",
    ["{body}", "{}", "{0}", "{text", "{text:d}", "{text.body}", "{text[body]}", "{text[0]}", "{text!z}"],
)
def test_a_template_that_does_not_fit_is_named(tmp_path: Path, template: str) -> None:
    dataset = write(tmp_path)
    with pytest.raises(InputError) as caught:
        list(dataset.document_texts(template))
    assert repr(template) in caught.value.problem
    assert caught.value.todo == "Its columns are: id, title, text, page."


@FUZZ
@given(ROWS, st.integers(1, 4))
def test_rows_come_back_whatever_the_batches_and_so_does_the_hash(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]], size: int
) -> None:
    folder = tmp_path_factory.mktemp("data")
    corpus = table(COLUMNS, *rows)
    whole = write_dataset(folder, "Tiny", corpus, QUERIES, QRELS)
    parts = write_dataset(
        folder,
        "Tiny",
        iter(corpus.to_batches(max_chunksize=size)),
        pa.concat_tables([QUERIES.slice(0, 1), QUERIES.slice(1)]),
        pa.Table.from_batches(QRELS.to_batches(max_chunksize=size)),
        corpus_schema=corpus.schema,
    )
    opened = open_dataset(folder)
    assert opened.folder == parts.folder != whole.folder
    assert opened.corpus.to_pylist() == corpus.to_pylist()
    assert opened.info == parts.info == replace(whole.info, files=parts.info.files)
    assert whole.info.empty_documents == sum(not row[2].strip() for row in rows)
    assert whole.info.duplicate_documents == len(rows) - len({row[2] for row in rows})
    shutil.rmtree(folder)


@FUZZ
@given(ROWS, st.data())
def test_the_hash_is_another_for_any_changed_cell(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("data")
    tables = {"corpus": table(COLUMNS, *rows), "queries": QUERIES, "qrels": QRELS}
    name = data.draw(st.sampled_from(sorted(tables)))
    row = data.draw(st.integers(0, tables[name].num_rows - 1))
    column = data.draw(st.integers(0, tables[name].num_columns - 1))
    old = tables[name].column(column)[row].as_py()
    new = data.draw(TEXT if isinstance(old, str) else st.integers(-9, 9))
    changed = tables | {name: with_cell(tables[name], row, column, new)}
    assert (write(folder, **tables).info.sha256 == write(folder, **changed).info.sha256) == (new == old)
    shutil.rmtree(folder)


def test_the_hash_sees_where_a_cell_ends_and_what_its_column_is(tmp_path: Path) -> None:
    others = [
        table(["id", "text", "a", "b"], ("d", "t", "x", "y")),
        table(["id", "text", "a", "b"], ("d", "t", "xy", "")),
        table(["id", "text", "a", "b"], ("d", "t", "", "xy")),
        table(["id", "text", "b", "a"], ("d", "t", "x", "y")),
        table(["id", "text", "a"], ("d", "t", "x")),
        table(["id", "text", "a:1:xb"], ("d", "t", "y")),  # reads "a:1:xb:1:y", as the first one's a and b do
        table(["id", "text", "a", "b"], ("d", "t", "None", "y")),
        table(["id", "text", "a", "b"], ("d", "t", None, "y")),
    ]
    assert len({write(tmp_path, corpus).info.sha256 for corpus in others}) == len(others)


def test_the_hash_is_pinned(tmp_path: Path) -> None:
    # Records are compared by it: another value here makes every record one of other data.
    assert write(tmp_path).info.sha256 == "1722534ad29f9b12c037f7b4efe32c371afb83a8d70316d37a1121d891aebcc7"


def test_a_reader_of_an_older_version_goes_on(tmp_path: Path) -> None:
    write(tmp_path)
    older = open_dataset(tmp_path)
    write(tmp_path, CORPUS.slice(0, 2), qrels=QRELS.slice(0, 2))
    assert older.corpus.num_rows == 4
    assert open_dataset(tmp_path).corpus.num_rows == 2


def fails(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    yield batch
    raise InputError("a page is malformed")


def test_what_fails_half_way_leaves_the_older_one_and_no_rest(tmp_path: Path) -> None:
    older = write(tmp_path)
    before = sorted(tmp_path.iterdir())
    batches = fails(CORPUS.to_batches()[0])
    with pytest.raises(InputError, match="a page is malformed"):
        write_dataset(tmp_path, "Tiny", batches, QUERIES, QRELS, corpus_schema=CORPUS.schema)
    assert sorted(tmp_path.iterdir()) == before
    assert open_dataset(tmp_path).folder == older.folder


def test_what_is_refused_when_written_leaves_the_older_one_and_no_rest(tmp_path: Path) -> None:
    older = write(tmp_path)
    before = sorted(tmp_path.iterdir())

    def check(dataset: Dataset) -> None:
        assert dataset.corpus.num_rows == 4
        raise InputError("not complete")

    with pytest.raises(InputError, match="not complete"):
        write_dataset(tmp_path, "Tiny", CORPUS, QUERIES, QRELS, check=check)
    assert sorted(tmp_path.iterdir()) == before
    assert open_dataset(tmp_path).folder == older.folder


def test_others_may_read_what_was_written(tmp_path: Path) -> None:
    dataset = write(tmp_path)
    assert dataset.folder.stat().st_mode & 0o055 == 0o055
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in dataset.folder.iterdir())


def test_where_nothing_was_written_there_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_dataset(tmp_path)


def damaged(folder: Path) -> DibsError:
    with pytest.raises(DamagedError) as caught:
        open_dataset(folder)
    assert caught.value.where == str(folder)
    assert caught.value.todo is not None
    assert "dibs data prepare" in caught.value.todo
    return caught.value


@pytest.mark.parametrize("name", ["corpus.arrow", "queries.arrow", "qrels.arrow", "dataset.json"])
@pytest.mark.parametrize("kept", [None, 0, 7, 0.5, -1])
def test_a_missing_or_cut_off_file_is_damage(tmp_path: Path, name: str, kept: float | None) -> None:
    path = write(tmp_path).folder / name
    content = path.read_bytes()
    if kept is None:
        path.unlink()
    else:
        path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    if name == "dataset.json" and kept == -1:
        open_dataset(tmp_path)  # only its final line end is gone
    else:
        damaged(tmp_path)


@pytest.mark.parametrize("name", ["corpus.arrow", "queries.arrow", "qrels.arrow"])
def test_a_file_of_other_rows_is_damage(tmp_path: Path, name: str) -> None:
    folder, other = (
        write(tmp_path / "a").folder,
        write(tmp_path / "b", CORPUS.slice(1), QUERIES.slice(1), QRELS.slice(1)),
    )
    shutil.copy(other.folder / name, folder / name)
    assert "its counts differ" in damaged(tmp_path / "a").problem


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"gone\n", b"../..\n", b"\0\n"])
def test_a_malformed_pointer_is_damage(tmp_path: Path, content: bytes) -> None:
    write(tmp_path)
    (tmp_path / "current").write_bytes(content)
    damaged(tmp_path)


@pytest.mark.parametrize("change", [{"documents": 5}, {"documents": "4"}, {"qrels": None}, {"colour": "red"}])
def test_malformed_information_is_damage(tmp_path: Path, change: dict[str, Any]) -> None:
    path = write(tmp_path).folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    damaged(tmp_path)


@pytest.mark.parametrize("content", ["[]", "null", "{}", "{", '{"task": "Tiny"}', "7"])
def test_other_json_is_damage(tmp_path: Path, content: str) -> None:
    (write(tmp_path).folder / "dataset.json").write_text(content)
    damaged(tmp_path)


@FUZZ
@given(st.sampled_from(["corpus", "queries", "qrels"]), st.floats(0, 1), st.binary(min_size=1, max_size=9))
def test_overwritten_bytes_are_damage_or_at_least_no_crash(
    tmp_path_factory: pytest.TempPathFactory, name: str, place: float, rubbish: bytes
) -> None:
    folder = tmp_path_factory.mktemp("data")
    path = write(folder).folder / f"{name}.arrow"
    content = path.read_bytes()
    start = int(place * (len(content) - len(rubbish)))
    path.write_bytes(content[:start] + rubbish + content[start + len(rubbish) :])
    error = fault_of(DamagedError, lambda: open_dataset(folder))
    assert error is None or error.where == str(folder)
    shutil.rmtree(folder)
