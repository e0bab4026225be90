"""Reranking a stored run: every pair of a query and a document is scored once, and kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from dibs.data.dataset import Dataset, Qrels
from dibs.encoders.base import FloatArray
from dibs.encoders.embed import missing
from dibs.encoders.vectors import Keys, VectorStore, text_keys
from dibs.errors import InputError, ProviderError
from dibs.progress import track
from dibs.retrieval.rerankers.base import Pair, Reranker, ScoredPairs
from dibs.retrieval.run import Ranking, Run

_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True)
class Reranked:
    """A run whose candidates were put in a new order, and what that took."""

    run: Run
    failed: list[str]
    """Queries that could not be scored; they keep the first stage's order."""
    reasons: list[str]
    """What went wrong with them."""
    scored: int
    """Pairs that had to be scored; the others were in the store, or repeat one of these."""
    documents: int
    """Those of these pairs, each counted once."""
    seconds: float
    """Spent on scoring."""
    billed_tokens: int | None = None
    """As the provider said; None for a local model."""
    usd: float | None = None


@dataclass(frozen=True)
class Movement:
    """What a reranker did to the gold documents, each a list of (query, document)."""

    missing: list[tuple[str, str]] = field(default_factory=list)
    """Not among the candidates: no reranker can help."""
    pulled_in: list[tuple[str, str]] = field(default_factory=list)
    """Within the first k after, not before."""
    pushed_out: list[tuple[str, str]] = field(default_factory=list)
    """Within the first k before, not after."""


def rerank(
    reranker: Reranker, run: Run, dataset: Dataset, template: str, candidates: int, cache: Path
) -> Reranked:
    """Put each query's first `candidates` documents in the order of the reranker's scores.

    Scores are kept in a store below `cache`, by both texts, so fewer candidates, another first stage
    and a second try after a failure score only what is new. Documents below the candidates stay
    below them, in the first stage's order. Equal scores keep the first stage's order; pairs of equal
    texts are scored once, so that their scores are equal.

    Raises:
        InputError: the run has a query or document that the data set lacks, or there are no candidates.
        ProviderError: the reranker failed, or gave scores that cannot be used; good ones are kept.
    """
    if candidates < 1:
        raise InputError(f"{candidates} candidates leave nothing to rerank", todo="Give 1 or more.")
    pairs = candidate_pairs(run.top(candidates), dataset, template)
    keys = pair_keys(pairs)
    store = VectorStore(cache / "scores", reranker.name, reranker.settings(), dimension=1)
    lacking = missing(store, keys)
    billed, usd = reranker.billed_tokens, reranker.usd
    scored = np.zeros(len(lacking), dtype=bool)
    started = time.perf_counter()
    with track(f"Reranking with {reranker.name}", len(pairs), "pairs") as advance:
        advance(len(pairs) - len(lacking))
        for batch in reranker.stream([pairs[place] for place in lacking]) if len(lacking) else ():
            _check(reranker, batch)
            store.append(keys[lacking[batch.positions]], batch.scores[:, None], None)
            scored[batch.positions] = True
            advance(len(batch.positions))
    seconds = time.perf_counter() - started
    store.reload()
    scores = _scores(store, keys, lost=keys[lacking[~scored]])
    rankings, failed, start = {}, [], 0
    for query, ranking in run.rankings.items():
        mine = scores[start : (start := start + min(candidates, len(ranking.documents)))]
        if np.isnan(mine).any():
            failed.append(query)
            rankings[query] = ranking
        else:
            rankings[query] = _reordered(ranking, mine)
    return Reranked(
        Run(rankings),
        failed,
        reranker.failures if len(lacking) else [],
        int(scored.sum()),
        len({pairs[place].document for place in lacking[scored]}),
        seconds,
        _spent(billed, reranker.billed_tokens),
        _spent(usd, reranker.usd),
    )


def pair_keys(pairs: Sequence[Pair]) -> Keys:
    """(n,) what the store of scores knows each pair by."""
    return text_keys([f"{len(pair.query)}:{pair.query}{pair.document}" for pair in pairs])


def candidate_pairs(candidates: Run, dataset: Dataset, template: str) -> list[Pair]:
    """The texts of each query and its documents, query by query in the run's order.

    Raises:
        InputError: the run has a query or document that the data set lacks.
    """
    wanted = {document for ranking in candidates.rankings.values() for document in ranking.documents}
    named = zip(dataset.document_ids, dataset.document_texts(template), strict=True)
    texts = {name: text for name, text in named if name in wanted}
    queries = dict(zip(dataset.query_ids, dataset.query_texts(), strict=True))
    for kind, lacking in (
        ("query", candidates.rankings.keys() - queries.keys()),
        ("document", wanted - texts.keys()),
    ):
        if lacking:
            problem = f"the run has the {kind} {min(lacking)!r}, which {dataset.info.task} lacks"
            raise InputError(problem, todo="Rerank a run of the same data.")
    return [
        Pair(queries[query], texts[document])
        for query, ranking in candidates.rankings.items()
        for document in ranking.documents
    ]


def _check(reranker: Reranker, batch: ScoredPairs) -> None:
    if batch.scores.shape != batch.positions.shape or not np.isfinite(batch.scores).all():
        problem = "gave a score that is not finite, or not one score for each pair"
        raise ProviderError(problem, where=reranker.name, todo="Run again; what was scored before is kept.")


def _scores(store: VectorStore, keys: Keys, lost: Keys) -> FloatArray:
    """(n,) the score of each pair; NaN where there is none.

    Args:
        lost: Keys of pairs that could not be scored; a row of theirs in the store is damaged.
    """
    rows = store.find(keys)
    there = (rows >= 0) & ~np.isin(keys, lost)
    scores = np.full(len(keys), np.nan, dtype=np.float32)
    scores[there] = store.vectors(rows[there])[:, 0]
    return scores


def _spent(before: _Number | None, after: _Number | None) -> _Number | None:
    return None if before is None or after is None else after - before


def _reordered(ranking: Ranking, scores: np.ndarray) -> Ranking:
    """The ranking with its head in the order of `scores` and its tail as it was.

    A run has one descending score, so scores are replaced by places: n for the first, 1 for the last.
    """
    order = np.argsort(-scores, kind="stable")
    documents = [ranking.documents[place] for place in order] + ranking.documents[len(scores) :]
    return Ranking(documents, np.arange(len(documents), 0, -1, dtype=np.float32))


def movement(before: Run, after: Run, qrels: Qrels, candidates: int, k: int) -> Movement:
    """What happened to each gold document between the first stage and the reranked run."""
    moved = Movement()
    for query, ranking in before.rankings.items():
        old, new = ranking.documents, after.rankings[query].documents
        reachable, was, now = set(old[:candidates]), set(old[:k]), set(new[:k])
        for document in (name for name, grade in qrels.get(query, {}).items() if grade > 0):
            if document not in reachable:
                moved.missing.append((query, document))
            if document in now - was:
                moved.pulled_in.append((query, document))
            if document in was - now:
                moved.pushed_out.append((query, document))
    return moved
