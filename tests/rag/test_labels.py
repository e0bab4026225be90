from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from dibs.errors import InputError
from dibs.rag.judges.base import Case, Verdict
from dibs.rag.labels import WITHDRAWN, read_labels
from tests.shared import shared_data

ROW: dict[str, Any] = {"question": "How many anvils?", "gold": 12, "answer": "Twelve.", "label": "correct"}


def jsonl(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_csv_is_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(
        "Question,Reference,Answer,Verdict,id,system,question_type\n"
        '"How many anvils, in all?",12,"Twelve,\nI think.",TRUE,q1,ours,counts\n'
        "Which colour?,black,,Refused,q2,ours,\n"
    )
    first, second = read_labels(path).rows
    assert first.case == Case("How many anvils, in all?", "12", "Twelve,\nI think.")
    assert (first.verdict, first.question_id) == (Verdict.CORRECT, "q1")
    assert (first.system, first.question_type) == ("ours", "counts")
    assert (second.case.answer, second.verdict, second.question_type) == ("", Verdict.REFUSAL, None)


def test_the_same_labels_are_the_same_in_every_form(tmp_path: Path) -> None:
    rows = [ROW | {"gold": "12"}, ROW | {"gold": "12", "answer": "Ten.", "label": "wrong"}]
    plain = jsonl(tmp_path / "labels.jsonl", *rows)
    packed = tmp_path / "labels.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    table = tmp_path / "labels.csv"
    table.write_text(
        "question,gold,answer,label\nHow many anvils?,12,Twelve.,1\nHow many anvils?,12,Ten.,0\n"
    )
    zipped = tmp_path / "labels.csv.gz"
    zipped.write_bytes(gzip.compress(table.read_bytes()))
    found = [read_labels(path) for path in (plain, packed, table, zipped)]
    assert len({labels.sha256 for labels in found}) == 1
    assert [row.verdict for row in found[0].rows] == [Verdict.CORRECT, Verdict.INCORRECT]


@pytest.mark.parametrize(
    ("label", "verdict"),
    [
        ("Correct Answer", Verdict.CORRECT),
        ("CORRECT", Verdict.CORRECT),
        (True, Verdict.CORRECT),
        (1, Verdict.CORRECT),
        (1.0, Verdict.CORRECT),
        ("Incorrect Answer", Verdict.INCORRECT),
        (" wrong ", Verdict.INCORRECT),
        (False, Verdict.INCORRECT),
        ("0", Verdict.INCORRECT),
        ("Refusal", Verdict.REFUSAL),
    ],
)
def test_labels_have_synonyms(tmp_path: Path, label: Any, verdict: Verdict) -> None:
    (row,) = read_labels(jsonl(tmp_path / "l.jsonl", ROW | {"label": label})).rows
    assert row.verdict is verdict


def test_numbers_are_read_as_they_are_written(tmp_path: Path) -> None:
    first, second = read_labels(jsonl(tmp_path / "l.jsonl", ROW, ROW | {"gold": 0.028, "answer": 3})).rows
    assert (first.case.gold, second.case.gold, second.case.answer) == ("12", "0.028", "3")


def test_a_question_without_an_id_is_known_by_its_text(tmp_path: Path) -> None:
    rows = read_labels(jsonl(tmp_path / "l.jsonl", ROW, ROW, ROW | {"question": "Which colour?"})).rows
    assert rows[0].question_id == rows[1].question_id != rows[2].question_id
    assert "anvils" not in rows[0].question_id


def test_a_system_is_named_by_its_model_and_mode(tmp_path: Path) -> None:
    (row,) = read_labels(jsonl(tmp_path / "l.jsonl", ROW | {"model_name": "m", "eval_mode": "oracle"})).rows
    assert row.system == "m oracle"


def test_questions_are_left_out_with_a_reason(tmp_path: Path) -> None:
    withdrawn = next(iter(WITHDRAWN))
    rows = [ROW | {"id": name} for name in ("q1", "q2", "q2", withdrawn)]
    labels = read_labels(jsonl(tmp_path / "l.jsonl", *rows), drop=["q2"])
    assert [row.question_id for row in labels.rows] == ["q1"]
    assert labels.dropped == {withdrawn: WITHDRAWN[withdrawn], "q2": "by --drop"}
    assert labels.rows_dropped == 3


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({k: v for k, v in ROW.items() if k != "gold"}, "no column for the gold"),
        (ROW | {"gold_answer": "13"}, "two columns may be the gold: 'gold' and 'gold_answer'"),
        (ROW | {"label": "meh"}, "'meh' is no label"),
        (ROW | {"label": None}, "'' is no label"),
        (ROW | {"question": " "}, "the question is empty"),
        (ROW | {"gold": ""}, "the gold is empty"),
        (ROW | {"answer": ["Twelve"]}, "not a text or a number"),
        (ROW | {"answer": "\ud800"}, "half a character"),
    ],
)
def test_a_malformed_row_is_named_by_its_line(tmp_path: Path, row: dict[str, Any], problem: str) -> None:
    good = dict.fromkeys(row, "x") | {key: ROW[key] for key in ROW.keys() & row.keys()}
    rows = [row] if "column" in problem else [good, row]
    with pytest.raises(InputError) as error:
        read_labels(jsonl(tmp_path / "l.jsonl", *rows))
    assert problem in error.value.problem
    assert error.value.where == f"{tmp_path / 'l.jsonl'}, line {len(rows)}"


def test_a_later_row_may_lack_a_field_only_if_it_need_not_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 2: the gold is empty"):
        read_labels(jsonl(tmp_path / "l.jsonl", ROW, {"question": "q", "answer": "a", "label": "correct"}))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("l.csv", b"question,gold,answer,label\nq,g,a\n", "line 2: the row has fewer cells"),
        ("l.csv", b"question,gold,answer,label\nq,g,a,correct,more\n", "line 2: the row has more cells"),
        ("l.csv", b'question,gold,answer,label\n"q"x,g,a,correct\n', "is not CSV"),
        ("l.csv", b"question,gold,answer,label\n\xff,g,a,correct\n", "line 2: is not UTF-8"),
        ("l.csv", b"question,gold,answer,label\n", "not one label"),
        ("l.csv", b"", "not one label"),
        ("l.jsonl", b"{", "line 1: is not JSON"),
        ("l.jsonl.gz", b"no gzip", "damaged gzip"),
        ("l.parquet", b"no parquet", "not a whole parquet file"),
        ("l.xlsx", b"", "neither CSV nor JSONL nor parquet"),
    ],
)
def test_a_malformed_file_is_refused(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=problem):
        read_labels(tmp_path / name)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_labels(tmp_path / "absent.csv")


def test_a_question_to_drop_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no row is of the question 'q9'"):
        read_labels(jsonl(tmp_path / "l.jsonl", ROW | {"id": "q1"}), drop=["q9"])


@pytest.mark.real_data
def test_the_labels_of_financebench_are_read_as_they_are() -> None:
    labels = read_labels(shared_data("data", "financebench", "human_labels.jsonl.gz"))
    assert len(labels.rows) == 1440
    assert len({row.question_id for row in labels.rows}) == 90
    assert len({row.system for row in labels.rows}) == 16
    counts = {verdict: sum(row.verdict is verdict for row in labels.rows) for verdict in Verdict}
    assert counts == {Verdict.CORRECT: 671, Verdict.INCORRECT: 317, Verdict.REFUSAL: 452}


def test_a_sample_is_the_same_each_time_and_a_larger_one_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    lines = [
        json.dumps({"question": f"q{n}", "gold": "a", "answer": f"a{n}", "label": "correct"})
        for n in range(30)
    ]
    path.write_text("\n".join(lines))
    labels = read_labels(path)
    few, more = labels.sample(5), labels.sample(12)
    assert few == labels.sample(5)
    assert len(few.rows) == 5
    assert set(few.rows) < set(more.rows) < set(labels.rows)
    assert few.rows != labels.rows[:5]
    assert [row for row in labels.rows if row in few.rows] == list(few.rows), "in the file's order"
    assert few.sha256 != labels.sha256
    with pytest.raises(InputError, match="no sample"):
        labels.sample(0)
