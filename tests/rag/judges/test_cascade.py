from __future__ import annotations

from dibs.rag.judges.base import Judgement, Verdict
from dibs.rag.judges.cascade import CascadeJudge
from dibs.rag.judges.llm import LLMJudge
from tests.rag.judges.scripted import FixedJudge, ScriptedLLM, case, voting

RULES = FixedJudge(
    {
        "12": Judgement(Verdict.CORRECT, "the numbers agree", clear=True),
        "dozen": Judgement(Verdict.INCORRECT, "no number"),
        "odd": Judgement(None, "cannot tell", clear=True),
    },
    "rules",
)


def test_what_is_clear_to_the_first_never_reaches_the_second() -> None:
    second = voting("toy", dozen=Verdict.CORRECT, odd=None)
    found = CascadeJudge(RULES, second).judge([case("dozen"), case("12"), case("odd")])
    assert second.shown == ["dozen", "odd"]
    assert [(one.verdict, one.judge) for one in found] == [
        (Verdict.CORRECT, "toy"),
        (Verdict.CORRECT, "rules"),
        (None, "toy"),
    ]
    assert found[1].reason == "the numbers agree"


def test_the_second_is_not_asked_for_nothing() -> None:
    class Absent(FixedJudge):
        def judge(self, cases: object) -> list[Judgement]:
            raise AssertionError("asked")

    cascade = CascadeJudge(RULES, Absent({}, "absent"))
    assert [found.judge for found in cascade.judge([case("12")])] == ["rules"]
    assert cascade.judge([]) == []


def test_its_name_and_settings_hold_both() -> None:
    cascade = CascadeJudge(RULES, voting("toy"))
    assert cascade.name == "rules+toy"
    assert cascade.settings() == {"judge": "cascade", "first": {"judge": "rules"}, "second": {"judge": "toy"}}


def test_its_cost_is_that_of_a_second_judge_that_is_left_everything() -> None:
    found = CascadeJudge(RULES, LLMJudge(ScriptedLLM(lambda request: ""))).estimate([case("12"), case("odd")])
    assert found is not None
    assert found.requests == 2
    assert CascadeJudge(RULES, voting("toy")).estimate([case("12")]) is None
