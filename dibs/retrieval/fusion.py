"""Fusing runs: functions of stored runs, so that a hybrid costs nothing but its parts.

A document that a run does not rank gets no credit from it. BM25's runs hold no document that scores
zero, so none is credited for sharing no word with the query.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from dibs.encoders.base import FloatArray
from dibs.errors import InputError
from dibs.retrieval.run import Ranking, Run, rank

CONSTANT = 60
"""The constant of reciprocal rank fusion, as in its paper."""


def reciprocal_rank(
    runs: Sequence[Run], weights: Sequence[float] | None = None, constant: int = CONSTANT
) -> Run:
    """Score a document by the sum of weight / (constant + rank) over the runs that rank it.

    Cormack, Clarke and Büttcher, Reciprocal Rank Fusion outperforms Condorcet and individual Rank
    Learning Methods, SIGIR 2009, 758-759.

    Args:
        weights: One a run; None is 1 each, as in the paper.
        constant: 0 or more; the greater, the less the first ranks stand out.
    """
    if constant < 0:
        raise InputError(f"the constant of reciprocal rank fusion is {constant}", todo="Give 0 or more.")
    return _fuse(runs, weights, lambda ranking: 1 / (constant + np.arange(1, len(ranking.documents) + 1)))


def weighted_scores(runs: Sequence[Run], weights: Sequence[float] | None = None) -> Run:
    """Score a document by the weighted sum of its scores, each run's scaled to 0..1 for each query.

    The least score of a ranking becomes 0 and the greatest 1 (min-max); a ranking of equal scores
    becomes all 1. Fox and Shaw's CombSUM (TREC-2, 1994) with weights.

    Args:
        weights: One a run; None is equal ones.
    """
    return _fuse(runs, weights, _scaled)


def _scaled(ranking: Ranking) -> FloatArray:
    scores = ranking.scores
    spread = scores[0] - scores[-1]
    return (scores - scores[-1]) / spread if spread > 0 else np.ones_like(scores)


def _fuse(
    runs: Sequence[Run], weights: Sequence[float] | None, credit: Callable[[Ranking], np.ndarray]
) -> Run:
    chosen = [1.0] * len(runs) if weights is None else list(weights)
    if len(chosen) != len(runs) or not all(0 <= weight < math.inf for weight in chosen) or not any(chosen):
        shown = ", ".join(f"{weight:g}" for weight in chosen) or "none"
        problem = f"{len(runs)} runs and the weights {shown} cannot be fused"
        raise InputError(problem, todo="Give one weight a run, none negative, and not all of them 0.")
    queries = list(dict.fromkeys(query for run in runs for query in run.rankings))
    fused: dict[str, Ranking] = {}
    for query in queries:
        total: dict[str, float] = {}
        for run, weight in zip(runs, chosen, strict=True):
            ranking = run.rankings.get(query)
            if ranking is None or not ranking.documents or weight == 0:
                continue
            for document, value in zip(ranking.documents, credit(ranking).tolist(), strict=True):
                total[document] = total.get(document, 0.0) + weight * value
        # In float64, whose rounding is lost in float32: the ranks 1, 2, 3 tie with 3, 1, 2.
        fused[query] = rank(total)
    return Run(fused)
