"""Which systems differ: paired tests over clusters of queries, corrected for how many were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dibs.scoring.measures import Values
from dibs.scoring.statistics import LEVEL, RESAMPLES, SEED, Estimate, cluster_weights

_SIGNS = 2_000_000
"""Signs held at once, 16 MB."""


@dataclass(frozen=True)
class Difference:
    """One system's mean less another's, on the same queries."""

    estimate: Estimate
    p: float
    """Two-sided, of the paired test; not corrected for other tests."""
    won: int
    """Queries on which the first is better."""
    lost: int
    tied: int


@dataclass(frozen=True)
class Comparison:
    """Systems that were measured on the same queries.

    The test is Fisher's randomisation test: if two systems did not differ, the sign of a difference
    would be chance's (Smucker, Allan and Carterette, CIKM 2007, 623-632). Queries of one cluster rise
    and fall together, so a whole cluster's signs are flipped at once. 10,000 flips with a fixed seed; a
    p value counts the observed one among them, so it is never 0.
    """

    values: Values
    """(queries, systems)"""
    clusters: Sequence[str] | None = None
    """A label a query; None makes each query its own cluster."""

    def difference(self, a: int, b: int) -> Difference:
        """System `a` less system `b`; the interval is of the cluster bootstrap that `estimate` makes."""
        less = self.values[:, a] - self.values[:, b]
        value, tail = float(less.mean()), (1 - LEVEL) / 2 * 100
        low, high = None, None
        if len(self._sums) > 1:
            resampled = self._resampled[a] - self._resampled[b]
            low, high = map(float, np.percentile(resampled, [tail, 100 - tail]))
        won, lost = int((less > 0).sum()), int((less < 0).sum())
        return Difference(Estimate(value, low, high), self.p_value(a, b), won, lost, len(less) - won - lost)

    def p_value(self, a: int, b: int) -> float:
        """How often chance alone gives a difference as large as that of systems `a` and `b`."""
        observed = abs(float((self._sums[:, a] - self._sums[:, b]).sum()))
        flipped = np.abs(self._flipped[a] - self._flipped[b])
        # Equal sums differ by rounding, as they are added up in another order.
        return (1 + int((flipped >= observed - 1e-9).sum())) / (1 + len(flipped))

    def ranks(self, level: float = 1 - LEVEL) -> list[int]:
        """Each system's rank; those that the tests do not separate from a group's best share its rank.

        The best system leads the first group. It is tested against every other, Holm's correction
        over these tests, and those whose corrected p value is not below `level` join it. The best of
        the rest leads the next group. A rank is 1 more than the number of systems in groups before.
        """
        means = self.values.mean(axis=0)
        rest = sorted(range(len(means)), key=lambda system: -means[system])
        ranks = [0] * len(means)
        while rest:
            leader, *others = rest
            corrected = holm([self.p_value(leader, other) for other in others])
            apart = [other for other, p in zip(others, corrected, strict=True) if p < level]
            for system in set(rest) - set(apart):
                ranks[system] = len(means) - len(rest) + 1
            rest = apart
        return ranks

    @cached_property
    def _labels(self) -> np.ndarray:
        if self.clusters is None:
            return np.arange(len(self.values))
        return np.unique(np.asarray(self.clusters), return_inverse=True)[1]

    @cached_property
    def _sums(self) -> Values:
        """(clusters, systems) each cluster's sum of values."""
        sums = np.zeros((int(self._labels.max(initial=-1)) + 1, self.values.shape[1]))
        np.add.at(sums, self._labels, self.values)
        return sums

    @cached_property
    def _resampled(self) -> Values:
        """(systems, resamples) means of the bootstrap; every system sees the same resamples."""
        sizes = np.bincount(self._labels).astype(np.float64)
        blocks = (
            weights @ self._sums / (weights @ sizes)[:, None] for weights in cluster_weights(len(sizes))
        )
        return np.ascontiguousarray(np.concatenate(list(blocks)).T)

    @cached_property
    def _flipped(self) -> Values:
        """(systems, flips) sums with the clusters' signs drawn by chance.

        A difference's flipped sum is the difference of two rows, so all pairs share these.
        """
        random = np.random.default_rng(SEED)
        number, total = len(self._sums), self._sums.sum(axis=0)
        block = max(1, _SIGNS // max(number, 1))
        flipped = []
        for begin in range(0, RESAMPLES, block):
            rows = min(block, RESAMPLES - begin)
            bits = np.frombuffer(random.bytes(rows * ((number + 7) // 8)), dtype=np.uint8)
            kept = np.unpackbits(bits.reshape(rows, -1), axis=1, count=number)
            flipped.append(2 * (kept.astype(np.float64) @ self._sums) - total)
        return np.ascontiguousarray(np.concatenate(flipped).T)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number: S. Holm, Scand. J. Stat. 6 (1979) 65-70."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = largest
    return corrected
