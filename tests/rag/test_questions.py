from __future__ import annotations

import gzip
import json
import tomllib
from pathlib import Path

import pytest

from dibs.cards.read import read_card
from dibs.cards.task import Answers, TaskCard
from dibs.data.dataset import Dataset
from dibs.data.prepare import ensure
from dibs.errors import InputError
from dibs.rag.questions import known_issues, questions, sample
from dibs.workspace import Workspace
from tests.shared import shared_data
from tests.toys import make_dataset

FIELDS = {"text": "Which?", "answer": " Gold. "}


def tiny(place: Workspace, **answers: object) -> TaskCard:
    card = read_card(TaskCard, place.root / "tasks" / "Tiny.toml")
    return card.model_copy(update={"answers": Answers(**answers)})  # type: ignore[arg-type]


def many(folder: Path, count: int = 40) -> Dataset:
    return make_dataset(folder / "data", {"a": "A."}, {f"q{n}": FIELDS for n in range(count)})


def test_the_gold_answer_and_the_gold_documents(tiny_workspace: Workspace, tmp_path: Path) -> None:
    qrels = {"q": {"c": 1, "b": 2, "a": 1, "d": 0}}
    dataset = make_dataset(tmp_path / "data", dict.fromkeys("abcd", "x"), {"q": FIELDS}, qrels)
    (question,) = questions(tiny(tiny_workspace), dataset, ["q"])
    assert (question.text, question.gold) == ("Which?", "Gold.")
    assert question.relevant == ("b", "a", "c")


def test_another_field_may_hold_the_answer(tiny_workspace: Workspace) -> None:
    card = tiny(tiny_workspace, field="filing")
    asked = questions(card, ensure(card, tiny_workspace), ["q3", "q1"])
    assert [question.gold for question in asked] == ["boeing", "apple"]


def test_the_gold_document_may_be_the_answer(tiny_workspace: Workspace) -> None:
    card = tiny(tiny_workspace, from_document=True)
    asked = questions(card, ensure(card, tiny_workspace), ["q3", "q5"])
    assert [question.gold for question in asked] == ["Boeing delivered 480 airplanes.", ""]


def test_without_gold_answers_it_is_said_what_to_do(tiny_workspace: Workspace) -> None:
    card = tiny(tiny_workspace)
    with pytest.raises(InputError, match="Tiny has no gold answers") as error:
        questions(card, ensure(card, tiny_workspace), ["q1"])
    assert "from_document = true" in str(error.value)


def test_a_sample_is_the_same_each_time_and_grows(tmp_path: Path) -> None:
    dataset = many(tmp_path)
    ten, twenty = sample(dataset, 10), sample(dataset, 20)
    assert ten == sample(dataset, 10)
    assert len(ten) == 10
    assert set(ten) < set(twenty)
    assert ten == [name for name in dataset.query_ids if name in ten]
    assert ten != dataset.query_ids[:10]


def test_a_sample_of_all_is_all(tmp_path: Path) -> None:
    dataset = many(tmp_path, 5)
    assert sample(dataset) == sample(dataset, 5) == sample(dataset, 99) == dataset.query_ids


def test_queries_by_name(tmp_path: Path) -> None:
    dataset = many(tmp_path)
    assert sample(dataset, ids=["q7", "q3", "q7"]) == ["q3", "q7"]
    with pytest.raises(InputError, match="no query of this task is called 'q99'"):
        sample(dataset, ids=["q99"])
    with pytest.raises(InputError, match="both given"):
        sample(dataset, 3, ["q1"])
    with pytest.raises(InputError, match="0 questions"):
        sample(dataset, 0)


def issues(place: Workspace, content: str) -> dict[str, str]:
    path = place.root / "tasks" / "known-issues" / "Tiny.toml"
    path.parent.mkdir()
    path.write_text(content)
    card = tiny(place)
    return known_issues(card, ensure(card, place), place)


def test_known_issues_are_beside_the_card(tiny_workspace: Workspace) -> None:
    assert issues(tiny_workspace, '[queries]\nq2 = "Two readings."\n') == {"q2": "Two readings."}


def test_a_task_may_have_none(tiny_workspace: Workspace) -> None:
    card = tiny(tiny_workspace)
    assert known_issues(card, ensure(card, tiny_workspace), tiny_workspace) == {}


@pytest.mark.parametrize("content", ["", "queries = 3", "[queries]\nq2 = 3", "[queries", "queries = ['q2']"])
def test_a_malformed_list_is_refused(tiny_workspace: Workspace, content: str) -> None:
    with pytest.raises(InputError, match="no list of known issues"):
        issues(tiny_workspace, content)


def test_a_query_that_is_not_there_is_said(tiny_workspace: Workspace) -> None:
    with pytest.warns(UserWarning, match="q9: no such query in Tiny"):
        assert issues(tiny_workspace, '[queries]\nq9 = "x"\n') == {}


def disputed(place: Workspace) -> set[str]:
    path = place.card_files(TaskCard)["FinanceBench"].parent / "known-issues" / "FinanceBench.toml"
    return set(tomllib.loads(path.read_text())["queries"])


@pytest.mark.real_data
def test_the_disputed_questions_are_financebenchs(workspace: Workspace) -> None:
    with gzip.open(shared_data("data", "financebench", "financebench_open_source.jsonl.gz"), "rt") as lines:
        rows = {row["financebench_id"]: row for row in map(json.loads, lines)}
    filings = {rows[name]["doc_name"].partition("_")[0].upper() for name in disputed(workspace)}
    assert filings == {"AMERICANWATERWORKS", "BOEING", "CORNING", "MGMRESORTS", "PAYPAL", "PFIZER"}


def test_the_disputed_questions_of_financebench_are_six(workspace: Workspace) -> None:
    assert len(disputed(workspace)) == 6
    assert all(
        card.name != "known-issues" for card in workspace.cards(TaskCard) if isinstance(card, TaskCard)
    )
