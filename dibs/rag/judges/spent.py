"""What the chat models behind judges were asked in all, and what they would be."""

from __future__ import annotations

from collections.abc import Sequence

from dibs.llm.chat import Estimate, Spent
from dibs.rag.judges.base import Case, Judge


def spent_by(judges: Sequence[Judge]) -> Spent | None:
    """The sum over judges that ask a model; None if none does."""
    parts = [spent for judge in judges if isinstance(spent := getattr(judge, "spent", None), Spent)]
    if not parts:
        return None
    return Spent(
        **_counts(parts),
        failed=sum(part.failed for part in parts),
        usd=_sum([part.usd for part in parts]),
    )


def estimated_by(judges: Sequence[Judge], cases: Sequence[Case]) -> Estimate | None:
    """What grading `cases` would cost at most, over judges that ask a model; None if none does."""
    made = [ahead(cases) for judge in judges if (ahead := getattr(judge, "estimate", None))]
    parts = [part for part in made if part is not None]
    if not parts:
        return None
    return Estimate(
        **_counts(parts),
        usd=_sum([part.usd for part in parts]),
        exact=all(part.exact for part in parts),
        batch_usd=_sum([part.batch_usd for part in parts]),
    )


def _counts(parts: Sequence[Estimate | Spent]) -> dict[str, int]:
    names = ("requests", "cached", "prompt_tokens", "completion_tokens")
    return {name: sum(getattr(part, name) for part in parts) for name in names}


def _sum(costs: Sequence[float | None]) -> float | None:
    """None if one is not known."""
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None
