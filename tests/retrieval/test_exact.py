from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from dibs.encoders.base import FloatArray
from dibs.encoders.embed import Embedded
from dibs.encoders.vectors import VectorStore, text_keys
from dibs.retrieval import distinct, exact
from dibs.retrieval.distinct import Distinct
from dibs.retrieval.exact import exact_search
from dibs.retrieval.run import Run


def embedded(folder: Path, vectors: Mapping[str, list[float]], texts: list[str]) -> Embedded:
    """`texts` as they would be after embedding, each with the vector that is told."""
    table = np.array(list(vectors.values()), dtype=np.float32)
    store = VectorStore(folder, "x", {"seed": 1}, table.shape[1])
    store.append(text_keys(list(vectors)), table, None)
    store.reload()
    return Embedded(store, store.find(text_keys(texts)), len(vectors), 0, 0.0)


def brute_force(queries: FloatArray, ids: list[str], vectors: FloatArray, k: int) -> Run:
    """Every score of every document, through the one ranking order."""
    scores = queries.astype(np.float64) @ vectors.astype(np.float64).T
    names = [f"q{number}" for number in range(len(queries))]
    rows = (dict(zip(ids, row, strict=True)) for row in scores.tolist())
    return Run.of(dict(zip(names, rows, strict=True)), names).top(k)


@pytest.mark.parametrize("k", [1, 2, 5, 40, 100])
@pytest.mark.parametrize("block", [1, 3, 7, 39, 40, 1000])
def test_as_brute_force_whatever_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, k: int
) -> None:
    # Small whole numbers: products are exact in float32, and ties abound.
    monkeypatch.setattr(distinct, "DOCUMENT_BLOCK", block)
    monkeypatch.setattr(exact, "QUERY_BLOCK", min(block, 4))
    chance = np.random.default_rng(block + k)
    vectors = chance.integers(-2, 3, size=(40, 3)).astype(np.float32)
    queries = chance.integers(-2, 3, size=(9, 3)).astype(np.float32)
    texts = [f"text {number}" for number in range(40)]
    ids = [f"d{number}" for number in chance.permutation(40)]
    documents = embedded(tmp_path, dict(zip(texts, vectors.tolist(), strict=True)), texts)
    run = exact_search([f"q{number}" for number in range(9)], queries, Distinct.of(ids, documents), k)
    assert run.scores() == brute_force(queries, ids, vectors, k).scores()
    assert all(
        ranking.documents == brute_force(queries, ids, vectors, k).rankings[name].documents
        for name, ranking in run.rankings.items()
    )


def test_a_short_last_block_of_good_documents_keeps_the_ones_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distinct, "DOCUMENT_BLOCK", 3)
    vectors = {"a": [0.1], "b": [0.2], "c": [0.3], "d": [0.9]}
    documents = embedded(tmp_path, vectors, list(vectors))
    run = exact_search(["q"], np.ones((1, 1), np.float32), Distinct.of(list(vectors), documents), 3)
    assert run.rankings["q"].documents == ["d", "c", "b"]


def test_documents_of_one_text_share_a_vector_and_tie_exactly(tmp_path: Path) -> None:
    vectors = {"same": [0.6, 0.8], "other": [0.8, 0.6]}
    texts = ["same", "other", "same", "same"]
    documents = embedded(tmp_path, vectors, texts)
    assert len(set(documents.rows.tolist())) == 2
    query = np.array([[0.6, 0.8]], dtype=np.float32)
    run = exact_search(["q"], query, Distinct.of(["d1", "d2", "d3", "d10"], documents), 100)
    assert run.rankings["q"].documents == ["d3", "d10", "d1", "d2"]
    assert len(set(run.rankings["q"].scores[:3].tolist())) == 1


def test_a_text_repeated_across_the_last_place_is_cut_by_id(tmp_path: Path) -> None:
    documents = embedded(tmp_path, {"same": [1.0], "low": [0.5]}, ["same", "low", "same", "same"])
    run = exact_search(["q"], np.ones((1, 1), np.float32), Distinct.of(["a", "b", "c", "d"], documents), 2)
    assert run.rankings["q"].documents == ["d", "c"]


def test_fewer_documents_than_k_are_all_ranked(tmp_path: Path) -> None:
    documents = embedded(tmp_path, {"x": [1.0], "y": [-1.0]}, ["x", "y"])
    run = exact_search(["q"], np.ones((1, 1), np.float32), Distinct.of(["a", "b"], documents), 100)
    assert run.scores() == {"q": {"a": 1.0, "b": -1.0}}


def test_vectors_of_zeros_score_0_and_rank_by_id(tmp_path: Path) -> None:
    documents = embedded(tmp_path, {"x": [0.0, 0.0], "y": [0.0, 0.0], "z": [1.0, 0.0]}, ["x", "y", "z"])
    queries = np.array([[0.0, 0.0], [-1.0, 0.0]], dtype=np.float32)
    run = exact_search(["zero", "away"], queries, Distinct.of(["a", "b", "c"], documents), 3)
    assert run.rankings["zero"].documents == ["c", "b", "a"]
    assert run.rankings["away"].documents == ["b", "a", "c"]


def test_no_queries_give_an_empty_run(tmp_path: Path) -> None:
    documents = embedded(tmp_path, {"x": [1.0]}, ["x"])
    assert exact_search([], np.empty((0, 1), np.float32), Distinct.of(["a"], documents), 3) == Run({})
