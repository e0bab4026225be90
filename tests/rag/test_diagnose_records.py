from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dibs.errors import DamagedError, InputError, MissingError
from dibs.rag.diagnose_gold import gold_places
from dibs.rag.diagnose_records import find_arms, side_by_side
from dibs.records import Record
from tests.rag.answered import answered, retrieved

RANKED = {
    "q1": ["g1", "a", "b", "c", "d", "e"],
    "q2": ["a", "b", "c", "g2", "d", "e"],
    "q3": ["a", "b", "c", "d", "e", "g3"],
    "q4": ["a", "g4", "b", "c", "d", "e"],
}
GOLD = {"q1": {"g1": 1}, "q2": {"g2": 1}, "q3": {"g3": 2, "x3": 1}, "q4": {"g4": 1, "x4": 1, "no": 0}}


@pytest.fixture
def dense(tmp_path: Path) -> Record:
    return retrieved(tmp_path, "dense", {"retriever": "dense"}, RANKED)


def pair(results: Path, retrieval: Record, first: str, oracle: str, **more: Any) -> None:
    passages = [docs[:2] for docs in list(RANKED.values())[: len(first)]]
    answered(results, "retrieved", first, retrieval=retrieval, passages=passages, **more)
    answered(results, "oracle", oracle)


def test_arms_are_of_one_generator_judge_data_and_prompt(tmp_path: Path, dense: Record) -> None:
    pair(tmp_path, dense, "ciic", "cccc")
    closed = answered(tmp_path, "closed-book", "iiii", max_tokens=None)
    answered(tmp_path, "random", "cccc", generator="other-llm")
    answered(tmp_path, "random", "cccc", data="new")
    answered(tmp_path, "random", "cccc", judge={"judge": "strict"})
    answered(tmp_path, "random", "cccc", prompt={"name": "new"})
    (arms,) = find_arms(tmp_path, "Tiny", None)
    assert arms.controls.keys() == {"oracle", "closed-book"}
    assert arms.controls["closed-book"].name == closed.name
    assert (arms.generator, arms.judge) == ("toy-llm", "toy")


def test_of_two_controls_the_one_that_shares_more_questions_is_taken(tmp_path: Path, dense: Record) -> None:
    pair(tmp_path, dense, "ciic", "cccc")
    answered(tmp_path, "oracle", "ii", queries={"sample": 2})
    (arms,) = find_arms(tmp_path, "Tiny", "toy-llm")
    assert len(arms.controls["oracle"].queries()) == 4


def test_questions_without_a_verdict_or_with_a_disputed_gold_answer_are_left_out(
    tmp_path: Path, dense: Record
) -> None:
    pair(tmp_path, dense, "c-ri", "ccc-", clusters=["a", "b", "a", "b"], disputed=[0])
    answered(tmp_path, "random", "ii-")
    (arms,) = find_arms(tmp_path, "Tiny", None)
    sheet = side_by_side(arms)
    assert (sheet.queries, sheet.clusters, sheet.passages) == (["q3"], ["a"], [["a", "b"]])
    assert (sheet.unscored, sheet.disputed) == (2, 1)
    assert {name: values.tolist() for name, values in sheet.correct.items() if name != "random"} == {
        "retrieved": [0.0],
        "oracle": [1.0],
    }
    assert np.isnan(sheet.correct["random"]).all()


def test_arms_that_share_nothing_are_refused(tmp_path: Path, dense: Record) -> None:
    pair(tmp_path, dense, "cc--", "--cc")
    (arms,) = find_arms(tmp_path, "Tiny", None)
    with pytest.raises(MissingError, match="share no question with a verdict"):
        side_by_side(arms)


def test_what_is_lacking_is_said_with_the_command_that_makes_it(tmp_path: Path, dense: Record) -> None:
    with pytest.raises(MissingError, match="no answers are recorded yet"):
        find_arms(tmp_path, "Tiny", None)
    answered(tmp_path, "oracle", "cc")
    with pytest.raises(MissingError, match="from retrieved passages") as caught:
        find_arms(tmp_path, "Tiny", None)
    assert caught.value.todo == "Run: dibs rag --retrieval RECORD --generator toy-llm --controls"
    answered(tmp_path, "retrieved", "cc", retrieval=dense, prompt={"name": "another"}, passages=[["a"]] * 2)
    with pytest.raises(MissingError, match="no oracle arm of the same generator") as caught:
        find_arms(tmp_path, "Tiny", None)
    assert caught.value.todo == f"Run: dibs rag --retrieval {dense.name} --generator toy-llm --controls"
    with pytest.raises(InputError, match="no task with recorded answers is called 'Tinny'"):
        find_arms(tmp_path, "Tinny", None)
    with pytest.raises(InputError, match="no generator with recorded answers of Tiny is called 'gpt'"):
        find_arms(tmp_path, "Tiny", "gpt")


@pytest.mark.filterwarnings("default")
def test_a_record_that_cannot_be_read_is_passed_over_and_said(tmp_path: Path, dense: Record) -> None:
    pair(tmp_path, dense, "ciic", "cccc")
    broken = answered(tmp_path, "random", "cccc")
    (broken.folder / "manifest.json").write_text("{")
    with pytest.warns(UserWarning, match="is passed over: its manifest cannot be read"):
        (arms,) = find_arms(tmp_path, "Tiny", None)
    assert "random" not in arms.controls


def test_edited_answers_are_refused(tmp_path: Path, dense: Record) -> None:
    pair(tmp_path, dense, "ciic", "cccc")
    (arms,) = find_arms(tmp_path, "Tiny", None)
    (arms.retrieved.folder / "answers.jsonl").write_text("")
    with pytest.raises(DamagedError, match=r"answers.jsonl is not as it was written"):
        side_by_side(arms)


def test_gold_is_placed_in_the_passages_below_them_or_nowhere(tmp_path: Path, dense: Record) -> None:
    pair(tmp_path, dense, "ciic", "cccc")
    (arms,) = find_arms(tmp_path, "Tiny", None)
    places = gold_places(side_by_side(arms), dense, GOLD, tmp_path)
    assert places.context.tolist() == [1, 0, 0, 0.5]
    assert places.next.tolist() == [0, 1, 0, 0]
    assert places.later.tolist() == [0, 0, 0.5, 0]
    assert places.absent.tolist() == [0, 0, 0.5, 0.5]
    assert places.depth == 6
    assert (places.other, places.recorded) == ({}, {})


def test_only_a_run_of_the_other_kind_on_the_same_data_adds_to_a_hybrid(
    tmp_path: Path, dense: Record
) -> None:
    pair(tmp_path, dense, "ciic", "cccc")
    half = {"q1": [], "q2": [], "q3": ["a", "b", "x3"], "q4": ["a", "b", "c", "x4"]}
    retrieved(tmp_path, "words", {"retriever": "bm25"}, half)
    retrieved(tmp_path, "other-dense", {"retriever": "dense"}, half)
    retrieved(tmp_path, "both", {"retriever": "hybrid"}, half)
    (arms,) = find_arms(tmp_path, "Tiny", None)
    places = gold_places(side_by_side(arms), dense, GOLD, tmp_path)
    assert {name: share.tolist() for name, share in places.other.items()} == {"words": [0, 0, 0.5, 0]}


@pytest.mark.parametrize(
    ("pipeline", "other"),
    [
        ({"retriever": "bm25"}, ["vectors"]),
        ({"retriever": "reranking", "first": {"retriever": "bm25"}}, ["vectors"]),
        ({"retriever": "reranking", "first": {"retriever": "hybrid"}}, []),
        ({"retriever": "hybrid"}, []),
        ({"mteb": "somebody's"}, []),
    ],
    ids=["bm25", "reranked bm25", "reranked hybrid", "hybrid", "unknown"],
)
def test_what_a_pipeline_lacks_of_a_hybrid(
    tmp_path: Path, pipeline: dict[str, Any], other: list[str]
) -> None:
    mine = retrieved(tmp_path, "mine", pipeline, RANKED)
    pair(tmp_path, mine, "ciic", "cccc")
    for name, kind in (("words", "bm25"), ("vectors", "dense")):
        retrieved(tmp_path, name, {"retriever": kind, "own": name}, RANKED)
    (arms,) = find_arms(tmp_path, "Tiny", None)
    assert list(gold_places(side_by_side(arms), mine, GOLD, tmp_path).other) == other


def test_other_pipelines_are_read_where_they_measured_recall_at_that_depth(
    tmp_path: Path, dense: Record
) -> None:
    pair(tmp_path, dense, "ciic", "cccc")
    retrieved(tmp_path, "better", {"retriever": "dense", "own": 1}, RANKED, recall_2=[1.0, 1.0, 0.5, 0.5])
    retrieved(tmp_path, "unmeasured", {"retriever": "dense", "own": 2}, RANKED, recall_3=[1.0, 1.0, 0.5, 0.5])
    (arms,) = find_arms(tmp_path, "Tiny", None)
    places = gold_places(side_by_side(arms), dense, GOLD, tmp_path)
    assert {name: share.tolist() for name, share in places.recorded.items()} == {"better": [1, 1, 0.5, 0.5]}


def test_a_damaged_run_is_not_read(tmp_path: Path, dense: Record) -> None:
    pair(tmp_path, dense, "ciic", "cccc")
    (arms,) = find_arms(tmp_path, "Tiny", None)
    other = retrieved(tmp_path, "words", {"retriever": "bm25"}, RANKED)
    (other.folder / "run.trec.gz").unlink()
    assert gold_places(side_by_side(arms), dense, GOLD, tmp_path).other == {}
    (dense.folder / "run.trec.gz").unlink()
    with pytest.raises(DamagedError, match=r"run.trec.gz is absent"):
        gold_places(side_by_side(arms), dense, GOLD, tmp_path)
