"""Where the accuracy of answers from retrieved passages was lost: in retrieval, in reading, or in judging.

With the accuracy of the oracle arm (gold documents as passages) between that of the retrieved arm and 1,

    1 - retrieved = (oracle - retrieved) + (1 - oracle)
                     lost in retrieval      lost in reading

Where the judge's error is known, the accuracies are corrected (`dibs.rag.correct`): the difference of two
stays what it is, and what was lost in reading is parted from what was lost in judging. Intervals are of one
paired cluster bootstrap over the questions that the arms share, and of an independent one over the
calibration's.

What was lost in retrieval is split by where the gold stood: a question counts (oracle right) - (retrieved
right), which is 1, 0 or -1, times the share of its gold at each place. The parts sum to the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dibs.rag.correct import QUESTIONS, JudgeError, Labelled, why_not
from dibs.rag.diagnose_gold import GoldPlaces
from dibs.rag.diagnose_levers import Given, Lever, choose
from dibs.rag.diagnose_records import Sheet
from dibs.rag.resampling import Draws, Floats, by_cluster, interval, shares
from dibs.scoring.statistics import Estimate


@dataclass(frozen=True)
class Diagnosis:
    """What became of the accuracy, and what is worth doing about it."""

    questions: int
    """Questions that are compared."""
    clusters: int
    unscored: int
    disputed: int
    measured: dict[str, Estimate]
    """The accuracy of each arm, as the judge has it."""
    corrected: dict[str, Estimate]
    """And without the judge's error; empty where that is not known."""
    rogan_gladen: dict[str, Estimate]
    """The same if not the judge's error on balance but its two rates carry over."""
    uncorrected_because: str
    """Why the judge's error is left in; empty where it is not."""
    calibrated_on: str
    lost: Estimate
    """1 less the measured accuracy; the sum of the next three."""
    retrieval: Estimate
    reading: Estimate
    judging: Estimate | None
    """Lost by a judge that is too strict, gained (negative) by one that is too kind; None where its error is
    not known, and is part of reading."""
    distraction: Estimate | None
    """What passages that are beside the point cost: closed book less random; None without these arms."""
    places: dict[str, Estimate]
    """What was lost in retrieval, by where the gold stood: `context`, `next`, `later`, `absent`."""
    gold: dict[str, Estimate]
    """The share of all gold documents that stood there, whatever was answered."""
    recorded: dict[str, Estimate]
    """What other recorded pipelines could bring back at most, by their names, the most first."""
    levers: tuple[Lever, ...]
    """What is worth doing, the most promising first."""
    verdict: str
    """The levers' names, `none`, or `not enough questions to tell`."""
    notes: tuple[str, ...]


def diagnose(sheet: Sheet, places: GoldPlaces | None, labelled: Labelled | None) -> Diagnosis:
    """Attribute what was lost, and choose the levers.

    Args:
        places: Where the gold stood; None where the data is not at hand.
        labelled: The judge's agreement with people; None where it was not measured.
    """
    draws = _draws(sheet, places)
    reason = why_not(labelled)
    error = None if labelled is None or reason else JudgeError.of(labelled)

    def accuracy(measured: Draws) -> Draws:
        return error.corrected(measured) if error else measured

    arms, split, others = (_named(draws, kind) for kind in ("arm", "lost", "other"))
    lost, retrieval = 1 - arms["retrieved"], arms["oracle"] - arms["retrieved"]
    reading = 1 - accuracy(arms["oracle"])
    given = None if places is None else Given(1 - accuracy(draws["given:"]), split, others, places.depth)
    chosen = choose(retrieval, reading, given, len(sheet.queries))
    gains = {name: _signed(q) for name, q in _named(draws, "recorded").items()}
    return Diagnosis(
        questions=len(sheet.queries),
        clusters=len(set(sheet.clusters)) if sheet.clusters else len(sheet.queries),
        unscored=sheet.unscored,
        disputed=sheet.disputed,
        measured={name: interval(q) for name, q in arms.items()},
        corrected={name: interval(accuracy(q)) for name, q in arms.items()} if error else {},
        rogan_gladen={name: interval(error.rogan_gladen(q)) for name, q in arms.items()} if error else {},
        uncorrected_because=reason,
        calibrated_on=labelled.source if labelled else "",
        lost=interval(lost),
        retrieval=_signed(retrieval),
        reading=interval(reading),
        judging=_signed(lost - retrieval - reading) if error else None,
        distraction=_signed(draws["distraction:"]) if "distraction:" in draws else None,
        places={name: _signed(q) for name, q in split.items()},
        gold={name: interval(q) for name, q in _named(draws, "gold").items()},
        recorded=dict(sorted(gains.items(), key=lambda item: -item[1].value)),
        levers=chosen.levers,
        verdict=chosen.verdict,
        notes=chosen.notes,
    )


def _draws(sheet: Sheet, places: GoldPlaces | None) -> dict[str, Draws]:
    """By KIND:NAME (1 + resamples,): each arm's accuracy, and the mean over questions of what is split.

    One resampling for all of them, so that differences are paired.
    """
    found = {f"arm:{name}": np.nan_to_num(correct) for name, correct in sheet.correct.items()}
    of = {f"arm:{name}": (~np.isnan(correct)).astype(np.float64) for name, correct in sheet.correct.items()}
    if {"arm:closed-book", "arm:random"} <= found.keys():
        of["distraction:"] = of["arm:closed-book"] * of["arm:random"]
        found["distraction:"] = (found["arm:closed-book"] - found["arm:random"]) * of["distraction:"]
    if places is not None:
        found |= _split(places, sheet.correct["retrieved"], sheet.correct["oracle"])
    always = np.ones(len(sheet.queries))
    names = [name for name in found if of.get(name, always).any()]
    columns = [np.column_stack([q.get(name, always) for name in names]) for q in (found, of)]
    draws = shares(*(by_cluster(each, sheet.clusters) for each in columns), stream=QUESTIONS)
    return dict(zip(names, draws.T, strict=True))


def _split(places: GoldPlaces, retrieved: Floats, oracle: Floats) -> dict[str, Floats]:
    """Each question's part of what is split; `given` is the accuracy with the gold at hand: the retrieved
    arm's where the gold was among the passages, and the oracle's where it was not.
    """
    back = oracle - retrieved
    return {
        "given:": oracle - back * places.context,
        **{f"lost:{name}": back * share for name, share in places.split.items()},
        **{f"gold:{name}": share for name, share in places.split.items()},
        **{f"other:{name}": back * share for name, share in places.other.items()},
        **{f"recorded:{name}": back * (share - places.context) for name, share in places.recorded.items()},
    }


def _named(draws: Mapping[str, Draws], kind: str) -> dict[str, Draws]:
    return {name.removeprefix(f"{kind}:"): q for name, q in draws.items() if name.startswith(f"{kind}:")}


def _signed(draws: Draws) -> Estimate:
    return interval(draws, least=-1.0)
