from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dibs.rag.correct import QUESTIONS, JudgeError, Labelled, correct
from dibs.rag.judges.base import Verdict
from dibs.rag.judges.rules import RulesJudge
from dibs.rag.labels import read_labels
from dibs.rag.resampling import by_cluster, interval, shares
from dibs.scoring.statistics import Estimate
from tests.shared import shared_data


def labelled(correct: list[float], found: list[float], wrong: list[float], agreed: list[float]) -> Labelled:
    counts = (np.array(correct), np.array(found), np.array(wrong), np.array(agreed))
    return Labelled(counts[0], counts[1], counts[2], counts[3], "Toy (40 answers)")


GOOD = labelled([5, 5, 5, 5], [4, 4, 4, 4], [5, 5, 5, 5], [4.5, 4.5, 4.5, 4.5])
"""Sensitivity .8, specificity .9, in every cluster."""


def answers(correct: int, of: int) -> np.ndarray:
    return np.arange(of) < correct


def test_what_the_judge_misses_on_balance_is_added() -> None:
    # Of the 40 labelled answers, 4 are missed and 2 are called correct that are not.
    found = correct(answers(50, 100), None, GOOD)
    assert found.corrected is not None
    assert found.measured.value == 0.5
    assert found.corrected.value == pytest.approx(0.55)
    assert (found.reason, found.source) == ("", "Toy (40 answers)")
    assert found.corrected.low is not None
    assert found.corrected.high is not None
    assert found.corrected.low < 0.55 < found.corrected.high


def test_rogan_and_gladen_solve_for_the_share_that_is_correct() -> None:
    # Of 100 answers 60 are correct: the judge finds 48 of them, and 4 of the 40 others: 52.
    found = correct(answers(52, 100), None, GOOD).rogan_gladen
    assert found is not None
    assert found.value == pytest.approx(0.6)


def test_the_interval_holds_the_doubt_about_the_judge() -> None:
    unsure = labelled([5] * 4, [5, 5, 5, 1], [5] * 4, [5, 5, 3, 5])
    pairs = zip(
        *(
            (c.corrected, c.rogan_gladen)
            for c in (correct(answers(52, 100), None, x) for x in (GOOD, unsure))
        ),
        strict=True,
    )
    for sure, less_sure in pairs:
        assert sure is not None
        assert less_sure is not None
        assert less_sure.value == pytest.approx(sure.value)
        assert _width(less_sure) > 1.2 * _width(sure)


@pytest.mark.real_data
def test_on_real_answers_the_difference_carries_over_and_rates_do_not() -> None:
    """Each of FinanceBench's labelled systems, corrected by the labels of the others; judged by the rules."""
    rows = read_labels(shared_data("data", "financebench", "human_labels.jsonl.gz")).rows
    people = np.array([row.verdict is Verdict.CORRECT for row in rows])
    judge = np.array(
        [told.verdict is Verdict.CORRECT for told in RulesJudge().judge([row.case for row in rows])]
    )
    systems, questions = (
        np.array([getattr(row, name) for row in rows]) for name in ("system", "question_id")
    )
    cells = np.column_stack([people, people & judge, ~people, ~people & ~judge]).astype(float)
    off = []
    for system in np.unique(systems):
        mine = systems == system
        counts = by_cluster(cells[~mine], questions[~mine].tolist()).T
        error = JudgeError.of(Labelled(counts[0], counts[1], counts[2], counts[3], ""), resamples=1)
        made = [
            estimator(np.array([judge[mine].mean()])) for estimator in (error.corrected, error.rogan_gladen)
        ]
        off.append([estimate[0] - people[mine].mean() for estimate in made])
    difference, rates = np.sqrt(np.mean(np.square(off), axis=0))
    assert len(off) == 16
    assert difference < 0.035
    assert rates > 1.5 * difference


@pytest.mark.parametrize(("found", "expected"), [(2, 0.0), (98, 1.0)])
def test_what_no_share_could_bring_about_is_cut(found: int, expected: float) -> None:
    kind = labelled([5] * 4, [5] * 4, [5] * 4, [4] * 4)
    strict = labelled([5] * 4, [4] * 4, [5] * 4, [5] * 4)
    made = correct(answers(found, 100), None, strict if expected else kind)
    assert made.corrected is not None
    assert made.corrected.value == expected
    assert made.rogan_gladen is not None
    assert made.rogan_gladen.value == pytest.approx(expected)


def test_a_judge_that_never_erred_on_few_labels_is_not_taken_to_be_perfect() -> None:
    perfect = labelled([2, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2])
    found = correct(answers(50, 100), None, perfect)
    for made in (found.corrected, found.rogan_gladen):
        assert made is not None
        assert made.value == 0.5
        assert _width(made) > 1.3 * _width(found.measured)


def test_a_judge_by_chance_corrects_nothing() -> None:
    found = correct(answers(52, 100), None, labelled([5, 5], [3, 2], [5, 5], [2, 3]))
    assert found.corrected is None
    assert found.reason.startswith(
        "the judge is no better than chance: sensitivity 0.500 + specificity 0.500"
    )
    assert found.measured.value == 0.52


def test_rates_hardly_better_than_chance_leave_everything_open() -> None:
    hardly = labelled([5] * 6, [5, 0, 5, 0, 5, 1], [5] * 6, [0, 5, 0, 5, 1, 5])
    found = correct(answers(52, 100), None, hardly).rogan_gladen
    assert found is not None
    assert (found.low, found.high) == (0.0, 1.0)


def test_what_cannot_be_corrected_says_why() -> None:
    assert correct(answers(1, 4), None, None).reason == "the judge's error was not measured"
    one_sided = labelled([5.0], [5.0], [0.0], [0.0])
    assert correct(answers(1, 4), None, one_sided).reason == (
        "the calibration has no answer that people call not correct"
    )
    nothing = correct(np.zeros(0, dtype=bool), None, GOOD)
    assert (nothing.corrected, nothing.rogan_gladen, nothing.reason) == (None, None, "no answer is scored")


def test_one_cluster_says_nothing_of_the_spread() -> None:
    found = correct(answers(2, 4), ["a"] * 4, GOOD).corrected
    assert found is not None
    assert (found.low, found.high) == (0.0, 1.0)


def test_the_same_answers_give_the_same_interval() -> None:
    assert correct(answers(52, 100), None, GOOD) == correct(answers(52, 100), None, GOOD)


def test_shares_are_of_whole_clusters_and_paired() -> None:
    found = by_cluster(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]), ["a", "a", "b"])
    assert found.tolist() == [[2.0, 1.0], [0.0, 0.0]]
    draws = shares(found, np.array([[2.0, 2.0], [1.0, 1.0]]))
    assert draws[0].tolist() == [2 / 3, 1 / 3]
    assert {tuple(np.round(row, 3)) for row in draws[1:]} == {(0, 0), (0.667, 0.333), (1, 0.5)}


Judged = Callable[[np.random.Generator, np.ndarray, float], np.ndarray]


def by_rates(random: np.random.Generator, truth: np.ndarray, share: float) -> np.ndarray:
    """A judge of sensitivity .9 and specificity .8, whatever share of the answers is correct."""
    chance = random.random(truth.shape)
    return np.where(truth, chance < 0.9, chance >= 0.8)


def by_count(random: np.random.Generator, truth: np.ndarray, share: float) -> np.ndarray:
    """A judge that misses 12 of 100 answers and calls 6 others correct, whatever share is correct."""
    chance = random.random(truth.shape)
    return np.where(truth, chance >= 0.12 / share, chance < 0.06 / (1 - share))


@pytest.mark.parametrize(
    ("estimator", "judged", "accuracy", "labelled_accuracy"),
    [
        ("corrected", by_count, 0.3, 0.6),
        ("corrected", by_count, 0.8, 0.5),
        ("corrected", by_rates, 0.5, 0.5),
        ("rogan_gladen", by_rates, 0.2, 0.5),
        ("rogan_gladen", by_rates, 0.8, 0.5),
    ],
)
def test_the_interval_holds_the_truth_as_often_as_it_says(
    estimator: str, judged: Judged, accuracy: float, labelled_accuracy: float
) -> None:
    """300 simulated benchmarks of 80 clusters of two questions, whose answers stand and fall together, each
    with a calibration of 60 clusters of four labelled answers."""
    random = np.random.default_rng(11)
    held = 0
    for _ in range(300):
        answered = judged(random, _truth(random, 80, 2, accuracy), accuracy).sum(axis=1, dtype=float)[:, None]
        q = shares(answered, np.full((80, 1), 2.0), stream=QUESTIONS, resamples=1000)[:, 0]
        truth = _truth(random, 60, 4, labelled_accuracy)
        told = judged(random, truth, labelled_accuracy)
        counts = np.stack([truth, truth & told, ~truth, ~truth & ~told]).sum(axis=2, dtype=float)
        error = JudgeError.of(Labelled(counts[0], counts[1], counts[2], counts[3], ""), resamples=1000)
        found = interval(getattr(error, estimator)(q))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= accuracy <= found.high
    assert 0.92 <= held / 300 <= 0.98


def _truth(random: np.random.Generator, clusters: int, size: int, share: float) -> np.ndarray:
    """(clusters, size): each cluster has a share of its own, of Beta with that mean."""
    own = random.beta(4 * share, 4 * (1 - share), clusters)
    return random.random((clusters, size)) < own[:, None]


def _width(found: Estimate) -> float:
    assert found.low is not None
    assert found.high is not None
    return found.high - found.low
