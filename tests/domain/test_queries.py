from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from dibs.domain.queries import Query, located, read_queries
from dibs.errors import InputError

TABLE = pa.table(
    {
        "id": ["a.pdf#p1#c1", "a.pdf#p1#c2", "b.txt#c1"],
        "part": ["a.pdf#p1", "a.pdf#p1", "b.txt"],
        "document": ["a.pdf", "a.pdf", "b.txt"],
    }
)


def written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content)
    return path


def test_csv_with_gold_of_any_form(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "q.csv",
        "id,query,gold,answer,topic\nx,One?,a.pdf#p1,Yes.,t\n,Two?,b.txt; a.pdf,,\n"
        'z,Three?,"[""b.txt""]",,\nw,Four?,"{""b.txt"": 2}",,\n,Five?,,No.,\n',
    )
    found = read_queries(path)
    assert [(query.id, query.text, query.gold) for query in found] == [
        ("x", "One?", {"a.pdf#p1": 1}),
        ("q0002", "Two?", {"b.txt": 1, "a.pdf": 1}),
        ("z", "Three?", {"b.txt": 1}),
        ("w", "Four?", {"b.txt": 2}),
        ("q0005", "Five?", {}),
    ]
    assert found[0].fields == {"answer": "Yes.", "topic": "t"}
    assert found[4].fields == {"answer": "No.", "topic": ""}


def test_jsonl_with_lists_and_other_names(tmp_path: Path) -> None:
    lines = [{"_id": "1", "question": "Q?", "gold_ids": ["b.txt", "a.pdf"], "gold_answer": "A."}]
    path = written(tmp_path, "q.jsonl", "".join(json.dumps(line) for line in lines))
    (query,) = read_queries(path)
    assert (query.id, query.text, dict(query.gold)) == ("1", "Q?", {"b.txt": 1, "a.pdf": 1})
    assert query.fields == {"answer": "A."}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"id": "1"}', "line 1: there is no query"),
        ('{"query": " "}', "line 1: there is no query"),
        ('{"id": "1", "query": "a"}\n{"id": "1", "query": "b"}', "line 2: the query id '1' is there twice"),
        ('{"query": "a", "gold": "[1"}', "the gold is not JSON"),
        ('{"query": "a", "gold": [1.5]}', "the gold id 1.5 is not a text"),
        ('{"query": "a", "gold": [["x"]]}', "is not a text"),
        ('{"query": "a", "gold": {"x": "high"}}', "the relevance 'high'"),
        ("{", "is not JSON"),
        ("", "there is not one query"),
    ],
)
def test_a_malformed_row_is_named(tmp_path: Path, content: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        read_queries(written(tmp_path, "q.jsonl", content))
    assert problem in str(caught.value)
    assert caught.value.todo


def test_another_kind_of_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no table of queries"):
        read_queries(written(tmp_path, "q.xlsx", ""))


def test_gold_of_every_level_has_its_document() -> None:
    gold = ["a.pdf#p1#c2", "a.pdf#p1", "a.pdf", "b.txt"]
    query = Query("1", "Q?", dict.fromkeys(gold, 1))
    assert located([query], TABLE) == dict.fromkeys(gold[:3], "a.pdf") | {"b.txt": "b.txt"}


def test_gold_that_nobody_has_is_named_with_an_example() -> None:
    query = Query("1", "Q?", {"a.pdf#p9": 1}, where="q.csv, line 7")
    with pytest.raises(InputError) as caught:
        located([query], TABLE)
    assert caught.value.where == "q.csv, line 7"
    assert "'a.pdf#p9'" in caught.value.problem
    assert "a.pdf, a.pdf#p1, a.pdf#p1#c1" in (caught.value.todo or "")
