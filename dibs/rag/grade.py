"""From answers to verdicts, and from verdicts to rates with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dibs.errors import DibsError
from dibs.rag.answer import Answer
from dibs.rag.judges.base import Case, Judge, Judgement, Verdict
from dibs.rag.questions import Question
from dibs.scoring.statistics import estimate

RATES = {"accuracy": Verdict.CORRECT, "incorrect_rate": Verdict.INCORRECT, "refusal_rate": Verdict.REFUSAL}


@dataclass(frozen=True)
class Graded:
    """What a judge said of one answer; a line of `verdicts.jsonl`."""

    query_id: str
    verdict: Verdict | None
    """None is unscored."""
    reason: str
    judge: str = ""
    """Which of several judges decided."""


def grade(questions: Sequence[Question], answers: Sequence[Answer], judge: Judge) -> list[Graded]:
    """A verdict for each answer, in their order; a question without an answer is unscored.

    Raises:
        DibsError: the judge did not grade as many answers as it was given.
    """
    gold = {question.id: question for question in questions}
    cases = {
        answer.query_id: Case(gold[answer.query_id].text, gold[answer.query_id].gold, answer.answer)
        for answer in answers
        if answer.answer is not None
    }
    judgements = judge.judge(list(cases.values())) if cases else []
    if len(judgements) != len(cases):
        raise DibsError(f"the judge {judge.name} gave {len(judgements)} verdicts on {len(cases)} answers")
    told = dict(zip(cases, judgements, strict=True))
    return [
        _graded(answer, told.get(answer.query_id, Judgement(None, f"no answer: {answer.error}")))
        for answer in answers
    ]


def _graded(answer: Answer, told: Judgement) -> Graded:
    return Graded(answer.query_id, told.verdict, told.reason, told.judge)


def rates(verdicts: Sequence[Verdict | None], clusters: Sequence[str] | None) -> dict[str, Any]:
    """Counts, and each rate with its interval, as JSON values.

    What is unscored is counted apart and in no rate; without anything scored the rates are None.

    Args:
        clusters: A label for each verdict; None makes each its own cluster.
    """
    scored = [place for place, verdict in enumerate(verdicts) if verdict is not None]
    counts = {str(verdict): sum(v is verdict for v in verdicts) for verdict in Verdict}
    made: dict[str, Any] = {"n_queries": len(verdicts), **counts, "unscored": len(verdicts) - len(scored)}
    if not scored:
        return made | dict.fromkeys(RATES)
    table = np.array([[float(verdicts[p] is meant) for meant in RATES.values()] for p in scored])
    labels = None if clusters is None else [clusters[place] for place in scored]
    return made | {name: found.as_dict() for name, found in zip(RATES, estimate(table, labels), strict=True)}


def subset_rates(
    verdicts: Sequence[Verdict | None],
    subsets: Mapping[str, Sequence[bool]],
    clusters: Sequence[str] | None,
) -> dict[str, dict[str, Any]]:
    """`rates` of each subset's queries; one without queries is left out.

    Args:
        subsets: Whether each query belongs to the subset, by the subset's name.
    """
    found = {}
    for name, chosen in subsets.items():
        places = [place for place, inside in enumerate(chosen) if inside]
        if places:
            mine = None if clusters is None else [clusters[place] for place in places]
            found[name] = rates([verdicts[place] for place in places], mine)
    return found
