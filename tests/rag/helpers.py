"""A task with gold answers, a generator that answers by script, and a judge that compares words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dibs.cards.model import LLMCard
from dibs.cards.task import TaskCard
from dibs.data.prepare import ensure
from dibs.rag.answer import Asking
from dibs.rag.arms import Arm
from dibs.rag.judges.base import Case, Judgement, Verdict
from dibs.rag.passages import Cut, Passages
from dibs.rag.prompt import Prompt
from dibs.rag.questions import questions, sample
from dibs.rag.work import Work
from dibs.workspace import Workspace

GOLD = {"q1": "They rose", "q2": "43 percent", "q3": "480 airplanes", "q4": "404 billion dollars", "q5": ""}
RIGHT = [
    {"contains": "net sales rose", "answer": "They rose."},
    {"contains": "43 percent", "answer": "It was 43 percent."},
    {"contains": "480 airplanes", "answer": "I cannot say."},
]
"""What the generator says where its passages hold these words."""
PROMPT = Prompt("test.v1", "{passages}\n\n{question}")
GIVEN = {"q1": ["apple-10k-p1"], "q2": ["apple-10k-p2"], "q3": ["boeing-10k-p1"], "q4": ["blank"], "q5": []}


def with_answers(place: Workspace, gold: dict[str, str] | None = None) -> Workspace:
    """The workspace's task Tiny with a gold answer for each query; q5 has an empty one."""
    path = place.root / "tasks" / "tiny" / "queries.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        row["metadata"]["answer"] = (gold or GOLD)[row["_id"]]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return place


def mock_card(folder: Path, name: str = "scripted", **options: Any) -> LLMCard:
    """A generator that says what RIGHT says, and else that it cannot answer."""
    script = folder / "answers.jsonl"
    script.write_text("".join(json.dumps(row) + "\n" for row in RIGHT))
    return LLMCard(
        name=name,
        adapter="mock",
        usd_per_million_tokens=1.0,
        usd_per_million_output_tokens=2.0,
        options={"mode": "fixed", "text": "It was 7.", "answers": str(script)} | options,
    )


class WordsJudge:
    """Correct if the gold answer is in the answer, a refusal if that says `cannot`."""

    def __init__(self, name: str = "words", unscored: str = "\0") -> None:
        self.name = name
        self._unscored = unscored
        self.seen: list[Case] = []

    def settings(self) -> dict[str, Any]:
        return {"judge": self.name}

    def judge(self, cases: Sequence[Case]) -> list[Judgement]:
        self.seen += cases
        return [self._one(case) for case in cases]

    def _one(self, case: Case) -> Judgement:
        if self._unscored in case.answer:
            return Judgement(None, "not graded")
        if "cannot" in case.answer:
            return Judgement(Verdict.REFUSAL, "says so")
        right = case.gold in case.answer
        return Judgement(Verdict.CORRECT if right else Verdict.INCORRECT, "word by word")


def tiny_work(place: Workspace, card: LLMCard, **changes: Any) -> Work:
    """Tiny's questions, each answered from a document that is named here."""
    from dibs.llm.mock import MockChat

    task = place.card(TaskCard, "Tiny")
    dataset = ensure(task, place)
    arm = changes.pop(
        "arm", Arm("retrieved", "bm25", GIVEN, {"record": "abc", "run": "def"}, "Tiny/bm25/abc")
    )
    passages = Passages(dataset, changes.pop("cut", Cut()))
    max_tokens = changes.pop("max_tokens", 64)
    values: dict[str, Any] = {
        "task": task,
        "dataset": dataset,
        "questions": questions(task, dataset, sample(dataset, *changes.pop("sample", ()))),
        "asking": Asking(arm, passages, PROMPT, max_tokens),
        "generator": MockChat(card, place.cache),
        "card": card,
        "judge": WordsJudge(),
        "known_issues": {},
        "command": "dibs rag",
    }
    return Work(**values | changes)
