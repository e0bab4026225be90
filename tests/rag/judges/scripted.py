"""A chat model and judges that do as they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from dibs.errors import DibsError
from dibs.llm.chat import Asked, Estimate, Reply, Request, Spent
from dibs.rag.judges.base import Case, Judgement, Verdict


@dataclass
class ScriptedLLM:
    """Answers as `says` does, the last request first, and notes what it was asked."""

    says: Callable[[Request], str | Reply | DibsError]
    name: str = "toy"
    asked: list[Request] = field(default_factory=list)
    spent: Spent = field(default_factory=Spent)
    usd: float | None = None

    def settings(self) -> dict[str, Any]:
        return {"adapter": "scripted", "model": self.name}

    def ask(self, requests: Sequence[Request], label: str = "") -> Iterator[Asked]:
        for position, request in reversed(list(enumerate(requests))):
            self.asked.append(request)
            said = self.says(request)
            yield Asked(position, Reply(said, "stop", 10, 5) if isinstance(said, str) else said)

    def estimate(self, requests: Sequence[Request]) -> Estimate:
        return Estimate(len(requests), 0, 10, 5, self.usd, exact=False)


@dataclass
class FixedJudge:
    """Gives the judgement that stands for an answer, and notes the answers it was shown."""

    judgements: dict[str, Judgement]
    name: str = "fixed"
    shown: list[str] = field(default_factory=list)

    def settings(self) -> dict[str, Any]:
        return {"judge": self.name}

    def judge(self, cases: Sequence[Case]) -> list[Judgement]:
        self.shown += [case.answer for case in cases]
        return [self.judgements[case.answer] for case in cases]


def voting(name: str, **verdicts: Verdict | None) -> FixedJudge:
    """A judge with these verdicts on answers of these names."""
    return FixedJudge(
        {answer: Judgement(verdict, "so it says") for answer, verdict in verdicts.items()}, name
    )


def case(answer: str) -> Case:
    return Case("What were net sales?", "$12 million", answer)
