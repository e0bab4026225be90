"""How far a judge's verdicts agree with people's: accuracy and Cohen's kappa, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dibs.rag.judges.base import Verdict
from dibs.rag.resampling import Floats, by_cluster, interval
from dibs.scoring.statistics import Estimate, cluster_weights, estimate

VERDICTS = tuple(Verdict)
"""The order of rows and columns of a confusion table."""
_CORRECT = VERDICTS.index(Verdict.CORRECT)


@dataclass(frozen=True)
class Compared:
    """Verdicts of people and of a judge on the same answers; (n,) places in `VERDICTS`."""

    people: npt.NDArray[np.intp]
    judge: npt.NDArray[np.intp]
    questions: npt.NDArray[np.str_]
    """The question of each answer: answers to one are right and wrong together, so questions are drawn."""

    @classmethod
    def of(cls, people: Sequence[Verdict], judge: Sequence[Verdict], questions: Sequence[str]) -> Compared:
        """From verdicts as they are read."""
        return cls(
            np.array([VERDICTS.index(verdict) for verdict in people], dtype=np.intp),
            np.array([VERDICTS.index(verdict) for verdict in judge], dtype=np.intp),
            np.array(questions, dtype=np.str_),
        )

    def where(self, chosen: npt.NDArray[np.bool_]) -> Compared:
        """Those answers alone."""
        return Compared(self.people[chosen], self.judge[chosen], self.questions[chosen])

    def cells(self) -> Floats:
        """Each answer's place in the confusion table, people's verdict in rows: (n, 3, 3) of 0 and 1."""
        one = np.eye(len(VERDICTS))
        return one[self.people][:, :, None] * one[self.judge][:, None, :]

    def confusion(self) -> dict[str, dict[str, int]]:
        """How often the judge said what, for each verdict of people."""
        table = self.cells().sum(axis=0)
        return {
            str(said): {str(judged): int(table[i, j]) for j, judged in enumerate(VERDICTS)}
            for i, said in enumerate(VERDICTS)
        }


def kappa(tables: Floats) -> Floats:
    """Cohen's kappa of confusion tables, NaN where chance alone would agree always.

    (p_o - p_e) / (1 - p_e), with p_o the share on the diagonal and p_e what the margins give if the two
    are independent: Cohen, Educ. Psychol. Meas. 20 (1960) 37-46.

    Args:
        tables: (..., k, k) counts.
    """
    total = tables.sum(axis=(-2, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = np.trace(tables, axis1=-2, axis2=-1) / total
        expected = (tables.sum(axis=-1) * tables.sum(axis=-2)).sum(axis=-1) / total**2
        return np.where(expected < 1, (observed - expected) / (1 - expected), np.nan)


def kappa_estimate(cells: Floats, questions: npt.NDArray[np.str_]) -> dict[str, float | None]:
    """Kappa of the summed cells with its percentile interval over resampled questions, as JSON values.

    Args:
        cells: (n, k, k)
    """
    size = cells.shape[-1]
    sums = by_cluster(cells.reshape(len(cells), -1), questions.tolist())
    value = float(kappa(sums.sum(axis=0).reshape(size, size)))
    found = Estimate(value, None, None)
    if len(sums) > 1 and not np.isnan(value):
        resampled = np.concatenate([drawn @ sums for drawn in cluster_weights(len(sums))])
        found = interval(np.append(value, kappa(resampled.reshape(-1, size, size))), least=-1.0)
    return {
        name: None if limit is None or np.isnan(limit) else limit for name, limit in found.as_dict().items()
    }


def agreement(compared: Compared) -> dict[str, Any]:
    """`accuracy` and `kappa` of correct-or-not, then the counts they rest on, as JSON values."""
    cells = compared.cells()
    two = _or_not(cells)
    same = two[:, 0, 0] + two[:, 1, 1]
    (accuracy,) = estimate(same[:, None], compared.questions.tolist())
    return {
        "accuracy": accuracy.as_dict(),
        "kappa": kappa_estimate(two, compared.questions),
        "n": len(cells),
        "questions": len(np.unique(compared.questions)),
        "correct_by_people": float(two[:, 0, :].sum() / len(cells)),
        "correct_by_judge": float(two[:, :, 0].sum() / len(cells)),
    }


def three_way(compared: Compared) -> dict[str, Any]:
    """The same of correct, incorrect and refusal, with the confusion table."""
    cells = compared.cells()
    same = (compared.people == compared.judge).astype(np.float64)
    (accuracy,) = estimate(same[:, None], compared.questions.tolist())
    return {
        "accuracy": accuracy.as_dict(),
        "kappa": kappa_estimate(cells, compared.questions),
        "confusion": compared.confusion(),
    }


def rates(compared: Compared) -> dict[str, Any]:
    """`sensitivity`, the share the judge finds of what people call correct, and `specificity` of the rest."""
    right = compared.people == _CORRECT
    agreed = (compared.judge == _CORRECT) == right
    found: dict[str, Any] = {}
    for name, chosen in (("sensitivity", right), ("specificity", ~right)):
        columns = agreed[chosen].astype(np.float64)[:, None]
        found[name] = (
            estimate(columns, compared.questions[chosen].tolist())[0].as_dict() if chosen.any() else None
        )
    return found


def _or_not(cells: Floats) -> Floats:
    """(n, 3, 3) cells as (n, 2, 2): correct, and all else."""
    order = [_CORRECT, *(place for place in range(len(VERDICTS)) if place != _CORRECT)]
    sorted_ = cells[:, order][:, :, order]
    rows = np.stack([sorted_[:, 0], sorted_[:, 1:].sum(axis=1)], axis=1)
    return np.stack([rows[:, :, 0], rows[:, :, 1:].sum(axis=2)], axis=2)
