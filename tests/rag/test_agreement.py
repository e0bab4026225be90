from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from dibs.rag.agreement import Compared, agreement, kappa, rates, three_way
from dibs.rag.judges.base import Verdict

C, W, R = Verdict.CORRECT, Verdict.INCORRECT, Verdict.REFUSAL


def compared(people: str, judge: str, questions: str | None = None) -> Compared:
    """From letters: c, w and r; a letter a question."""
    by = {"c": C, "w": W, "r": R}
    names = list(questions) if questions else [f"q{number}" for number in range(len(people))]
    return Compared.of([by[one] for one in people], [by[one] for one in judge], names)


def test_a_hand_made_table() -> None:
    found = three_way(compared("cccwwr", "ccwwrr"))
    assert found["accuracy"]["value"] == pytest.approx(4 / 6)
    assert found["confusion"] == {
        "correct": {"correct": 2, "incorrect": 1, "refusal": 0},
        "incorrect": {"correct": 0, "incorrect": 1, "refusal": 1},
        "refusal": {"correct": 0, "incorrect": 0, "refusal": 1},
    }
    two = agreement(compared("cccwwr", "ccwwrr"))
    assert two["accuracy"]["value"] == pytest.approx(5 / 6)  # a refusal is as wrong as a wrong answer
    assert two["kappa"]["value"] == pytest.approx(2 / 3)
    assert (two["n"], two["questions"]) == (6, 6)
    assert two["correct_by_people"] == pytest.approx(3 / 6)
    assert two["correct_by_judge"] == pytest.approx(2 / 6)


def test_sensitivity_and_specificity() -> None:
    found = rates(compared("cccwwr", "ccwwrc"))
    assert found["sensitivity"]["value"] == pytest.approx(2 / 3)
    assert found["specificity"]["value"] == pytest.approx(2 / 3)
    assert rates(compared("cc", "cw"))["specificity"] is None


@given(st.lists(st.tuples(st.sampled_from("cwr"), st.sampled_from("cwr")), min_size=2, max_size=40))
def test_kappa_is_scikit_learns(pairs: list[tuple[str, str]]) -> None:
    people, judge = ("".join(side) for side in zip(*pairs, strict=True))
    if len(set(people + judge)) < 2:
        return
    found = compared(people, judge)
    assert kappa(found.cells().sum(axis=0)) == pytest.approx(cohen_kappa_score(list(people), list(judge)))


def test_kappa_says_nothing_where_only_one_verdict_is_used() -> None:
    found = agreement(compared("cccc", "cccc"))
    assert found["kappa"] == {"value": None, "low": None, "high": None}
    assert found["accuracy"]["value"] == 1.0
    assert found["accuracy"]["low"] < 1.0


def test_intervals_are_over_questions() -> None:
    people, judge = "cw" * 40, "cwcc" * 20
    single = agreement(compared(people, judge))
    grouped = agreement(compared(people, judge, "".join(letter * 8 for letter in "abcdefghij")))
    again = agreement(compared(people, judge))
    assert single == again
    for name in ("accuracy", "kappa"):
        assert single[name]["value"] == grouped[name]["value"]
        assert single[name]["low"] < single[name]["value"] < single[name]["high"]
    assert grouped["questions"] == 10


def test_answers_to_one_question_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(3)
    right = rng.random(20) < 0.7
    people = "".join("c" for _ in right)
    judge = "".join("c" if one else "w" for one in right)
    ids = "abcdefghijklmnopqrst"
    one = agreement(compared(people, judge, ids))["accuracy"]
    ten = agreement(compared(people * 10, judge * 10, ids * 10))["accuracy"]
    assert ten["high"] - ten["low"] == pytest.approx(one["high"] - one["low"])


def test_one_question_has_no_interval() -> None:
    found = agreement(compared("cwc", "cww", "aaa"))
    assert found["accuracy"]["low"] is None
    assert found["kappa"]["low"] is None
