"""Accuracy corrected for the judge's measured error.

    corrected = measured + mean(people - judge), cut to 0..1

with the mean over the answers that people labelled: the difference estimator of survey sampling (Cochran,
Sampling Techniques, 3rd ed. 1977, chapter 7), lately known as prediction-powered inference (Angelopoulos et
al., Science 382 (2023) 669-674). It takes the judge to be as kind or strict on balance here as there. Beside
it stands the estimator of Rogan and Gladen, Am. J. Epidemiol. 107 (1978) 71-76,

    (measured + b - 1) / (a + b - 1), cut to 0..1

which takes two rates to carry over instead: the sensitivity a (the judge says correct of an answer that is)
and the specificity b (it says not correct of one that is not). Where the two differ, it matters which holds.
On FinanceBench's 16 labelled systems, each corrected by the labels of the other 15, the judge `rules` is off
by .024 (root mean square) as measured, .025 by the first and .063 by the second: rates do not carry over,
since wrong answers of a good system are harder to tell from right ones than refusals are. So the first is
the one that is used.

Refusals count as not correct. Intervals are of a two-sample bootstrap: clusters of the answered questions are
drawn and, independently, clusters of the calibration's questions, so that they hold the doubt about both, as
Lang and Reiczigel, Prev. Vet. Med. 113 (2014) 13-22, ask for; whole clusters, because answers to one question
are right and wrong together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dibs.rag.resampling import Draws, Floats, by_cluster, interval, shares
from dibs.scoring.statistics import RESAMPLES, Estimate, estimate

METHOD = "difference estimator (Angelopoulos et al. 2023), two-sample cluster bootstrap"
QUESTIONS, LABELS = 0, 1
"""The streams of the two samples."""


@dataclass(frozen=True)
class Labelled:
    """How often a judge agreed with people; counts for each cluster of the calibration's questions."""

    correct: Floats
    """Answers that people call correct,"""
    correct_found: Floats
    """and how many of them the judge does too."""
    wrong: Floats
    """Answers that people call anything else,"""
    wrong_found: Floats
    """and how many of them the judge does too."""
    source: str
    """On what it was measured, such as `FinanceBench (2,384 answers)`."""


@dataclass(frozen=True)
class JudgeError:
    """How a judge errs, as draws."""

    strictness: Draws
    """The share of the labelled answers that people call correct, less the share that the judge does."""
    sensitivity: Draws
    specificity: Draws

    @classmethod
    def of(cls, labelled: Labelled, resamples: int = RESAMPLES) -> JudgeError:
        """As the labelled answers show it."""
        correct, wrong = labelled.correct, labelled.wrong
        missed, false = correct - labelled.correct_found, wrong - labelled.wrong_found
        found = np.column_stack([labelled.correct_found, labelled.wrong_found, missed, false])
        of = np.column_stack([correct, wrong, correct + wrong, correct + wrong])
        rates = shares(found, of, stream=LABELS, resamples=resamples)
        return cls(rates[:, 2] - rates[:, 3], rates[:, 0], rates[:, 1])

    def corrected(self, accuracy: Draws) -> Draws:
        """What the accuracy is if the judge is as strict as on the labelled answers."""
        return np.clip(accuracy + self.strictness, 0, 1)

    def rogan_gladen(self, accuracy: Draws) -> Draws:
        """What it is if the judge's two rates are those on the labelled answers; NaN by chance alone."""
        better = self.sensitivity + self.specificity - 1
        with np.errstate(divide="ignore", invalid="ignore"):
            p = (accuracy + self.specificity - 1) / better
        return np.where(better > 0, np.clip(p, 0, 1), np.nan)


@dataclass(frozen=True)
class Corrected:
    """An accuracy with and without the judge's error."""

    measured: Estimate
    """As the judge has it; the interval holds the sampling of questions alone."""
    corrected: Estimate | None
    """If the judge is as strict here as on the labelled answers; None where no correction is possible."""
    rogan_gladen: Estimate | None
    """If its sensitivity and specificity are those on the labelled answers."""
    reason: str
    """Why there is none; empty where there is."""
    source: str
    """On what the judge's error was measured; empty where it was not."""


def correct(
    answers: npt.NDArray[np.bool_], clusters: Sequence[str] | None, labelled: Labelled | None
) -> Corrected:
    """The share of correct answers, corrected where the judge's error is known.

    Args:
        answers: (n,) whether the judge calls each scored answer correct.
        clusters: A label for each answer; None makes each its own cluster.
        labelled: The judge's agreement with people; None if it was not measured.
    """
    columns = answers.astype(np.float64)[:, None]
    (measured,) = estimate(columns, clusters)
    source = labelled.source if labelled else ""
    reason = why_not(labelled) if len(answers) else "no answer is scored"
    if labelled is None or reason:
        return Corrected(measured, None, None, reason, source)
    found = by_cluster(np.hstack([columns, np.ones_like(columns)]), clusters)
    accuracy = shares(found[:, :1], found[:, 1:], stream=QUESTIONS)[:, 0]
    error = JudgeError.of(labelled)
    corrected, other = interval(error.corrected(accuracy)), interval(error.rogan_gladen(accuracy))
    return Corrected(measured, corrected, other, "", source)


def why_not(labelled: Labelled | None) -> str:
    """Why nothing can be corrected by that calibration; empty if it can."""
    if labelled is None:
        return "the judge's error was not measured"
    for answers, kind in ((labelled.correct, "correct"), (labelled.wrong, "not correct")):
        if not answers.sum():
            return f"the calibration has no answer that people call {kind}"
    a = labelled.correct_found.sum() / labelled.correct.sum()
    b = labelled.wrong_found.sum() / labelled.wrong.sum()
    if a + b <= 1:
        return f"the judge is no better than chance: sensitivity {a:.3f} + specificity {b:.3f} is not above 1"
    return ""
