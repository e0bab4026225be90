from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from dibs.errors import MissingError
from dibs.records import QUERIES, RUN, SCORES
from dibs.report.leaderboard.build import Report, read_report
from dibs.report.leaderboard.costs import costs_of
from tests.report.leaderboard.made import COST, answers, calibration, dense, hybrid, reranked, retrieval

GOOD = [1.0] * 30
POOR = [0.0, 1.0] * 15
BM25 = {"retriever": "bm25", "k1": 1.5}


def ranked(report: Report) -> list[tuple[int, int, str]]:
    (board,) = report.boards
    return [(row.rank, row.depth, row.entry.pipeline) for row in board.rows]


def test_a_pipeline_stands_below_the_one_that_it_starts_from(tmp_path: Path) -> None:
    first, second = dense("small"), BM25
    retrieval(tmp_path, "small", POOR)
    retrieval(tmp_path, "bm25", [0.0] * 30, settings=second)
    retrieval(tmp_path, "bm25+small", GOOD, settings=hybrid(second, first))
    retrieval(tmp_path, "bm25+small > judge (30)", [*GOOD[1:], 0.0], settings=reranked(hybrid(second, first)))
    retrieval(tmp_path, "lone > judge (30)", [0.0] * 30, settings=reranked(dense("lone")))
    assert ranked(read_report(tmp_path)) == [
        (3, 0, "small"),
        (1, 1, "bm25+small"),
        (1, 2, "bm25+small > judge (30)"),
        (4, 0, "bm25"),
        (4, 0, "lone > judge (30)"),
    ]


def test_pipelines_that_are_not_told_apart_share_a_rank(tmp_path: Path) -> None:
    for name, recall in (("a", GOOD), ("b", [*GOOD[1:], 0.0]), ("c", POOR)):
        retrieval(tmp_path, name, recall)
    assert ranked(read_report(tmp_path)) == [(1, 0, "a"), (1, 0, "b"), (3, 0, "c")]


def test_clusters_decide_what_is_told_apart(tmp_path: Path) -> None:
    for name, recall in (("a", GOOD), ("c", POOR)):
        retrieval(tmp_path, name, recall, clusters=["x"] * 15 + ["y"] * 15)
    assert [rank for rank, *_ in ranked(read_report(tmp_path))] == [1, 1]


# Guards


def test_equal_runs_of_different_names_are_named(tmp_path: Path) -> None:
    run = {f"q{number}": {"d1": 2.0, "d2": 1.0} for number in range(30)}
    other = {f"q{number}": {"d2": 2.0, "d1": 1.0} for number in range(30)}
    retrieval(tmp_path, "mine", GOOD, run=run)
    retrieval(tmp_path, "copied", GOOD, run=run)
    retrieval(tmp_path, "elsewhere", GOOD, run=other)
    (problem,) = read_report(tmp_path).problems
    assert problem.endswith("their runs are equal")
    assert "Tiny/mine/" in problem
    assert "Tiny/copied/" in problem
    assert "elsewhere" not in problem


@pytest.mark.parametrize("name", ["manifest.json", SCORES, QUERIES])
@pytest.mark.parametrize("how", ["absent", "edited", "empty"])
def test_a_damaged_record_is_named_and_left_out(tmp_path: Path, name: str, how: str) -> None:
    retrieval(tmp_path, "whole", GOOD)
    record = retrieval(tmp_path, "broken", POOR)
    file = record.folder / name
    if how == "absent":
        file.unlink()
    else:
        file.write_bytes(b"" if how == "empty" else file.read_bytes().replace(b"0", b"1"))
    report = read_report(tmp_path)
    assert [pipeline for *_, pipeline in ranked(report)] == ["whole"]
    if name != "manifest.json" or how != "absent":  # else it is an unfinished record
        assert any(record.name in problem for problem in report.problems)


def test_a_damaged_run_is_named_and_its_scores_stand(tmp_path: Path) -> None:
    record = retrieval(tmp_path, "a", GOOD)
    twin = retrieval(tmp_path, "b", GOOD)
    (record.folder / RUN).write_bytes(b"not a run")
    (twin.folder / RUN).unlink()
    report = read_report(tmp_path)
    assert len(report.boards[0].entries) == 2
    assert report.problems == [
        f"{record.name}: run.trec.gz is not as it was written",
        f"{twin.name}: run.trec.gz is absent",
    ]


def test_a_record_in_anothers_place_is_named(tmp_path: Path) -> None:
    retrieval(tmp_path, "a", GOOD)
    record = retrieval(tmp_path, "b", POOR)
    shutil.move(record.folder, record.folder.with_name("0" * 12))
    report = read_report(tmp_path)
    assert report.problems == [f"Tiny/b/{'0' * 12}: the inputs in the manifest do not give the record's hash"]


def test_a_copy_of_a_record_is_named_and_left_out(tmp_path: Path) -> None:
    record = retrieval(tmp_path, "a", GOOD)
    shutil.copytree(record.folder, record.folder.parent.with_name("b") / record.hash)
    report = read_report(tmp_path)
    assert report.problems == [f"Tiny/b/{record.hash}: is a copy of {record.name}, and left out"]
    assert [len(board.entries) for board in report.boards] == [1]


def test_records_of_other_data_are_apart_and_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        retrieval(tmp_path, name, GOOD, run={"q0": {name: 1.0}})
    old = retrieval(tmp_path, "a", POOR, data="0" * 64)
    report = read_report(tmp_path)
    assert [(board.name, len(board.entries)) for board in report.boards] == [
        ("Tiny", 2),
        ("Tiny (data 000000000000)", 1),
    ]
    (problem,) = report.problems
    assert "other data (000000000000, the others dddddddddddd)" in problem
    assert old.name in problem


def test_a_record_with_other_queries_on_the_same_data_is_left_out(tmp_path: Path) -> None:
    retrieval(tmp_path, "a", GOOD)
    retrieval(tmp_path, "b", GOOD[:10])
    report = read_report(tmp_path)
    assert len(report.boards[0].entries) == 1
    assert "on the same data" in report.problems[0]


@pytest.mark.parametrize(
    "manifest",
    [
        {"cost": None},
        {"task": {}},
        {"task": None},
        {"data": {}},
        {"scoring": {}},
        {"scoring": {"main_measure": "recall@10"}},
        {"model": None},
        {"about": None},
        {"data": {"sha256": None}},
    ],
    ids=str,
)
def test_a_malformed_manifest_is_named(tmp_path: Path, manifest: dict[str, Any]) -> None:
    retrieval(tmp_path, "a", GOOD)
    record = retrieval(tmp_path, "b", POOR, **manifest)
    report = read_report(tmp_path)
    assert len(report.boards) == 1
    assert any(record.name in problem for problem in report.problems)


def test_nothing_to_show_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="there are no records"):
        read_report(tmp_path)
    (retrieval(tmp_path, "a", GOOD).folder / SCORES).unlink()
    with pytest.raises(MissingError, match="no record can be shown") as said:
        read_report(tmp_path)
    assert "scores.json is absent" in str(said.value)


# Answers and judges


def test_answers_and_judges_are_read(tmp_path: Path) -> None:
    record = retrieval(tmp_path, "a", GOOD)
    answers(tmp_path, record, ["correct", "incorrect", "refusal", None])
    calibration(tmp_path, "rules", 0.85, 0.7)
    report = read_report(tmp_path)
    (answered,), (judge,) = report.answers, report.judges
    assert (answered.arm, answered.generator, answered.retrieval) == ("a", "gpt", record.hash)
    assert answered.estimate.value == pytest.approx(1 / 3)
    assert (judge.judge, judge.accuracy.value, judge.kappa) == ("rules", 0.85, 0.7)
    assert {figure.name for figure in report.figures} >= {"answers", "judges"}


def test_malformed_answers_are_named(tmp_path: Path) -> None:
    record = retrieval(tmp_path, "a", GOOD)
    broken = answers(tmp_path, record, ["correct"])
    (broken.folder / "verdicts.jsonl").write_text("{}")
    report = read_report(tmp_path)
    assert report.answers == []
    assert report.problems == [f"{broken.name}: verdicts.jsonl is not as it was written"]


# Costs


def test_what_was_kept_from_before_has_no_time(tmp_path: Path) -> None:
    retrieval(tmp_path, "fresh", GOOD)
    retrieval(tmp_path, "kept", POOR, cost=COST | {"documents_encoded": 0, "queries_encoded": 0})
    (board,) = read_report(tmp_path).boards
    fresh, kept = (costs_of(entry, board) for entry in board.entries)
    assert fresh.index_seconds == 4.0
    assert fresh.query_seconds == pytest.approx(1000 / 30)
    assert (kept.index_seconds, kept.query_seconds) == (None, None)


def test_a_pipelines_time_has_its_parts_in_it(tmp_path: Path) -> None:
    spent = COST | {"search": 6.0, "usd": 0.3}
    retrieval(tmp_path, "a", POOR)
    retrieval(
        tmp_path,
        "a > judge (30)",
        GOOD,
        settings=reranked(dense("a")),
        cost=spent,
        about={"pairs_scored": 900},
    )
    (board,) = read_report(tmp_path).boards
    found = costs_of(board.entries[0], board)
    assert found.index_seconds == 4.0
    assert found.query_seconds == pytest.approx((1 + 6) * 1000 / 30)
    assert found.query_usd == pytest.approx(10)


def test_a_finetuned_model_is_beside_its_base(tmp_path: Path) -> None:
    retrieval(tmp_path, "small", POOR)
    for name, recall in (("tuned", GOOD), ("tuned-less", [*POOR[1:], 1.0])):
        retrieval(tmp_path, name, recall, model={"name": name, "adapter": "toy", "base": "small"})
    report = read_report(tmp_path)
    (model,) = report.models
    gain = model.gains["Tiny"]
    assert gain.base is not None
    assert gain.finetuned is not None
    assert (model.name, gain.base.pipeline, gain.finetuned.pipeline, gain.tried) == (
        "small",
        "small",
        "tuned",
        2,
    )
    assert gain.difference == pytest.approx(0.5)
    assert gain.p is not None
    assert gain.p < 0.01
    assert next(f for f in report.figures if f.name == "models").rows[1]["kind"] == "finetuned"
