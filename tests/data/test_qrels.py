from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dibs.data.qrels import Judgement, judgements, qrels_table, relevance_grade
from dibs.errors import InputError
from tests.faults import fault_of

HEADING = "query-id\tcorpus-id\tscore\n"
QUERIES = pa.table({"id": ["q1", "q2", "q3"], "text": ["a", "b", "c"]})
DOCUMENTS = ["d1", "d2"]


def written(folder: Path, content: str | bytes, name: str = "test.tsv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def short(path: Path) -> list[tuple[str, str, int]]:
    return [(found.query, found.document, found.relevance) for found in judgements(path)]


@pytest.mark.parametrize("heading", ["", HEADING, "query_id\tdoc_id\trel\n", "\ufeff" + HEADING])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tsv_with_and_without_a_heading(tmp_path: Path, heading: str, end: str) -> None:
    content = f"{heading}q1\td1\t1\n\nq 2\td2\t0".replace("\n", end)
    path = written(tmp_path, content)
    assert short(path) == [("q1", "d1", 1), ("q 2", "d2", 0)]
    assert list(judgements(path))[-1].where == f"{path}, line {4 if heading else 3}"
    assert short(written(tmp_path, gzip.compress(content.encode()), "test.tsv.gz")) == short(path)


def test_a_query_that_is_called_like_a_heading_is_none(tmp_path: Path) -> None:
    assert short(written(tmp_path, "qid\td1\t1\n")) == [("qid", "d1", 1)]


def test_the_other_formats(tmp_path: Path) -> None:
    expected = [("q1", "d1", 1), ("7", "d2", 2)]
    lines = '{"query-id": "q1", "corpus-id": "d1", "score": 1.0}\n'
    lines += '{"query-id": 7, "corpus-id": "d2", "score": "2"}\n'
    assert short(written(tmp_path, lines, "test.jsonl")) == expected
    assert short(written(tmp_path, gzip.compress(lines.encode()), "test.jsonl.gz")) == expected
    table = pa.table({"rel": [1, 2], "docid": ["d1", "d2"], "qid": ["q1", "7"]})
    pq.write_table(table, tmp_path / "test.parquet")
    assert short(tmp_path / "test.parquet") == expected


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("q1 d1 1", "has 1 columns between tabs, not 3"),
        ("q1\t0\td1\t1", "has 4 columns between tabs, not 3"),
        ("q1\td1", "has 2 columns"),
        ("q1\td1\t", "the relevance '' is not a whole number"),
        ("q1\td1\thigh", "the relevance 'high' is not a whole number"),
        ("q1\td1\t0.5", "the relevance '0.5' is not a whole number"),
        ("q1\td1\tnan", "the relevance 'nan'"),
        ("q1\td1\tinf", "the relevance 'inf'"),
        ("q1\td1\t2147483648", "the relevance '2147483648' is not a whole number that fits 32 bits"),
        ("q1\td1\t" + "9" * 5000, "the relevance '999"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = written(tmp_path, f"{HEADING}q1\td1\t1\n{line}\n")
    with pytest.raises(InputError) as caught:
        list(judgements(path))
    assert caught.value.where == f"{path}, line 3"
    assert problem in caught.value.problem
    assert len(caught.value.problem) < 200
    assert caught.value.todo


@pytest.mark.parametrize("column", ["query-id", "corpus-id", "score"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    values = {"query-id": ["q1"], "corpus-id": ["d1"], "score": [1]}
    del values[column]
    path = tmp_path / "test.parquet"
    pq.write_table(pa.table(values), path)
    with pytest.raises(InputError) as caught:
        list(judgements(path))
    assert caught.value.where == f"{path}, row 1"
    assert caught.value.problem == f"there is no column '{column}'"
    assert caught.value.todo == f"It has: {', '.join(values)}."


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.binary(max_size=40) | st.text("q1d\t\n 0.-e_9", max_size=40).map(str.encode))
def test_any_bytes_are_judgements_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = written(tmp_path_factory.getbasetemp(), content, "fuzz.tsv")
    error = fault_of(InputError, lambda: list(judgements(path)))
    if error is not None:
        assert str(error.where).startswith(str(path))
        assert error.todo
        return
    found = list(judgements(path))
    ids = sorted({name for one in found for name in (one.query, one.document)})
    asked = pa.table({"id": pa.array(ids, pa.string()), "text": pa.array(ids, pa.string())})
    error = fault_of(InputError, lambda: qrels_table(found, asked, ids, str(path)))
    assert error is None or error.problem.endswith(("twice, differently", "no query has a relevant document"))


@pytest.mark.parametrize(
    ("value", "grade"), [(1, 1), (1.0, 1), ("1", 1), ("2.0", 2), (0, 0), ("-1", -1), (True, 1)]
)
def test_grades(value: Any, grade: int) -> None:
    assert relevance_grade(value, "here") == grade


@pytest.mark.parametrize(
    "value", [None, "", "x", 0.5, float("nan"), float("inf"), [], 2**31, -(2**31), 10**400]
)
def test_what_is_no_grade(value: Any) -> None:
    with pytest.raises(InputError) as caught:
        relevance_grade(value, "here")
    assert caught.value.where == "here"
    assert caught.value.todo == "Write 1 for relevant and 0 for not."


def judge(*found: tuple[str, str, int]) -> Any:
    listed = [Judgement(*one, f"line {number}") for number, one in enumerate(found, start=1)]
    return qrels_table(listed, QUERIES, DOCUMENTS, "qrels.tsv")


def test_queries_without_a_relevant_document_are_left_out() -> None:
    judged = judge(("q3", "d1", 0), ("q2", "d2", 2), ("q2", "d1", 0), ("q1", "d1", 1), ("q1", "d1", 1))
    assert judged.qrels.to_pylist() == [
        {"query_id": "q2", "doc_id": "d2", "relevance": 2},
        {"query_id": "q2", "doc_id": "d1", "relevance": 0},
        {"query_id": "q1", "doc_id": "d1", "relevance": 1},
    ]
    assert judged.queries["id"].to_pylist() == ["q1", "q2"]


@pytest.mark.parametrize(
    ("last", "problem"),
    [
        (("q9", "d1", 1), "the qrels judge query 'q9', which is not among the queries"),
        (("q1", "d9", 1), "the qrels name document 'd9', which is not in the corpus"),
        (("q1", "d1", 2), "the qrels judge 'q1' and 'd1' twice, differently"),
    ],
)
def test_a_judgement_that_refers_to_nothing_is_named(last: tuple[str, str, int], problem: str) -> None:
    with pytest.raises(InputError) as caught:
        judge(("q1", "d1", 1), last)
    assert (caught.value.where, caught.value.problem) == ("line 2", problem)
    assert caught.value.todo


@pytest.mark.parametrize("found", [[], [("q1", "d1", 0)], [("q1", "d1", -1)]])
def test_qrels_without_a_relevant_document_are_refused(found: list[tuple[str, str, int]]) -> None:
    with pytest.raises(InputError) as caught:
        judge(*found)
    assert (caught.value.where, caught.value.problem) == ("qrels.tsv", "no query has a relevant document")
    assert caught.value.todo
