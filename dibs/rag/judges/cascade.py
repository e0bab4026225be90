"""Two judges: the first decides what is clear to it, the second the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dibs.llm.chat import Estimate, Spent
from dibs.rag.judges.base import Case, Judge, Judgement
from dibs.rag.judges.spent import estimated_by, spent_by


class CascadeJudge:
    """Asks `second` only for the cases whose verdict is not clear to `first`.

    A case that `second` leaves unscored stays so: what `first` made of it was not clear.
    """

    def __init__(self, first: Judge, second: Judge) -> None:
        self.first, self.second = first, second

    @property
    def name(self) -> str:
        return f"{self.first.name}+{self.second.name}"

    @property
    def spent(self) -> Spent | None:
        """What its judges asked of chat models; None if they ask none."""
        return spent_by((self.first, self.second))

    def estimate(self, cases: Sequence[Case]) -> Estimate | None:
        """What grading would cost, if nothing is clear to the first; None if its judges ask no chat model."""
        return estimated_by((self.first, self.second), cases)

    def settings(self) -> dict[str, Any]:
        return {"judge": "cascade", "first": self.first.settings(), "second": self.second.settings()}

    def judge(self, cases: Sequence[Case]) -> list[Judgement]:
        told = [replace(found, judge=self.first.name) for found in self.first.judge(cases)]
        rest = [place for place, found in enumerate(told) if not found.clear or found.verdict is None]
        asked = self.second.judge([cases[place] for place in rest]) if rest else []
        for place, found in zip(rest, asked, strict=True):
            told[place] = replace(found, judge=self.second.name)
        return told
