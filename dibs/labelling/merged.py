"""Several labellers' journals as one: the grade that counts, and how far they agree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from statistics import median_low
from typing import NamedTuple

from dibs.labelling.journal import Label, Pair


class Agreement(NamedTuple):
    """How far two labellers agree on what both judged."""

    first: str
    second: str
    pairs: int
    """Documents that both judged."""
    same: int
    """Of them, those that both call relevant, or neither."""
    kappa: float | None
    """Cohen's, of relevant or not; None where chance alone would agree always."""
    low: float | None
    """Of its 95 % interval over resampled queries; None where it has none."""
    high: float | None


@dataclass(frozen=True)
class Merged:
    """What all labellers said."""

    said: dict[Pair, dict[str, int]]
    """Each labeller's own grade, the last one he gave."""
    settled: dict[Pair, int]
    """What was settled afterwards."""

    @cached_property
    def grades(self) -> dict[Pair, int]:
        """The grade of each pair: what was settled, else the median, the lower of two that differ."""
        medians = {pair: median_low(grades.values()) for pair, grades in self.said.items()}
        return medians | self.settled

    @property
    def labellers(self) -> list[str]:
        return sorted({name for grades in self.said.values() for name in grades})

    def differing(self) -> list[Pair]:
        """Pairs whose labellers gave different grades, and that are not settled."""
        return [
            pair
            for pair, grades in self.said.items()
            if len(set(grades.values())) > 1 and pair not in self.settled
        ]

    def agreements(self) -> Iterator[Agreement]:
        """Of each two labellers who judged the same documents."""
        for first, second in combinations(self.labellers, 2):
            both = [
                (pair.query, grades[first] > 0, grades[second] > 0)
                for pair, grades in self.said.items()
                if first in grades and second in grades
            ]
            if both:
                yield _agreement(first, second, both)


def merged(labels: Iterable[Label]) -> Merged:
    """The journals' lines as one; of a labeller's lines on one document the last counts."""
    found = Merged({}, {})
    for label in labels:
        if label.settles:
            found.settled[label.pair] = label.grade
        else:
            found.said.setdefault(label.pair, {})[label.labeller] = label.grade
    return found


def _agreement(first: str, second: str, both: list[tuple[str, bool, bool]]) -> Agreement:
    import numpy as np

    from dibs.rag.agreement import kappa_estimate

    cells = np.zeros((len(both), 2, 2))
    for place, (_, one, other) in enumerate(both):
        cells[place, int(one), int(other)] = 1
    found = kappa_estimate(cells, np.array([query for query, _, _ in both], dtype=np.str_))
    same = sum(one == other for _, one, other in both)
    return Agreement(first, second, len(both), same, found["value"], found["low"], found["high"])
