"""How good a model is on the held-out pairs, by DIBS' own measures."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dibs.encoders.base import FloatArray, Role
from dibs.errors import InputError
from dibs.retrieval.run import Ranking, Run
from dibs.retrieval.top import best
from dibs.scoring.measures import Measure, score
from dibs.training.pairs import Pair, PairSet

MEASURE = Measure("recall", 10)
Encode = Callable[[Sequence[str], Role], FloatArray]
"""Texts to rows of length 1, (n, dimension)."""


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation found."""

    step: int
    """After so many steps of training; 0 is the base."""
    epoch: float
    recall: float
    """Mean recall@10 over the development queries."""
    loss: float
    """Mean negative log softmax of a query's document among all documents of the development corpus."""
    values: tuple[float, ...]
    """recall@10 of each query, in the order of the pairs."""


@dataclass(frozen=True)
class Development:
    """Held-out queries and what they are searched among: their own documents and some of others.

    A document may be there in two texts (a cloze query's has a sentence taken out): of a query's
    document, only the text it was paired with counts, and the other is left out of its ranking.
    """

    pairs: list[Pair]
    documents: list[str]
    """Distinct texts: those of the pairs, then the others."""
    others: int
    """How many of them belong to no development pair."""

    @classmethod
    def of(cls, pairs: PairSet, others: int, seed: int) -> Development:
        """The development pairs, and a seeded sample of the documents of training pairs.

        Raises:
            InputError: no pair is held out.
        """
        held = pairs.of("development")
        if not held:
            todo = "Synthesize pairs of more groups, so that some can be held out."
            raise InputError("no pair is held out for development", where=pairs.name, todo=todo)
        own = list(dict.fromkeys(pair.document for pair in held))
        left = sorted({pair.document for pair in pairs.of("train")} - set(own))
        drawn = random.Random(f"development documents {seed}").sample(left, min(others, len(left)))
        return cls(held, [*own, *drawn], len(drawn))

    def describe(self) -> dict[str, Any]:
        """What the measure is taken over, as JSON values."""
        groups = len({pair.group for pair in self.pairs})
        return {
            "measure": str(MEASURE),
            "queries": len(self.pairs),
            "groups": groups,
            "documents": len(self.documents),
            "of_other_pairs": self.others,
        }

    def evaluate(self, encode: Encode, temperature: float, *, step: int, epoch: float) -> Evaluation:
        """Search every query among the documents, exactly.

        Raises:
            InputError: a vector is not finite.
        """
        queries = encode([pair.query for pair in self.pairs], "query")
        scores = queries @ encode(self.documents, "document").T
        if not np.isfinite(scores).all():
            raise InputError(
                "the model gives vectors that are not finite", todo="Lower the learning rate, or leave bf16."
            )
        relevant, left_out = self._judged()
        scores[left_out] = -np.inf
        run, qrels = _rankings(scores, relevant)
        values = score(run, qrels, [MEASURE])[MEASURE]
        loss = _loss(scores / temperature, relevant, [self._places[pair.document] for pair in self.pairs])
        return Evaluation(step, epoch, float(values.mean()), loss, tuple(values.tolist()))

    @property
    def _places(self) -> dict[str, int]:
        return {text: place for place, text in enumerate(self.documents)}

    def _judged(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """(queries, documents) which documents answer a query, and which are other texts of these."""
        places = self._places
        texts: dict[str, set[int]] = {}
        answers: dict[str, set[int]] = {}
        ids: dict[str, set[str]] = {}
        for pair in self.pairs:
            texts.setdefault(pair.document_id, set()).add(places[pair.document])
            answers.setdefault(pair.query, set()).add(places[pair.document])
            ids.setdefault(pair.query, set()).add(pair.document_id)
        relevant = np.zeros((len(self.pairs), len(self.documents)), dtype=bool)
        same = np.zeros_like(relevant)
        for row, pair in enumerate(self.pairs):
            relevant[row, list(answers[pair.query])] = True
            same[row, [place for document in ids[pair.query] for place in texts[document]]] = True
        return relevant, same & ~relevant


def _rankings(scores: FloatArray, relevant: npt.NDArray[np.bool_]) -> tuple[Run, dict[str, dict[str, int]]]:
    names = [f"{place:09d}" for place in range(scores.shape[1])]
    backwards = scores[:, ::-1]  # of equal scores the greater id comes first, as everywhere
    rankings, qrels = {}, {}
    for row, values in enumerate(backwards):
        top = best(values, MEASURE.k)
        top = top[np.isfinite(values[top])]
        documents = [names[scores.shape[1] - 1 - place] for place in top]
        rankings[str(row)] = Ranking(documents, values[top].astype(np.float32))
        qrels[str(row)] = {names[place]: 1 for place in np.flatnonzero(relevant[row])}
    return Run(rankings), qrels


def _loss(logits: FloatArray, relevant: npt.NDArray[np.bool_], own: Sequence[int]) -> float:
    """Each query's own document against all that do not answer it."""
    from scipy.special import logsumexp

    rows = np.arange(len(own))
    positive = logits[rows, own].copy()
    against = np.where(relevant, -np.inf, logits)
    against[rows, own] = positive
    return float((logsumexp(against.astype(np.float64), axis=1) - positive).mean())
