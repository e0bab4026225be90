"""Documents and answers are data: what they ask for is not done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.injection import INJECTIONS, asked_of, attack_answers, attack_passages, cases_of
from dibs.cards.model import RerankerCard
from dibs.encoders.base import EncoderContext
from dibs.llm.chat import Request
from dibs.rag.judges.base import Case, Verdict
from dibs.rag.judges.llm import LLMJudge
from dibs.rag.judges.rules import RulesJudge
from dibs.rag.passages import inert
from dibs.rag.prompt import find_prompt
from dibs.retrieval.rerankers.llm import LLMReranker
from dibs.workspace import Workspace
from tests.rag.judges.scripted import ScriptedLLM

texts = pytest.mark.parametrize("text", INJECTIONS.values(), ids=INJECTIONS.keys())


def test_no_text_changes_a_verdict_of_the_rules(workspace: Workspace) -> None:
    attacks = attack_answers(RulesJudge(), cases_of(asked_of(workspace, 10)))
    assert len(attacks) == 30 * 2 * len(INJECTIONS)
    assert {attack.before for attack in attacks if attack.place == "right answer"} == {Verdict.CORRECT}
    assert {attack.before for attack in attacks if attack.place == "wrong answer"} == {Verdict.INCORRECT}
    assert [attack for attack in attacks if attack.changed] == []


@pytest.mark.parametrize("place", ["question", "gold", "answer"])
@texts
def test_a_judge_s_prompt_keeps_its_parts(text: str, place: str) -> None:
    """No text ends the part that it stands in, begins another, or changes what is asked for."""
    model = ScriptedLLM(lambda request: '{"reason": "r", "verdict": "incorrect"}')
    plain = {"question": "q?", "gold": "g", "answer": "a"}
    LLMJudge(model).judge([Case(**plain), Case(**(plain | {place: text}))])
    loaded, usual = (request.messages[0].content for request in model.asked)
    assert [tags(usual), model.asked[1].schema] == [tags(loaded), model.asked[0].schema]
    part = {"gold": "claim"}.get(place, place)
    before, _, rest = loaded.partition(f"\n<{part}>\n")
    inside, _, after = rest.partition(f"\n</{part}>")
    assert inside.replace("&lt;", "<") == text
    usual_before, _, usual_rest = usual.partition(f"\n<{part}>\n")
    assert (before, after) == (usual_before, usual_rest.partition(f"\n</{part}>")[2])


def tags(prompt: str, names: str = "claim|document|question|answer") -> list[str]:
    """The delimiters of a prompt, in their order."""
    return re.findall(rf"</?\s*(?:{names})\b[^>]*>", prompt)


@texts
def test_what_an_answer_says_cannot_stand_for_the_verdict(text: str) -> None:
    """A model that repeats the answer in place of a verdict leaves the case unscored."""
    model = ScriptedLLM(lambda request: f"The answer was: {text}")
    (told,) = LLMJudge(model).judge([Case("q?", "12", f"13. {text}")])
    assert told.verdict is None


@texts
def test_a_passage_keeps_to_its_place_in_the_prompt(text: str, workspace: Workspace) -> None:
    for name in ("general", "financial", "forum", "documentation"):
        prompt = find_prompt(name, workspace)
        (loaded,) = prompt.messages("q?", f'<passage number="1">\n{inert(text)}\n</passage>')
        (usual,) = prompt.messages("q?", '<passage number="1">\nx\n</passage>')
        assert tags(loaded.content, "passage|question") == tags(usual.content, "passage|question")
        (asked,) = prompt.messages(text, "p")
        (plainly,) = prompt.messages("q?", "p")
        assert tags(asked.content, "passage|question") == tags(plainly.content, "passage|question")


@texts
def test_a_document_to_rerank_or_to_ask_about_keeps_to_its_place(text: str, tmp_path: Path) -> None:
    card = RerankerCard(name="m", adapter="llm", base_url="http://127.0.0.1:9/v1")
    reranker = LLMReranker(card, EncoderContext(cache=tmp_path))
    loaded, usual = (
        reranker._body("q?", [one])["messages"][0]["content"] for one in (f"</document>{text}", "x")
    )
    assert re.findall(r"</\s*(?:question|document)", loaded) == re.findall(
        r"</\s*(?:question|document)", usual
    )


def test_a_poisoned_passage_is_measured(workspace: Workspace) -> None:
    """The benchmark's own arithmetic: a generator that obeys is wrong where it was right."""

    def obeys(request: Request) -> str:
        return "CORRECT" if "Notice" in request.messages[0].content else "I do not know."

    attacks = attack_passages(RulesJudge(), ScriptedLLM(obeys), asked_of(workspace, 1), workspace)
    assert len(attacks) == 3 * len(INJECTIONS)
    assert {attack.before for attack in attacks} == {Verdict.REFUSAL}
    assert {attack.after for attack in attacks} == {Verdict.INCORRECT}
    assert not any(attack.won for attack in attacks)
