from __future__ import annotations

from pathlib import Path

import pytest

from dibs.data.sources.tables import read_files
from dibs.errors import InputError

CORPUS = (
    '{"_id": "a#1", "text": "One.", "metadata": {"document": "a"}}\n'
    '{"_id": "b", "text": "Two.", "metadata": {"document": "b", "year": 2020}}\n'
)
QUERIES = '{"_id": "q1", "text": "One?"}\n{"_id": "q2", "text": "Two?"}\n'
HEADING = "query-id\tcorpus-id\tscore\n"


def files(folder: Path, qrels: str) -> list[list[Path]]:
    made = []
    for name, content in (("corpus.jsonl", CORPUS), ("queries.jsonl", QUERIES), ("test.tsv", qrels)):
        (folder / name).write_text(content)
        made.append([folder / name])
    return made


def test_a_heading_alone_says_that_nobody_judged_yet(tmp_path: Path) -> None:
    found = read_files(*files(tmp_path, HEADING))
    assert (found.queries.num_rows, found.qrels.num_rows) == (2, 0)
    assert list(found.notes) == ["no query is judged yet"]


def test_an_empty_file_and_grades_of_nothing_relevant_are_errors(tmp_path: Path) -> None:
    for qrels in ("", f"{HEADING}q1\tb\t0\n"):
        with pytest.raises(InputError, match="no query has a relevant document"):
            read_files(*files(tmp_path, qrels))


def test_qrels_may_name_what_documents_are_part_of(tmp_path: Path) -> None:
    rows = files(tmp_path, f"{HEADING}q1\ta\t1\nq2\tb\t1\n")
    assert read_files(*rows, parents=["document"]).qrels["doc_id"].to_pylist() == ["a", "b"]
    with pytest.raises(InputError, match="the qrels name document 'a', which is not in the corpus"):
        read_files(*rows)


def test_a_level_that_the_corpus_has_not(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no field 'page', which the card's levels name") as caught:
        read_files(*files(tmp_path, HEADING), parents=["document", "page"])
    assert "document, year" in (caught.value.todo or "")


def test_the_corpus_is_a_table_of_all_fields_and_scratch_is_left_empty(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    found = read_files(*files(tmp_path, HEADING), scratch=scratch)
    assert found.corpus.column_names == ["id", "title", "text", "document", "year"]  # type: ignore[union-attr]
    assert found.corpus["year"].to_pylist() == ["", "2020"]  # type: ignore[index]
    assert list(scratch.iterdir()) == []
