"""The judge `rules`: numbers, stances and terms compared by plain rules; offline, without an LLM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

from dibs.rag.judges.base import Case, Judgement, Verdict
from dibs.rag.judges.rules.evidence import Evidence, weigh

VERSION = 2
"""Raised when a rule changes, so that what was judged before is known to be of other rules."""


@dataclass(frozen=True)
class Thresholds:
    """From where on evidence makes an answer correct; chosen by `RulesJudge.fit` on people's labels."""

    distance: float = 0.001
    """Relative distance of a number from the gold, beyond what the gold's rounding leaves open, at most."""
    topic: float = 0.4
    """Share of the question's terms in the sentence that takes a side, at least."""
    terms: float = 0.25
    """Share of the gold's terms, at least."""
    strict: float = 0.7
    """The same where nearly all are demanded: of a list, or after a hedge."""

    def met(self, evidence: Evidence) -> bool:
        """Whether the evidence is enough."""
        if evidence.strength == 0:
            return False
        bars = {
            "refusal": 1.0,
            "date": 1.0,
            "number": 1.0 - self.distance,
            "stance": self.topic,
            "denial": self.topic,
            "terms": max(self.terms, self.strict) if evidence.strict else self.terms,
        }
        return evidence.strength >= bars[evidence.rule] - 1e-12


GRID = {
    "distance": (0.0, 0.001, 0.002, 0.005, 0.01, 0.02),
    "topic": (0.2, 0.3, 0.4, 0.5, 0.6),
    "terms": (0.2, 0.25, 0.3, 0.35, 0.4, 0.5),
    "strict": (0.5, 0.6, 0.7, 0.8, 0.9),
}
"""What `fit` chooses from."""


@dataclass(frozen=True)
class RulesJudge:
    """Grades by rules; docs/judges.md says them in words."""

    thresholds: Thresholds = Thresholds()

    @property
    def name(self) -> str:
        return "rules"

    def settings(self) -> dict[str, Any]:
        return {"judge": self.name, "version": VERSION, "thresholds": asdict(self.thresholds)}

    def judge(self, cases: Sequence[Case]) -> list[Judgement]:
        return [self._judge(weigh(case)) for case in cases]

    def _judge(self, evidence: Evidence) -> Judgement:
        if self.thresholds.met(evidence):
            return Judgement(Verdict.CORRECT, f"{evidence.rule}: {evidence.reason}", clear=evidence.settled)
        if evidence.hedge is None:
            return Judgement(Verdict.INCORRECT, f"{evidence.rule}: {evidence.reason}", clear=evidence.settled)
        said = f'says "{evidence.hedge}"; ' if evidence.hedge else ""
        return Judgement(Verdict.REFUSAL, f"refusal: {said}{evidence.reason}", clear=evidence.opens_hedged)

    def fit(self, cases: Sequence[Case], correct: Sequence[bool]) -> RulesJudge:
        """This judge with the thresholds that agree best with people's labels.

        The values of `GRID` are tried: for `terms` and `strict`, which both weigh terms, in every pair, for
        the others alone, as no answer is weighed by two of them. Of equally good values the nearest to this
        judge's own are taken.
        """
        weighed = [(weigh(case), right) for case, right in zip(cases, correct, strict=True)]
        found = self.thresholds
        for fields in (("distance",), ("topic",), ("terms", "strict")):
            found = max(_around(found, fields), key=lambda t: sum(t.met(e) == right for e, right in weighed))
        return replace(self, thresholds=found)


def _around(start: Thresholds, fields: Sequence[str]) -> Iterator[Thresholds]:
    """`start` with those fields at each of the grid's values, the nearest first."""
    values = product(*(GRID[field] for field in fields))
    options = [replace(start, **dict(zip(fields, chosen, strict=True))) for chosen in values]
    away = {
        option: sum(abs(GRID[f].index(getattr(option, f)) - GRID[f].index(getattr(start, f))) for f in fields)
        for option in options
    }
    yield from sorted(options, key=away.__getitem__)
