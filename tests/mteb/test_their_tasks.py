"""Their tasks here."""

from __future__ import annotations

from typing import Any

import mteb
import pytest
from datasets import Dataset
from mteb.abstasks import AbsTaskRetrieval
from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
from mteb.abstasks.task_metadata import TaskMetadata

import dibs.mteb as door
from dibs.cards.task import TaskCard
from dibs.data.dataset import Dataset as OurDataset
from dibs.data.prepare import prepared
from dibs.errors import InputError, MissingError
from dibs.evaluate import Work, evaluate
from dibs.retrieval.base import Search
from dibs.workspace import Workspace
from tests.mteb.helpers import BM25, GROUP, dibs_scores, mteb_scores
from tests.toys import FixedRetriever

pytestmark = GROUP

CORPUS: list[dict[str, Any]] = [
    {"id": "d1", "title": "Filing", "text": "Net sales rose."},
    {"id": "d2", "title": None, "text": " Gross margin fell. "},
    {"id": "3", "title": "", "text": "Three airplanes."},
]
QUERIES: list[dict[str, Any]] = [
    {"id": "q1", "text": "What of net sales?"},
    {"id": "q2", "text": "What of the margin?"},
    {"id": "3", "text": "How many airplanes?"},
    {"id": "unjudged", "text": "Who asks?"},
]
QRELS = {"q1": {"d1": 2}, "q2": {"d2": 1, "gone": 1}, "3": {"3": 1}}
METADATA: dict[str, Any] = {
    "name": "Toy (filtered)",
    "description": "Three documents.",
    "dataset": {"path": "somebody/toy", "revision": "1"},
    "type": "Retrieval",
    "category": "t2t",
    "eval_splits": ["test"],
    "eval_langs": ["eng-Latn"],
    "main_score": "ndcg_at_10",
    "prompt": {"query": "Find the filing"},
    "license": "mit",
    "bibtex_citation": "@misc{toy}",
    "domains": ["Financial"],
}


def _task(
    *,
    corpus: list[dict[str, Any]] = CORPUS,
    queries: list[dict[str, Any]] = QUERIES,
    qrels: dict[str, dict[str, int]] = QRELS,
    top_ranked: dict[str, list[str]] | None = None,
    subsets: tuple[str, ...] = ("default",),
    ignore_identical_ids: bool = False,
    **metadata: Any,
) -> AbsTaskRetrieval:
    def load_data(self: Any, num_proc: int | None = None, **kwargs: Any) -> None:
        split = RetrievalSplitData(
            corpus=Dataset.from_list(corpus),
            queries=Dataset.from_list(queries),
            relevant_docs=qrels,
            top_ranked=top_ranked,
        )
        self.dataset = {subset: dict.fromkeys(self.eval_splits, split) for subset in subsets}
        self.data_loaded = True

    values = {
        "metadata": TaskMetadata(**METADATA | metadata),
        "load_data": load_data,
        "ignore_identical_ids": ignore_identical_ids,
    }
    made: AbsTaskRetrieval = type("Toy", (AbsTaskRetrieval,), values)()
    return made


def _texts(dataset: OurDataset) -> list[str]:
    return list(dataset.document_texts("{title} {text}"))


def test_a_task_becomes_a_card_and_a_data_set(workspace: Workspace) -> None:
    card, dataset, own_ids = door.task_from_mteb(_task(), workspace)
    assert card.name == "Toy-filtered"
    assert card.main_measure == "ndcg@10"
    assert card.query_prompt == "Find the filing"
    assert (card.licence, card.citation, card.domains) == ("mit", "@misc{toy}", ("Financial",))
    assert (card.source.kind, card.source.repository, card.source.revision) == ("mteb", "somebody/toy", "1")
    assert dataset.folder.is_relative_to(workspace.data / card.name)
    assert prepared(card, workspace) == dataset
    assert own_ids == 0


def test_titles_of_none_are_empty_and_titles_are_joined_as_mteb_joins_them(workspace: Workspace) -> None:
    card, dataset, _ = door.task_from_mteb(_task(), workspace)
    assert dataset.corpus["title"].to_pylist() == ["Filing", "", ""]
    assert card.documents.template == "{title} {text}"
    assert _texts(dataset) == ["Filing Net sales rose.", "Gross margin fell.", "Three airplanes."]


def test_only_judged_queries_are_there_and_judged_documents_may_be_absent(workspace: Workspace) -> None:
    _, dataset, _ = door.task_from_mteb(_task(), workspace)
    assert dataset.query_ids == ["q1", "q2", "3"]
    assert dataset.qrels["q2"] == {"d2": 1, "gone": 1}
    assert "1 documents that are judged are not in the corpus; they count as not found" in dataset.info.notes


def test_scores_are_mtebs_where_the_data_are_odd(workspace: Workspace) -> None:
    scores = {"q1": {"d2": 1.0, "d1": 0.5}, "q2": {"d2": 1.0}}
    theirs = mteb_scores(door.mteb_pipeline(FixedRetriever(scores), workspace), _task())
    card, dataset, _ = door.task_from_mteb(_task(), workspace)
    record = evaluate(Work(card, dataset, FixedRetriever(scores), BM25), workspace).record
    ours = dibs_scores(record)
    shared = ours.keys() & theirs.keys()
    assert {"recall_at_10", "ndcg_at_10", "mrr_at_10", "recall_at_100"} <= shared
    assert {name: theirs[name] for name in shared} == pytest.approx(
        {name: ours[name] for name in shared}, abs=5.1e-6
    )
    assert ours["recall_at_10"] == pytest.approx(0.5)  # q1 whole, q2 half, 3 none


def test_a_querys_own_instruction_is_part_of_it_and_a_conversation_is_one_text(workspace: Workspace) -> None:
    asked = [{"id": "q1", "text": "Sales?", "instruction": "Only filings."}]
    _, dataset, _ = door.task_from_mteb(_task(queries=asked, type="InstructionRetrieval"), workspace)
    assert dataset.query_texts() == ["Sales? Only filings."]
    turns = [{"role": "user", "content": "Sales?"}, {"role": "assistant", "content": "Whose?"}]
    _, dataset, _ = door.task_from_mteb(_task(queries=[{"id": "q1", "text": turns}]), workspace)
    assert dataset.query_texts() == ["user: Sales?; assistant: Whose?"]


def test_a_document_id_that_is_there_twice_means_the_last_one(workspace: Workspace) -> None:
    doubled = [{"id": "d1", "text": "old"}, {"id": "d2", "text": "other"}, {"id": "d1", "text": "new"}]
    _, dataset, _ = door.task_from_mteb(_task(corpus=doubled), workspace)
    assert dict(zip(dataset.document_ids, _texts(dataset), strict=True)) == {"d2": "other", "d1": "new"}
    assert "1 documents had the id of a later one and were left out" in dataset.info.notes


def test_where_mteb_leaves_out_documents_with_the_querys_id_so_can_dibs(workspace: Workspace) -> None:
    card, dataset, own_ids = door.task_from_mteb(_task(ignore_identical_ids=True), workspace)
    assert own_ids == 1
    scores = {"3": {"3": 2.0, "d1": 1.0}, "q1": {"d1": 1.0, "3": 0.5}}
    retriever = door.WithoutOwnIds(FixedRetriever(scores))
    run = retriever.search(Search(dataset, card.documents.template, workspace.cache), 1).run
    assert run.rankings["3"].documents == ["d1"]
    assert run.rankings["q1"].documents == ["d1"]
    assert retriever.settings() != FixedRetriever(scores).settings()
    model, task = door.mteb_pipeline(FixedRetriever(scores), workspace), _task(ignore_identical_ids=True)
    theirs = mteb_scores(model, task)
    ours = dibs_scores(evaluate(Work(card, dataset, retriever, BM25), workspace).record)
    assert ours["recall_at_10"] == pytest.approx(theirs["recall_at_10"], abs=5.1e-6)


def test_a_task_of_mtebs_own_is_written_once_for_each_revision(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = mteb.mocks.mock_tasks.MockRetrievalTask()
    first = door.task_from_mteb(task, workspace, split="test")

    def refuse(self: object, *args: object, **kwargs: object) -> None:
        raise AssertionError("loaded again")

    monkeypatch.setattr(type(task), "load_data", refuse)
    again = door.task_from_mteb(mteb.mocks.mock_tasks.MockRetrievalTask(), workspace, split="test")
    assert again == first
    newer = task.metadata.model_copy(update={"dataset": task.metadata.dataset | {"revision": "2"}})
    monkeypatch.setattr(type(task), "metadata", newer)
    with pytest.raises(AssertionError, match="loaded again"):
        door.task_from_mteb(mteb.mocks.mock_tasks.MockRetrievalTask(), workspace, split="test")


def test_a_task_somebody_made_is_read_again(workspace: Workspace) -> None:
    door.task_from_mteb(_task(), workspace)
    changed = [{"id": "d1", "text": "Net sales fell."}]
    _, dataset, _ = door.task_from_mteb(_task(corpus=changed), workspace)
    assert _texts(dataset) == ["Net sales fell."]


def test_a_task_of_several_subsets_wants_one_named(workspace: Workspace) -> None:
    languages = {"de": ["deu-Latn"], "fr": ["fra-Latn"]}
    task = _task(subsets=("de", "fr"), eval_langs=languages)
    with pytest.raises(InputError, match=r"has 2 subsets\n  Name one of: de, fr"):
        door.task_from_mteb(task, workspace)
    with pytest.raises(InputError, match="has no subset 'en'"):
        door.task_from_mteb(task, workspace, subset="en")
    card, dataset, _ = door.task_from_mteb(task, workspace, subset="fr")
    assert (card.name, card.language, card.source.subset) == ("Toy-filtered-fr", "fra-Latn", "fr")
    assert dataset.info.documents == 3
    narrowed = _task(subsets=("de", "fr"), eval_langs=languages).filter_languages(["deu"])
    assert door.task_from_mteb(narrowed, workspace).card.name == "Toy-filtered-de"


@pytest.mark.parametrize(
    ("main_score", "measure"),
    [("recall_at_10", "recall@10"), ("hit_rate_at_5", "success@5"), ("robustness_at_10", "recall@10")],
)
def test_the_main_measure_is_the_main_score_where_dibs_has_it(
    workspace: Workspace, main_score: str, measure: str
) -> None:
    card: TaskCard = door.task_from_mteb(_task(main_score=main_score), workspace).card
    assert card.main_measure == measure
    assert measure in card.measures


def test_what_is_not_text_retrieval_is_refused(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="the MTEB task Banking77Classification is Classification, not text"):
        door.task_from_mteb("Banking77Classification", workspace)
    with pytest.raises(InputError, match="is Reranking, not text retrieval"):
        door.task_from_mteb("SciDocsRR", workspace)
    with pytest.raises(InputError, match="reranks given documents"):
        door.task_from_mteb(_task(top_ranked={"q1": ["d1"]}), workspace)


def test_an_unknown_name_is_told_with_the_nearest(workspace: Workspace) -> None:
    assert door.has_task("FinanceBenchRetrieval")
    assert not door.has_task("FinanceBenchRetrival")
    with pytest.raises(InputError, match=r"'FinanceBenchRetrival'\n  Did you mean FinanceBenchRetrieval"):
        door.task_from_mteb("FinanceBenchRetrival", workspace)
    with pytest.raises(InputError, match="in all"):
        door.task_from_mteb("zzzzzzzzzzzzzzzzzzzzzzzzzz", workspace)


def test_data_that_cannot_be_fetched_are_told_with_what_to_do(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(self: object, *args: object, **kwargs: object) -> None:
        raise ConnectionError("no route to the hub")

    monkeypatch.setattr(AbsTaskRetrieval, "load_data", offline)
    with pytest.raises(MissingError, match=r"FinanceBenchRetrieval: .*no route to the hub\n  Go online once"):
        door.task_from_mteb("FinanceBenchRetrieval", workspace)
