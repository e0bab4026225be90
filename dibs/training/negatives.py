"""Hard negatives: documents that a run ranks high for a query and that do not answer it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from dibs.errors import InputError
from dibs.retrieval.run import Ranking, Run
from dibs.training.pairs import Pair


@dataclass(frozen=True)
class Mined:
    """Each pair's negatives, and how hard they are."""

    negatives: list[tuple[str, ...]]
    """Texts of documents, as many for every pair."""
    hard: int
    """Of them, those that came from the run."""
    drawn: int
    """Those that were drawn at random, since the run had too few that are surely negative."""
    too_near: int
    """Documents that were passed over since they score about as high as the positive, or higher."""

    def as_dict(self) -> dict[str, int]:
        """The counts."""
        return {"hard": self.hard, "drawn": self.drawn, "too_near": self.too_near}


def mine(pairs: Sequence[Pair], run: Run, count: int, margin: float, seed: int) -> Mined:
    """The best-ranked documents of each pair's query that score clearly below its own document.

    Such a score is at most `s - margin * |s|`, where s is the score of the pair's document: the
    positive-aware mining of Moreira et al., NV-Retriever (arXiv 2407.15831), which takes 95 % as the
    limit. Without it many "negatives" are answers that nobody labelled. A pair whose own document is
    not in the ranking has no limit, so it gets none of it. Documents that any pair gives as an answer
    to the same query, and those of equal text, are never negatives. What is lacking is drawn at random,
    from those that were passed over only where no others are left; no document comes twice for a pair.

    Args:
        run: Rankings by the place of each pair, of the ids of the pairs' documents.
        count: Negatives of each pair.

    Raises:
        InputError: there are fewer documents than a pair needs.
    """
    documents = {pair.document_id: pair.document for pair in pairs}
    sharing: dict[str, set[str]] = {}
    for name, text in documents.items():
        sharing.setdefault(text, set()).add(name)
    answers: dict[str, set[str]] = {}
    for pair in pairs:
        answers.setdefault(pair.query, set()).update({pair.document_id}, sharing.get(pair.document, set()))
    every, draw = sorted(documents), random.Random(f"negatives {seed}")
    found: list[tuple[str, ...]] = []
    hard = too_near = 0
    for place, pair in enumerate(pairs):
        own = answers[pair.query]
        if len(every) - len(own) < count:
            problem = f"there are {len(every):,} documents, too few for {count} negatives of each pair"
            raise InputError(problem, todo="Ask for fewer, or synthesize pairs of more documents.")
        below, near = _below(run.rankings[str(place)], pair.document_id, own, margin)
        chosen = below[:count]
        hard, too_near = hard + len(chosen), too_near + len(near)
        barred = own | near if len(every) - len(own | near) >= count else own
        while len(chosen) < count:
            name = draw.choice(every)
            if name not in barred and name not in chosen:
                chosen.append(name)
        found.append(tuple(documents[name] for name in chosen))
    return Mined(found, hard, count * len(pairs) - hard, too_near)


def _below(ranking: Ranking, positive: str, own: set[str], margin: float) -> tuple[list[str], set[str]]:
    """The ids that score at or below the limit, best first, and those above it."""
    scores = dict(zip(ranking.documents, ranking.scores.tolist(), strict=True))
    others = [name for name in ranking.documents if name not in own]
    if positive not in scores:
        return [], set(others)
    limit = scores[positive] - margin * abs(scores[positive])
    below = [name for name in others if scores[name] <= limit]
    return below, set(others) - set(below)
