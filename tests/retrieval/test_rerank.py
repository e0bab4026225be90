from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dibs.data.dataset import Dataset
from dibs.errors import InputError, ProviderError
from dibs.retrieval.rerank import Reranked, movement, rerank
from dibs.retrieval.rerankers.base import Pair, Reranker, ScoredPairs
from dibs.retrieval.run import Run
from tests.toys import make_dataset

DOCUMENTS = {"d1": "one", "d2": "two", "d3": "three", "d4": "four", "d5": "five"}
QUERIES = {"q1": "first?", "q2": "second?"}
FIRST = Run.of(
    {
        "q1": {"d1": 9, "d2": 8, "d3": 7, "d4": 6, "d5": 5},
        "q2": {"d5": 0.5, "d4": 0.4, "d3": 0.3},
    },
    ["q1", "q2"],
)
SCORES = {
    "q1": {"d1": 0.1, "d2": 0.2, "d3": 0.9, "d4": 0.8, "d5": 1.0},
    "q2": {"d5": 0.5, "d4": 0.6, "d3": 0.7, "d1": 0.9},
}


class ToyReranker(Reranker):
    """Gives the scores it is told, a few pairs at a time and the last first."""

    def __init__(self, scores: dict[str, dict[str, float]] | None = None, **settings: Any) -> None:
        self.name = "toy"
        self.asked: list[Pair] = []
        self.failing: set[str] = set()
        """Queries that are passed over."""
        self._settings = settings
        self._scores = {
            Pair(QUERIES[query], DOCUMENTS[document]): score
            for query, documents in (scores or SCORES).items()
            for document, score in documents.items()
        }
        self._failures: list[str] = []
        self._billed = 0

    def settings(self) -> dict[str, Any]:
        return {"adapter": "toy", **self._settings}

    def stream(self, pairs: Sequence[Pair]) -> Iterator[ScoredPairs]:
        self.asked += pairs
        self._failures = [f"{query}: no luck" for query in sorted(self.failing)]
        good = [place for place, pair in enumerate(pairs) if pair.query not in self.failing]
        for start in range(0, len(good), 2):
            places = np.array(good[::-1][start : start + 2])
            self._billed += 10 * len(places)
            yield ScoredPairs(places, self._values([pairs[place] for place in places]))

    def _values(self, pairs: list[Pair]) -> np.ndarray:
        return np.array([self._scores[pair] for pair in pairs], dtype=np.float32)

    @property
    def failures(self) -> list[str]:
        return self._failures

    @property
    def billed_tokens(self) -> int | None:
        return self._billed

    @property
    def usd(self) -> float | None:
        return self._billed * 0.5


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "data", DOCUMENTS, QUERIES)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def go(reranker: Reranker, dataset: Dataset, cache: Path, candidates: int = 3, run: Run = FIRST) -> Reranked:
    return rerank(reranker, run, dataset, "{text}", candidates, cache)


def orders(reranked: Reranked) -> dict[str, list[str]]:
    return {query: ranking.documents for query, ranking in reranked.run.rankings.items()}


def test_candidates_are_ordered_by_score_and_the_others_stay_below(dataset: Dataset, cache: Path) -> None:
    done = go(ToyReranker(), dataset, cache)
    assert orders(done) == {"q1": ["d3", "d2", "d1", "d4", "d5"], "q2": ["d3", "d4", "d5"]}
    assert (done.failed, done.reasons, done.scored) == ([], [], 6)
    # A TREC file knows scores alone, so these fall, from the number of documents to 1.
    assert done.run.rankings["q1"].scores.tolist() == [5, 4, 3, 2, 1]
    assert Run.of(done.run.scores(), ["q1", "q2"]).scores() == done.run.scores()


def test_scores_are_stored_and_reused(dataset: Dataset, cache: Path) -> None:
    first = go(ToyReranker(), dataset, cache)
    again = ToyReranker()
    second = go(again, dataset, cache)
    assert orders(second) == orders(first)
    assert (again.asked, second.scored) == ([], 0)


def test_fewer_candidates_are_free_and_more_cost_the_new_ones(dataset: Dataset, cache: Path) -> None:
    reranker = ToyReranker()
    go(reranker, dataset, cache)
    reranker.asked.clear()
    assert orders(go(reranker, dataset, cache, 2))["q1"] == ["d2", "d1", "d3", "d4", "d5"]
    assert reranker.asked == []
    assert orders(go(reranker, dataset, cache, 4))["q1"] == ["d3", "d4", "d2", "d1", "d5"]
    assert reranker.asked == [Pair("first?", "four")]


def test_another_first_stage_pays_for_what_is_new(dataset: Dataset, cache: Path) -> None:
    reranker = ToyReranker()
    go(reranker, dataset, cache)
    reranker.asked.clear()
    other = Run.of({"q1": {"d3": 2, "d5": 1}, "q2": {"d1": 1}}, ["q1", "q2"])
    assert orders(go(reranker, dataset, cache, run=other)) == {"q1": ["d5", "d3"], "q2": ["d1"]}
    assert reranker.asked == [Pair("first?", "five"), Pair("second?", "one")]


def test_other_settings_are_another_store(dataset: Dataset, cache: Path) -> None:
    go(ToyReranker(), dataset, cache)
    other = ToyReranker(revision=2)
    assert go(other, dataset, cache).scored == len(other.asked) == 6


def test_a_failed_query_keeps_the_first_stages_order_and_is_tried_again(
    dataset: Dataset, cache: Path
) -> None:
    reranker = ToyReranker()
    reranker.failing = {"second?"}
    done = go(reranker, dataset, cache)
    assert orders(done) == {"q1": ["d3", "d2", "d1", "d4", "d5"], "q2": ["d5", "d4", "d3"]}
    assert done.run.rankings["q2"] == FIRST.rankings["q2"]
    assert (done.failed, done.reasons, done.scored) == (["q2"], ["second?: no luck"], 3)
    reranker.failing.clear()
    reranker.asked.clear()
    better = go(reranker, dataset, cache)
    assert orders(better)["q2"] == ["d3", "d4", "d5"]
    assert {pair.query for pair in reranker.asked} == {"second?"}
    assert (better.failed, better.reasons) == ([], [])


def test_old_failures_are_not_told_where_nothing_had_to_be_scored(dataset: Dataset, cache: Path) -> None:
    reranker = ToyReranker()
    go(reranker, dataset, cache, 2)
    reranker.failing = {"second?"}
    assert go(reranker, dataset, cache, 3).reasons == ["second?: no luck"]
    assert go(reranker, dataset, cache, 2).reasons == []


def test_equal_scores_keep_the_first_stages_order(dataset: Dataset, cache: Path) -> None:
    level = {query: dict.fromkeys(scores, 0.5) for query, scores in SCORES.items()}
    level["q1"]["d3"] = 0.75
    done = go(ToyReranker(level), dataset, cache, 5)
    assert orders(done) == {"q1": ["d3", "d1", "d2", "d4", "d5"], "q2": ["d5", "d4", "d3"]}


def test_pairs_of_equal_texts_are_scored_once_and_tie(tmp_path: Path, cache: Path) -> None:
    documents = {"b": "one", "a": "one", "c": "two"}
    dataset = make_dataset(tmp_path / "data", documents, {"q1": "first?", "q2": "first?"})
    run = Run.of({"q1": {"b": 3, "a": 2, "c": 1}, "q2": {"c": 3, "a": 2, "b": 1}}, ["q1", "q2"])
    reranker = ToyReranker()
    done = go(reranker, dataset, cache, run=run)
    assert reranker.asked == [Pair("first?", "one"), Pair("first?", "two")]
    assert orders(done) == {"q1": ["c", "b", "a"], "q2": ["c", "a", "b"]}
    assert done.scored == 2


def test_where_a_query_ends_and_its_document_begins_counts(tmp_path: Path, cache: Path) -> None:
    dataset = make_dataset(tmp_path / "data", {"d1": "bc", "d2": "c"}, {"q1": "a", "q2": "ab"})
    run = Run.of({"q1": {"d1": 1}, "q2": {"d2": 1}}, ["q1", "q2"])

    class Lengths(ToyReranker):
        def _values(self, pairs: list[Pair]) -> np.ndarray:
            return np.array([len(pair.document) for pair in pairs], dtype=np.float32)

    assert go(Lengths(), dataset, cache, run=run).scored == 2


def test_the_pairs_of_a_query_stand_together_in_the_first_stages_order(dataset: Dataset, cache: Path) -> None:
    reranker = ToyReranker()
    go(reranker, dataset, cache)
    assert [pair.query for pair in reranker.asked] == ["first?"] * 3 + ["second?"] * 3
    assert [pair.document for pair in reranker.asked] == ["one", "two", "three", "five", "four", "three"]


def test_empty_rankings_stay_and_ask_nobody(dataset: Dataset, cache: Path) -> None:
    reranker = ToyReranker()
    done = go(reranker, dataset, cache, run=Run.of({}, ["q1", "q2"]))
    assert orders(done) == {"q1": [], "q2": []}
    assert (done.failed, reranker.asked) == ([], [])


def test_what_was_scored_before_a_failure_is_kept(dataset: Dataset, cache: Path) -> None:
    class Dying(ToyReranker):
        def stream(self, pairs: Sequence[Pair]) -> Iterator[ScoredPairs]:
            yield next(super().stream(pairs))
            raise ProviderError("the server has gone")

    with pytest.raises(ProviderError, match="has gone"):
        go(Dying(), dataset, cache)
    assert go(ToyReranker(), dataset, cache).scored == 4


@pytest.mark.parametrize("bad", [[np.nan, 0.5], [np.inf, 0.5], [0.5], [[0.5], [0.5]]])
def test_scores_that_cannot_be_used_are_refused(dataset: Dataset, cache: Path, bad: Any) -> None:
    class Bad(ToyReranker):
        def _values(self, pairs: list[Pair]) -> np.ndarray:
            return np.array(bad, dtype=np.float32)

    with pytest.raises(ProviderError, match="not finite, or not one score"):
        go(Bad(), dataset, cache)
    assert go(ToyReranker(), dataset, cache).scored == 6


def _damage(cache: Path) -> None:
    (vectors,) = cache.rglob("*.vec")
    content = bytearray(vectors.read_bytes())
    content[0] ^= 0xFF
    vectors.write_bytes(content)


def test_a_damaged_score_is_made_anew(dataset: Dataset, cache: Path) -> None:
    first = go(ToyReranker(), dataset, cache)
    _damage(cache)
    with pytest.warns(UserWarning, match="are damaged and made anew"):
        second = go(ToyReranker(), dataset, cache)
    assert second.scored == 1
    assert orders(second) == orders(first)


def test_a_damaged_score_is_not_used_where_it_cannot_be_made_anew(dataset: Dataset, cache: Path) -> None:
    go(ToyReranker(), dataset, cache)
    _damage(cache)
    reranker = ToyReranker()
    reranker.failing = {"first?", "second?"}
    with pytest.warns(UserWarning, match="are damaged and made anew"):
        done = go(reranker, dataset, cache)
    (failed,) = done.failed
    assert done.run.rankings[failed] == FIRST.rankings[failed]


def test_cost_is_that_of_this_reranking(dataset: Dataset, cache: Path) -> None:
    reranker = ToyReranker()
    first = go(reranker, dataset, cache)
    second = go(reranker, dataset, cache, 4)
    assert (first.billed_tokens, first.usd) == (60, 30)
    assert (second.billed_tokens, second.usd) == (10, 5)
    assert go(reranker, dataset, cache).billed_tokens == 0


@pytest.mark.parametrize(
    ("scores", "words"),
    [({"q1": {"d9": 1.0}}, "has the document 'd9'"), ({"q9": {"d1": 1.0}}, "has the query 'q9'")],
)
def test_a_run_of_other_data_is_refused(
    dataset: Dataset, cache: Path, scores: dict[str, dict[str, float]], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        go(ToyReranker(), dataset, cache, run=Run.of(scores, list(scores)))


def test_documents_below_the_candidates_may_be_strangers(dataset: Dataset, cache: Path) -> None:
    run = Run.of({"q1": {"d1": 3, "d3": 2, "d9": 1}}, ["q1"])
    assert orders(go(ToyReranker(), dataset, cache, 2, run)) == {"q1": ["d3", "d1", "d9"]}


@pytest.mark.parametrize("candidates", [0, -1])
def test_no_candidates_are_refused(dataset: Dataset, cache: Path, candidates: int) -> None:
    with pytest.raises(InputError, match="leave nothing to rerank"):
        go(ToyReranker(), dataset, cache, candidates)


def test_movement_names_what_was_missing_pulled_in_and_pushed_out() -> None:
    queries = ["q1", "q2", "q3"]
    before = Run.of({"q1": {"a": 4, "b": 3, "c": 2, "d": 1}, "q2": {"a": 2, "b": 1}}, queries)
    after = Run.of({"q1": {"c": 4, "b": 3, "a": 2, "d": 1}, "q2": {"a": 2, "b": 1}}, queries)
    qrels = {
        "q1": {"a": 1, "b": 2, "c": 1, "d": 1, "z": 1, "y": 0},
        "q2": {"a": 1, "b": 0},
        "q3": {"a": 1},
        "q4": {"a": 1},
    }
    moved = movement(before, after, qrels, candidates=3, k=2)
    assert moved.missing == [("q1", "d"), ("q1", "z"), ("q3", "a")]
    assert moved.pulled_in == [("q1", "c")]
    assert moved.pushed_out == [("q1", "a")]


def test_movement_of_queries_without_judgements_is_none() -> None:
    run = Run.of({"q1": {"a": 1}}, ["q1"])
    moved = movement(run, run, {}, candidates=30, k=10)
    assert (moved.missing, moved.pulled_in, moved.pushed_out) == ([], [], [])
