from __future__ import annotations

import pytest

from dibs.errors import InputError
from dibs.llm.chat import Spent
from dibs.rag.judges.base import Verdict
from dibs.rag.judges.llm import LLMJudge
from dibs.rag.judges.panel import PanelJudge
from tests.rag.judges.scripted import ScriptedLLM, case, voting

YES, NO, PASS = Verdict.CORRECT, Verdict.INCORRECT, Verdict.REFUSAL


@pytest.mark.parametrize(
    ("votes", "verdict"),
    [
        ((YES, YES, NO), YES),
        ((YES, YES, YES), YES),
        ((NO, PASS, NO), NO),
        ((YES, NO, PASS), None),
        ((YES, NO, None), None),
        ((PASS, None, None), PASS),
        ((None, None, None), None),
    ],
)
def test_more_than_half_of_the_votes_decide(
    votes: tuple[Verdict | None, ...], verdict: Verdict | None
) -> None:
    panel = PanelJudge([voting(name, x=vote) for name, vote in zip("ABC", votes, strict=True)])
    (found,) = panel.judge([case("x")])
    assert found.verdict is verdict


def test_the_reason_says_the_votes() -> None:
    panel = PanelJudge([voting("A", x=YES, y=YES), voting("B", x=YES, y=NO), voting("C", x=NO, y=None)])
    assert [found.reason for found in panel.judge([case("x"), case("y")])] == [
        "2 of 3 votes; A: correct, B: correct, C: incorrect",
        "no majority; A: correct, B: incorrect, C: unscored",
    ]
    assert panel.name == "A,B,C"
    assert panel.settings() == {"judge": "panel", "judges": [{"judge": "A"}, {"judge": "B"}, {"judge": "C"}]}


def test_nobody_votes_twice() -> None:
    with pytest.raises(InputError, match="the panel has 'A' twice"):
        PanelJudge([voting("A"), voting("B"), voting("A")])


def test_what_its_models_were_asked_is_summed() -> None:
    def asked(name: str, usd: float | None) -> LLMJudge:
        return LLMJudge(ScriptedLLM(lambda request: "", name, spent=Spent(2, 1, 0, 30, 4, usd)))

    priced = PanelJudge([asked("A", 0.5), asked("B", 0.25), voting("rules")])
    assert priced.spent == Spent(4, 2, 0, 60, 8, 0.75)
    assert PanelJudge([asked("A", 0.5), asked("B", None)]).spent == Spent(4, 2, 0, 60, 8, None)
    assert PanelJudge([voting("A"), voting("B")]).spent is None


def test_what_grading_would_cost_is_the_sum_over_those_that_ask_a_model() -> None:
    cheap, dear = (ScriptedLLM(lambda request: "", name, usd=usd) for name, usd in (("a", 0.25), ("b", 0.5)))
    cases = [case("x"), case("y"), case(" ")]
    found = PanelJudge([LLMJudge(cheap), voting("fixed"), LLMJudge(dear)]).estimate(cases)
    assert found is not None
    assert (found.requests, found.prompt_tokens, found.usd, found.batch_usd) == (4, 20, 0.75, None)
    unknown = PanelJudge([LLMJudge(cheap), LLMJudge(ScriptedLLM(lambda request: ""))]).estimate(cases)
    assert unknown is not None
    assert unknown.usd is None
    assert PanelJudge([voting("A"), voting("B")]).estimate(cases) is None
