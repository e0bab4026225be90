from __future__ import annotations

from pathlib import Path

import pytest

from dibs.retrieval.base import Search
from dibs.retrieval.dense import DenseRetriever
from tests.toys import HashEncoder, make_dataset

DOCUMENTS = {"d1": "red apple", "d2": "green apple", "d3": "blue sky", "d4": "red apple", "d5": ""}
QUERIES = {"q1": "red apple", "q2": "sky", "q3": "red apple"}


@pytest.fixture
def search(tmp_path: Path) -> Search:
    return Search(make_dataset(tmp_path / "data", DOCUMENTS, QUERIES), "{text}", tmp_path / "cache")


def test_a_dense_search_ranks_by_inner_product(search: Search) -> None:
    encoder = HashEncoder()
    found = DenseRetriever(encoder).search(search, 10)
    expected = encoder.vectors(list(QUERIES.values()), "query") @ encoder.vectors(list(DOCUMENTS.values())).T
    for row, ranking in zip(expected, found.run.rankings.values(), strict=True):
        assert sorted(ranking.documents) == sorted(DOCUMENTS)
        by_name = dict(zip(DOCUMENTS, row.tolist(), strict=True))
        assert ranking.scores.tolist() == pytest.approx(
            [by_name[name] for name in ranking.documents], abs=1e-6
        )
    assert found.run.rankings["q1"].documents[:2] == ["d4", "d1"]
    assert found.run.rankings["q2"].documents[0] == "d3"


def test_its_cost_counts_texts_once(search: Search) -> None:
    encoder = HashEncoder(max_tokens=1)
    cost = DenseRetriever(encoder).search(search, 10).cost
    assert (cost.documents_encoded, cost.queries_encoded) == (4, 2)
    assert (cost.documents_cut, cost.queries_cut) == (4, 2)
    assert sorted(encoder.asked) == ["", "blue sky", "green apple", "red apple", "red apple", "sky"]


def test_a_second_search_encodes_nothing_and_finds_the_same(search: Search) -> None:
    first = DenseRetriever(HashEncoder()).search(search, 10)
    encoder = HashEncoder()
    second = DenseRetriever(encoder).search(search, 10)
    assert encoder.asked == []
    assert (second.cost.documents_encoded, second.cost.queries_encoded) == (0, 0)
    assert second.run.scores() == first.run.scores()


def test_another_query_prompt_encodes_only_the_queries_again(search: Search) -> None:
    plain, prompted = HashEncoder(), HashEncoder(query_prompt="query: ")
    before = DenseRetriever(plain).search(search, 10)
    after = DenseRetriever(prompted).search(search, 10)
    assert sorted(prompted.asked) == ["red apple", "sky"]
    assert after.cost.documents_encoded == 0
    assert after.run.scores() != before.run.scores()
    settings = [DenseRetriever(encoder).settings() for encoder in (plain, prompted)]
    assert settings[0]["document"] == settings[1]["document"]
    assert settings[0]["query"] != settings[1]["query"]


def test_another_template_encodes_the_documents_again(search: Search) -> None:
    DenseRetriever(HashEncoder()).search(search, 10)
    encoder = HashEncoder()
    DenseRetriever(encoder).search(Search(search.dataset, "page: {text}", search.cache), 10)
    assert sorted(encoder.asked) == ["page:", "page: blue sky", "page: green apple", "page: red apple"]
