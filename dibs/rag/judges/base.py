"""What a judge is: it says of an answer whether it is right, wrong, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class Verdict(StrEnum):
    """How an answer is graded."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    REFUSAL = "refusal"


@dataclass(frozen=True)
class Case:
    """An answer to grade, and what it is graded against."""

    question: str
    gold: str
    answer: str


@dataclass(frozen=True)
class Judgement:
    """What a judge says of one answer."""

    verdict: Verdict | None
    """None is unscored: nothing could be graded, which is never a wrong answer."""
    reason: str
    """One line: what decided, or why it is unscored."""
    judge: str = ""
    """Which of several judges decided; empty where there is one."""
    clear: bool = False
    """The judge says that nothing is left to weigh: gold and answer agree or differ in their numbers, or the
    answer is plainly a refusal. A cascade leaves a verdict that is not clear to its next judge. A judge
    that cannot tell never says it."""
    p_correct: float | None = None
    """How likely the judge holds it that the answer is correct, 0 to 1; None where it does not say.
    Calibration makes the area under the ROC curve of it."""


class Judge(Protocol):
    """Grades answers."""

    @property
    def name(self) -> str:
        """As tables and folders show it: `rules`, an LLM's name, `rules+NAME`, `A,B,C`."""

    def settings(self) -> dict[str, Any]:
        """Everything that changes a verdict, as JSON values."""

    def judge(self, cases: Sequence[Case]) -> list[Judgement]:
        """One for each case, in their order; a failure leaves that case unscored and says why."""
