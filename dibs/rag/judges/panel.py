"""Several judges that vote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from dibs.errors import InputError
from dibs.llm.chat import Estimate, Spent
from dibs.rag.judges.base import Case, Judge, Judgement
from dibs.rag.judges.spent import estimated_by, spent_by


class PanelJudge:
    """The verdict that more than half of the votes are for; without one, the case is unscored.

    A judge that leaves a case unscored has no vote on it.
    """

    def __init__(self, judges: Sequence[Judge]) -> None:
        names = [judge.name for judge in judges]
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise InputError(f"the panel has {twice[0]!r} twice", todo="Name each judge once.")
        self._judges = tuple(judges)

    @property
    def name(self) -> str:
        return ",".join(judge.name for judge in self._judges)

    @property
    def spent(self) -> Spent | None:
        """What its judges asked of chat models; None if they ask none."""
        return spent_by(self._judges)

    def estimate(self, cases: Sequence[Case]) -> Estimate | None:
        """What grading would cost; None if its judges ask no chat model."""
        return estimated_by(self._judges, cases)

    def settings(self) -> dict[str, Any]:
        return {"judge": "panel", "judges": [judge.settings() for judge in self._judges]}

    def judge(self, cases: Sequence[Case]) -> list[Judgement]:
        rounds = [judge.judge(cases) for judge in self._judges]
        return [self._majority(votes) for votes in zip(*rounds, strict=True)]

    def _majority(self, votes: Sequence[Judgement]) -> Judgement:
        listed = ", ".join(
            f"{judge.name}: {vote.verdict or 'unscored'}"
            for judge, vote in zip(self._judges, votes, strict=True)
        )
        counts = Counter(vote.verdict for vote in votes if vote.verdict is not None)
        for verdict, count in counts.items():
            if 2 * count > counts.total():
                return Judgement(verdict, f"{count} of {counts.total()} votes; {listed}")
        return Judgement(None, f"no majority; {listed}")
