from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dibs.cards.task import Answers
from dibs.errors import ProviderError
from dibs.llm.chat import make_llm
from dibs.rag.arms import Arm
from dibs.rag.judges.llm import LLMJudge
from dibs.rag.passages import Cut
from dibs.rag.questions import questions
from dibs.rag.record import (
    ANSWERS,
    TEXTS,
    VERDICTS,
    WITHHELD,
    answer_arm,
    cost_ahead,
    judging_ahead,
    read_stored,
)
from dibs.records import Record
from dibs.workspace import Workspace
from tests.rag.helpers import WordsJudge, mock_card, tiny_work, with_answers

# A warning of ours is one line on standard error, not an exception.
warns = pytest.mark.filterwarnings("default")


@pytest.fixture
def place(tiny_workspace: Workspace) -> Workspace:
    return with_answers(tiny_workspace)


def verdicts(record: Record) -> list[str | None]:
    return [row.verdict for row in read_stored(record)[1]]


def paid(record: Record) -> Any:
    return record.manifest["cost"]["paid"]


def test_an_arm_leaves_a_record(place: Workspace, tmp_path: Path) -> None:
    work = tiny_work(place, mock_card(tmp_path), known_issues={"q2": "Two readings."})
    done = answer_arm(work, place)
    record, manifest = done.record, done.record.manifest
    assert not done.reused
    assert record.folder.parent == place.results / "Tiny" / "bm25-scripted"
    assert record.faults() == []
    assert (record.kind, record.pipeline, manifest["arm"]) == ("answers", "bm25 > scripted", "retrieved")
    assert (manifest["retrieval"], manifest["judge_name"]) == ("Tiny/bm25/abc", "words")
    assert manifest["files"].keys() == {ANSWERS, VERDICTS, "scores.json", "queries.parquet"}
    assert verdicts(record) == ["correct", "correct", "refusal", "incorrect", None]
    everything = record.scores["subsets"]["all"]
    assert (everything["n_queries"], everything["unscored"]) == (5, 1)
    assert everything["accuracy"]["value"] == 0.5


def test_scores_by_subset(place: Workspace, tmp_path: Path) -> None:
    work = tiny_work(place, mock_card(tmp_path), known_issues={"q2": "Two readings."})
    subsets = answer_arm(work, place).record.scores["subsets"]
    found = {name: (rates["n_queries"], rates["correct"]) for name, rates in subsets.items()}
    assert found == {
        "all": (5, 2),
        "checked": (2, 1),
        "kind=metric": (3, 2),
        "kind=count": (2, 0),
        "gold_in_context=yes": (3, 2),
        "gold_in_context=no": (2, 0),
        "known_issue=no": (4, 1),
    }


def test_one_row_a_query(place: Workspace, tmp_path: Path) -> None:
    rows = answer_arm(tiny_work(place, mock_card(tmp_path)), place).record.queries()
    assert rows["query_id"].tolist() == ["q1", "q2", "q3", "q4", "q5"]
    assert rows["cluster"].tolist() == ["apple", "apple", "boeing", "boeing", "corning"]
    assert rows["correct"].tolist()[:4] == [True, True, False, False]
    assert rows["correct"].isna().tolist() == [False] * 4 + [True]
    assert rows["gold_in_context"].tolist() == [True, True, True, False, False]


def test_the_same_work_is_not_done_again(place: Workspace, tmp_path: Path) -> None:
    first = answer_arm(tiny_work(place, mock_card(tmp_path)), place)
    work = tiny_work(place, mock_card(tmp_path))
    again = answer_arm(work, place)
    assert again.reused
    assert again.record.name == first.record.name
    assert work.generator.spent.requests == work.generator.spent.cached == 0


@pytest.mark.parametrize(
    "change",
    [
        {"cut": Cut(k=3)},
        {"cut": Cut(tokens=5)},
        {"cut": Cut(order="reverse")},
        {"max_tokens": 9},
        {"sample": (2,)},
        {"judge": WordsJudge("other")},
        {"arm": Arm("closed-book", "bm25", None, {})},
    ],
)
def test_what_changes_answers_or_verdicts_makes_another_record(
    place: Workspace, tmp_path: Path, change: dict[str, Any]
) -> None:
    card = mock_card(tmp_path)
    first, other = (answer_arm(tiny_work(place, card, **c), place).record for c in ({}, change))
    assert first.name != other.name


def test_another_judge_grades_the_same_answers(place: Workspace, tmp_path: Path) -> None:
    first = answer_arm(tiny_work(place, mock_card(tmp_path)), place).record
    broken = mock_card(tmp_path, fault="error")  # which is no part of what is asked
    work = tiny_work(place, broken, judge=WordsJudge("strict", unscored="43"))
    second = answer_arm(work, place).record
    assert work.generator.spent.requests == work.generator.spent.cached == 0
    assert (second.folder / ANSWERS).read_bytes() == (first.folder / ANSWERS).read_bytes()
    assert verdicts(second) == ["correct", None, "refusal", "incorrect", None]
    assert second.scores["subsets"]["all"]["accuracy"]["value"] == 1 / 3


def test_replies_outlive_the_record(place: Workspace, tmp_path: Path) -> None:
    record = answer_arm(tiny_work(place, mock_card(tmp_path)), place).record
    before = {path.name: path.read_bytes() for path in record.folder.iterdir() if path.suffix == ".jsonl"}
    (record.folder / "manifest.json").unlink()  # as after a kill, before the end
    work = tiny_work(place, mock_card(tmp_path))
    again = answer_arm(work, place)
    assert not again.reused
    assert (work.generator.spent.requests, work.generator.spent.cached) == (0, 4)
    assert {name: (again.record.folder / name).read_bytes() for name in before} == before


def test_a_larger_sample_asks_only_the_rest(place: Workspace, tmp_path: Path) -> None:
    answer_arm(tiny_work(place, mock_card(tmp_path), sample=(2,)), place)
    work = tiny_work(place, mock_card(tmp_path))
    record = answer_arm(work, place).record
    assert work.generator.spent.cached > 0
    assert record.manifest["inputs"]["queries"] is None


@warns
def test_only_what_failed_is_asked_again(place: Workspace, tmp_path: Path) -> None:
    for number in range(20):  # which requests fail depends on their hashes, and so on the name
        name = f"failing-{number}"
        with suppress(ProviderError):  # all of them
            card = mock_card(tmp_path, name, fault="error", fault_every=2)
            first = answer_arm(tiny_work(place, card), place).record
            if failed := paid(first)["failed"]:
                break
    assert 0 < failed < 4
    assert first.scores["subsets"]["all"]["unscored"] == failed + 1
    assert first.scores["subsets"]["all"]["incorrect"] <= 1
    assert answer_arm(tiny_work(place, mock_card(tmp_path, name)), place).reused
    again = tiny_work(place, mock_card(tmp_path, name), retry_errors=True)
    done = answer_arm(again, place)
    assert done.record.name == first.name
    assert not done.reused
    assert (paid(done.record)["requests"], paid(done.record)["failed"]) == (failed, 0)
    assert verdicts(done.record) == ["correct", "correct", "refusal", "incorrect", None]


@warns
def test_nothing_is_recorded_where_every_request_failed(place: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="all 4 requests failed"):
        answer_arm(tiny_work(place, mock_card(tmp_path, fault="error")), place)
    assert list(place.results.rglob("*.json")) == []


def test_what_the_judge_left_unscored_is_graded_again(place: Workspace, tmp_path: Path) -> None:
    card = mock_card(tmp_path)
    first = answer_arm(tiny_work(place, card, judge=WordsJudge(unscored="43")), place).record
    assert verdicts(first)[1] is None
    work = tiny_work(place, card, judge=WordsJudge(), retry_errors=True)
    again = answer_arm(work, place).record
    assert again.name == first.name
    assert verdicts(again)[1] == "correct"
    assert work.generator.spent.requests == work.generator.spent.cached == 0


def test_other_rules_of_scoring_need_no_answers(place: Workspace, tmp_path: Path) -> None:
    card = mock_card(tmp_path)
    first = answer_arm(tiny_work(place, card), place).record
    assert "known_issue=no" not in first.scores["subsets"]
    work = tiny_work(place, card, known_issues={"q3": "Two readings."}, judge=WordsJudge())
    again = answer_arm(work, place)
    assert again.reused
    assert again.record.name == first.name
    assert Record(again.record.folder).scores["subsets"]["known_issue=no"]["refusal"] == 0
    assert (again.record.faults(), work.generator.spent.requests) == ([], 0)


@warns
@pytest.mark.parametrize("name", [ANSWERS, VERDICTS, "scores.json"])
def test_a_damaged_record_is_said_and_made_anew(place: Workspace, tmp_path: Path, name: str) -> None:
    record = answer_arm(tiny_work(place, mock_card(tmp_path)), place).record
    (record.folder / name).write_text("{}\n")
    with pytest.warns(UserWarning, match=f"{name} is not as it was written; it is made anew"):
        again = answer_arm(tiny_work(place, mock_card(tmp_path)), place)
    assert not again.reused
    assert again.record.faults() == []


def test_a_damaged_sibling_is_not_believed(place: Workspace, tmp_path: Path) -> None:
    first = answer_arm(tiny_work(place, mock_card(tmp_path)), place).record
    answers = (first.folder / ANSWERS).read_text()
    (first.folder / ANSWERS).write_text(answers.replace("43", "44"))
    second = answer_arm(tiny_work(place, mock_card(tmp_path), judge=WordsJudge("other")), place).record
    assert verdicts(second)[1] == "correct"


def test_what_it_would_cost(place: Workspace, tmp_path: Path) -> None:
    work = tiny_work(place, mock_card(tmp_path))
    cost = cost_ahead(work, place)
    assert (cost.requests, cost.cached, cost.completion_tokens) == (4, 0, 4 * 64)
    assert work.generator.spent.requests == 0
    assert not place.results.exists()
    answer_arm(work, place)
    assert cost_ahead(work, place).requests == 0


def test_what_judging_would_cost(place: Workspace, tmp_path: Path) -> None:
    card = mock_card(tmp_path, "grader")
    work = tiny_work(place, mock_card(tmp_path), judge=LLMJudge(make_llm(card, place.cache)))
    before = judging_ahead(work, place)
    assert before is not None
    assert before.requests == 4
    assert not place.results.exists()
    answer_arm(work, place)
    after = judging_ahead(work, place)
    assert after is not None
    assert after.prompt_tokens < before.prompt_tokens
    assert judging_ahead(tiny_work(place, mock_card(tmp_path)), place) is None


def test_what_was_paid_and_what_it_takes(place: Workspace, tmp_path: Path) -> None:
    first = answer_arm(tiny_work(place, mock_card(tmp_path)), place).record
    cost = first.manifest["cost"]
    assert cost["paid"]["requests"] == 4
    assert cost["paid"]["usd"] == pytest.approx(cost["usd"])
    assert cost["usd"] == pytest.approx((cost["prompt_tokens"] + 2 * cost["completion_tokens"]) / 1e6)
    again = answer_arm(tiny_work(place, mock_card(tmp_path), judge=WordsJudge("other")), place).record
    assert again.manifest["cost"]["paid"]["requests"] == 0
    assert again.manifest["cost"]["usd"] == cost["usd"]


def test_no_path_of_this_machine_is_recorded(place: Workspace, tmp_path: Path) -> None:
    card = mock_card(tmp_path).model_copy(update={"model": str(tmp_path / "weights")})
    record = answer_arm(tiny_work(place, card), place).record
    assert record.manifest["generator"]["model"] == "weights"
    assert json.loads((record.folder / ANSWERS).read_text().splitlines()[0])["query_id"] == "q1"


def test_a_question_that_gets_a_gold_answer_is_asked(place: Workspace, tmp_path: Path) -> None:
    card = mock_card(tmp_path)
    answer_arm(tiny_work(place, card), place)
    work = tiny_work(place, card)
    task = work.task.model_copy(update={"answers": Answers(field="filing")})
    asked = questions(task, work.dataset, work.dataset.query_ids)
    record = answer_arm(replace(work, task=task, questions=asked), place).record
    assert verdicts(record) == ["incorrect", "incorrect", "refusal", "incorrect", "incorrect"]
    assert paid(record)["requests"] == 1


def test_what_the_generator_has_no_room_for_is_said(place: Workspace, tmp_path: Path) -> None:
    roomy, narrow = (
        mock_card(tmp_path).model_copy(update={"context_tokens": tokens}) for tokens in (4_000, 100)
    )
    answer_arm(tiny_work(place, roomy), place)
    work = tiny_work(place, narrow, max_tokens=90)
    with pytest.warns(UserWarning, match="4 of 4 requests .* may exceed its 100 tokens: lower --k"):
        answer_arm(work, place)


def test_texts_that_are_not_for_passing_on_are_a_file_apart(place: Workspace, tmp_path: Path) -> None:
    work = tiny_work(place, mock_card(tmp_path))
    work = replace(work, task=work.task.model_copy(update={"redistributable": False}))
    record = answer_arm(work, place).record
    assert "They rose." not in (record.folder / ANSWERS).read_text()
    whole = read_stored(record)
    assert [answer.answer for answer in whole[0]][:2] == ["They rose.", "It was 43 percent."]

    (record.folder / TEXTS).unlink()
    record = Record(record.folder)
    assert record.faults() == []
    answers, graded = read_stored(record)
    assert {answer.answer for answer in answers if not answer.error} == {WITHHELD}
    assert (graded, [a.passages for a in answers]) == (whole[1], [a.passages for a in whole[0]])

    (record.folder / VERDICTS).unlink()
    assert Record(record.folder).faults() == [f"{VERDICTS} is absent"]


def test_withheld_texts_come_back_from_the_replies(place: Workspace, tmp_path: Path) -> None:
    work = tiny_work(place, mock_card(tmp_path))
    work = replace(work, task=work.task.model_copy(update={"redistributable": False}))
    first = answer_arm(work, place)
    (first.record.folder / TEXTS).unlink()
    again = answer_arm(work, place)
    assert not again.reused
    assert (paid(again.record)["requests"], paid(again.record)["cached"]) == (0, 4)
    assert read_stored(again.record)[0][0].answer == "They rose."
    assert answer_arm(work, place).reused
