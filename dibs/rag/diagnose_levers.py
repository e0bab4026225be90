"""The rules by which a diagnosis names what is worth doing; docs/diagnose.md states them.

A part of the lost accuracy is large if its whole interval lies above 5 points, small if it lies below them,
and open otherwise. Each lever has the part that it could bring back at most, and is offered if that is
large.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from dibs.rag.resampling import Draws, interval
from dibs.scoring.statistics import Estimate

MATERIAL = 0.05
"""Accuracy that makes work worth doing: 5 points."""
NONE, OPEN = "none", "not enough questions to tell"
_FARTHEST = 100
"""Times as many questions, beyond which no number is named."""


class Size(StrEnum):
    """How a part of the lost accuracy compares with what makes work worth doing."""

    LARGE = "large"
    SMALL = "small"
    OPEN = "open"

    @classmethod
    def of(cls, points: Estimate) -> Size:
        """By the whole interval."""
        if points.low is not None and points.low > MATERIAL:
            return cls.LARGE
        return cls.SMALL if points.high is not None and points.high < MATERIAL else cls.OPEN


@dataclass(frozen=True)
class Lever:
    """Something worth doing."""

    name: str
    points: Estimate
    """Accuracy that it could bring back at most."""
    evidence: str


@dataclass(frozen=True)
class Choice:
    """What the rules come to."""

    levers: tuple[Lever, ...]
    verdict: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Given:
    """What is known once the gold is placed; all as draws."""

    reading: Draws
    """What was lost with the gold at hand, other passages beside it or not."""
    places: Mapping[str, Draws]
    """What was lost in retrieval, by where the gold stood: `context`, `next`, `later`, `absent`."""
    others: Mapping[str, Draws]
    """What of `absent` stood high in the run of another pipeline, by its name."""
    depth: int
    """Documents that the run keeps."""


def choose(retrieval: Draws, reading: Draws, given: Given | None, questions: int) -> Choice:
    """The levers, most promising first, or why there is none.

    Args:
        retrieval: What was lost in retrieval.
        reading: What was lost with the gold as the only passages.
        given: None where it is not known where the gold stood.
    """
    offers = [("generator", given.reading if given else reading, _GENERATOR)]
    offers += _retrieving(given) if given else []
    offers = [offer for offer in offers if Size.of(_points(offer[1])) is Size.LARGE]
    below = retrieval - given.places["context"] if given else retrieval
    if Size.of(_points(below)) is Size.LARGE and all(name == "generator" for name, *_ in offers):
        offers.append(("retrieval", below, _UNPLACED if given else _NO_DATA))
    offers.sort(key=lambda offer: -round(float(offer[1][0]), 6))  # of equals, the cheaper stands first
    levers = tuple(Lever(name, _points(draws), why) for name, draws, why in offers)
    sizes = {name: _points(draws) for name, draws in (("retrieval", retrieval), ("reading", reading))}
    undecided = {name: points for name, points in sizes.items() if Size.of(points) is Size.OPEN}
    notes = [_more(name, points, questions) for name, points in undecided.items()]
    if len(offers) > 1:
        ahead = _points(offers[0][1] - offers[1][1])
        if ahead.low is None or ahead.low <= 0:
            notes.append(f"Which of {offers[0][0]} and {offers[1][0]} has more to gain is open.")
    verdict = ", ".join(lever.name for lever in levers) or (OPEN if undecided else NONE)
    return Choice(levers, verdict, tuple(notes))


_Offer = tuple[str, Draws, str]
_GENERATOR = "the gold was at hand, and the answer was still wrong"
_EMBEDDING = "the gold was not in the run: finetune the embedding, or take a better one"
_UNPLACED = "the oracle is better, and where the gold stood does not decide by which lever"
_NO_DATA = "the oracle is better; where the gold stood is not known, since the data is not here"


def _retrieving(given: Given) -> list[_Offer]:
    more, absent = given.places["next"], given.places["absent"]
    rerank = more + given.places["later"]
    offers = [
        ("more context", more, "the gold stood just below the passages: twice as many would have held it"),
        ("reranker", rerank, f"the gold was in the run's first {given.depth} documents, below the passages"),
    ]
    best = max(given.others, key=lambda name: float(given.others[name][0]), default=None)
    if best is not None and Size.of(_points(given.others[best])) is Size.LARGE:
        why = f"the gold was not in the run, but in the first half of that of {best}"
        offers.append(("hybrid", given.others[best], why))
        absent = absent - given.others[best]
    offers.append(("embedding", absent, _EMBEDDING))
    return offers


def _points(draws: Draws) -> Estimate:
    return interval(draws, least=-1.0)


def _more(name: str, points: Estimate, questions: int) -> str:
    """How many questions would decide it, if the share stayed what it is: intervals shrink with the root."""
    edge = points.low if points.value > MATERIAL else points.high
    away = abs(points.value - MATERIAL)
    reach = abs((edge if edge is not None else points.value) - points.value)
    said = f"Whether what was lost in {name} is worth {100 * MATERIAL:.0f} points is open"
    if reach > away * math.sqrt(_FARTHEST) or not reach:
        return f"{said}: it is too near to them."
    return f"{said}; about {math.ceil(questions * (reach / away) ** 2):,} questions would decide it."
