"""Shares with their resamples, so that whatever is computed from several shares gets an interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dibs.scoring.statistics import LEVEL, RESAMPLES, SEED, Estimate, cluster_weights

Floats = npt.NDArray[np.float64]
Draws = npt.NDArray[np.float64]
"""A number as the sample has it, then as each of its resamples does: (1 + resamples, ...). Arithmetic on
draws of one sample is paired; draws of two samples (two `stream`s) are independent. NaN: that resample
says nothing."""


def shares(found: Floats, of: Floats, *, stream: int = 0, resamples: int = RESAMPLES) -> Draws:
    """The share `found / of` of each column, resampled by whole clusters.

    Where all or nothing was found, resampled clusters show no spread; the draws are then of Beta(found +
    1/2, rest + 1/2) with a cluster as one trial (Jeffreys' limits: Brown, Cai and DasGupta, Statistical
    Science 16 (2001) 101-133). Fewer than two clusters say nothing of the spread.

    Args:
        found: (clusters, columns) counts.
        of: (clusters, columns) counts that `found` are among.
        stream: Which sample it is; each has resamples of its own.

    Returns:
        (1 + resamples, columns)
    """
    number, columns = of.shape
    with np.errstate(invalid="ignore"):  # 0 of 0 is NaN
        share = found.sum(axis=0) / of.sum(axis=0)
        if number < 2:
            return np.vstack([share, np.full((resamples, columns), np.nan)])
        blocks = cluster_weights(number, seed=[SEED, stream], resamples=resamples)
        draws = np.concatenate([[share], *(drawn @ found / (drawn @ of) for drawn in blocks)])
    random = np.random.default_rng([SEED, stream, 1])
    for column in np.flatnonzero((found == 0).all(axis=0) | (found == of).all(axis=0)):
        trials = np.count_nonzero(of[:, column])
        hits = trials if found[:, column].any() else 0
        draws[1:, column] = random.beta(hits + 0.5, trials - hits + 0.5, resamples)
    return draws


def interval(draws: Draws, least: float = 0.0, most: float = 1.0) -> Estimate:
    """The sample's value with its percentile interval.

    A resample that says nothing counts as `least` for the lower limit and as `most` for the upper; no
    limit lies beyond these.

    Args:
        draws: (1 + resamples,)
    """
    tail = (1 - LEVEL) / 2 * 100
    low = np.percentile(np.nan_to_num(draws[1:], nan=least), tail)
    high = np.percentile(np.nan_to_num(draws[1:], nan=most), 100 - tail)
    return Estimate(float(draws[0]), max(float(low), least), min(float(high), most))


def by_cluster(columns: Floats, clusters: Sequence[str] | None) -> Floats:
    """Sums of the rows of each cluster; without clusters, the rows themselves.

    Args:
        columns: (n, columns)
        clusters: A label a row.

    Returns:
        (clusters, columns)
    """
    if clusters is None:
        return columns
    names, labels = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.zeros((len(names), columns.shape[1]))
    np.add.at(sums, labels, columns)
    return sums
