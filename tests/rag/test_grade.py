from __future__ import annotations

import pytest

from dibs.errors import DibsError
from dibs.rag.answer import Answer
from dibs.rag.grade import grade, rates, subset_rates
from dibs.rag.judges.base import Case, Judgement, Verdict
from dibs.rag.questions import Question
from tests.rag.helpers import WordsJudge

GOOD, BAD, NONE = Verdict.CORRECT, Verdict.INCORRECT, Verdict.REFUSAL
ASKED = [Question(f"q{n}", f"{n}?", f"gold {n}", ()) for n in range(3)]


def test_each_answer_is_graded_against_its_own_gold() -> None:
    judge = WordsJudge()
    answers = [
        Answer("q0", [], None, "It is gold 0."),
        Answer("q1", [], None, error="the server is down"),
        Answer("q2", [], None, "I cannot say."),
    ]
    graded = grade(ASKED, answers, judge)
    assert [one.verdict for one in graded] == [GOOD, None, NONE]
    assert graded[1].reason == "no answer: the server is down"
    assert judge.seen == [Case("0?", "gold 0", "It is gold 0."), Case("2?", "gold 2", "I cannot say.")]


def test_a_judge_without_work_is_not_asked() -> None:
    judge = WordsJudge()
    assert grade(ASKED, [Answer("q0", [], None, error="x")], judge)[0].verdict is None
    assert judge.seen == []


def test_a_judge_that_loses_cases_is_said() -> None:
    class Lazy(WordsJudge):
        def judge(self, cases: object) -> list[Judgement]:
            return []

    with pytest.raises(DibsError, match="0 verdicts on 1 answers"):
        grade(ASKED, [Answer("q0", [], None, "x")], Lazy())


def test_unscored_is_in_no_rate() -> None:
    found = rates([GOOD, GOOD, BAD, None, NONE, None], None)
    assert (found["n_queries"], found["unscored"]) == (6, 2)
    assert [found[name] for name in ("correct", "incorrect", "refusal")] == [2, 1, 1]
    assert found["accuracy"]["value"] == 0.5
    assert found["incorrect_rate"]["value"] == found["refusal_rate"]["value"] == 0.25
    assert found["accuracy"]["low"] < 0.5 < found["accuracy"]["high"]


def test_nothing_scored_has_no_rate() -> None:
    found = rates([None, None], None)
    assert (found["unscored"], found["accuracy"], found["refusal_rate"]) == (2, None, None)


def test_questions_of_one_cluster_are_one_draw() -> None:
    verdicts = [GOOD, GOOD, GOOD, GOOD, BAD, BAD, BAD, BAD]
    alone = rates(verdicts, None)["accuracy"]
    together = rates(verdicts, list("aaaabbbb"))["accuracy"]
    assert together["high"] - together["low"] > alone["high"] - alone["low"]
    one = rates(verdicts, ["a"] * 8)["accuracy"]
    assert (one["low"], one["high"]) == (None, None)


def test_subsets_have_their_own_rates_and_clusters() -> None:
    subsets = {"all": [True] * 4, "half": [True, False, True, False], "none": [False] * 4}
    found = subset_rates([GOOD, BAD, GOOD, None], subsets, list("aabb"))
    assert list(found) == ["all", "half"]
    assert (found["half"]["n_queries"], found["half"]["accuracy"]["value"]) == (2, 1.0)
    assert (found["all"]["accuracy"]["value"], found["all"]["unscored"]) == (2 / 3, 1)
