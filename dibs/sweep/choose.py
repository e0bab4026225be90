"""The choice of a sweep, made on the development queries alone, and what it is worth on the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dibs.scoring.compare import Comparison, Difference
from dibs.scoring.measures import Values
from dibs.scoring.statistics import Estimate, estimate

_SAME = 12
"""Decimals in which two means are one: sums in another order differ by less."""


@dataclass(frozen=True)
class Choice:
    """Configurations by their place in the grid; 0 is the model's own card."""

    chosen: int
    """The best on the development queries."""
    hindsight: int
    """The best on the held-out queries: what choosing on the test queries would have shown."""
    development: Values
    """(configurations,) means over the development queries."""
    held_out: list[Estimate]
    """Of each configuration, over the held-out queries."""
    against_default: Difference
    """The chosen one less the card's own, on the held-out queries."""

    @property
    def optimism(self) -> float:
        """By how much choosing on the held-out queries would have overstated what choosing gives."""
        return self.held_out[self.hindsight].value - self.held_out[self.chosen].value


def choose(
    values: Values,
    development: npt.NDArray[np.bool_],
    clusters: Sequence[str] | None,
    distances: Sequence[float],
) -> Choice:
    """Choose among configurations.

    Args:
        values: (queries, configurations) of the task's main measure.
        development: (queries,) whether a query may choose.
        clusters: A label a query, for the intervals.
        distances: How far each configuration is from the model's own card; of equally good ones the
            nearest is taken, and of these the first.
    """
    tested = values[~development]
    labels = None if clusters is None else np.asarray(clusters)[~development].tolist()
    chosen = best(values[development], distances)
    return Choice(
        chosen=chosen,
        hindsight=best(tested, distances),
        development=values[development].mean(axis=0),
        held_out=estimate(tested, labels),
        against_default=Comparison(tested[:, [chosen, 0]], labels).difference(0, 1),
    )


def best(values: Values, distances: Sequence[float]) -> int:
    """The configuration with the greatest mean of (queries, configurations)."""
    means = np.round(values.mean(axis=0), _SAME)
    return min(range(len(means)), key=lambda place: (-means[place], distances[place], place))
