from __future__ import annotations

import numpy as np
import pytest

from dibs.retrieval.run import rank
from dibs.retrieval.top import best, id_order


def test_ids_run_from_the_greatest_to_the_least_as_texts() -> None:
    ids = ["d1", "d10", "d2", "D3", "é", "d"]
    assert [ids[place] for place in id_order(ids)] == ["é", "d2", "d10", "d1", "d", "D3"]


def test_no_ids_have_an_empty_order() -> None:
    assert id_order([]).tolist() == []


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6, 9])
def test_ties_across_the_last_place_go_to_the_earlier(k: int) -> None:
    scores = np.array([0.5, 1.0, 0.5, 2.0, 0.5, 1.0], dtype=np.float32)
    assert best(scores, k).tolist() == [3, 1, 5, 0, 2, 4][:k]


def test_of_equal_scores_the_first_k_are_chosen() -> None:
    assert best(np.zeros(1000, np.float32), 3).tolist() == [0, 1, 2]


def test_of_no_scores_none_are_chosen() -> None:
    assert best(np.empty(0, np.float32), 3).tolist() == []


@pytest.mark.parametrize("seed", range(10))
def test_with_the_order_of_ids_it_is_the_ranking_order(seed: int) -> None:
    chance = np.random.default_rng(seed)
    ids = [f"d{number}" for number in chance.permutation(60)]
    scores = chance.integers(0, 5, size=60).astype(np.float32)
    order = id_order(ids)
    for k in (1, 7, 59, 60, 100):
        found = [ids[order[place]] for place in best(scores[order], k)]
        assert found == rank(dict(zip(ids, scores.tolist(), strict=True))).top(k).documents
