"""The sample tasks that are shipped: small, whole, and neither trivial nor out of reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from dibs.cards.model import ModelCard
from dibs.cards.task import TaskCard
from dibs.data.dataset import Dataset
from dibs.data.prepare import prepare, shortfall
from dibs.retrieval.base import Search
from dibs.retrieval.bm25 import BM25Retriever
from dibs.scoring.measures import Measure, score
from dibs.workspace import BUILTIN, Workspace

NAMES = ["DocsQA-Sample", "FinanceBench-Sample", "ManufactQA-Sample"]


def sample(name: str, cache: Path) -> tuple[TaskCard, Dataset]:
    place = Workspace(BUILTIN, cache)
    card = place.card(TaskCard, name)
    return card, prepare(card, place, complete=True)


def test_these_are_all_that_are_shipped() -> None:
    cards = Workspace(BUILTIN, Path("no cache")).cards(TaskCard)
    assert [card.name for card in cards if isinstance(card, TaskCard) and card.source.path] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_is_whole(name: str, tmp_path: Path) -> None:
    card, dataset = sample(name, tmp_path)
    info = dataset.info
    assert info.documents >= 150
    assert info.queries >= 40
    assert shortfall(card, dataset) is None
    assert info.notes == []  # above all: no query without a relevant document
    assert (info.empty_documents, info.duplicate_documents) == (0, 0)
    assert len(set(dataset.document_ids)) == info.documents
    assert len(set(dataset.query_ids)) == info.queries
    assert len(set(dataset.query_texts())) == info.queries
    assert set(dataset.qrels) == set(dataset.query_ids)
    assert {doc for grades in dataset.qrels.values() for doc in grades} <= set(dataset.document_ids)
    assert all(answer.strip() for answer in dataset.query_field("answer"))


@pytest.mark.parametrize("name", NAMES)
def test_what_its_card_names_is_there(name: str, tmp_path: Path) -> None:
    card, dataset = sample(name, tmp_path)
    assert card.cluster is not None
    assert card.split_by is not None
    for field in (card.cluster, card.split_by):
        values = dataset.query_field(field)
        assert all(values)
        assert 1 < len(set(values)) < len(values)
    for subset in card.subsets.values():
        assert subset.value in dataset.query_field(subset.field)
    for variant in (None, *card.documents.variants):
        assert all(dataset.document_texts(card.template(variant)))


@pytest.mark.parametrize("name", NAMES)
def test_matching_words_does_not_solve_it(name: str, tmp_path: Path) -> None:
    card, dataset = sample(name, tmp_path)
    search = Search(dataset, card.template(None), tmp_path)
    run = BM25Retriever(ModelCard(name="bm25", adapter="bm25")).search(search, k=10).run
    first, ten = Measure("success", 1), Measure("recall", 10)
    means = {measure: values.mean() for measure, values in score(run, dataset.qrels, [first, ten]).items()}
    assert 0 < means[first] < 1
    assert means[first] < means[ten] < 1
