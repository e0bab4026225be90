"""How sure a mean over queries is: percentile bootstrap over clusters of queries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from dibs.scoring.measures import Values

SEED = 20250220
RESAMPLES = 10_000
LEVEL = 0.95
_DRAWN = 4_000_000
"""Cluster draws held at once, 32 MB."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval; `low` and `high` are None with fewer than two clusters."""

    value: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        return (
            f"{self.value:.3f}" if self.low is None else f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"
        )

    def as_dict(self) -> dict[str, float | None]:
        """As JSON writes it."""
        return asdict(self)


def estimate(values: npt.NDArray[np.float64], clusters: Sequence[str] | None = None) -> list[Estimate]:
    """Means over queries and their intervals, one for each column of `values`.

    Queries of one cluster (FinanceBench: of one filing) rise and fall together, so whole clusters are
    drawn with replacement, and a resample's mean is taken over the queries it holds: the cluster
    bootstrap of Field and Welsh, J. R. Stat. Soc. B 69 (2007) 369-390; percentile limits after Efron
    and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. All columns see the same
    resamples. Seed and number of resamples are fixed, so the same values give the same limits.

    Where every query scored 0, or every query 1, resamples show no spread, which is not certainty:
    the limits are then those of Clopper and Pearson, Biometrika 26 (1934) 404-413, with a cluster as
    one trial.

    Args:
        values: (queries, columns)
        clusters: A label a query; None makes each query its own cluster.
    """
    queries = len(values)
    labels = (
        np.arange(queries) if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
    )
    number = int(labels.max()) + 1 if queries else 0
    means = values.mean(axis=0) if queries else np.full(values.shape[1], np.nan)
    if number < 2:
        return [Estimate(float(mean), None, None) for mean in means]
    sums = np.zeros((number, values.shape[1]))
    np.add.at(sums, labels, values)
    sizes = np.bincount(labels, minlength=number).astype(np.float64)
    resampled = np.concatenate(
        [weights @ sums / (weights @ sizes)[:, None] for weights in cluster_weights(number)]
    )
    tail = (1 - LEVEL) / 2 * 100
    low, high = np.percentile(resampled, [tail, 100 - tail], axis=0)
    return [
        _all_or_nothing(float(m), number)
        if (column == column[0]).all() and m in (0.0, 1.0)
        else Estimate(float(m), float(a), float(b))
        for m, a, b, column in zip(means, low, high, values.T, strict=True)
    ]


def _all_or_nothing(mean: float, trials: int) -> Estimate:
    from scipy.stats import binomtest

    limits = binomtest(trials if mean else 0, trials).proportion_ci(LEVEL, method="exact")
    return Estimate(mean, float(limits.low), float(limits.high))


def cluster_weights(
    number: int, *, seed: Sequence[int] | None = None, resamples: int = RESAMPLES
) -> Iterator[Values]:
    """How often each of `number` clusters is drawn, (resamples, number), in blocks."""
    random = np.random.default_rng(SEED if seed is None else seed)
    block = max(1, _DRAWN // number)
    for begin in range(0, resamples, block):
        rows = min(block, resamples - begin)
        drawn = random.integers(number, size=(rows, number)) + np.arange(rows)[:, None] * number
        yield np.bincount(drawn.ravel(), minlength=rows * number).reshape(rows, number).astype(np.float64)
