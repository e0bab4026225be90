"""A task's queries in two: those that a choice is made on, and those that it is reported on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dibs.errors import InputError
from dibs.scoring.statistics import SEED

FEW_QUERIES, FEW_CLUSTERS = 100, 30
"""Fewer than these in a half are warned of: at .5, 100 queries have a half-width of 10 points, and the
bootstrap's limits are too narrow where few clusters are drawn."""


@dataclass(frozen=True)
class Split:
    """Which queries choose. Queries of one cluster are in one half."""

    development: npt.NDArray[np.bool_]
    """(n,) whether a query is one of those that choose."""
    clusters: tuple[int, int]
    """How many there are in development and held out."""

    @property
    def queries(self) -> tuple[int, int]:
        """How many there are in development and held out."""
        chosen = int(self.development.sum())
        return chosen, len(self.development) - chosen

    def weaknesses(self) -> list[str]:
        """What is to be said of halves that are too small; empty where they are not."""
        halves = zip(("choose", "test the choice"), self.queries, self.clusters, strict=True)
        return [
            f"only {queries} queries in {clusters} clusters {do}: a difference between two configurations "
            f"is hardly seen on them below {100 * visible(queries):.0f} points"
            for do, queries, clusters in halves
            if queries < FEW_QUERIES or clusters < FEW_CLUSTERS
        ]


def split(
    queries: Sequence[str], clusters: Sequence[str] | None, share: float = 0.5, seed: int = SEED
) -> Split:
    """Draw whole clusters for development, as many as come nearest to `share` of them.

    Clusters stand in the order of a seeded hash of their value and the first are taken: the draw
    depends on neither the order nor the scores of queries, and a corpus that grows moves few of them.

    Args:
        queries: Their ids.
        clusters: A label a query; None makes each query its own cluster.

    Raises:
        InputError: the share is not between 0 and 1, or there are fewer than two clusters.
    """
    if not 0 < share < 1:
        raise InputError(f"the development share is {share:g}", todo="Give a number between 0 and 1.")
    labels = list(queries if clusters is None else clusters)
    drawn = sorted(set(labels), key=lambda label: hashlib.sha256(f"{seed}\0{label}".encode()).digest())
    if len(drawn) < 2:
        raise InputError(f"{len(drawn)} clusters of queries cannot be split", todo="Give a task with more.")
    count = min(max(1, round(share * len(drawn))), len(drawn) - 1)
    chosen = set(drawn[:count])
    return Split(np.array([label in chosen for label in labels]), (count, len(drawn) - count))


def visible(queries: int) -> float:
    """The smallest paired difference of success rates that is seen with 80 % power at the level .05.

    2.8 sqrt(d / n), where the two differ on a share d = .2 of n independent queries: the normal form of
    McNemar's test (Connor, Biometrics 43 (1987) 207-211). For 150 queries 10.2 points.
    """
    return float(2.8 * np.sqrt(0.2 / queries))
