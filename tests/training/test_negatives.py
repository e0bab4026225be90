from __future__ import annotations

import pytest

from dibs.errors import InputError
from dibs.retrieval.run import Run
from dibs.training.negatives import mine
from dibs.training.pairs import Pair


def pair(query: str, document: str, text: str | None = None) -> Pair:
    return Pair(query, document, text or f"text of {document}", "lookup", document, "train")


PAIRS = [pair("one", "a"), pair("two", "b"), pair("three", "c"), pair("four", "d")]


def run(*rankings: dict[str, float]) -> Run:
    return Run.of({str(place): ranking for place, ranking in enumerate(rankings)}, list("0123"))


def test_the_best_of_those_clearly_below_the_positive_are_taken() -> None:
    found = mine(PAIRS, run({"b": 0.99, "a": 1.0, "c": 0.95, "d": 0.5}), 2, 0.05, seed=1)
    assert found.negatives[0] == ("text of c", "text of d")


def test_what_scores_as_high_as_the_positive_is_passed_over_and_counted() -> None:
    rankings = [{"a": 0.8, "b": 0.9, "c": 0.77, "d": 0.1}] + [{}] * 3
    found = mine(PAIRS, run(*rankings), 1, 0.05, seed=1)
    assert found.negatives[0] == ("text of d",)
    assert found.as_dict() == {"hard": 1, "drawn": 3, "too_near": 2}


def test_the_margin_lowers_the_limit_where_scores_are_negative() -> None:
    found = mine(PAIRS, run({"a": -1.0, "b": -1.02, "c": -1.2}), 1, 0.05, seed=1)
    assert found.negatives[0] == ("text of c",)


def test_what_is_passed_over_is_not_drawn_where_others_are_left() -> None:
    pairs = [*PAIRS, pair("five", "e"), pair("six", "f")]
    rankings: dict[str, dict[str, float]] = {str(n): {} for n in range(6)}
    rankings["0"] = {"a": 0.8, "b": 0.9, "c": 0.85}
    for seed in range(20):
        found = mine(pairs, Run.of(rankings, list("012345")), 3, 0.05, seed)
        assert set(found.negatives[0]) == {"text of d", "text of e", "text of f"}


def test_a_pair_whose_document_was_not_found_gets_drawn_ones() -> None:
    found = mine(PAIRS, run({"b": 0.9, "c": 0.2}), 2, 0.05, seed=1)
    assert found.hard == 0
    assert found.too_near == 2
    assert len(set(found.negatives[0])) == 2
    assert "text of a" not in found.negatives[0]


def test_no_answer_to_the_same_query_and_no_document_of_equal_text_is_negative() -> None:
    pairs = [pair("one", "a"), pair("one", "b"), pair("two", "c", "text of a"), pair("three", "d")]
    scores = {"a": 1.0, "b": 0.5, "c": 0.4, "d": 0.3}
    found = mine(pairs, run(scores, scores), 1, 0.05, seed=1)
    assert found.negatives[0] == found.negatives[1] == ("text of d",)


def test_the_same_seed_draws_the_same() -> None:
    made = [mine(PAIRS, run(), 2, 0.05, seed=seed).negatives for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]


def test_too_few_documents_are_refused() -> None:
    with pytest.raises(InputError, match="4 documents, too few for 4 negatives"):
        mine(PAIRS, run(), 4, 0.05, seed=1)
