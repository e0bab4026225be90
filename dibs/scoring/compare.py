"""Which systems differ: paired tests over clusters of queries, corrected for how many were made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dibs.scoring.measures import Values
from dibs.scoring.statistics import LEVEL, RESAMPLES, SEED, Estimate, cluster_weights

_SIGNS = 2_000_000
"""Signs held at once, 16 MB."""
_NEAR = 1.5
"""A p value within this factor of the level is near it."""
_FLIPS = 200_000
"""Flips for p values near the level of a test: with 10,000, chance would settle on which side they are."""
_MOST = 30_000_000
"""Signs drawn for those at most, a tenth of a second; from 750 clusters on there are no more flips."""


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
        over these tests, and those whose corrected p value is not below `level` join it; a p value near
        it is of up to 200,000 flips. The best of the rest leads the next group. A rank is 1 more than
        the number of systems in groups before.
        """
        means = self.values.mean(axis=0)
        rest = sorted(range(len(means)), key=lambda system: -means[system])
        ranks = [0] * len(means)
        while rest:
            leader, *others = rest
            corrected = holm(self._p_values(leader, others, level))
            apart = [other for other, p in zip(others, corrected, strict=True) if p < level]
            for system in set(rest) - set(apart):
                ranks[system] = len(means) - len(rest) + 1
            rest = apart
        return ranks

    def _p_values(self, leader: int, others: Sequence[int], level: float) -> list[float]:
        """Those of a leader against the others; what is near the level when corrected has more flips."""
        found = [self.p_value(leader, other) for other in others]
        near = [n for n, p in enumerate(holm(found)) if level / _NEAR < p < level * _NEAR]
        flips = min(_FLIPS, _MOST // max(1, len(self._sums)))
        if not near or flips < 4 * RESAMPLES:
            return found
        sums = self._sums[:, [leader]] - self._sums[:, [others[n] for n in near]]
        observed = np.abs(sums.sum(axis=0)) - 1e-9
        larger = sum((np.abs(block) >= observed).sum(axis=0) for block in _flips(sums, flips))
        for n, count in zip(near, larger, strict=True):
            found[n] = (1 + int(count)) / (1 + flips)
        return found

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
        return np.ascontiguousarray(np.concatenate(list(_flips(self._sums, RESAMPLES))).T)


def _flips(sums: Values, flips: int) -> Iterator[Values]:
    """(flips, systems) sums of the clusters' (clusters, systems), each cluster's sign drawn; in blocks."""
    random = np.random.default_rng(SEED)
    number, total = len(sums), sums.sum(axis=0)
    block = max(1, _SIGNS // max(number, 1))
    for begin in range(0, flips, block):
        rows = min(block, flips - begin)
        bits = np.frombuffer(random.bytes(rows * ((number + 7) // 8)), dtype=np.uint8)
        kept = np.unpackbits(bits.reshape(rows, -1), axis=1, count=number)
        yield 2 * (kept.astype(np.float64) @ sums) - total


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number: S. Holm, Scand. J. Stat. 6 (1979) 65-70."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = largest
    return corrected
