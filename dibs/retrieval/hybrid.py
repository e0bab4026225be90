"""Hybrid retrieval: several pipelines' runs, fused."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dibs.errors import unknown
from dibs.retrieval import fusion
from dibs.retrieval.base import Cost, Retrieved, Retriever, Search
from dibs.retrieval.run import Run

FUSIONS: dict[str, Callable[[Sequence[Run], Sequence[float] | None], Run]] = {
    "rrf": fusion.reciprocal_rank,
    "scores": fusion.weighted_scores,
}
"""Ways to fuse, by the names that `--fusion` takes."""


@dataclass(frozen=True)
class HybridRetriever:
    """The runs of its parts, fused; it searches nothing itself."""

    parts: tuple[Retriever, ...]
    fusion: str = "rrf"
    weights: tuple[float, ...] | None = None
    """One a part; None is equal ones."""

    def __post_init__(self) -> None:
        if self.fusion not in FUSIONS:
            raise unknown("fusion", self.fusion, FUSIONS)

    @property
    def name(self) -> str:
        how = "" if self.fusion == "rrf" else f" {self.fusion}"
        weights = "" if self.weights is None else " " + ":".join(f"{weight:.12g}" for weight in self.weights)
        return "+".join(part.name for part in self.parts) + how + weights

    def settings(self) -> dict[str, Any]:
        return {
            "retriever": "hybrid",
            "fusion": self.fusion,
            "constant": fusion.CONSTANT if self.fusion == "rrf" else None,
            "weights": self.weights,
            "parts": [part.settings() for part in self.parts],
        }

    def search(self, search: Search, k: int) -> Retrieved:
        """The k best of `search.runs`, one run for each part, in the order of the parts."""
        started = time.perf_counter()
        run = FUSIONS[self.fusion](search.runs, self.weights).top(k)
        return Retrieved(run, Cost(search=time.perf_counter() - started))
